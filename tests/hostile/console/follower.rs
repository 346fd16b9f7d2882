//! Who follows the ledger.

use containarium::wire::{codec::Reader, message};

use crate::{
    fixture::{Sentinel, admin},
    peer::{Payload, Peer},
};

/// Commands that happen meanwhile: more than are read from the file at once.
const COUNT: usize = 300;

/// The data of a session's next message that has some.
fn data(peer: &mut Peer) -> Vec<u8> {
    let payload = peer.next_number(message::CHANNEL_DATA);
    Reader::new(&payload[5..]).string().unwrap().to_vec()
}

/// Somebody follows the ledger and stops reading: what happens is written and shown to others as
/// always, and when she reads on, nothing is missing.
#[test]
fn who_follows_the_ledger_and_reads_nothing_holds_up_nobody_and_misses_nothing() {
    let sentinel = Sentinel::start("");
    let mut other = sentinel.logged_in("admin", admin());
    let mut stop = |name: &str| assert_eq!(other.run(&format!("stop {name}")).status, Some(3));
    stop("nobody-0");
    let mut stalled = sentinel.logged_in("admin", admin());
    stalled.send(&Payload::session(1, 10, 1 << 15));
    let confirmed = stalled.next_number(message::CHANNEL_OPEN_CONFIRMATION);
    let theirs = Reader::new(&confirmed[5..]).uint32().unwrap();
    stalled.send(&Payload::exec(theirs, "audit --follow --json --kind command"));
    // A part of the first record: it waits for room to show the rest.
    let mut shown = data(&mut stalled);
    assert!(shown.len() <= 10, "{}", String::from_utf8_lossy(&shown));
    (1..COUNT).for_each(|number| stop(&format!("nobody-{number}")));
    sentinel.wait("others see all of it", || {
        let told =
            sentinel.logged_in("admin", admin()).run("audit --json --kind command --limit 10000");
        let records: Vec<serde_json::Value> =
            serde_json::from_str(&told.out).unwrap_or_else(|e| panic!("{e}: {told:?}"));
        records.len() == COUNT
    });
    stalled.send(&Payload::new(message::CHANNEL_WINDOW_ADJUST).uint32(theirs).uint32(1 << 24).0);
    while shown.split(|byte| *byte == b'\n').count() <= COUNT {
        shown.extend(data(&mut stalled));
    }
    let shown = String::from_utf8(shown).unwrap();
    for (number, line) in shown.lines().enumerate() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["container"], format!("nobody-{number}"), "{record}");
    }
}
