//! Pure: what an Incus instance is to us.

use std::{collections::BTreeMap, net::IpAddr};

use super::provision::CREATING;
use crate::{
    config,
    incus::api::{Instance, InstanceState},
    model::{
        container::{Container, LABEL_PREFIX, MAX_LABEL, Status},
        name::ContainerName,
    },
};

/// Image properties that `info` shows.
const IMAGE: [&str; 3] = ["image.description", "image.os", "image.release"];
/// Longest value of a key that is no label, in bytes.
const MAX_VALUE: usize = 1024;
/// Most keys kept of an instance.
const MAX_KEYS: usize = 64;
/// Most addresses kept of an instance.
const MAX_ADDRESSES: usize = 16;

/// The container that `instance` is; `None` if it is not managed.
pub(super) fn container(instance: &Instance, backend: &config::Backend) -> Option<Container> {
    if instance.kind != "container" {
        return None;
    }
    let name = ContainerName::from_instance(&instance.name)?;
    let mut too_long = Vec::new();
    let mut config = kept(instance, &mut too_long);
    config.extend(root_size(instance).map(|size| ("root.size".to_owned(), size)));
    let place = (backend.name.clone(), backend.pool.clone());
    let state = (status(instance.status_code), addresses(instance.state.as_ref()));
    let mut container = Container::from_config(name, place, state, &config)?;
    container.problems.extend(too_long);
    Some(container)
}

/// Whether somebody began to make a container of `instance`, and it is none yet. Names that nobody
/// could give a container are not looked at.
pub(super) fn is_unfinished(instance: &Instance) -> bool {
    instance.config.contains_key(&format!("{LABEL_PREFIX}{CREATING}"))
        && ContainerName::from_instance(&instance.name).is_some()
}

fn kept(instance: &Instance, too_long: &mut Vec<String>) -> BTreeMap<String, String> {
    let labels = instance.config.iter().filter(|(key, _)| key.starts_with(LABEL_PREFIX));
    let limits = instance.expanded_config.iter().filter(|(key, _)| key.starts_with("limits."));
    let image = instance.config.iter().filter(|(key, _)| IMAGE.contains(&key.as_str()));
    let mut config = BTreeMap::new();
    for (key, value) in labels.chain(limits).chain(image) {
        let limit = if key.starts_with(LABEL_PREFIX) { MAX_LABEL } else { MAX_VALUE };
        if value.len() > limit || config.len() == MAX_KEYS {
            let key: String = key.chars().take(80).collect();
            too_long.push(format!("{key}: left out, more than is read"));
        } else {
            config.insert(key.clone(), value.clone());
        }
    }
    config
}

/// The size of the disk that is mounted at `/`, as configured.
fn root_size(instance: &Instance) -> Option<String> {
    let is_root = |d: &&BTreeMap<String, String>| d.get("path").is_some_and(|path| path == "/");
    let size = instance.expanded_devices.values().find(is_root)?.get("size")?;
    (size.len() <= MAX_VALUE).then(|| size.clone())
}

fn status(code: u16) -> Status {
    match code {
        102 => Status::Stopped,
        103 => Status::Running,
        110 => Status::Frozen,
        112 => Status::Error,
        _ => Status::Changing,
    }
}

/// Global addresses: IPv4 before IPv6, `eth0` before other interfaces. Bridges that a container
/// runtime makes inside are of no use from outside.
pub(super) fn addresses(state: Option<&InstanceState>) -> Vec<IpAddr> {
    let inner = ["lo", "docker", "br-", "veth", "podman", "cni", "virbr", "lxcbr", "incusbr"];
    let interfaces = state.iter().flat_map(|s| &s.network);
    let mut found: Vec<_> = interfaces
        .filter(|(name, _)| !inner.iter().any(|i| name.starts_with(i)))
        .flat_map(|(name, i)| i.addresses.iter().map(move |a| (name, a)))
        .filter(|(_, a)| a.scope == "global")
        .map(|(name, a)| (a.address.is_ipv6(), name != "eth0", a.address))
        .collect();
    found.sort_by_key(|(v6, other, _)| (*v6, *other));
    found.into_iter().map(|(_, _, address)| address).take(MAX_ADDRESSES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::tests::backend;

    fn instance(json: &str) -> Instance {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn labels_limits_and_addresses_are_kept() {
        let instance = instance(
            r#"{"name":"alice-container","type":"container","status_code":103,
            "config":{"user.containarium.owner":"alice","user.other":"x","volatile.uuid":"y","image.os":"debian"},
            "expanded_config":{"limits.cpu":"2","security.nesting":"true"},
            "expanded_devices":{"root":{"path":"/","pool":"default","size":"10GiB","type":"disk"}},
            "state":{"network":{
                "docker0":{"addresses":[{"address":"172.17.0.1","scope":"global"}]},
                "eth0":{"addresses":[{"address":"fd42::5","scope":"global"},{"address":"fe80::1","scope":"link"},{"address":"10.0.3.5","scope":"global"}]},
                "aux":{"addresses":[{"address":"10.9.9.9","scope":"global"}]},
                "lo":{"addresses":[{"address":"127.0.0.1","scope":"local"}]}}}}"#,
        );
        let container = container(&instance, &backend("b1")).unwrap();
        assert_eq!(container.status, Status::Running);
        let addresses: Vec<_> = container.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["10.0.3.5", "10.9.9.9", "fd42::5"]);
        let keys: Vec<_> = container.config.keys().collect();
        assert_eq!(keys, ["image.os", "limits.cpu", "root.size", "user.containarium.owner"]);
    }

    #[test]
    fn what_is_not_managed_is_no_container() {
        let owner = r#""config":{"user.containarium.owner":"alice"}"#;
        for other in [
            format!(r#"{{"name":"alice-container","type":"virtual-machine",{owner}}}"#),
            format!(r#"{{"name":"alice","type":"container",{owner}}}"#),
            format!(r#"{{"name":"admin-container","type":"container",{owner}}}"#),
            r#"{"name":"alice-container","type":"container"}"#.to_owned(),
        ] {
            assert!(container(&instance(&other), &backend("b1")).is_none(), "{other}");
        }
    }

    #[test]
    fn a_label_that_is_too_long_is_left_out_and_named() {
        let long = "x".repeat(MAX_LABEL + 1);
        let text = format!(
            r#"{{"name":"a-container","type":"container","status_code":106,
            "config":{{"user.containarium.owner":"a","user.containarium.stacks":"{long}"}}}}"#
        );
        let container = container(&instance(&text), &backend("b1")).unwrap();
        assert_eq!(container.status, Status::Changing);
        assert_eq!(container.config.len(), 1);
        assert_eq!(container.problems.len(), 1);
    }
}
