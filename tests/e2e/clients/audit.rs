//! What `ssh-audit` says of the door, and which algorithms it sees.

use std::{collections::BTreeSet, fs};

use super::run;

/// The only warnings, with the reason why the algorithm stays nevertheless.
const KEPT: [(&str, &str, &str); 3] = [
    (
        "curve25519-sha256",
        "does not provide protection against post-quantum attacks",
        "OpenSSH before 9.9, PuTTY before 0.83, dropbear before 2025, libssh2, paramiko and \
         most libraries have nothing newer; those that have mlkem768x25519-sha256 put it first",
    ),
    (
        "curve25519-sha256@libssh.org",
        "does not provide protection against post-quantum attacks",
        "the only name by which paramiko knows it, the newest too, and libraries of before 2017",
    ),
    (
        "hmac-sha2-256",
        "using encrypt-and-MAC mode",
        "what paramiko asks for first, and the best that dropbear and libssh2 before 1.11 have \
         for AES-CTR",
    ),
];

#[test]
fn ssh_audit_sees_these_algorithms_and_warns_of_nothing_else() {
    // Its rate test would open thousands of connections; limits have tests of their own.
    let run = run("PYTHONPATH=$CLIENTS/python/ssh-audit \
         python3 $CLIENTS/python/ssh-audit/bin/ssh-audit --skip-rate-test -j $DOOR");
    let report: serde_json::Value =
        serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"));
    let (mut seen, mut warned) = (String::new(), BTreeSet::new());
    for kind in ["kex", "key", "enc", "mac"] {
        for entry in report[kind].as_array().unwrap() {
            let name = entry["algorithm"].as_str().unwrap();
            seen += &format!("{kind} {name}\n");
            let notes = &entry["notes"];
            assert!(notes["fail"].is_null(), "{name}: {notes}");
            for warning in notes["warn"].as_array().into_iter().flatten() {
                warned.insert((name, warning.as_str().unwrap()));
            }
        }
    }
    for method in report["compression"].as_array().unwrap() {
        seen += &format!("compression {}\n", method.as_str().unwrap());
    }
    let kept = KEPT.map(|(name, warning, _)| (name, warning));
    assert_eq!(warned, BTreeSet::from(kept));
    assert_eq!(report["cves"].as_array().map_or(0, Vec::len), 0, "{}", report["cves"]);

    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/clients/algorithms.txt");
    assert_eq!(seen, fs::read_to_string(golden).unwrap(), "{golden} is what people rely on");
}
