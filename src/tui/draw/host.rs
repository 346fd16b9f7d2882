//! The page of a host: everything about it at once.

use unicode_width::UnicodeWidthStr;

use super::{
    bar, latest,
    lines::{aligned, flow, padded},
    page::Text,
    panel::{
        INDENT, LABEL, Wide, columns, fields, half, piece, problems, records, resource, section,
        words,
    },
};
use crate::tui::{
    keymap::Tab,
    state::{Answer, State},
    table::{Row, Value},
    theme::Role,
};

/// What `backend info` says that is seen elsewhere on the page.
const SEEN: [&str; 7] = ["Name", "Pool", "Presence", "Incus", "CPUs", "Memory", "Containers"];

/// Cells of the bars of a container.
const BARS: std::ops::RangeInclusive<usize> = 5..=12;

/// All lines of the page, for so many cells.
pub(super) fn lines(state: &State, name: &str, answer: &Answer, room: usize) -> Vec<Text> {
    let rows = state.facts.rows.get(&Tab::Hosts);
    let row = rows.into_iter().flatten().find(|row| row.id == name);
    let mut lines = row.map(|row| present(state, row, room)).unwrap_or_default();
    let problems = problems(answer.said.as_ref(), room);
    if !problems.is_empty() {
        lines.extend(problems);
        lines.push(Text::new());
    }
    let report = answer.said.as_ref().and_then(|said| said.as_ref().ok());
    let about = fields(report, |field| !SEEN.contains(&field.label));
    // Its events tell it by name in their text.
    let is_told = |cells: &[String]| {
        let text = cells.last().map_or("", String::as_str);
        text.split(|c: char| !(c.is_alphanumeric() || "-_.".contains(c))).any(|word| word == name)
    };
    let incidents = records(answer.ledger.as_ref(), is_told);
    let (about, incidents) = (section("About", about), section("Incidents", incidents));
    let cells = half(room).unwrap_or(room).saturating_sub(INDENT);
    let containers = section("Containers", containers(state, name, cells));
    lines.extend(columns([containers, about], [incidents, Vec::new()], room));
    lines
}

/// The container that this line of the page is about, if this cell belongs to it.
pub(super) fn container_at<'a>(
    state: &'a State,
    name: &str,
    line: &[(String, Role)],
    (cell, room): (usize, usize),
) -> Option<&'a str> {
    // Nothing else on the page begins with the name of a container behind a section's indentation.
    let (first, _) = line.get(1)?;
    let is_beside = half(room).is_some_and(|cells| cell >= cells);
    let mut ids = on(state, name).map(|row| row.id.as_str());
    ids.find(|id| *id == first.trim_end()).filter(|_| !is_beside)
}

fn present(state: &State, row: &Row, room: usize) -> Vec<Text> {
    let cell = |i: usize| row.cells.get(i);
    let wide = Wide::of(room);
    // The columns of the list.
    let summary = [
        words("", cell(1), ""),
        words("in pool ", cell(2), ""),
        words("with ", cell(4), " processors"),
        words("Incus ", cell(8), ""),
    ];
    let used = |label, i| cell(i).map(|value| resource(label, value, &[], (wide, state.look)));
    let beat = cell(7).filter(|value| value.text != "-").map(|value| {
        let seen = latest(&value.text, room.saturating_sub(LABEL));
        vec![(format!("{:<LABEL$}", "Beats"), Role::Faint), (seen.to_owned(), value.role)]
    });
    let rest = [Some(Text::new()), used("Memory", 5), used("Disk", 6), beat, Some(Text::new())];
    flow(summary, room).into_iter().chain(rest.into_iter().flatten()).collect()
}

