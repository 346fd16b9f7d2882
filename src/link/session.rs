//! One SSH client connection of [`super::control`]: handshake, pinned host key, login, streams.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
    time::Duration,
};

use russh::{
    Channel, Preferred, cipher,
    client::{self, ChannelOpenHandle, Handle},
    kex,
    keys::PrivateKeyWithHashAlg,
};
use ssh_key::{Algorithm, HashAlg, PrivateKey};
use tokio::{sync::oneshot, time::sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Stream,
    channel::{ChannelStream, Partings},
    control::{CONNECT_TIMEOUT, Identity, LinkError, Peer, Target},
    leash::Leash,
};
use crate::model::{key::PublicKey, text::printable};

/// With three unanswered, a silent death is noticed within a minute.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How long a stream may still open on the connection to a host that was found dead.
const LAST_WORD: Duration = Duration::from_secs(5);
/// Largest private key file read, in bytes.
const MAX_IDENTITY: u64 = 64 * 1024;

/// A connection that is logged in.
pub(super) struct Session {
    pub(super) handle: Handle<Pinned>,
    /// Ends the connection when the last user of it is gone: `russh` gives no other way to end a
    /// handshake that hangs.
    socket: Arc<DropGuard>,
    /// Ends the connection now.
    stop: CancellationToken,
    pub(super) partings: Partings,
    /// Cancelled when its host is gone: then nobody waits for a stream.
    pub(super) given_up: CancellationToken,
}

impl Session {
    /// Connects and logs in. The caller bounds the time.
    pub(super) async fn connect(peer: &Peer) -> Result<Self, LinkError> {
        let failed = |reason: String| LinkError::Connect {
            address: peer.address.to_string(),
            reason: printable(&reason, 200),
        };
        let key = private_key(&peer.identity).await?;
        let Peer { backend, address, tunnels, .. } = peer;
        let connecting = tunnels.connect(backend, address, CONNECT_TIMEOUT).await;
        let stream = connecting.map_err(|e| failed(e.to_string()))?;
        let stop = CancellationToken::new();
        let (stream, socket) = (Leash::new(stream, stop.clone()), stop.clone().drop_guard());
        let proved = Arc::new(OnceLock::new());
        let pinned = Pinned { keys: vec![peer.host_key.clone()], proved: Arc::clone(&proved) };
        let config = Arc::new(client_config(std::slice::from_ref(&peer.host_key)));
        let mut handle = client::connect_stream(config, stream, pinned).await.map_err(|e| {
            proved.get().filter(|found| **found != peer.host_key.fingerprint()).map_or_else(
                || failed(e.to_string()),
                |found| LinkError::HostKey {
                    address: peer.address.to_string(),
                    found: found.clone(),
                    pinned: peer.host_key.fingerprint(),
                },
            )
        })?;
        // OpenSSH has accepted rsa-sha2-512 since 7.2; other key types ignore the hash.
        let key = PrivateKeyWithHashAlg::new(key, Some(HashAlg::Sha512));
        let answer = handle.authenticate_publickey(&peer.user, key).await;
        if !answer.map_err(|e| failed(e.to_string()))?.success() {
            let (address, user) = (peer.address.to_string(), peer.user.clone());
            return Err(LinkError::Refused { address, user });
        }
        let (partings, given_up) = Default::default();
        Ok(Self { handle, socket: Arc::new(socket), stop, partings, given_up })
    }

    /// Channels that `russh` keeps until the connection ends.
    pub(super) fn kept(&self) -> usize {
        self.partings.kept()
    }

    /// Opens a stream. The caller bounds the time, and may stop waiting: what opens after that is
    /// closed again. Left open and silent, it would be the last that an Incus hears, which reads
    /// the first bytes of a connection to its socket before it accepts another (6.0.4 and 7.3).
    pub(super) async fn open(self: &Arc<Self>, target: Target) -> Result<Stream, russh::Error> {
        let (hand_over, opened) = oneshot::channel();
        let session = Arc::clone(self);
        self.partings.own(async move {
            let stream = tokio::select! {
                stream = session.open_to_end(&target) => stream,
                () = session.closed_as_dead() => Err(russh::Error::Disconnect),
            };
            // A stream that nobody takes ends here.
            drop(hand_over.send(stream));
        });
        let opened = self.given_up.run_until_cancelled(opened).await;
        opened.and_then(Result::ok).unwrap_or(Err(russh::Error::Disconnect))
    }

