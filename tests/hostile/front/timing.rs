//! How long a refusal takes. That names which exist take as long as others is asserted with real
//! containers, in `tests/e2e/access`; here, that the time does not depend on the order of tries.

use std::time::{Duration, Instant};

use containarium::wire::identity::Identity;

use crate::{
    fixture::Sentinel,
    peer::{Answer, Peer, Signed, signed},
};

/// What hides whether a container was asked for its owner's keys.
const HIDING: Duration = Duration::from_millis(100);

fn garbage(peer: &Peer, user: &str) -> Signed {
    let key = Identity::generate_ed25519().unwrap();
    Signed { algorithm: "ssh-dss".into(), key: vec![7; 60], ..signed(peer, user, &key) }
}

/// The time from a request to its refusal.
fn refusal(peer: &mut Peer, request: &[u8]) -> Duration {
    let begun = Instant::now();
    assert_eq!(peer.ask(request), Answer::Failure);
    begun.elapsed()
}

/// A container is asked at the first key under its name. Whoever first says something for which
/// nobody is asked, and so spends the delay, must not find the next answer undelayed: it would tell
/// by its milliseconds whether there is such a container.
#[test]
fn no_order_of_tries_gets_an_answer_that_is_not_delayed() {
    let sentinel = Sentinel::start("");
    for user in ["alice", "nobody+x", "No Such Name"] {
        let mut peer = sentinel.serviced();
        let key = Identity::generate_ed25519().unwrap();
        let plain = signed(&peer, user, &key);
        let odd = garbage(&peer, user).query();
        let first = refusal(&mut peer, &odd);
        let second = refusal(&mut peer, &plain.query());
        assert!(first >= HIDING && second >= HIDING, "{user}: {first:?} {second:?}");
        // Another name, and the first again.
        let other = signed(&peer, "other", &key).query();
        assert!(refusal(&mut peer, &other) >= HIDING);
        assert!(refusal(&mut peer, &plain.payload(&key)) >= HIDING);
    }
}

/// Somebody whose agent holds thirty keys waits for the delay once.
#[test]
fn many_keys_wait_once() {
    let sentinel = Sentinel::start("");
    let mut peer = sentinel.serviced();
    let keys = [(); 30].map(|()| Identity::generate_ed25519().unwrap());
    let queries = keys.map(|key| signed(&peer, "alice", &key).query());
    let times = queries.map(|query| refusal(&mut peer, &query));
    assert!(times[0] >= HIDING, "{times:?}");
    // The machine may be slow, but not with each of them.
    assert!(times[1..].iter().any(|time| *time < HIDING), "{times:?}");
}
