//! The old protocol of `scp`, which `scp -O` and others still speak: one side is the source, says which
//! file comes and sends it; the other is the sink, and answers each message with a byte or an error. Pure.

use std::collections::VecDeque;

use super::{
    Lost,
    notes::{Notes, Slot},
};
use crate::audit::Action;

/// Longest message of a source, in bytes: Linux's longest path, and what stands before a name.
const MAX_LINE: usize = 4096 + 64;

/// Longest path of a file within the tree that is copied, in bytes.
const MAX_PATH: usize = 4096;

/// Answers that may be due. Sources wait for each; those that do not are still behind by few.
const MAX_DUE: usize = 16;

/// One channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scp {
    /// The client is the source.
    puts: bool,
    stage: Stage,
    /// What the source says, as far as it is there.
    line: Vec<u8>,
    /// The folder of the tree that is copied, and how long each of those above it is.
    folder: Vec<u8>,
    above: Vec<usize>,
    /// What the sink has to answer, in order.
    due: VecDeque<Due>,
    /// It is in the middle of an error.
    complains: bool,
}

/// What the source says next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Message,
    /// A file of which so many bytes are to come; whether none has come yet.
    Content(Slot, u64, bool),
    /// Whether all of it could be read.
    Verdict(Slot, bool),
    /// An error, to the end of its line.
    Error,
}

/// What an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// The sink is ready.
    Ready,
    File(Slot),
    Content(Slot),
    Folder,
    Other,
}

