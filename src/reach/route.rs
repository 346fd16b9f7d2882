//! Which ways to try, and in which order. Pure.

use std::fmt;

use crate::{
    config::{Backend, BackendAddress},
    model::container::Container,
};

/// A way to a container's sshd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// TCP to its address.
    Direct,
    /// Through the backend's sshd.
    Link,
    /// `sshd -i` through Incus.
    Exec,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::Link => "link",
            Self::Exec => "exec",
        })
    }
}

/// The ways that can lead to `container`, the one that worked last first.
pub(super) fn plan(backend: &Backend, container: &Container, last: Option<Way>) -> Vec<Way> {
    let mut ways = Vec::new();
    if !container.addresses.is_empty() {
        match backend.address {
            BackendAddress::Local => ways.push(Way::Direct),
            BackendAddress::Ssh { .. } => {
                if backend.routed {
                    ways.push(Way::Direct);
                }
                ways.push(Way::Link);
            }
            BackendAddress::Https { .. } if backend.routed => ways.push(Way::Direct),
            BackendAddress::Https { .. } => {}
        }
    }
    ways.push(Way::Exec);
    // Exec costs a process start and four connections: it is not clung to once others may work.
    if let Some(at) = ways.iter().position(|w| Some(*w) == last && *w != Way::Exec) {
        ways[..=at].rotate_right(1);
    }
    ways
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        config::SshAddress,
        model::{container::Status, key::PublicKey},
    };

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqRmYdWkC8NSTf4eDvyGUj0zaPbhj8gHZMpiUm+3HXQ";

    fn backend(local: bool, routed: bool) -> Backend {
        let ssh = BackendAddress::Ssh {
            address: SshAddress::Network("198.51.100.1:22".into()),
            user: "containarium".into(),
            host_key: PublicKey::from_line(KEY).unwrap(),
            identity: None,
        };
        Backend {
            name: "b1".parse().unwrap(),
            pool: "default".parse().unwrap(),
            address: if local { BackendAddress::Local } else { ssh },
            incus_socket: "/x".into(),
            routed,
            health: crate::config::Health::default(),
            recovery: None,
        }
    }

    fn container(address: bool) -> Container {
        let config = BTreeMap::from([("user.containarium.owner".into(), "alice".into())]);
        let place = ("b1".parse().unwrap(), "default".parse().unwrap());
        let addresses = if address { vec!["10.0.3.2".parse().unwrap()] } else { vec![] };
        let state = (Status::Running, addresses);
        Container::from_config("alice".parse().unwrap(), place, state, &config).unwrap()
    }

    #[test]
    fn ways_follow_the_backend_and_the_memory() {
        use Way::{Direct, Exec, Link};
        for (local, routed, address, last, expected) in [
            (true, false, true, None, vec![Direct, Exec]),
            (false, false, true, None, vec![Link, Exec]),
            (false, true, true, None, vec![Direct, Link, Exec]),
            (false, true, true, Some(Link), vec![Link, Direct, Exec]),
            (false, true, true, Some(Exec), vec![Direct, Link, Exec]),
            (false, true, false, Some(Link), vec![Exec]),
        ] {
            let ways = plan(&backend(local, routed), &container(address), last);
            assert_eq!(ways, expected);
        }
    }
}
