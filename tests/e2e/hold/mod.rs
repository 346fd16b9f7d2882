//! People who wait at the door: for a host that is down, and for a container that is stopped.

mod crowd;
mod fault;
mod host;
mod start;

use std::{
    fs,
    thread::{self, JoinHandle},
};

use crate::harness::{Run, Sentinel, backend_section, config, lab_command, set, world};

/// Switches `b3` on or off; whoever does holds [`crate::harness::b3`].
fn power(command: &[&str]) {
    let out = lab_command(command).output().expect("lab");
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A sentinel that knows `b3`, too, and lets people wait for so long.
fn patient(name: &str, port: u16, wait: &str) -> Sentinel {
    let dir = &world().dir;
    let text = config(dir, port, &backend_section("b3"));
    let text = set(&text, "ssh", "wait", &format!("\"{wait}\""));
    let text = set(&text, "ssh", "max_startups", "1000");
    let text = set(&text, "ssh", "max_startups_per_source", "1000");
    Sentinel::start(dir, name, &text)
}

/// What runs on the client's host, and what it has said so far.
struct Client {
    name: String,
    running: JoinHandle<Run>,
}

impl Client {
    /// Runs a script, in which `$SSH` is the beginning of a login on `port` with the key of
    /// `person`. What it writes on standard error can be read meanwhile.
    fn start(name: &str, (port, person): (u16, &str), script: &str) -> Self {
        let errors = world().dir.join(format!("{name}.errors"));
        fs::write(&errors, "").unwrap();
        let script = format!(
            "exec 2>{}\nSSH=\"ssh -F $CFG -p {port} -i $DIR/{person} -o LogLevel=INFO\"\n{script}",
            errors.display()
        );
        let running = thread::spawn(move || world().client(&script));
        Self { name: name.to_owned(), running }
    }

    /// What it has written on standard error so far.
    fn errors(&self) -> String {
        fs::read_to_string(world().dir.join(format!("{}.errors", self.name))).unwrap_or_default()
    }

    /// Waits until it has said this.
    fn wait(&self, sentinel: &Sentinel, words: &str) {
        sentinel.wait(&format!("{} is told {words:?}", self.name), || {
            let told = self.errors().contains(words);
            assert!(told || !self.running.is_finished(), "{}: {}", self.name, self.errors());
            told
        });
    }

    /// How it ended, and all that it wrote.
    fn end(self) -> Run {
        let errors = world().dir.join(format!("{}.errors", self.name));
        let run = self.running.join().unwrap();
        Run { stderr: fs::read_to_string(errors).unwrap(), ..run }
    }
}

/// Whether the sentinel knows that `b3` is down.
fn is_down(sentinel: &Sentinel) -> bool {
    let status = sentinel.console(&["status", "--json"]).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap_or_default();
    let backends = status["backends"].as_array().cloned().unwrap_or_default();
    backends
        .iter()
        .any(|b| b["name"] == "b3" && b["health"]["state"] == "down" && b["presence"] == "away")
}

/// Cuts the power of `b3`, and waits until that is known.
fn kill(sentinel: &Sentinel) {
    power(&["kill", "b3"]);
    sentinel.wait("b3 is down", || is_down(sentinel));
}
