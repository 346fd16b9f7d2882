//! The control connection, which lives for months.

use std::{path::PathBuf, sync::Arc, time::Duration};

use containarium::{incus::Client, link::control::Link};

use crate::lab::in_lab;

/// Tasks of this runtime besides the test.
fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

async fn until_tasks_are(count: usize) {
    let fewer = async {
        while tasks() > count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), fewer).await.unwrap();
}

#[test]
fn a_connection_keeps_nothing_of_the_streams_that_ended() {
    in_lab(async |lab| {
        let link = Link::new(&lab.remote(0, &lab.sshd(0)), &lab.key()).unwrap();
        link.connect().await.unwrap();
        let idle = tasks();
        let client = Client::new(Arc::new(link.clone()));
        let socket = PathBuf::from(lab.text(0, "incus_socket"));
        for _ in 0..100 {
            client.server().await.unwrap();
            // Somebody who changed her mind.
            drop(link.open_unix(&socket).await.unwrap());
        }
        until_tasks_are(idle).await;
        assert_eq!(link.kept().await, 0);
    });
}

/// Incus reads the first bytes of a connection before it accepts another one: one that was opened for
/// somebody who stopped waiting must not stay, or nobody is answered any more.
#[test]
fn questions_that_are_given_up_leave_no_silent_connection() {
    in_lab(async |lab| {
        let link = Link::new(&lab.remote(0, &lab.sshd(0)), &lab.key()).unwrap();
        link.connect().await.unwrap();
        let idle = tasks();
        let client = Client::new(Arc::new(link.clone()));
        for moment in 0..100 {
            // From before the opening to the middle of the answer.
            let asked = tokio::time::timeout(Duration::from_micros(moment * 50), client.server());
            drop(asked.await);
        }
        until_tasks_are(idle).await;
        client.server().await.unwrap();
    });
}
