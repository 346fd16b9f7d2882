//! The two directions of a peer, which may be used by two threads.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use containarium::wire::{
    buffer::Buffer,
    cipher::{Opening, Sealing},
    packet::PacketReader,
};

/// Bytes gathered before a flood is written.
const CHUNK: usize = 128 * 1024;

/// Says things.
pub struct Sender {
    stream: TcpStream,
    sealing: Sealing,
    seq: u32,
    output: Vec<u8>,
    /// Bytes that the kernel has taken so far.
    sent: Arc<AtomicU64>,
}

impl Sender {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, sealing: Sealing::plain(), seq: 0, output: Vec::new(), sent: Arc::default() }
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        // In pieces, so that it is seen how far it gets.
        for piece in bytes.chunks(CHUNK) {
            self.stream.write_all(piece)?;
            self.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Counts the bytes that the kernel has taken, for another thread to watch.
    pub fn progress(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sent)
    }

    /// Sends one packet.
    pub fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        self.queue(payload);
        self.flush()
    }

    /// Seals one packet, to be sent with the next [`Self::flush`].
    pub fn queue(&mut self, payload: &[u8]) {
        let shape = self.sealing.shape();
        let counted = 1 + payload.len() + if shape.length_counts { 4 } else { 0 };
        let padding = 4 + (shape.block - (counted + 4) % shape.block) % shape.block;
        let length = u32::try_from(1 + payload.len() + padding).unwrap();
        self.queue_as(length, u8::try_from(padding).unwrap(), payload, padding);
    }

    /// Seals a packet whose length and padding fields say what they are told, with `filler` bytes
    /// behind the payload.
    pub fn queue_as(&mut self, length: u32, padding: u8, payload: &[u8], filler: usize) {
        let mut packet = length.to_be_bytes().to_vec();
        packet.push(padding);
        packet.extend_from_slice(payload);
        packet.resize(packet.len() + filler + self.sealing.shape().tag, 0);
        self.sealing.seal(self.seq, &mut packet).expect("seal");
        self.seq = self.seq.wrapping_add(1);
        self.output.extend_from_slice(&packet);
    }

    /// Sends what is queued.
    pub fn flush(&mut self) -> io::Result<()> {
        let output = std::mem::take(&mut self.output);
        self.raw(&output)
    }

    /// Sends what is queued but for its last `kept` bytes, which are never sent.
    pub fn flush_all_but(&mut self, kept: usize) -> io::Result<()> {
        let output = std::mem::take(&mut self.output);
        self.raw(&output[..output.len() - kept])
    }

    /// Sends a packet many times, each made anew from its number, until all are sent or the other
    /// side is gone. How many were handed over to the kernel, about.
    pub fn flood(&mut self, count: u64, mut payload: impl FnMut(u64) -> Vec<u8>) -> u64 {
        for number in 0..count {
            self.queue(&payload(number));
            if self.output.len() >= CHUNK && self.flush().is_err() {
                return number;
            }
        }
        if self.flush().is_err() { 0 } else { count }
    }

    /// Says that nothing more will be said.
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Changes the keys; sequence numbers start again if `reset`.
    pub fn rekey(&mut self, sealing: Sealing, reset: bool) {
        self.sealing = sealing;
        if reset {
            self.seq = 0;
        }
    }
}

/// Waits until a sender gets no further: a fifth of a second without progress.
pub fn wait_until_stuck(progress: &AtomicU64) {
    let (mut seen, mut unchanged) = (0, 0);
    while unchanged < 20 {
        thread::sleep(Duration::from_millis(10));
        let now = progress.load(Ordering::Relaxed);
        unchanged = if now == seen && now > 0 { unchanged + 1 } else { 0 };
        seen = now;
    }
}

/// Hears things.
pub struct Receiver {
    stream: TcpStream,
    input: Buffer,
    reader: PacketReader,
}

impl Receiver {
    pub(super) fn new(stream: TcpStream) -> Self {
        let mut reader = PacketReader::new();
        reader.allow_large();
        Self { stream, input: Buffer::default(), reader }
    }

    /// The next packet; `None` at the end of the connection. Panics if neither comes, or if a packet
    /// is broken.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(opened) = self.reader.open(self.input.filled_mut()).expect("packet") {
                let payload = self.input.filled()[opened.payload].to_vec();
                self.input.consume(opened.total);
                return Some(payload);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Counts packets to the end of the connection, by message number.
    pub fn count(&mut self) -> [u64; 256] {
        let mut counts = [0; 256];
        while let Some(payload) = self.next() {
            counts[usize::from(payload[0])] += 1;
        }
        counts
    }

    /// Bytes to the end of the connection, not understood.
    pub fn skip_to_end(&mut self) {
        while self.fill() {
            self.input.consume(self.input.len());
        }
    }

    /// A line, without its end.
    pub(super) fn line(&mut self) -> Vec<u8> {
        loop {
            if let Some(end) = self.input.filled().iter().position(|b| *b == b'\n') {
                let line = self.input.filled()[..end].trim_ascii_end().to_vec();
                self.input.consume(end + 1);
                return line;
            }
            assert!(self.fill(), "closed before its identification");
        }
    }

    /// Changes the keys; sequence numbers start again if `reset`.
    pub(super) fn rekey(&mut self, opening: Opening, reset: bool) {
        self.reader.rekey(opening, reset);
    }

    fn fill(&mut self) -> bool {
        let space = self.input.space(CHUNK);
        match self.stream.read(space) {
            Ok(0) => false,
            Ok(n) => {
                self.input.advance(n);
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("nothing comes, no end"),
            // A reset is an end, too.
            Err(_) => false,
        }
    }
}
