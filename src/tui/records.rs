//! Records of the ledger, as rows of the screens that ask for them. Pure.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::{
    facts::REFUSED,
    keymap::Tab,
    table::{Row, Value},
    theme::Role,
};
use crate::{
    command::{
        report::{Part, Report},
        view::{age, short_time},
    },
    model::text::printable,
};

/// Longest text of a cell, in characters.
const MAX_CELL: usize = 300;

/// Longest name of something that is known of a record, in characters.
const MAX_NAME: usize = 24;

/// The rows of a report's table, the newest first.
#[must_use]
pub fn rows(tab: Tab, report: &Report, now: Timestamp) -> Vec<Row> {
    let tables = report.parts.iter().filter_map(|part| match part {
        Part::Table(table) => Some(table),
        Part::Fields(_) | Part::Text(_) => None,
    });
    let rows = tables.flat_map(|table| &table.rows).zip(&report.names).enumerate();
    let row = |(i, (cells, id)): (usize, (&Vec<String>, &String))| {
        // It has everything of each, in the same order.
        let record = &report.json[i];
        match tab {
            Tab::Sessions => Row::new(id, session(cells)),
            Tab::Guard => Row { full: full(cells, record), ..Row::new(id, refused(record, now)) },
            Tab::Ledger => Row { full: full(cells, record), ..Row::new(id, event(cells)) },
            Tab::Containers | Tab::Hosts => Row::new(id, Vec::new()),
        }
    };
    let mut rows: Vec<_> = rows.map(row).collect();
    rows.reverse();
    rows
}

fn shown(text: &str, role: Role) -> Value {
    Value::new(printable(text, MAX_CELL), role)
}

fn cell(cells: &[String], i: usize, role: Role) -> Value {
    shown(cells.get(i).map_or("", String::as_str), role)
}

/// When it was: a short form tells no year.
fn time(cells: &[String]) -> Value {
    let time = cell(cells, 1, Role::Faint);
    let short = short_time(&time.text);
    time.short(short)
}

/// A session that ended.
fn session(cells: &[String]) -> Vec<Value> {
    let plain = |i| cell(cells, i, Role::Text);
    let is_recorded = cells.last().is_some_and(|recordings| !recordings.is_empty());
    let state = if is_recorded { "recorded" } else { "ended" };
    let number = cells.first().and_then(|id| id.parse().ok()).unwrap_or(0.0);
    vec![
        plain(0).number(number),
        Value::new(state, Role::Faint),
        time(cells),
        plain(3),
        plain(4),
        plain(5),
    ]
}

/// Anything that was recorded.
fn event(cells: &[String]) -> Vec<Value> {
    let plain = |i| cell(cells, i, Role::Text);
    let role = cells.get(2).map_or(Role::Text, |kind| Role::of_record(kind));
    vec![time(cells), cell(cells, 2, role), plain(3), plain(5), plain(6)]
}

/// A connection that ended without a login, beside those who are banned.
fn refused(record: &Json, now: Timestamp) -> Vec<Value> {
    let or_none = |text: Option<&str>| match text {
        Some(text) => shown(text, Role::Text),
        None => Value::new("-", Role::Faint),
    };
    let detail = &record["detail"];
    vec![
        or_none(record["source"].as_str()),
        // Below the word, not the sign, of those who are banned.
        Value::new("  refused", Role::Text).number(REFUSED),
        when(record["at"].as_str().unwrap_or_default(), now),
        Value::new("-", Role::Faint),
        or_none(detail["login"].as_str()),
        shown(&why(detail), Role::Text),
        or_none(record["id"].as_i64().map(|id| id.to_string()).as_deref()),
        or_none(detail["client"].as_str()),
        or_none(record["key"].as_str()),
    ]
}

/// A row of the guard that was told a while ago says how long ago it is now.
pub fn age_again(row: &mut Row, now: Timestamp) {
    let at = row.full.iter().find(|(name, _)| name == TIME).map(|(_, at)| format!("{}Z", at.text));
    if let (Some(at), Some(cell)) = (at, row.cells.get_mut(WHEN)) {
        *cell = when(&at, now);
    }
}

/// How long ago that is.
#[expect(clippy::cast_precision_loss, reason = "sorting needs no more")]
fn when(at: &str, now: Timestamp) -> Value {
    let Ok(at) = at.parse::<Timestamp>() else { return Value::new("-", Role::Faint) };
    let seconds = now.duration_since(at).as_secs().max(0);
    Value::new(format!("{} ago", age(now, at)), Role::Faint).number(seconds as f64)
}

