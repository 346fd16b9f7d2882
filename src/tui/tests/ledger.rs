//! Lists whose newest rows come from the ledger: what is done to them, and how they are followed.

use super::*;
use crate::{
    command::report::{Part, Report},
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
