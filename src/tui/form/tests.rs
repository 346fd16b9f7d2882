//! Forms as they are filled in, and what becomes of them.

use std::collections::BTreeSet;

use super::*;
use crate::tui::line::Line;

const PRIVATE_KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n";

fn press(form: &mut Form, code: Code) -> Step {
    form.press(Key { code, ctrl: false, alt: false })
}

fn write(form: &mut Form, text: &str) {
    for c in text.chars() {
        press(form, if c == '\n' { Code::Enter } else { Code::Char(c) });
    }
}

fn form() -> Form {
    let name = |text: &str| match text.parse::<crate::model::name::ContainerName>() {
        Ok(_) => Ok(Hint::None),
        Err(error) => Err(error.to_string()),
    };
    let text = |check, optional| Content::Text { line: Line::default(), check, optional };
    let field = |label, option, content| {
        let (help, usual) = (String::new(), String::new());
        Field { label, help, usual, option, content, against: None }
    };
    let hosts = vec![Choice::usual("the emptiest"), Choice::new("h1")];
    let gone = Choice { note: "is away".to_owned(), refused: true, ..Choice::new("h2") };
    let stacks = ["docker", "rust"].map(str::to_owned).to_vec();
    Form::new(
        "Create a container".to_owned(),
        "Create",
        vec!["create".to_owned()],
        vec![
            field("Name", None, text(name, false)),
            field("Image", Some("image"), text(|_| Ok(Hint::None), true)),
            field(
                "Host",
                Some("backend"),
                Content::One { options: [hosts, vec![gone]].concat(), at: 0 },
            ),
            field(
                "Stacks",
                Some("stack"),
                Content::Any { options: stacks, at: 0, chosen: BTreeSet::new() },
            ),
            field("Podman", Some("podman"), Content::Flag(false)),
        ],
    )
}

