//! What is alive: a machine for each check decides, a driver probes, and everybody watches.

pub mod machine;
