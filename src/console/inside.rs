//! An SSH session inside a container for somebody who chose it at the console: her shell or command
//! there, with her terminal, and its end. The door says which account and what it may.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use russh::{
    ChannelMsg, ChannelReadHalf, Pty as Mode, Sig,
    client::{self, Handle},
};
use ssh_key::{Certificate, PrivateKey};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    audit::EndedBy,
    command::terminal::{Piece, Terminal},
    link::{Pinned, Stream, client_config, leash::Leash},
    model::key::PublicKey,
};

/// From the first byte to a login: as long as the door gives one way.
const LOGIN: Duration = Duration::from_secs(8);

/// `SSH_EXTENDED_DATA_STDERR`.
const STDERR: u32 = 1;

/// Why nobody got in.
#[derive(Debug, thiserror::Error)]
pub enum InsideError {
    /// The container's sshd did not answer in time.
    #[error("its sshd does not answer")]
    Timeout,
    /// It does not accept the certificate.
    #[error("its sshd does not let the sentinel in")]
    Refused,
    /// The connection broke, or its host key is not the pinned one.
    #[error("connection to its sshd failed: {0}")]
    Ssh(#[from] russh::Error),
}

/// Who logs in where.
pub struct Login<'a> {
    /// Host keys of which the sshd must prove one.
    pub pinned: &'a [PublicKey],
    /// The account.
    pub account: &'a str,
    /// The key that the certificate is for.
    pub key: Arc<PrivateKey>,
    /// What it may.
    pub certificate: Certificate,
}

type Told = Box<dyn FnOnce(EndedBy, String) + Send>;

/// A login that a visitor chose.
pub struct Inside {
    connection: Handle<Pinned>,
    /// Says why the session is to end before its person ends it.
    ended: BoxFuture<'static, Arc<str>>,
    /// Is told how it ended.
    told: Option<Told>,
    _stop: DropGuard,
}

/// What a session is to be.
pub(super) struct Wish<'a> {
    /// A command line, or a shell.
    pub(super) line: Option<&'a [u8]>,
    /// Modes of the terminal.
    pub(super) modes: &'a [(Mode, u32)],
    /// Variables of the environment; the sshd decides which it takes.
    pub(super) variables: &'a [(String, String)],
}

/// How it ended.
pub(super) enum End {
    /// With this exit status.
    Status(u32),
    /// Because somebody ended it, who says why.
    Ended(Arc<str>),
    /// The connection was lost.
    Lost,
}

impl Inside {
    /// Logs in over `stream`; the session ends when `ended` does.
    ///
    /// # Errors
    /// As [`InsideError`] tells.
    pub async fn log_in(
        stream: Stream,
        login: Login<'_>,
        ended: BoxFuture<'static, Arc<str>>,
    ) -> Result<Self, InsideError> {
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        let config = Arc::new(client_config(login.pinned));
        let enter = async {
            let pinned = Pinned::new(login.pinned.to_vec());
            let mut connection =
                client::connect_stream(config, Leash::new(stream, stop), pinned).await?;
            let Login { account, key, certificate, .. } = login;
            let answer = connection.authenticate_openssh_cert(account, key, certificate).await?;
            if answer.success() { Ok(connection) } else { Err(InsideError::Refused) }
        };
        let connection = timeout(LOGIN, enter).await.map_err(|_| InsideError::Timeout)??;
        Ok(Self { connection, ended, told: None, _stop: guard })
    }

    /// Tells `told` who ended it and why. Where its person is gone, `told` is dropped.
    #[must_use]
    pub fn telling(self, told: impl FnOnce(EndedBy, String) + Send + 'static) -> Self {
        Self { told: Some(Box::new(told)), ..self }
    }

