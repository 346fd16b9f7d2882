//! A terminal of the client's host: tmux, with a shell in it, and what somebody sees and does there.

use std::{
    cell::Cell,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::harness::{lab, world};

/// How long something may take to be seen: seconds, and more on a busy machine.
const SOON: Duration = Duration::from_secs(120);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(30);

/// What the shell says when it waits for a command. (What is typed does not contain it.)
const PROMPT: &str = "ready>";

/// What is seen on every screen of the sentinel.
pub const FIRST: &str = "1 Containers";

/// What is seen where the keys are explained, wherever they are.
pub const HELP: &str = "draw anew";

/// What is seen on the page of a container.
pub fn page(name: &str) -> String {
    format!("Containers › {name}")
}

/// The name of the field that somebody is at, in a form; nothing where she is at none.
fn here(screen: &str) -> String {
    // Names have 14 cells; behind the mark of a row there is none.
    let marked = screen.lines().filter_map(|line| line.split_once('▸'));
    let names = marked.map(|(_, rest)| rest.chars().take(14).collect::<String>());
    names.into_iter().find(|name| !name.starts_with(' ')).unwrap_or_default()
}

/// A terminal.
pub struct Screen {
    server: Child,
    socket: PathBuf,
}

impl Screen {
    /// A terminal with a shell, of 80 columns and 24 rows.
    pub fn new() -> Self {
        Self::of(80, 24)
    }

    /// The same with another size.
    pub fn of(columns: u16, rows: u16) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Not in the run's directory: the paths of sockets are short.
        let socket = std::env::temp_dir().join(format!("tui-{}-{number}", std::process::id()));
        let dir = &world().dir;
        // In the foreground, so that it is known who it is; it has no command before a client asks.
        let server = Command::new("nsenter")
            .arg(format!("--net={}", lab().netns("client")))
            .args(["tmux", "-D", "-f", "/dev/null", "-S"])
            .arg(&socket)
            .env("CFG", dir.join("ssh_config"))
            .env("DIR", dir)
            .env("DOOR", lab().get("LAB_SENTINEL_ADDRESS"))
            .env("LC_ALL", "C.UTF-8")
            .env_remove("SSH_AUTH_SOCK")
            .env_remove("TMUX")
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("tmux");
        crate::harness::reap_later(server.id());
        let screen = Self { server, socket };
        let start = Instant::now();
        // Keys are not held back for a sequence that tmux itself would know.
        let first = ["set", "-s", "escape-time", "0", ";", "set", "-g", "status", "off"];
        // Its socket is there a moment before it listens.
        while !screen.ask(&first).status.success() {
            assert!(start.elapsed() < SOON, "tmux does not start");
            thread::sleep(LOOK);
        }
        let (x, y) = (columns.to_string(), rows.to_string());
        // Behind the shell by which tmux begins it, which has a prompt of its own.
        let shell = format!("env 'PS1={PROMPT}' bash --norc --noprofile --noediting");
        screen.tmux(&["new-session", "-d", "-x", &x, "-y", &y, &shell]);
        screen.wait(PROMPT);
        screen
    }

    /// A terminal on which the screen of the shared sentinel is seen.
    pub fn open() -> Self {
        let screen = Self::of(100, 50);
        screen.run("ssh -F $CFG -tt sentinel; echo left: $?");
        screen.wait(FIRST);
        screen
    }

    /// Asserts that the terminal is as it was before a screen was drawn on it.
    #[track_caller]
    pub fn assert_restored(&self) {
        let modes = "alternate=0 cursor=1 wrap=1 mouse=0 numbers=0";
        self.wait_until(modes, |_| self.modes() == modes);
        // Keys are echoed, lines are lines, and nothing is put around what is pasted.
        self.run("echo he''re; read x; clear; echo \"[$x]\"");
        let screen = self.wait("\nhere");
        assert!(screen.contains("echo he''re; read x"), "{screen}");
        self.paste("pasted");
        self.keys(&["Enter"]);
        self.wait("[pasted]");
    }

    fn ask(&self, words: &[&str]) -> Output {
        let out = Command::new("tmux").args(["-u", "-S"]).arg(&self.socket).args(words).output();
        out.expect("tmux")
    }

    fn tmux(&self, words: &[&str]) -> String {
        let out = self.ask(words);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "tmux {words:?}: {said}\n{}", world().sentinel.log_text());
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Types a line in the shell.
    pub fn run(&self, line: &str) {
        self.text(line);
        self.keys(&["Enter"]);
    }

    /// Presses keys, by tmux's names.
    pub fn keys(&self, names: &[&str]) {
        self.tmux(&[&["send-keys"], names].concat());
    }

    /// Goes back by Esc, until this is not seen any more. What follows at once would be taken for Alt.
    #[track_caller]
    pub fn back(&self, from: &str) {
        self.keys(&["Escape"]);
        self.wait_gone(from);
    }

    /// Presses a key, again and again but not often, until what is seen is as it should be.
    #[track_caller]
    pub fn insist(&self, key: &str, is_so: impl Fn(&str) -> bool) {
        let pressed = Cell::new(None::<Instant>);
        self.wait_until(&format!("what {key} does"), |screen| {
            let is_so = is_so(screen);
            if !is_so && pressed.get().is_none_or(|then| then.elapsed() > Duration::from_secs(1)) {
                self.keys(&[key]);
                pressed.set(Some(Instant::now()));
            }
            is_so
        });
    }

    /// Types text.
    pub fn text(&self, text: &str) {
        self.tmux(&["send-keys", "-l", "--", text]);
    }

    /// Sends bytes as they are.
    pub fn bytes(&self, bytes: &[u8]) {
        let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let bytes: Vec<_> = bytes.iter().map(String::as_str).collect();
        self.tmux(&[&["send-keys", "-H"], bytes.as_slice()].concat());
    }

    /// Pastes text, in brackets if they are asked for.
    pub fn paste(&self, text: &str) {
        self.tmux(&["set-buffer", "--", text, ";", "paste-buffer", "-p"]);
    }

    /// Goes by Tab to the field of the form that has this name.
    #[track_caller]
    pub fn field(&self, label: &str) {
        self.wait_until("a field", |screen| !here(screen).is_empty());
        // A form has a dozen fields at most.
        for _ in 0..20 {
            let here = here(&self.text_now());
            if here.starts_with(label) {
                return;
            }
            self.keys(&["Tab"]);
            // What was typed before, and what is behind the form, may be drawn first.
            self.wait_until("another field", |screen| self::here(screen) != here);
        }
        panic!("no field {label}:\n{}", self.text_now());
    }

    /// To the page of a container, from the list: the first of those that have its name anywhere.
    pub fn enter(&self, name: &str) {
        self.keys(&["/", "C-u"]);
        self.text(name);
        self.wait(&format!("/{name}"));
        self.keys(&["Enter", "Home", "Enter"]);
        self.wait(&page(name));
    }

    /// Clicks on where this text is seen, on its first character.
    pub fn click(&self, text: &str) {
        let screen = self.wait(text);
        let row = screen.lines().position(|line| line.contains(text)).unwrap_or(0);
        let line = screen.lines().nth(row).unwrap_or_default();
        let column = line.split_once(text).map_or(0, |(before, _)| before.chars().count());
        let (column, row) = (column + 1, row + 1);
        self.bytes(format!("\x1b[<0;{column};{row}M\x1b[<0;{column};{row}m").as_bytes());
    }

    /// Another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// What is seen.
    pub fn text_now(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// How the terminal is set: `NAME=0` or `NAME=1` for each mode.
    pub fn modes(&self) -> String {
        let format = "alternate=#{alternate_on} cursor=#{cursor_flag} wrap=#{wrap_flag} \
                      mouse=#{mouse_any_flag} numbers=#{mouse_sgr_flag}";
        self.tmux(&["display-message", "-p", format]).trim().to_owned()
    }

    /// Waits until this is seen; what is seen then.
    #[track_caller]
    pub fn wait(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text))
    }

    /// Waits until this is not seen any more; what is seen then.
    #[track_caller]
    pub fn wait_gone(&self, text: &str) -> String {
        self.wait_until(&format!("no {text}"), |screen| !screen.contains(text))
    }

    /// Waits until what is seen is as it should be; what is seen then.
    #[track_caller]
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let screen = self.text_now();
            if is_so(&screen) {
                return screen;
            }
            if start.elapsed() > SOON {
                let log = world().sentinel.log_text();
                let log: Vec<_> = log.lines().rev().take(40).collect();
                let log: Vec<_> = log.into_iter().rev().collect();
                panic!("never seen: {what}; but\n{screen}\nlog:\n{}", log.join("\n"));
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}
