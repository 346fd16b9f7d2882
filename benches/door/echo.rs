//! How long a keystroke takes there and back, also beside a reader that has stopped.

use std::{
    io::{Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

use crate::{
    Effort,
    scene::{Scene, Way, resident_kib, ssh},
};

/// Milliseconds of each keystroke.
pub struct Echo {
    pub way: Way,
    /// Beside a reader that has stopped while its container floods it.
    pub beside: bool,
    pub times: Vec<f64>,
}

/// What was found out about keystrokes.
pub struct Echoes {
    pub echoes: Vec<Echo>,
    /// KiB by which the sentinel grew for the stopped reader.
    pub grown: f64,
}

/// The ways compared: what a link adds, throughput and logins show.
const WAYS: [Way; 3] = [Way::Direct, Way::Jump, Way::Door];

/// Types `effort.keys` keys by each way, then by the door beside a stopped reader.
pub fn measure(scene: &Scene, effort: &Effort) -> Echoes {
    let config = scene.ssh_config("echo", "");
    let mut echoes: Vec<Echo> = WAYS
        .map(|way| {
            eprintln!("keystrokes, {}", way.title());
            Echo { way, beside: false, times: type_keys(&config, way, effort.keys) }
        })
        .into();
    eprintln!("keystrokes beside a reader stopped for {} s", effort.stall.as_secs());
    // The flow before it has made the sentinel as large as flows make it.
    let before = resident_kib(scene.pid(Way::Door));
    let stopped = Stopped::start(&config);
    thread::sleep(effort.stall);
    let grown = resident_kib(scene.pid(Way::Door)) - before;
    let times = type_keys(&config, Way::Door, effort.keys);
    drop(stopped);
    echoes.push(Echo { way: Way::Door, beside: true, times });
    Echoes { echoes, grown }
}

/// Each key is typed once the one before it has come back.
fn type_keys(config: &Path, way: Way, keys: usize) -> Vec<f64> {
    let mut child =
        ssh(config, way, "cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut press = || {
        let start = Instant::now();
        to.write_all(b"x").unwrap();
        from.read_exact(&mut [0]).unwrap();
        start.elapsed().as_secs_f64() * 1e3
    };
    // The login is not part of it.
    press();
    let times = (0..keys).map(|_| press()).collect();
    drop(to);
    assert!(child.wait().unwrap().success(), "{}", way.title());
    times
}

/// An ssh that is sent more than it can take, and is stopped in the middle.
struct Stopped(Child);

impl Stopped {
    fn start(config: &Path) -> Self {
        let mut child = ssh(config, Way::Door, "head -c 100G /dev/zero")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut some = vec![0; 64 << 20];
        child.stdout.as_mut().unwrap().read_exact(&mut some).unwrap();
        let signal = ["-STOP", &child.id().to_string()];
        assert!(Command::new("kill").args(signal).status().unwrap().success(), "SIGSTOP");
        Self(child)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
