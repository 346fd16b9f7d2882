//! What to do about a host that is down: a plan decides, the kinds do it.

pub mod plan;
