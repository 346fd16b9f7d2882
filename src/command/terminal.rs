//! What a command has of the person who typed it besides her words: standard input, a place for
//! remarks while it works, perhaps a terminal, and her Ctrl-C.
//!
//! A [`Terminal`] is the command's half; whoever serves the session holds the [`Feed`]. Both
//! directions are bounded: a command that does not read makes its client wait, and a client that
//! does not read makes the command wait.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::failure::{Failure, Kind};
pub use crate::incus::attach::Size;

/// Pieces that wait in one direction; a piece is an SSH packet's data at most.
const PIECES: usize = 4;

/// Longest line typed at a prompt, in bytes: a public key of 8192 bits takes 1,400.
const MAX_LINE: usize = 4096;

/// What Ctrl-C, Ctrl-D, Ctrl-U and the two erase keys send (ASCII; termios(3) of Linux).
const ETX: u8 = 3;
const EOT: u8 = 4;
const NAK: u8 = 21;
const ERASE: [u8; 2] = [8, 127];

/// A pseudo-terminal (RFC 4254, section 6.2).
#[derive(Debug, Clone)]
pub struct Pty {
    /// The value of `TERM`.
    pub term: String,
    /// Its size, now and later.
    pub size: watch::Receiver<Size>,
    /// Standard output is on it, as standard error is: its lines end as a terminal needs them.
    pub output: bool,
}

/// What a command writes while it works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// For standard output.
    Stdout(Bytes),
    /// For standard error.
    Stderr(Bytes),
}

/// The command's half.
#[derive(Debug)]
pub struct Terminal {
    input: mpsc::Receiver<Bytes>,
    output: mpsc::Sender<Piece>,
    pty: Option<Pty>,
    raw: Arc<AtomicBool>,
    interrupted: CancellationToken,
    /// What was read behind the end of a line.
    ahead: Vec<u8>,
}

/// The half of whoever serves the session.
#[derive(Debug)]
pub struct Feed {
    /// Standard input; dropped at its end. Sending fails once the command reads no more.
    pub input: mpsc::Sender<Bytes>,
    /// What the command writes; ends when the command does.
    pub output: mpsc::Receiver<Piece>,
    /// To be cancelled when the person wants the command to stop.
    pub interrupted: CancellationToken,
    raw: Arc<AtomicBool>,
}

impl Feed {
    /// Whether every byte of the terminal is input, now and later.
    #[must_use]
    pub fn raw(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.raw)
    }
}

impl Terminal {
    /// Both halves.
    #[must_use]
    pub fn pair(pty: Option<Pty>) -> (Self, Feed) {
        let (to_command, input) = mpsc::channel(PIECES);
        let (output, from_command) = mpsc::channel(PIECES);
        let (raw, interrupted) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
        let feed = Feed {
            input: to_command,
            output: from_command,
            interrupted: interrupted.clone(),
            raw: Arc::clone(&raw),
        };
        (Self { input, output, pty, raw, interrupted, ahead: Vec::new() }, feed)
    }

    /// The half of a command that nobody watches: without input, and what it writes is dropped.
    #[must_use]
    pub fn unattended() -> Self {
        Self::pair(None).0
    }

    /// The pseudo-terminal, if there is one.
    #[must_use]
    pub fn pty(&self) -> Option<&Pty> {
        self.pty.as_ref()
    }

    /// A token that is cancelled when the person wants the command to stop.
    #[must_use]
    pub fn interrupted(&self) -> &CancellationToken {
        &self.interrupted
    }

    /// The command reads no input: what comes is dropped.
    pub fn close_input(&mut self) {
        self.input.close();
        while self.input.try_recv().is_ok() {}
    }

    /// From now on every byte of the terminal, Ctrl-C too, is input.
    pub fn make_raw(&self) {
        self.raw.store(true, Ordering::Relaxed);
    }

    /// From now on Ctrl-C is a wish to stop again.
    pub fn make_ordinary(&self) {
        self.raw.store(false, Ordering::Relaxed);
    }

