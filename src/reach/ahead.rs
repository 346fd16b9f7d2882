//! Meeting a container's sshd while a person's signature is still on its way.
//!
//! Anybody can offer a public key. So an offer of a permitted one gets no more than a key exchange,
//! on which nobody has logged in, on the way that worked last; few at a time, because sshd counts
//! connections that do not log in (`MaxStartups`, 10 by default), and not for long.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::timeout;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::{CONNECT, Reach, SSH_PORT, Way, plan};
use crate::{
    clock,
    link::{connection::Connection, login::meet},
    model::{
        container::{Container, Status},
        name::{BackendName, ContainerName},
    },
};

/// Meetings with one container's sshd at a time: less than half of what it stands before it turns
/// people away.
const PER_CONTAINER: usize = 4;

/// Meetings through one backend at a time: its own sshd has the same limit.
const PER_BACKEND: usize = 8;

/// How long a meeting may last before a person has proven her key: an agent signs at once; who must
/// touch a token waits for the ordinary login.
const PATIENCE: Duration = Duration::from_secs(2);

/// Meetings under way, by backend and container.
type Counts = HashMap<BackendName, HashMap<ContainerName, usize>>;

/// The places for meetings. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<Counts>>);

impl Places {
    fn take(&self, container: &Container) -> Option<Place> {
        let mut counts = self.lock();
        let of_backend = counts.entry(container.backend.clone()).or_default();
        let total: usize = of_backend.values().sum();
        let of_container = of_backend.entry(container.name.clone()).or_default();
        if *of_container >= PER_CONTAINER || total >= PER_BACKEND {
            return None;
        }
        *of_container += 1;
        let key = (container.backend.clone(), container.name.clone());
        Some(Place { places: self.clone(), key })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // A panic between two statements here leaves counts that are still true.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One place; dropping it gives it back.
struct Place {
    places: Places,
    key: (BackendName, ContainerName),
}

impl Drop for Place {
    fn drop(&mut self) {
        let (backend, name) = &self.key;
        let mut counts = self.places.lock();
        let Some(of_backend) = counts.get_mut(backend) else { return };
        if let Some(count) = of_backend.get_mut(name) {
            *count = count.saturating_sub(1);
        }
        of_backend.retain(|_, count| *count > 0);
        if of_backend.is_empty() {
            counts.remove(backend);
        }
    }
}

/// A meeting with a container's sshd, perhaps still under way. Dropping it ends it.
pub struct Ahead {
    container: Arc<Container>,
    way: Way,
    until: Instant,
    meeting: AbortOnDropHandle<Option<Connection>>,
    _place: Place,
}

impl Ahead {
    /// When it is of no use any more.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Whether it is with this very container, as it is known now, and by `way`.
    pub(super) fn fits(&self, container: &Container, way: Way) -> bool {
        let met = &self.container;
        self.way == way
            && (&met.backend, &met.name) == (&container.backend, &container.name)
            && met.host_keys == container.host_keys
            && met.addresses == container.addresses
    }

    /// The connection, once keys are exchanged. `None`: that failed.
    pub(super) async fn met(self) -> Option<Connection> {
        self.meeting.await.ok().flatten()
    }
}

impl Reach {
    /// Starts to meet `container`'s sshd under the identification line `ident`, in a task among
    /// `tasks`. `None`: all places are taken, or no quick way leads there.
    #[must_use]
    pub fn ahead(
        &self,
        container: &Arc<Container>,
        ident: &str,
        tasks: &TaskTracker,
    ) -> Option<Ahead> {
        if container.host_keys.is_empty() || container.status != Status::Running {
            return None;
        }
        let backend = self.backend(&container.backend).ok()?;
        let last = self.remembered(&(container.backend.clone(), container.name.clone()));
        let way = *plan(&backend, container, last).first()?;
        // Exec would start processes on the host, for somebody who has proven nothing.
        if way == Way::Exec || last == Some(Way::Exec) {
            return None;
        }
        let place = self.places.take(container)?;
        let (reach, met, ident) = (self.clone(), Arc::clone(container), ident.to_owned());
        let meeting = tasks.spawn(async move {
            let meeting = async {
                let socket = reach.open(way, &backend, &met, SSH_PORT).await.ok()?;
                meet(socket, &ident, &met.host_keys).await.ok()
            };
            timeout(CONNECT, meeting).await.ok().flatten()
        });
        Some(Ahead {
            container: Arc::clone(container),
            way,
            until: clock::now() + PATIENCE,
            meeting: AbortOnDropHandle::new(meeting),
            _place: place,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn container(backend: &str, name: &str) -> Container {
        let config = BTreeMap::from([("user.containarium.owner".into(), "alice".into())]);
        let place = (backend.parse().unwrap(), "default".parse().unwrap());
        Container::from_config(name.parse().unwrap(), place, (Status::Running, vec![]), &config)
            .unwrap()
    }

    #[test]
    fn places_are_few_for_a_container_and_for_its_backend_and_come_back() {
        let places = Places::default();
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| container("b1", name));
        let mut taken: Vec<_> = (0..PER_CONTAINER).map(|_| places.take(&alice).unwrap()).collect();
        assert!(places.take(&alice).is_none(), "one container");
        taken.extend((PER_CONTAINER..PER_BACKEND).map(|_| places.take(&bob).unwrap()));
        assert!(places.take(&carol).is_none(), "one backend");
        let elsewhere = places.take(&container("b2", "alice"));
        assert!(elsewhere.is_some(), "another backend");
        taken.pop();
        assert!(places.take(&carol).is_some());
        drop((taken, elsewhere));
        assert!(places.lock().is_empty(), "nothing is kept");
    }
}
