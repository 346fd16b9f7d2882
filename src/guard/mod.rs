//! The guard: who fails to log in too often is kept out for a while, and never one's own people.
//!
//! `door` asks it at each connection ([`Guard::admit`]) and tells it how that ended ([`Knock`]);
//! commands look at its [`book`] and change it. It never looks into what is sent, and never closes
//! a connection by itself. What counts, and why, is in `docs/guard.md`.

pub mod book;
mod driver;
mod flood;
mod keep;
mod kernel;
mod knock;
#[cfg(test)]
mod tests;

pub use self::{
    book::Standing,
    driver::{Guard, Removed, Summary},
    kernel::Kernel,
    knock::Knock,
};
