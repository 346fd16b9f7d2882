//! Lists whose newest rows come from the ledger: what is done to them, and how they are followed.

use std::ops::Range;

use super::*;
use crate::{
    command::{
        failure::{Failure, Kind},
        report::{Part, Report, Table},
    },
    tui::{
        keymap::{Deed, Tab},
        state::{Dialogue, Page},
    },
};

fn ask(line: &str) -> Vec<Action> {
    vec![Action::Ask(line.split(' ').map(str::to_owned).collect())]
}

/// Somebody who looks at a screen, and was told what it asks for.
fn at(key: &str) -> Person {
    let mut person = Person::new(SMALL, UNICODE);
    person.keys(key);
    person.hear();
    person
}

impl Person {
    /// Filters the list, and stays at the first row that is left.
    fn only(&mut self, words: &str) {
        self.keys(&format!("/{words}\n"));
    }

    /// What is said at the bottom.
    fn remark(&self) -> &str {
        self.state.remark.as_ref().map_or("", |remark| &remark.text)
    }

    /// The ids of the rows that are shown, in order.
    fn ids(&self) -> String {
        let table = &self.state.tables[&self.state.tab];
        table.visible().map(|(_, row)| row.id.as_str()).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn who_is_banned_stands_first_and_who_was_refused_behind_the_newest_first() {
    let mut person = Person::new(SMALL, UNICODE);
    person.keys("4");
    assert_eq!(person.due, ask("audit --kind refused --limit 200"));
    person.hear();
    let bans = "203.0.113.9 198.51.100.0/24 2001:db8:bad::/64";
    assert_eq!(person.ids(), format!("{bans} 47 42 40 38 31"));
    // Bans that come and go leave the others where they are.
    person.see(Event::Facts(Arc::default()));
    assert_eq!(person.ids(), "47 42 40 38 31");
    person.only("refused root");
    assert_eq!(person.ids(), "40 31");
}

#[test]
fn a_refused_connection_is_opened_and_asked_about_by_its_source() {
    let mut person = at("4");
    person.only("bob@old-laptop");
    person.keys("\n");
    assert!(matches!(person.state.pages.last(), Some(Page::Row(Tab::Guard, _))));
    for told in ["Guard › record 47", "ATTEMPTS  12", "CLIENT    SSH-2.0-PuTTY_0.81"] {
        assert!(person.reads(told), "{told}");
    }
    person.press(Code::Esc);
    person.keys("y");
    assert_eq!(person.due, ask("ban why 192.0.2.33"));
    assert!(person.reads("Guard › ban why 192.0.2.33"));
}

#[test]
fn lifting_finds_the_ban_that_keeps_a_source_out_or_says_that_there_is_none() {
    let mut person = at("4");
    person.only("bob@old-laptop");
    person.keys("x");
    assert_eq!((person.remark(), &person.state.dialogue), ("192.0.2.33 is not banned", &None));
    person.press(Code::Esc);
    person.only("oracle");
    person.keys("x");
    let Some(Dialogue::Confirm(confirm)) = &person.state.dialogue else { panic!("not asked") };
    assert_eq!((confirm.deed, confirm.ids.join(" ").as_str()), (Deed::Lift, "203.0.113.9"));
    person.keys("\n");
    let run = "ban remove 203.0.113.9".split(' ').map(str::to_owned).collect();
    assert_eq!(person.due, [Action::Run(1, run)]);
}

/// Records came, up to this number.
fn come(person: &mut Person, last: i64) {
    let words = "audit --limit 200".split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut report = Report::clone(&fleet::answer(&words).unwrap());
    let Some(Part::Table(table)) = report.parts.first_mut() else { panic!("no table") };
    for id in 47..=last {
        report.names.push(id.to_string());
        table.rows.push(table.rows[0].clone());
    }
    person.see(Event::Answered(words, Ok(Arc::new(report))));
}

fn here(person: &Person) -> &str {
    &person.state.tables[&person.state.tab].here().unwrap().id
}

#[test]
fn the_ledger_is_followed_from_its_first_row_and_by_f() {
    let mut person = at("5");
    assert!(here(&person) == "46" && person.reads("  following, 6"));
    come(&mut person, 47);
    assert!(here(&person) == "47" && person.reads("  following, 7"));
    person.keys("j");
    come(&mut person, 48);
    assert!(here(&person) == "46" && !person.reads("following"));
    person.press(Code::Home);
    assert!(person.reads("following"));
    person.keys("f");
    come(&mut person, 49);
    assert!(here(&person) == "48" && !person.reads("following"));
    person.keys("jjf");
    assert!(here(&person) == "49" && person.reads("following"));
    // Entered anew; a page above it and back is not that.
    person.keys("j\n5");
    assert!(here(&person) == "48" && !person.reads("following"));
    person.keys("45");
    assert!(here(&person) == "49" && person.reads("following"));
    person.keys("1f");
    assert!(!person.reads("following"), "containers are not");
}

/// So many records are asked for, and those before this one are told.
fn older(person: &mut Person, asked: &str, ids: Range<i64>) {
    assert_eq!(person.due, ask(&format!("audit --limit {asked}")));
    tell(person, asked, ids);
}

fn tell(person: &mut Person, asked: &str, ids: Range<i64>) {
    let words = format!("audit --limit {asked}").split(' ').map(str::to_owned).collect();
    let cells = |id: i64| vec![id.to_string(), format!("at {id}"), format!("kind-{id}")];
    let names = ids.clone().map(|id| id.to_string()).collect();
    let table = Table { columns: &[], rows: ids.map(cells).collect() };
    let report = Report::default().part(Part::Table(table)).names(names);
    person.see(Event::Answered(words, Ok(Arc::new(report))));
}

#[test]
fn going_on_at_the_last_row_loads_older_ones_until_there_are_none() {
    let mut person = Person::new(SMALL, UNICODE);
    person.keys("5");
    older(&mut person, "200", 9800..10_000);
    assert!(person.reads("following, 200+"));
    person.press(Code::End);
    assert_eq!((person.due.len(), here(&person)), (0, "9800"));
    assert_eq!(person.remark(), "these are of the newest 200; End loads older");
    person.keys("j");
    older(&mut person, "400", 9600..10_000);
    assert!(here(&person) == "9800" && person.reads(" 400+"), "one stays where one was");
    person.press(Code::End);
    person.press(Code::PageDown);
    // Nothing else is asked for meanwhile, and then there are no more.
    let due = std::mem::take(&mut person.due);
    person.press(Code::End);
    assert_eq!(person.due, []);
    person.due = due;
    older(&mut person, "800", 9488..10_000);
    assert!(person.reads(" 512") && !person.reads("512+"));
    person.press(Code::End);
    person.press(Code::End);
    assert_eq!((person.due.len(), here(&person)), (0, "9488"));
    // What comes is told without them.
    tell(&mut person, "200", 9810..10_010);
    assert!(here(&person) == "9488" && person.reads(" 522"));
    person.press(Code::Home);
    assert_eq!(here(&person), "10009");
    // On the first screen they are forgotten.
    person.press(Code::Esc);
    person.keys("5");
    assert!(person.due == ask("audit --limit 200") && person.reads("200+"));
}

#[test]
fn older_ones_are_given_up_where_there_would_be_a_gap_and_asked_for_again_after_a_failure() {
    let mut person = Person::new(SMALL, UNICODE);
    person.keys("5");
    older(&mut person, "200", 9800..10_000);
    person.press(Code::End);
    person.press(Code::End);
    let words = "audit --limit 400".split(' ').map(str::to_owned).collect();
    let failure = Failure::new(Kind::Unavailable, "not now");
    person.see(Event::Answered(words, Err(failure)));
    assert!(person.reads("audit --limit 400: not now") && person.reads(" 200+"));
    person.press(Code::End);
    older(&mut person, "400", 9600..10_000);
    assert!(person.reads(" 400+"));
    tell(&mut person, "200", 10_000..10_200);
    assert!(person.reads(" 200+") && !person.reads(" 400+"));
}

#[test]
fn a_filter_that_finds_nothing_reaches_older_records_up_to_a_bound() {
    let mut person = Person::new(SMALL, UNICODE);
    person.keys("5");
    older(&mut person, "200", 9800..10_000);
    person.only("kind-9700");
    assert!(person.reads("none of 200 has \"kind-9700\"; End loads older, Esc shows all"));
    person.press(Code::End);
    older(&mut person, "400", 9600..10_000);
    assert!(person.reads("1 of 400+"));
    for (limit, first) in [("800", 9200), ("1600", 8400), ("3200", 6800), ("5000", 5000)] {
        person.press(Code::End);
        older(&mut person, limit, first..10_000);
    }
    person.press(Code::End);
    assert_eq!(person.due, []);
    let bound = "no more than 5000 are shown; `:audit --until TIME` tells older ones";
    assert_eq!(person.remark(), bound);
}
