//! Keys that the owner puts into her home directory open the door, and no longer when removed.

use std::time::{Duration, Instant};

use containarium::model::{inventory::Presence, key::PublicKey};

use crate::{
    cut::Cable,
    lab::{Running, in_lab},
};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqRmYdWkC8NSTf4eDvyGUj0zaPbhj8gHZMpiUm+3HXQ";

#[expect(clippy::disallowed_methods, reason = "measures")]
fn clock() -> Instant {
    Instant::now()
}

#[test]
fn a_key_in_her_home_counts_until_it_is_removed() {
    in_lab(async |lab| {
        let guest = lab.launch(0, "fhome");
        guest.sh("useradd -m -s /bin/sh alice && install -d -m 700 -o alice /home/alice/.ssh");
        let write = |text: &str| {
            guest.sh(&format!(
                "cd /home/alice/.ssh; echo '{text}' >authorized_keys; chown alice authorized_keys"
            ));
        };
        let cable = Cable::to(lab.sshd(0)).await;
        let running = Running::start(&lab, &[lab.remote(0, &cable.address)]);
        let name = "fhome".parse().unwrap();
        let inventory = running.until("listed", 10, |i| i.container(&name).is_some()).await;
        let container = inventory.container(&name).unwrap();
        let keys = async || running.fleet.authorized_keys(container, &container.owner).await;
        assert!(keys().await.is_empty());

        write(KEY);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let asked = clock();
        let many = futures_util::future::join_all((0..50).map(|_| keys())).await;
        println!("50 at once in {:?}", asked.elapsed());
        assert!(
            many.iter().all(|k| k.len() == 1 && k[0].key == PublicKey::from_line(KEY).unwrap())
        );

        guest.sh("chmod g+w /home/alice/.ssh");
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(keys().await.is_empty(), "others may write");
        guest.sh("chmod g-w /home/alice/.ssh");
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(keys().await.len(), 1);

        cable.plug(false);
        running
            .until("away", 10, |i| matches!(i.backends[0].presence, Presence::Away { .. }))
            .await;
        assert_eq!(keys().await.len(), 1, "what was read last counts while the backend is away");
        write("");
        cable.plug(true);
        running.until("up", 20, |i| matches!(i.backends[0].presence, Presence::Up { .. })).await;
        assert!(keys().await.is_empty());
        let nobody = "nobody-here".parse().unwrap();
        assert!(running.fleet.authorized_keys(container, &nobody).await.is_empty());
    });
}
