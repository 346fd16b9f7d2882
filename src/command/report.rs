//! What a command has to say, as data. Commands build it; `render` makes text of it, the TUI rows.

use serde::Serialize;
use serde_json::Value;

use super::failure::{Failure, Kind};

/// The result of a command.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// What people see, part after part.
    pub parts: Vec<Part>,
    /// What `--json` prints.
    pub json: Value,
    /// What `-q` prints, one a line.
    pub names: Vec<String>,
    /// Remarks for standard error; not with `--json` or `-q`.
    pub notes: Vec<String>,
    /// Exit status of a program that the command ran; else 0.
    pub status: u8,
}

/// One part of what people see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Rows under column headings. Without rows it shows nothing.
    Table(Table),
    /// Labelled values.
    Fields(Vec<Field>),
    /// Text of ours, printed as it is.
    Text(String),
}

/// Rows under column headings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Headings.
    pub columns: &'static [&'static str],
    /// Rows, each as long as `columns`. Cells may be untrusted text.
    pub rows: Vec<Vec<String>>,
}

/// A label and its values, one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The label, without colon.
    pub label: &'static str,
    /// The values; may be untrusted text. Without any the field shows nothing.
    pub values: Vec<String>,
}

impl Report {
    /// A report with what `--json` shows of it.
    ///
    /// # Errors
    /// `value` does not serialize: a bug, as the commands' values are plain data.
    pub fn of(value: impl Serialize) -> Result<Self, Failure> {
        let json = serde_json::to_value(value)
            .map_err(|e| Failure::new(Kind::Failed, format!("cannot serialize the result: {e}")))?;
        Ok(Self { json, ..Self::default() })
    }

    /// The same with one more part.
    #[must_use]
    pub fn part(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// The same with these names.
    #[must_use]
    pub fn names(self, names: Vec<String>) -> Self {
        Self { names, ..self }
    }

    /// The same with one more remark.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

impl Field {
    /// A field with one value.
    pub fn one(label: &'static str, value: impl Into<String>) -> Self {
        Self { label, values: vec![value.into()] }
    }

    /// A field with any number of values.
    #[must_use]
    pub fn many(label: &'static str, values: Vec<String>) -> Self {
        Self { label, values }
    }
}
