//! The SSH front: accepts connections, authenticates people, and pipes each to where she may go.
//! `app` starts it; nothing else calls it. It changes nothing of what people send, beyond the few
//! packets named in [`intercept`], looks at no more than [`observe`] says, and never decides by itself who may go where.
//!
//! Each accepted connection belongs for life to one of a few single-threaded runtimes: that was
//! measured to take a fifth less CPU than moving tasks between threads.

mod accept;
mod attend;
mod authenticate;
mod choice;
pub mod files;
pub mod hold;
pub mod intercept;
pub mod key_use;
mod lobby;
pub mod observe;
mod offer;
pub mod pace;
pub mod pipe;
mod recorded;
pub mod registry;
mod session;
mod silent;
mod tapped;
mod tunnel;
pub mod unknown;
mod upstream;

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

pub use self::{
    accept::{Admitted, Door, DoorError},
    session::serve,
};
use self::{hold::Hold, key_use::KeyUses, pace::Pace, registry::Registry};
use crate::{
    audit::Ledger, config::Config, console::Console, fleet::Fleet, guard::Guard,
    model::inventory::Inventory, process::Runtimes, reach::Reach, recording::Recorder,
    store::keys::Keys, wire::identity::Identity,
};

/// What every connection needs. Built once by `app`.
pub struct Shared {
    /// The configuration, now and later.
    pub config: watch::Receiver<Arc<Config>>,
    /// What runs where, now and later.
    pub inventory: watch::Receiver<Arc<Inventory>>,
    /// Host keys and CA.
    pub keys: Keys,
    /// The key that upstream certificates are for: made at start, kept nowhere.
    pub session_key: Arc<Identity>,
    /// Reads keys from containers.
    pub fleet: Fleet,
    /// Opens containers.
    pub reach: Reach,
    /// Waits for containers that are not there yet.
    pub hold: Hold,
    /// Serves administrators, and apologies.
    pub console: Arc<Console>,
    /// Who is let in at all.
    pub guard: Guard,
    /// Who is connected.
    pub registry: Registry,
    /// When which key last opened what.
    pub key_uses: KeyUses,
    /// Where what happens is recorded.
    pub ledger: Ledger,
    /// Records terminals.
    pub recorder: Recorder,
    /// How long a refusal lasts.
    pub pace: Pace,
    /// The runtimes of this process; the door adds its own.
    pub runtimes: Runtimes,
    /// Owner of the tasks beside a connection's own.
    pub tasks: TaskTracker,
}

impl Shared {
    fn host_key_algorithms(&self) -> Vec<&'static str> {
        self.keys.host.iter().flat_map(|identity| identity.algorithms().iter().copied()).collect()
    }
}