    /// Runs one session to its end.
    pub(super) async fn run(
        mut self,
        wish: &Wish<'_>,
        terminal: &mut Terminal,
    ) -> Result<End, russh::Error> {
        let told = self.told.take();
        let end = self.go(wish, terminal).await;
        if let Some(told) = told {
            let (by, reason) = match &end {
                Ok(End::Status(status)) => (EndedBy::Container, format!("status {status}")),
                Ok(End::Ended(sentence)) => (EndedBy::Sentinel, sentence.to_string()),
                Ok(End::Lost) => (EndedBy::Container, "the connection was lost".to_owned()),
                Err(e) => (EndedBy::Container, e.to_string()),
            };
            told(by, reason);
        }
        end
    }

    async fn go(self, wish: &Wish<'_>, terminal: &mut Terminal) -> Result<End, russh::Error> {
        let mut channel = self.connection.channel_open_session().await?;
        let pty = terminal.pty().cloned();
        let mut lines = Lines::AsTheyAre;
        if let Some(pty) = &pty {
            let size = *pty.size.borrow();
            let (columns, rows) = (size.columns.into(), size.rows.into());
            channel.request_pty(true, &pty.term, columns, rows, 0, 0, wish.modes).await?;
            // Her key may not have one there; the one that she types on is raw all the same.
            if matches!(channel.wait().await, Some(ChannelMsg::Failure)) {
                lines = Lines::OfTerminal;
            }
        }
        for (name, value) in wish.variables {
            channel.set_env(false, name.as_str(), value.as_str()).await?;
        }
        match wish.line {
            Some(line) => channel.exec(true, line).await?,
            None => channel.request_shell(true).await?,
        }
        let interrupted = terminal.interrupted().clone();
        let (input, output) = terminal.split();
        let (read, write) = channel.split();
        let up = async {
            while let Some(piece) = input.recv().await {
                if write.data_bytes(piece).await.is_err() {
                    break;
                }
            }
            let _ = write.eof().await;
            std::future::pending::<()>().await;
        };
        let sizes = async {
            let Some(mut pty) = pty else { return std::future::pending().await };
            while pty.size.changed().await.is_ok() {
                let size = *pty.size.borrow_and_update();
                let _ = write.window_change(size.columns.into(), size.rows.into(), 0, 0).await;
            }
            std::future::pending::<()>().await;
        };
        let signalled = async {
            interrupted.cancelled().await;
            let _ = write.signal(Sig::INT).await;
            std::future::pending::<()>().await;
        };
        let end = tokio::select! {
            end = down(read, output, lines) => end,
            sentence = self.ended => End::Ended(sentence),
            () = up => End::Lost,
            () = sizes => End::Lost,
            () = signalled => End::Lost,
        };
        Ok(end)
    }
}

/// How lines end where she sees them.
#[derive(Clone, Copy)]
enum Lines {
    AsTheyAre,
    OfTerminal,
}

impl Lines {
    fn end(self, data: Bytes) -> Bytes {
        match self {
            Self::AsTheyAre => data,
            Self::OfTerminal => {
                let returned = data.iter().flat_map(|b| match b {
                    b'\n' => &b"\r\n"[..],
                    other => std::slice::from_ref(other),
                });
                returned.copied().collect()
            }
        }
    }
}

async fn down(mut read: ChannelReadHalf, output: &mpsc::Sender<Piece>, lines: Lines) -> End {
    let mut status = None;
    loop {
        let piece = match read.wait().await {
            Some(ChannelMsg::Data { data }) => Piece::Stdout(lines.end(data)),
            Some(ChannelMsg::ExtendedData { data, ext: STDERR }) => Piece::Stderr(lines.end(data)),
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                status = Some(exit_status);
                continue;
            }
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                status = Some(128 + number(&signal_name));
                continue;
            }
            // The command line was not wanted: a key that is for forwarding only, for instance.
            Some(ChannelMsg::Failure) if status.is_none() => return End::Lost,
            Some(ChannelMsg::Close) | None => break,
            Some(_) => continue,
        };
        // Failing means that nobody is left to read: the session is about to end.
        let _ = output.send(piece).await;
    }
    status.map_or(End::Lost, End::Status)
}

/// Numbers of signals as shells add them to 128 (Linux).
fn number(signal: &Sig) -> u32 {
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM | Sig::Custom(_) => 15,
    }
}
