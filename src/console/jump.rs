//! Which container a jump through the console means. Pure: looks at the inventory, opens nothing.
//!
//! Backends have overlapping container networks, so an address alone may be carried by several
//! containers: it is then refused with their names, never guessed.

use std::{net::IpAddr, sync::Arc};

use super::Visit;
use crate::model::{
    authorized_keys::KeyOptions,
    container::Container,
    inventory::Inventory,
    key::PublicKey,
    name::ContainerName,
    principal::{Principal, Role},
    text::printable,
};

/// Why a jump was refused: a fragment for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JumpError {
    /// No container that this person may use has this name or address.
    #[error("no container of yours is called \"{0}\" or has that address")]
    Unknown(String),
    /// Several containers carry the address.
    #[error("address {address} is that of several containers: {names}; use a name")]
    Ambiguous {
        /// The address.
        address: IpAddr,
        /// The containers' names.
        names: String,
    },
    /// The container cannot be reached by anybody at present.
    #[error("{0}")]
    Apology(String),
}

/// Longest host shown in a refusal, in characters: the longest DNS name.
const MAX_HOST: usize = 255;

/// The container that `host` means to this visitor: `NAME`, `NAME-container`, or an address.
///
/// # Errors
/// It means none, or more than one.
pub fn resolve(
    host: &str,
    visit: &Visit,
    inventory: &Inventory,
) -> Result<Arc<Container>, JumpError> {
    let mut usable = usable(visit, inventory)?;
    let unknown = || JumpError::Unknown(printable(host, MAX_HOST));
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let Ok(address) = bare.parse::<IpAddr>().map(|a| a.to_canonical()) else {
        let name: Option<ContainerName> = host.parse().ok();
        let of_instance = ContainerName::from_instance(host);
        // A container may itself be called `x-container`: its own name comes first.
        let by_name = |wanted: Option<ContainerName>| {
            let wanted = wanted?;
            usable.iter().find(|c| c.name == wanted && is_shown(c, inventory)).cloned()
        };
        return by_name(name).or_else(|| by_name(of_instance)).ok_or_else(unknown);
    };
    usable.retain(|c| c.addresses.iter().any(|a| a.to_canonical() == address));
    match usable.as_slice() {
        [] => Err(unknown()),
        [one] => Ok(Arc::clone(one)),
        several => {
            let name = |c: &Arc<Container>| format!("{} on {}", c.name, c.backend);
            let names = several.iter().map(name).collect::<Vec<_>>().join(", ");
            Err(JumpError::Ambiguous { address, names })
        }
    }
}

/// The containers that a visitor may open ports of.
fn usable(visit: &Visit, inventory: &Inventory) -> Result<Vec<Arc<Container>>, JumpError> {
    match visit {
        Visit::Console(Principal { role: Role::Admin, .. }, _) => {
            Ok(inventory.containers().chain(inventory.duplicates()).cloned().collect())
        }
        Visit::Console(Principal { role: Role::Node, .. }, _) => Ok(Vec::new()),
        Visit::Console(Principal { role: Role::Member, key, .. }, _) => {
            let key = key.as_ref();
            Ok(key
                .into_iter()
                .flat_map(|k| forwardable(k, inventory, |o| o.from.is_none()))
                .collect())
        }
        Visit::Choice { principal, containers, .. } => {
            let key = principal.key.as_ref();
            // Where from and until when the key counts, access has asked before it granted these.
            let granted = key.into_iter().flat_map(|k| forwardable(k, inventory, |_| true));
            Ok(granted.filter(|c| containers.contains(&c.name)).collect())
        }
        Visit::Apology { sentence, .. } => Err(JumpError::Apology(sentence.clone())),
    }
}

/// The containers that `key` opens by a line that allows forwarding and passes `test`.
fn forwardable(
    key: &PublicKey,
    inventory: &Inventory,
    test: fn(&KeyOptions) -> bool,
) -> Vec<Arc<Container>> {
    let allows = |c: &&Arc<Container>| {
        let lines = c.keys.iter().chain(c.collaborators.iter().flat_map(|c| &c.keys));
        let mut mine = lines.filter(|line| line.key == *key);
        mine.any(|line| !line.options.no_port_forwarding && test(&line.options))
    };
    inventory.opened_by(key).filter(allows).cloned().collect()
}

