//! Certificates of the maintenance page: read again and again from where the web servers have them,
//! checked, kept for when their backend is away, and chosen by the name that a client asks for. A
//! source that fails never takes a good certificate away.

mod driver;
mod expiry;
mod keystore;
mod pem;
mod read;

pub use self::{
    driver::{Certificates, Tell},
    expiry::Expiry,
    keystore::{Keystore, View},
    pem::{BadCertificate, Certificate, Pem},
};
