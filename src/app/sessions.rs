//! The sessions at the door, as commands see them.

use std::sync::Arc;

use crate::{
    command::{LiveSession, context::Sessions},
    door::registry::{Registry, Session},
};

/// Those of this registry.
pub(super) fn at_the_door(registry: &Registry) -> Sessions {
    let (live, ending, watched) = (registry.clone(), registry.clone(), registry.clone());
    Sessions {
        live: Arc::new(move || live.sessions().into_iter().map(seen).collect()),
        end: Arc::new(move |id, sentence| ending.end_one(id, sentence)),
        watch: Arc::new(move |id, terminal, who| watched.watch(id, terminal, who)),
    }
}

fn seen((session, open): (Session, bool)) -> LiveSession {
    let Session { id, since, person, source, target, containers, account, key, certificate } =
        session;
    LiveSession { id, open, since, person, key, certificate, source, target, containers, account }
}
