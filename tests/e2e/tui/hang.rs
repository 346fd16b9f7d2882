//! A host that accepts and never answers while somebody is at the screen: she waits for nothing.

use super::screen::{FIRST, HELP, Screen, page};
use crate::harness::{
    Halted, Sentinel, b3, backend_section, config, lab, labelled, quiet_delete, world,
};

const PORT: u16 = 2653;

/// What is said of a container whose host does not answer.
const OLD: &str = "this is what was seen last";

/// What only its host can say of a container.
const ANSWER: &str = "Processes";

/// A container on the host that hangs, and one on another.
struct Pair;

const THERE: &str = "hang-there";
const HERE: &str = "hang-here";

impl Pair {
    fn new() -> Self {
        for (backend, name) in [("b3", THERE), ("b1", HERE)] {
            quiet_delete(backend, &[name]);
            labelled(backend, name, "hanger", "", &[]);
        }
        Self
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        quiet_delete("b3", &[THERE]);
        quiet_delete("b1", &[HERE]);
    }
}

/// Halts `b3`, and asks about the container there until it is seen that the answer is still waited for.
/// Whoever waits herself sees nothing but the answer, however often she asks. A machine that is busy may
/// show it late once, or know by then that the host is away.
fn hang(sentinel: &Sentinel, screen: &Screen) -> Halted {
    let (info, asking) = (format!("info {THERE}"), "asking ...");
    for _ in 0..5 {
        let hung = Halted::b3();
        screen.keys(&[":"]);
        screen.text(&info);
        screen.keys(&["Enter"]);
        let seen = screen.wait_until("a page", |s| s.contains(asking) || s.contains(OLD));
        screen.back(&format!("› {info}"));
        if seen.contains(asking) {
            return hung;
        }
        drop(hung);
        sentinel.wait("b3 answers again", || {
            let run = sentinel.console(&["info", THERE, "--json"]);
            run.stdout.contains("\"processes\"")
        });
    }
    panic!("{info} is answered before anything else happens");
}

/// The row that somebody is at is that of a container.
fn is_at(screen: &str, name: &str) -> bool {
    screen.lines().any(|line| line.starts_with('▸') && line.contains(name))
}

/// Filters, moves, and opens the page of either container; she ends on that of the one whose host
/// hangs.
fn look_around(screen: &Screen) {
    screen.keys(&["/"]);
    screen.text("hang-");
    // Of the others, alice's and bob's run.
    let filtered = |s: &str| s.contains(HERE) && s.contains(THERE) && !s.contains("running");
    screen.wait_until("these two", filtered);
    screen.keys(&["Enter", "G"]);
    screen.wait_until("the last row", |s| is_at(s, THERE));
    screen.keys(&["g"]);
    screen.wait_until("the first row", |s| is_at(s, HERE));
    screen.keys(&["Enter"]);
    screen.wait_until("an answer", |s| s.contains(&page(HERE)) && s.contains(ANSWER));
    screen.back(&page(HERE));
    screen.keys(&["G", "Enter"]);
    let old = |s: &str| s.contains(&page(THERE)) && s.contains("held") && s.contains(OLD);
    let seen = screen.wait_until("what is known", old);
    assert!(!seen.contains(ANSWER), "{seen}");
}

/// Help comes and goes, the command line completes, and a command of another host ends.
fn work_elsewhere(screen: &Screen) {
    screen.keys(&["?"]);
    screen.wait(HELP);
    screen.back(HELP);
    screen.keys(&[":"]);
    screen.text("info hang-t");
    screen.keys(&["Tab"]);
    screen.wait(&format!(":info {THERE}"));
    screen.keys(&["C-u"]);
    let resize = format!("resize {HERE} --memory 512MiB");
    screen.text(&resize);
    screen.keys(&["Enter"]);
    screen.wait("● done");
    let instance = format!("{HERE}-container");
    assert_eq!(lab().incus("b1", &["config", "get", &instance, "limits.memory"]), "512MiB\n");
    screen.back(&format!("› {resize}"));
}

#[test]
fn a_host_that_hangs_holds_up_no_key_and_its_pages_fill_when_it_goes_on() {
    let _alone = b3();
    let dir = &world().dir;
    let _pair = Pair::new();
    let sentinel = Sentinel::start(dir, "tui-hang", &config(dir, PORT, &backend_section("b3")));
    sentinel.wait_until_listed(&[THERE, HERE]);
    let screen = Screen::of(100, 50);
    screen.run(&format!("ssh -p {PORT} -F $CFG -tt sentinel; echo left: $?"));
    screen.wait_until("the list", |s| s.contains(FIRST) && s.contains(THERE));

    let hung = hang(&sentinel, &screen);
    look_around(&screen);
    work_elsewhere(&screen);
    // Once it is known that the host does not answer, how old that is which is known.
    screen.wait_until("its age", |s| s.contains(&page(THERE)) && s.contains(" ago  on b3"));
    work_elsewhere(&screen);
    assert!(hung.is_halted(), "somebody woke it");

    drop(hung);
    screen.wait_until("its answer", |s| s.contains(ANSWER) && !s.contains(OLD));
    screen.keys(&["q"]);
    screen.wait("left: 0");
}
