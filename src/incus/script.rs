//! A command inside an instance from its start to its exit status: its output comes in pieces, as
//! it is written. Through websockets, as recorded output is empty when the instance's disk is full.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::Method;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::{
    Client, IncusError,
    client::escape,
    exec::{self, Streams},
    operation::Operation,
    websocket::Socket,
};

/// Pieces of output that wait for whoever reads them.
const PIECES: usize = 16;
/// How often a command is started to which nobody could attach in time.
const TRIES: usize = 3;
/// From the end of the output to the exit status.
pub(super) const STATUS: Duration = Duration::from_secs(60);

/// What a command wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// On standard output.
    Stdout(Bytes),
    /// On standard error.
    Stderr(Bytes),
}

impl Client {
    /// Runs `argv` as root inside an instance with `input` as its standard input, and hands what it
    /// writes to `output`; its exit status. Dropping the future kills the command. It may take as
    /// long as it wants: the caller has the deadline.
    ///
    /// # Errors
    /// As [`IncusError`] tells; [`IncusError::Api`] when the instance is not running or has no such
    /// command.
    pub async fn run(
        &self,
        instance: &str,
        argv: &[&str],
        input: Vec<u8>,
        mut output: impl FnMut(Output),
    ) -> Result<i32, IncusError> {
        let body = json!({
            "command": argv, "environment": {},
            "wait-for-websocket": true, "interactive": false, "record-output": false,
        });
        let path = format!("/1.0/instances/{}/exec", escape(instance));
        let (operation, streams) = Box::pin(self.begin(&path, &body)).await?;
        let Streams { control, stdin, stdout, stderr } = streams;
        let (pieces, mut written) = mpsc::channel(PIECES);
        let streams = async {
            let (out, err) = (pieces.clone(), pieces);
            tokio::join!(
                feed(stdin, input),
                drain(stdout, Output::Stdout, out),
                drain(stderr, Output::Stderr, err),
            )
        };
        let collect = async {
            while let Some(piece) = written.recv().await {
                output(piece);
            }
        };
        tokio::join!(streams, collect);
        let ended = timeout(2 * STATUS, self.wait(&operation.id, STATUS)).await;
        drop(control);
        match ended.unwrap_or(Err(IncusError::Timeout(path))) {
            // Incus takes these statuses for its own trouble: a script may end with them, too.
            Err(error) if error.says("Command not found") => Ok(127),
            Err(error) if error.says("Command not executable") => Ok(126),
            ended => ended.map(|operation| status(&operation)),
        }
    }

    /// Starts a command and attaches to it. Incus drops a command to which nobody attached within
    /// 5 s, before it has begun: on a host that is as busy as that, another is started.
    async fn begin(&self, path: &str, body: &Value) -> Result<(Operation, Streams), IncusError> {
        let mut left = TRIES;
        loop {
            let operation = self.start(Method::POST, path, body).await?;
            left -= 1;
            match exec::attach_all([&self.dial; 3], &operation).await {
                Ok(streams) => return Ok((operation, streams)),
                Err(error) if left > 0 && (error.is_unavailable() || error.is_not_found()) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The exit status of a command that is over.
pub(super) fn status(ended: &Operation) -> i32 {
    let status = ended.metadata.as_ref().and_then(|m| m.get("return"));
    // Without one it was killed with its instance.
    status.and_then(Value::as_i64).and_then(|s| i32::try_from(s).ok()).unwrap_or(-1)
}

/// Standard input, whole; the connection stays until the command closes it.
async fn feed(to: Socket, input: Vec<u8>) {
    /// Incus's own pieces.
    const PIECE: usize = 32 * 1024;
    let (mut sink, mut back) = to.split();
    let send = async {
        for piece in input.chunks(PIECE) {
            if sink.send(Message::Binary(Bytes::copy_from_slice(piece))).await.is_err() {
                return;
            }
        }
        // An empty text is the end. Failing means that the command took no more.
        let _ = sink.send(Message::text("")).await;
    };
    tokio::select! {
        () = send => {}
        () = async { while let Some(Ok(_)) = back.next().await {} } => {}
    }
}

async fn drain(mut from: Socket, piece: fn(Bytes) -> Output, to: mpsc::Sender<Output>) {
    while let Some(Ok(message)) = from.next().await {
        match message {
            Message::Binary(data) => {
                if to.send(piece(data)).await.is_err() {
                    return;
                }
            }
            Message::Text(_) | Message::Close(_) => return,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}
