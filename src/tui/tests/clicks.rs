//! What is seen is what is clicked on.

use super::*;
use crate::tui::{
    input::{Act, Mouse},
    keymap::{Place, Tab, bindings},
    state::{Dialogue, Page},
    table::Sort,
};

impl Person {
    /// A click on the first cell of this text, `right` cells further.
    fn click(&mut self, text: &str, right: u16) {
        let lines = lines(&self.drawn().0);
        let found = lines.iter().enumerate().find_map(|(y, line)| Some((y, line.find(text)?)));
        let (y, at) = found.unwrap_or_else(|| panic!("no {text:?} in {}", lines.join("\n")));
        let column = lines[y][..at].chars().count();
        let [column, row] = [column, y].map(|n| u16::try_from(n).unwrap());
        let mouse = Mouse { act: Act::Press, column: column + right, row };
        self.see(Event::Input(Input::Mouse(mouse)));
    }

    /// The command of the form that is open.
    fn said(&self) -> String {
        match &self.state.dialogue {
            Some(Dialogue::Form(form)) => form.words().join(" "),
            other => panic!("no form: {other:?}"),
        }
    }
}

fn run(line: &str) -> Vec<Action> {
    vec![Action::Run(1, line.split(' ').map(str::to_owned).collect())]
}

#[test]
fn names_of_screens_headings_rows_and_keys_are_clicked() {
    let mut person = Person::new(SMALL, UNICODE);
    person.click("2 Hosts", 0);
    assert_eq!(person.state.tab, Tab::Hosts);
    person.click("1 Containers", 0);
    person.click("STATE", 2);
    let table = &person.state.tables[&Tab::Containers];
    assert_eq!(table.sort(), Some(Sort { column: 2, down: false }));
    person.click("carol", 0);
    assert!(person.state.pages.is_empty(), "once goes there");
    person.click("carol", 0);
    assert!(person.reads("Containers › carol"), "twice opens it");
    person.click("Esc back", 0);
    person.click("c create", 3);
    assert_eq!(person.said(), "create");
}

#[test]
fn rows_below_headings_are_clicked_and_headings_are_not() {
    let mut person = Person::new(SMALL, UNICODE);
    person.keys("v");
    person.click("build-arm", 0);
    assert!(person.reads("▸ build-arm"));
    for heading in ["forge 4 ", "tank-1 10 "] {
        person.click(heading, 0);
        assert!(person.reads("▸ build-arm") && person.state.pages.is_empty(), "{heading}");
    }
    person.click("anna-thesis", 0);
    person.click("anna-thesis", 0);
    assert!(person.reads("Containers › anna-thesis"));
}

#[test]
fn what_pages_list_is_clicked() {
    let mut person = Person::new(Size { columns: 200, rows: 20 }, UNICODE);
    for line in ["start bob", "stop carol"] {
        person.keys(&format!(":{line}\n"));
    }
    person.keys("w");
    let pages = person.state.pages.clone();
    person.click("0s  start bob", 0);
    assert_eq!((&person.state.pages, person.state.at), (&pages, Some(1)), "once goes there");
    person.click("0s  start bob", 60);
    assert_eq!(person.state.pages.last(), Some(&Page::Work(1)), "twice opens it");
    person.press(Code::Esc);
    person.see(Event::Input(Input::Mouse(Mouse { act: Act::Press, column: 3, row: 15 })));
    assert_eq!(person.state.pages, pages, "nothing is there");

    let mut person = Person::new(Size { columns: 200, rows: 20 }, UNICODE);
    person.keys("2\n");
    person.hear();
    let pages = person.state.pages.clone();
    for (text, right) in [("  Containers", 2), ("Memory", 0), ("heidi", 150)] {
        person.click(text, right);
        assert_eq!(person.state.pages, pages, "{text}");
    }
    person.press(Code::Down);
    person.click("heidi", 7);
    assert!(person.reads("Hosts › tank-1 › heidi"));
    assert_eq!(person.due.len(), 2, "it is asked for");
}

#[test]
fn a_host_is_drained_and_used_again_on_its_page() {
    let mut person = Person::new(SMALL, UNICODE);
    person.keys("2j\nd");
    assert_eq!(person.due, run("backend drain tank-2"));
    // What went well and has nothing to say leaves one where one was.
    person.see(Event::Ended(1, Ok(Arc::default())));
    assert!(person.reads("Hosts › tank-2") && person.reads("done: backend drain tank-2"));
    person.click("u resume", 0);
    assert!(
        matches!(&person.due[..], [Action::Run(2, words)] if words.join(" ") == "backend resume tank-2")
    );
}

