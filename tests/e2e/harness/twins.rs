//! Two containers that only the backend tells apart.

use std::{fs, sync::OnceLock};

use super::{lab, lab_command, world};

/// Two containers of alice with the same address, on either backend, whose sshd starts a key
/// exchange every 64 KiB.
pub const TWINS: [(&str, &str); 2] = [("twin1", "b1"), ("twin2", "b2")];

/// The address of the twins; they are made by the first test that asks.
pub fn twins() -> &'static str {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(|| {
        let world = world();
        let known = world.address(TWINS[0].1, TWINS[0].0);
        let address = if known.is_empty() { free_address() } else { known };
        for (name, backend) in TWINS {
            let instance = format!("{name}-container");
            if lab().incus(backend, &["list", &format!("^{instance}$"), "-cn", "-fcsv"]).is_empty()
            {
                let device = format!("eth0,ipv4.address={address}");
                lab().incus(backend, &["init", "-q", "debian", &instance, "-d", &device]);
                let file = world.dir.join("rekey.conf");
                fs::write(&file, "RekeyLimit 64K\n").unwrap();
                let there = format!("{instance}/etc/ssh/sshd_config.d/30-rekey.conf");
                let push = ["file", "push", "-q", file.to_str().unwrap(), &there];
                lab().incus(backend, &push);
            }
            assert_eq!(world.container(backend, name, "alice", &[]), address);
        }
        world.sentinel.wait_until_listed(&TWINS.map(|(name, _)| name));
        address
    })
}

/// An address that neither backend has given away.
fn free_address() -> String {
    let taken = TWINS.map(|(_, backend)| {
        let list = ["incus", backend, "network", "list-leases", "incusbr0", "-fcsv"];
        String::from_utf8(lab_command(&list).output().expect("incus").stdout).unwrap()
    });
    let mut free = (200..250).map(|n| format!("10.0.3.{n}"));
    let is_free = |a: &String| !taken.iter().any(|t| t.split([',', '\n']).any(|field| field == a));
    free.find(is_free).expect("a free address")
}
