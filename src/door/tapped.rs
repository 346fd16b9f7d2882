//! Which sessions are recorded: by the configuration, the container, and who comes. Those on containers
//! can be watched.

use std::net::SocketAddr;

use super::{Shared, authenticate::describe};
use crate::{
    access::{Permit, Target},
    config::Recorded,
    model::{container::Container, key::PublicKey, text::printable},
    recording::{Facts, Tap},
};

/// The tap on a session of this permit, if it has one: one that records, or one for those who watch.
pub(super) fn tap(shared: &Shared, permit: &Permit, (session, source): (u64, SocketAddr)) -> Tap {
    match permit.target() {
        Target::Container { .. } | Target::Choice(_) => {}
        Target::Console | Target::Route(_) | Target::Tunnel(_) => return Tap::default(),
    }
    if !is_recorded(shared, permit) {
        return Tap::unrecorded();
    }
    let facts = Facts {
        session,
        person: printable(&permit.principal().name, 100),
        source: source.ip().to_canonical(),
        target: printable(&describe(permit.target()), 200),
    };
    let input = shared.config.borrow().record.input;
    Tap::new(facts, shared.recorder.clone(), input)
}

/// Whether the terminals of this permit's session are recorded.
pub(super) fn is_recorded(shared: &Shared, permit: &Permit) -> bool {
    let sessions = shared.config.borrow().record.sessions;
    let key = permit.principal().key.as_ref();
    match permit.target() {
        Target::Container { container, account } => {
            means(sessions, container, *account == container.owner)
        }
        // Which one she chooses is not known yet, and what she types then comes the same way.
        Target::Choice(names) => {
            let inventory = shared.inventory.borrow();
            names.iter().any(|name| match inventory.container(name) {
                Some(container) => means(sessions, container, owns(container, key)),
                None => false,
            })
        }
        Target::Console | Target::Route(_) | Target::Tunnel(_) => false,
    }
}

fn means(sessions: Recorded, container: &Container, is_owner: bool) -> bool {
    // Somebody who writes "yes" means it.
    let is_labelled = !matches!(container.label("record"), None | Some("" | "false"));
    match sessions {
        Recorded::Off => false,
        Recorded::Labelled => is_labelled,
        Recorded::Collaborators => is_labelled || !is_owner,
    }
}

/// Whether this key opens the owner's account.
fn owns(container: &Container, key: Option<&PublicKey>) -> bool {
    key.is_some_and(|key| container.accounts_of(key).next() == Some(&container.owner))
}

#[cfg(test)]
mod tests {
    use Recorded::{Collaborators, Labelled, Off};

    use super::*;
    use crate::command::testing::{container, key};

    #[test]
    fn the_configuration_the_label_and_the_person_decide() {
        let labelled = |value: Option<&str>| {
            let mut alice = container("alice", "b1", None);
            let label = value.map(|v| ("user.containarium.record".to_owned(), v.to_owned()));
            alice.config.extend(label);
            alice
        };
        for (sessions, label, is_owner, recorded) in [
            (Off, Some("true"), false, false),
            (Labelled, None, false, false),
            (Labelled, Some("true"), true, true),
            (Labelled, Some("yes"), true, true),
            (Labelled, Some("false"), false, false),
            (Labelled, Some(""), false, false),
            (Collaborators, None, true, false),
            (Collaborators, None, false, true),
            (Collaborators, Some("true"), true, true),
            (Collaborators, Some("false"), false, true),
        ] {
            let container = labelled(label);
            let judged = means(sessions, &container, is_owner);
            assert_eq!(judged, recorded, "{sessions:?} {label:?} {is_owner}");
        }
        let alice = labelled(None);
        assert!(owns(&alice, Some(&key("alice"))));
        assert!(!owns(&alice, Some(&key("dave"))) && !owns(&alice, None));
    }
}
