//! TOML as a tree in which every key and value knows its place, so that trees of several files can
//! be merged into one.

use std::collections::{BTreeMap, btree_map};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    problem::Fault,
    source::{At, Sink, Sources},
};
use crate::model::text::printable;

/// Most characters of a file's own words in a message.
const SHOWN: usize = 64;

/// A value and its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) value: Value,
}

/// A TOML value. Floats and dates mean nothing here, so only their text is kept.
#[derive(Debug)]
pub(super) enum Value {
    String(String),
    Integer { text: String, value: Option<i64> },
    Float(String),
    Date(String),
    Boolean(bool),
    Array(Vec<Node>),
    Table(Table),
}

/// A table's entries.
pub(super) type Table = BTreeMap<String, Entry>;

/// A key's place, and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) at: At,
    pub(super) node: Node,
}

impl Value {
    /// What people call this kind of value.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer { .. } => "an integer",
            Self::Float(_) => "a decimal number",
            Self::Date(_) => "a date",
            Self::Boolean(_) => "true or false",
            Self::Array(_) => "a list",
            Self::Table(_) => "a section",
        }
    }
}

/// Parses file number `file`. `None`: the syntax is wrong, and `sink` has the mistakes.
pub(super) fn parse(text: &str, file: usize, sink: &Sink) -> Option<Table> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Some(table(document.into_inner(), file));
    }
    let mut last_line = None;
    for error in errors {
        let offset = error.span().map_or(0, |s| s.start).min(text.len());
        let line = line_around(text, offset);
        // The parser goes on after a mistake, and what it finds on the same line is an echo.
        if last_line.replace(line.as_ptr()) != Some(line.as_ptr()) {
            sink.add(At { file, offset }, "", syntax_fault(error.message(), line));
        }
    }
    sink.mark_partial();
    None
}

/// Adds a later file's keys. A key stands once among all files, but lists of tables append.
pub(super) fn merge(into: &mut Table, from: Table, path: &str, sources: &Sources, sink: &Sink) {
    for (key, entry) in from {
        let path = join(path, &key);
        match into.entry(key) {
            btree_map::Entry::Vacant(vacant) => {
                vacant.insert(entry);
            }
            btree_map::Entry::Occupied(mut occupied) => {
                let Entry { at, node } = occupied.get_mut();
                match (&mut node.value, entry.node.value) {
                    (Value::Table(into), Value::Table(from)) => {
                        merge(into, from, &path, sources, sink);
                    }
                    (Value::Array(into), Value::Array(from)) if tables(into) && tables(&from) => {
                        into.extend(from);
                    }
                    _ => {
                        let first = format!("it was set first in {}", sources.line_of(*at));
                        sink.add(entry.at, path, Fault::new("set a second time").hint(first));
                    }
                }
            }
        }
    }
}

/// A key behind the path of its table, quoted where TOML wants quotes.
pub(super) fn join(path: &str, key: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let shown = printable(key, SHOWN);
    let quoted =
        if !key.is_empty() && key.bytes().all(bare) { shown } else { format!("\"{shown}\"") };
    if path.is_empty() { quoted } else { format!("{path}.{quoted}") }
}

/// A file's own words, fit for a message.
pub(super) fn shown(text: &str) -> String {
    printable(text, SHOWN)
}

fn tables(nodes: &[Node]) -> bool {
    nodes.iter().all(|n| matches!(n.value, Value::Table(_)))
}

fn table(table: DeTable<'_>, file: usize) -> Table {
    let entry = |(key, value): (Spanned<_>, _)| {
        let at = At { file, offset: key.span().start };
        (String::from(key.into_inner()), Entry { at, node: node(value, file) })
    };
    table.into_iter().map(entry).collect()
}

fn node(spanned: Spanned<DeValue<'_>>, file: usize) -> Node {
    let at = At { file, offset: spanned.span().start };
    let value = match spanned.into_inner() {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Integer(integer) => Value::Integer {
            text: integer.to_string(),
            value: i64::from_str_radix(integer.as_str(), integer.radix()).ok(),
        },
        DeValue::Float(float) => Value::Float(float.to_string()),
        DeValue::Boolean(boolean) => Value::Boolean(boolean),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(array) => Value::Array(array.into_iter().map(|v| node(v, file)).collect()),
        DeValue::Table(inner) => Value::Table(table(inner, file)),
    };
    Node { at, value }
}

fn line_around(text: &str, offset: usize) -> &str {
    let bytes = text.as_bytes();
    let start = bytes.iter().take(offset).rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let end = bytes.iter().skip(start).position(|b| *b == b'\n').map_or(text.len(), |i| start + i);
    text.get(start..end).unwrap_or_default()
}

fn syntax_fault(message: &str, line: &str) -> Fault {
    let fault = Fault::new(message);
    let line = line.trim();
    if line.starts_with('[') && !line.contains('=') {
        return fault
            .hint("a section begins with `[ssh]`, each entry of a list with `[[backend]]`");
    }
    match line.split_once('=') {
        None => fault.hint("a setting is written `KEY = VALUE`, for instance `wait = \"120s\"`"),
        Some((key, value)) => {
            let (key, value) = (key.trim(), value.split('#').next().unwrap_or("").trim());
            let bare = value.trim_matches(['"', '\'', '“', '”', '„', '‘', '’']);
            if bare.is_empty() || bare.starts_with(['[', '{']) || bare.contains(['"', '\'', '\\']) {
                return fault;
            }
            fault.hint(format!(
                "text is written in straight quotes: `{} = \"{}\"`",
                shown(key),
                shown(bare)
            ))
        }
    }
}
