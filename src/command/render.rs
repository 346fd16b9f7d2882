//! Reports and failures as plain text or JSON: aligned, without colour or cursor movement. Pure.
//!
//! Every cell, value, name and message goes through [`printable`], so untrusted text in a report
//! cannot steer a terminal. JSON is plain ASCII for the same reason.

use std::fmt::Write as _;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::{
    failure::Failure,
    report::{Field, Part, Report, Table},
};
use crate::model::text::printable;

/// Longest value shown to people, in characters: a fingerprint with a comment is about 130.
const MAX_VALUE: usize = 256;

/// Longest message, in characters: some lines on any terminal.
const MAX_MESSAGE: usize = 1024;

/// How a report is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Plain,
    /// Names only (`-q`).
    Quiet,
    /// One JSON value (`--json`).
    Json,
}

/// What a command leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Bytes for standard output.
    pub stdout: String,
    /// Bytes for standard error.
    pub stderr: String,
    /// Exit status.
    pub status: u8,
}

/// Renders the result of a command.
#[must_use]
pub fn outcome(result: &Result<Report, Failure>, format: Format) -> Outcome {
    match result {
        Ok(report) => success(report, format),
        Err(failure) => self::failure(failure, format),
    }
}

/// One `error:` line and at most one `hint:` line, or the JSON form of both on standard output.
#[must_use]
pub fn failure(failure: &Failure, format: Format) -> Outcome {
    let status = failure.kind.status();
    match format {
        Format::Json => {
            let mut error = json!({ "code": failure.kind.code(), "message": failure.message });
            if let (Some(hint), Value::Object(fields)) = (&failure.hint, &mut error) {
                fields.insert("hint".to_owned(), json!(hint));
            }
            let stdout = ascii_json(&json!({ "error": error }));
            Outcome { stdout, stderr: String::new(), status }
        }
        Format::Plain | Format::Quiet => {
            let mut stderr = format!("error: {}\n", printable(&failure.message, MAX_MESSAGE));
            if let Some(hint) = &failure.hint {
                let _ = writeln!(stderr, "hint: {}", printable(hint, MAX_MESSAGE));
            }
            Outcome { stdout: String::new(), stderr, status }
        }
    }
}

fn success(report: &Report, format: Format) -> Outcome {
    let (mut stdout, mut stderr) = (String::new(), String::new());
    match format {
        Format::Json => stdout = ascii_json(&report.json),
        Format::Quiet => {
            for name in &report.names {
                let _ = writeln!(stdout, "{}", printable(name, MAX_VALUE));
            }
        }
        Format::Plain => {
            let parts = report.parts.iter().map(part).filter(|text| !text.is_empty());
            stdout = parts.collect::<Vec<_>>().join("\n");
            for note in &report.notes {
                let _ = writeln!(stderr, "note: {}", printable(note, MAX_MESSAGE));
            }
        }
    }
    Outcome { stdout, stderr, status: report.status }
}

fn part(part: &Part) -> String {
    match part {
        Part::Table(table) => self::table(table),
        Part::Fields(fields) => self::fields(fields),
        Part::Text(text) if text.is_empty() || text.ends_with('\n') => text.clone(),
        Part::Text(text) => format!("{text}\n"),
    }
}

fn table(table: &Table) -> String {
    if table.rows.is_empty() {
        return String::new();
    }
    let heading = table.columns.iter().map(|c| (*c).to_owned()).collect();
    let shown = |row: &Vec<String>| row.iter().map(|c| cell(c)).collect::<Vec<_>>();
    let lines: Vec<Vec<String>> =
        std::iter::once(heading).chain(table.rows.iter().map(shown)).collect();
    let width = |i: usize| lines.iter().filter_map(|l| l.get(i)).map(|c| c.width()).max();
    let widths: Vec<usize> = (0..table.columns.len()).map(|i| width(i).unwrap_or(0)).collect();
    let mut out = String::new();
    for line in &lines {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            text.push_str(&padded(cell, width + 2));
        }
        let _ = writeln!(out, "{}", text.trim_end());
    }
    out
}

fn fields(fields: &[Field]) -> String {
    let shown = fields.iter().filter(|f| !f.values.is_empty());
    let width = shown.map(|f| f.label.width()).max().unwrap_or(0) + 3;
    let mut out = String::new();
    for field in fields {
        let mut label = format!("{}:", field.label);
        for value in &field.values {
            let line = format!("{}{}", padded(&label, width), cell(value));
            let _ = writeln!(out, "{}", line.trim_end());
            label.clear();
        }
    }
    out
}

fn cell(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { printable(text, MAX_VALUE) }
}

/// `text` and blanks up to `width` columns; `format!` would count characters instead.
fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// One line of JSON, for a command that prints many.
pub(super) fn json_line(value: &Value) -> String {
    ascii_json(value)
}

/// One line of JSON in which everything outside printable ASCII is a `\u` escape.
fn ascii_json(value: &Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        if c.is_ascii() && c != '\x7f' {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::failure::Kind;

    fn sample() -> Report {
        let rows = vec![
            vec!["alice".to_owned(), "running".to_owned()],
            vec!["漢字".to_owned(), "a\x1b[2Jb\n".to_owned()],
            vec!["bob".to_owned(), String::new()],
        ];
        Report { json: json!({"a": "ü\u{9b}𝄞\u{7f}"}), ..Report::default() }
            .part(Part::Fields(vec![
                Field::one("Name", "alice"),
                Field::many("Keys", vec!["one".to_owned(), "two".to_owned()]),
                Field::many("Problems", Vec::new()),
            ]))
            .part(Part::Table(Table { columns: &["NAME", "STATE"], rows }))
            .names(vec!["alice".to_owned(), "a\nb".to_owned()])
            .note("look\r\nhere")
    }

    #[test]
    fn plain_text_is_aligned_and_steers_no_terminal() {
        let Outcome { stdout, stderr, status } = outcome(&Ok(sample()), Format::Plain);
        let expected = "\
Name:  alice
Keys:  one
       two

NAME   STATE
alice  running
漢字   a\\u{1b}[2Jb\\u{a}
bob    -
";
        assert_eq!(stdout, expected);
        assert_eq!(stderr, "note: look\\u{d}\\u{a}here\n");
        assert_eq!(status, 0);
    }

    #[test]
    fn quiet_is_names_and_json_is_one_ascii_line() {
        let quiet = outcome(&Ok(sample()), Format::Quiet);
        assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("alice\na\\u{a}b\n", ""));
        let json = outcome(&Ok(sample()), Format::Json);
        assert_eq!(json.stdout, "{\"a\":\"\\u00fc\\u009b\\ud834\\udd1e\\u007f\"}\n");
        assert_eq!(serde_json::from_str::<Value>(&json.stdout).unwrap(), sample().json);
    }

    #[test]
    fn a_failure_is_one_line_and_a_hint_or_json() {
        let failure = Failure::new(Kind::NotFound, "no container named \"x\ny\"").hint("list");
        let plain = outcome(&Err(failure.clone()), Format::Quiet);
        assert_eq!(plain.stderr, "error: no container named \"x\\u{a}y\"\nhint: list\n");
        assert_eq!((plain.stdout.as_str(), plain.status), ("", 3));
        let json = outcome(&Err(failure), Format::Json);
        assert_eq!(
            json.stdout,
            "{\"error\":{\"code\":\"not_found\",\"hint\":\"list\",\
             \"message\":\"no container named \\\"x\\ny\\\"\"}}\n"
        );
        assert_eq!((json.stderr.as_str(), json.status), ("", 3));
    }
}
