//! The files that a channel moved, as the ledger has them. Pure. `door/files` fills it from what passes.

use serde_json::{Map, Value, json};

use crate::model::text::printable_bytes;

/// Longest name written down, in characters.
const MAX_NAME: usize = 300;

/// What one channel did with files, as far as it was followed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// The first of them, in the order in which they were asked for.
    pub list: Vec<File>,
    /// Those that are not in the list.
    pub more: u64,
    /// Files that were opened to be written in the container.
    pub put: u64,
    /// Files that were opened to be read alone.
    pub got: u64,
    /// Whatever else was done: removed, renamed, made, linked, copied.
    pub changed: u64,
    /// Bytes of files, from and to the person.
    pub bytes: (u64, u64),
    /// From some point on nothing more is known.
    pub unfollowed: bool,
}

/// One thing that was done, or tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What.
    pub action: Action,
    /// With which file: as the client wrote it.
    pub name: Vec<u8>,
    /// The new name, the other end of a link, the copy.
    pub to: Option<Vec<u8>>,
    /// Bytes of it that were read and written.
    pub bytes: u64,
    /// How long the whole of it is, where the protocol told.
    pub size: Option<u64>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What is done with a file. `Put` and `Get` are seen from the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is read.
    Get,
    /// It is written.
    Put,
    /// It is open for both.
    Update,
    /// It goes.
    Remove,
    /// It gets another name.
    Rename,
    /// A folder is made.
    MakeFolder,
    /// A folder goes.
    RemoveFolder,
    /// It becomes a link to another, symbolic or not.
    Link,
    /// It is copied inside the container.
    Copy,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done; of a file that is moved, to its end.
    Done,
    /// It was begun, and its end was not seen.
    Part,
    /// The far side refused.
    Refused,
}

impl Action {
    /// Its name in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::Update => "update",
            Self::Remove => "remove",
            Self::Rename => "rename",
            Self::MakeFolder => "mkdir",
            Self::RemoveFolder => "rmdir",
            Self::Link => "link",
            Self::Copy => "copy",
        }
    }

    /// Whether bytes of it pass.
    #[must_use]
    pub fn moves(self) -> bool {
        matches!(self, Self::Get | Self::Put | Self::Update)
    }
}

impl Files {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn detail(&self) -> Value {
        let list: Vec<_> = self.list.iter().map(File::detail).collect();
        let mut detail = Map::new();
        let mut put = |key: &str, value: Value| detail.insert(key.to_owned(), value);
        put("list", json!(list));
        put("put", json!(self.put));
        put("got", json!(self.got));
        put("changed", json!(self.changed));
        put("bytes_in", json!(self.bytes.0));
        put("bytes_out", json!(self.bytes.1));
        if self.more > 0 {
            put("more", json!(self.more));
        }
        if self.unfollowed {
            put("unfollowed", json!(true));
        }
        Value::Object(detail)
    }
}

impl File {
    fn detail(&self) -> Value {
        let mut detail = Map::new();
        let mut put = |key: &str, value: Value| detail.insert(key.to_owned(), value);
        put("action", json!(self.action.as_str()));
        put("name", json!(printable_bytes(&self.name, MAX_NAME)));
        if let Some(to) = &self.to {
            put("to", json!(printable_bytes(to, MAX_NAME)));
        }
        if self.action.moves() {
            put("bytes", json!(self.bytes));
        }
        if let Some(size) = self.size.filter(|size| *size != self.bytes) {
            put("size", json!(size));
        }
        match self.outcome {
            Outcome::Done => {}
            Outcome::Part => drop(put("part", json!(true))),
            Outcome::Refused => drop(put("refused", json!(true))),
        }
        Value::Object(detail)
    }
}
