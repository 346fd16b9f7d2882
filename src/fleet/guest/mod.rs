//! Inside a container: scripts that run as its root, through Incus. What a script is told comes as
//! arguments and standard input, never as part of its text.

pub mod account;

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::job::Job;
use crate::{
    incus::{Client, IncusError, script::Output},
    model::{container::Container, text::printable},
};

/// What a script may answer on standard output, in bytes; what is behind it is dropped.
const MAX_ANSWER: usize = 256 * 1024;

/// Longest line of standard error that is shown, in bytes; a longer one is cut in two.
const MAX_LINE: usize = 2000;

/// Why a script did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// It could not be run.
    #[error(transparent)]
    Incus(#[from] IncusError),
    /// It took too long, and was ended.
    #[error("{what} took longer than {limit:?}")]
    Timeout {
        /// What it should do.
        what: &'static str,
        /// How long it had.
        limit: Duration,
    },
    /// It was told to stop.
    #[error("{0} was interrupted")]
    Cancelled(&'static str),
    /// It failed.
    #[error("{what} failed ({status}): {said}")]
    Failed {
        /// What it should do.
        what: &'static str,
        /// Its exit status.
        status: i32,
        /// The last line that it wrote on standard error, printable.
        said: String,
    },
}

/// A container's inside.
#[derive(Clone)]
pub struct Guest {
    client: Client,
    instance: String,
}

/// What to run: text of ours, and what it is told.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a> {
    /// What it does, for people: `make the account`.
    pub what: &'static str,
    /// Text for `/bin/sh`; nothing of anybody else's is in it.
    pub text: &'a str,
    /// Its `$1`, `$2` and so on.
    pub arguments: &'a [&'a str],
    /// Its standard input.
    pub input: &'a [u8],
    /// How long it may take.
    pub limit: Duration,
}

impl Guest {
    /// The inside of an instance.
    #[must_use]
    pub fn new(client: Client, instance: String) -> Self {
        Self { client, instance }
    }

    /// The inside of a container.
    #[must_use]
    pub fn of(client: Client, container: &Container) -> Self {
        Self::new(client, container.name.instance())
    }

    /// Runs a script as root to its end, unless `job` is cancelled. What it writes on standard error
    /// becomes the job's output; what it writes on standard output is returned.
    ///
    /// # Errors
    /// It could not be run, failed, or took too long.
    pub async fn run(&self, script: Script<'_>, job: &Job) -> Result<String, GuestError> {
        self.run_until(script, job, job.cancelled()).await
    }

    /// Runs a script that puts in order what another left: also when `job` is cancelled.
    ///
    /// # Errors
    /// It could not be run, failed, or took too long.
    pub async fn clean_up(&self, script: Script<'_>, job: &Job) -> Result<String, GuestError> {
        self.run_until(script, job, &CancellationToken::new()).await
    }

    /// Waits until an sshd listens inside, for 15 s at most; whether one does.
    pub async fn wait_for_sshd(&self, job: &Job) -> bool {
        const TENTHS: &str = "150";
        let script = Script {
            what: "wait for sshd",
            text: include_str!("listen.sh"),
            arguments: &[TENTHS],
            input: &[],
            limit: Duration::from_secs(20),
        };
        self.run(script, job).await.is_ok()
    }

    /// The client of its Incus, and its name there.
    #[must_use]
    pub fn instance(&self) -> (&Client, &str) {
        (&self.client, &self.instance)
    }

    async fn run_until(
        &self,
        script: Script<'_>,
        job: &Job,
        cancelled: &CancellationToken,
    ) -> Result<String, GuestError> {
        let Script { what, text, arguments, input, limit } = script;
        let argv = [&["/bin/sh", "-c", text, "containarium"], arguments].concat();
        let (mut answer, mut lines) = (Vec::new(), Lines::default());
        let run = self.run_again(&argv, input, |piece| match piece {
            Output::Stdout(data) => {
                let room = MAX_ANSWER - answer.len();
                answer.extend_from_slice(data.get(..room).unwrap_or(&data));
            }
            Output::Stderr(data) => lines.feed(&data, |line| job.output(line)),
        });
        let run = cancelled.run_until_cancelled(timeout(limit, run));
        let status = match run.await {
            None => return Err(GuestError::Cancelled(what)),
            Some(Err(_)) => return Err(GuestError::Timeout { what, limit }),
            Some(Ok(status)) => status?,
        };
        lines.finish(|line| job.output(line));
        if status == 0 {
            return Ok(String::from_utf8_lossy(&answer).into_owned());
        }
        Err(GuestError::Failed { what, status, said: printable(&lines.last, 200) })
    }
}

impl Guest {
    /// Runs a command, and again if Incus could not begin it: with much to do at once, it happens.
    async fn run_again(
        &self,
        argv: &[&str],
        input: &[u8],
        mut output: impl FnMut(Output),
    ) -> Result<i32, IncusError> {
        const TRIES: usize = 3;
        for _ in 1..TRIES {
            match self.client.run(&self.instance, argv, input.to_vec(), &mut output).await {
                Err(error) if error.has_not_begun() => {}
                ended => return ended,
            }
        }
        self.client.run(&self.instance, argv, input.to_vec(), output).await
    }
}

/// Bytes made lines. Pure.
#[derive(Debug, Default)]
struct Lines {
    part: Vec<u8>,
    last: String,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8], mut line: impl FnMut(&str)) {
        for &byte in bytes {
            // A progress bar goes back to the beginning of its line.
            if byte == b'\n' || byte == b'\r' || self.part.len() >= MAX_LINE {
                self.finish(&mut line);
            }
            if byte != b'\n' && byte != b'\r' {
                self.part.push(byte);
            }
        }
    }

    fn finish(&mut self, mut line: impl FnMut(&str)) {
        let part = std::mem::take(&mut self.part);
        let text = String::from_utf8_lossy(&part);
        if !text.trim().is_empty() {
            line(&text);
            self.last = text.into_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_comes_in_lines_of_bounded_length() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for piece in ["one\ntw", "o\r\n\n", "50%\r100%\nlast", &"x".repeat(3 * MAX_LINE)] {
            lines.feed(piece.as_bytes(), |line| seen.push(line.to_owned()));
        }
        lines.finish(|line| seen.push(line.to_owned()));
        assert_eq!(&seen[..4], ["one", "two", "50%", "100%"]);
        assert!(seen.len() == 8 && seen.iter().all(|line| line.len() <= MAX_LINE), "{seen:?}");
    }
}
