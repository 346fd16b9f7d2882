//! The page of a host: everything about it at once.

use super::{
    page::Text,
    panel::{Wide, aligned, columns, fields, piece, problems, records, resource, section, words},
};
use crate::tui::{
    keymap::Tab,
    state::{Answer, State},
    table::Row,
    theme::Role,
};

/// What `backend info` says that is seen elsewhere on the page.
const SEEN: [&str; 7] = ["Name", "Pool", "Presence", "Incus", "CPUs", "Memory", "Containers"];

/// All lines of the page, for so many cells.
pub(super) fn lines(state: &State, name: &str, answer: &Answer, room: usize) -> Vec<Text> {
    let rows = state.facts.rows.get(&Tab::Hosts);
    let row = rows.into_iter().flatten().find(|row| row.id == name);
    let mut lines = row.map(|row| present(state, row, room)).unwrap_or_default();
    let problems = problems(answer.said.as_ref());
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
    let containers = section("Containers", containers(state, name));
    lines.extend(columns([containers, about], [incidents, Vec::new()], room));
    lines
}

fn present(state: &State, row: &Row, room: usize) -> Vec<Text> {
    let cell = |i: usize| row.cells.get(i);
    let wide = Wide::of(room);
    // The columns of the list.
    let summary = [
        words("", cell(1), ""),
        words("  in pool ", cell(2), ""),
        words("  with ", cell(4), " processors"),
        words("  Incus ", cell(8), ""),
    ];
    let bar = |label, i| cell(i).map(|value| resource(label, value, &[], (wide, state.look)));
    let beat = cell(7)
        .filter(|value| value.text != "-")
        .map(|value| vec![("Beats   ".to_owned(), Role::Faint), piece(value)]);
    [Some(summary.concat()), Some(Text::new()), bar("Memory", 5), bar("Disk", 6), beat]
        .into_iter()
        .flatten()
        .chain([Text::new()])
        .collect()
}

/// The containers on it, a line each.
fn containers(state: &State, name: &str) -> Vec<Text> {
    let rows = state.facts.rows.get(&Tab::Containers).into_iter().flatten();
    let here = rows.filter(|row| row.cells.get(3).is_some_and(|host| host.text == name));
    let cells =
        |row: &Row| [0, 2, 5, 6, 7].iter().filter_map(|i| row.cells.get(*i)).map(piece).collect();
    aligned(here.map(cells).collect())
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
        let row = |id: &str, cells: &[&str]| Row {
            id: id.to_owned(),
            cells: cells.iter().map(|text| value(text)).collect(),
        };
        let host =
            ["b1", "up 3h", "default", "2", "4", "7GiB/24GiB", "1GiB/20GiB", "▁▁▂▲", "6.0.4"];
        let on = |name: &str, host: &str| {
            row(name, &[name, "owner", "running", host, "-", "5%", "1GiB", "2GiB", "-", "1d"])
        };
        let rows = BTreeMap::from([
            (Tab::Hosts, vec![row("b1", &host)]),
            (Tab::Containers, vec![on("alice", "b1"), on("bob", "b10")]),
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
