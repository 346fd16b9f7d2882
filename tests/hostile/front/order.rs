//! Messages at the wrong time.

use containarium::wire::{message, negotiate::Side};

use crate::{
    fixture::{Sentinel, admin, member, offer},
    peer::{Answer, IDENT, Payload, Peer, signed},
};

/// Where in a connection something is said.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Ident,
    Kexinit,
    KexInit,
    Established,
    Serviced,
    Offered,
    Refused,
}

const STAGES: [Stage; 7] = [
    Stage::Ident,
    Stage::Kexinit,
    Stage::KexInit,
    Stage::Established,
    Stage::Serviced,
    Stage::Offered,
    Stage::Refused,
];

/// A connection that stands at a stage.
fn at(sentinel: &Sentinel, stage: Stage) -> Peer {
    if matches!(stage, Stage::Ident | Stage::Kexinit | Stage::KexInit) {
        let mut peer = Peer::connect(sentinel.address);
        peer.greet(IDENT);
        if !matches!(stage, Stage::Ident) {
            peer.kexinits(Side::Client, &offer().kexinit(Side::Client, true).unwrap());
        }
        if matches!(stage, Stage::KexInit) {
            // The base point: as good as any other. Its answer is not waited for.
            let mut point = [0; 32];
            point[0] = 9;
            peer.send(&Payload::new(message::KEX_ECDH_INIT).string(point).0);
        }
        return peer;
    }
    let mut peer = sentinel.established();
    if matches!(stage, Stage::Established) {
        return peer;
    }
    peer.ask_for_service();
    if matches!(stage, Stage::Offered) {
        let query = signed(&peer, "admin", admin()).query();
        assert_eq!(peer.ask(&query), Answer::PkOk);
    }
    if matches!(stage, Stage::Refused) {
        assert_eq!(peer.try_log_in("admin", member()), Answer::Failure);
    }
    peer
}

/// CVE-2018-10933 (a client says that it is in), CVE-2025-32433 (channel messages before
/// authentication), CVE-2026-42189 (an answer to prompts that were never made): whatever is not a
/// key exchange or an authentication request ends the connection at every step, and nobody is in.
#[test]
fn what_is_out_of_turn_ends_the_connection_and_lets_nobody_in() {
    let sentinel = Sentinel::start("");
    let before = sentinel.logins();
    let numbers = (51..=63).chain(80..=82).chain(90..=100).chain([6, 66, 79, 128, 194, 255]);
    for number in numbers {
        for stage in STAGES {
            let mut peer = at(&sentinel, stage);
            let body = Payload::new(number).string("session").uint32(0).uint32(9).uint32(9).0;
            peer.send(&body);
            // What follows is no longer heard.
            peer.send(&Payload::session(0, 1 << 20, 1 << 15));
            let (reason, words) = match stage {
                // The sentinel's NEWKEYS came before: what follows is for keys we do not have.
                Stage::KexInit => (2, drained(&mut peer)),
                _ => peer.ended(),
            };
            assert_eq!(reason, 2, "{number} at {stage:?}: {words}");
        }
    }
    assert_eq!(sentinel.logins(), before);
}

/// Reads to the end without understanding; says nothing.
fn drained(peer: &mut Peer) -> String {
    peer.rx.skip_to_end();
    String::new()
}

/// CVE-2023-46446: a request that somebody in between inserts before NEWKEYS, where nothing protects
/// it, must not be taken for the client's. It ends the connection, however good it is.
#[test]
fn requests_before_new_keys_are_not_heard() {
    let sentinel = Sentinel::start("");
    let mut example = sentinel.serviced();
    let good = signed(&example, "admin", admin());
    let service = Payload::new(message::SERVICE_REQUEST).string("ssh-userauth").0;
    for request in [service, good.query(), good.payload(admin())] {
        for stage in [Stage::Ident, Stage::Kexinit] {
            let mut peer = at(&sentinel, stage);
            peer.send(&request);
            assert_eq!(peer.ended().0, 2, "{stage:?}");
        }
        // The sentinel's answer is under keys that we do not have.
        let mut peer = at(&sentinel, Stage::KexInit);
        peer.send(&request);
        peer.rx.skip_to_end();
    }
    // With keys, but before the service was asked for.
    let mut peer = sentinel.established();
    let early = signed(&peer, "admin", admin()).payload(admin());
    peer.send(&early);
    assert_eq!(peer.ended().0, 2);
    assert_eq!(example.ask(&good.payload(admin())), Answer::Success, "in its place it is good");
}
