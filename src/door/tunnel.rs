//! The connection of a host that nobody can dial: it logs in with its node key, forwards its sshd
//! to us, and from then on carries everybody's streams to it. It may do nothing else.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};
use tracing::{info, warn};

use super::{Shared, attend};
use crate::{
    clock,
    config::{Backend, BackendAddress, Config, SshAddress},
    link::{
        connection::Connection,
        reverse::{Entry, Node, PORT, ReverseError},
    },
    model::{
        authorized_keys::AuthorizedKey,
        name::{BackendName, ContainerName},
    },
};

/// From the login to the forward: OpenSSH asks for it at once.
const FORWARD: Duration = Duration::from_secs(10);

/// Why a tunnel ended.
enum Ended {
    /// By itself.
    Lost(ReverseError),
    /// By us; the sentence is for the host.
    Let(Arc<str>),
}

/// Serves connection number `id`, of the host of `backend` at `peer`, to its end.
pub(super) async fn serve(
    shared: &Shared,
    mut connection: Connection,
    backend: &Backend,
    (id, peer): (u64, SocketAddr),
) {
    connection.transport.set_authenticated();
    if let Err(error) = attend::succeed(&mut connection).await {
        info!(session = id, reason = %error, "host left before it was let in");
        return;
    }
    let name = &backend.name;
    let mut node = Node::new(connection, name.clone());
    let mut place = None;
    let ended = tokio::select! {
        biased;
        sentence = let_go(shared, backend) => Ended::Let(sentence),
        ended = carry(shared, (&mut node, &mut place), name, (id, peer)) => ended,
    };
    let sentence = match &ended {
        Ended::Lost(error) => error.to_string().into(),
        Ended::Let(sentence) => Arc::clone(sentence),
    };
    match (place, ended) {
        (None, _) => info!(session = id, backend = %name, reason = %sentence, "no tunnel came"),
        (Some(place), Ended::Lost(_)) => {
            let sessions = end_sessions(shared, place, name);
            warn!(session = id, backend = %name, sessions, reason = %sentence, "tunnel lost");
        }
        (Some(place), Ended::Let(_)) => {
            let sessions = end_sessions(shared, place, name);
            info!(session = id, backend = %name, sessions, reason = %sentence, "tunnel closed");
        }
    }
    node.close(&sentence).await;
}

/// Ends what people have open through a tunnel with a sentence, before anybody else notices that it
/// is gone. How many there were.
fn end_sessions(shared: &Shared, place: Entry, name: &BackendName) -> usize {
    let sessions = shared.registry.end_open(&containers(shared, name), |container| {
        format!("the tunnel to the host of {container} was lost; log in again to wait for it")
    });
    drop(place);
    sessions
}

/// From the host's forward, which gives the tunnel its place, to the end of the tunnel.
async fn carry(
    shared: &Shared,
    (node, place): (&mut Node, &mut Option<Entry>),
    name: &BackendName,
    (id, peer): (u64, SocketAddr),
) -> Ended {
    let reverse = match timeout(FORWARD, node.forwarded()).await {
        Ok(Ok(reverse)) => reverse,
        Ok(Err(error)) => return Ended::Lost(error),
        Err(_) => {
            let sentence =
                format!("no forward was asked for: use `ssh -N -R {name}:{PORT}:HOST:PORT`");
            return Ended::Let(sentence.into());
        }
    };
    let entry = shared.fleet.tunnels().enter(name, reverse, (peer, clock::timestamp()));
    let entry = place.insert(entry);
    info!(session = id, backend = %name, source = %peer, "tunnel is there");
    shared.fleet.retry(name);
    tokio::select! {
        biased;
        () = entry.replaced() => Ended::Let("another connection of this host took its place".into()),
        error = node.run() => Ended::Lost(error),
    }
}

/// Waits until the sentinel stops, or the configuration has no such tunnel any more.
async fn let_go(shared: &Shared, backend: &Backend) -> Arc<str> {
    tokio::select! {
        sentence = shared.registry.farewell() => sentence,
        () = revoked(shared.config.clone(), backend) => "the configuration of this host changed".into(),
    }
}

async fn revoked(mut config: watch::Receiver<Arc<Config>>, backend: &Backend) {
    let is_known = |config: &Arc<Config>| {
        let mut same = config.backends.iter().filter(|b| b.name == backend.name);
        same.any(|b| node_key(b).is_some() && node_key(b) == node_key(backend))
    };
    // Fails when the sentinel ends, which is told in another way.
    if config.wait_for(|config| !is_known(config)).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn node_key(backend: &Backend) -> Option<&AuthorizedKey> {
    match &backend.address {
        BackendAddress::Ssh { address: SshAddress::Tunnel(line), .. } => Some(line),
        BackendAddress::Ssh { .. } | BackendAddress::Local | BackendAddress::Https { .. } => None,
    }
}

/// The containers that were last seen there.
fn containers(shared: &Shared, backend: &BackendName) -> BTreeSet<ContainerName> {
    let inventory = Arc::clone(&shared.inventory.borrow());
    let on_it = inventory.containers().filter(|c| c.backend == *backend);
    on_it.map(|c| c.name.clone()).collect()
}
