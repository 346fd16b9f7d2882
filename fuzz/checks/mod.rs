//! What must hold for any input, one module for each target: `check` takes what a stranger sends,
//! and panics if the door breaks a promise. The fuzzers (`fuzz/targets`) and the replay of the
//! corpora on the stable toolchain (`tests/corpus.rs`) run the same functions.

pub mod authorized_keys;
pub mod certificate;
pub mod choices;
pub mod client;
pub mod exchange;
pub mod files;
pub mod intercept;
pub mod keys;
pub mod login_name;
pub mod negotiate;
pub mod packet;
pub mod preauth;
pub mod public_key;
pub mod request;
pub mod server;
pub mod shown;
pub mod signature;
pub mod stream;
pub mod userauth;
pub mod visitor;
pub mod world;
