//! Bytes between an exec's websockets and its stream, one task a direction: neither waits for the
//! other, and each takes a piece only when it has got rid of the one before.

use futures_util::{SinkExt, StreamExt, stream::SplitStream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    select,
};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::websocket::Socket;
use crate::model::text::printable_bytes;

/// Largest piece written at a time, in bytes.
const PIECE: usize = 32 * 1024;
/// What is kept of standard error, in bytes.
const MAX_STDERR: usize = 4 * 1024;

/// To the command's standard input, until the writer is done or the command gone.
pub(super) async fn input(mut from: DuplexStream, to: Socket) {
    let (mut sink, mut back) = to.split();
    let send = async {
        let mut piece = vec![0; PIECE];
        loop {
            let message = match from.read(&mut piece).await {
                Ok(0) | Err(_) => Message::text(""),
                Ok(n) => Message::Binary(Bytes::copy_from_slice(&piece[..n])),
            };
            let last = message.is_empty();
            if sink.send(message).await.is_err() || last {
                return;
            }
        }
    };
    // Reading answers pings.
    select! {
        () = drain(&mut back) => return,
        () = send => {}
    }
    drain(&mut back).await;
}

/// From the command's standard output, until its end or until nobody reads.
pub(super) async fn output(mut from: Socket, mut to: DuplexStream) {
    while let Some(Ok(message)) = from.next().await {
        match message {
            Message::Binary(data) => {
                if to.write_all(&data).await.is_err() {
                    return;
                }
            }
            // An empty text is the end; there is no other.
            Message::Text(_) | Message::Close(_) => break,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

/// From the command's standard error: its beginning is logged.
pub(super) async fn errors(mut from: Socket, instance: String) {
    let mut said = Vec::new();
    while let Some(Ok(message)) = from.next().await {
        match message {
            Message::Binary(data) => {
                let room = MAX_STDERR - said.len();
                said.extend_from_slice(&data[..data.len().min(room)]);
            }
            Message::Text(_) | Message::Close(_) => break,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
    if !said.is_empty() {
        let said = printable_bytes(&said, MAX_STDERR);
        tracing::debug!(instance, said, "exec wrote to standard error");
    }
}

/// Holds the control connection: losing it would kill the command.
pub(super) async fn idle(control: Socket) {
    let (_sink, mut back) = control.split();
    drain(&mut back).await;
}

async fn drain(from: &mut SplitStream<Socket>) {
    while let Some(Ok(_)) = from.next().await {}
}
