//! The other end of the control socket: one command, as `ssh` would run it.

use std::{
    borrow::Cow,
    io::{self, ErrorKind},
    path::Path,
    sync::Arc,
    time::Duration,
};

use russh::{
    Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Pty, Sig, SshId,
    client::{self, Handle, Handler, Msg},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use super::person::{Look, Person, Turn};
use crate::command::{
    failure::{Failure, Kind},
    format_of,
    render::{Outcome, failure},
};

/// What a command has of whoever typed it.
#[derive(Debug)]
pub struct Stdio<I, O, E> {
    /// Standard input; read only as the command takes it.
    pub stdin: I,
    /// Standard output.
    pub stdout: O,
    /// Standard error.
    pub stderr: E,
    /// The person, with her terminal and her signals; `None`: nobody.
    pub person: Option<Person>,
}

/// How long the sentinel may take to let a local command in.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What a shell shows for a program that a closed pipe ended: 128 + SIGPIPE.
const BROKEN_PIPE: u8 = 141;

/// `SSH_EXTENDED_DATA_STDERR`.
const STDERR: u32 = 1;

/// Bytes of standard input sent at once.
const CHUNK: usize = 16 * 1024;

/// Runs the command `words` at the sentinel that listens on `socket`: its exit status. What goes
/// wrong on the way is written to the error output in the form of every other failure.
pub async fn run_remote<I, O, E>(socket: &Path, words: &[String], mut io: Stdio<I, O, E>) -> u8
where
    I: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
    E: AsyncWrite + Unpin,
{
    match run(socket, words, &mut io).await {
        Ok(status) => status,
        Err(Ended::Failure(reason)) => {
            let Outcome { stdout, stderr, status } = failure(&reason, format_of(words));
            // The failure has been told as well as it can be; the status still tells it.
            let _ = io.stdout.write_all(stdout.as_bytes()).await;
            let _ = io.stdout.flush().await;
            let _ = io.stderr.write_all(stderr.as_bytes()).await;
            let _ = io.stderr.flush().await;
            status
        }
        Err(Ended::Output(e)) if e.kind() == ErrorKind::BrokenPipe => BROKEN_PIPE,
        Err(Ended::Output(_)) => Kind::Failed.status(),
    }
}

/// Why no exit status came.
enum Ended {
    Failure(Failure),
    Output(io::Error),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

async fn run<I, O, E>(socket: &Path, words: &[String], io: &mut Stdio<I, O, E>) -> Result<u8, Ended>
where
    I: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
    E: AsyncWrite + Unpin,
{
    let line = shlex::try_join(words.iter().map(String::as_str))
        .map_err(|_| Failure::new(Kind::Usage, "an argument holds a NUL character"))?;
    let stream = UnixStream::connect(socket).await.map_err(|e| unreachable(socket, &e))?;
    let look = io.person.as_ref().and_then(Person::look);
    let opened = timeout(HANDSHAKE, open(stream, line, look)).await;
    let (_connection, channel) = opened.ok().and_then(Result::ok).ok_or_else(|| {
        Failure::new(Kind::Unavailable, "the sentinel does not answer on its control socket")
            .hint("look at its log: journalctl -u containarium")
    })?;
    let (read, write) = channel.split();
    let _raw = io.person.as_ref().and_then(Person::make_raw);
    let reads = io.person.as_ref().is_none_or(Person::reads);
    let input = send(reads.then_some(&mut io.stdin), &write);
    let output = receive(read, &mut io.stdout, &mut io.stderr);
    let attended = attend(io.person.as_mut(), &write);
    tokio::pin!(input, output, attended);
    let mut input_ended = false;
    loop {
        tokio::select! {
            status = &mut output => return status,
            status = &mut attended => return Ok(status),
            () = &mut input, if !input_ended => input_ended = true,
        }
    }
}

/// Passes on what the person does to her terminal and to this process. Ends, with an exit status,
/// when the process is to end before the command did.
async fn attend(person: Option<&mut Person>, write: &ChannelWriteHalf<Msg>) -> u8 {
    let Some(person) = person else { return std::future::pending().await };
    let mut interrupted = false;
    loop {
        // Failing means that the session ended, which `receive` reports.
        let _ = match person.next().await {
            Turn::Resized(size) => {
                write.window_change(size.columns.into(), size.rows.into(), 0, 0).await
            }
            Turn::Interrupted if !std::mem::replace(&mut interrupted, true) => {
                write.signal(Sig::INT).await
            }
            Turn::Interrupted => return Kind::Interrupted.status(),
            Turn::End(signal) => return signal.saturating_add(128),
        };
    }
}

/// A session that runs `line`. The handle keeps the connection.
async fn open(
    stream: UnixStream,
    line: String,
    look: Option<Look>,
) -> Result<(Handle<Sentinel>, Channel<Msg>), russh::Error> {
    let config = client::Config {
        client_id: SshId::Standard(Cow::Borrowed("SSH-2.0-containarium")),
        preferred: super::super::preferred(),
        limits: super::super::never_rekey(),
        inactivity_timeout: None,
        ..client::Config::default()
    };
    let mut connection = client::connect_stream(Arc::new(config), stream, Sentinel).await?;
    if !connection.authenticate_none("local").await?.success() {
        return Err(russh::Error::NotAuthenticated);
    }
    let channel = connection.channel_open_session().await?;
    if let Some(Look { term, size, output }) = look {
        let (columns, rows) = (size.columns.into(), size.rows.into());
        // How the sentinel learns whether standard output is the terminal, too.
        let modes = [(Pty::OPOST, u32::from(output))];
        channel.request_pty(false, &term, columns, rows, 0, 0, &modes).await?;
    }
    channel.exec(true, line).await?;
    Ok((connection, channel))
}

async fn send(input: Option<impl AsyncRead + Unpin>, write: &ChannelWriteHalf<Msg>) {
    let mut chunk = vec![0; CHUNK];
    if let Some(mut input) = input {
        while let Ok(length @ 1..) = input.read(&mut chunk).await {
            let piece = chunk.get(..length).unwrap_or_default().to_vec();
            if write.data_bytes(piece).await.is_err() {
                return;
            }
        }
    }
    // Failing means that the session ended, which `receive` reports.
    let _ = write.eof().await;
}

async fn receive(
    mut read: ChannelReadHalf,
    mut stdout: impl AsyncWrite + Unpin,
    mut stderr: impl AsyncWrite + Unpin,
) -> Result<u8, Ended> {
    let mut status = None;
    loop {
        match read.wait().await {
            Some(ChannelMsg::Data { data }) => put(&mut stdout, &data).await?,
            Some(ChannelMsg::ExtendedData { data, ext: STDERR }) => put(&mut stderr, &data).await?,
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                status = Some(u8::try_from(exit_status).unwrap_or(Kind::Failed.status()));
            }
            Some(ChannelMsg::Close) | None => break,
            Some(_) => {}
        }
    }
    status.ok_or_else(|| {
        Failure::new(Kind::Unavailable, "the sentinel ended before the command did")
            .hint("look at its log: journalctl -u containarium")
            .into()
    })
}

async fn put(output: &mut (impl AsyncWrite + Unpin), data: &[u8]) -> Result<(), Ended> {
    output.write_all(data).await.map_err(Ended::Output)?;
    output.flush().await.map_err(Ended::Output)
}

fn unreachable(socket: &Path, error: &io::Error) -> Failure {
    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) {
        return Failure::new(Kind::Unavailable, "no sentinel is running here")
            .hint("start it: systemctl start containarium, or containarium serve");
    }
    if error.kind() == ErrorKind::PermissionDenied {
        return Failure::new(Kind::NotPermitted, "only root may talk to the sentinel here")
            .hint("type it again with sudo");
    }
    let what = format!("cannot connect to {}: {error}", socket.display());
    Failure::new(Kind::Unavailable, what)
}

struct Sentinel;

impl Handler for Sentinel {
    type Error = russh::Error;

    /// The socket's place and mode say who is behind it; the key is another at every start.
    async fn check_server_key(
        &mut self,
        _key: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        Ok(true)
    }
}
