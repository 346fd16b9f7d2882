//! Clients against the door, before anybody is let in.

mod certificate;
mod flood;
mod ident;
mod identity;
mod key;
mod log;
mod order;
mod packet;
mod timing;
mod value;
