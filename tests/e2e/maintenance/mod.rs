//! The page that the sentinel serves itself, and its certificates.

mod certificate;
mod hostile;
mod outage;
mod webhook;

use std::{fs, path::Path};

use crate::harness::{Run, certify, files, fingerprint, fresh, section, shown, world};

/// The same, valid from the beginning of one year to that of another.
fn certify_years(dir: &Path, name: &str, host: &str, from: i32, until: i32) {
    let mut params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    fs::write(dir.join(format!("{name}.crt")), certificate.pem()).unwrap();
    fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

/// Asks the page with curl: its status and what it says.
fn ask(options: &str) -> Run {
    world().client(&format!("curl -sk --max-time 60 -w '%{{stderr}}%{{http_code}}' {options}"))
}
