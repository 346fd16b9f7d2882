//! What a session's client sends, on its way to the command.

use std::collections::VecDeque;

use bytes::Bytes;
use russh::{ChannelMsg, ChannelReadHalf, Sig};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::forward::SPILL;
use crate::command::terminal::{Feed, Piece, Size};

/// What ends a session before its command does.
pub(super) enum Interruption {
    /// Interrupted for the second time, or while the result was on its way: nothing is waited for.
    Insisted,
    /// The client closed the channel.
    Gone,
}

/// The client's half of a session.
pub(super) struct Intake {
    feed: Feed,
    resize: Option<watch::Sender<Size>>,
    /// Cancelled when the command is done.
    working: CancellationToken,
    /// Input that the command has not taken yet: [`SPILL`] bytes and one piece at most. A channel that
    /// is not read stops its whole connection, and with it what the command writes before it reads.
    held: VecDeque<Bytes>,
    size: usize,
    /// There will be no more input.
    ended: bool,
}

impl Intake {
    /// The command's output apart, as it goes the other way.
    pub(super) fn new(
        mut feed: Feed,
        resize: Option<watch::Sender<Size>>,
    ) -> (mpsc::Receiver<Piece>, Self) {
        let (_, none) = mpsc::channel(1);
        let output = std::mem::replace(&mut feed.output, none);
        let (held, working) = (VecDeque::new(), CancellationToken::new());
        (output, Self { feed, resize, working, held, size: 0, ended: false })
    }

    /// To be cancelled when the command is done.
    pub(super) fn working(&self) -> &CancellationToken {
        &self.working
    }

    /// Reads until that ends the session.
    pub(super) async fn read(mut self, read: &mut ChannelReadHalf) -> Interruption {
        loop {
            let input = self.feed.input.clone();
            tokio::select! {
                message = read.wait(), if self.size < SPILL => {
                    if let Some(end) = self.on_message(message) {
                        return end;
                    }
                }
                taken = input.reserve(), if !self.held.is_empty() => match taken {
                    Ok(place) => {
                        if let Some(piece) = self.held.pop_front() {
                            self.size -= piece.len();
                            place.send(piece);
                        }
                    }
                    // The command reads nothing, or no more.
                    Err(_) => self.drop_held(),
                },
            }
            if self.ended && self.held.is_empty() {
                let (closed, _) = mpsc::channel(1);
                self.feed.input = closed;
            }
        }
    }

    /// Takes what came; what it means if it ends the session.
    fn on_message(&mut self, message: Option<ChannelMsg>) -> Option<Interruption> {
        match message {
            None | Some(ChannelMsg::Close) => return Some(Interruption::Gone),
            Some(ChannelMsg::Signal { signal: Sig::INT | Sig::TERM | Sig::HUP }) => {
                return self.interrupt();
            }
            Some(ChannelMsg::Data { data }) => {
                if self.resize.is_some() && self.feed.interrupts(&data) {
                    return self.interrupt();
                }
                if !self.feed.input.is_closed() && !data.is_empty() {
                    self.size += data.len();
                    self.held.push_back(data);
                }
            }
            Some(ChannelMsg::Eof) => self.ended = true,
            Some(ChannelMsg::WindowChange { col_width, row_height, .. }) => {
                if let Some(resize) = &self.resize {
                    resize.send_replace(Size::asked(col_width, row_height));
                }
            }
            Some(_) => {}
        }
        None
    }

    /// Asks the command to stop; if it was asked before, or is done, nothing is waited for.
    fn interrupt(&self) -> Option<Interruption> {
        let before = self.feed.interrupted.is_cancelled() || self.working.is_cancelled();
        self.feed.interrupted.cancel();
        before.then_some(Interruption::Insisted)
    }

    fn drop_held(&mut self) {
        self.held.clear();
        self.size = 0;
    }
}
