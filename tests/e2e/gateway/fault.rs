//! Somebody interferes, something is missing, somebody holds a lock: it is told, mended as soon as
//! that can be, and SSH goes on meanwhile.

use std::process::{Child, Command, Stdio};

use super::{Foreign, Web, alone, ask, config, foreign_rules, log_in, on, pool, public, status};
use super::{rules, stop, wait_primary};
use crate::harness::{Sentinel, world};

fn problems(sentinel: &Sentinel) -> String {
    status(sentinel)["problems"].to_string()
}

#[test]
fn what_a_human_takes_away_is_put_back() {
    let _alone = alone();
    let (_foreign, _web) = (Foreign::new(), Web::start("b3", 8084));
    let text = config(2344, "ports = [8084]\nhold = \"1s\"", &["b3"]);
    let sentinel = Sentinel::start(&world().dir, "gateway-mend", &text);
    wait_primary(&sentinel, Some("b3"));
    let (right, foreign) = (rules(), foreign_rules());
    for interference in [
        "iptables -t nat -F CONTAINARIUM-PRE",
        "iptables -t nat -D PREROUTING -j CONTAINARIUM-PRE",
        "iptables -D FORWARD -j CONTAINARIUM-FORWARD; iptables -F CONTAINARIUM-FORWARD",
    ] {
        on("sentinel", interference);
        assert_ne!(rules(), right, "{interference}");
        sentinel.wait(interference, || {
            let mut now = rules();
            let mut wanted = right.clone();
            // A jump that was put back is the first; nothing else moved.
            now.sort();
            wanted.sort();
            now == wanted
        });
        assert_eq!(foreign_rules(), foreign, "{interference}");
        assert_eq!(ask(public(8084)).unwrap(), "b3 sees 198.51.100.1", "{interference}");
    }
    assert!(sentinel.log_text().contains("somebody changed our packet filter rules"));

    on("sentinel", "sysctl -qw net.ipv4.ip_forward=0");
    sentinel.wait("it is told", || problems(&sentinel).contains("net.ipv4.ip_forward is off"));
    assert_eq!(pool(&sentinel)["in_force"], false);
    on("sentinel", "sysctl -qw net.ipv4.ip_forward=1");
    wait_primary(&sentinel, Some("b3"));
    assert_eq!(problems(&sentinel), "[]");
    stop(&sentinel);
}

#[test]
fn without_the_programs_only_the_public_ports_are_away() {
    let _alone = alone();
    let text = config(2345, "ports = [8085]", &["b3"]);
    let sentinel = Sentinel::spawn_with(
        "sentinel",
        &world().dir,
        "gateway-missing",
        &text,
        &[("PATH", "/nonexistent")],
    );
    sentinel.wait_log("listening");
    sentinel.wait("it is told", || problems(&sentinel).contains("gateway: run iptables-save"));
    assert_eq!(pool(&sentinel)["in_force"], false);
    assert_eq!(log_in(2345).status, 0);
    stop(&sentinel);
}

/// Another program that holds the lock of the old tables until it is dropped.
struct Lock(Child);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_lock_that_somebody_holds_is_told_and_waited_for() {
    let _alone = alone();
    let (_foreign, _web) = (Foreign::new(), Web::start("b3", 8086));
    // What is forwarded has to pass both filters.
    on("sentinel", "iptables -P FORWARD ACCEPT");
    let (dir, file) = (&world().dir, world().dir.join("xtables.lock"));
    let before = rules();
    let text = config(2346, "ports = [8086]\nfirewall = \"iptables-legacy\"", &["b3"]);
    // `--close`: what flock runs does not keep the lock when flock is killed.
    let flock = Command::new("flock")
        .args(["--exclusive", "--close", "--verbose"])
        .arg(&file)
        .args(["sleep", "1000"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let lock = Lock(flock);
    while Command::new("flock").arg("--nonblock").arg(&file).arg("true").status().unwrap().success()
    {
        std::thread::sleep(super::TICK);
    }
    let env = [("XTABLES_LOCKFILE", file.to_str().unwrap())];
    let sentinel = Sentinel::spawn_with("sentinel", dir, "gateway-lock", &text, &env);
    sentinel.wait_log("listening");
    sentinel.wait("it is told", || problems(&sentinel).contains("xtables lock"));
    assert_eq!(log_in(2346).status, 0);
    drop(lock);
    wait_primary(&sentinel, Some("b3"));
    assert!(sentinel.log_text().contains("another packet filter holds rules, too"));
    assert_eq!(ask(public(8086)).unwrap(), "b3 sees 198.51.100.1");
    stop(&sentinel);
    assert_eq!(rules(), before);
}
