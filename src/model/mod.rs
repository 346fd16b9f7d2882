//! The words of the domain. Pure data: built by `config` and `fleet`, read by everybody.

pub mod authorized_keys;
pub mod check;
pub mod container;
pub mod cpu;
pub mod fingerprint;
pub mod firewall;
pub mod image;
pub mod inventory;
pub mod key;
pub mod label;
pub mod name;
pub mod principal;
pub mod size;
pub mod source;
pub mod stack;
pub mod text;
pub mod url;
