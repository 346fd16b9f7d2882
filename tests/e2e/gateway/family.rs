//! IPv6.

use super::{Web, alone, ask, config, on, rules, stop, wait_primary};
use crate::harness::{Sentinel, lab_command, world};

/// Addresses of IPv6 on the way from the client to `b3`, until it is dropped.
struct Addresses;

/// Each host, and what is done there and undone.
const HOSTS: [(&str, &str); 3] = [
    (
        "sentinel",
        "address ACT 2001:db8::10/128 dev lo\naddress ACT 2001:db8:1::1/64 dev clients nodad\n\
         address ACT 2001:db8:2::1/64 dev hosts nodad",
    ),
    (
        "client",
        "address ACT 2001:db8:1::10/64 dev eth0 nodad\n\
         route ACT 2001:db8::10/128 via 2001:db8:1::1",
    ),
    ("b3", "address ACT 2001:db8:2::13/64 dev eth0 nodad"),
];

impl Addresses {
    fn new() -> Self {
        on("sentinel", "sysctl -qw net.ipv6.conf.all.forwarding=1");
        for (host, lines) in HOSTS {
            let script: Vec<_> =
                lines.lines().map(|l| format!("ip -6 {}\n", l.replace("ACT", "replace"))).collect();
            on(host, &script.concat());
        }
        Self
    }
}

impl Drop for Addresses {
    fn drop(&mut self) {
        for (host, lines) in HOSTS {
            for line in lines.lines().rev() {
                let line = line.replace("ACT", "del").replace(" nodad", "");
                let script = format!("ip -6 {line}");
                let _ = lab_command(&["in", host, "sh", "-c", &script]).output();
            }
        }
        on("sentinel", "sysctl -qw net.ipv6.conf.all.forwarding=0");
    }
}

#[test]
fn public_ports_of_ipv6_lead_to_a_backend_of_ipv6() {
    let _alone = alone();
    let (_addresses, _web) = (Addresses::new(), Web::start("b3", 8089));
    let before = rules();
    let gateway = "ports = [8089]\nhold = \"1s\"\naddresses = [\"2001:db8::10\", \"203.0.113.10\"]";
    let text = config(2349, gateway, &["b3"]).replace("198.51.100.13:22", "[2001:db8:2::13]:22");
    let text = text + "health = { ports = [8089] }\n";
    let sentinel = Sentinel::start(&world().dir, "gateway-six", &text);
    wait_primary(&sentinel, Some("b3"));
    let address = "[2001:db8::10]:8089".parse().unwrap();
    assert_eq!(ask(address).unwrap(), "b3 sees 2001:db8:2::1");
    // The address of the other family leads nowhere: this backend has none there.
    assert!(ask(super::public(8089)).is_err());
    power_of_b3("down");
    wait_primary(&sentinel, None);
    assert!(ask(address).is_err());
    power_of_b3("up");
    wait_primary(&sentinel, Some("b3"));
    assert_eq!(ask(address).unwrap(), "b3 sees 2001:db8:2::1");
    stop(&sentinel);
    assert_eq!(rules(), before);
}

/// The web server's port answers nobody, or everybody again.
fn power_of_b3(state: &str) {
    let act = if state == "down" { "-I" } else { "-D" };
    on(
        "b3",
        &format!("ip6tables {act} INPUT -p tcp --dport 8089 -j REJECT --reject-with tcp-reset"),
    );
}
