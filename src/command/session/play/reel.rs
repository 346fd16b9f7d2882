//! A recording's file, read ahead by a thread of its own as fast as it is played. What is cut off at
//! its end, as in one that is written still, is its end.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
    time::Duration,
};

use serde::Deserialize;
use tokio::sync::mpsc;

use crate::recording::cast::Code;

/// Frames that are read ahead.
const AHEAD: usize = 64;

/// Longest line, in bytes: what one packet may hold, each byte of it escaped.
const MAX_LINE: u64 = 1 << 20;

/// The head of a recording.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Head {
    pub(super) width: u32,
    pub(super) height: u32,
    #[serde(default)]
    pub(super) title: String,
}

/// Something that happened.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) at: Duration,
    pub(super) code: Code,
    pub(super) text: String,
}

/// A recording that is played.
pub(super) struct Reel {
    pub(super) head: Head,
    frames: mpsc::Receiver<Frame>,
}

impl Reel {
    /// Opens the file at `path`, at its beginning.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub(super) async fn open(path: &Path) -> io::Result<Self> {
        let (path, (frame, frames)) = (path.to_owned(), mpsc::channel(AHEAD));
        let opened = tokio::task::spawn_blocking(move || {
            let mut file = BufReader::new(File::open(path)?);
            let head = line(&mut file)?.and_then(|line| serde_json::from_slice(&line).ok());
            let none = || io::Error::new(io::ErrorKind::InvalidData, "it is no recording");
            Ok::<_, io::Error>((head.ok_or_else(none)?, file))
        });
        let (head, mut file) = opened.await.map_err(io::Error::other)??;
        tokio::task::spawn_blocking(move || {
            // Until its end, or until nobody plays it any more.
            while let Ok(Some(line)) = line(&mut file) {
                let Some(next) = parse(&line) else { return };
                if frame.blocking_send(next).is_err() {
                    return;
                }
            }
        });
        Ok(Self { head, frames })
    }

    /// What happened next; `None`: it ends.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        self.frames.recv().await
    }
}

/// The next whole line.
fn line(file: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    file.take(MAX_LINE).read_until(b'\n', &mut line)?;
    Ok((line.pop() == Some(b'\n')).then_some(line))
}

fn parse(line: &[u8]) -> Option<Frame> {
    let (at, code, text): (f64, String, String) = serde_json::from_slice(line).ok()?;
    let codes = [Code::Output, Code::Input, Code::Resized, Code::Marker];
    let code = codes.into_iter().find(|known| known.as_str() == code)?;
    Some(Frame { at: Duration::try_from_secs_f64(at).ok()?, code, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_recording_is_read_up_to_where_it_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.cast");
        let head = "{\"version\":2,\"width\":80,\"height\":24,\"timestamp\":1,\"title\":\"a\"}\n";
        let lines = "[0.5,\"o\",\"\\u001b[2Jx\"]\n[1.25,\"m\",\"end\"]\n[2.0,\"o\",\"cu";
        std::fs::write(&path, format!("{head}{lines}")).unwrap();
        let mut reel = Reel::open(&path).await.unwrap();
        assert_eq!((reel.head.width, reel.head.title.as_str()), (80, "a"));
        let first = Frame {
            at: Duration::from_millis(500),
            code: Code::Output,
            text: "\x1b[2Jx".to_owned(),
        };
        assert_eq!(reel.next().await, Some(first));
        assert_eq!(reel.next().await.map(|frame| frame.text), Some("end".to_owned()));
        assert_eq!(reel.next().await, None);
        for broken in ["", "x", "{}\n", "[1]\n"] {
            std::fs::write(&path, broken).unwrap();
            assert!(Reel::open(&path).await.is_err(), "{broken}");
        }
        for line in ["[-1,\"o\",\"x\"]", "[1e300,\"o\",\"x\"]", "[1,\"z\",\"x\"]", "1", "[1,\"o\"]"]
        {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }
}
