//! `[[backend]]` of hosts that connect by themselves.

use super::*;
use crate::model::check::Check;

const NODE_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHjxQrCWLEXkisYXH8Qskr/Y5idWU6BcZP8fK3zhYG4e";

/// The lines of a file after the first, the line, key and hint that the first problem has to have.
const MISTAKES: &[(&str, usize, &str, &str)] = &[
    ("TUNNELhost_key = 'KEY'", 2, "backend[0].node_key", "`ssh-keygen -t ed25519"),
    ("TUNNELnode_key = 'NODE'", 2, "backend[0].host_key", "on the host, `cat /etc/ssh/"),
    ("TUNNELhost_key = 'KEY'\nnode_key = 'KEY'", 6, "backend[0].node_key", "ssh-keygen -t ed25519"),
    (
        "TUNNELhost_key = 'KEY'\nnode_key = 'restrict NODE'",
        6,
        "backend[0].node_key",
        "leave them out",
    ),
    (
        "TUNNELhost_key = 'KEY'\nnode_key = 'NODE'\nrouted = true",
        7,
        "backend[0].routed",
        "remove `routed`",
    ),
    (
        "TUNNELhost_key = 'KEY'\nnode_key = 'NODE'\nhealth.http = [80]",
        7,
        "backend[0].health.http",
        "`interval`, `timeout`, `fall` and `rise` may stay",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'h'\nhost_key = 'KEY'\nnode_key = 'NODE'",
        6,
        "backend[0].node_key",
        "write `address = \"tunnel\"`",
    ),
    (
        "TUNNELhost_key = 'KEY'\nnode_key = 'NODE'\n[[backend]]\nname = 'b'\naddress = 'tunnel'\n\
         host_key = 'KEY'\nnode_key = 'NODE other'",
        11,
        "backend[1].node_key",
        "the first is in",
    ),
];

#[test]
fn a_host_that_connects_by_itself_is_behind_its_sshd_like_others() {
    let tunnel = format!(
        "{}[[backend]]\nname = 'home-1'\naddress = 'tunnel'\nhost_key = '{KEY}'\n\
         node_key = 'from=\"192.0.2.0/24\" {NODE_KEY} home-1'\n\
         health = {{ interval = '2s' }}\n",
        minimal()
    );
    let config = good(&tunnel);
    let backend = &config.backends[0];
    let BackendAddress::Ssh { address: SshAddress::Tunnel(line), user, .. } = &backend.address
    else {
        panic!("{backend:?}");
    };
    assert_eq!((line.key.comment(), user.as_str()), ("home-1", "containarium"));
    assert_eq!(line.options.from.as_deref(), Some("192.0.2.0/24"));
    assert_eq!(backend.health.checks, [Check::Tunnel]);
    assert!(!backend.address.takes_ports() && backend.recovery.is_none());
}

#[test]
fn mistakes_about_tunnels_are_told_with_a_way_out() {
    for (text, line, key, hint) in MISTAKES {
        let text = text
            .replace("TUNNEL", "[[backend]]\nname = 'a'\naddress = 'tunnel'\n")
            .replace("NODE", NODE_KEY)
            .replace("KEY", KEY);
        let problems = parse(&(minimal() + &text), "f", Path::new("/")).unwrap_err();
        let first = &problems[0];
        assert_eq!((first.line, first.key.as_str()), (*line, *key), "{text}: {problems:?}");
        assert!(first.hints.iter().any(|h| h.contains(hint)), "{text}: {first:?}");
    }
}
