//! The packet filter's rules as text for `iptables-restore --noflush`. Pure: what is there and what is
//! wanted go in, what to apply comes out.
//!
//! Only chains of our own are ever filled; of others only the jumps to them. Every value is a
//! number, an address or a word of ours: nothing that anybody typed.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
};

pub use crate::model::firewall::Protocol;

/// Our chain behind a chain of the kernel, and the table that both are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    table: &'static str,
    chain: &'static str,
    ours: &'static str,
}

/// Where packets to public ports get their new destination, where connections to it get our own
/// address as their source, and where they are let through.
const PLACES: [Place; 3] = [
    Place { table: "nat", chain: "PREROUTING", ours: "CONTAINARIUM-PRE" },
    Place { table: "nat", chain: "POSTROUTING", ours: "CONTAINARIUM-POST" },
    Place { table: "filter", chain: "FORWARD", ours: "CONTAINARIUM-FORWARD" },
];

/// Tables, in the order in which they are written.
const TABLES: [&str; 2] = ["nat", "filter"];

/// Packets to a public port go to a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Forward {
    /// Of which protocol.
    pub protocol: Protocol,
    /// To this address of the sentinel; to any of them if there is none.
    pub listen: Option<IpAddr>,
    /// To this port.
    pub port: u16,
    /// Where they go.
    pub to: SocketAddr,
    /// The backend sees the sentinel's address instead of the client's: needed where its answers
    /// would not come back through the sentinel.
    pub masquerade: bool,
}

/// An address family: each has tables of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4: `iptables`.
    V4,
    /// IPv6: `ip6tables`.
    V6,
}

/// Everything that is to be forwarded. Each public port once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleSet {
    forwards: BTreeSet<Forward>,
    idle: BTreeSet<(Protocol, SocketAddr)>,
}

impl Family {
    /// That of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl Forward {
    fn family(&self) -> Family {
        Family::of(self.to.ip())
    }
}

impl RuleSet {
    /// The rules for `forwards`. Of two for one port the first counts; one between families means
    /// nothing.
    #[must_use]
    pub fn new(forwards: impl IntoIterator<Item = Forward>) -> Self {
        let mut taken = BTreeSet::new();
        let fits = |f: &Forward| f.listen.is_none_or(|a| a.is_ipv4() == f.to.is_ipv4());
        let forwards = forwards
            .into_iter()
            .filter(fits)
            .filter(|f| taken.insert((f.family(), f.protocol, f.listen, f.port)))
            .collect();
        Self { forwards, idle: BTreeSet::new() }
    }

    /// The same, of destinations to which nothing leads now, but may have led: what an earlier
    /// sentinel was killed at is brought to its end.
    #[must_use]
    pub fn with_idle(self, idle: impl IntoIterator<Item = (Protocol, SocketAddr)>) -> Self {
        Self { idle: idle.into_iter().collect(), ..self }
    }

    /// Destinations of a family to which something may have led.
    pub fn idle(&self, family: Family) -> impl Iterator<Item = &(Protocol, SocketAddr)> {
        self.idle.iter().filter(move |(_, to)| Family::of(to.ip()) == family)
    }

    /// The forwards of a family.
    pub fn of(&self, family: Family) -> impl Iterator<Item = &Forward> {
        self.forwards.iter().filter(move |f| f.family() == family)
    }

    /// Text for `iptables-restore --noflush` that makes our chains what they should be, given what
    /// `iptables-save` said: a jump to them is added where none is, and taken away where there is
    /// more than one, so that there is one afterwards whatever happened before.
    #[must_use]
    pub fn apply(&self, family: Family, saved: &str) -> String {
        let mut text = String::new();
        for table in TABLES {
            let _ = writeln!(text, "*{table}");
            let places = || PLACES.iter().filter(|p| p.table == table);
            for place in places() {
                let _ = writeln!(text, ":{} - [0:0]", place.ours);
            }
            for place in places() {
                for rule in self.rules(family, place) {
                    let _ = writeln!(text, "-A {} {rule}", place.ours);
                }
                let jumps = jumps(saved, place);
                if jumps != 1 {
                    // Deleting takes the first: the one that is left could be behind anything.
                    for _ in 0..jumps {
                        let _ = writeln!(text, "-D {} -j {}", place.chain, place.ours);
                    }
                    let _ = writeln!(text, "-I {} 1 -j {}", place.chain, place.ours);
                }
            }
            text.push_str("COMMIT\n");
        }
        text
    }

