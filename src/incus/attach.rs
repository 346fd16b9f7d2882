//! A command inside an instance with somebody at the other end: bytes both ways until it ends,
//! perhaps on a terminal of its own. Each direction waits for whoever takes its bytes.

use std::collections::BTreeMap;

use futures_util::{
    Sink, SinkExt, Stream, StreamExt, future,
    stream::{SplitSink, SplitStream},
};
use hyper::Method;
use serde_json::json;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_util::sync::CancellationToken;

use super::{
    Client, IncusError,
    client::escape,
    exec::{self, Streams},
    script::{self, Output},
    websocket::Socket,
};

/// `SIGTERM`.
const TERMINATE: u8 = 15;

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

impl Size {
    /// What a terminal without a size is taken for: the VT100's.
    pub const USUAL: Self = Self { columns: 80, rows: 24 };

    /// Cells of a terminal as they are asked for. Zero is what clients send who do not know, and is
    /// not to be taken for a size (RFC 4254, section 6.2).
    #[must_use]
    pub fn asked(columns: u32, rows: u32) -> Self {
        let cells = |asked: u32, unknown| match u16::try_from(asked) {
            Ok(0) => unknown,
            Ok(cells) => cells,
            Err(_) => u16::MAX,
        };
        Self { columns: cells(columns, Self::USUAL.columns), rows: cells(rows, Self::USUAL.rows) }
    }
}

/// A terminal for the command.
#[derive(Debug, Clone)]
pub struct Tty {
    /// The value of `TERM`.
    pub term: String,
    /// Its size, now and later.
    pub size: watch::Receiver<Size>,
}

/// The other end of a command.
#[derive(Debug)]
pub struct End<'a> {
    /// Its standard input, to its end.
    pub input: &'a mut mpsc::Receiver<Bytes>,
    /// What it writes; on a terminal all of it is standard output.
    pub output: mpsc::Sender<Output>,
    /// When cancelled, the command is sent `SIGTERM`.
    pub interrupted: CancellationToken,
}

impl Client {
    /// Runs `argv` as root inside an instance, attached to `end`: its exit status. Dropping the
    /// future kills the command.
    ///
    /// # Errors
    /// As [`IncusError`] tells; [`IncusError::Api`] when the instance is not running or has no such
    /// command.
    pub async fn attach(
        &self,
        instance: &str,
        argv: &[&str],
        tty: Option<Tty>,
        end: End<'_>,
    ) -> Result<i32, IncusError> {
        let mut body = json!({
            "command": argv, "environment": environment(tty.as_ref()),
            "wait-for-websocket": true, "interactive": tty.is_some(), "record-output": false,
        });
        if let Some(tty) = &tty {
            let Size { columns, rows } = *tty.size.borrow();
            body["width"] = json!(columns);
            body["height"] = json!(rows);
        }
        let path = format!("/1.0/instances/{}/exec", escape(instance));
        let operation = self.start(Method::POST, &path, &body).await?;
        let attached = if let Some(tty) = tty {
            let control = exec::attach(&self.dial, &operation, "control").await?;
            let data = exec::attach(&self.bulk, &operation, "0").await?;
            on_terminal(control, data, tty.size, end).await
        } else {
            let dials = [&self.dial, &self.bulk, &self.bulk];
            on_pipes(exec::attach_all(dials, &operation).await?, end).await
        };
        let ended = timeout(script::STATUS * 2, self.wait(&operation.id, script::STATUS)).await;
        drop(attached);
        Ok(script::status(&ended.unwrap_or(Err(IncusError::Timeout(path)))?))
    }
}

fn environment(tty: Option<&Tty>) -> BTreeMap<&'static str, &str> {
    tty.iter().map(|tty| ("TERM", tty.term.as_str())).collect()
}

/// The control connection: losing it kills the command.
type Control = (SplitSink<Socket, Message>, SplitStream<Socket>);

