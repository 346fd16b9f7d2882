//! Logging in to an sshd, with a pinned host key.

use super::{
    connection::{Connection, ConnectionError},
    socket::Socket,
};
use crate::{
    model::key::PublicKey,
    wire::{
        error::Error as WireError,
        negotiate::Offer,
        signature,
        transport::{Params, RekeyLimits, Role},
        userauth::{ClientAuth, Credential, Progress},
    },
};

/// How this program calls itself where it speaks for itself.
pub const IDENT: &str = concat!("SSH-2.0-Containarium_", env!("CARGO_PKG_VERSION"));

/// Why a login failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The sshd proved another host key than the pinned ones.
    #[error("host key is not the pinned one")]
    HostKey(PublicKey),
    /// The sshd did not let us in.
    #[error("login refused")]
    Refused,
    /// The connection ended.
    #[error(transparent)]
    Connection(ConnectionError),
}

impl From<ConnectionError> for LoginError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Wire(WireError::HostKey(key)) => Self::HostKey(*key),
            ConnectionError::Wire(_) | ConnectionError::Io(_) | ConnectionError::Closed => {
                Self::Connection(error)
            }
        }
    }
}

impl From<WireError> for LoginError {
    fn from(error: WireError) -> Self {
        ConnectionError::from(error).into()
    }
}

/// Who logs in where.
#[derive(Debug, Clone)]
pub struct Login<'a> {
    /// Identification line to show.
    pub ident: &'a str,
    /// Host keys of which the sshd must prove one.
    pub pinned: &'a [PublicKey],
    /// Account.
    pub user: &'a str,
    /// Proof.
    pub credential: Credential,
}

/// Logs in over `socket`. The caller bounds the time.
///
/// # Errors
/// See [`LoginError`].
pub async fn log_in(socket: Socket, login: Login<'_>) -> Result<Connection, LoginError> {
    let connection = meet(socket, login.ident, login.pinned).await?;
    authenticate(connection, login.user, login.credential).await
}

/// Exchanges keys over `socket` with an sshd that must prove one of the `pinned` keys; nobody has
/// logged in afterwards. The caller bounds the time.
///
/// # Errors
/// See [`LoginError`].
pub async fn meet(
    socket: Socket,
    ident: &str,
    pinned: &[PublicKey],
) -> Result<Connection, LoginError> {
    let params = Params {
        ident: ident.to_owned(),
        offer: Offer::upstream(host_key_algorithms(pinned)),
        rekey: RekeyLimits::default(),
        role: Role::Client(pinned.to_vec()),
    };
    let mut connection = Connection::new(socket, params)?;
    connection.establish().await?;
    Ok(connection)
}

/// Logs in as `user` after [`meet`]. The caller bounds the time.
///
/// # Errors
/// See [`LoginError`].
pub async fn authenticate(
    mut connection: Connection,
    user: &str,
    credential: Credential,
) -> Result<Connection, LoginError> {
    let mut auth = ClientAuth::start(&mut connection.transport, user, credential)?;
    loop {
        connection.next_packet().await?;
        match auth.on_packet(&mut connection.transport)? {
            Progress::Waiting => {}
            Progress::Refused => return Err(LoginError::Refused),
            Progress::Success => {
                connection.transport.set_authenticated();
                return Ok(connection);
            }
        }
    }
}

/// Algorithms by which one of the pinned keys can be proved.
fn host_key_algorithms(pinned: &[PublicKey]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for name in pinned.iter().flat_map(signature::algorithms_for) {
        if !names.contains(name) {
            names.push(*name);
        }
    }
    names
}