#[test]
fn a_form_is_filled_in_with_the_mouse() {
    let mut person = Person::new(SMALL, UNICODE);
    person.keys("c");
    assert_eq!(person.due, [Action::Ask(vec!["image".to_owned(), "list".to_owned()])]);
    person.click("Owner", 0);
    person.keys("eve");
    person.click("Memory", 60);
    person.click("Host  ", 20);
    person.click("< the emptiest >", 2);
    person.click("Stacks", 0);
    person.click("[ ]docker", 1);
    let said = "create --owner=eve --backend=tank-1 --memory=112GiB --stack=docker";
    assert_eq!(person.said(), said);
    // Beside it, nothing is lost.
    person.see(Event::Input(Input::Mouse(Mouse { act: Act::Press, column: 0, row: 0 })));
    assert_eq!(person.said(), said);
    person.click("[ Create ]", 3);
    assert!(person.reads("Name is needed") && person.due.is_empty());
    person.keys("eve\t");
    person
        .paste("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKCnMRMTDIcFbTdhRTBoJsL9Qvj9Ib3rLEJYhvJbCQGW");
    person.click("[ Create ]", 3);
    assert!(matches!(&person.due[..], [Action::Run(1, words)] if words[1] == "eve"));
    person.press(Code::Esc);
    person.keys("c");
    person.click("[ Cancel ]", 3);
    assert_eq!(person.state.dialogue, None);
}

#[test]
fn an_image_is_picked_with_the_mouse() {
    let mut person = Person::new(SMALL, UNICODE);
    person.keys("c");
    person.hear();
    person.click("Image", 20);
    assert_eq!(person.said(), "create", "once goes there");
    person.click("< images:ubuntu/24.04 >", 2);
    person.click("< debian >", 2);
    assert_eq!(person.said(), "create --image=small");
    // What is typed stays, wherever it is clicked on.
    person.keys("own:x");
    person.click("own:x", 1);
    person.click("Image", 30);
    assert_eq!(person.said(), "create --image=own:x");
}

#[test]
fn a_question_is_answered_by_its_buttons_alone() {
    let mut person = Person::new(SMALL, UNICODE);
    for elsewhere in ["[ Cancel ]", "1 Containers"] {
        person.keys("o");
        person.click("Sessions end", 0);
        assert!(person.state.dialogue.is_some() && person.due.is_empty());
        person.click(elsewhere, 3);
        assert!(person.state.dialogue.is_none() && person.due.is_empty(), "{elsewhere}");
    }
    person.keys("o");
    person.click("[ Stop ]", 3);
    assert_eq!(person.due, run("stop alice"));
    person.press(Code::Esc);
    person.keys("d");
    person.click("[ Delete ]", 3);
    assert!(person.due.is_empty(), "its name was not typed");
}

#[test]
fn what_was_marked_is_acted_on_once() {
    let mut person = Person::new(SMALL, UNICODE);
    person.keys("  oy");
    let run = |id, name: &str| Action::Run(id, vec!["stop".to_owned(), name.to_owned()]);
    assert_eq!(person.due, [run(1, "alice"), run(2, "anna-thesis")]);
    assert_eq!(person.state.tables[&Tab::Containers].marks(), 0);
}

#[test]
fn help_tells_every_key_of_a_place() {
    for (keys, place) in [
        ("", Place::Tab(Tab::Containers)),
        ("2", Place::Tab(Tab::Hosts)),
        ("3", Place::Tab(Tab::Sessions)),
        ("4", Place::Tab(Tab::Guard)),
        ("5", Place::Tab(Tab::Ledger)),
        ("\n", Place::Container),
        ("2\n", Place::Host),
        ("w", Place::Works),
        (":start bob\n", Place::Work),
    ] {
        let mut person = Person::new(Size { columns: 200, rows: 60 }, UNICODE);
        person.keys(keys);
        assert_eq!(person.state.place(), place);
        person.keys("?");
        for binding in bindings(place) {
            assert!(person.reads(binding.shown) && person.reads(binding.what), "{binding:?}");
        }
    }
}
