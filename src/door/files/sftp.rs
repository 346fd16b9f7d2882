//! SFTP version 3 (draft-ietf-secsh-filexfer-02), which is what OpenSSH and everybody beside it
//! speaks, and the extensions of OpenSSH's `PROTOCOL` that touch files. Pure.

use std::collections::BTreeMap;

use super::{
    Lost,
    notes::{Notes, Slot},
    packets::Packets,
};
use crate::{
    audit::Action,
    wire::codec::{Malformed, Reader},
};

/// Requests without an answer that are followed. OpenSSH has 64 on the way, asyncssh 128.
const MAX_PENDING: usize = 2048;

/// Files open at a time that are followed.
const MAX_HANDLES: usize = 256;

/// Longest handle, in bytes (section 6.2).
const MAX_HANDLE: usize = 256;

/// Of a packet with names so much is held, in bytes: two of Linux's longest paths, 4,096 bytes each,
/// and what stands around them.
const MAX_NAMES: usize = 8700;

/// The only version that is followed: later ones have other packets.
const VERSION: u32 = 3;

/// Flags of an open request (section 6.3).
const READ: u32 = 1;
const WRITE: u32 = 2;

/// Codes of a status (section 7).
const OK: u32 = 0;
const EOF: u32 = 1;

/// A size is among the attributes (section 5).
const HAS_SIZE: u32 = 1;

/// Kinds of packets (section 3).
mod kind {
    pub(super) const INIT: u8 = 1;
    pub(super) const VERSION: u8 = 2;
    pub(super) const OPEN: u8 = 3;
    pub(super) const CLOSE: u8 = 4;
    pub(super) const READ: u8 = 5;
    pub(super) const WRITE: u8 = 6;
    pub(super) const FSTAT: u8 = 8;
    pub(super) const REMOVE: u8 = 13;
    pub(super) const MKDIR: u8 = 14;
    pub(super) const RMDIR: u8 = 15;
    pub(super) const RENAME: u8 = 18;
    pub(super) const SYMLINK: u8 = 20;
    pub(super) const STATUS: u8 = 101;
    pub(super) const HANDLE: u8 = 102;
    pub(super) const DATA: u8 = 103;
    pub(super) const ATTRS: u8 = 105;
    pub(super) const EXTENDED: u8 = 200;
}

/// Both directions of one channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sftp {
    up: Packets,
    down: Packets,
    greeted: bool,
    answered: bool,
    pending: BTreeMap<u32, Pending>,
    handles: BTreeMap<Vec<u8>, Handle>,
}

/// A request that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pending {
    /// A file is opened, to be written or only to be read.
    Open(Slot, bool),
    Read(Slot),
    /// So many bytes.
    Write(Slot, u64),
    Stat(Slot),
    Close(Slot),
    Change(Slot),
    /// Nothing that is kept.
    Other,
}

/// An open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Handle {
    slot: Slot,
    writes: bool,
    copied: bool,
}

impl From<Malformed> for Lost {
    fn from(_: Malformed) -> Self {
        Self
    }
}

impl Sftp {
    pub(super) fn client_sent(
        &mut self,
        data: &[u8],
        notes: &mut Notes,
        room: &mut usize,
    ) -> Result<(), Lost> {
        let mut packets = std::mem::take(&mut self.up);
        let fed = packets.feed(data, wanted_of_request, |kind, body, length| {
            self.on_request((kind, body, length), notes, room)
        });
        self.up = packets;
        fed
    }

    pub(super) fn container_sent(&mut self, data: &[u8], notes: &mut Notes) -> Result<(), Lost> {
        let mut packets = std::mem::take(&mut self.down);
        let fed = packets.feed(data, wanted_of_answer, |kind, body, length| {
            self.on_answer(kind, body, length, notes)
        });
        self.down = packets;
        fed
    }

    fn on_request(
        &mut self,
        (kind, body, length): (u8, &[u8], usize),
        notes: &mut Notes,
        room: &mut usize,
    ) -> Result<(), Lost> {
        // First of all its version, and that once.
        if (kind == kind::INIT) == std::mem::replace(&mut self.greeted, true) {
            return Err(Lost);
        }
        if kind == kind::INIT {
            return Ok(());
        }
        let mut r = Reader::new(body);
        let id = r.uint32()?;
        let mut change = |action, name, to| Pending::Change(notes.ask((action, name, to), room));
        let pending = match kind {
            kind::OPEN => open(&mut r, notes, room)?,
            kind::REMOVE => change(Action::Remove, r.string()?, None),
            kind::MKDIR => change(Action::MakeFolder, r.string()?, None),
            kind::RMDIR => change(Action::RemoveFolder, r.string()?, None),
            kind::RENAME => change(Action::Rename, r.string()?, Some(r.string()?)),
            kind::SYMLINK => {
                // OpenSSH has them the other way round than the draft, and so has everybody.
                let target = r.string()?;
                change(Action::Link, r.string()?, Some(target))
            }
            kind::EXTENDED => self.on_extended(&mut r, notes, room)?,
            kind::CLOSE | kind::READ | kind::WRITE | kind::FSTAT => {
                self.on_handle(kind, &mut r, length)?
            }
            _ => Pending::Other,
        };
        // A number that is used twice at a time makes answers ambiguous.
        if self.pending.len() == MAX_PENDING || self.pending.insert(id, pending).is_some() {
            return Err(Lost);
        }
        Ok(())
    }

