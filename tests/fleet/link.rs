//! The control connection, which lives for months.

use std::{path::PathBuf, sync::Arc, time::Duration};

use containarium::{
    incus::Client,
    link::{control::Link, reverse::Tunnels},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

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
        let link =
            Link::new(&lab.remote(0, &lab.sshd(0)), &lab.key(), &Tunnels::default()).unwrap();
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
        let link =
            Link::new(&lab.remote(0, &lab.sshd(0)), &lab.key(), &Tunnels::default()).unwrap();
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

/// A cable of which both ends are plugged in, and over which nothing comes when it is frozen.
async fn freezing(sshd: String) -> (String, watch::Sender<()>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (freeze, mut frozen) = watch::channel(());
    let mut cable = JoinSet::new();
    cable.spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(&sshd).await.unwrap();
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => {}
            _ = frozen.changed() => {}
        }
        std::future::pending::<()>().await;
    });
    (address, freeze, cable)
}

/// Who waits for a stream when its host is found dead is told so by then, and is not waited for.
#[test]
fn what_waits_ends_when_its_host_is_found_dead() {
    in_lab(async |lab| {
        let (address, freeze, _cable) = freezing(lab.sshd(0)).await;
        let link = Link::new(&lab.remote(0, &address), &lab.key(), &Tunnels::default()).unwrap();
        link.connect().await.unwrap();
        let idle = tasks();
        freeze.send_replace(());
        let socket = PathBuf::from(lab.text(0, "incus_socket"));
        let (opened, ()) = tokio::join!(link.open_unix(&socket), async {
            while tasks() == idle {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            link.lose().await;
        });
        let error = opened.map(drop).unwrap_err().to_string();
        // Not "no answer", which takes the link's own patience.
        assert!(error.ends_with("Disconnected") || error.ends_with("disconnected"), "{error}");
        until_tasks_are(idle - 1).await;
    });
}
