//! How long a site is away when its host dies, and who waited for what.

use std::thread;

use crate::{
    Effort,
    harness::{Outage, outage::Timeline},
};

/// The argument that asks for nothing else.
pub const ALONE: &str = "outages";

/// Plays `effort.outages` of them, each with a sentinel and containers of its own.
pub fn measure(effort: &Effort) -> Vec<Timeline> {
    let play = |number: usize| {
        let timeline = Outage::set(&format!("outage{number}")).play();
        eprintln!("outage: {timeline}");
        timeline
    };
    let all = || (1..=effort.outages).map(play).collect();
    // As a test: what the lab's shared sentinel is inspected for, it is when this thread ends.
    thread::scope(|scope| scope.spawn(all).join().unwrap())
}