    /// What is asked for of something open: also of folders, which are not kept.
    fn on_handle(&mut self, kind: u8, r: &mut Reader<'_>, length: usize) -> Result<Pending, Lost> {
        let name = handle(r)?;
        let Some(Handle { slot, .. }) = self.handles.get(name).copied() else {
            return Ok(Pending::Other);
        };
        Ok(match kind {
            kind::CLOSE => {
                self.handles.remove(name);
                Pending::Close(slot)
            }
            kind::WRITE => {
                let (_offset, bytes) = (r.uint64()?, r.uint32()?);
                // Number, handle, offset and the length itself stand before it.
                let most = length.saturating_sub(20 + name.len());
                Pending::Write(slot, u64::from(bytes).min(most as u64))
            }
            kind::READ => Pending::Read(slot),
            _ => Pending::Stat(slot),
        })
    }

    fn on_extended(
        &mut self,
        r: &mut Reader<'_>,
        notes: &mut Notes,
        room: &mut usize,
    ) -> Result<Pending, Lost> {
        Ok(match r.string()? {
            b"posix-rename@openssh.com" => {
                let (old, new) = (r.string()?, r.string()?);
                Pending::Change(notes.ask((Action::Rename, old, Some(new)), room))
            }
            b"hardlink@openssh.com" => {
                let (old, new) = (r.string()?, r.string()?);
                Pending::Change(notes.ask((Action::Link, new, Some(old)), room))
            }
            b"copy-data" => {
                let from = handle(r)?;
                let (_offset, _length) = (r.uint64()?, r.uint64()?);
                let to = handle(r)?;
                self.copy(from, to, notes)
            }
            _ => Pending::Other,
        })
    }

    fn copy(&mut self, from: &[u8], to: &[u8], notes: &mut Notes) -> Pending {
        let mut slots = [None; 2];
        for (name, slot) in [from, to].into_iter().zip(&mut slots) {
            let Some(handle) = self.handles.get_mut(name) else { return Pending::Other };
            *slot = handle.slot;
            if !std::mem::replace(&mut handle.copied, true) {
                notes.discount(handle.writes);
            }
        }
        let [from, to] = slots;
        notes.copy(from, to);
        Pending::Change(to)
    }

    fn on_answer(
        &mut self,
        kind: u8,
        body: &[u8],
        length: usize,
        notes: &mut Notes,
    ) -> Result<(), Lost> {
        let mut r = Reader::new(body);
        let id = r.uint32()?;
        if !std::mem::replace(&mut self.answered, true) {
            return if (kind, id) == (kind::VERSION, VERSION) { Ok(()) } else { Err(Lost) };
        }
        let pending = self.pending.remove(&id).ok_or(Lost)?;
        match (pending, kind) {
            (Pending::Other, _) => {}
            (pending, kind::STATUS) => on_status(pending, r.uint32()?, notes),
            (Pending::Open(slot, writes), kind::HANDLE) => {
                if self.handles.len() == MAX_HANDLES {
                    return Err(Lost);
                }
                notes.open(writes);
                let handle = Handle { slot, writes, copied: false };
                self.handles.insert(r.string()?.to_vec(), handle);
            }
            (Pending::Read(slot), kind::DATA) => {
                // Number and length stand before it.
                let most = length.saturating_sub(8) as u64;
                notes.get(slot, u64::from(r.uint32()?).min(most));
            }
            (Pending::Stat(slot), kind::ATTRS) => {
                if r.uint32()? & HAS_SIZE != 0 {
                    notes.size(slot, r.uint64()?);
                }
            }
            _ => return Err(Lost),
        }
        Ok(())
    }
}

fn open(r: &mut Reader<'_>, notes: &mut Notes, room: &mut usize) -> Result<Pending, Lost> {
    let (name, flags) = (r.string()?, r.uint32()?);
    let action = match (flags & READ != 0, flags & WRITE != 0) {
        (true, true) => Action::Update,
        (false, true) => Action::Put,
        (_, false) => Action::Get,
    };
    Ok(Pending::Open(notes.ask((action, name, None), room), flags & WRITE != 0))
}

fn on_status(pending: Pending, code: u32, notes: &mut Notes) {
    match (pending, code) {
        (Pending::Write(slot, bytes), OK) => notes.put(slot, bytes),
        (Pending::Close(slot), OK) => notes.close(slot),
        (Pending::Read(slot), EOF) => notes.end(slot),
        (Pending::Change(slot), OK) => notes.change(slot),
        (Pending::Open(slot, _) | Pending::Change(slot), _) => notes.refuse(slot),
        (Pending::Read(slot) | Pending::Write(slot, _) | Pending::Close(slot), _) => {
            notes.fail(slot);
        }
        (Pending::Stat(_) | Pending::Other, _) => {}
    }
}

fn handle<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], Lost> {
    let handle = r.string()?;
    if handle.len() <= MAX_HANDLE { Ok(handle) } else { Err(Lost) }
}

/// How much of a request is held, in bytes behind its kind.
fn wanted_of_request(kind: u8, body: &[u8]) -> usize {
    match kind {
        // Number, handle, offset, length: the contents stay where they are.
        kind::WRITE => match body.get(4..8).and_then(|length| length.try_into().ok()) {
            Some(length) => 20 + MAX_HANDLE.min(u32::from_be_bytes(length) as usize),
            None => 8,
        },
        kind::OPEN
        | kind::CLOSE
        | kind::READ
        | kind::FSTAT
        | kind::REMOVE
        | kind::MKDIR
        | kind::RMDIR
        | kind::RENAME
        | kind::SYMLINK
        | kind::EXTENDED => MAX_NAMES,
        _ => 4,
    }
}

/// The same of an answer.
fn wanted_of_answer(kind: u8, _: &[u8]) -> usize {
    match kind {
        kind::STATUS | kind::DATA => 8,
        kind::HANDLE => 8 + MAX_HANDLE,
        kind::ATTRS => 16,
        _ => 4,
    }
}
