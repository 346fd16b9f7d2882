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
    peer::{Answer, Peer, signed},
};

/// Names with a container, as an account that is there and one that is not; a name without one; and
/// what can be no name.
const NAMES: [&str; 5] = ["alice", "alice+alice", "alice+nobody", "alicf", "Alice!"];

const ROUNDS: usize = 15;

/// Runs on the client's host.
fn on_client<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let work = || {
        let netns = File::open(lab().netns("client")).unwrap();
        let kind = LinkNameSpaceType::Network;
        move_into_link_name_space(netns.as_fd(), Some(kind)).unwrap();
        work()
    };
    thread::scope(|scope| scope.spawn(work).join().unwrap())
}

/// A connection to the shared sentinel on which `ssh-userauth` was accepted.
fn serviced() -> Peer {
    let address = format!("{}:22", lab().get("LAB_SENTINEL_ADDRESS"));
    let mut peer = Peer::connect(address.parse::<SocketAddr>().unwrap());
    peer.establish(&Offer::front(vec!["ssh-ed25519"]), true);
    peer.ask_for_service();
    peer
}

/// Logs nobody in: what a stranger's key is told under `name`, and how long it took.
fn refusals(name: &str, key: &Identity) -> (Vec<Vec<u8>>, Duration) {
    let mut peer = serviced();
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
    // What tells names apart does so each time; a busy machine does not.
    let alike = (0..5).any(|_| {
        let medians = on_client(tries).map(|mut times| {
            times.sort();
            times[ROUNDS / 2]
        });
        println!("medians of {ROUNDS} refusals: {medians:?} for {NAMES:?}");
        let (least, most) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
        // A container that takes longer than 0.4 s to answer is not hidden (`door/pace.rs`), and
        // on a machine that is so busy medians tell nothing.
        let hidden = Duration::from_millis(400);
        most.saturating_sub(*least) < Duration::from_millis(25) || *most > hidden
    });
    assert!(alike, "five times the medians differed");
}

/// The way to a container is begun while a key that would open it is only offered. Whoever then signs
/// with another key, under another name, is where that one leads, and meets nobody's sshd but hers.
#[test]
fn an_offer_begins_no_way_for_somebody_else() {
    let key = |person: &str| {
        let file = std::fs::read_to_string(world().dir.join(person)).unwrap();
        Identity::from_private_key(&ssh_key::PrivateKey::from_openssh(&file).unwrap()).unwrap()
    };
    let (alice, bob) = (key("alice"), key("bob"));
    let told = on_client(|| {
        let mut peer = serviced();
        let query = signed(&peer, "alice", &alice).query();
        assert_eq!(peer.ask(&query), Answer::PkOk);
        // Alice's key for bob's container, and a signature of bob's under alice's name.
        assert_eq!(peer.try_log_in("bob", &alice), Answer::Failure);
        assert_eq!(peer.try_log_in("alice", &bob), Answer::Failure);
        assert_eq!(peer.try_log_in("bob", &bob), Answer::Success);
        peer.run("hostname; id -un")
    });
    assert_eq!(told.out, "bob-container\nbob\n");
}
