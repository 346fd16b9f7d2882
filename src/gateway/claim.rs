//! One sentinel for each packet filter: two would undo each other's rules for ever.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
};

/// An abstract socket belongs to a network namespace, as the packet filter does, and is gone with
/// the process that holds it: no file can be left behind.
const NAME: &str = "containarium-gateway";

/// The right to keep the packet filter of this machine, until it is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    _held: UnixListener,
}

/// Why this sentinel may not keep the packet filter.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another one does.
    #[error(
        "keep the packet filter: another sentinel{} on this machine has a gateway already\n\
         hint: stop it, or remove `[gateway]` from one of the two configurations",
        .0.map_or_else(String::new, |pid| format!(" (process {pid})"))
    )]
    Taken(Option<i32>),
    /// It cannot be found out.
    #[error("claim the packet filter: {0}")]
    Io(#[from] io::Error),
}

impl Claim {
    /// Takes the right. Call it inside a runtime.
    pub(super) fn take() -> Result<Self, ClaimError> {
        let address = SocketAddr::from_abstract_name(NAME)?;
        match UnixListener::bind_addr(&address) {
            Ok(held) => Ok(Self { _held: held }),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
                Err(ClaimError::Taken(holder(&address)))
            }
            Err(e) => Err(e.into()),
        }
    }
}

/// The process that has it, as far as the kernel tells.
fn holder(address: &SocketAddr) -> Option<i32> {
    let stream = UnixStream::connect_addr(address).ok()?;
    stream.set_nonblocking(true).ok()?;
    tokio::net::UnixStream::from_std(stream).ok()?.peer_cred().ok()?.pid()
}