/// Why it was refused, in a line.
fn why(detail: &Json) -> String {
    let text = |key: &str| detail[key].as_str().unwrap_or_default();
    if let Some(more) = detail["more"].as_u64() {
        return format!("{more} more since {}", text("since"));
    }
    match detail["attempts"].as_u64() {
        None | Some(0) => text("reason").to_owned(),
        Some(1) => format!("1 try, {}", text("reason")),
        Some(tries) => format!("{tries} tries, {}", text("reason")),
    }
}

/// The place of what [`when`] tells among the columns of the guard.
const WHEN: usize = 2;

const TIME: &str = "TIME";

/// What stands above the rest of a record, and is in its columns: names as there, and places.
const COLUMNS: [(&str, usize); 6] =
    [(TIME, 1), ("KIND", 2), ("WHO", 3), ("FROM", 4), ("CONTAINER", 5), ("WHAT", 6)];

/// All of a record but what has parts, of which the columns tell the first.
fn full(cells: &[String], record: &Json) -> Arc<[(String, Value)]> {
    let named = |(name, i): (&str, usize)| {
        let role = if name == "KIND" {
            cells.get(i).map_or(Role::Text, |kind| Role::of_record(kind))
        } else {
            Role::Text
        };
        (name.to_owned(), cell(cells, i, role))
    };
    let more = ["session", "key"].into_iter().map(|name| (name, &record[name]));
    let detail = record["detail"].as_object().into_iter().flatten();
    let more = more.chain(detail.map(|(name, value)| (name.as_str(), value)));
    let told = more.filter_map(|(name, value)| {
        let text = match value {
            Json::String(text) => text.clone(),
            Json::Number(number) => number.to_string(),
            Json::Bool(is_so) => is_so.to_string(),
            Json::Null | Json::Array(_) | Json::Object(_) => return None,
        };
        let name = printable(name, MAX_NAME).replace('_', " ").to_uppercase();
        Some((name, shown(&text, Role::Text)))
    });
    let known = COLUMNS.into_iter().map(named).chain(told);
    known.filter(|(_, value)| !value.text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::command::report::Table;

    fn report(record: Json) -> Report {
        let row = ["42", "2026-11-23 05:10:00", "refused", "", "192.0.2.7", "", "as root: closed"];
        let table = Table { columns: &[], rows: vec![row.map(str::to_owned).to_vec()] };
        let json = Json::Array(vec![record]);
        Report { json, ..Report::default() }.part(Part::Table(table)).names(vec!["42".to_owned()])
    }

    fn texts(row: &Row) -> String {
        row.cells.iter().map(|value| value.text.as_str()).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn a_refused_connection_is_a_row_of_the_guard_and_has_all_of_its_record() {
        let detail = json!({
            "login": "root\u{1b}[2J", "attempts": 2, "client": "SSH-2.0-Go", "port": 40000,
            "reason": "closed", "counts": "failure", "list": ["not", "here"], "nothing": null,
        });
        let record = json!({
            "id": 42, "at": "2026-11-23T05:10:00Z", "kind": "refused", "session": 9,
            "source": "192.0.2.7", "key": "SHA256:abc", "detail": detail,
        });
        let now = "2026-11-23T07:10:00Z".parse().unwrap();
        let row = &rows(Tab::Guard, &report(record), now)[0];
        let cells = "192.0.2.7|  refused|2h ago|-|root\\u{1b}[2J|2 tries, closed|42|SSH-2.0-Go|\
            SHA256:abc";
        assert_eq!((row.id.as_str(), texts(row).as_str()), ("42", cells));
        let full: Vec<_> =
            row.full.iter().map(|(name, value)| format!("{name}={}", value.text)).collect();
        let expected = "TIME=2026-11-23 05:10:00|KIND=refused|FROM=192.0.2.7|WHAT=as root: closed|\
            SESSION=9|KEY=SHA256:abc|ATTEMPTS=2|CLIENT=SSH-2.0-Go|COUNTS=failure|\
            LOGIN=root\\u{1b}[2J|PORT=40000|REASON=closed";
        assert_eq!(full.join("|"), expected);
        let mut row = row.clone();
        age_again(&mut row, "2026-11-24T07:10:00Z".parse().unwrap());
        assert_eq!((row.cells[2].text.as_str(), row.cells[2].number), ("1d ago", Some(93_600.0)));
    }

    #[test]
    fn what_was_counted_alone_and_what_says_nothing_are_rows_too() {
        let detail = json!({ "more": 14, "since": "2026-11-23T05:10:00Z" });
        let more = json!({ "id": 42, "detail": detail });
        for (record, expected) in [
            (more, "-|  refused|-|-|-|14 more since 2026-11-23T05:10:00Z|42|-|-"),
            (Json::Null, "-|  refused|-|-|-||-|-|-"),
        ] {
            let rows = rows(Tab::Guard, &report(record), Timestamp::UNIX_EPOCH);
            assert_eq!(texts(&rows[0]), expected);
        }
    }
}
