//! What was seen of the files of one channel. Pure. Bounded in number, and in bytes of names.

use std::collections::BTreeSet;

use crate::audit::{Action, File, Files, Outcome};

/// Files of one channel that are kept by name; what follows is counted. A tree of that many is seldom
/// copied twice in a session, and a record stays small.
const MAX_FILES: usize = 200;

/// Longest name kept, in bytes.
const MAX_NAME: usize = 800;

/// What stands beside a name in the ledger, in bytes: files without names take room, too.
const BESIDE: usize = 64;

/// The place of a file in the list; `None`: it is only counted.
pub(super) type Slot = Option<usize>;

/// What was seen of the files of one channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Notes {
    files: Files,
    /// What becomes of those in the list, one for each.
    marks: Vec<Marks>,
    /// Those of the list that are only read to be copied.
    copied: BTreeSet<usize>,
    names: bool,
}

/// How far a file that is moved has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Marks {
    ended: bool,
    closed: bool,
    failed: bool,
}

impl Notes {
    pub(super) fn new(names: bool) -> Self {
        Self { names, ..Self::default() }
    }

    /// Something is asked for; whether it is done is not known yet.
    pub(super) fn ask(
        &mut self,
        (action, name, to): (Action, &[u8], Option<&[u8]>),
        room: &mut usize,
    ) -> Slot {
        let cut = |name: &[u8]| name[..name.len().min(MAX_NAME)].to_vec();
        let (name, to) = (cut(name), to.map(cut));
        let length = BESIDE + name.len() + to.as_ref().map_or(0, Vec::len);
        if !self.names || self.files.list.len() == MAX_FILES || length > *room {
            self.files.more += 1;
            return None;
        }
        *room -= length;
        let outcome = Outcome::Part;
        self.files.list.push(File { action, name, to, bytes: 0, size: None, outcome });
        self.marks.push(Marks::default());
        Some(self.files.list.len() - 1)
    }

    /// It is refused.
    pub(super) fn refuse(&mut self, slot: Slot) {
        self.outcome(slot, Outcome::Refused);
    }

    /// A file is open to be written, or to be read alone.
    pub(super) fn open(&mut self, writes: bool) {
        *self.moved(writes) += 1;
    }

    /// One that is open is not moved after all.
    pub(super) fn discount(&mut self, writes: bool) {
        let moved = self.moved(writes);
        *moved = moved.saturating_sub(1);
    }

    /// What is no transfer was done.
    pub(super) fn change(&mut self, slot: Slot) {
        self.files.changed += 1;
        self.outcome(slot, Outcome::Done);
    }

    /// Bytes of it went into the container.
    pub(super) fn put(&mut self, slot: Slot, bytes: u64) {
        self.files.bytes.0 = self.files.bytes.0.saturating_add(bytes);
        self.count(slot, bytes);
    }

    /// Bytes of it came out of it.
    pub(super) fn get(&mut self, slot: Slot, bytes: u64) {
        self.files.bytes.1 = self.files.bytes.1.saturating_add(bytes);
        self.count(slot, bytes);
    }

    /// The whole is so long.
    pub(super) fn size(&mut self, slot: Slot, size: u64) {
        if let Some(file) = self.file(slot) {
            file.size = Some(size);
        }
    }

    /// Its end was read.
    pub(super) fn end(&mut self, slot: Slot) {
        self.mark(slot, |marks| marks.ended = true);
    }

    /// It was closed.
    pub(super) fn close(&mut self, slot: Slot) {
        self.mark(slot, |marks| marks.closed = true);
    }

    /// A part of it could not be moved.
    pub(super) fn fail(&mut self, slot: Slot) {
        self.mark(slot, |marks| marks.failed = true);
    }

    /// One open file is copied into another, inside the container: neither of them is moved.
    pub(super) fn copy(&mut self, from: Slot, to: Slot) {
        self.copied.extend(from);
        let source = self.file(from).map(|file| file.name.clone());
        let (Some(source), Some(target)) = (source, self.file(to)) else { return };
        if target.action.moves() {
            let name = std::mem::replace(&mut target.name, source);
            target.to = Some(name);
            target.action = Action::Copy;
        }
    }

    /// From here on nothing is known.
    pub(super) fn unfollowed(&mut self) {
        self.files.unfollowed = true;
    }

    pub(super) fn into_files(self) -> Files {
        let Self { mut files, marks, copied, names: _ } = self;
        for (file, marks) in files.list.iter_mut().zip(&marks) {
            let reaches = || marks.ended || file.size.is_some_and(|size| file.bytes >= size);
            let whole = file.action.moves() && (file.action != Action::Get || reaches());
            if whole && marks.closed && !marks.failed && file.outcome == Outcome::Part {
                file.outcome = Outcome::Done;
            }
        }
        // Of a copy the one that is written tells.
        let mut slots = 0..;
        files.list.retain(|file| {
            let is_copied = slots.next().is_some_and(|slot| copied.contains(&slot));
            !(is_copied && file.bytes == 0)
        });
        files
    }

    fn moved(&mut self, writes: bool) -> &mut u64 {
        if writes { &mut self.files.put } else { &mut self.files.got }
    }

    fn outcome(&mut self, slot: Slot, outcome: Outcome) {
        if let Some(file) = self.file(slot) {
            file.outcome = outcome;
        }
    }

    fn count(&mut self, slot: Slot, bytes: u64) {
        if let Some(file) = self.file(slot) {
            file.bytes = file.bytes.saturating_add(bytes);
        }
    }

    fn file(&mut self, slot: Slot) -> Option<&mut File> {
        self.files.list.get_mut(slot?)
    }

    fn mark(&mut self, slot: Slot, set: impl FnOnce(&mut Marks)) {
        if let Some(marks) = slot.and_then(|slot| self.marks.get_mut(slot)) {
            set(marks);
        }
    }
}
