//! What frames write, judged by another emulator.

use proptest::prelude::*;
use ratatui::style::Style;

use super::*;

const SIZE: Size = Size { columns: 20, rows: 4 };

fn screen(size: Size) -> vt100::Parser {
    let [rows, columns] = [size.rows, size.columns].map(|n| n.try_into().unwrap());
    vt100::Parser::new(rows, columns, 0)
}

fn put(buffer: &mut Buffer, (x, y): (u16, u16), text: &str, style: Style) {
    buffer.set_string(x, y, text, style);
}

#[test]
fn a_frame_writes_only_what_changed() {
    let mut surface = Surface::new(SIZE);
    let plain = Style::new();
    let first = surface.frame(|b| {
        put(b, (0, 0), "hello", plain);
        None
    });
    assert_eq!(first, format!("{ENTER}\x1b[1;1Hhello"));
    let same = surface.frame(|b| {
        put(b, (0, 0), "hello", plain);
        None
    });
    assert_eq!(same, "");
    let other = surface.frame(|b| {
        put(b, (0, 0), "hallo", plain);
        put(b, (8, 0), "!", plain.add_modifier(Modifier::BOLD).fg(Color::Red));
        None
    });
    assert_eq!(other, "\x1b[1;2Ha\x1b[6C\x1b[0;1;31m!\x1b[0m");
}

#[test]
fn the_cursor_is_seen_where_it_is_wanted_and_goes() {
    let mut surface = Surface::new(SIZE);
    let typed = |text: &'static str| {
        move |b: &mut Buffer| {
            put(b, (0, 3), text, Style::new());
            Some(Position { x: u16::try_from(text.len()).unwrap(), y: 3 })
        }
    };
    surface.frame(|_| None);
    assert_eq!(surface.frame(typed("a")), "\x1b[4;1Ha\x1b[4;2H\x1b[?25h");
    assert_eq!(surface.frame(typed("a")), "");
    assert_eq!(surface.frame(typed("ab")), "\x1b[?25l\x1b[4;2Hb\x1b[4;3H\x1b[?25h");
    assert!(surface.frame(|_| None).ends_with("\x1b[?25l"));
}

#[test]
fn after_a_change_of_size_everything_is_drawn_again() {
    let mut surface = Surface::new(SIZE);
    let draw = |b: &mut Buffer| {
        put(b, (0, 0), "x", Style::new());
        None
    };
    surface.resize(Size { columns: 10, rows: 2 });
    assert!(surface.frame(draw).starts_with(ENTER), "it was not entered yet");
    surface.resize(Size { columns: u16::MAX, rows: u16::MAX });
    assert_eq!((surface.area().width, surface.area().height), (500, 200));
    assert_eq!(surface.frame(draw), "\x1b[0m\x1b[2J\x1b[1;1Hx");
}

#[test]
fn nothing_hostile_gets_through() {
    let mut surface = Surface::new(SIZE);
    let bytes = surface.frame(|b| {
        put(b, (0, 0), "a\x1b[31m\u{9b}\r", Style::new());
        for (x, symbol) in ["\u{202e}", "\u{200b}", "\u{feff}"].iter().enumerate() {
            b[(u16::try_from(x).unwrap(), 1)].set_symbol(symbol);
        }
        None
    });
    assert_eq!(bytes, format!("{ENTER}\x1b[1;1Ha[31m\x1b[2;1H???"));
}

#[test]
fn what_is_drawn_over_a_part_of_a_wide_character_is_seen() {
    let (mut surface, mut screen) = (Surface::new(SIZE), screen(SIZE));
    let mut show = |under: &str, over: &[(u16, &str)]| {
        let bytes = surface.frame(|b| {
            put(b, (0, 0), under, Style::new());
            for (x, text) in over {
                put(b, (*x, 0), text, Style::new());
            }
            None
        });
        screen.process(bytes.as_bytes());
        screen.screen().rows(0, SIZE.columns).next().unwrap().trim_end().to_owned()
    };
    assert_eq!(show("日本語", &[]), "日本語");
    assert_eq!(show("日本語", &[(1, "│")]), " │本語");
    assert_eq!(show("日本語", &[(1, "ab"), (4, "x")]), " ab x");
    assert_eq!(show("abcdef", &[(2, "日")]), "ab日ef");
    // Joined into one symbol of two cells that nobody shows in the same way.
    assert_eq!(show("ab\u{1f469}\u{200d}\u{1f467}ef", &[]), "ab? ef");
}

#[test]
fn leaving_takes_back_every_mode() {
    let modes = |text: &str, last: char| {
        let mut modes: Vec<_> = text
            .split("\x1b[?")
            .filter_map(|part| part.split_once(['h', 'l']).filter(|_| part.contains(last)))
            .map(|(mode, _)| mode.to_owned())
            .collect();
        modes.sort_unstable();
        modes
    };
    let mut entered = [modes(ENTER, 'h'), modes(LEAVE, 'h')].concat();
    let mut left = [modes(ENTER, 'l'), modes(LEAVE, 'l')].concat();
    entered.sort_unstable();
    left.sort_unstable();
    assert_eq!(entered, left);
}

fn cells() -> impl Strategy<Value = Vec<(u16, u16, String, u8)>> {
    let text = prop_oneof!["[ -~]{1,12}", "[äöü─█●日本]{1,6}", ".{0,4}"];
    prop::collection::vec((0..20_u16, 0..4_u16, text, 0..32_u8), 0..12)
}

proptest! {
    /// Frame after frame, a terminal shows what was drawn.
    #[test]
    fn a_terminal_shows_what_was_drawn(frames in prop::collection::vec(cells(), 1..6)) {
        let (mut surface, mut screen) = (Surface::new(SIZE), screen(SIZE));
        for frame in frames {
            let bytes = surface.frame(|buffer| {
                for (x, y, text, style) in &frame {
                    let mut wanted = Style::new();
                    if style & 1 != 0 { wanted = wanted.add_modifier(Modifier::REVERSED); }
                    if style & 2 != 0 { wanted = wanted.add_modifier(Modifier::BOLD); }
                    if style & 4 != 0 { wanted = wanted.fg(Color::Green); }
                    put(buffer, (*x, *y), text, wanted);
                }
                None
            });
            screen.process(bytes.as_bytes());
            let drawn = &surface.shown;
            for y in 0..SIZE.rows {
                for x in 0..SIZE.columns {
                    let (cell, seen) = (&drawn[(x, y)], screen.screen().cell(y, x).unwrap());
                    let symbol = cell.symbol();
                    // What terminals do not agree on is not compared.
                    let known = symbol.chars().all(|c| is_of_known_width(c) || "日本●".contains(c));
                    if !known || symbol.is_empty() || seen.is_wide_continuation() { continue; }
                    let shown = if seen.contents().is_empty() { " " } else { seen.contents() };
                    prop_assert_eq!(shown, symbol, "at {},{} in {:?}", x, y, &bytes);
                    prop_assert_eq!(seen.bold(), cell.modifier.contains(Modifier::BOLD));
                    prop_assert_eq!(seen.inverse(), cell.modifier.contains(Modifier::REVERSED));
                    let green = matches!(seen.fgcolor(), vt100::Color::Idx(2));
                    // A blank shows none.
                    prop_assert!(green == (cell.fg == Color::Green) || symbol == " ");
                }
            }
        }
    }
}
