//! `[[backend]]`.

use std::{path::Path, sync::Arc};

use super::{
    super::{
        Backend, BackendAddress, SshAddress,
        address::{Place, place, user},
        keys::{authorized_key, public_key},
        path::{file, remote_socket},
        problem::Fault,
        section::{Read, Section},
        source::Told,
        tree::Node,
        value::{boolean, name, text},
    },
    Scope, Unique,
    health::health,
    recovery::recovery,
};
use crate::model::{
    authorized_keys::AuthorizedKey,
    fingerprint::{Fingerprint, FingerprintError},
    name::{BackendName, PoolName},
};

pub(super) fn backends(
    sections: Vec<Section<'_>>,
    scope: Scope<'_>,
) -> Result<Vec<Arc<Backend>>, Told> {
    let mut names = Unique::new("backend", scope.sources);
    let mut hosts = Unique::new("Incus socket", scope.sources);
    let mut nodes = Unique::new("backend with the node key", scope.sources);
    let unique = &mut [&mut names, &mut hosts, &mut nodes];
    let mut read = |section| backend(section, scope, unique);
    let backends: Vec<_> = sections.into_iter().map(|s| read(s).map(Arc::new)).collect();
    backends.into_iter().collect()
}

fn backend(
    mut section: Section<'_>,
    scope: Scope<'_>,
    [names, hosts, nodes]: &mut [&mut Unique<'_>; 3],
) -> Result<Backend, Told> {
    let name = section.need("name", "name = \"spot-1\"", name::<BackendName>);
    let pool = section.or_written("pool", "default", self::name::<PoolName>);
    let place = section.need(
        "address",
        "address = \"198.51.100.2:22\"`, `\"https://198.51.100.2\"`, `\"tunnel\"` or `\"local\"",
        place,
    );
    let default_socket = "/var/lib/incus/unix.socket".into();
    let incus_socket = section.or("incus_socket", default_socket, remote_socket);
    let routed = section.or("routed", false, boolean);
    let address = backend_address(&mut section, place, scope.base);
    let health = health(&mut section, address.as_ref().ok());
    let recovery = recovery(&mut section, scope.base);
    if let Ok(name) = &name {
        names.check(&section, "name", name.as_str());
    }
    if let (Ok(address), Ok(socket)) = (&address, &incus_socket) {
        match address {
            BackendAddress::Local => {
                hosts.check(&section, "address", &format!("local {}", socket.display()));
            }
            BackendAddress::Ssh { address: SshAddress::Network(address), .. } => {
                hosts.check(&section, "address", &format!("{address} {}", socket.display()));
            }
            BackendAddress::Ssh { address: SshAddress::Tunnel(line), .. } => {
                nodes.check(&section, "node_key", &line.key.fingerprint());
                own_key(&section, line, scope.admins);
            }
            BackendAddress::Https { address, .. } => {
                hosts.check(&section, "address", &format!("https://{address}"));
            }
        }
    }
    section.finish(|_| None);
    Ok(Backend {
        name: name?,
        pool: pool?,
        address: address?,
        incus_socket: incus_socket?,
        routed: routed?,
        health: health?,
        recovery: recovery?,
    })
}

/// Reads the keys that only one kind of backend has.
fn backend_address(
    section: &mut Section<'_>,
    place: Result<Place, Told>,
    base: &Path,
) -> Result<BackendAddress, Told> {
    let user = section.or("user", "containarium".to_owned(), user);
    let host_key = section.maybe("host_key", public_key);
    let identity = section.maybe("identity", file(base));
    let fingerprint = section.maybe("fingerprint", fingerprint);
    let node_key = section.maybe("node_key", node_key);
    let place = place?;
    if place != Place::Tunnel {
        let why = "only the host of a tunnel connects by itself";
        none_of(section, &["node_key"], why, "write `address = \"tunnel\"`")?;
    }
    match place {
        Place::Local => {
            let (why, instead) =
                ("a local backend is reached without SSH", "give a host as address");
            let ssh = none_of(section, &["user", "host_key", "identity"], why, instead);
            let (why, instead) =
                ("a local backend is reached without TLS", "give an https:// address");
            ssh.and(none_of(section, &["fingerprint"], why, instead))?;
            Ok(BackendAddress::Local)
        }
        Place::Https(address) => {
            let (why, instead) =
                ("this backend is reached by HTTPS", "give the address of its sshd");
            let keys = ["user", "host_key", "identity", "incus_socket"];
            let others = none_of(section, &keys, why, instead);
            let fingerprint = fingerprint.and_then(|fingerprint| {
                fingerprint.ok_or_else(|| {
                    let fault = Fault::new("missing: the backend has to prove who it is");
                    section.missing("fingerprint", fault.hint(CERTIFICATE))
                })
            });
            others?;
            Ok(BackendAddress::Https { address, fingerprint: fingerprint? })
        }
        Place::Remote(address) => {
            let others = by_ssh(section, &["fingerprint"]);
            let host_key = needed(section, host_key, "host_key", SSHD, &keyscan(&address));
            others?;
            let (user, host_key, identity) = (user?, host_key?, identity?);
            let address = SshAddress::Network(address);
            Ok(BackendAddress::Ssh { address, user, host_key, identity })
        }
        Place::Tunnel => {
            let others = by_ssh(section, &["fingerprint", "routed"]);
            let host_key = needed(section, host_key, "host_key", SSHD, ON_HOST);
            let node_key = needed(section, node_key, "node_key", NODE, NODE_KEY);
            others?;
            let (user, host_key, identity) = (user?, host_key?, identity?);
            let address = SshAddress::Tunnel(node_key?);
            Ok(BackendAddress::Ssh { address, user, host_key, identity })
        }
    }
}

const SSHD: &str = "missing: the backend's sshd has to prove who it is";
const NODE: &str = "missing: the host has to prove who it is when it connects";
const ON_HOST: &str = "on the host, `cat /etc/ssh/ssh_host_ed25519_key.pub` shows it";
const NODE_KEY: &str =
    "on the host, `ssh-keygen -t ed25519 -N '' -f /etc/containarium-node/key` makes it";

/// Refuses keys that mean nothing behind an sshd.
fn by_ssh(section: &Section<'_>, keys: &[&str]) -> Result<(), Told> {
    let why = "this backend is reached through its sshd";
    none_of(section, keys, why, "write `address = \"https://…\"`")
}

/// A key that a backend of this kind has to have.
fn needed<T>(
    section: &Section<'_>,
    value: Result<Option<T>, Told>,
    key: &str,
    missing: &str,
    hint: &str,
) -> Result<T, Told> {
    value?.ok_or_else(|| section.missing(key, Fault::new(missing).hint(hint)))
}

/// A line that allows what a node does, and nothing is to be forced on it.
fn node_key(node: &Node) -> Read<AuthorizedKey> {
    let line = authorized_key(node)?;
    if line.options.no_port_forwarding || line.options.command.is_some() {
        return Err(Fault::new("with these options the key could not carry a tunnel")
            .hint("leave them out: a node key can do nothing else, whatever they say"));
    }
    Ok(line)
}

/// Refuses a node key that is an administrator's, too: it would not be one any more.
fn own_key(section: &Section<'_>, line: &AuthorizedKey, admins: &[AuthorizedKey]) {
    if admins.iter().any(|admin| admin.key == line.key) {
        let fault = Fault::new("this is the key of an administrator");
        section.fault("node_key", fault.hint(NODE_KEY));
    }
}

const CERTIFICATE: &str = "`incus info | grep certificate_fingerprint` on the backend shows it; `backend add` takes a token";

/// Refuses keys that mean nothing for a backend of this kind.
fn none_of(section: &Section<'_>, keys: &[&str], why: &str, instead: &str) -> Result<(), Told> {
    let mut verdict = Ok(());
    for key in keys.iter().filter(|key| section.has(key)) {
        let hint = format!("remove `{key}`, or {instead}");
        verdict = Err(section.fault(key, Fault::new(why).hint(hint)));
    }
    verdict
}

fn fingerprint(node: &Node) -> Read<Fingerprint> {
    text(node)?.parse().map_err(|e: FingerprintError| Fault::new(e.to_string()).hint(CERTIFICATE))
}

fn keyscan(address: &str) -> String {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "22"));
    let host = host.trim_matches(['[', ']']);
    let port = if port == "22" { String::new() } else { format!("-p {port} ") };
    format!("`ssh-keyscan -t ed25519 {port}{host}` shows it behind the name; compare it there")
}
