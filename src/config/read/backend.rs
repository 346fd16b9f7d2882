//! `[[backend]]`.

use std::{path::Path, sync::Arc};

use super::{
    super::{
        Backend, BackendAddress,
        address::{Place, place, user},
        keys::public_key,
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
    fingerprint::{Fingerprint, FingerprintError},
    name::{BackendName, PoolName},
};

pub(super) fn backends(
    sections: Vec<Section<'_>>,
    scope: Scope<'_>,
) -> Result<Vec<Arc<Backend>>, Told> {
    let mut names = Unique::new("backend", scope.sources);
    let mut hosts = Unique::new("Incus socket", scope.sources);
    let mut read = |section| backend(section, scope, &mut names, &mut hosts);
    let backends: Vec<_> = sections.into_iter().map(|s| read(s).map(Arc::new)).collect();
    backends.into_iter().collect()
}

fn backend(
    mut section: Section<'_>,
    scope: Scope<'_>,
    names: &mut Unique<'_>,
    hosts: &mut Unique<'_>,
) -> Result<Backend, Told> {
    let name = section.need("name", "name = \"spot-1\"", name::<BackendName>);
    let pool = section.or_written("pool", "default", self::name::<PoolName>);
    let place = section.need(
        "address",
        "address = \"198.51.100.2:22\"`, `\"https://198.51.100.2\"` or `\"local\"",
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
        let host = match address {
            BackendAddress::Local => format!("local {}", socket.display()),
            BackendAddress::Ssh { address, .. } => format!("{address} {}", socket.display()),
            BackendAddress::Https { address, .. } => format!("https://{address}"),
        };
        hosts.check(&section, "address", &host);
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
    match place? {
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
            let (why, instead) =
                ("this backend is reached through its sshd", "write `address = \"https://…\"`");
            let others = none_of(section, &["fingerprint"], why, instead);
            let host_key = host_key.and_then(|key| {
                key.ok_or_else(|| {
                    let fault = Fault::new("missing: the backend's sshd has to prove who it is");
                    section.missing("host_key", fault.hint(keyscan(&address)))
                })
            });
            others?;
            let (user, host_key, identity) = (user?, host_key?, identity?);
            Ok(BackendAddress::Ssh { address, user, host_key, identity })
        }
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