fn words(words: &[&str]) -> Words {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn what_is_filled_in_becomes_a_command() {
    let mut form = form();
    write(&mut form, "bob\n");
    form.paste("--force\n");
    for code in [Code::Down, Code::Right, Code::Enter, Code::Char(' '), Code::Right] {
        press(&mut form, code);
    }
    for code in [Code::Char(' '), Code::Tab, Code::Char(' '), Code::Tab] {
        assert_eq!(press(&mut form, code), Step::Stay);
    }
    let created = words(&[
        "create",
        "bob",
        "--image=--force",
        "--backend=h1",
        "--stack=docker",
        "--stack=rust",
        "--podman",
    ]);
    assert_eq!(press(&mut form, Code::Enter), Step::Run(created));
}

#[test]
fn what_is_wrong_is_gone_to_and_said() {
    let mut form = form();
    assert_eq!((form.click(5, None), form.at), (Step::Stay, 0));
    assert_eq!(form.fields[0].check(), Err("Name is needed".to_owned()));
    form.paste("Bob;");
    assert!(form.fields[0].check().is_err());
    assert_eq!((form.click(9, None), form.at, form.insisted), (Step::Stay, 0, true));
    press(&mut form, Code::Backspace);
    assert_eq!(press(&mut form, Code::Esc), Step::Cancel);
}

#[test]
fn a_host_that_cannot_be_had_is_refused_with_its_reason() {
    let mut form = form();
    write(&mut form, "bob\n\nhh");
    assert_eq!(form.words(), words(&["create", "bob", "--backend=h2"]));
    assert_eq!(form.fields[2].check(), Err("is away".to_owned()));
    assert_eq!((form.click(5, None), form.at), (Step::Stay, 2));
    press(&mut form, Code::Left);
    assert_eq!(form.click(5, None), Step::Run(words(&["create", "bob", "--backend=h1"])));
}

#[test]
fn clicks_go_to_a_field_and_turn_it() {
    let mut form = form();
    assert_eq!((form.click(4, None), form.at), (Step::Stay, 4));
    assert_eq!(form.words(), words(&["create"]), "its name is no switch");
    form.click(4, Some((1, 40)));
    form.click(2, Some((0, 40)));
    form.click(2, Some((0, 40)));
    // [ ]docker at 2, [ ]rust at 12.
    form.click(3, Some((13, 40)));
    form.click(3, Some((39, 40)));
    // Nothing is typed by a click.
    for _ in 0..2 {
        form.click(0, Some((3, 40)));
    }
    assert_eq!(form.words(), words(&["create", "--backend=h1", "--stack=rust", "--podman"]));
}

#[test]
fn a_private_key_is_neither_taken_nor_shown_however_it_comes() {
    let mut pasted = form();
    pasted.paste(PRIVATE_KEY);
    assert_eq!((pasted.words(), pasted.refused), (words(&["create"]), Some(PRIVATE)));
    pasted.paste("bob\neve");
    assert_eq!((pasted.words(), pasted.refused), (words(&["create"]), Some(LINES)));
    write(&mut pasted, "bob");
    assert_eq!((pasted.words(), pasted.refused), (words(&["create", "bob"]), None));
    let mut typed = form();
    write(&mut typed, PRIVATE_KEY);
    assert_eq!((typed.words(), typed.at, typed.refused), (words(&["create"]), 0, Some(PRIVATE)));
    press(&mut typed, Code::Tab);
    assert_eq!((typed.at, typed.refused), (1, None));
}

#[test]
fn options_that_find_no_room_come_into_sight_when_one_goes_there() {
    let options: Vec<_> = ('a'..='z').map(|c| c.to_string().repeat(5)).collect();
    for room in [0_u16, 5, 20, 40, 400] {
        for at in 0..options.len() {
            let pieces = pieces(&options, at, room);
            let is_seen = pieces.iter().any(|(i, ..)| *i == at);
            assert!(is_seen || room < 5, "{at} in {room}: {pieces:?}");
            let ends = pieces.iter().map(|(_, _, end)| *end);
            assert!(
                ends.max().unwrap_or(0) <= room.saturating_sub(2),
                "{at} in {room}: {pieces:?}"
            );
        }
    }
    assert_eq!(pieces(&options, 25, 400).len(), 26);
    assert_eq!(pieces(&[], 0, 40), []);
}

fn amount(unit: Unit, now: u64, used: Option<u64>, most: u64) -> Amount {
    let most = Some((most, "h1".to_owned()));
    Amount { unit, now: Some(now), used, most, resizes: true, ..Amount::default() }
}

#[test]
fn a_slider_moves_in_round_steps_as_far_as_there_is() {
    let (mib, gib) = (1_u64 << 20, 1_u64 << 30);
    let mut memory = amount(Unit::Memory, 4 * gib, None, 12 * gib);
    let mut go = |up, many| {
        (0..many).for_each(|_| memory.step(up));
        memory.line.text().to_owned()
    };
    assert_eq!(go(true, 4), "8GiB");
    assert_eq!(go(true, 1), "10GiB");
    assert_eq!(go(true, 9), "12GiB");
    assert_eq!(go(false, 2), "8GiB");
    assert_eq!(go(false, 5), "3584MiB");
    assert_eq!(go(false, 99), "256MiB");
    assert_eq!(memory.value(), Some(256 * mib));
    let mut processors = amount(Unit::Processors, 2, None, 4);
    (0..5).for_each(|_| processors.step(true));
    assert_eq!(processors.line.text(), "4");
    (0..9).for_each(|_| processors.step(false));
    assert_eq!(processors.line.text(), "1");
}

#[test]
fn a_click_on_a_slider_says_how_much() {
    let gib = 1_u64 << 30;
    let mut memory = amount(Unit::Memory, 4 * gib, None, 128 * gib);
    for (cell, text) in
        [(5, ""), (SLIDER, "3328MiB"), (SLIDER + 19, "64GiB"), (SLIDER + 39, "128GiB")]
    {
        memory.click(cell, SLIDER + 40);
        assert_eq!(memory.line.text(), text, "{cell}");
    }
    memory.click(SLIDER + 40, SLIDER + 40);
    assert_eq!(memory.line.text(), "128GiB", "behind its end");
}

#[test]
fn what_resize_would_refuse_is_refused_at_once() {
    let gib = 1_u64 << 30;
    let check = |mut amount: Amount, text: &str| {
        amount.line = Line::new(text);
        amount.check()
    };
    let processors = || amount(Unit::Processors, 2, None, 8);
    assert_eq!(check(processors(), "8"), Ok(Hint::None));
    assert_eq!(check(processors(), "9"), Err("h1 has 8 processors".to_owned()));
    assert_eq!(check(processors(), "4-8"), Err("h1 has 8 processors".to_owned()));
    assert!(matches!(check(processors(), "none"), Ok(Hint::Good(_))));
    assert!(check(processors(), "many").is_err());
    let disk = || amount(Unit::Disk, 20 * gib, Some(10 * gib), 100 * gib);
    assert_eq!(check(disk(), "12GiB"), Ok(Hint::None));
    assert!(check(disk(), "10GiB").is_err(), "it would be full");
    assert!(matches!(check(disk(), "200GiB"), Ok(Hint::Careful(_))), "only written down");
    let full = amount(Unit::Disk, 5 * gib, Some(10 * gib), 100 * gib);
    assert_eq!(check(full, "8GiB"), Ok(Hint::None), "more than before is always had");
    // How much of it could be given back is only known inside.
    let memory = amount(Unit::Memory, 4 * gib, Some(3 * gib), 8 * gib);
    assert!(matches!(check(memory, "2GiB"), Ok(Hint::Careful(_))));
    let new = Amount { resizes: false, ..amount(Unit::Memory, 4 * gib, None, 8 * gib) };
    assert_eq!(check(new.clone(), "9GiB"), Err("h1 has only 8GiB".to_owned()));
    assert!(check(new, "none").is_err());
}
