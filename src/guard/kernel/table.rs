//! The kernel's table of banned sources as text for `nft -f`, and what `nft -j` says of it. Pure.
//!
//! The table is ours alone, with a chain of its own: nothing of anybody else's is named. Every value
//! is a number, an address or a word of ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use serde_json::Value;

use super::super::book::Source;

/// What lists the table: without counters, as JSON.
pub(super) const LIST: [&str; 6] = ["-j", "-s", "list", "table", "inet", "containarium-guard"];

/// Text that takes the table away, whether it is there or not.
pub(super) const REMOVE: &str =
    "add table inet containarium-guard\ndelete table inet containarium-guard\n";

/// The rules: what begins a connection to the door, from whom, for a while. What is open stays open.
const CHAINS: &str = "	chain input {
		type filter hook input priority -10; policy accept;
DOORS	}
	chain banned {
		ip saddr @v4 counter drop
		ip6 saddr & ffff:ffff:ffff:ffff:: @v6 counter drop
	}
";

/// First packets of connections: of TCP's flags SYN alone.
const BEGINS: &str = "tcp flags & (fin | syn | rst | ack) == syn";

/// Text that makes the table, in one piece, in the place of the one that may be there: first packets to
/// `doors` are dropped from each of `sources` for as long as it says.
#[must_use]
pub(super) fn text(doors: &[SocketAddr], sources: &BTreeMap<Source, Duration>) -> String {
    let doors: BTreeSet<_> = doors.iter().map(rule).collect();
    let set = |name: &str, kind: &str, is_meant: fn(&Source) -> bool| {
        let elements: Vec<_> = sources
            .iter()
            .filter(|(source, _)| is_meant(source))
            .map(|(source, left)| {
                format!("{} timeout {}s", source.address(), left.as_secs().max(1))
            })
            .collect();
        let mut text = format!("\tset {name} {{\n\t\ttype {kind}\n\t\tflags timeout\n");
        if !elements.is_empty() {
            let _ = writeln!(text, "\t\telements = {{ {} }}", elements.join(", "));
        }
        text + "\t}\n"
    };
    let v4 = set("v4", "ipv4_addr", |source| matches!(source, Source::V4(_)));
    let v6 = set("v6", "ipv6_addr", |source| matches!(source, Source::V6(_)));
    let chains = CHAINS.replace("DOORS", &doors.into_iter().collect::<String>());
    format!("{REMOVE}table inet containarium-guard {{\n{v4}{v6}{chains}}}\n")
}

/// Where a door is. `[::]` means both families.
fn rule(door: &SocketAddr) -> String {
    let (ip, port) = (door.ip().to_canonical(), door.port());
    let to = match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => "meta nfproto ipv4".to_owned(),
        IpAddr::V4(ip) => format!("ip daddr {ip}"),
        IpAddr::V6(ip) if ip.is_unspecified() => String::new(),
        IpAddr::V6(ip) => format!("ip6 daddr {ip}"),
    };
    format!("\t\t{} jump banned\n", format!("{to} tcp dport {port} {BEGINS}").trim_start())
}

/// What the kernel has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// All but the sources: equal as long as nobody interfered.
    pub(super) rules: String,
    /// Whom it drops.
    pub(super) sources: BTreeSet<Source>,
}

impl Listed {
    /// Reads what [`LIST`] said.
    pub(super) fn parse(said: &str) -> Option<Self> {
        let mut said: Value = serde_json::from_str(said).ok()?;
        let mut sources = BTreeSet::new();
        let parts = said.get_mut("nftables")?.as_array_mut()?;
        parts.retain(|part| part.get("metainfo").is_none());
        for part in parts.iter_mut() {
            // Numbers that the kernel gives, which are others each time.
            for about in part.as_object_mut()?.values_mut() {
                about.as_object_mut()?.remove("handle");
            }
            let Some(set) = part.get_mut("set").and_then(Value::as_object_mut) else { continue };
            let elements = set.remove("elem");
            for element in elements.iter().filter_map(Value::as_array).flatten() {
                let value = element["elem"]["val"].as_str().or(element.as_str())?;
                sources.insert(Source::of(value.parse().ok()?));
            }
        }
        Some(Self { rules: said.to_string(), sources })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::of(text.parse().unwrap())
    }

    #[test]
    fn a_table_of_our_own_drops_what_begins_at_the_door() {
        let doors = ["192.0.2.1:22", "[::]:2222", "[2001:db8::1]:22", "0.0.0.0:23"];
        let doors = doors.map(|door| door.parse().unwrap());
        let minute = Duration::from_secs(60);
        let sources = [
            (source("198.51.100.7"), minute),
            (source("::ffff:198.51.100.8"), Duration::from_millis(2)),
            (source("2001:db8:1:2:3:4:5:6"), 10 * minute),
        ];
        let expected = "\
add table inet containarium-guard
delete table inet containarium-guard
table inet containarium-guard {
	set v4 {
		type ipv4_addr
		flags timeout
		elements = { 198.51.100.7 timeout 60s, 198.51.100.8 timeout 1s }
	}
	set v6 {
		type ipv6_addr
		flags timeout
		elements = { 2001:db8:1:2:: timeout 600s }
	}
	chain input {
		type filter hook input priority -10; policy accept;
		ip daddr 192.0.2.1 tcp dport 22 tcp flags & (fin | syn | rst | ack) == syn jump banned
		ip6 daddr 2001:db8::1 tcp dport 22 tcp flags & (fin | syn | rst | ack) == syn jump banned
		meta nfproto ipv4 tcp dport 23 tcp flags & (fin | syn | rst | ack) == syn jump banned
		tcp dport 2222 tcp flags & (fin | syn | rst | ack) == syn jump banned
	}
	chain banned {
		ip saddr @v4 counter drop
		ip6 saddr & ffff:ffff:ffff:ffff:: @v6 counter drop
	}
}
";
        assert_eq!(text(&doors, &BTreeMap::from(sources)), expected);
        let empty = text(&doors[..1], &BTreeMap::new());
        assert!(!empty.contains("elements") && empty.contains("ip saddr @v4 counter drop"));
    }

    /// What nft 1.0.6 says, shortened.
    const SAID: &str = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}},
        {"table": {"family": "inet", "name": "containarium-guard", "handle": 3}},
        {"set": {"name": "v4", "handle": 1, "flags": ["timeout"], "elem": [
            {"elem": {"val": "192.0.2.7", "timeout": 599, "expires": 598}}]}},
        {"set": {"name": "v6", "handle": 2, "flags": ["timeout"], "elem": [
            {"elem": {"val": "2001:db8:1:2::", "timeout": 9, "expires": 8}}]}},
        {"rule": {"chain": "banned", "handle": 7, "expr": [{"counter": null}, {"drop": null}]}}]}"#;

    #[test]
    fn interference_is_seen_and_what_time_changes_is_not() {
        let listed = Listed::parse(SAID).unwrap();
        let sources = ["192.0.2.7", "2001:db8:1:2::"].map(source);
        assert_eq!(listed.sources, BTreeSet::from(sources));
        let later = SAID.replace("598", "3").replace("\"handle\": 7", "\"handle\": 70");
        assert_eq!(Listed::parse(&later), Some(listed.clone()));
        let other = Listed::parse(&SAID.replace("\"drop\"", "\"accept\"")).unwrap();
        assert_ne!(other.rules, listed.rules);
        for nothing in ["", "{}", "[]", "{\"nftables\": [7]}", "{\"nftables\": 7}"] {
            assert_eq!(Listed::parse(nothing), None, "{nothing}");
        }
    }
}
