//! The SSH transport and user authentication as state machines without IO, in both roles
//! (RFC 4251 to 4254, 8308, 8332, 8709, and OpenSSH's PROTOCOL files). Bytes and the time go in,
//! packets and bytes come out; `door` and `link` own the sockets.

pub mod buffer;
pub mod certificate;
pub mod cipher;
pub mod codec;
pub mod error;
pub mod identity;
pub mod kex;
pub mod message;
pub mod negotiate;
pub mod packet;
pub mod signature;
pub mod transport;
pub mod userauth;