    /// Whether that is what `iptables-save` shows: the jumps, as many rules of each chain as there
    /// should be, and where they lead. (How it writes a rule differs between versions.)
    #[must_use]
    pub fn is_in(&self, family: Family, saved: &str) -> bool {
        let is_complete = |place: &Place| {
            let begin = format!("-A {} ", place.ours);
            let there = section(saved, place.table).filter(|l| l.starts_with(&begin)).count();
            jumps(saved, place) == 1 && there == self.rules(family, place).len()
        };
        let wanted = self.of(family).map(|f| (f.protocol, f.to)).collect();
        PLACES.iter().all(is_complete) && targets(saved) == wanted
    }

    fn rules(&self, family: Family, place: &Place) -> Vec<String> {
        let mut rules = Vec::new();
        for forward in self.of(family) {
            let Forward { protocol, listen, port, to, masquerade } = forward;
            let (protocol, ip, to_port) = (protocol.name(), to.ip(), to.port());
            match place.ours {
                "CONTAINARIUM-PRE" => {
                    let listen = listen.map_or_else(String::new, |a| format!("-d {a} "));
                    rules.push(format!(
                        "{listen}-p {protocol} -m {protocol} --dport {port} -m addrtype --dst-type LOCAL \
                         -j DNAT --to-destination {to}"
                    ));
                }
                "CONTAINARIUM-POST" if *masquerade => rules.push(format!(
                    "-d {ip} -p {protocol} -m {protocol} --dport {to_port} -m conntrack --ctstate DNAT \
                     -j MASQUERADE"
                )),
                "CONTAINARIUM-FORWARD" => {
                    rules.push(format!(
                        "-d {ip} -p {protocol} -m {protocol} --dport {to_port} -m conntrack \
                         --ctstate DNAT -j ACCEPT"
                    ));
                    rules.push(format!(
                        "-s {ip} -p {protocol} -m {protocol} --sport {to_port} -m conntrack \
                         --ctstate DNAT --ctdir REPLY -j ACCEPT"
                    ));
                }
                _ => {}
            }
        }
        // Several public ports and addresses may lead to one destination.
        let mut seen = BTreeSet::new();
        rules.retain(|rule| seen.insert(rule.clone()));
        rules
    }
}

/// Text for `iptables-restore --noflush` that takes everything of ours away.
#[must_use]
pub fn remove(saved: &str) -> String {
    let mut text = String::new();
    for table in TABLES {
        let there: Vec<&Place> = PLACES
            .iter()
            .filter(|p| p.table == table && section(saved, table).any(|l| declares(l, p.ours)))
            .collect();
        if there.is_empty() {
            continue;
        }
        let _ = writeln!(text, "*{table}");
        for place in &there {
            for _ in 0..jumps(saved, place) {
                let _ = writeln!(text, "-D {} -j {}", place.chain, place.ours);
            }
            let _ = writeln!(text, "-F {0}\n-X {0}", place.ours);
        }
        text.push_str("COMMIT\n");
    }
    text
}

/// What `iptables-save` says of our chains and the jumps to them, without counters: two of these
/// are equal as long as nobody interfered.
#[must_use]
pub fn ours(saved: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for table in TABLES {
        for line in section(saved, table) {
            let is_ours = PLACES
                .iter()
                .any(|p| p.table == table && line.split([' ', ':']).any(|word| word == p.ours));
            if is_ours {
                let line = line.split(" [").next().unwrap_or_default();
                lines.push(format!("{table} {line}"));
            }
        }
    }
    lines
}

/// Every rule that `iptables-save` shows.
#[must_use]
pub fn lines(saved: &str) -> Vec<&str> {
    saved.lines().filter(|line| line.starts_with("-A ")).collect()
}

/// Where the rules that `iptables-save` shows lead packets.
#[must_use]
pub fn targets(saved: &str) -> BTreeSet<(Protocol, SocketAddr)> {
    let rules = section(saved, "nat").filter(|line| line.starts_with("-A CONTAINARIUM-PRE "));
    let target = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let behind = |key| words.iter().skip_while(|w| **w != key).nth(1).copied();
        let mut protocols = [Protocol::Tcp, Protocol::Udp].into_iter();
        let protocol = protocols.find(|p| behind("-p") == Some(p.name()))?;
        Some((protocol, behind("--to-destination")?.parse().ok()?))
    };
    rules.filter_map(target).collect()
}

