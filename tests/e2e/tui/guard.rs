//! What the guard sees, on the screen as it comes.

use super::screen::Screen;
use crate::harness::world;

/// From the client's own address, which `guard.allow` names: nobody is banned by it.
#[test]
fn a_failed_login_is_seen_on_guard_as_it_comes_and_tells_all_of_itself() {
    let screen = Screen::open();
    screen.keys(&["4"]);
    screen.keys(&["/"]);
    screen.text("tui-guessed");
    screen.keys(&["Enter"]);
    screen.wait_until("no such login", |s| s.contains("/tui-guessed") && !s.contains("  refused"));
    let run = world().client("ssh -F $CFG -i $DIR/mallory -l tui-guessed $DOOR true");
    assert!(run.status == 255 && run.stderr.contains("Permission denied"), "{run:?}");
    let row = |s: &str| {
        let words = ["192.0.2.10", "  refused", " ago", " tui-guess"];
        s.lines().any(|line| words.iter().all(|word| line.contains(word)))
    };
    screen.wait_until("its row", row);
    screen.keys(&["Enter"]);
    screen.wait_until("its record", |s| {
        ["Guard › record ", "LOGIN", "tui-guessed", "ATTEMPTS", "SSH-2.0-OpenSSH", "SHA256:"]
            .iter()
            .all(|part| s.contains(part))
    });
    screen.back("Guard › record ");
    screen.keys(&["x"]);
    screen.wait("192.0.2.10 is not banned");
    screen.keys(&["y"]);
    screen.wait_until("what is known of its source", |s| {
        s.contains("Guard › ban why 192.0.2.10") && s.contains("Verdict")
    });
    screen.keys(&["q"]);
    screen.wait("left: 0");
}
