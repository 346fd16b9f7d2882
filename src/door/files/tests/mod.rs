//! Conversations of `sftp` and `scp`, in any pieces, and streams that are none.

mod any;
mod scp;
mod sftp;

use super::*;
use crate::{
    audit::{Action, File, Outcome},
    wire::codec::Write as _,
};

/// Which side says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Container,
}
use Side::{Client, Container};

type Said = (Side, Vec<u8>);

fn follower(command: &str) -> Follower {
    match command {
        "sftp" => Follower::of_subsystem(b"sftp", true).unwrap(),
        command => Follower::of_command(command.as_bytes(), true).unwrap(),
    }
}

/// What is known after a conversation of which each side's words come in pieces of `size` bytes.
fn followed(command: &str, said: &[Said], size: usize) -> Option<Files> {
    let (mut follower, mut room) = (follower(command), ROOM);
    for (side, words) in said {
        for piece in words.chunks(size) {
            match side {
                Client => follower.client_sent(piece, &mut room),
                Container => follower.container_sent(piece, &mut room),
            }
        }
    }
    follower.into_files()
}

/// As [`followed`], the same in all pieces.
fn files(command: &str, said: &[Said]) -> Files {
    let whole = followed(command, said, usize::MAX);
    for size in [1, 2, 3, 5, 7, 64] {
        assert_eq!(followed(command, said, size), whole, "in pieces of {size}");
    }
    whole.unwrap_or_default()
}

fn shown(files: &Files) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let one = |file: &File| {
        let mut line = format!("{} {}", file.action.as_str(), text(&file.name));
        if let Some(to) = &file.to {
            line.extend([" ", &text(to)]);
        }
        if file.action.moves() {
            line.extend([" ", &file.bytes.to_string()]);
        }
        if let Some(size) = file.size.filter(|size| *size != file.bytes) {
            line.extend(["/", &size.to_string()]);
        }
        line + match file.outcome {
            Outcome::Done => "",
            Outcome::Part => " part",
            Outcome::Refused => " refused",
        }
    };
    files.list.iter().map(one).collect()
}

/// A packet with these fields behind its kind.
fn packet(kind: u8, fields: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = vec![kind];
    fields(&mut body);
    let mut packet = Vec::new();
    packet.put_string(&body);
    packet
}

fn request(kind: u8, id: u32, strings: &[&[u8]]) -> Said {
    (
        Client,
        packet(kind, |p| {
            p.put_uint32(id);
            for string in strings {
                p.put_string(string);
            }
        }),
    )
}

fn open(id: u32, name: &[u8], flags: u32) -> Said {
    (
        Client,
        packet(3, |p| {
            p.put_uint32(id);
            p.put_string(name);
            p.put_uint32(flags);
            p.put_uint32(0);
        }),
    )
}

fn read(id: u32, handle: &[u8], length: u32) -> Said {
    (
        Client,
        packet(5, |p| {
            p.put_uint32(id);
            p.put_string(handle);
            p.put_uint64(0);
            p.put_uint32(length);
        }),
    )
}

fn write(id: u32, handle: &[u8], length: usize) -> Said {
    (
        Client,
        packet(6, |p| {
            p.put_uint32(id);
            p.put_string(handle);
            p.put_uint64(0);
            p.put_string(&vec![b'x'; length]);
        }),
    )
}

fn status(id: u32, code: u32) -> Said {
    (
        Container,
        packet(101, |p| {
            p.put_uint32(id);
            p.put_uint32(code);
            p.put_string(b"as it is");
            p.put_string(b"en");
        }),
    )
}

fn answer(kind: u8, id: u32, content: &[u8]) -> Said {
    (
        Container,
        packet(kind, |p| {
            p.put_uint32(id);
            p.put_string(content);
        }),
    )
}

fn size(id: u32, size: u64) -> Said {
    (
        Container,
        packet(105, |p| {
            p.put_uint32(id);
            p.put_uint32(1);
            p.put_uint64(size);
        }),
    )
}

fn greeting() -> Vec<Said> {
    vec![(Client, packet(1, |p| p.put_uint32(3))), (Container, packet(2, |p| p.put_uint32(3)))]
}

fn sftp(said: &[Said]) -> Files {
    files("sftp", &[&greeting(), said].concat())
}

fn source(text: &str) -> Said {
    (Client, text.as_bytes().to_vec())
}

fn sink(text: &str) -> Said {
    (Container, text.as_bytes().to_vec())
}

#[test]
fn only_what_moves_files_is_followed() {
    let cases: [(&[u8], bool); 14] = [
        (b"scp -t /tmp", true),
        (b"scp -v -r -p -d -t -- /tmp", true),
        (b"  /usr/bin/scp  -rf x", true),
        (b"/usr/lib/openssh/sftp-server -e", true),
        (b"scp", false),
        (b"scp a b:", false),
        (b"scp -r a b:", false),
        (b"scp -oBatchMode=yes a b:", false),
        (b"scp -- -t", false),
        (b"scpx -t", false),
        (b"echo scp -t x", false),
        (b"make", false),
        (b"", false),
        (b"\xff/\xff", false),
    ];
    for (command, follows) in cases {
        let is_followed = Follower::of_command(command, true).is_some();
        assert_eq!(is_followed, follows, "{}", String::from_utf8_lossy(command));
    }
    assert!(Follower::of_subsystem(b"netconf", true).is_none());
    let mut follower = Follower::of_subsystem(b"sftp", true).unwrap();
    assert!(follower.is_fresh());
    follower.client_sent(b"x", &mut 0);
    assert!(!follower.is_fresh());
}
