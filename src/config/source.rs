//! The files of a configuration, positions in them, and the mistakes found there.

use std::cell::{Cell, RefCell};

use super::problem::{Fault, Problem};

/// Most mistakes that are reported: a file with more is not a configuration.
const MAX_PROBLEMS: usize = 500;

/// A place: byte `offset` of file number `file`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) file: usize,
    pub(super) offset: usize,
}

/// The files that were read.
#[derive(Debug, Default)]
pub(super) struct Sources(Vec<Source>);

#[derive(Debug)]
struct Source {
    name: String,
    /// `None`: it could not be read.
    text: Option<String>,
    line_starts: Vec<usize>,
}

impl Sources {
    /// Number of the file that is added next.
    pub(super) fn next(&self) -> usize {
        self.0.len()
    }

    /// Adds a file, with its text if it could be read.
    pub(super) fn add(&mut self, name: String, text: Option<String>) {
        let newlines = text.iter().flat_map(|t| t.match_indices('\n'));
        let line_starts = std::iter::once(0).chain(newlines.map(|(i, _)| i + 1)).collect();
        self.0.push(Source { name, text, line_starts });
    }

    /// File and line of a place.
    pub(super) fn place(&self, at: At) -> (String, usize) {
        let (name, line, _) = self.position(at);
        (name.to_owned(), line)
    }

    /// `FILE:LINE` of a place.
    pub(super) fn line_of(&self, at: At) -> String {
        let (name, line, _) = self.position(at);
        format!("{name}:{line}")
    }

    /// The mistakes in file order, with their positions.
    pub(super) fn resolve(&self, sink: Sink) -> Vec<Problem> {
        let mut found = sink.found.into_inner();
        found.sort_by_key(|f| f.at);
        let count = found.len();
        let shown = found.into_iter().take(MAX_PROBLEMS);
        let mut problems: Vec<_> = shown.map(|f| self.problem(f)).collect();
        if let Some(last) = problems.last_mut().filter(|_| count > MAX_PROBLEMS) {
            last.hints.push(format!("{} more problems are not shown", count - MAX_PROBLEMS));
        }
        problems
    }

    fn problem(&self, Found { at, key, fault }: Found) -> Problem {
        let (file, line, column) = self.position(at);
        let Fault { message, hints } = fault;
        Problem { file: file.to_owned(), line, column, key, message, hints }
    }

    fn position(&self, at: At) -> (&str, usize, usize) {
        let Some(source) = self.0.get(at.file) else { return ("", 0, 0) };
        let Some(text) = &source.text else { return (&source.name, 0, 0) };
        let line = source.line_starts.partition_point(|start| *start <= at.offset);
        let start = source.line_starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = text.as_bytes().get(start..at.offset.min(text.len())).unwrap_or_default();
        // Every byte but a continuation byte begins a character.
        let column = before.iter().filter(|b| **b & 0xc0 != 0x80).count() + 1;
        (&source.name, line, column)
    }
}

/// A mistake was reported, and the value is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told;

/// Collects mistakes while the tree is read.
#[derive(Debug, Default)]
pub(super) struct Sink {
    found: RefCell<Vec<Found>>,
    partial: Cell<bool>,
}

#[derive(Debug)]
struct Found {
    at: At,
    key: String,
    fault: Fault,
}

impl Sink {
    /// Adds a mistake.
    pub(super) fn add(&self, at: At, key: impl Into<String>, fault: Fault) -> Told {
        self.found.borrow_mut().push(Found { at, key: key.into(), fault });
        Told
    }

    /// Adds that something is missing; forgotten when a file could not be understood, for it may
    /// be there.
    pub(super) fn missing(&self, at: At, key: impl Into<String>, fault: Fault) -> Told {
        if self.partial.get() { Told } else { self.add(at, key, fault) }
    }

    /// From here on, part of the configuration is unknown.
    pub(super) fn mark_partial(&self) {
        self.partial.set(true);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }
}