/// The containers on it, a line each: name, state, and what it uses, with bars where there is room.
fn containers(state: &State, name: &str, cells: usize) -> Vec<Text> {
    // The columns of the list.
    const COLUMNS: [usize; 5] = [0, 2, 5, 6, 7];
    let value = |row: &Row, i: usize| row.cells.get(i).map_or(0, |value| value.text.width());
    let widest = |i: usize| on(state, name).map(|row| value(row, i)).max().unwrap_or(0);
    let texts: usize = COLUMNS.iter().map(|i| widest(*i) + 2).sum();
    // One blank behind each of three bars.
    let length = (cells.saturating_sub(texts) / 3).saturating_sub(1);
    let length = if length < *BARS.start() { 0 } else { length.min(*BARS.end()) };
    let cell = |i: usize, value: &Value| match i {
        0 | 2 => piece(value),
        _ => {
            let cells = u16::try_from(length).unwrap_or(u16::MAX);
            let bar = value.share.map(|share| bar(share, cells, state.look)).unwrap_or_default();
            let bar = if length == 0 { bar } else { padded(&bar, length + 1) };
            let blanks = " ".repeat(widest(i).saturating_sub(value.text.width()));
            (format!("{bar}{blanks}{}", value.text), value.role)
        }
    };
    let line = |row: &Row| {
        COLUMNS.iter().filter_map(|i| row.cells.get(*i).map(|value| cell(*i, value))).collect()
    };
    aligned(on(state, name).map(line).collect())
}

fn on<'a>(state: &'a State, name: &str) -> impl Iterator<Item = &'a Row> {
    let rows = state.facts.rows.get(&Tab::Containers).into_iter().flatten();
    rows.map(AsRef::as_ref)
        .filter(move |row: &&Row| row.cells.get(3).is_some_and(|host| host.text == name))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use jiff::Timestamp;

    use super::*;
    use crate::{
        command::{
            report::{Field, Part, Report, Table},
            terminal::Size,
        },
        tui::{state::Facts, table::Value, theme::Look},
    };

    fn state() -> State {
        let value = |text: &str| Value::new(text, Role::Text);
        let row =
            |id: &str, cells: &[&str]| Row::new(id, cells.iter().map(|text| value(text)).collect());
        let host =
            ["b1", "up 3h", "default", "2", "4", "7GiB/24GiB", "1GiB/20GiB", "▁▁▂▲", "6.0.4"];
        let on = |name: &str, host: &str| {
            row(name, &[name, "owner", "running", host, "-", "5%", "1GiB", "2GiB", "-", "1d"])
        };
        let rows = BTreeMap::from([
            (Tab::Hosts, vec![row("b1", &host)].into()),
            (Tab::Containers, vec![on("alice", "b1"), on("bob", "b10")].into()),
        ]);
        let look = Look { colour: true, ascii: false };
        let mut state = State::new(Size { columns: 80, rows: 24 }, look, Timestamp::UNIX_EPOCH);
        state.facts = Arc::new(Facts { rows, ..Facts::default() });
        state
    }

    #[test]
    fn health_room_incidents_and_containers_are_on_one_page() {
        let event = |text: &str| {
            ["1", "2027-01-15 07:59:01", "host", "", "", "", text].map(str::to_owned).to_vec()
        };
        let table = Table { columns: &[], rows: vec![event("b1 is down"), event("b10 is down")] };
        let fields = vec![Field::one("Pool", "default"), Field::one("Recovery", "none needed")];
        let report = |part| Some(Ok(Arc::new(Report::default().part(part))));
        let (said, ledger) = (report(Part::Fields(fields)), report(Part::Table(table)));
        let answer = Answer { said, ledger, top: 0 };
        let text = |room| {
            let lines = lines(&state(), "b1", &answer, room).into_iter();
            let text = |line: Text| line.into_iter().map(|(text, _)| text).collect::<String>();
            lines.map(|line| text(line).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
        };
        let page = text(76);
        for part in [
            "up 3h  in pool default  with 4 processors  Incus 6.0.4",
            "7GiB/24GiB",
            "Beats   ▁▁▂▲",
            "Incidents\n  01-15 07:59  host    b1 is down\n\n",
            "Containers\n  alice  running",
            "About\n  Recovery  none needed",
        ] {
            assert!(page.contains(part), "{part}:\n{page}");
        }
        assert!(!page.contains("bob") && !page.contains("b10"), "{page}");
        let wide = text(196);
        let beside = |line: &str| line.contains("Containers") && line.contains("Incidents");
        assert!(wide.lines().any(beside), "{wide}");
        assert!(lines(&state(), "gone", &Answer::default(), 76).len() > 1);
    }
}
