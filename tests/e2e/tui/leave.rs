//! How one leaves, and what is left of it on the terminal: nothing.

use super::screen::{FIRST, HELP, Screen, page};
use crate::harness::{Sentinel, config, world};

const DRAWN: &str = "alternate=1 cursor=0 wrap=0 mouse=1 numbers=1";

#[test]
fn esc_goes_back_and_whoever_leaves_has_her_terminal_as_it_was() {
    let screen = Screen::open();
    screen.wait_until(DRAWN, |_| screen.modes() == DRAWN);
    screen.keys(&["?"]);
    screen.wait(HELP);
    screen.back(HELP);
    screen.enter("alice");
    screen.keys(&["d"]);
    screen.wait("type \"alice\"");
    screen.back("type \"alice\"");
    screen.back(&page("alice"));
    // The filter goes first; where nothing is left to go back from, nothing happens.
    screen.back("/alice");
    screen.keys(&["Escape"]);
    screen.wait("`q` leaves");
    screen.keys(&["q"]);
    screen.wait("left: 0");
    screen.assert_restored();
    screen.run("ssh -F $CFG -tt sentinel; echo left again: $?");
    screen.wait(FIRST);
    screen.keys(&["C-c"]);
    screen.wait("left again: 0");
    screen.assert_restored();
}

#[test]
fn every_terminal_gets_what_it_can_show() {
    let screen = Screen::new();
    for term in ["xterm", "xterm-256color", "screen", "linux", "vt220"] {
        screen.run(&format!("clear; TERM={term} ssh -F $CFG -tt sentinel; echo left {term}: $?"));
        let drawn = screen.wait(FIRST);
        let is_plain = ["linux", "vt220"].contains(&term);
        assert_eq!(drawn.is_ascii(), is_plain, "{term}:\n{drawn}");
        screen.keys(&["q"]);
        screen.wait(&format!("left {term}: 0"));
        screen.assert_restored();
    }
    for (said, term) in [("dumb", "TERM=dumb"), ("none", "env -u TERM"), ("empty", "TERM=")] {
        screen.run(&format!("clear; {term} ssh -F $CFG -tt sentinel; echo left {said}: $?"));
        let help = screen.wait(&format!("left {said}: 0"));
        assert!(help.contains("audit") && !help.contains(FIRST), "{said}:\n{help}");
        screen.assert_restored();
    }
}

/// The reason stands on the terminal as it was before, where it can be read.
#[test]
fn a_session_that_is_ended_gives_the_terminal_back_first() {
    let (dir, port) = (&world().dir, 2651);
    let sentinel = Sentinel::start(dir, "tui-end", &config(dir, port, ""));
    let screen = Screen::new();
    let open = format!("ssh -p {port} -F $CFG -tt sentinel; echo left $?.");
    screen.run(&open);
    screen.wait(FIRST);
    // Also while something is asked.
    screen.keys(&["c"]);
    screen.wait("Create a container");
    let list = sentinel.console(&["session", "list", "-q"]);
    let kill = sentinel.console(&["session", "kill", list.stdout.trim()]);
    assert_eq!(kill.status, 0, "{list:?} {kill:?}");
    let end = screen.wait("left 255.");
    assert!(end.contains("error: an administrator ended this session"), "{end}");
    assert!(!end.contains(FIRST), "{end}");
    screen.assert_restored();

    screen.run(&open);
    screen.wait(FIRST);
    sentinel.signal("TERM");
    let end = screen.wait("left 255.");
    assert!(end.contains("error: the sentinel is restarting"), "{end}");
    screen.assert_restored();
    assert_eq!(sentinel.wait_exit(), Some(0));
}