    /// Closes the connection when it stays silent after its host was found dead: its keepalive
    /// would take a minute for that.
    async fn closed_as_dead(&self) {
        self.given_up.cancelled().await;
        sleep(LAST_WORD).await;
        self.stop.cancel();
    }

    /// Waits for the peer's answer, or for the end of the connection, which its keepalive notices.
    async fn open_to_end(&self, target: &Target) -> Result<Stream, russh::Error> {
        let channel = match target {
            Target::Unix(path) => {
                self.handle.channel_open_direct_streamlocal(path.as_str()).await?
            }
            Target::Tcp(host, port) => {
                let (host, port) = (host.as_str(), u32::from(*port));
                self.handle.channel_open_direct_tcpip(host, port, "127.0.0.1", 0).await?
            }
        };
        let (partings, socket) = (self.partings.clone(), Arc::clone(&self.socket));
        Ok(Box::new(ChannelStream::new(channel, partings, socket)))
    }
}

/// Accepts the pinned host keys and nothing else.
pub struct Pinned {
    keys: Vec<PublicKey>,
    proved: Arc<OnceLock<String>>,
}

impl Pinned {
    /// Accepts a server that proves one of `keys`.
    #[must_use]
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self { keys, proved: Arc::default() }
    }
}

impl client::Handler for Pinned {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        proved: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        let russh::keys::PublicKeyOrCertificate::PublicKey { key, .. } = proved else {
            return Ok(false);
        };
        let blob = key.to_bytes()?;
        self.proved.get_or_init(|| key.fingerprint(HashAlg::Sha256).to_string());
        Ok(self.keys.iter().any(|key| blob == key.blob()))
    }

    // A backend has nothing to open here. Left alone, `russh` accepts most of these, and keeps
    // about 1 KiB of each; a reply that is dropped refuses.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _channel: Channel<client::Msg>,
        _host: &str,
        _port: u32,
        _originator: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _channel: Channel<client::Msg>,
        _path: &str,
        _reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _channel: Channel<client::Msg>,
        _reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _channel: Channel<client::Msg>,
        _reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _channel: Channel<client::Msg>,
        _host: &str,
        _port: u32,
        _originator: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<client::Msg>,
        _path: &str,
        _reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _channel: Channel<client::Msg>,
        _originator: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }
}

/// How we speak to an sshd that must prove one of these keys.
#[must_use]
pub fn client_config(host_keys: &[PublicKey]) -> client::Config {
    client::Config {
        preferred: Preferred {
            kex: Cow::Borrowed(&[
                kex::MLKEM768X25519_SHA256,
                kex::CURVE25519,
                kex::CURVE25519_PRE_RFC_8731,
                kex::EXTENSION_SUPPORT_AS_CLIENT,
                kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
            ]),
            // A server with several keys proves the first that is asked for.
            key: Cow::Owned(host_keys.iter().flat_map(host_key_algorithms).collect()),
            cipher: Cow::Borrowed(&[
                cipher::AES_128_GCM,
                cipher::AES_256_GCM,
                cipher::CHACHA20_POLY1305,
            ]),
            ..Preferred::DEFAULT
        },
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: 3,
        nodelay: true,
        ..client::Config::default()
    }
}

fn host_key_algorithms(key: &PublicKey) -> Vec<Algorithm> {
    match key.algorithm() {
        "ssh-rsa" => [HashAlg::Sha512, HashAlg::Sha256]
            .map(|hash| Algorithm::Rsa { hash: Some(hash) })
            .to_vec(),
        name => Algorithm::new(name).into_iter().collect(),
    }
}

async fn private_key(identity: &Identity) -> Result<Arc<PrivateKey>, LinkError> {
    let path = match identity {
        Identity::Key(key) => return Ok(Arc::clone(key)),
        Identity::File(path) => path,
    };
    let failed = |reason: String| LinkError::Identity { path: path.clone(), reason };
    let size = tokio::fs::metadata(path).await.map_err(|e| failed(e.to_string()))?.len();
    if size > MAX_IDENTITY {
        return Err(failed("too large for a private key".to_owned()));
    }
    let text = tokio::fs::read(path).await.map_err(|e| failed(e.to_string()))?;
    let text = zeroize::Zeroizing::new(text);
    let key = PrivateKey::from_openssh(text.as_slice()).map_err(|e| failed(e.to_string()))?;
    if key.is_encrypted() {
        return Err(failed("it is protected by a passphrase".to_owned()));
    }
    Ok(Arc::new(key))
}
