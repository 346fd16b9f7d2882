//! What the door notes of files that `sftp` and `scp` move: streams of any bytes, and honest
//! conversations with what they did.

use containarium::{
    audit::{Action, Files, Outcome},
    door::files::{Follower, ROOM},
    wire::codec::Write,
};

use super::choices::Choices;

/// Most pieces, files and parts of one input.
const MAX_STEPS: usize = 64;

/// A piece of a stream, from the client or from the container.
type Said = (bool, Vec<u8>);

/// Reads `input` as streams, or as a plan of what is moved.
pub fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    match choices.byte() % 4 {
        0 => {
            let command = choices.one(&["sftp", "scp -t x", "scp -f x"]);
            let said: Vec<_> = (0..MAX_STEPS)
                .map_while(|_| (!choices.is_empty()).then(|| piece(&mut choices)))
                .collect();
            assert_bounded(&followed(command, &said, usize::MAX));
            for size in [1, 2 + choices.below(100)] {
                let (whole, cut) =
                    (followed(command, &said, usize::MAX), followed(command, &said, size));
                assert_eq!(whole, cut, "in pieces of {size}");
            }
        }
        1 => sftp(&mut choices),
        _ => scp(&mut choices),
    }
}

fn piece(choices: &mut Choices<'_>) -> Said {
    (choices.flag(), choices.bytes().to_vec())
}

fn followed(command: &str, said: &[Said], size: usize) -> Files {
    let follower = match command {
        "sftp" => Follower::of_subsystem(b"sftp", true),
        command => Follower::of_command(command.as_bytes(), true),
    };
    let (mut follower, mut room) = (follower.unwrap(), ROOM);
    for (from_client, bytes) in said {
        for bytes in bytes.chunks(size) {
            if *from_client {
                follower.client_sent(bytes, &mut room);
            } else {
                follower.container_sent(bytes, &mut room);
            }
        }
    }
    follower.into_files().unwrap_or_default()
}

fn assert_bounded(files: &Files) {
    let names = |file: &containarium::audit::File| {
        assert!(file.name.len() <= 800, "a name is too long");
        file.name.len() + file.to.as_ref().map_or(0, Vec::len)
    };
    assert!(files.list.len() <= 200, "too many files are kept");
    assert!(files.list.iter().map(names).sum::<usize>() <= ROOM, "names take too much room");
}

/// Files that are put and got, with what is known of each: name, bytes, whether it was refused.
fn assert_same(files: &Files, expected: &[(Action, Vec<u8>, u64, Outcome)]) {
    let found = files.list.iter();
    let found: Vec<_> =
        found.map(|file| (file.action, file.name.clone(), file.bytes, file.outcome)).collect();
    assert_eq!(found, expected);
    assert!(!files.unfollowed && files.more == 0, "{files:?}");
}

/// Files are put and got one after the other, with every request on the way at once.
fn sftp(choices: &mut Choices<'_>) {
    let (mut said, mut expected) = (Vec::new(), Vec::new());
    let mut id = 0_u32;
    say(&mut said, true, 1, |p| p.put_uint32(3));
    say(&mut said, false, 2, |p| p.put_uint32(3));
    for _ in 0..choices.below(8) {
        let (puts, name, handle) = (choices.flag(), choices.bytes(), [choices.byte(); 4]);
        // Longer paths than 4,096 bytes are none.
        let name = name[..name.len().min(4096)].to_vec();
        let action = if puts { Action::Put } else { Action::Get };
        id += 1;
        say(&mut said, true, 3, |p| {
            p.put_uint32(id);
            p.put_string(&name);
            p.put_uint32(if puts { 0x1a } else { 1 });
            p.put_uint32(0);
        });
        let name = name[..name.len().min(800)].to_vec();
        if choices.byte() > 200 {
            status(&mut said, id, 3);
            expected.push((action, name, 0, Outcome::Refused));
            continue;
        }
        say(&mut said, false, 102, |p| {
            p.put_uint32(id);
            p.put_string(&handle);
        });
        let bytes = transfer(choices, &mut said, (&mut id, puts), &handle);
        id += 1;
        say(&mut said, true, 4, |p| {
            p.put_uint32(id);
            p.put_string(&handle);
        });
        status(&mut said, id, 0);
        expected.push((action, name, bytes, Outcome::Done));
    }
    let size = 1 + choices.uint16();
    assert_same(&followed("sftp", &said, size), &expected);
}