    /// The next piece of input; `None` at its end.
    pub async fn read(&mut self) -> Option<Bytes> {
        if self.ahead.is_empty() {
            self.input.recv().await
        } else {
            Some(std::mem::take(&mut self.ahead).into())
        }
    }

    /// Both directions, for a command that passes bytes on.
    #[must_use]
    pub fn split(&mut self) -> (&mut mpsc::Receiver<Bytes>, &mpsc::Sender<Piece>) {
        (&mut self.input, &self.output)
    }

    /// Writes to standard output. Nobody left to read it is no failure of the command.
    pub async fn put(&self, bytes: impl Into<Bytes>) {
        let _ = self.output.send(Piece::Stdout(bytes.into())).await;
    }

    /// Writes lines to standard output, their ends as they are needed there. The text is ours, or
    /// printable.
    pub async fn print(&self, text: &str) {
        let translates = self.pty.as_ref().is_some_and(|pty| pty.output);
        self.put(if translates { text.replace('\n', "\r\n") } else { text.to_owned() }).await;
    }

    /// Writes to standard error, line ends as a terminal needs them. The text is ours, or printable.
    pub async fn say(&self, text: &str) {
        let text = if self.pty.is_some() { text.replace('\n', "\r\n") } else { text.to_owned() };
        let _ = self.output.send(Piece::Stderr(text.into())).await;
    }

    /// Everything on standard input, at most `limit` bytes; on a terminal the lines up to Ctrl-D or
    /// an empty one.
    ///
    /// # Errors
    /// There is more, or it was interrupted.
    pub async fn read_all(&mut self, limit: usize) -> Result<Vec<u8>, Failure> {
        let too_long =
            || Failure::new(Kind::Usage, format!("standard input is longer than {limit} bytes"));
        let mut all = Vec::new();
        if self.pty.is_some() {
            while let Some(line) = self.line().await?.filter(|line| !line.is_empty()) {
                all.extend_from_slice(&line);
                all.push(b'\n');
                if all.len() > limit {
                    return Err(too_long());
                }
            }
            return Ok(all);
        }
        let interrupted = self.interrupted.clone();
        while let Some(piece) =
            interrupted.run_until_cancelled(self.read()).await.ok_or_else(stopped)?
        {
            all.extend_from_slice(&piece);
            if all.len() > limit {
                return Err(too_long());
            }
        }
        Ok(all)
    }

    /// Asks for a yes on the terminal; anything else is a no. Without a terminal it is refused:
    /// whoever writes a script says `--force`.
    ///
    /// # Errors
    /// There is no terminal, the answer was no, or it was interrupted.
    pub async fn confirm(&mut self, question: &str) -> Result<(), Failure> {
        if self.pty.is_none() {
            let what = format!("{question} needs a yes, and there is no terminal to ask on");
            return Err(Failure::new(Kind::Usage, what).hint("say it with --force"));
        }
        self.say(&format!("{question} [y/N] ")).await;
        match self.line().await?.as_deref() {
            Some(b"y" | b"Y" | b"yes" | b"Yes" | b"YES") => Ok(()),
            Some(_) | None => Err(Failure::new(Kind::Failed, "not confirmed; nothing was changed")),
        }
    }

    /// A line typed at the terminal, echoed, with the usual keys to correct it; `None` at the end
    /// of input.
    ///
    /// # Errors
    /// It was interrupted.
    pub async fn line(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let interrupted = self.interrupted.clone();
        let mut line = Line::default();
        loop {
            let piece = interrupted.run_until_cancelled(self.read()).await.ok_or_else(stopped)?;
            let Some(piece) = piece else { return Ok(line.text()) };
            let (echo, end) = line.feed(&piece);
            if !echo.is_empty() {
                let _ = self.output.send(Piece::Stderr(echo.into())).await;
            }
            if let Some(used) = end {
                self.ahead = piece.slice(used..).to_vec();
                return Ok(line.text());
            }
        }
    }
}

