//! Channels of one who is in, by the hundred thousand: the program that a load runs on the client's
//! host.

use std::{
    io::{self, BufRead},
    net::SocketAddr,
    path::Path,
    thread,
};

use containarium::wire::{identity::Identity, message, negotiate::Offer};

use crate::peer::{Answer, Payload, Peer};

/// The argument that makes this program the client.
pub const CHANNELS: &str = "channels";

/// What it does so often when it reads a line that says so.
pub const REFUSED: &str = "refused";
pub const CLOSED: &str = "closed";
pub const COMMANDS: &str = "commands";

/// Sessions that a connection to the console may have open at once, and in its life
/// (`console/handler.rs`).
const AT_ONCE: u32 = 32;
const IN_ALL: u32 = 4096;

/// Reads lines such as `refused 1000`, and repeats each when that is done.
pub fn channels(arguments: &[String]) {
    let [door, key] = arguments else { panic!("{CHANNELS} DOOR KEY") };
    let (door, key) = (door.parse().unwrap(), load(Path::new(key)));
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let (what, count) = line.split_once(' ').unwrap();
        let count: u32 = count.parse().unwrap();
        match what {
            REFUSED => refused(door, &key, count),
            CLOSED => sessions(door, &key, (count, None)),
            COMMANDS => sessions(door, &key, (count, Some("version"))),
            _ => panic!("{line}"),
        }
        println!("{line}");
    }
}

fn log_in(door: SocketAddr, key: &Identity) -> Peer {
    let mut peer = Peer::connect(door);
    let offer = Offer { kex: vec!["curve25519-sha256"], ..Offer::front(vec!["ssh-ed25519"]) };
    peer.establish(&offer, true);
    peer.ask_for_service();
    assert_eq!(peer.try_log_in("admin", key), Answer::Success);
    peer
}

/// Opens that are refused, all on one connection.
fn refused(door: SocketAddr, key: &Identity, count: u32) {
    let mut peer = log_in(door, key);
    let Peer { tx, rx, .. } = &mut peer;
    thread::scope(|scope| {
        scope.spawn(|| {
            tx.flood(u64::from(count), |number| {
                let open = Payload::new(message::CHANNEL_OPEN).string("x11");
                let number = u32::try_from(number).unwrap();
                open.uint32(number).uint32(1).uint32(1).string("").uint32(1).0
            })
        });
        for _ in 0..count {
            assert_eq!(rx.next().unwrap()[0], message::CHANNEL_OPEN_FAILURE);
        }
    });
}

/// Sessions that are opened and closed, with a command in each or without, on as many connections as
/// that takes.
fn sessions(door: SocketAddr, key: &Identity, (count, command): (u32, Option<&str>)) {
    let mut done = 0;
    while done < count {
        let mut peer = log_in(door, key);
        for _ in 0..IN_ALL / AT_ONCE {
            batch(&mut peer, command);
            done += AT_ONCE;
            if done >= count {
                break;
            }
        }
    }
}

fn batch(peer: &mut Peer, command: Option<&str>) {
    (0..AT_ONCE).for_each(|number| peer.tx.queue(&Payload::session(number, 1 << 20, 1 << 15)));
    peer.tx.flush().unwrap();
    let mut theirs = [0; AT_ONCE as usize];
    let (mut closed, mut succeeded) = (0, 0);
    while closed < AT_ONCE {
        let heard = peer.next().expect("an answer");
        let channel = |at: usize| u32::from_be_bytes(heard[at..at + 4].try_into().unwrap());
        match heard[0] {
            message::CHANNEL_OPEN_CONFIRMATION => {
                theirs[channel(1) as usize] = channel(5);
                let next = command.map_or_else(
                    || Payload::channel(message::CHANNEL_CLOSE, channel(5)),
                    |command| Payload::exec(channel(5), command),
                );
                peer.send(&next);
            }
            message::CHANNEL_OPEN_FAILURE => panic!("{heard:?}"),
            message::CHANNEL_REQUEST => {
                // `exit-status`, that no reply is wanted, and the status.
                let status = heard.ends_with(b"exit-status\0\0\0\0\0");
                succeeded += u32::from(status);
            }
            message::CHANNEL_CLOSE => {
                closed += 1;
                if command.is_some() {
                    let close =
                        Payload::channel(message::CHANNEL_CLOSE, theirs[channel(1) as usize]);
                    peer.send(&close);
                }
            }
            _ => {}
        }
    }
    assert_eq!(succeeded, if command.is_some() { AT_ONCE } else { 0 });
}

fn load(file: &Path) -> Identity {
    let key = ssh_key::PrivateKey::from_openssh(std::fs::read(file).unwrap()).unwrap();
    Identity::from_private_key(&key).unwrap()
}
