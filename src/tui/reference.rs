//! The tables of `docs/tui.md`, from what keys do and what is drawn: a page that says something else
//! fails.

use std::{fmt::Write as _, fs};

use super::{
    keymap::{Place, Tab, bindings},
    theme::{Glyphs, Look},
};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tui.md");

/// Between these two lines of the page stands what is written here.
const BEGIN: &str = "<!-- from the keymap: UPDATE=1 cargo test --lib tui::reference -->\n";
const END: &str = "<!-- end -->\n";

#[test]
fn the_page_says_what_keys_do_and_signs_mean() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let wanted = format!("{before}{BEGIN}{}{END}{after}", keys() + &signs());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(PAGE, wanted).unwrap();
        return;
    }
    assert!(page == wanted, "docs/tui.md is stale: `UPDATE=1 cargo test --lib tui::reference`");
}

/// What works at all places, then what each has besides.
fn keys() -> String {
    let places = [Place::Container, Place::Host, Place::Page, Place::Work, Place::Works];
    let places: Vec<_> = Tab::ALL.into_iter().map(Place::Tab).chain(places).collect();
    let of = |place: Place| bindings(place).map(|binding| (binding.shown, binding.what));
    let everywhere: Vec<_> = of(places[0])
        .filter(|key| places.iter().all(|place| of(*place).any(|k| k == *key)))
        .collect();
    let mut out = "\n### Everywhere\n".to_owned();
    table(&mut out, &everywhere);
    for place in places {
        let title = match place {
            Place::Tab(tab) => tab.title(),
            Place::Container => "One container",
            Place::Host => "One host",
            Place::Page => "Other pages",
            Place::Work => "Work under way",
            Place::Works => "All work",
        };
        let own: Vec<_> = of(place).filter(|key| !everywhere.contains(key)).collect();
        if own.is_empty() {
            continue;
        }
        writeln!(out, "\n### {title}").unwrap();
        table(&mut out, &own);
    }
    out
}

fn table(out: &mut String, keys: &[(&str, &str)]) {
    *out += "\n| key | |\n|---|---|\n";
    for (shown, what) in keys {
        let shown: Vec<_> = shown.split(' ').map(|key| format!("`{key}`")).collect();
        writeln!(out, "| {} | {what} |", shown.join(" ")).unwrap();
    }
}

fn signs() -> String {
    type Sign = fn(&Glyphs) -> String;
    let [unicode, ascii] = [false, true].map(|ascii| Look { colour: true, ascii }.glyphs());
    let rows: [(&str, Sign); 9] = [
        ("it runs, it answers", |g| g.on.to_owned()),
        ("it does not", |g| g.off.to_owned()),
        ("on its way, or held back: changing, frozen, drained", |g| g.between.to_owned()),
        ("not well; a heartbeat that was missed", |g| g.wrong.to_owned()),
        ("the row that you are at", |g| g.here.to_owned()),
        ("a row that you marked", |g| g.mark.to_owned()),
        ("sorted upwards, downwards", |g| g.sorted.join(" ")),
        ("there is more than is shown", |g| g.more.to_owned()),
        ("a heartbeat: each step took ten times as long", |g| g.heights.concat()),
    ];
    let mut out = "\n### Signs\n\n| UTF-8 | ASCII | |\n|---|---|---|\n".to_owned();
    for (what, of) in rows {
        let cell = |glyphs| of(glyphs).replace('|', "\\|");
        writeln!(out, "| {} | `{}` | {what} |", cell(unicode), cell(ascii)).unwrap();
    }
    out + "\n"
}
