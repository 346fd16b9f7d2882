//! What happens on a backend is in the inventory a moment later.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use containarium::{
    config::{Backend, BackendAddress},
    model::{
        container::{Container, Status},
        inventory::{Inventory, Presence},
        key::PublicKey,
    },
};

use crate::{
    cut::Cable,
    lab::{Lab, Running, in_lab},
};

pub(crate) fn is_up(inventory: &Inventory) -> bool {
    matches!(inventory.backends[0].presence, Presence::Up { .. })
}

fn is_away(inventory: &Inventory) -> bool {
    matches!(inventory.backends[0].presence, Presence::Away { .. })
}

fn named<'a>(inventory: &'a Inventory, name: &str) -> Option<&'a Container> {
    inventory.container(&name.parse().unwrap()).map(AsRef::as_ref)
}

#[expect(clippy::disallowed_methods, reason = "measures")]
fn clock() -> Instant {
    Instant::now()
}

/// Launches, labels, stops, starts, renames and deletes.
pub(crate) async fn follow(lab: &Lab, running: Running, backend: &Backend, name: &str) {
    let up = running.until("up", 10, is_up).await;
    assert!(up.backends[0].version.is_some() && up.backends[0].cpus > Some(0));
    let room =
        |facts: Option<(u64, u64)>| facts.is_some_and(|(used, total)| 0 < used && used < total);
    assert!(room(up.backends[0].memory) && room(up.backends[0].disk), "{:?}", up.backends[0]);
    let guest = lab.launch(0, name);
    let started = clock();
    let has_address = |i: &Inventory| named(i, name).is_some_and(|c| !c.addresses.is_empty());
    running.until("address", 10, has_address).await;
    println!("{}: address {:?} after launch returned", backend.name, started.elapsed());
    for round in 0..5 {
        let value = format!("go{round}");
        assert!(guest.incus(&[
            "config",
            "set",
            &guest.instance,
            &format!("user.containarium.stacks={value}")
        ]));
        let changed = clock();
        let is_labelled =
            |i: &Inventory| named(i, name).is_some_and(|c| c.label("stacks") == Some(&value));
        running.until("label", 5, is_labelled).await;
        println!("{}: label {:?} after set returned", backend.name, changed.elapsed());
    }
    assert!(guest.incus(&["stop", "-f", &guest.instance]));
    let stopped = |i: &Inventory| named(i, name).is_some_and(|c| c.status == Status::Stopped);
    running.until("stopped", 5, stopped).await;
    assert!(guest.incus(&["start", &guest.instance]));
    let now = running.fleet.inventory().borrow().clone();
    let refreshed = running.fleet.refresh(named(&now, name).unwrap()).await.unwrap();
    assert_eq!(refreshed.status, Status::Running);
    running.until("address again", 10, has_address).await;
    assert!(guest.incus(&["stop", "-f", &guest.instance]));
    let renamed = format!("{name}x");
    let new = format!("{renamed}-container");
    assert!(guest.incus(&["rename", &guest.instance, &new]));
    let moved = |i: &Inventory| named(i, name).is_none() && named(i, &renamed).is_some();
    running.until("renamed", 5, moved).await;
    assert!(guest.incus(&["delete", "-f", &new]));
    running.until("deleted", 5, |i| named(i, &renamed).is_none()).await;
    running.stop().await;
}

#[test]
fn a_local_backend_is_followed() {
    in_lab(async |lab| {
        let backend = lab.local(0);
        follow(&lab, Running::start(&lab, std::slice::from_ref(&backend)), &backend, "flocal")
            .await;
    });
}

#[test]
fn a_backend_behind_ssh_is_followed() {
    in_lab(async |lab| {
        let backend = lab.remote(0, &lab.sshd(0));
        follow(&lab, Running::start(&lab, std::slice::from_ref(&backend)), &backend, "fremote")
            .await;
    });
}

#[test]
fn containers_outlive_a_cut_cable_and_a_restart() {
    in_lab(async |lab| {
        let _guest = lab.launch(1, "fcut");
        let cable = Cable::to(lab.sshd(1)).await;
        let backend = lab.remote(1, &cable.address);
        let running = Running::start(&lab, std::slice::from_ref(&backend));
        running.until("up", 10, is_up).await;
        let cut = clock();
        cable.plug(false);
        let inventory = running.until("away", 10, is_away).await;
        println!("away {:?} after the cut", cut.elapsed());
        let container = named(&inventory, "fcut").unwrap();
        assert!(running.fleet.refresh(container).await.is_none());
        tokio::time::sleep(Duration::from_secs(3)).await;
        let plugged = clock();
        cable.plug(true);
        running.fleet.retry(&backend.name);
        running.until("up again", 20, is_up).await;
        println!("up {:?} after it was plugged in", plugged.elapsed());

        let since = |i: &Inventory| match i.backends[0].presence {
            Presence::Up { since } => Some(since),
            Presence::Unknown | Presence::Away { .. } => None,
        };
        let before = since(&running.fleet.inventory().borrow());
        running.fleet.reconfigure(&[Arc::new(backend.clone())]);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(since(&running.fleet.inventory().borrow()), before, "the same goes on");
        running.fleet.reconfigure(&[Arc::new(Backend { routed: false, ..backend.clone() })]);
        running.until("changed", 5, |i| since(i).is_some() && since(i) != before).await;

        let folder = running.stop().await;
        cable.plug(false);
        let again = Running::start_in(&lab, std::slice::from_ref(&backend), folder);
        let known = again.fleet.inventory().borrow().clone();
        assert_eq!(named(&known, "fcut").unwrap().owner.as_str(), "alice");
        assert!(!is_up(&known));
        again.until("away", 10, is_away).await;
        again.fleet.reconfigure(&[]);
        again.until("gone", 5, |i| i.backends.is_empty()).await;
        again.stop().await;
    });
}

#[test]
fn another_host_key_is_refused_in_a_clear_sentence() {
    in_lab(async |lab| {
        let mut backend = lab.remote(0, &lab.sshd(0));
        let other = PublicKey::from_line(&lab.text(1, "host_key")).unwrap();
        if let BackendAddress::Ssh { host_key, .. } = &mut backend.address {
            *host_key = other;
        }
        let running = Running::start(&lab, &[backend]);
        let inventory = running.until("away", 10, is_away).await;
        let Presence::Away { reason, .. } = &inventory.backends[0].presence else { panic!() };
        println!("{reason}");
        assert!(reason.contains("host key") && reason.contains("is pinned"), "{reason}");
    });
}
