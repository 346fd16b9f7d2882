//! A byte stream in memory that counts, and changes what is written to it where a plan says so.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::choices::Choices;

/// Bytes in flight each way.
const BUFFER: usize = 64 * 1024;

/// How many bytes went each way.
#[derive(Clone, Default)]
pub struct Traffic {
    written: Arc<AtomicUsize>,
    read: Arc<AtomicUsize>,
}

impl Traffic {
    /// What the near end wrote and read.
    pub fn counts(&self) -> (usize, usize) {
        (self.written.load(Ordering::Relaxed), self.read.load(Ordering::Relaxed))
    }
}

/// What happens to the bytes at one offset.
#[derive(Debug, Clone)]
pub enum Edit {
    /// A bit flips.
    Flip(u8),
    /// Bytes are added.
    Insert(Vec<u8>),
    /// So many bytes are lost.
    Drop(usize),
    /// The stream ends.
    Cut,
}

/// Edits in the order of their offsets.
pub fn edits(choices: &mut Choices<'_>) -> Vec<(usize, Edit)> {
    let mut offset = 0;
    let count = 1 + choices.below(4);
    (0..count)
        .map(|_| {
            offset += choices.uint16() % 4096;
            let edit = match choices.byte() % 8 {
                0..=3 => Edit::Flip(choices.byte() % 8),
                4 | 5 => Edit::Insert(choices.bytes().to_vec()),
                6 => Edit::Drop(1 + choices.below(64)),
                _ => Edit::Cut,
            };
            (offset, edit)
        })
        .collect()
}

/// Two ends; what is written to the near one goes through `edits`.
pub fn pair(edits: Vec<(usize, Edit)>) -> (Near, DuplexStream, Traffic) {
    let (inner, far) = tokio::io::duplex(BUFFER);
    let traffic = Traffic::default();
    let edits = edits.into_iter().rev().collect();
    let near = Near { inner, edits, traffic: traffic.clone(), offset: 0, pending: Vec::new() };
    (near, far, traffic)
}

/// The near end.
pub struct Near {
    inner: DuplexStream,
    /// The next one is the last.
    edits: Vec<(usize, Edit)>,
    traffic: Traffic,
    offset: usize,
    pending: Vec<u8>,
}

impl Near {
    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() {
            let n = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.pending))?;
            self.traffic.written.fetch_add(n, Ordering::Relaxed);
            self.pending.drain(..n);
        }
        Poll::Ready(Ok(()))
    }

    fn edit(&mut self, bytes: &[u8]) -> io::Result<()> {
        for byte in bytes {
            let due = self.edits.last().is_some_and(|(at, _)| *at <= self.offset);
            self.offset += 1;
            if !due {
                self.pending.push(*byte);
                continue;
            }
            match self.edits.pop().map(|(_, edit)| edit) {
                Some(Edit::Flip(bit)) => self.pending.push(byte ^ 1 << bit),
                Some(Edit::Insert(added)) => {
                    self.pending.extend_from_slice(&added);
                    self.pending.push(*byte);
                }
                Some(Edit::Drop(count)) if count > 1 => {
                    self.edits.push((self.offset, Edit::Drop(count - 1)));
                }
                Some(Edit::Drop(_)) | None => {}
                Some(Edit::Cut) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        Ok(())
    }
}

impl AsyncRead for Near {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        this.traffic.read.fetch_add(buf.filled().len() - before, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Near {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_pending(cx))?;
        this.edit(buf)?;
        // What does not fit now goes first the next time.
        let _ = this.poll_pending(cx)?;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_pending(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_pending(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}
