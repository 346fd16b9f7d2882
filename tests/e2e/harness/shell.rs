//! Bash scripts on the lab's hosts, bounded in time.

use std::{
    fs,
    io::Read,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::lab;

/// A script that takes longer hangs: the longest take a few seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// What a script did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub stdout: String,
    pub stderr: String,
    /// Exit status; 128 and the signal's number if one ended it.
    pub status: i32,
}

/// Runs a script on `host`, with `$CFG` an ssh configuration, `$DIR` the directory of the run,
/// `$DOOR` the sentinel's address, and `$TMP` a fresh directory that goes away with the script.
pub fn shell(host: &str, script: &str, dir: &Path, config: &Path) -> Run {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // Not in `dir`: the paths of sockets are short.
    let tmp = std::env::temp_dir().join(format!("e2e-{}-{number}", std::process::id()));
    fs::create_dir_all(&tmp).unwrap();
    let mut child = Command::new("nsenter")
        .arg(format!("--net={}", lab().netns(host)))
        .args(["bash", "-c", script])
        .env("CFG", config)
        .env("DIR", dir)
        .env("DOOR", lab().get("LAB_SENTINEL_ADDRESS"))
        .env("TMP", &tmp)
        .env("TERM", "xterm")
        .env_remove("SSH_AUTH_SOCK")
        .current_dir(&tmp)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nsenter");
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    let start = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if start.elapsed() > LIMIT => {
                let group = format!("-{}", child.id());
                let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
                let _ = child.wait();
                let _ = fs::remove_dir_all(&tmp);
                panic!("still runs after {LIMIT:?} on {host}: {script}");
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    let _ = fs::remove_dir_all(&tmp);
    Run {
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
        status: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
    }
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
