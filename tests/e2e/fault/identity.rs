//! Far sides that are not who they were, or do not know us any more.

use std::fs;

use super::{assert_copiers_are_told, assert_told, log_in, newcomer};
use crate::harness::{Guest, Sentinel, config, lab, world};

#[test]
fn another_host_key_in_the_container_is_refused_and_told() {
    newcomer("hana");
    let guest = Guest::new(&world().sentinel, "b1", "swapped", "hana");
    assert_eq!(log_in(22, "hana", "swapped", "true").status, 0);
    guest.root(
        "cd /etc/ssh; rm ssh_host_ed25519_key*; ssh-keygen -q -N '' -t ed25519 -f ssh_host_ed25519_key\n\
         systemctl restart ssh.service",
    );
    let shown = guest.root("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2");
    let run = log_in(22, "hana", "swapped", "true");
    assert_told(&run, 69, &["swapped", "another host key", shown.trim(), "contrib/adopt"]);
    assert_copiers_are_told(22, "hana", "swapped", "another host key");
    // The same by exec.
    guest.root("systemctl stop ssh.service");
    assert_told(&log_in(22, "hana", "swapped", "true"), 69, &["another host key"]);
    guest.root("systemctl start ssh.service");
    world().container("b1", "swapped", "hana", &[]);
    world()
        .sentinel
        .wait("adopted again, it is entered", || log_in(22, "hana", "swapped", "true").status == 0);
}

#[test]
fn a_container_that_no_longer_trusts_the_sentinel_is_told() {
    newcomer("tess");
    let guest = Guest::new(&world().sentinel, "b2", "distrust", "tess");
    assert_eq!(log_in(22, "tess", "distrust", "true").status, 0);
    guest.root("rm /etc/ssh/sshd_config.d/10-containarium.conf; systemctl restart ssh.service");
    let run = log_in(22, "tess", "distrust", "true");
    assert_told(
        &run,
        69,
        &["distrust", "does not accept the sentinel's certificate", "contrib/adopt"],
    );
    assert_copiers_are_told(22, "tess", "distrust", "does not accept the sentinel's certificate");
}

#[test]
fn a_backend_that_shows_another_host_key_is_away_and_told() {
    let dir = &world().dir;
    let good = config(dir, 2212, "");
    let sentinel = Sentinel::start(dir, "pinned", &good);
    sentinel.wait_until_listed(&["alice", "bob"]);
    let bad = good.replace(lab().get("LAB_B1_HOST_KEY"), lab().get("LAB_B2_HOST_KEY"));
    assert_ne!(good, bad);
    fs::write(&sentinel.config, bad).unwrap();
    sentinel.signal("HUP");
    sentinel.wait("b1 is away", || sentinel.console(&["status"]).stdout.contains("away for"));
    let run = log_in(2212, "alice", "alice", "true");
    assert_told(&run, 75, &["alice", "backend b1, which is away since 20", "is pinned"]);
    assert_eq!(log_in(2212, "bob", "bob", "id -un").stdout, "bob\n");
    fs::write(&sentinel.config, good).unwrap();
    sentinel.signal("HUP");
    sentinel.wait("b1 is back", || log_in(2212, "alice", "alice", "true").status == 0);
}
