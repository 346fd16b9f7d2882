//! A host that hangs: its Incus and its sshd are halted, so that the kernel accepts for them and
//! nobody ever answers.

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::{lab_command, lab_name};

/// As long as a signal may take on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// `b3`, whose daemons are halted until this is dropped, whatever the test did.
pub struct Halted {
    daemons: Vec<u32>,
}

impl Halted {
    /// Halts them. Whoever calls has [`super::b3`].
    pub fn b3() -> Self {
        // Not as it was when the tests began: others have killed and started them since.
        let env = lab_command(&["env"]).output().expect("lab env");
        let env = String::from_utf8_lossy(&env.stdout).into_owned();
        let pid = |name: &str| env.lines().find_map(|line| line.strip_prefix(name)?.parse().ok());
        let host = lab_name("b3").to_uppercase();
        let names = ["INCUSD", "SSHD"].map(|daemon| format!("LAB_{host}_{daemon}_PID="));
        let halted = Self { daemons: names.iter().filter_map(|name| pid(name)).collect() };
        assert_eq!(halted.daemons.len(), names.len(), "b3 has no daemons: {env}");
        for daemon in &halted.daemons {
            signal("STOP", *daemon);
        }
        let start = Instant::now();
        // The nsenter that started a daemon halts itself when it hears that it is halted, and would
        // miss that it goes on if that came first.
        while !(halted.is_halted() && halted.parents().all(|parent| state(parent) == Some('T'))) {
            assert!(start.elapsed() < LONG, "not halted: {:?}", halted.daemons);
            thread::sleep(Duration::from_millis(5));
        }
        halted
    }

    /// Whether nobody answers there.
    pub fn is_halted(&self) -> bool {
        self.daemons.iter().all(|daemon| state(*daemon) == Some('T'))
    }

    fn parents(&self) -> impl Iterator<Item = u32> {
        self.daemons.iter().filter_map(|daemon| stat(*daemon)?.get(1)?.parse().ok())
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        for process in self.parents().chain(self.daemons.iter().copied()) {
            signal("CONT", process);
        }
    }
}

/// What the kernel says of a process, from its state on: proc(5).
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold blanks and parentheses.
    Some(stat.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}

fn state(pid: u32) -> Option<char> {
    stat(pid)?.first()?.chars().next()
}

fn signal(name: &str, pid: u32) {
    let _ = Command::new("kill").args(["-s", name, &pid.to_string()]).status();
}
