//! A host that answers late or never while somebody is at the screen: she waits for nothing.

use std::time::Duration;

use super::screen::{FIRST, HELP, Screen, page};
use crate::harness::{
    Halted, Proxy, Sentinel, b3, backend_section, config, lab, labelled, quiet_delete, set, world,
};

const PORT: u16 = 2653;
const PROXY: u16 = 8472;

/// What is said of a container whose host does not answer.
const OLD: &str = "this is what was seen last";

/// What only its host can say of a container.
const ANSWER: &str = "Processes";

/// Nobody has answered yet.
const ASKING: &str = "asking ...";

/// A container on a host that is in trouble, and one on another; neither ever ran.
struct Pair {
    there: (&'static str, &'static str),
    here: (&'static str, &'static str),
}

impl Pair {
    fn new(there: (&'static str, &'static str), here: (&'static str, &'static str)) -> Self {
        for (backend, name) in [there, here] {
            quiet_delete(backend, &[name]);
            labelled(backend, name, "nobody", "", &[]);
        }
        Self { there, here }
    }

    /// The screen of a sentinel that has both.
    fn screen(&self, sentinel: &Sentinel, port: u16) -> Screen {
        sentinel.wait_until_listed(&[self.there.1, self.here.1]);
        let screen = Screen::of(100, 50);
        screen.run(&format!("ssh -p {port} -F $CFG -tt sentinel; echo left: $?"));
        screen.wait_until("the list", |s| s.contains(FIRST) && s.contains(self.there.1));
        screen
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for (backend, name) in [self.there, self.here] {
            quiet_delete(backend, &[name]);
        }
    }
}

/// Types a command and has it done.
fn command(screen: &Screen, words: &str) {
    screen.keys(&[":"]);
    screen.text(words);
    screen.keys(&["Enter"]);
}

/// Asks about a container in trouble. Whether it is seen that the answer is waited for: whoever waits
/// herself sees nothing but the answer, however often she asks.
fn is_awaited(screen: &Screen, name: &str) -> bool {
    let info = format!("info {name}");
    command(screen, &info);
    let seen = screen.wait_until("a page", |s| s.contains(ASKING) || s.contains(OLD));
    screen.back(&format!("› {info}"));
    seen.contains(ASKING)
}

/// Halts `b3` and asks for what is there, again where a busy machine shows the page too late, or knows
/// by then that the host is away.
fn hang(sentinel: &Sentinel, screen: &Screen, name: &str) -> Halted {
    for _ in 0..5 {
        let hung = Halted::b3();
        if is_awaited(screen, name) {
            return hung;
        }
        drop(hung);
        sentinel.wait("b3 answers again", || {
            sentinel.console(&["info", name, "--json"]).stdout.contains("\"processes\"")
        });
    }
    panic!("info {name} is answered before anything else happens");
}

/// The row that somebody is at is that of a container.
fn is_at(screen: &str, name: &str) -> bool {
    screen.lines().any(|line| line.starts_with('▸') && line.contains(name))
}

/// Filters, moves, and opens the page of either container; she ends on that of the one in trouble.
fn look_around(screen: &Screen, Pair { there: (_, there), here: (_, here) }: &Pair) {
    screen.keys(&["/"]);
    screen.text("nobody");
    // Of the others, alice's and bob's run.
    let filtered = |s: &str| s.contains(here) && s.contains(there) && !s.contains("running");
    screen.wait_until("these two", filtered);
    screen.keys(&["Enter", "G"]);
    screen.wait_until("the last row", |s| is_at(s, there));
    screen.keys(&["g"]);
    screen.wait_until("the first row", |s| is_at(s, here));
    screen.keys(&["Enter"]);
    screen.wait_until("an answer", |s| s.contains(&page(here)) && s.contains(ANSWER));
    screen.back(&page(here));
    screen.keys(&["G", "Enter"]);
    let old = |s: &str| s.contains(&page(there)) && s.contains("held") && s.contains(OLD);
    let seen = screen.wait_until("what is known", old);
    assert!(!seen.contains(ANSWER), "{seen}");
}

