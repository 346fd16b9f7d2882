//! An Incus that listens for HTTPS: known by the fingerprint of its certificate and by nothing
//! else, and told who we are by ours.

use std::{io, sync::Arc, time::Duration};

use ::aws_lc_rs::digest::{SHA256, digest};
use futures_util::future::BoxFuture;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, OtherError,
    SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    version::TLS13,
};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{Dial, Stream};
use crate::{model::fingerprint::Fingerprint, store::keys::ClientCertificate};

/// From the first packet to the end of the handshake: less than what a call may take in all.
const CONNECT: Duration = Duration::from_secs(4);

/// Never sent, and never looked at: the fingerprint says who the server is.
const SERVER_NAME: &str = "incus";

/// Somebody else answered, or the backend was reinstalled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("shows certificate {found}, but {pinned} is pinned: refusing to talk to it")]
pub struct WrongCertificate {
    /// What it shows.
    pub found: Fingerprint,
    /// What was to be there.
    pub pinned: Fingerprint,
}

/// Dials one Incus by HTTPS.
#[derive(Clone)]
pub struct Https {
    address: Arc<str>,
    /// Why it cannot be used, where our own certificate cannot.
    connector: Result<TlsConnector, String>,
}

impl Https {
    /// Stands for the Incus at `address` (`HOST:PORT`) that has the certificate `pinned`.
    #[must_use]
    pub fn new(address: &str, pinned: Fingerprint, client: &ClientCertificate) -> Self {
        let connector = connector(pinned, client).map_err(|e| e.to_string());
        Self { address: address.into(), connector }
    }
    async fn connect(&self) -> io::Result<Stream> {
        let socket = self.connect_tcp().await?;
        socket.set_nodelay(true)?;
        let unusable = |why| io::Error::other(format!("use our client certificate: {why}"));
        let connector = self.connector.as_ref().map_err(unusable)?;
        let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
        Ok(Box::new(connector.connect(name, socket).await?))
    }

    async fn connect_tcp(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::other("the name has no address");
        for address in lookup_host(&*self.address).await? {
            match TcpStream::connect(address).await {
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Dial for Https {
    fn dial(&self) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async {
            let dialled = timeout(CONNECT, self.connect()).await;
            dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(|error| {
                let address = &self.address;
                let text = match wrong_certificate(&error) {
                    Some(wrong) => format!("{address} {wrong}"),
                    None => format!("connect to {address}: {error}"),
                };
                io::Error::new(error.kind(), text)
            })
        })
    }
}

fn connector(pinned: Fingerprint, client: &ClientCertificate) -> Result<TlsConnector, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Pinned { pinned, provider: Arc::clone(&provider) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(vec![client.certificate().clone()], client.key().clone_key())?;
    // Websockets need HTTP/1.1, and Incus would take 2 first.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.enable_sni = false;
    Ok(TlsConnector::from(Arc::new(config)))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "not our enums")]
fn wrong_certificate(error: &io::Error) -> Option<&WrongCertificate> {
    match error.get_ref()?.downcast_ref::<TlsError>()? {
        TlsError::InvalidCertificate(CertificateError::Other(OtherError(other))) => {
            other.downcast_ref()
        }
        _ => None,
    }
}

/// Believes the one certificate, however it was signed and whatever names and dates are in it, and
/// that whoever shows it has its key.
#[derive(Debug)]
struct Pinned {
    pinned: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let found = fingerprint(end_entity);
        if found == self.pinned {
            return Ok(ServerCertVerified::assertion());
        }
        let wrong = WrongCertificate { found, pinned: self.pinned };
        Err(TlsError::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(wrong)))))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(TlsError::General("only TLS 1.3 is spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The SHA-256 of a certificate's DER.
#[must_use]
pub fn fingerprint(certificate: &CertificateDer<'_>) -> Fingerprint {
    let mut bytes = [0; 32];
    let digest = digest(&SHA256, certificate);
    bytes.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    Fingerprint::new(bytes)
}

#[cfg(test)]
mod tests {
    use rustls::ServerConfig;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A server that shows `certificate`, with the key of `signer`, to one client, and tells
    /// whether the client asked for it with HTTP/1.1 only.
    async fn serve(
        listener: TcpListener,
        certificate: ClientCertificate,
        signer: ClientCertificate,
    ) {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = provider.key_provider.load_private_key(signer.key().clone_key()).unwrap();
        let shown = rustls::sign::CertifiedKey::new(vec![certificate.certificate().clone()], key);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(shown)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let (socket, _) = listener.accept().await.unwrap();
        if let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(socket).await {
            let alpn = stream.get_ref().1.alpn_protocol().unwrap_or_default().to_vec();
            stream.write_all(&alpn).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    }

    async fn dial(
        pinned: Fingerprint,
        shown: ClientCertificate,
        signer: ClientCertificate,
    ) -> io::Result<Stream> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let https = Https::new(&address, pinned, &ClientCertificate::generate().unwrap());
        let mut servers = tokio::task::JoinSet::new();
        servers.spawn(serve(listener, shown, signer));
        let dialled = https.dial().await;
        let mut stream = dialled?;
        let mut protocol = String::new();
        stream.read_to_string(&mut protocol).await?;
        assert_eq!(protocol, "http/1.1");
        Ok(stream)
    }

    fn pair() -> (ClientCertificate, ClientCertificate) {
        let folder = tempfile::tempdir().unwrap();
        let open = || crate::store::keys::Keys::open(folder.path()).unwrap().client;
        let unwrap = |c| Arc::try_unwrap(c).unwrap();
        (unwrap(open()), unwrap(open()))
    }

    #[tokio::test]
    async fn the_pinned_certificate_is_believed() {
        let (certificate, signer) = pair();
        dial(fingerprint(certificate.certificate()), certificate, signer).await.unwrap();
    }

    #[tokio::test]
    async fn another_certificate_is_refused_in_a_plain_sentence() {
        let (certificate, signer) = pair();
        let found = fingerprint(certificate.certificate());
        let pinned = Fingerprint::new([7; 32]);
        let error = dial(pinned, certificate, signer).await.err().unwrap().to_string();
        let sentence =
            format!(" shows certificate {found}, but {pinned} is pinned: refusing to talk to it");
        assert!(error.starts_with("127.0.0.1:") && error.ends_with(&sentence), "{error}");
    }

    /// Whoever saw the certificate could show it, too.
    #[tokio::test]
    async fn the_pinned_certificate_without_its_key_is_refused() {
        let (certificate, _) = pair();
        let thief = ClientCertificate::generate().unwrap();
        let pinned = fingerprint(certificate.certificate());
        let error = dial(pinned, certificate, thief).await.err().unwrap();
        assert!(error.to_string().contains("connect to 127.0.0.1:"), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_tls_is_told_with_its_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let client = ClientCertificate::generate().unwrap();
        let https = Https::new(&address, Fingerprint::new([7; 32]), &client);
        let answer = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
            socket
        };
        let (dialled, _socket) = tokio::join!(https.dial(), answer);
        let error = dialled.err().unwrap().to_string();
        assert!(error.starts_with(&format!("connect to {address}: ")), "{error}");
    }
}
