//! A command inside an instance as a byte stream: four websockets, each over a connection of its
//! own, and the tasks of `pump` between them and one stream.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::Method;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    task::JoinSet,
};

use super::{Client, IncusError, client::escape, operation::Operation, pump, websocket};
use crate::link::{Dial, Stream};

/// Incus waits 5 s for all websockets.
const ATTACH: Duration = Duration::from_secs(5);
/// What either direction may hold, in bytes.
const BUFFER: usize = 64 * 1024;

/// Starts `argv` and attaches to it: to its standard input and output through `bulk`.
pub(super) async fn run(
    client: &Client,
    (dial, bulk): (&Arc<dyn Dial>, &Arc<dyn Dial>),
    instance: &str,
    argv: &[&str],
    env: &BTreeMap<String, String>,
) -> Result<Stream, IncusError> {
    let body = json!({
        "command": argv, "environment": env,
        "wait-for-websocket": true, "interactive": false, "record-output": false,
    });
    let path = format!("/1.0/instances/{}/exec", escape(instance));
    let operation = client.start(Method::POST, &path, &body).await?;
    let Streams { control, stdin, stdout, stderr } =
        attach_all([dial, bulk, dial], &operation).await?;
    // One pipe a direction: when one ends, whoever uses it learns that and the other goes on.
    let (input, to_send) = tokio::io::duplex(BUFFER);
    let (output, received) = tokio::io::duplex(BUFFER);
    let mut pumps = JoinSet::new();
    pumps.spawn(pump::input(to_send, stdin));
    pumps.spawn(pump::output(stdout, received));
    pumps.spawn(pump::errors(stderr, instance.to_owned()));
    pumps.spawn(pump::idle(control));
    Ok(Box::new(Exec { input, output, _pumps: pumps }))
}

/// The websockets of one command.
pub(super) struct Streams {
    /// To be kept while the command runs.
    pub(super) control: websocket::Socket,
    pub(super) stdin: websocket::Socket,
    pub(super) stdout: websocket::Socket,
    pub(super) stderr: websocket::Socket,
}

/// Attaches to a command that was just started: to control, to standard input and output, and to
/// standard error, each by its own way.
pub(super) async fn attach_all(
    [dial, bulk, errors]: [&Arc<dyn Dial>; 3],
    operation: &Operation,
) -> Result<Streams, IncusError> {
    // The command starts when 0, 1 and 2 are there; a short one could be over before `control`.
    let control = attach(dial, operation, "control").await?;
    let (stdin, stdout, stderr) = tokio::try_join!(
        attach(bulk, operation, "0"),
        attach(bulk, operation, "1"),
        attach(errors, operation, "2"),
    )?;
    Ok(Streams { control, stdin, stdout, stderr })
}

/// Attaches to one stream of a command.
pub(super) async fn attach(
    dial: &Arc<dyn Dial>,
    operation: &Operation,
    fd: &'static str,
) -> Result<websocket::Socket, IncusError> {
    let secrets = operation.secrets();
    let secret = secrets.get(fd).ok_or_else(|| IncusError::Decode {
        request: "exec".to_owned(),
        reason: format!("no secret for stream {fd}"),
    })?;
    let path = format!("/1.0/operations/{}/websocket?secret={secret}", operation.id);
    websocket::connect(dial, &path, ATTACH).await
}

/// A command's standard input and output.
struct Exec {
    input: DuplexStream,
    output: DuplexStream,
    _pumps: JoinSet<()>,
}

impl AsyncRead for Exec {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(cx, buf)
    }
}

impl AsyncWrite for Exec {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(cx)
    }
}