impl Scp {
    /// Of the arguments behind `scp`; `None`: it is not the far end of another.
    pub(super) fn of_arguments<'a>(arguments: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let options = arguments.take_while(|word| word.starts_with(b"-") && *word != b"--");
        // Those that one scp gives to the other; a longer word is a person's own.
        let letters = options.map(|word| &word[1..]);
        let letters = letters.filter(|word| word.iter().all(|letter| b"dfpqrtv".contains(letter)));
        let end = letters.flatten().find(|letter| matches!(letter, b't' | b'f'))?;
        Some(Self {
            puts: *end == b't',
            stage: Stage::Message,
            line: Vec::new(),
            folder: Vec::new(),
            above: Vec::new(),
            due: VecDeque::from([Due::Ready]),
            complains: false,
        })
    }

    pub(super) fn client_sent(
        &mut self,
        data: &[u8],
        notes: &mut Notes,
        room: &mut usize,
    ) -> Result<(), Lost> {
        if self.puts { self.on_source(data, notes, room) } else { self.on_sink(data, notes) }
    }

    pub(super) fn container_sent(
        &mut self,
        data: &[u8],
        notes: &mut Notes,
        room: &mut usize,
    ) -> Result<(), Lost> {
        if self.puts { self.on_sink(data, notes) } else { self.on_source(data, notes, room) }
    }

    fn on_source(
        &mut self,
        mut data: &[u8],
        notes: &mut Notes,
        room: &mut usize,
    ) -> Result<(), Lost> {
        while let [first, rest @ ..] = data {
            match self.stage {
                Stage::Content(slot, left, fresh) => {
                    if fresh {
                        notes.open(self.puts);
                    }
                    let passed = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
                    let moved = passed as u64;
                    if self.puts {
                        notes.put(slot, moved);
                    } else {
                        notes.get(slot, moved);
                    }
                    data = &data[passed..];
                    self.stage = match left - moved {
                        0 => Stage::Verdict(slot, false),
                        left => Stage::Content(slot, left, false),
                    };
                }
                Stage::Verdict(slot, fresh) => {
                    if fresh {
                        notes.open(self.puts);
                    }
                    data = rest;
                    self.stage = match first {
                        0 => Stage::Message,
                        1 | 2 => Stage::Error,
                        _ => return Err(Lost),
                    };
                    match first {
                        0 => notes.end(slot),
                        _ => notes.fail(slot),
                    }
                    // A person's own sink may leave without a word once it has all.
                    if !self.puts {
                        notes.close(slot);
                    }
                    self.owe(Due::Content(slot))?;
                }
                Stage::Message | Stage::Error => {
                    let end = data.iter().position(|byte| *byte == b'\n');
                    let (line, others) = data.split_at(end.map_or(data.len(), |end| end + 1));
                    data = others;
                    self.on_text(line, end.is_some(), notes, room)?;
                }
            }
        }
        Ok(())
    }

    /// A part of a message, or of an error.
    fn on_text(
        &mut self,
        text: &[u8],
        is_end: bool,
        notes: &mut Notes,
        room: &mut usize,
    ) -> Result<(), Lost> {
        if self.stage == Stage::Message && self.line.is_empty() && matches!(text, [1 | 2, ..]) {
            self.stage = Stage::Error;
        }
        match (self.stage, is_end) {
            (Stage::Error, false) => Ok(()),
            (Stage::Error, true) => {
                self.stage = Stage::Message;
                Ok(())
            }
            (_, is_end) => {
                if self.line.len() + text.len() > MAX_LINE {
                    return Err(Lost);
                }
                self.line.extend_from_slice(text);
                // Only what begins like a message is held.
                if !matches!(self.line.first(), Some(b'C' | b'D' | b'E' | b'T')) {
                    return Err(Lost);
                }
                if is_end { self.on_message(notes, room) } else { Ok(()) }
            }
        }
    }

    /// A message is there as a whole.
    fn on_message(&mut self, notes: &mut Notes, room: &mut usize) -> Result<(), Lost> {
        let mut line = std::mem::take(&mut self.line);
        line.pop();
        match line.split_first() {
            Some((b'T', _)) => self.owe(Due::Other),
            Some((b'E', _)) => {
                self.folder.truncate(self.above.pop().ok_or(Lost)?);
                self.owe(Due::Other)
            }
            Some((b'D', announced)) => {
                let (_, name) = announced_name(announced)?;
                self.above.push(self.folder.len());
                self.folder.extend_from_slice(name);
                self.folder.push(b'/');
                if self.folder.len() > MAX_PATH {
                    return Err(Lost);
                }
                self.owe(Due::Folder)
            }
            Some((_, announced)) => {
                let (size, name) = announced_name(announced)?;
                let path = [&self.folder, name].concat();
                let action = if self.puts { Action::Put } else { Action::Get };
                let slot = notes.ask((action, &path, None), room);
                notes.size(slot, size);
                self.stage = match size {
                    0 => Stage::Verdict(slot, true),
                    size => Stage::Content(slot, size, true),
                };
                self.owe(Due::File(slot))
            }
            None => Err(Lost),
        }
    }

    fn owe(&mut self, due: Due) -> Result<(), Lost> {
        if self.due.len() == MAX_DUE {
            return Err(Lost);
        }
        self.due.push_back(due);
        Ok(())
    }

    fn on_sink(&mut self, data: &[u8], notes: &mut Notes) -> Result<(), Lost> {
        for byte in data {
            match (self.complains, byte) {
                (false, 0) => self.on_consent(notes),
                (false, _) => self.complains = true,
                (true, b'\n') => {
                    self.complains = false;
                    self.on_refusal(notes)?;
                }
                (true, _) => {}
            }
        }
        Ok(())
    }

    fn on_consent(&mut self, notes: &mut Notes) {
        if let Some(Due::Content(slot)) = self.due.pop_front() {
            notes.close(slot);
        }
    }

    fn on_refusal(&mut self, notes: &mut Notes) -> Result<(), Lost> {
        let due = self.due.pop_front();
        let caught_up = self.due.is_empty() && self.line.is_empty();
        match (due, self.stage) {
            (Some(Due::Content(slot)), _) => notes.fail(slot),
            (Some(Due::File(slot)), stage) => {
                notes.refuse(slot);
                let fresh = matches!(stage, Stage::Content(_, _, true) | Stage::Verdict(_, true));
                // Contents that are on their way all the same would be read as messages.
                if !fresh || !caught_up {
                    return Err(Lost);
                }
                self.stage = Stage::Message;
            }
            (Some(Due::Folder), Stage::Message) if caught_up => {
                self.folder.truncate(self.above.pop().ok_or(Lost)?);
            }
            (Some(Due::Folder), _) => return Err(Lost),
            // Some sinks say more than one thing about a file.
            (Some(Due::Ready | Due::Other) | None, _) => {}
        }
        Ok(())
    }
}

/// Size and name of `0644 SIZE NAME`.
fn announced_name(text: &[u8]) -> Result<(u64, &[u8]), Lost> {
    let mut parts = text.splitn(3, |byte| *byte == b' ');
    let (Some(_mode), Some(size), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Lost);
    };
    let size = std::str::from_utf8(size).ok().and_then(|size| size.parse().ok()).ok_or(Lost)?;
    Ok((size, name))
}
