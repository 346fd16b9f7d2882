//! Down, up, and over to the next.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use super::{Foreign, PATIENCE, Web, alone, ask, config, foreign_rules, in_network, on, power};
use super::{public, rules, status, stop, wait_primary};
use crate::harness::{Sentinel, world};

/// Nothing comes through from the sentinel to `b3` until it is dropped.
struct Silence;

impl Silence {
    const RULE: &str = "INPUT -s 198.51.100.1 -j DROP";

    fn new() -> Self {
        on("b3", &format!("iptables -I {}", Self::RULE));
        Self
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        on("b3", &format!("iptables -D {}", Self::RULE));
    }
}

#[test]
fn public_ports_follow_their_backend_down_and_up() {
    let _alone = alone();
    let (_foreign, _web) = (Foreign::new(), Web::start("b3", 8081));
    let before = rules();
    let text = config(2341, "ports = [8081]\nhold = \"1s\"", &["b3"]);
    let sentinel = Sentinel::start(&world().dir, "gateway-follow", &text);
    wait_primary(&sentinel, Some("b3"));
    assert_eq!(ask(public(8081)).unwrap(), "b3 sees 198.51.100.1");

    power("kill");
    let died = Instant::now();
    sentinel.wait_log("host is down");
    let down = died.elapsed();
    wait_primary(&sentinel, None);
    eprintln!("down after {down:?}, turned away after {:?}", died.elapsed());
    // Nothing listens on the sentinel itself, which is asked now.
    assert_eq!(ask(public(8081)).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    let turned = sentinel.log_text().matches("public ports lead to no backend any more").count();
    assert_eq!(turned, 1);

    power("revive");
    let revived = Instant::now();
    wait_primary(&sentinel, Some("b3"));
    eprintln!("back after {:?}", revived.elapsed());
    assert_eq!(ask(public(8081)).unwrap(), "b3 sees 198.51.100.1");

    // Routed: the backend sees who it is, and answers by its gateway, which is the sentinel.
    fs::write(&sentinel.config, text.replace("hold =", "masquerade = false\nhold =")).unwrap();
    sentinel.signal("HUP");
    sentinel.wait("it is routed", || ask(public(8081)).unwrap() == "b3 sees 192.0.2.10");

    // What is drained is not led to.
    assert_eq!(sentinel.console(&["backend", "drain", "b3"]).status, 0);
    wait_primary(&sentinel, None);
    assert_eq!(sentinel.console(&["backend", "resume", "b3"]).status, 0);
    wait_primary(&sentinel, Some("b3"));

    // A configuration without gateway gives everything back, another filter takes it over.
    let reload = |section: &str| {
        fs::write(
            &sentinel.config,
            text.replace("[gateway]\npool = \"web\"\nports = [8081]\nhold = \"1s\"\n", section),
        )
        .unwrap();
        sentinel.signal("HUP");
    };
    reload("");
    sentinel.wait("our rules are gone", || rules() == before);
    assert_eq!(status(&sentinel)["gateway"], serde_json::Value::Null);
    for filter in ["iptables-legacy", "iptables"] {
        reload(&format!("[gateway]\npool = \"web\"\nports = [8081]\nfirewall = \"{filter}\"\n"));
        sentinel.wait(filter, || status(&sentinel)["gateway"]["firewall"] == filter);
        wait_primary(&sentinel, Some("b3"));
        let legacy = on("sentinel", "iptables-legacy-save").contains("CONTAINARIUM-PRE");
        assert_eq!(legacy, filter == "iptables-legacy");
    }
    assert_eq!(ask(public(8081)).unwrap(), "b3 sees 198.51.100.1");

    stop(&sentinel);
    assert_eq!(rules(), before);
}

/// Asks by UDP from one port, again and again, until `host` answers.
fn converse(socket: &UdpSocket, host: &str) {
    let start = Instant::now();
    let mut heard = [0; 100];
    while start.elapsed() < PATIENCE {
        let _ = socket.send(b"?");
        let length = socket.recv(&mut heard).unwrap_or(0);
        if heard[..length].starts_with(host.as_bytes()) {
            return;
        }
    }
    panic!("{host} does not answer by UDP");
}

fn udp_client(port: u16) -> UdpSocket {
    in_network("client", || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect(public(port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        socket
    })
}

#[test]
fn the_next_backend_takes_over_and_serves_who_was_on_the_way() {
    let _alone = alone();
    let (_foreign, _b1, _b3) = (Foreign::new(), Web::start("b1", 8082), Web::start("b3", 8082));
    let before = rules();
    let gateway = "ports = [8082, \"8082/udp\"]\nfailover = true\nhold = \"2s\"";
    let text = config(2342, gateway, &["b3", "b1"]);
    let sentinel = Sentinel::start(&world().dir, "gateway-over", &text);
    wait_primary(&sentinel, Some("b3"));
    let foreign = foreign_rules();
    let udp = udp_client(8082);
    converse(&udp, "b3");

    for round in 0..3 {
        let silence = Silence::new();
        let asked = Instant::now();
        // Its first packet goes to b3, and so would all others.
        let waiting = thread::spawn(|| ask(public(8082)));
        wait_primary(&sentinel, Some("b1"));
        let turned = asked.elapsed();
        assert_eq!(waiting.join().unwrap().unwrap(), "b1 sees 198.51.100.1", "{round}");
        eprintln!("over after {turned:?}, served after {:?}", asked.elapsed());
        converse(&udp, "b1");
        drop(silence);
        wait_primary(&sentinel, Some("b3"));
        assert_eq!(ask(public(8082)).unwrap(), "b3 sees 198.51.100.1");
        converse(&udp, "b3");
        assert_eq!(foreign_rules(), foreign);
    }

    // Killed while it is at it: what it made goes on working, and a successor takes it over.
    let silence = Silence::new();
    sentinel.wait("it sees that b3 is down", || {
        sentinel.log_text().matches("host is down").count() == 4
    });
    sentinel.signal("KILL");
    sentinel.wait_exit();
    assert_eq!(foreign_rules(), foreign);
    drop(sentinel);
    let sentinel = Sentinel::start(&world().dir, "gateway-next", &text);
    wait_primary(&sentinel, Some("b1"));
    converse(&udp, "b1");
    drop(silence);
    wait_primary(&sentinel, Some("b3"));
    assert_eq!(foreign_rules(), foreign);
    stop(&sentinel);
    assert_eq!(rules(), before);
}

/// Hosts are said to be down and up as a port of `b3` is closed and opened, which takes no time.
#[test]
fn foreign_rules_are_the_same_over_a_hundred_failovers() {
    let _alone = alone();
    let _foreign = Foreign::new();
    let before = rules();
    let gateway = "ports = [8089]\nfailover = true\nhold = \"0s\"";
    let often = "health = { ports = [8090], interval = \"100ms\", fall = 2, rise = 1 }\n";
    let text = config(2352, gateway, &["b3", "b1"]);
    let text = text.replacen(
        "pool = \"web\"\n[[backend]]",
        &format!("pool = \"web\"\n{often}[[backend]]"),
        1,
    );
    let open = || in_network("b3", || TcpListener::bind(("0.0.0.0", 8090)).unwrap());
    let mut listener = Some(open());
    let sentinel = Sentinel::start(&world().dir, "gateway-hundred", &text);
    wait_primary(&sentinel, Some("b3"));
    let foreign = foreign_rules();
    for round in 0..100 {
        listener = if listener.is_some() { None } else { Some(open()) };
        wait_primary(&sentinel, Some(if listener.is_some() { "b3" } else { "b1" }));
        if round % 10 < 2 {
            assert_eq!(foreign_rules(), foreign, "{round}");
        }
    }
    let log = sentinel.log_text();
    assert_eq!(log.matches("public ports lead to another backend").count(), 100, "{log}");
    stop(&sentinel);
    assert_eq!(rules(), before);
}

#[test]
fn a_conversation_by_udp_outlives_a_time_without_any_backend() {
    let _alone = alone();
    let (_foreign, _web) = (Foreign::new(), Web::start("b3", 8083));
    let text = config(2343, "ports = [\"8083/udp\"]\nhold = \"1s\"", &["b3"]);
    let sentinel = Sentinel::start(&world().dir, "gateway-udp", &text);
    wait_primary(&sentinel, Some("b3"));
    let udp = udp_client(8083);
    converse(&udp, "b3");
    let silence = Silence::new();
    wait_primary(&sentinel, None);
    // Now the kernel takes it for a conversation with the sentinel's own host.
    sentinel.wait("the kernel remembers that", || {
        let _ = udp.send(b"?");
        let known = on("sentinel", "conntrack -L -p udp --orig-port-dst 8083 2>/dev/null");
        known.contains(" src=203.0.113.10 ")
    });
    drop(silence);
    wait_primary(&sentinel, Some("b3"));
    converse(&udp, "b3");
    stop(&sentinel);
}
