//! Bash scripts on the lab's hosts, bounded in time.

use std::{
    cell::Cell,
    env, fs,
    io::Read,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::lab;

thread_local! {
    /// Whether the scripts of this test find the newest clients before those of the system.
    static NEWEST: Cell<bool> = const { Cell::new(false) };
}

/// A script that takes longer hangs: the longest take a few seconds, and those that wait for a host
/// that comes back up to a minute on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// What a script did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub stdout: String,
    pub stderr: String,
    /// Exit status; 128 and the signal's number if one ended it.
    pub status: i32,
}

/// Where `tests/lab/clients` puts foreign clients.
fn foreign_clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients")
}

/// Does something whose scripts find `ssh`, `scp`, `sftp` and others of the newest Debian.
pub fn with_newest_clients<T>(act: impl FnOnce() -> T) -> T {
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            NEWEST.set(false);
        }
    }
    NEWEST.set(true);
    let _restore = Restore;
    act()
}

/// `PATH` of scripts.
fn search_path() -> String {
    let path = env::var("PATH").unwrap_or_default();
    if NEWEST.get() {
        assert!(foreign_clients().join("stamp").exists(), "no clients: run tests/lab/clients");
        return format!("{}:{path}", foreign_clients().join("newest/bin").display());
    }
    path
}

/// Runs a script on `host`, with `$CFG` an ssh configuration, `$DIR` the directory of the run,
/// `$DOOR` the sentinel's address, and `$TMP` a fresh directory that goes away with the script.
pub fn shell(host: &str, script: &str, dir: &Path, config: &Path) -> Run {
    shell_within(LIMIT, host, script, dir, config)
}

/// The same with another limit.
pub fn shell_within(limit: Duration, host: &str, script: &str, dir: &Path, config: &Path) -> Run {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // Not in `dir`: the paths of sockets are short.
    let tmp = env::temp_dir().join(format!("e2e-{}-{number}", std::process::id()));
    fs::create_dir_all(&tmp).unwrap();
    let mut child = Command::new("nsenter")
        .arg(format!("--net={}", lab().netns(host)))
        .args(["bash", "-c", script])
        .env("CFG", config)
        .env("DIR", dir)
        .env("DOOR", lab().get("LAB_SENTINEL_ADDRESS"))
        .env("TMP", &tmp)
        .env("TERM", "xterm")
        .env("PATH", search_path())
        .env("CLIENTS", foreign_clients())
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
            None if start.elapsed() > limit => {
                kill_group(child.id());
                let _ = child.wait();
                let _ = fs::remove_dir_all(&tmp);
                panic!("still runs after {limit:?} on {host}: {script}");
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    // What it left in the background would keep its output open.
    kill_group(child.id());
    let _ = fs::remove_dir_all(&tmp);
    Run {
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
        status: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
    }
}

/// Ends what is left of a script.
fn kill_group(leader: u32) {
    let _ = Command::new("kill")
        .args(["-KILL", "--", &format!("-{leader}")])
        .stderr(Stdio::null())
        .status();
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
