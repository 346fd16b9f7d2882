//! A channel of a `russh` connection as a byte stream that leaves nothing behind.
//!
//! `russh` keeps the queue of a channel, about 1 KiB, for the life of the connection when this side
//! closes it first: the peer's CLOSE then finds nobody. A control connection lives for months and
//! carries a channel for every question. So this side ends what it sends, and the peer closes.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use russh::{Channel, ChannelMsg, ChannelWriteHalf, client::Msg};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};
use tokio_util::task::TaskTracker;

/// How long a peer may take to close a channel in which nothing more is said.
const PARTING: Duration = Duration::from_secs(5);

/// What a peer may still send into a channel that nobody reads, in bytes.
const LAST_BYTES: usize = 1024 * 1024;

type Messages = Pin<Box<dyn Stream<Item = ChannelMsg> + Send>>;

/// What the channels of one connection share.
#[derive(Clone, Default)]
pub(super) struct Partings {
    /// Owner of the tasks that open and close channels.
    tasks: TaskTracker,
    /// How many channels the peer did not close in time, which `russh` therefore keeps.
    kept: Arc<AtomicUsize>,
}

impl Partings {
    pub(super) fn kept(&self) -> usize {
        self.kept.load(Ordering::Relaxed)
    }

    /// Runs what must come to its end, whoever stops waiting for it.
    pub(super) fn own(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }
}

/// A channel as a byte stream. Dropping it closes it in the background. `T` lives as long as the
/// channel does.
pub(super) struct ChannelStream<T: Send + 'static> {
    writer: Pin<Box<dyn AsyncWrite + Send>>,
    /// Taken when the stream is dropped.
    open: Option<Open<T>>,
    /// What is left of the last data.
    rest: Bytes,
    ended: bool,
    partings: Partings,
}

struct Open<T> {
    messages: Messages,
    write: ChannelWriteHalf<Msg>,
    /// Our end of data was sent.
    sent_eof: bool,
    /// The peer closed, and `russh` has forgotten the channel.
    closed: bool,
    _keeps: T,
}

impl<T: Send + 'static> ChannelStream<T> {
    pub(super) fn new(channel: Channel<Msg>, partings: Partings, keeps: T) -> Self {
        let (read, write) = channel.split();
        let messages = stream::unfold(read, async |mut read| Some((read.wait().await?, read)));
        Self {
            writer: Box::pin(write.make_writer()),
            open: Some(Open {
                messages: Box::pin(messages),
                write,
                sent_eof: false,
                closed: false,
                _keeps: keeps,
            }),
            rest: Bytes::new(),
            ended: false,
            partings,
        }
    }

    /// Waits for data, which is then in `rest`, or for the end.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.rest.is_empty() && !self.ended {
            let Some(open) = &mut self.open else { break };
            match ready!(open.messages.poll_next_unpin(cx)) {
                Some(ChannelMsg::Data { data }) => self.rest = data,
                Some(ChannelMsg::Eof) => self.ended = true,
                Some(ChannelMsg::Close) | None => {
                    open.closed = true;
                    self.ended = true;
                }
                Some(_) => {}
            }
        }
        Poll::Ready(())
    }
}

impl<T> Open<T> {
    /// Lets the peer close the channel; closes it where the peer does not.
    async fn part(mut self, kept: Arc<AtomicUsize>) {
        if self.closed {
            return;
        }
        let closing = async {
            if !self.sent_eof {
                // Fails when the connection is gone, and everything with it.
                let _ = self.write.eof().await;
            }
            let mut bytes = 0;
            while let Some(message) = self.messages.next().await {
                if matches!(message, ChannelMsg::Close) {
                    break;
                }
                if let ChannelMsg::Data { data } = message {
                    bytes += data.len();
                }
                if bytes > LAST_BYTES {
                    return false;
                }
            }
            true
        };
        if !matches!(timeout(PARTING, closing).await, Ok(true)) {
            kept.fetch_add(1, Ordering::Relaxed);
            // A connection that takes no more is ended by its keepalive.
            let _ = timeout(PARTING, self.write.close()).await;
        }
    }
}

impl<T: Send + 'static> Drop for ChannelStream<T> {
    fn drop(&mut self) {
        // Without a runtime its connections are gone, too.
        if let (Some(open), Ok(runtime)) = (self.open.take(), tokio::runtime::Handle::try_current())
        {
            let kept = Arc::clone(&self.partings.kept);
            self.partings.tasks.spawn_on(open.part(kept), &runtime);
        }
    }
}

impl<T: Send + Unpin + 'static> AsyncRead for ChannelStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_data(cx));
        let n = self.rest.len().min(buf.remaining());
        buf.put_slice(&self.rest.split_to(n));
        Poll::Ready(Ok(()))
    }
}

impl<T: Send + Unpin + 'static> AsyncWrite for ChannelStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writer.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Once is enough; some callers end a stream twice.
        if self.open.as_ref().is_some_and(|open| open.sent_eof) {
            return Poll::Ready(Ok(()));
        }
        ready!(self.writer.as_mut().poll_shutdown(cx))?;
        if let Some(open) = &mut self.open {
            open.sent_eof = true;
        }
        Poll::Ready(Ok(()))
    }
}
