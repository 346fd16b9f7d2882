//! What it costs to look at the data of channels, beside what it costs to seal a packet: in this
//! process, without a network.

use std::{hint::black_box, time::Instant};

use containarium::{
    door::observe::Observed,
    wire::{
        buffer::Buffer,
        cipher::{Cipher, Material, Sealing},
        codec::Write,
        message,
        packet::PacketWriter,
    },
};

/// The argument that asks for this and nothing else.
pub const FILES: &str = "files";

/// Packets of one round, each of 32 KiB of data: a gigabyte.
const PACKETS: usize = 32 * 1024;

/// Rounds, of which the fastest counts: what slows one down is the machine.
const ROUNDS: usize = 5;

/// Nanoseconds for a packet of 32 KiB, a line for each way to look at it.
pub fn measure() -> String {
    let plain = fastest(&mut Observed::new(false), 2);
    let beside = fastest(&mut sftp(), 2);
    let followed = fastest(&mut sftp(), 1);
    let sealed = (0..ROUNDS).map(|_| seal()).fold(f64::MAX, f64::min);
    [
        ("nothing is followed", plain),
        ("another channel is followed", beside),
        ("a file is written over SFTP", followed),
        ("sealed with aes128-gcm", sealed),
    ]
    .map(|(what, nanos)| {
        format!("{what}: {nanos:.1} ns, {:.3} % of sealing", nanos / sealed * 100.0)
    })
    .join("\n")
}

/// Of packets on the channel with this number of the container's.
fn fastest(observed: &mut Observed, channel: u32) -> f64 {
    let (packets, answer) = writes(channel);
    let round = |_| {
        let begun = Instant::now();
        for number in 0..PACKETS {
            observed.from_client(black_box(&packets[number % packets.len()]));
            // What is written is answered; numbers come again.
            if number % packets.len() == packets.len() - 1 {
                observed.from_upstream(black_box(&answer));
            }
        }
        begun.elapsed().as_nanos() as f64 / PACKETS as f64
    };
    (0..ROUNDS).map(round).fold(f64::MAX, f64::min)
}

/// A connection on whose channel 1 a file is open to be written.
fn sftp() -> Observed {
    let mut observed = Observed::new(false).with_files();
    let mut open = vec![message::CHANNEL_OPEN];
    open.put_string(b"session");
    let mut confirm = vec![message::CHANNEL_OPEN_CONFIRMATION];
    for number in [1, 1 << 21, 1 << 15] {
        open.put_uint32(number);
    }
    for number in [1, 1, 1 << 21, 1 << 15] {
        confirm.put_uint32(number);
    }
    let mut subsystem = vec![message::CHANNEL_REQUEST];
    subsystem.put_uint32(1);
    subsystem.put_string(b"subsystem");
    subsystem.put_boolean(true);
    subsystem.put_string(b"sftp");
    observed.from_client(&open);
    observed.from_upstream(&confirm);
    observed.from_client(&subsystem);
    observed.from_client(&data(1, &packet(1, |p| p.put_uint32(3))));
    observed.from_upstream(&data(1, &packet(2, |p| p.put_uint32(3))));
    observed.from_client(&data(
        1,
        &packet(3, |p| {
            p.put_uint32(0);
            p.put_string(b"/tmp/file");
            p.put_uint32(0x1a);
            p.put_uint32(0);
        }),
    ));
    observed.from_upstream(&data(
        1,
        &packet(102, |p| {
            p.put_uint32(0);
            p.put_string(b"file");
        }),
    ));
    observed
}

/// As many writes as OpenSSH has on the way, and the answers to them.
fn writes(channel: u32) -> (Vec<Vec<u8>>, Vec<u8>) {
    let write = |id: u32| {
        let written = packet(6, |p| {
            p.put_uint32(id);
            p.put_string(b"file");
            p.put_uint64(0);
            p.put_string(&vec![7; 32 * 1024]);
        });
        data(channel, &written)
    };
    let answer = |id: u32| {
        packet(101, |p| {
            p.put_uint32(id);
            p.put_uint32(0);
            p.put_string(b"");
            p.put_string(b"");
        })
    };
    ((1..=64).map(write).collect(), data(channel, &(1..=64).flat_map(answer).collect::<Vec<_>>()))
}

fn packet(kind: u8, fields: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = vec![kind];
    fields(&mut body);
    let mut packet = Vec::new();
    packet.put_string(&body);
    packet
}

fn data(channel: u32, text: &[u8]) -> Vec<u8> {
    let mut packet = vec![message::CHANNEL_DATA];
    packet.put_uint32(channel);
    packet.put_string(text);
    packet
}

/// The door's own work for such a packet, one of the two directions.
fn seal() -> f64 {
    let cipher = Cipher::from_name("aes128-gcm@openssh.com").unwrap();
    let (key, iv) = cipher.key_and_iv_len();
    let bytes = [1; 64];
    let material = Material { key: &bytes[..key], iv: &bytes[32..32 + iv], mac: &[] };
    let mut writer = PacketWriter::new();
    writer.rekey(Sealing::new(cipher, None, material).unwrap(), true);
    let packet = data(1, &vec![7; 32 * 1024]);
    let begun = Instant::now();
    for _ in 0..PACKETS / 8 {
        let mut output = Buffer::default();
        writer.seal(&[black_box(&packet)], &mut output).unwrap();
        black_box(output.filled());
    }
    begun.elapsed().as_nanos() as f64 / (PACKETS / 8) as f64
}