/// A pseudo-terminal: one stream. What is returned is to be kept until the status is known.
async fn on_terminal(
    control: Socket,
    data: Socket,
    mut size: watch::Receiver<Size>,
    end: End<'_>,
) -> Control {
    let (mut orders, mut heard) = control.split();
    let (mut keys, mut shown) = data.split();
    let End { input, output, interrupted } = end;
    let typed = async {
        send_all(input, &mut keys).await;
        // A terminal has no end, as at an sshd: keys come, or they do not.
        future::pending::<()>().await;
    };
    let ordered = async {
        let (mut told, mut fixed) = (false, false);
        loop {
            let order = tokio::select! {
                () = interrupted.cancelled(), if !told => {
                    told = true;
                    signal()
                }
                changed = size.changed(), if !fixed => {
                    fixed = changed.is_err();
                    resize(*size.borrow_and_update())
                }
                else => future::pending().await,
            };
            // Failing means that the command is over.
            let _ = orders.send(order).await;
        }
    };
    tokio::select! {
        () = show(&mut shown, Output::Stdout, &output) => {}
        () = typed => {}
        () = ordered => {}
        () = answer_pings(&mut heard) => {}
    }
    // Incus waits for this before it says that the command is over.
    let _ = keys.send(Message::Close(None)).await;
    (orders, heard)
}

/// Three pipes.
async fn on_pipes(streams: Streams, end: End<'_>) -> Control {
    let Streams { control, stdin, mut stdout, mut stderr } = streams;
    let (mut orders, mut heard) = control.split();
    let (mut write, mut back) = stdin.split();
    let End { input, output, interrupted } = end;
    let fed = async {
        send_all(input, &mut write).await;
        // An empty text is the end. Failing means that the command took no more.
        let _ = write.send(Message::text("")).await;
        future::pending::<()>().await;
    };
    let stopped = async {
        interrupted.cancelled().await;
        let _ = orders.send(signal()).await;
        future::pending::<()>().await;
    };
    let shown = async {
        tokio::join!(
            show(&mut stdout, Output::Stdout, &output),
            show(&mut stderr, Output::Stderr, &output),
        )
    };
    tokio::select! {
        _ = shown => {}
        () = fed => {}
        () = stopped => {}
        () = answer_pings(&mut back) => {}
        () = answer_pings(&mut heard) => {}
    }
    (orders, heard)
}

async fn send_all<S>(input: &mut mpsc::Receiver<Bytes>, to: &mut S)
where
    S: Sink<Message, Error = Error> + Unpin,
{
    while let Some(piece) = input.recv().await {
        if !piece.is_empty() && to.send(Message::Binary(piece)).await.is_err() {
            // It takes no more, and its output may go on.
            return;
        }
    }
}

/// What comes, until its end. When nobody takes it any more, it is dropped.
async fn show<S>(from: &mut S, piece: fn(Bytes) -> Output, to: &mpsc::Sender<Output>)
where
    S: Stream<Item = Result<Message, Error>> + Unpin,
{
    while let Some(Ok(message)) = from.next().await {
        match message {
            Message::Binary(data) => {
                let _ = to.send(piece(data)).await;
            }
            Message::Text(_) | Message::Close(_) => return,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

/// Reading answers pings; nothing else comes.
async fn answer_pings<S: Stream<Item = Result<Message, Error>> + Unpin>(from: &mut S) {
    while let Some(Ok(_)) = from.next().await {}
    future::pending::<()>().await;
}

fn resize(Size { columns, rows }: Size) -> Message {
    let args = json!({ "width": columns.to_string(), "height": rows.to_string() });
    Message::text(json!({ "command": "window-resize", "args": args }).to_string())
}

fn signal() -> Message {
    Message::text(json!({ "command": "signal", "signal": TERMINATE }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_written_as_incus_reads_them() {
        let text = resize(Size { columns: 132, rows: 50 }).to_string();
        let order: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(order["command"], "window-resize");
        assert_eq!(
            (&order["args"]["width"], &order["args"]["height"]),
            (&json!("132"), &json!("50"))
        );
        let order: serde_json::Value = serde_json::from_str(&signal().to_string()).unwrap();
        assert_eq!(order, json!({ "command": "signal", "signal": 15 }));
    }
}
