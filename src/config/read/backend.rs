//! `[[backend]]`.

use std::{path::Path, sync::Arc};

use super::{
    super::{
        Backend, BackendAddress,
        address::{Place, place, user},
        keys::public_key,
        path::{file, remote_socket},
        problem::Fault,
        section::Section,
        source::Told,
        value::{boolean, name},
    },
    Scope, Unique,
};
use crate::model::name::{BackendName, PoolName};

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
    section.refuse("health");
    section.refuse("recovery");
    let name = section.need("name", "name = \"spot-1\"", name::<BackendName>);
    let pool = section.or_written("pool", "default", self::name::<PoolName>);
    let place = section.need("address", "address = \"198.51.100.2:22\"` or `\"local\"", place);
    let default_socket = "/var/lib/incus/unix.socket".into();
    let incus_socket = section.or("incus_socket", default_socket, remote_socket);
    let routed = section.or("routed", false, boolean);
    let address = backend_address(&mut section, place, scope.base);
    if let Ok(name) = &name {
        names.check(&section, "name", name.as_str());
    }
    if let (Ok(address), Ok(socket)) = (&address, &incus_socket) {
        let host = match address {
            BackendAddress::Local => "local",
            BackendAddress::Ssh { address, .. } => address,
        };
        hosts.check(&section, "address", &format!("{host} {}", socket.display()));
    }
    section.finish(|_| None);
    Ok(Backend {
        name: name?,
        pool: pool?,
        address: address?,
        incus_socket: incus_socket?,
        routed: routed?,
    })
}

/// Reads the keys that only a backend behind SSH has.
fn backend_address(
    section: &mut Section<'_>,
    place: Result<Place, Told>,
    base: &Path,
) -> Result<BackendAddress, Told> {
    let user = section.or("user", "containarium".to_owned(), user);
    let host_key = section.maybe("host_key", public_key);
    let identity = section.maybe("identity", file(base));
    match place? {
        Place::Local => {
            let mut verdict = Ok(BackendAddress::Local);
            for key in ["user", "host_key", "identity"].into_iter().filter(|k| section.has(k)) {
                let hint = format!("remove `{key}`, or give a host as address");
                let fault = Fault::new("a local backend is reached without SSH").hint(hint);
                verdict = Err(section.fault(key, fault));
            }
            verdict
        }
        Place::Remote(address) => {
            let host_key = host_key.and_then(|key| {
                key.ok_or_else(|| {
                    let fault = Fault::new("missing: the backend's sshd has to prove who it is");
                    section.missing("host_key", fault.hint(keyscan(&address)))
                })
            });
            let (user, host_key, identity) = (user?, host_key?, identity?);
            Ok(BackendAddress::Ssh { address, user, host_key, identity })
        }
    }
}

fn keyscan(address: &str) -> String {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "22"));
    let host = host.trim_matches(['[', ']']);
    let port = if port == "22" { String::new() } else { format!("-p {port} ") };
    format!("`ssh-keyscan -t ed25519 {port}{host}` shows it behind the name; compare it there")
}
