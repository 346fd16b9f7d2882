//! Hosts that come and go, that come back elsewhere, and whose names nobody knows. They do so as a port
//! is closed and opened, which takes no time.

use std::{
    fs,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use super::{Web, alone, ask, config, in_network, public, stop, wait_primary};
use crate::harness::{Sentinel, TICK, backend_section, lab, lines, set, world};

/// The port that health asks for.
const ALIVE: u16 = 8091;

/// How a backend is watched here.
const OFTEN: &str = "health = { ports = [8091], interval = \"100ms\", fall = 2, rise = 1 }\n";

/// Something that accepts connections on a host, and counts them, until it is dropped.
struct Alive {
    accepted: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Alive {
    fn on(host: &str) -> Self {
        let listener = in_network(host, || TcpListener::bind(("0.0.0.0", ALIVE)).unwrap());
        listener.set_nonblocking(true).unwrap();
        let (accepted, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (count, ended) = (Arc::clone(&accepted), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::SeqCst) {
                if listener.accept().is_ok() {
                    count.fetch_add(1, Ordering::SeqCst);
                } else {
                    thread::sleep(TICK);
                }
            }
        });
        Self { accepted, stop, thread: Some(thread) }
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[test]
fn a_host_that_flaps_turns_ports_once_in_a_hold_time_and_is_started_no_more_than_allowed() {
    let _alone = alone();
    let calls = world().dir.join("flapping.calls");
    let start = format!("echo start >>{}", calls.display());
    let recovery = format!(
        "recovery = {{ kind = \"command\", argv = [\"/bin/sh\", \"-c\", \"{start}\"], hourly = 3 }}\n"
    );
    let text = config(2350, "ports = [8092]\nhold = \"1h\"", &["b3"]) + OFTEN + &recovery;
    let mut alive = Some(Alive::on("b3"));
    let sentinel = Sentinel::start(&world().dir, "flapping", &text);
    wait_primary(&sentinel, Some("b3"));
    let count = |what: &str| sentinel.log_text().matches(what).count();
    for round in 1..=20 {
        drop(alive.take());
        sentinel.wait(&format!("down, {round}"), || count("host is down") == round);
        alive = Some(Alive::on("b3"));
        sentinel.wait(&format!("up, {round}"), || count("host is up backend=b3") == round + 1);
    }
    drop(alive);
    sentinel.wait("it is started", || !lines(&calls).is_empty());
    let log = sentinel.log_text();
    assert_eq!(count("public ports lead to"), 2, "to b3, and away from it: {log}");
    assert!(lines(&calls).len() <= 3, "{:?}: {log}", lines(&calls));
    stop(&sentinel);
}

#[test]
fn a_host_is_where_its_name_said_last_and_is_found_where_it_comes_back() {
    let _alone = alone();
    let (_b1, _b3) = (Web::start("b1", 8093), Web::start("b3", 8093));
    let hosts = world().dir.join("names.hosts");
    let address = |backend: &str| lab().get(&format!("LAB_{backend}_ADDRESS")).to_owned();
    fs::write(&hosts, format!("{} spot.example\n", address("B3"))).unwrap();
    let section = backend_section("b3");
    let named = set(&section, "[backend]", "address", "\"spot.example:22\"");
    let text = config(2351, "ports = [8093]\nhold = \"0s\"", &["b3"]).replace(&section, &named);
    let alive = Alive::on("b3");
    let mount = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    let hosts_file = hosts.display().to_string();
    let words = ["unshare", "--mount", "sh", "-c", mount, &hosts_file];
    let text = text + OFTEN;
    let sentinel = Sentinel::spawn_by("sentinel", &world().dir, "names", &text, &words);
    wait_primary(&sentinel, Some("b3"));

    // Nobody knows the name: it is asked where it was.
    fs::write(&hosts, "").unwrap();
    let asked = alive.accepted();
    sentinel.wait("probes come", || alive.accepted() > asked + 20);
    let log = sentinel.log_text();
    assert!(!log.contains("host is down"), "{log}");
    assert_eq!(ask(public(8093)).unwrap(), "b3 sees 198.51.100.1");

    drop(alive);
    wait_primary(&sentinel, None);
    let _alive = Alive::on("b1");
    fs::write(&hosts, format!("{} spot.example\n", address("B1"))).unwrap();
    wait_primary(&sentinel, Some("b3"));
    sentinel.wait("it is found there", || {
        ask(public(8093)).is_ok_and(|said| said == "b1 sees 198.51.100.1")
    });
    stop(&sentinel);
}
