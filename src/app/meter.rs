//! What the sentinel itself uses, as `status` tells it.

use std::sync::Arc;

use crate::{
    command::context::{Meter, Usage},
    door::registry::Registry,
    process::{self, Runtimes},
    telemetry,
};

/// Reads it each time that it is asked.
pub(super) fn meter(registry: Registry, runtimes: Runtimes) -> Meter {
    let count = registry.count();
    Arc::new(move || {
        // Let go before the registry is asked for more, which has its lists when it counts.
        let sessions = *count.borrow();
        Usage {
            sessions,
            connections: registry.connections(),
            tasks: runtimes.tasks(),
            descriptors: process::descriptors(),
            resident_bytes: process::resident_bytes(),
            panics: telemetry::panics(),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use jiff::Timestamp;

    use super::*;
    use crate::door::registry::Session;

    /// Readings, and sessions that come and go meanwhile: enough for each to meet the other often.
    const TIMES: u64 = 2000;

    fn session(id: u64) -> Session {
        Session {
            id,
            since: Timestamp::UNIX_EPOCH,
            person: "p".into(),
            source: "192.0.2.1:1".parse().unwrap(),
            target: "t".into(),
            containers: Vec::new(),
            account: None,
            key: None,
            certificate: None,
        }
    }

    #[test]
    fn sessions_come_and_go_while_it_is_read() {
        let registry = Registry::default();
        let meter = meter(registry.clone(), Runtimes::default());
        let (done, ended) = mpsc::channel();
        let (read, written) = (done.clone(), done);
        thread::spawn(move || {
            for _ in 0..TIMES {
                let _ = meter();
            }
            read.send("read").unwrap();
        });
        thread::spawn(move || {
            (0..10 * TIMES).for_each(|_| drop(registry.enter(session(registry.number()), 9)));
            written.send("written").unwrap();
        });
        // Whoever waits for the other does so for good.
        for _ in 0..2 {
            ended.recv_timeout(Duration::from_secs(120)).expect("neither waits for the other");
        }
    }
}
