//! Hosts whose containers have the same address.

use super::{Nat, Tunnel, log_in, open_session, section, wait_down, wait_up};
use crate::harness::{
    Guest, Sentinel, b3, backend_section, config, lab, lab_command, make_key, quiet_delete, set,
    world,
};

const PORT: u16 = 2631;

/// A container on each backend, all with this address.
const EQUAL: [(&str, &str); 3] = [("equal-1", "b1"), ("equal-2", "b2"), ("equal-3", "b3")];

/// An address that no backend has given away, beyond those of others' tests.
fn free_address() -> String {
    let taken = EQUAL
        .map(|(_, backend)| lab().incus(backend, &["network", "list-leases", "incusbr0", "-fcsv"]));
    let is_free = |a: &String| !taken.iter().any(|t| t.split([',', '\n']).any(|f| f == a));
    (150..190).map(|n| format!("10.0.3.{n}")).find(is_free).expect("a free address")
}

fn containers(sentinel: &Sentinel) -> Vec<Guest> {
    let address = free_address();
    EQUAL
        .iter()
        .map(|(name, backend)| {
            quiet_delete(backend, &[name]);
            let device = format!("eth0,ipv4.address={address}");
            let instance = format!("{name}-container");
            lab().incus(backend, &["init", "-q", "debian", &instance, "-d", &device]);
            assert_eq!(world().container(backend, name, "equal", &[]), address, "{name}");
            let (name, backend) = ((*name).to_owned(), (*backend).to_owned());
            Guest { name, backend, address: address.clone() }
        })
        .inspect(|guest| sentinel.wait_until_listed(&[&guest.name]))
        .collect()
}

fn reached(name: &str) {
    let run = log_in(PORT, "equal", name, "hostname");
    assert_eq!(run.stdout, format!("{name}-container\n"), "{run:?}");
}

#[test]
fn each_name_leads_to_its_own_container_while_hosts_die() {
    let _alone = b3();
    for person in ["equal", "same-2", "same-3"] {
        make_key(&world().dir, person);
    }
    let _nat = Nat::new();
    let dir = &world().dir;
    // b2 as others know it stays as it is: here its host connects, too.
    let text = config(dir, PORT, &section("b3", "same-3"));
    let text = text.replace(&backend_section("b2"), &section("b2", "same-2"));
    let sentinel = Sentinel::start(dir, "same", &set(&text, "ssh", "wait", "\"1s\""));
    let mut second = Tunnel::start("b2", "same-2", PORT);
    let third = Tunnel::start("b3", "same-3", PORT);
    for backend in ["same-2", "same-3"] {
        wait_up(&sentinel, backend);
    }
    let guests = containers(&sentinel);
    for (name, _) in EQUAL {
        reached(name);
    }
    let open = EQUAL.map(|(name, _)| open_session(&sentinel, PORT, "equal", name));
    let [first_open, second_open, third_open] = open;
    let power = |command: &str| {
        let out = lab_command(&[command, "b3"]).output().expect("lab");
        assert!(out.status.success(), "{command}: {}", String::from_utf8_lossy(&out.stderr));
    };
    power("kill");
    let ended = third_open.join().unwrap();
    assert!(ended.stderr.contains("log in again to wait for it"), "{ended:?}");
    for name in ["equal-1", "equal-2"] {
        reached(name);
    }
    wait_down(&sentinel, "same-3");
    for name in ["equal-1", "equal-2"] {
        reached(name);
    }
    let run = log_in(PORT, "equal", "equal-3", "hostname");
    assert_eq!((run.status, run.stdout.as_str()), (75, ""), "{run:?}");
    assert!(!first_open.is_finished() && !second_open.is_finished(), "they go on");
    drop(third);
    power("revive");
    let _third = Tunnel::start("b3", "same-3", PORT);
    wait_up(&sentinel, "same-3");
    sentinel.wait("it is entered again", || {
        log_in(PORT, "equal", "equal-3", "hostname").stdout == "equal-3-container\n"
    });
    second.kill();
    let ended = second_open.join().unwrap();
    assert!(ended.stderr.contains("the tunnel to the host of equal-2 was lost"), "{ended:?}");
    for name in ["equal-1", "equal-3"] {
        reached(name);
    }
    assert!(!first_open.is_finished(), "it goes on");
    drop(guests);
    let ended = first_open.join().unwrap();
    assert_ne!(ended.status, 0, "{ended:?}");
}