impl Feed {
    /// Whether Ctrl-C is a byte like others.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        self.raw.load(Ordering::Relaxed)
    }

    /// Whether these bytes hold a Ctrl-C that means to interrupt.
    #[must_use]
    pub fn interrupts(&self, bytes: &[u8]) -> bool {
        !self.is_raw() && bytes.contains(&ETX)
    }
}

/// What a command that was interrupted says.
#[must_use]
pub fn stopped() -> Failure {
    Failure::new(Kind::Interrupted, "interrupted")
}

/// A line in the making. Pure.
#[derive(Debug, Default)]
struct Line {
    typed: Vec<u8>,
    ended: bool,
}

impl Line {
    /// Takes keys: what to echo, and after how many bytes the line ended.
    fn feed(&mut self, keys: &[u8]) -> (Vec<u8>, Option<usize>) {
        let mut echo = Vec::new();
        for (i, &key) in keys.iter().enumerate() {
            match key {
                b'\r' | b'\n' => {
                    echo.extend_from_slice(b"\r\n");
                    self.ended = true;
                    return (echo, Some(i + 1));
                }
                EOT => return (echo, Some(i + 1)),
                NAK => {
                    echo.extend(b"\x08 \x08".repeat(self.typed.len()));
                    self.typed.clear();
                }
                _ if ERASE.contains(&key) => {
                    let erased = self.typed.pop().map_or(&b""[..], |_| b"\x08 \x08");
                    echo.extend_from_slice(erased);
                }
                b' '..=b'~' if self.typed.len() < MAX_LINE => {
                    self.typed.push(key);
                    echo.push(key);
                }
                _ => {}
            }
        }
        (echo, None)
    }

    fn text(self) -> Option<Vec<u8>> {
        (self.ended || !self.typed.is_empty()).then_some(self.typed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pty() -> Pty {
        let size = watch::channel(Size::USUAL).1;
        Pty { term: "xterm".into(), size, output: true }
    }

    #[tokio::test]
    async fn lines_are_echoed_and_corrected() {
        let (mut terminal, mut feed) = Terminal::pair(Some(pty()));
        feed.input.send(Bytes::from_static(b"nx\x7f\x1bo\ry\x15no")).await.unwrap();
        drop(feed.input);
        assert_eq!(terminal.line().await.unwrap(), Some(b"no".to_vec()));
        assert_eq!(terminal.line().await.unwrap(), Some(b"no".to_vec()));
        assert_eq!(terminal.line().await.unwrap(), None);
        drop(terminal);
        let mut echoed = Vec::new();
        while let Some(Piece::Stderr(text)) = feed.output.recv().await {
            echoed.extend_from_slice(&text);
        }
        assert_eq!(echoed, b"nx\x08 \x08o\r\ny\x08 \x08no");
    }

    #[tokio::test]
    async fn only_a_yes_is_a_yes() {
        for (answer, yes) in [("y\r", true), ("yes\r", true), ("\r", false), ("n\r", false)] {
            let (mut terminal, feed) = Terminal::pair(Some(pty()));
            feed.input.send(answer.into()).await.unwrap();
            assert_eq!(terminal.confirm("delete alice?").await.is_ok(), yes, "{answer:?}");
        }
        let refused = Terminal::unattended().confirm("delete alice?").await.unwrap_err();
        assert_eq!(refused.kind, Kind::Usage);
    }

    #[tokio::test]
    async fn input_is_read_to_its_end_and_no_further_than_the_limit() {
        let (mut terminal, feed) = Terminal::pair(None);
        feed.input.send("ab".into()).await.unwrap();
        feed.input.send("cd".into()).await.unwrap();
        drop(feed.input);
        assert_eq!(terminal.read_all(4).await.unwrap(), b"abcd");
        let (mut terminal, feed) = Terminal::pair(None);
        feed.input.send("abcde".into()).await.unwrap();
        assert_eq!(terminal.read_all(4).await.unwrap_err().kind, Kind::Usage);
        feed.interrupted.cancel();
        assert_eq!(terminal.read_all(4).await.unwrap_err().kind, Kind::Interrupted);
        terminal.close_input();
        assert!(feed.input.send("x".into()).await.is_err());
    }
}
