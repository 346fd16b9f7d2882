//! TLS of the page: a certificate for whoever asks, and one of our own rather than none.

use std::{fmt, sync::Arc};

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs as provider,
    pki_types::PrivateKeyDer,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::{clock, gateway::certificate::Keystore};

/// The name in the certificate of our own: nobody's (RFC 6761).
const NOBODY: &str = "maintenance.invalid";

/// How HTTPS is answered.
#[derive(Clone)]
pub struct Tls(pub(super) TlsAcceptor);

impl Tls {
    /// With the certificates of `keystore`, as they are at each handshake.
    ///
    /// # Errors
    /// The cryptographic library fails.
    pub fn new(keystore: watch::Receiver<Arc<Keystore>>) -> Result<Self, String> {
        let own = own().map_err(|e| e.to_string())?;
        let provider = Arc::new(provider::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        let choice = Arc::new(Choice { keystore, own: Arc::new(own) });
        let mut config = config.with_no_client_auth().with_cert_resolver(choice);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // The next connection goes to a backend, which knows nothing of our sessions.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

/// Signed by nobody, and made anew at each start.
fn own() -> Result<CertifiedKey, Box<dyn std::error::Error>> {
    let mut params = CertificateParams::new(vec![NOBODY.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, NOBODY);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der())?;
    Ok(CertifiedKey::from_der(vec![certificate], key, &provider::default_provider())?)
}

struct Choice {
    keystore: watch::Receiver<Arc<Keystore>>,
    own: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let keystore = Arc::clone(&self.keystore.borrow());
        let chosen = keystore.choose(hello.server_name(), clock::timestamp());
        Some(chosen.unwrap_or_else(|| Arc::clone(&self.own)))
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choice").finish_non_exhaustive()
    }
}