/// Reads or writes an open file to its end, in parts; how many bytes.
fn transfer(
    choices: &mut Choices<'_>,
    said: &mut Vec<Said>,
    (id, puts): (&mut u32, bool),
    handle: &[u8],
) -> u64 {
    let parts: Vec<_> = (0..choices.below(8)).map(|_| choices.uint16() % 2000).collect();
    let first = *id + 1;
    for length in parts.iter().chain(&[0]) {
        *id += 1;
        say(said, true, if puts { 6 } else { 5 }, |p| {
            p.put_uint32(*id);
            p.put_string(handle);
            p.put_uint64(0);
            if puts { p.put_string(&vec![0; *length]) } else { p.put_uint32(32_768) }
        });
    }
    for (asked, length) in (first..).zip(&parts) {
        if puts {
            status(said, asked, 0);
        } else {
            say(said, false, 103, |p| {
                p.put_uint32(asked);
                p.put_string(&vec![0; *length]);
            });
        }
    }
    status(said, *id, u32::from(!puts));
    parts.iter().sum::<usize>() as u64
}

/// Adds a packet of SFTP.
fn say(said: &mut Vec<Said>, from_client: bool, kind: u8, fields: impl FnOnce(&mut Vec<u8>)) {
    let mut body = vec![kind];
    fields(&mut body);
    let mut packet = Vec::new();
    packet.put_string(&body);
    said.push((from_client, packet));
}

fn status(said: &mut Vec<Said>, id: u32, code: u32) {
    say(said, false, 101, |p| {
        p.put_uint32(id);
        p.put_uint32(code);
        p.put_string(b"");
        p.put_string(b"");
    });
}

/// A tree is copied either way; the sink refuses some of it.
fn scp(choices: &mut Choices<'_>) {
    let (puts, waits) = (choices.flag(), choices.flag());
    let (mut said, mut expected) = (vec![(!puts, b"\0".to_vec())], Vec::new());
    let (mut folders, mut unheard) = (Vec::<String>::new(), Vec::new());
    for _ in 0..choices.below(MAX_STEPS) {
        let refused = waits && choices.byte() > 200;
        let mut answer = |said: &mut Vec<Said>, refused: bool| {
            let text = if refused { &b"\x01scp: no\n"[..] } else { b"\0" };
            unheard.extend_from_slice(text);
            // One that does not wait is a few messages ahead.
            if waits || unheard.len() > 4 {
                said.push((!puts, std::mem::take(&mut unheard)));
            }
        };
        match choices.byte() % 4 {
            0 => {
                let name = format!("folder{}", choices.byte());
                said.push((puts, format!("D0755 0 {name}\n").into_bytes()));
                if !refused {
                    folders.push(name);
                }
                answer(&mut said, refused);
            }
            1 if folders.pop().is_some() => {
                said.push((puts, b"E\n".to_vec()));
                answer(&mut said, false);
            }
            _ => {
                let (name, length) = (format!("file {}", choices.byte()), choices.uint16());
                let path: String = folders.iter().flat_map(|name| [name.as_str(), "/"]).collect();
                let action = if puts { Action::Put } else { Action::Get };
                let path = (path + &name).into_bytes();
                said.push((puts, format!("C0644 {length} {name}\n").into_bytes()));
                answer(&mut said, refused);
                if refused {
                    expected.push((action, path, 0, Outcome::Refused));
                    continue;
                }
                let mut contents = vec![1; length];
                contents.push(0);
                said.push((puts, contents));
                answer(&mut said, false);
                expected.push((action, path, length as u64, Outcome::Done));
            }
        }
    }
    said.push((!puts, unheard));
    let size = 1 + choices.uint16();
    assert_same(&followed(if puts { "scp -t x" } else { "scp -f x" }, &said, size), &expected);
}
