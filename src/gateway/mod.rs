//! What the kernel forwards: public ports to the backend that is alive.

pub mod primary;
pub mod rules;
