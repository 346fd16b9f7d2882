//! What a stranger learns about names: nothing, neither by the answers nor by their time.

use std::{
    fs::File,
    net::SocketAddr,
    os::fd::AsFd,
    thread,
    time::{Duration, Instant},
};

use containarium::wire::{identity::Identity, negotiate::Offer};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{
    harness::{lab, world},
    peer::{Peer, signed},
};

/// Names with a container, as an account that is there and one that is not; a name without one; and
/// what can be no name.
const NAMES: [&str; 5] = ["alice", "alice+alice", "alice+nobody", "alicf", "Alice!"];

const ROUNDS: usize = 15;

/// Logs nobody in: what a stranger's key is told under `name`, and how long it took.
fn refusals(name: &str, key: &Identity) -> (Vec<Vec<u8>>, Duration) {
    let address = format!("{}:22", lab().get("LAB_SENTINEL_ADDRESS"));
    let mut peer = Peer::connect(address.parse::<SocketAddr>().unwrap());
    peer.establish(&Offer::front(vec!["ssh-ed25519"]), true);
    peer.ask_for_service();
    let request = signed(&peer, name, key);
    let begun = Instant::now();
    let mut answers = Vec::new();
    for payload in [request.query(), request.query(), request.payload(key)] {
        peer.send(&payload);
        answers.push(peer.next().expect("an answer"));
    }
    (answers, begun.elapsed())
}

/// Unknown user, wrong key and impossible name: the same messages, and medians of interleaved tries
/// that lie close together.
#[test]
fn a_stranger_cannot_tell_names_that_exist_from_others() {
    world();
    let tries = || {
        let netns = File::open(lab().netns("client")).unwrap();
        let kind = LinkNameSpaceType::Network;
        move_into_link_name_space(netns.as_fd(), Some(kind)).unwrap();
        let key = Identity::generate_ed25519().unwrap();
        let mut times = [const { Vec::new() }; NAMES.len()];
        for _ in 0..ROUNDS {
            for (name, times) in NAMES.iter().zip(&mut times) {
                let (answers, time) = refusals(name, &key);
                // SSH_MSG_USERAUTH_FAILURE, `publickey`, no partial success.
                let refused = b"\x33\0\0\0\x09publickey\0".to_vec();
                assert_eq!(answers, [(); 3].map(|()| refused.clone()), "{name}");
                times.push(time);
            }
        }
        times
    };
    let mut times = thread::spawn(tries).join().unwrap();
    let medians = times.each_mut().map(|times| {
        times.sort();
        times[ROUNDS / 2]
    });
    println!("medians of {ROUNDS} refusals: {medians:?} for {NAMES:?}");
    let (least, most) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
    let spread = most.saturating_sub(*least);
    // A container that takes longer than 0.4 s to answer is not hidden (`door/pace.rs`), and on a
    // machine that is so busy medians tell nothing.
    let hidden = Duration::from_millis(400);
    assert!(spread < Duration::from_millis(25) || *most > hidden, "{medians:?}");
}