/// A name means the container that logins reach, not one hidden behind it.
fn is_shown(container: &Arc<Container>, inventory: &Inventory) -> bool {
    inventory.container(&container.name).is_some_and(|shown| Arc::ptr_eq(shown, container))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{Enter, Turned};
    use crate::{command::testing::*, model::inventory::Presence};

    fn nowhere() -> Enter {
        let sentence = "nowhere".to_owned();
        Enter::new(move |_, _| {
            let turned = Turned { sentence: sentence.clone(), status: 69 };
            Box::pin(async { Err(turned) })
        })
    }

    fn choice(name: &str, containers: &[&str]) -> Visit {
        let containers = containers.iter().map(|c| c.parse().unwrap()).collect();
        Visit::Choice { principal: member(name), containers, enter: nowhere() }
    }

    #[test]
    fn names_and_addresses_resolve_among_what_the_visitor_may_use() {
        let inventory = fleet();
        let (ops, alice) = (Visit::Console(admin(), None), Visit::Console(member("alice"), None));
        let dave = choice("dave", &["alice"]);
        let table = [
            (&ops, "alice", Some(("alice", "spot-1"))),
            (&ops, "alice-container", Some(("alice", "spot-1"))),
            (&ops, "bob", Some(("bob", "spot-1"))),
            (&ops, "fd00::100", Some(("alice", "spot-1"))),
            (&ops, "[fd00::100]", Some(("alice", "spot-1"))),
            (&ops, "10.0.3.7", Some(("alice", "spot-2"))),
            (&ops, "10.0.3.100", None),
            (&ops, "10.0.3.200", None),
            (&ops, "localhost", None),
            (&ops, "127.0.0.1", None),
            (&ops, "metadata.google.internal", None),
            (&ops, "Alice", None),
            (&ops, "", None),
            (&alice, "alice", Some(("alice", "spot-1"))),
            (&alice, "10.0.3.100", Some(("alice", "spot-1"))),
            (&alice, "::ffff:10.0.3.100", Some(("alice", "spot-1"))),
            (&alice, "bob", None),
            (&alice, "10.0.3.7", None),
            (&dave, "alice", Some(("alice", "spot-1"))),
            (&choice("dave", &[]), "alice", None),
            (&choice("dave", &["bob"]), "bob", None),
        ];
        for (visit, host, expected) in table {
            let found = resolve(host, visit, &inventory);
            let found = found.as_ref().map(|c| (c.name.as_str(), c.backend.as_str())).ok();
            assert_eq!(found, expected, "{host} for {visit:?}");
        }
    }

    #[test]
    fn a_shared_address_is_refused_with_the_names() {
        let error = resolve("10.0.3.100", &Visit::Console(admin(), None), &fleet()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "address 10.0.3.100 is that of several containers: \
             alice on spot-1, carol on spot-2; use a name"
        );
        let nasty = resolve("\x1b[2J", &Visit::Console(admin(), None), &fleet()).unwrap_err();
        assert!(!nasty.to_string().contains('\x1b'));
    }

    #[test]
    fn what_the_key_line_restricts_stays_restricted() {
        let mut alice = container("alice", "spot-1", Some("10.0.3.100"));
        alice.keys[0].options.no_port_forwarding = true;
        let mut bob = container("bob", "spot-1", None);
        bob.keys = vec![authorized("alice")];
        bob.keys[0].options.from = Some("192.0.2.0/24".to_owned());
        let up = Presence::Up { since: at(0) };
        let inventory = Inventory::new(vec![backend("spot-1", up, vec![alice, bob])]);
        let console = Visit::Console(member("alice"), None);
        assert!(resolve("alice", &console, &inventory).is_err());
        assert!(resolve("bob", &console, &inventory).is_err());
        let choice = choice("alice", &["alice", "bob"]);
        assert!(resolve("alice", &choice, &inventory).is_err());
        assert!(resolve("bob", &choice, &inventory).is_ok());
    }

    #[test]
    fn an_apology_opens_nothing() {
        let visit = Visit::Apology { sentence: "spot-1 is away".to_owned(), status: 75 };
        let error = resolve("alice", &visit, &fleet()).unwrap_err();
        assert_eq!(error.to_string(), "spot-1 is away");
    }
}
