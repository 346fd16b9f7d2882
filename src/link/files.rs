//! Files on a backend's host, over its control connection. What runs there is constant text; paths
//! reach it by its standard input, so that no shell ever reads them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64ct::{Base64, Encoding};
use russh::ChannelMsg;
use tokio::{sync::oneshot, time::timeout};

use super::{
    control::{Link, LinkError},
    session::Session,
};
use crate::model::text::printable;

/// The script, for whatever shell the account has.
const COMMAND: &str = concat!("exec /bin/sh -c '", include_str!("files.sh"), "'");

/// For everything: a host whose disk hangs is not waited for.
const DEADLINE: Duration = Duration::from_secs(10);

/// Most bytes that the script may say: the largest store of certificates, many times over.
const MAX_OUTPUT: usize = 4 * 1024 * 1024;

/// Most bytes of what it complains about.
const MAX_COMPLAINT: usize = 4096;

/// Longest complaint that is shown, in characters.
const MAX_SHOWN: usize = 200;

/// Files, and what was not read.
#[derive(Debug, Default)]
pub struct Files {
    /// By path. Larger ones than 64 KiB are cut after one byte more.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What the host says of others, fit for people.
    pub complaint: Option<String>,
}

/// What the script said.
#[derive(Default)]
struct Said {
    output: Vec<u8>,
    complaint: Vec<u8>,
    status: Option<u32>,
}

impl Link {
    /// Reads files by their whole paths, which have no line breaks.
    ///
    /// # Errors
    /// The backend is away, or lets nobody run a command.
    pub async fn read_files(&self, paths: &[&str]) -> Result<Files, LinkError> {
        self.ask(format!("files\n{}\n", paths.join("\n"))).await
    }

    /// Reads the certificates and keys in the store of Caddy at `folder`, 64 at most.
    ///
    /// # Errors
    /// As [`Self::read_files`].
    pub async fn read_caddy(&self, folder: &str) -> Result<Files, LinkError> {
        self.ask(format!("caddy\n{folder}\n")).await
    }

    async fn ask(&self, input: String) -> Result<Files, LinkError> {
        let (session, _) = self.session().await?;
        let said = session.read_files(input).await;
        said.map(Said::files).map_err(|reason| self.refused("a command", &reason))
    }
}

impl Session {
    /// Runs the script to its end, whoever stops waiting.
    async fn read_files(self: &Arc<Self>, input: String) -> Result<Said, String> {
        let (hand_over, said) = oneshot::channel();
        let session = Arc::clone(self);
        self.partings.own(async move {
            // Nobody may want it any more.
            drop(hand_over.send(session.run(input).await));
        });
        said.await.unwrap_or_else(|_| Err("connection was lost".to_owned()))
    }

    async fn run(&self, input: String) -> Result<Said, String> {
        let failed = |e: russh::Error| printable(&e.to_string(), MAX_SHOWN);
        let late = |_| "no answer".to_owned();
        let opened = timeout(DEADLINE, self.handle.channel_open_session()).await.map_err(late)?;
        let mut channel = opened.map_err(failed)?;
        let mut said = Said::default();
        let talk = async {
            channel.exec(true, COMMAND).await?;
            channel.data(input.as_bytes()).await?;
            channel.eof().await?;
            while let Some(message) = channel.wait().await {
                if !said.take(&message) {
                    break;
                }
            }
            Ok(())
        };
        let talked = timeout(DEADLINE, talk).await;
        // Fails only where the other side has closed it, as it should.
        let _ = timeout(DEADLINE, channel.close()).await;
        talked.map_err(late)?.map_err(failed)?;
        match said.status {
            Some(_) => Ok(said),
            None => Err("the account may not run commands there".to_owned()),
        }
    }
}

impl Said {
    /// Takes what came; false when there is no more to be had.
    fn take(&mut self, message: &ChannelMsg) -> bool {
        if let ChannelMsg::Data { data } = message {
            self.output.extend_from_slice(data);
        } else if let ChannelMsg::ExtendedData { data, .. } = message {
            let room = MAX_COMPLAINT.saturating_sub(self.complaint.len());
            self.complaint.extend_from_slice(&data[..data.len().min(room)]);
        } else if let ChannelMsg::ExitStatus { exit_status } = message {
            self.status = Some(*exit_status);
        }
        let ended = matches!(message, ChannelMsg::Close | ChannelMsg::Failure);
        !ended && self.output.len() <= MAX_OUTPUT
    }

    fn files(self) -> Files {
        let output = String::from_utf8_lossy(&self.output);
        let file = |line: &str| {
            let (text, path) = line.split_once(' ')?;
            Some((path.to_owned(), Base64::decode_vec(text).ok()?))
        };
        let said = String::from_utf8_lossy(&self.complaint);
        let complaint = said.lines().find(|line| !line.is_empty());
        let complaint = complaint.map(|line| printable(line, MAX_SHOWN));
        let complaint = complaint.filter(|_| self.status != Some(0));
        Files { files: output.lines().filter_map(file).collect(), complaint }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::Write,
        process::{Command, Stdio},
    };

    use super::*;

    /// What the script says, run as an sshd runs it.
    fn run(input: &str) -> Files {
        let mut child = Command::new("sh")
            .args(["-c", COMMAND])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        let status = out.status.code().and_then(|s| u32::try_from(s).ok());
        Said { output: out.stdout, complaint: out.stderr, status }.files()
    }

    #[test]
    fn files_are_read_by_paths_that_no_shell_reads() {
        assert_eq!(COMMAND.matches('\'').count(), 2);
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("a $(touch x) `id` \"b\" 'c' *");
        fs::write(&odd, "text\nof two lines\n").unwrap();
        let (odd, none) = (odd.display().to_string(), "/nonexistent/x".to_owned());
        let found = run(&format!("files\n{odd}\n{none}\n"));
        assert_eq!(found.files.len(), 1);
        assert_eq!(found.files[&odd], b"text\nof two lines\n");
        assert!(found.complaint.unwrap().contains("/nonexistent/x"));
        assert!(run(&format!("files\n{odd}\n")).complaint.is_none());
    }

    #[test]
    fn a_store_of_caddy_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let site = folder.path().join("certificates/acme/a.example");
        fs::create_dir_all(&site).unwrap();
        for (name, text) in [("a.example.crt", "C\n"), ("a.example.key", "K\n"), ("x.json", "")] {
            fs::write(site.join(name), text).unwrap();
        }
        let store = folder.path().display().to_string();
        let found = run(&format!("caddy\n{store}\n"));
        let key = format!("{store}/certificates/acme/a.example/a.example.key");
        assert_eq!((found.files.len(), found.files[&key].as_slice()), (2, &b"K\n"[..]));
        let none = run("caddy\n/nonexistent\n");
        assert!(none.files.is_empty() && none.complaint.unwrap().contains("No such file"));
    }
}
