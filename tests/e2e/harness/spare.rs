//! Hosts that tests kill. A test holds one of them and calls it `b3`, whichever it is: so two such
//! tests run beside each other, and neither has to know.

use std::{
    cell::Cell,
    sync::{Condvar, Mutex, PoisonError},
};

use super::{lab, lab_command};

/// The lab's names of them: as many as tests run at a time on two processors.
const SPARES: [&str; 2] = ["b3", "b4"];

/// Which of them are held.
static HELD: Mutex<[bool; SPARES.len()]> = Mutex::new([false; SPARES.len()]);
static FREED: Condvar = Condvar::new();

thread_local! {
    /// What the lab calls the `b3` of this test.
    static OURS: Cell<&'static str> = const { Cell::new(SPARES[0]) };
}

/// A host that one test may kill, until it is dropped.
pub struct Spare(usize);

/// A host that tests kill; it has power and a network, whatever the one before left. Threads that the
/// test starts do not know which it is.
pub fn b3() -> Spare {
    hold(&SPARES)
}

/// The one that the lab itself calls so, for scenes whose threads look at it.
pub fn b3_itself() -> Spare {
    hold(&SPARES[..1])
}

fn hold(choice: &[&'static str]) -> Spare {
    lab();
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let none_is_free = |held: &mut [bool; SPARES.len()]| held[..choice.len()].iter().all(|h| *h);
    let mut held = FREED.wait_while(held, none_is_free).unwrap_or_else(PoisonError::into_inner);
    let free = held.iter().position(|held| !held).expect("one is free");
    held[free] = true;
    drop(held);
    OURS.set(SPARES[free]);
    let spare = Spare(free);
    for mend in [
        ["revive", "b3"].as_slice(),
        &["in", "b3", "iptables", "-F", "INPUT"],
        &["in", "b3", "iptables", "-F", "OUTPUT"],
    ] {
        let out = lab_command(mend).output().expect("lab");
        assert!(out.status.success(), "{mend:?}: {}", String::from_utf8_lossy(&out.stderr));
    }
    spare
}

impl Drop for Spare {
    fn drop(&mut self) {
        OURS.set(SPARES[0]);
        HELD.lock().unwrap_or_else(PoisonError::into_inner)[self.0] = false;
        FREED.notify_all();
    }
}

/// What the lab calls a host of this test.
pub fn lab_name(host: &str) -> &str {
    if host == SPARES[0] { OURS.get() } else { host }
}