/// Help comes and goes, the command line completes, and a command of another host ends.
fn work_elsewhere(screen: &Screen, Pair { there, here: (backend, here) }: &Pair) {
    screen.keys(&["?"]);
    screen.wait(HELP);
    screen.back(HELP);
    screen.keys(&[":"]);
    let (most, _) = there.1.split_at(there.1.len() - 3);
    screen.text(&format!("info {most}"));
    screen.keys(&["Tab"]);
    screen.wait(&format!(":info {}", there.1));
    screen.keys(&["Escape"]);
    screen.wait_gone(":info");
    let resize = format!("resize {here} --memory 512MiB");
    command(screen, &resize);
    screen.wait("● done");
    assert_eq!(memory(backend, here), "512MiB\n");
    screen.back(&format!("› {resize}"));
}

/// The limit that Incus has for a container.
fn memory(backend: &str, name: &str) -> String {
    lab().incus(backend, &["config", "get", &format!("{name}-container"), "limits.memory"])
}

/// Waits until the page that is open has what its host says, and leaves.
fn leave_with_answer(screen: &Screen) {
    screen.wait_until("its answer", |s| s.contains(ANSWER) && !s.contains(OLD));
    screen.keys(&["q"]);
    screen.wait("left: 0");
}

#[test]
fn a_host_that_hangs_holds_up_no_key_and_its_pages_fill_when_it_goes_on() {
    let _alone = b3();
    let dir = &world().dir;
    let pair = Pair::new(("b3", "hang-there"), ("b1", "hang-here"));
    let sentinel = Sentinel::start(dir, "tui-hang", &config(dir, PORT, &backend_section("b3")));
    let screen = pair.screen(&sentinel, PORT);
    let hung = hang(&sentinel, &screen, pair.there.1);
    look_around(&screen, &pair);
    work_elsewhere(&screen, &pair);
    // Once it is known that the host does not answer, how old that is which is known.
    let old = |s: &str| s.contains(&page(pair.there.1)) && s.contains(" ago  on b3");
    screen.wait_until("its age", old);
    work_elsewhere(&screen, &pair);
    assert!(hung.is_halted(), "somebody woke it");

    drop(hung);
    leave_with_answer(&screen);
}

/// Each answer of its Incus takes seconds, as each piece on the way there or back takes half of one.
#[test]
fn a_host_that_answers_slowly_holds_up_no_key_and_its_work_is_done() {
    let dir = &world().dir;
    let proxy = Proxy::start(PROXY, Duration::ZERO);
    let pair = Pair::new(("b1", "drag-there"), ("b2", "drag-here"));
    let section = backend_section("b1");
    let behind = set(&section, "[backend]", "address", &format!("\"127.0.0.1:{PROXY}\""));
    // It is slow, not dead.
    let behind = behind + "health = { timeout = \"60s\", fall = 6 }\n";
    let text = config(dir, PORT + 1, "").replace(&section, &behind);
    let sentinel = Sentinel::start(dir, "tui-slow", &text);
    let screen = pair.screen(&sentinel, PORT + 1);
    proxy.delay(Duration::from_millis(500));
    let is_awaited = (0..5).any(|_| is_awaited(&screen, pair.there.1));
    assert!(is_awaited, "its answers come before anything else happens");
    let resize = format!("resize {} --memory 512MiB", pair.there.1);
    command(&screen, &resize);
    screen.wait("under way");
    screen.back(&format!("› {resize}"));
    look_around(&screen, &pair);
    work_elsewhere(&screen, &pair);
    screen.keys(&["w"]);
    let done = |s: &str| s.lines().any(|l| l.contains(&resize) && l.ends_with("done"));
    screen.wait_until("it is done", done);
    assert_eq!(memory("b1", pair.there.1), "512MiB\n");
    screen.back("› work");
    proxy.delay(Duration::ZERO);
    leave_with_answer(&screen);
}
