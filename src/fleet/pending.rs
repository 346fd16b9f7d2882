//! Which instances have changed since the driver last looked: events of any number become a set
//! of bounded size. The event stream is read into it without ever waiting for the driver.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use tokio::sync::Notify;

use crate::incus::Event;

/// With more than this, everything is listed again.
const MAX_NAMES: usize = 16;

/// What to read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Dirty {
    /// These instances.
    Names(BTreeSet<String>),
    /// All of them.
    All,
}

/// Collects what has changed.
#[derive(Debug)]
pub(super) struct Pending {
    dirty: Mutex<Dirty>,
    changed: Notify,
}

impl Default for Pending {
    fn default() -> Self {
        Self { dirty: Mutex::new(Dirty::Names(BTreeSet::new())), changed: Notify::new() }
    }
}

impl Pending {
    /// Takes an event in.
    pub(super) fn note(&self, event: Event) {
        let mut dirty = self.dirty.lock().unwrap_or_else(PoisonError::into_inner);
        match event.action.as_str() {
            // The old name is to go, too.
            "instance-renamed" => *dirty = Dirty::All,
            "instance-created" | "instance-deleted" | "instance-started" | "instance-stopped"
            | "instance-shutdown" | "instance-restarted" | "instance-paused"
            | "instance-resumed" | "instance-restored" | "instance-updated"
            | "instance-migrated" | "instance-ready" => dirty.add(event.instance),
            // Logins and file reads, many of them our own, change nothing.
            _ => return,
        }
        self.changed.notify_one();
    }

    /// Waits until something has changed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What has changed; nothing afterwards.
    pub(super) fn take(&self) -> Dirty {
        let mut dirty = self.dirty.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *dirty, Dirty::Names(BTreeSet::new()))
    }
}

impl Dirty {
    fn add(&mut self, name: String) {
        if let Self::Names(names) = self {
            names.insert(name);
            if names.len() > MAX_NAMES {
                *self = Self::All;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &str, instance: &str) -> Event {
        Event { action: action.to_owned(), instance: instance.to_owned() }
    }

    #[test]
    fn events_become_a_bounded_set() {
        let pending = Pending::default();
        pending.note(event("instance-exec", "c"));
        for _ in 0..100 {
            pending.note(event("instance-updated", "a"));
            pending.note(event("instance-started", "b"));
        }
        let expected = ["a", "b"].map(str::to_owned).into();
        assert_eq!(pending.take(), Dirty::Names(expected));
        assert_eq!(pending.take(), Dirty::Names(BTreeSet::new()));
        for i in 0..=MAX_NAMES {
            pending.note(event("instance-created", &i.to_string()));
        }
        assert_eq!(pending.take(), Dirty::All);
        pending.note(event("instance-renamed", "a"));
        assert_eq!(pending.take(), Dirty::All);
    }
}
