//! Certificates of hosts, and where the maintenance page serves them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{lab, world};

/// A fresh directory of one test, readable for the backends' account.
pub fn fresh(name: &str) -> PathBuf {
    let dir = world().dir.join(name);
    fs::create_dir(&dir).unwrap();
    dir
}

/// `[maintenance]` on these ports of the sentinel, with certificates behind it.
pub fn section(http: u16, https: u16, certificates: &str) -> String {
    let address = lab().get("LAB_SENTINEL_ADDRESS");
    format!(
        "[maintenance]\nhttp = \"{address}:{http}\"\nhttps = \"{address}:{https}\"\n{certificates}"
    )
}

/// `[[maintenance.certificate]]` with the files `NAME.crt` and `NAME.key` of a directory.
pub fn files(dir: &Path, name: &str, place: &str) -> String {
    let base = dir.join(name).display().to_string();
    format!(
        "[[maintenance.certificate]]\ncertificate = \"{base}.crt\"\nkey = \"{base}.key\"\n{place}"
    )
}

/// Makes a certificate for hosts that lasts some days, as `NAME.crt` and `NAME.key`.
pub fn certify(dir: &Path, name: &str, hosts: &[&str], days: u32) {
    let names: Vec<_> = hosts.iter().map(|host| format!("DNS:{host}")).collect();
    let base = dir.join(name).display().to_string();
    let out = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-subj", "/CN=test", "-days", &days.to_string()])
        .args(["-addext", &format!("subjectAltName={}", names.join(","))])
        .args(["-keyout", &format!("{base}.key"), "-out", &format!("{base}.crt")])
        .output()
        .expect("openssl");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// The fingerprint of a certificate file.
pub fn fingerprint(dir: &Path, name: &str) -> String {
    let out = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(dir.join(format!("{name}.crt")))
        .output()
        .expect("openssl");
    String::from_utf8(out.stdout).unwrap()
}

/// What the page shows on that port to a client with these options of `s_client`: subject or
/// fingerprint.
pub fn shown(port: u16, options: &str, what: &str) -> String {
    let run = world().client(&format!(
        "openssl s_client -connect $DOOR:{port} {options} </dev/null 2>/dev/null | \
         openssl x509 -noout -{what} -sha256"
    ));
    run.stdout
}
