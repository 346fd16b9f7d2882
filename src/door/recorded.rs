//! The records of a session: one when its login is decided, one when it ends, however it ends.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tracing::info;

use super::{Shared, authenticate::describe, observe::Observed};
use crate::{
    access::{Permit, Target},
    audit::{Actor, Ended, EndedBy, Event, Ledger, Visit, openssh},
    clock::now,
};

/// Logs an event in OpenSSH's words, too, where that is wanted.
pub(super) fn tell_as_openssh(shared: &Shared, event: &Event) {
    if !shared.config.borrow().log.openssh {
        return;
    }
    if let Some(words) = openssh::words(event) {
        info!(target: openssh::TARGET, "{words}");
    }
}

/// What the ledger says of a login.
pub(super) fn visit(
    permit: &Permit,
    login: &str,
    (session, source): (u64, SocketAddr),
    client: Option<&str>,
) -> Visit {
    let (container, account) = match permit.target() {
        Target::Container { container, account } => {
            (Some(container.name.clone()), Some(account.to_string()))
        }
        Target::Console | Target::Choice(_) | Target::Route(_) | Target::Tunnel(_) => (None, None),
    };
    Visit {
        session,
        source,
        actor: Actor::from(permit.principal()),
        login: login.to_owned(),
        target: describe(permit.target()),
        container,
        account,
        client: client.map(str::to_owned),
        chosen_in: None,
    }
}

/// A session that was permitted. Its end is recorded when this goes, at the latest: a session whose
/// task panics has an end, too.
pub(super) struct Recorded {
    ledger: Ledger,
    /// Boxed: a session that idles needs nothing of it.
    open: Option<Box<Open>>,
}

struct Open {
    visit: Visit,
    way: Option<String>,
    began: Instant,
}

impl Recorded {
    /// A session whose login was recorded.
    pub(super) fn new(ledger: Ledger, visit: Visit) -> Self {
        let open = Open { visit, way: None, began: now() };
        Self { ledger, open: Some(Box::new(open)) }
    }

    /// The far side was reached.
    pub(super) fn reached(&mut self, way: &str) {
        if let Some(open) = &mut self.open {
            open.way = Some(way.to_owned());
        }
    }

    /// It ended: who ended it, why, and what it carried.
    pub(super) fn end(mut self, by: EndedBy, reason: String, observed: Observed) {
        self.put(by, reason, observed);
    }

    fn put(&mut self, by: EndedBy, reason: String, observed: Observed) {
        let Some(open) = self.open.take() else { return };
        let Open { visit, way, began } = *open;
        let bytes = (observed.up, observed.down);
        let (opened, last) = (observed.channels, observed.last.clone());
        let lasted: Duration = now().saturating_duration_since(began);
        let channels = observed.into_channels();
        let ended = Ended { visit, way, lasted, bytes, opened, channels, last, by, reason };
        self.ledger.record(Event::Ended(ended));
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        let chosen_in = self.open.as_ref().and_then(|open| open.visit.chosen_in);
        let reason = chosen_in.map_or_else(
            || "ended unexpectedly".to_owned(),
            |session| format!("session {session}, in which it was chosen, ended"),
        );
        self.put(EndedBy::Sentinel, reason, Observed::default());
    }
}