/// The addresses whose packets nobody led on, of what `conntrack -L` says: who was asked also
/// answers, or is to.
#[must_use]
pub fn unled(listed: &str) -> BTreeSet<IpAddr> {
    let address = |line: &str| {
        let of = |key| line.split(' ').filter_map(move |word| word.strip_prefix(key));
        let (asked, answers) = (of("dst=").next()?, of("src=").nth(1)?);
        if asked == answers { asked.parse().ok() } else { None }
    };
    listed.lines().filter_map(address).collect()
}

/// The lines of a table.
fn section<'s>(saved: &'s str, table: &str) -> impl Iterator<Item = &'s str> {
    let head = format!("*{table}");
    let lines = saved.lines().skip_while(move |line| *line != head).skip(1);
    lines.take_while(|line| *line != "COMMIT")
}

fn declares(line: &str, chain: &str) -> bool {
    line.strip_prefix(':').and_then(|l| l.split(' ').next()) == Some(chain)
}

/// How many jumps lead to our chain at this place.
fn jumps(saved: &str, place: &Place) -> usize {
    let jump = format!("-A {} -j {}", place.chain, place.ours);
    section(saved, place.table).filter(|line| *line == jump).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(port: u16, to: &str) -> Forward {
        let (protocol, listen) = (Protocol::Tcp, None);
        Forward { protocol, listen, port, to: to.parse().unwrap(), masquerade: true }
    }

    #[test]
    fn a_rule_set_is_one_text_for_each_family() {
        let mut second = forward(443, "198.51.100.11:8443");
        second.masquerade = false;
        second.listen = Some("203.0.113.10".parse().unwrap());
        let rules = RuleSet::new([
            forward(80, "198.51.100.11:80"),
            forward(80, "198.51.100.12:80"),
            second,
            forward(80, "[2001:db8::1]:80"),
        ]);
        insta::assert_snapshot!(rules.apply(Family::V4, ""), @"
        *nat
        :CONTAINARIUM-PRE - [0:0]
        :CONTAINARIUM-POST - [0:0]
        -A CONTAINARIUM-PRE -p tcp -m tcp --dport 80 -m addrtype --dst-type LOCAL -j DNAT --to-destination 198.51.100.11:80
        -A CONTAINARIUM-PRE -d 203.0.113.10 -p tcp -m tcp --dport 443 -m addrtype --dst-type LOCAL -j DNAT --to-destination 198.51.100.11:8443
        -I PREROUTING 1 -j CONTAINARIUM-PRE
        -A CONTAINARIUM-POST -d 198.51.100.11 -p tcp -m tcp --dport 80 -m conntrack --ctstate DNAT -j MASQUERADE
        -I POSTROUTING 1 -j CONTAINARIUM-POST
        COMMIT
        *filter
        :CONTAINARIUM-FORWARD - [0:0]
        -A CONTAINARIUM-FORWARD -d 198.51.100.11 -p tcp -m tcp --dport 80 -m conntrack --ctstate DNAT -j ACCEPT
        -A CONTAINARIUM-FORWARD -s 198.51.100.11 -p tcp -m tcp --sport 80 -m conntrack --ctstate DNAT --ctdir REPLY -j ACCEPT
        -A CONTAINARIUM-FORWARD -d 198.51.100.11 -p tcp -m tcp --dport 8443 -m conntrack --ctstate DNAT -j ACCEPT
        -A CONTAINARIUM-FORWARD -s 198.51.100.11 -p tcp -m tcp --sport 8443 -m conntrack --ctstate DNAT --ctdir REPLY -j ACCEPT
        -I FORWARD 1 -j CONTAINARIUM-FORWARD
        COMMIT
        ");
        let v6 = rules.apply(Family::V6, "");
        assert!(v6.contains("--to-destination [2001:db8::1]:80") && !v6.contains("198.51"), "{v6}");
    }

    const SAVED: &str = "\
# Generated by iptables-save
*nat
:PREROUTING ACCEPT [7:420]
:POSTROUTING ACCEPT [0:0]
:CONTAINARIUM-PRE - [0:0]
:DOCKER - [0:0]
-A PREROUTING -j CONTAINARIUM-PRE
-A PREROUTING -j CONTAINARIUM-PRE
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A CONTAINARIUM-PRE -p tcp -m tcp --dport 80 -j DNAT --to-destination 198.51.100.11:80
COMMIT
*filter
:FORWARD DROP [1:2]
-A FORWARD -j DOCKER-USER
COMMIT
";

    #[test]
    fn there_is_one_jump_afterwards_and_nothing_foreign_is_touched() {
        let text = RuleSet::default().apply(Family::V4, SAVED);
        let jumps = "-D PREROUTING -j CONTAINARIUM-PRE\n-D PREROUTING -j CONTAINARIUM-PRE\n\
            -I PREROUTING 1 -j CONTAINARIUM-PRE\n";
        assert!(text.contains(jumps) && text.matches("PREROUTING").count() == 3, "{text}");
        let one = SAVED.replacen("-A PREROUTING -j CONTAINARIUM-PRE\n", "", 1);
        let text = RuleSet::default().apply(Family::V4, &one);
        assert!(!text.contains("PREROUTING"), "{text}");
        assert!(text.contains("-I FORWARD 1 -j CONTAINARIUM-FORWARD\n"), "{text}");
        assert!(!text.contains("DOCKER") && !text.contains("DROP"), "{text}");
        let gone = remove(SAVED);
        assert_eq!(gone.matches("-D PREROUTING -j CONTAINARIUM-PRE").count(), 2, "{gone}");
        assert!(gone.contains("-X CONTAINARIUM-PRE") && !gone.contains("filter"), "{gone}");
        assert_eq!(remove(""), "");
    }

    #[test]
    fn interference_is_seen_and_counters_are_not() {
        let before = ours(SAVED);
        assert_eq!(before.len(), 4, "{before:?}");
        assert_eq!(ours(&SAVED.replace("[0:0]", "[9:99]").replace("DOCKER", "OTHER")), before);
        assert_ne!(ours(&SAVED.replace("198.51.100.11", "198.51.100.12")), before);
        assert_ne!(ours(&SAVED.replacen("-A PREROUTING -j CONTAINARIUM-PRE\n", "", 2)), before);
    }

    #[test]
    fn rules_that_are_not_all_there_are_seen() {
        let rules = RuleSet::new([forward(80, "198.51.100.11:80")]);
        let text = rules.apply(Family::V4, "");
        let chain = |line: &str| {
            line.starts_with("-I").then(|| line.replace("-I", "-A").replace(" 1 ", " "))
        };
        let saved: String =
            text.lines().map(|l| chain(l).unwrap_or_else(|| l.to_owned()) + "\n").collect();
        assert!(rules.is_in(Family::V4, &saved), "{saved}");
        assert!(!RuleSet::default().is_in(Family::V4, &saved));
        for line in saved.lines().filter(|line| line.starts_with("-A")) {
            let twice = saved.replacen(line, &format!("{line}\n{line}"), 1);
            assert!(!rules.is_in(Family::V4, &twice), "{twice}");
            assert!(!rules.is_in(Family::V4, &saved.replacen(line, "", 1)), "{line}");
        }
        assert!(!rules.is_in(Family::V4, &saved.replace("n 198.51.100.11", "n 198.51.100.12")));
    }

    #[test]
    fn what_the_kernel_shows_is_read_back() {
        let saved = "*nat\n-A OTHER -p tcp -j DNAT --to-destination 192.0.2.9:80\n\
            -A CONTAINARIUM-PRE -d 203.0.113.10/32 -p udp -m udp --dport 53 -j DNAT \
            --to-destination [2001:db8::1]:53\nCOMMIT\n";
        let target = (Protocol::Udp, "[2001:db8::1]:53".parse().unwrap());
        assert_eq!(targets(saved), BTreeSet::from([target]));
        let web = (Protocol::Tcp, "198.51.100.11:80".parse().unwrap());
        assert_eq!(targets(SAVED), BTreeSet::from([web]));
        let listed = "\
udp      17 29 src=192.0.2.10 dst=203.0.113.10 sport=4000 dport=53 [UNREPLIED] src=203.0.113.10 dst=192.0.2.10 sport=53 dport=4000 mark=0 use=1
udp      17 29 src=192.0.2.11 dst=203.0.113.11 sport=4000 dport=53 src=198.51.100.11 dst=198.51.100.1 sport=53 dport=4000 mark=0 use=1
";
        assert_eq!(unled(listed), BTreeSet::from(["203.0.113.10".parse::<IpAddr>().unwrap()]));
    }
}
