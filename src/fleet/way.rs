//! The way to a backend's Incus, and who we are there.

use std::sync::Arc;

use ssh_key::PrivateKey;

use crate::{
    config::{self, BackendAddress},
    incus::Client,
    link::{Dial, control::Link, https::Https, local::Local, reverse::Tunnels},
    store::keys::ClientCertificate,
};

/// Who we are to backends.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Logs in to those behind an sshd, unless they have a key file of their own.
    pub ssh: Arc<PrivateKey>,
    /// For those behind HTTPS.
    pub tls: Arc<ClientCertificate>,
}

impl Identity {
    /// One that nobody trusts, for tests.
    #[cfg(test)]
    pub(super) fn fixed() -> Self {
        let pair = ssh_key::private::Ed25519Keypair::from_seed(&[7; 32]);
        let tls = ClientCertificate::generate().expect("the library works");
        Self { ssh: Arc::new(PrivateKey::from(pair)), tls: Arc::new(tls) }
    }
}

/// A client of a backend's Incus, and the control connection that it goes over if there is one.
pub(super) fn way_to(
    backend: &config::Backend,
    identity: &Identity,
    tunnels: &Tunnels,
) -> (Client, Option<Link>) {
    let link = Link::new(backend, &identity.ssh, tunnels);
    let dial: Arc<dyn Dial> = match (&backend.address, &link) {
        (_, Some(link)) => Arc::new(link.clone()),
        (BackendAddress::Https { address, fingerprint }, None) => {
            Arc::new(Https::new(address, *fingerprint, &identity.tls))
        }
        (BackendAddress::Local | BackendAddress::Ssh { .. }, None) => {
            Arc::new(Local::new(backend.incus_socket.clone()))
        }
    };
    (Client::new(dial), link)
}
