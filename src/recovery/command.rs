//! A program of the administrator starts the host. No shell reads its words; what it is to do stands
//! in its environment, which has nothing of the sentinel's own but `HOME`.

use std::{
    process::{ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{self, Child},
    time::timeout,
};

use super::{plan::Step, provider::Fault};
use crate::{
    config::RecoveryCommand,
    model::{name::BackendName, text::printable_bytes},
};

/// Where programs are that it calls by name.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Most of its output that is kept, in bytes; the rest is read and dropped.
const MAX_OUTPUT: usize = 16 * 1024;

/// Most lines of it that are logged, and the longest, in characters.
const MAX_LINES: usize = 50;
const MAX_LINE: usize = 300;

/// For output that is on its way when it has ended: what it left running may hold the pipe.
const LINGER: Duration = Duration::from_millis(500);

pub(super) struct Command {
    backend: BackendName,
    config: RecoveryCommand,
}

impl Command {
    pub(super) fn new(backend: BackendName, config: RecoveryCommand) -> Self {
        Self { backend, config }
    }

    /// Runs it to its end, or until its time is over.
    ///
    /// # Errors
    /// It cannot be run, is too slow, or ends with another status than 0.
    pub(super) async fn run(&self, step: Step, attempt: usize) -> Result<(), Fault> {
        let action = match step {
            Step::Look | Step::Start => "start",
            Step::Reset => "reset",
        };
        let mut child = self.spawn(action, attempt)?;
        let group = Group::of(&child);
        let output = Mutex::new(Vec::new());
        let limit = self.config.timeout;
        let ended = timeout(limit, finish(&mut child, &output)).await;
        // What it left running is its own, unless it was too slow.
        if ended.is_ok() {
            group.forget();
        } else {
            drop(group);
        }
        let last = self.log(&output);
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => {
                Err(Fault::passing(&format!("the command ended with {status}{last}")))
            }
            Ok(Err(error)) => Err(Fault::passing(&format!("wait for the command: {error}"))),
            Err(_) => {
                let seconds = limit.as_secs();
                Err(Fault::passing(&format!("the command did not end within {seconds} s{last}")))
            }
        }
    }

    fn spawn(&self, action: &str, attempt: usize) -> Result<Child, Fault> {
        let mut words = self.config.argv.iter();
        let path = words.next().map_or("", String::as_str);
        let mut command = process::Command::new(path);
        command
            .args(words)
            .env_clear()
            .env("PATH", PATH)
            .envs(std::env::var_os("HOME").map(|home| ("HOME", home)))
            .envs(&self.config.env)
            .env("CONTAINARIUM_BACKEND", self.backend.as_str())
            .env("CONTAINARIUM_ACTION", action)
            .env("CONTAINARIUM_ATTEMPT", attempt.to_string())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command.spawn().map_err(|e| Fault::passing(&format!("run {path}: {e}")))
    }

    /// Writes down what it said; returns its last line, to stand behind an error.
    fn log(&self, output: &Mutex<Vec<u8>>) -> String {
        let output = output.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<_> =
            output.split(|b| *b == b'\n').filter(|l| !l.trim_ascii().is_empty()).collect();
        let skipped = lines.len().saturating_sub(MAX_LINES);
        for line in lines.iter().skip(skipped) {
            let said = printable_bytes(line.trim_ascii(), MAX_LINE);
            tracing::info!(backend = %self.backend, said, "recovery command");
        }
        let last = lines.last().map(|line| printable_bytes(line.trim_ascii(), MAX_LINE));
        last.map_or_else(String::new, |last| format!(": {last}"))
    }
}

/// A process group that ends with its owner.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may be gone.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

async fn finish(child: &mut Child, output: &Mutex<Vec<u8>>) -> std::io::Result<ExitStatus> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read = async { tokio::join!(keep(stdout, output), keep(stderr, output)) };
    tokio::pin!(read);
    let status = tokio::select! {
        status = child.wait() => status,
        _ = &mut read => return child.wait().await,
    };
    let _ = timeout(LINGER, read).await;
    status
}

/// Keeps the end of what is read.
async fn keep(stream: Option<impl AsyncRead + Unpin>, output: &Mutex<Vec<u8>>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        output.extend_from_slice(buffer.get(..n).unwrap_or_default());
        let excess = output.len().saturating_sub(MAX_OUTPUT);
        output.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use super::*;

    fn command(script: &str, arguments: &[&str], timeout: u64) -> Command {
        let words = ["/bin/sh", "-c", script, "sh"].into_iter().chain(arguments.iter().copied());
        let config = RecoveryCommand {
            argv: words.map(str::to_owned).collect(),
            env: BTreeMap::from([("DIR".to_owned(), "a b".to_owned())]),
            timeout: Duration::from_secs(timeout),
        };
        Command::new("b1".parse().unwrap(), config)
    }

    #[tokio::test]
    async fn it_is_told_by_its_environment_and_no_shell_reads_its_words() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("out");
        let script = "env | sort > \"$1\"; echo \"$2\" >> \"$1\"";
        let path = file.to_str().unwrap();
        command(script, &[path, "$(id); x"], 20).run(Step::Reset, 3).await.unwrap();
        let said = fs::read_to_string(file).unwrap();
        for line in [
            "CONTAINARIUM_ACTION=reset",
            "CONTAINARIUM_ATTEMPT=3",
            "CONTAINARIUM_BACKEND=b1",
            "DIR=a b",
            "$(id); x",
        ] {
            assert!(said.lines().any(|l| l == line), "{line}: {said}");
        }
        assert!(!said.contains("CARGO"), "nothing of our own environment: {said}");
    }

    #[tokio::test]
    async fn its_failures_are_told_with_its_last_words() {
        let told = |run: Result<(), Fault>| run.unwrap_err().to_string();
        let failed = command("echo a; printf 'b\\033[2Jad\\n' >&2; exit 3", &[], 20);
        let failed = told(failed.run(Step::Start, 1).await);
        assert!(failed.starts_with("the command ended with exit status: 3: "), "{failed}");
        assert!(!failed.contains('\u{1b}'), "{failed}");
        let flood =
            "i=0; while [ $i -lt 20000 ]; do echo aaaaaaaaaa; i=$((i+1)); done; echo end; exit 1";
        let flood = told(command(flood, &[], 60).run(Step::Start, 1).await);
        assert!(flood.ends_with(": end"), "{flood}");
        let mut none = command("", &[], 1);
        none.config.argv = vec!["/nonexistent".to_owned()];
        assert!(told(none.run(Step::Start, 1).await).starts_with("run /nonexistent: "));
    }

    #[tokio::test]
    async fn one_that_hangs_ends_with_its_children_and_what_a_good_one_leaves_holds_up_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = "sleep 1000 & echo $! > \"$1\"; wait";
        let hangs = command(script, &[file.to_str().unwrap()], 1).run(Step::Start, 1).await;
        assert_eq!(hangs.unwrap_err().to_string(), "the command did not end within 1 s");
        let pid = fs::read_to_string(file).unwrap();
        let stat = Path::new("/proc").join(pid.trim()).join("stat");
        let gone = async {
            // Killed, and perhaps not yet collected.
            while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(20), gone).await.expect("its child is gone");
        command("sleep 3 & exit 0", &[], 2).run(Step::Start, 1).await.unwrap();
    }
}
