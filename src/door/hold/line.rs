//! Who logs in on a backend next: few at a time, in the order in which they came. A host that is
//! back is not to be run over by all who waited for it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::model::name::{BackendName, ContainerName};

/// Logins begun on a backend at a time: its sshd, which most of them go through, turns people away
/// from 10 on that have not authenticated (`MaxStartups` of OpenSSH).
const PER_BACKEND: usize = 8;

/// The same for one container: half of it, so that one whose sshd hangs does not take all turns.
const PER_CONTAINER: usize = 4;

/// A place in the order: lower goes first.
pub(super) type Ticket = u64;

/// One line for each backend. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    next: Ticket,
    queues: HashMap<BackendName, Queue<oneshot::Sender<Turn>>>,
}

/// A turn; dropping it gives it to the next one.
#[derive(Debug)]
pub(super) struct Turn {
    lines: Lines,
    backend: BackendName,
    container: ContainerName,
}

impl Lines {
    /// A place behind everybody.
    pub(super) fn ticket(&self) -> Ticket {
        let mut state = self.lock();
        state.next += 1;
        state.next
    }

    /// Waits for a turn. Whoever stops waiting leaves the line.
    pub(super) async fn turn(
        &self,
        backend: &BackendName,
        container: &ContainerName,
        ticket: Ticket,
    ) -> Turn {
        let (call, called) = oneshot::channel();
        self.lock().queues.entry(backend.clone()).or_default().join(ticket, container, call);
        let _leaves = Leaving { lines: self, backend, ticket };
        self.call(backend);
        match called.await {
            Ok(turn) => turn,
            // A place that nobody calls any more does not exist: the call is kept until then.
            Err(_) => std::future::pending().await,
        }
    }

    /// Calls those whose turn it is.
    fn call(&self, backend: &BackendName) {
        let called = self.lock().queues.get_mut(backend).map(Queue::call).unwrap_or_default();
        for (container, call) in called {
            let turn = Turn { lines: self.clone(), backend: backend.clone(), container };
            // One who has just left gives it back by this.
            drop(call.send(turn));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic between two statements here leaves counts that are still true.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(queue) = self.lines.lock().queues.get_mut(&self.backend) {
            queue.done(&self.container);
        }
        self.lines.call(&self.backend);
        let mut state = self.lines.lock();
        if state.queues.get(&self.backend).is_some_and(Queue::is_empty) {
            state.queues.remove(&self.backend);
        }
    }
}

/// Takes a place out of the line when its owner has gone, or was called.
struct Leaving<'a> {
    lines: &'a Lines,
    backend: &'a BackendName,
    ticket: Ticket,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        // Dropped behind the lock: what was called holds a turn, and its end takes the lock.
        let left = {
            let mut state = self.lines.lock();
            state.queues.get_mut(self.backend).and_then(|q| q.waiting.remove(&self.ticket))
        };
        drop(left);
    }
}

/// The line of one backend. Pure.
#[derive(Debug)]
struct Queue<C> {
    begun: HashMap<ContainerName, usize>,
    waiting: BTreeMap<Ticket, (ContainerName, C)>,
}

impl<C> Default for Queue<C> {
    fn default() -> Self {
        Self { begun: HashMap::new(), waiting: BTreeMap::new() }
    }
}

impl<C> Queue<C> {
    fn join(&mut self, ticket: Ticket, container: &ContainerName, call: C) {
        self.waiting.insert(ticket, (container.clone(), call));
    }

    /// Those who may begin now; they have begun.
    fn call(&mut self) -> Vec<(ContainerName, C)> {
        let mut called = Vec::new();
        while self.begun.values().sum::<usize>() < PER_BACKEND {
            let may = |name: &ContainerName| {
                self.begun.get(name).is_none_or(|begun| *begun < PER_CONTAINER)
            };
            let first = self.waiting.iter().find(|(_, (name, _))| may(name));
            let Some(ticket) = first.map(|(ticket, _)| *ticket) else { break };
            let Some((name, call)) = self.waiting.remove(&ticket) else { break };
            *self.begun.entry(name.clone()).or_default() += 1;
            called.push((name, call));
        }
        called
    }

    fn done(&mut self, container: &ContainerName) {
        if let Some(begun) = self.begun.get_mut(container) {
            *begun = begun.saturating_sub(1);
        }
        self.begun.retain(|_, begun| *begun > 0);
    }

    fn is_empty(&self) -> bool {
        self.begun.is_empty() && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, future::join_all};

    use super::*;

    fn name(name: &str) -> ContainerName {
        name.parse().unwrap()
    }

    #[test]
    fn first_come_first_served_and_a_slow_container_has_half_the_turns() {
        let mut queue = Queue::default();
        for ticket in 0..20 {
            queue.join(ticket, &name(if ticket < 10 { "slow" } else { "other" }), ticket);
        }
        let tickets = |called: Vec<(ContainerName, u64)>| -> Vec<u64> {
            called.into_iter().map(|(_, ticket)| ticket).collect()
        };
        assert_eq!(tickets(queue.call()), [0, 1, 2, 3, 10, 11, 12, 13]);
        assert!(queue.call().is_empty(), "all turns are taken");
        queue.done(&name("other"));
        assert_eq!(tickets(queue.call()), [14], "the slow one's own do not hold up the others");
        queue.done(&name("slow"));
        assert_eq!(tickets(queue.call()), [4]);
    }

    #[tokio::test]
    async fn whoever_leaves_the_line_holds_up_nobody_and_nothing_is_kept() {
        let (lines, b1) = (Lines::default(), "b1".parse().unwrap());
        let of = |who: &str| {
            let (lines, who, b1) = (lines.clone(), name(who), &b1);
            let ticket = lines.ticket();
            async move { lines.turn(b1, &who, ticket).await }
        };
        let mut turns = join_all((0..8).map(|i| of(&format!("c{i}")))).await;
        let (mut leaver, mut stayer) = (Box::pin(of("l")), Box::pin(of("s")));
        assert!(leaver.as_mut().now_or_never().is_none(), "eight have begun");
        assert!(stayer.as_mut().now_or_never().is_none());
        drop(leaver);
        turns.pop();
        let turn = stayer.as_mut().now_or_never().expect("its turn");
        // One who was called and left before he knew.
        let mut late = Box::pin(of("late"));
        assert!(late.as_mut().now_or_never().is_none());
        drop(turn);
        drop(late);
        assert_eq!(lines.lock().queues[&b1].begun.len(), 7);
        drop(turns);
        assert!(lines.lock().queues.is_empty());
    }
}
