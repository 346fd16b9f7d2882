//! Terminals of any size, and what else than keys they send.

use super::screen::{FIRST, HELP, Screen};

#[test]
fn a_terminal_of_any_size_shows_what_fits() {
    let screen = Screen::open();
    screen.resize(20, 5);
    screen.wait("too small");
    for (columns, rows) in (1..=30).flat_map(|n| [(n * 16, n * 5), (1, 1), (n, 200), (200, n)]) {
        screen.resize(columns, rows);
    }
    screen.resize(120, 50);
    let whole = |s: &str| {
        let lines: Vec<_> = s.lines().collect();
        lines.first().is_some_and(|l| l.contains(FIRST))
            && lines.len() == 50
            && lines[49].contains(" command")
    };
    screen.wait_until("50 rows, the keys in the last", whole);
    screen.keys(&["?"]);
    screen.wait(HELP);
    screen.keys(&["q"]);
    screen.wait("left: 0");
    screen.assert_restored();
}

/// None of it is a key that does something, and after each there is one that does.
#[test]
fn garbage_and_half_sequences_do_nothing_and_keys_work_after_them() {
    const MEAN: [&[u8]; 14] = [
        b"\x1b[",
        b"\x1b[<0;",
        b"\x1b[<0;99999999999;1M",
        b"\x1bO",
        b"\x1b[99999999999999999999~",
        b"\x1b]0;title",
        b"\x1bP1$r0m",
        b"\x1b_half",
        b"\xff\xfe\x80\xc3",
        b"\xf0\x9f\x98",
        b"\x00\x1c\x1d\x1e\x1f\x00",
        b"\x1b[M\x80\x80\x80",
        b"\x1b[?1;2c\x1b[5;5R\x1b[I\x1b[O",
        b"\x1b[200~rm -rf /\r:delete alice --force\r\x1b[201~",
    ];
    let screen = Screen::open();
    for mean in MEAN {
        screen.bytes(mean);
        // What had begun may swallow the first.
        screen.insist("?", |s| s.contains(HELP));
        screen.insist("Escape", |s| !s.contains(HELP));
    }
    screen.keys(&["q"]);
    screen.wait("left: 0");
    screen.assert_restored();
}
