//! `[gateway]` as the rest of the program sees it.

use super::*;
use crate::model::firewall::{Firewall, PublicPort};

fn gateway(text: &str) -> Gateway {
    good(&format!("{}{text}\n", minimal())).gateway.unwrap()
}

fn ports(text: &[&str]) -> Vec<PublicPort> {
    text.iter().map(|port| port.parse().unwrap()).collect()
}

#[test]
fn an_empty_section_has_its_defaults() {
    let pool = GatewayPool {
        pool: "default".parse().unwrap(),
        ports: ports(&["80", "443"]),
        addresses: Vec::new(),
        masquerade: true,
        failover: false,
        hold: Duration::from_secs(60),
    };
    assert_eq!(gateway("[gateway]"), Gateway { firewall: Firewall::Iptables, pools: vec![pool] });
}

#[test]
fn one_pool_is_named_in_the_section_itself() {
    let gateway = gateway(
        "ssh.listen = ['192.0.2.1:80', '[::1]:443']\n[gateway]\nports = ['443/udp', 80]\n\
         pool = 'gpu'\nfailover = true\n\
         hold = '0s'\nmasquerade = false\naddresses = ['203.0.113.10', '[2001:db8::10]']\n\
         firewall = 'iptables-legacy'",
    );
    assert_eq!((gateway.firewall, gateway.pools.len()), (Firewall::Legacy, 1));
    let pool = &gateway.pools[0];
    assert_eq!((pool.pool.as_str(), &pool.ports), ("gpu", &ports(&["443/udp", "80/tcp"])));
    assert_eq!((pool.failover, pool.masquerade, pool.hold), (true, false, Duration::ZERO));
    let addresses: [IpAddr; 2] = ["203.0.113.10", "2001:db8::10"].map(|a| a.parse().unwrap());
    assert_eq!(pool.addresses, addresses);
}

#[test]
fn pools_take_from_the_section_what_they_do_not_say() {
    let gateway = gateway(
        "[gateway]\nhold = '5s'\nfailover = true\n[[gateway.pool]]\nname = 'a'\n\
         addresses = ['203.0.113.10']\n[[gateway.pool]]\nname = 'b'\nhold = '7s'\n\
         failover = false\naddresses = ['203.0.113.11']\n[[gateway.pool]]\nname = 'c'\n\
         ports = ['80/udp', 8080]",
    );
    let told: Vec<_> = gateway
        .pools
        .iter()
        .map(|p| (p.pool.as_str(), p.hold.as_secs(), p.failover, p.ports.len(), p.addresses.len()))
        .collect();
    assert_eq!(told, [("a", 5, true, 2, 1), ("b", 7, false, 2, 1), ("c", 5, true, 2, 0)]);
}
