//! One direct-tcpip channel to a container's port: both directions, each ending on its own.

use std::{collections::VecDeque, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, server::Msg};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split},
    time::sleep,
};

use super::Stream;

/// Bytes read from the port at once.
const CHUNK: usize = 16 * 1024;

/// Bytes held for a port that reads slowly.
///
/// russh opens a channel's window as data arrives, and a channel that is not read stops its whole
/// connection, output included: an endpoint that reads only after its own output was taken would
/// never go on. An SSH session inside this channel has at most its window (2 MiB with OpenSSH)
/// under way, so with this much room it always does.
pub(super) const SPILL: usize = 3 * 1024 * 1024;

/// How long a port may take nothing while [`SPILL`] is full; the channel ends then, because its
/// neighbours on the connection wait too.
const STALL: Duration = Duration::from_secs(60);

/// Copies until both directions ended or the client closed the channel.
pub(super) async fn copy(channel: Channel<Msg>, stream: Stream) {
    let (mut read, write) = channel.split();
    let (from, to) = split(stream);
    let down = pump_down(from, &write);
    tokio::pin!(down);
    let mut down_ended = false;
    let to = {
        let up = pump_up(&mut read, to);
        tokio::pin!(up);
        loop {
            tokio::select! {
                end = &mut up => match end {
                    Up::Ended(to) => break to,
                    Up::Gone => return,
                },
                () = &mut down, if !down_ended => down_ended = true,
            }
        }
    };
    if !down_ended {
        tokio::select! {
            () = &mut down => {}
            () = gone(&mut read) => return,
        }
    }
    // The half that was shut down had to live on until the other direction ended.
    drop(to);
    let _ = write.close().await;
}

/// Reads and drops what nobody takes any more, until the client closes the channel.
async fn gone(read: &mut ChannelReadHalf) {
    loop {
        match read.wait().await {
            None | Some(ChannelMsg::Close) => return,
            Some(_) => {}
        }
    }
}

/// How the client's direction came to its end.
enum Up {
    /// By EOF, or because the port takes no more.
    Ended(WriteHalf<Stream>),
    /// With the channel.
    Gone,
}

async fn pump_down(mut from: ReadHalf<Stream>, write: &ChannelWriteHalf<Msg>) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(CHUNK);
        match from.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {
                if write.data_bytes(buffer.split().freeze()).await.is_err() {
                    return;
                }
            }
        }
    }
    let _ = write.eof().await;
}

async fn pump_up(read: &mut ChannelReadHalf, mut to: WriteHalf<Stream>) -> Up {
    let mut held: VecDeque<Bytes> = VecDeque::new();
    let (mut size, mut eof, mut unflushed) = (0, false, false);
    while !(eof && held.is_empty()) {
        let full = size >= SPILL;
        tokio::select! {
            message = read.wait(), if !full => match message {
                Some(ChannelMsg::Data { data }) if !eof && !data.is_empty() => {
                    size += data.len();
                    held.push_back(data);
                }
                Some(ChannelMsg::Eof) => eof = true,
                Some(ChannelMsg::Close) | None => return Up::Gone,
                Some(_) => {}
            },
            pushed = push(&mut to, held.front()), if !held.is_empty() || unflushed => {
                let Some(written) = pushed else { break };
                size -= written;
                unflushed = take(&mut held, written);
            }
            () = sleep(STALL), if full => return Up::Gone,
        }
    }
    // Failing means that the port is closed already.
    let _ = to.shutdown().await;
    Up::Ended(to)
}

/// Writes what the port takes of `data`, or flushes if there is none; never both, because the
/// other branch of the `select!` may cut this short. `None`: the port takes no more.
async fn push(to: &mut WriteHalf<Stream>, data: Option<&Bytes>) -> Option<usize> {
    match data {
        Some(data) => to.write(data).await.ok().filter(|written| *written > 0),
        None => to.flush().await.ok().map(|()| 0),
    }
}

/// Drops the first `written` bytes of the first piece, which has as many; `true` if there were any.
fn take(held: &mut VecDeque<Bytes>, written: usize) -> bool {
    let Some(front) = held.front_mut() else { return false };
    front.advance(written.min(front.len()));
    if front.is_empty() {
        held.pop_front();
    }
    true
}
