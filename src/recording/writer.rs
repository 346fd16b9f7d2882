//! The thread that writes recordings. What the disk refuses ends the recording with a remark in it,
//! never the session; the next recording tries again.

use std::{
    collections::{HashMap, VecDeque},
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use tracing::{error, info, warn};

use super::{
    Facts, Message, Opening, Shared,
    cast::{Code, Text, event, head},
    folder::{self, Name},
    terminals::Shape,
};
use crate::{clock, config::Record, model::text::printable};

/// How often the old ones are looked for, at the latest.
const EACH: Duration = Duration::from_secs(3600);

/// How often it is tried whether recordings can be written again.
const RETRY: Duration = Duration::from_secs(5);

/// Longest reason shown, in characters.
const MAX_REASON: usize = 300;

/// Bytes that are cut off a recording that the disk refuses, at least: what a remark needs, and then
/// a page, which is what file systems give and take.
const ROOM: u64 = 8192;

/// Part of what all recordings may take that is written between two looks at what they take.
const PARTS: u64 = 32;

/// A recording that is being written.
struct Open {
    name: Name,
    /// `None`: it ended early.
    file: Option<File>,
    length: u64,
    /// Where lines begin, from the last one that is [`ROOM`] before the end.
    lines: VecDeque<u64>,
    /// A part of it is missing, which was told.
    is_broken: bool,
    shown: Text,
    typed: Text,
}

/// The files, and what they may take.
pub(super) struct Files {
    folder: PathBuf,
    config: Box<dyn Fn() -> Record + Send>,
    shared: Arc<Shared>,
    open: HashMap<u64, Open>,
    pruned: Option<Instant>,
    /// Written since then, in bytes.
    written: u64,
    /// Those that are being written take nearly as much as all may.
    is_full: bool,
    /// When it was tried to write, while that fails.
    tried: Option<Instant>,
}

impl Files {
    pub(super) fn new(
        folder: PathBuf,
        config: Box<dyn Fn() -> Record + Send>,
        shared: Arc<Shared>,
    ) -> Self {
        let (open, pruned, written) = (HashMap::new(), None, 0);
        Self { folder, config, shared, open, pruned, written, is_full: false, tried: None }
    }

    /// Writes what comes until it is told to end.
    pub(super) fn run(mut self, messages: &mpsc::Receiver<Message>) {
        loop {
            self.prune();
            match messages.recv_timeout(self.pause()) {
                Ok(Message::Close) | Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Ok(message) => {
                    let bytes = message.bytes();
                    self.on(message);
                    self.shared.taken(bytes);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            self.look();
        }
        // Nobody adds to these any more.
        for open in self.open.values_mut() {
            open.finish(Duration::ZERO, "the sentinel stopped");
        }
    }

    fn on(&mut self, message: Message) {
        match message {
            Message::Begin(key, opening) => match self.begin(&opening) {
                Ok(open) => {
                    self.open.insert(key, open);
                }
                Err(e) => {
                    let session = opening.facts.session;
                    error!(session, folder = %self.folder.display(), error = %e, "not recorded");
                    self.shared.broke();
                    self.fail(&e.to_string());
                }
            },
            Message::Add(key, at, code, bytes) => {
                let (max_size, is_full) = ((self.config)().max_size.bytes(), self.is_full);
                let Some(open) = self.open.get_mut(&key) else { return };
                let before = open.length;
                let refused = open.add(at, code, &bytes, (max_size, is_full));
                self.written += open.length.saturating_sub(before);
                if let Some(reason) = refused {
                    open.breaks(&self.shared);
                    self.fail(&reason);
                }
            }
            Message::Gap(key, at, bytes) => {
                if let Some(open) = self.open.get_mut(&key) {
                    warn!(session = open.name.session, bytes, "a gap in a recording");
                    let remark = format!("{bytes} bytes are missing here: the disk was too slow");
                    open.breaks(&self.shared);
                    let refused = open.put(at, Code::Marker, &remark);
                    if let Some(reason) = refused {
                        self.fail(&reason);
                    }
                }
            }
            Message::End(key, at) => {
                if let Some(mut open) = self.open.remove(&key)
                    && let Some(reason) = open.finish(at, "end")
                {
                    open.breaks(&self.shared);
                    self.fail(&reason);
                }
            }
            Message::Probe(asked) => {
                let probed = probe(&self.folder).map_err(|e| e.to_string());
                if let Err(reason) = &probed {
                    self.fail(reason);
                }
                // Whoever asked may have gone.
                let _ = asked.send(probed);
            }
            Message::Close => {}
        }
    }

    fn begin(&self, opening: &Opening) -> io::Result<Open> {
        let Opening { name, facts, shape } = opening;
        make(&self.folder)?;
        let path = self.folder.join(name.to_string());
        let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut open = Open {
            name: *name,
            file: Some(options?),
            length: 0,
            lines: VecDeque::new(),
            is_broken: false,
            shown: Text::default(),
            typed: Text::default(),
        };
        let Facts { person, target, .. } = &**facts;
        let title = format!("{person}: {target}");
        let Shape { term, size } = shape;
        let head = head(*size, name.began.as_second(), (&title, term), &**facts);
        let written = open.write(&head);
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        open.lines.clear();
        open.lines.push_back(open.length);
        written.map(|()| open)
    }

    fn pause(&self) -> Duration {
        if self.shared.health.borrow().problem.is_some() { RETRY } else { EACH }
    }

    /// Recordings cannot be written: why.
    fn fail(&mut self, reason: &str) {
        let reason = printable(reason, MAX_REASON);
        self.tried = Some(clock::now());
        self.shared.health.send_modify(|health| {
            let since = health.problem.take().map_or_else(clock::timestamp, |(since, _)| since);
            health.problem = Some((since, reason));
        });
    }

    /// Looks, from time to time, whether recordings can be written that could not.
    fn look(&mut self) {
        let is_due = self.tried.is_some_and(|at| clock::now().duration_since(at) >= RETRY);
        if !is_due || self.is_full {
            return;
        }
        match probe(&self.folder) {
            Ok(()) => {
                self.tried = None;
                self.shared.health.send_modify(|health| health.problem = None);
                info!("recordings can be written again");
            }
            Err(e) => self.fail(&e.to_string()),
        }
    }

    /// Removes what is old or too much, from time to time.
    fn prune(&mut self) {
        let Record { retention, max_total, .. } = (self.config)();
        let is_due = self.pruned.is_none_or(|at| clock::now().duration_since(at) >= EACH);
        if !is_due && self.written < max_total.bytes() / PARTS {
            return;
        }
        (self.pruned, self.written) = (Some(clock::now()), 0);
        let when = (clock::timestamp(), retention);
        let stays = |name: &Name| self.open.values().any(|open| open.name == *name);
        match folder::prune(&self.folder, when, max_total.bytes(), stays) {
            // What comes until the next look has to find room, too.
            Ok(open) => self.is_full = open > max_total.bytes() / PARTS * (PARTS - 2),
            Err(e) => {
                warn!(folder = %self.folder.display(), error = %e, "old recordings not removed");
            }
        }
    }
}

impl Open {
    /// Adds an event, unless the recording is as long as it may be. Why nothing can be written, if it is
    /// so.
    fn add(
        &mut self,
        at: Duration,
        code: Code,
        bytes: &[u8],
        (max_size, is_full): (u64, bool),
    ) -> Option<String> {
        let text = match code {
            Code::Output => self.shown.push(bytes),
            Code::Input => self.typed.push(bytes),
            Code::Resized | Code::Marker => String::from_utf8_lossy(bytes).into_owned(),
        };
        if text.is_empty() || self.file.is_none() {
            return None;
        }
        let line = event(at, code, &text);
        if is_full || self.length + line.len() as u64 > max_size {
            let limit = if is_full { "record.max_total" } else { "record.max_size" };
            let refused = self.finish(at, &format!("not recorded from here on: {limit}"));
            // What one recording may take is a wish, and no fault.
            return refused.or_else(|| is_full.then(|| format!("{limit} is reached")));
        }
        self.put_line(at, &line)
    }

    fn put(&mut self, at: Duration, code: Code, text: &str) -> Option<String> {
        self.put_line(at, &event(at, code, text))
    }

    fn put_line(&mut self, at: Duration, line: &str) -> Option<String> {
        let error = self.write(line).err()?;
        let session = self.name.session;
        error!(session, %error, "recording ends: the session goes on");
        self.cut(at, &format!("not recorded from here on: {error}"));
        Some(error.to_string())
    }

    /// A part of it is missing.
    fn breaks(&mut self, shared: &Shared) {
        if !std::mem::replace(&mut self.is_broken, true) {
            shared.broke();
        }
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(line.as_bytes())?;
        self.lines.push_back(self.length);
        self.length += line.len() as u64;
        while self.lines.get(1).is_some_and(|line| line + ROOM <= self.length) {
            self.lines.pop_front();
        }
        Ok(())
    }

    /// Ends the recording where the disk refused to go on: what is cut off makes room for the remark.
    fn cut(&mut self, at: Duration, remark: &str) {
        let Some(mut file) = self.file.take() else { return };
        let from = self.lines.front().copied().unwrap_or(self.length);
        let mut mark = || {
            file.set_len(from)?;
            file.seek(SeekFrom::Start(from))?;
            file.write_all(event(at, Code::Marker, remark).as_bytes())
        };
        // Without a remark it is a recording that does not say that it ended.
        if let Err(e) = mark() {
            warn!(session = self.name.session, error = %e, "nor can it be said in the recording");
        }
    }

    /// Ends the recording with a remark. Why that cannot be written, if it is so.
    fn finish(&mut self, at: Duration, remark: &str) -> Option<String> {
        let rest = [(self.shown.end(), Code::Output), (self.typed.end(), Code::Input)];
        let mut refused = None;
        for (text, code) in rest.into_iter().filter(|(text, _)| !text.is_empty()) {
            refused = refused.or(self.put(at, code, &text));
        }
        refused = refused.or(self.put(at, Code::Marker, remark));
        self.file = None;
        refused
    }
}

/// Makes the folder, for the sentinel alone.
fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Whether there is room for the beginning of a recording: its head, and what may have to be cut.
fn probe(folder: &Path) -> io::Result<()> {
    make(folder)?;
    let path = folder.join(".probe");
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    let written = file.and_then(|mut file| file.write_all(&[0; 16 << 10]));
    let removed = fs::remove_file(&path);
    written.and(removed)
}
