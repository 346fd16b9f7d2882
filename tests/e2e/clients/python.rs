//! Python's clients: what Ansible, Fabric and much of the cloud's tooling is made of.

use super::{kinds, prints_once};

/// Runs a script of this folder with a package that `tests/lab/clients` has.
fn python(package: &str, script: &str) -> String {
    kinds();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/clients");
    format!(
        "echo \"$DOOR $(cut -d' ' -f1,2 $DIR/mallory.pub)\" >$TMP/wrong
        PYTHONPATH=$CLIENTS/python/{package} python3 {folder}/{script}"
    )
}

/// What `with_paramiko.py` prints; paramiko before 2.9 signs with RSA and SHA-1 alone.
fn paramiko(rsa: &str) -> String {
    format!(
        "command 42 b'in\\n' b'err\\n'\nshell 5 True\nsftp True True\nasked True True\n\
         forward b'SSH-2.0-'\nback b'client\\n'\njump 0 b'alice-container\\n' b''\n\
         rsa-3072 {rsa}\necdsa-256 b'rosa\\n'\necdsa-384 b'rosa\\n'\necdsa-521 b'rosa\\n'\n\
         ed25519-256 b'rosa\\n'\nperson AuthenticationException\ndoor BadHostKeyException\n"
    )
}

#[test]
fn paramiko_of_2020_works_and_its_sha1_signatures_are_refused() {
    let script = python("paramiko-2.7", "with_paramiko.py");
    prints_once(&script, &paramiko("refused"));
}

#[test]
fn paramiko_of_2022_works() {
    prints_once(&python("paramiko-2.12", "with_paramiko.py"), &paramiko("b'rosa\\n'"));
}

#[test]
fn the_newest_paramiko_works() {
    prints_once(&python("paramiko-5.1", "with_paramiko.py"), &paramiko("b'rosa\\n'"));
}

#[test]
fn asyncssh_works() {
    let expected = "command 42 'in\\n' 'err\\n'\nterminal 5 '40 100\\r\\n'\nsignal KILL\n\
        files [True, True]\nforward b'SSH-2.0-'\njump 'alice-container\\n'\n\
        rsa-3072 'rosa\\n'\necdsa-256 'rosa\\n'\necdsa-384 'rosa\\n'\necdsa-521 'rosa\\n'\n\
        ed25519-256 'rosa\\n'\nperson PermissionDenied\ndoor HostKeyNotVerifiable\n";
    prints_once(&python("asyncssh", "with_asyncssh.py"), expected);
}

#[test]
fn libssh_works() {
    let expected = "command 42 b'out\\n' b'err\\n'\nsftp True\nscp True\nrsa-3072 b'rosa\\n'\n\
        ecdsa-256 b'rosa\\n'\necdsa-384 b'rosa\\n'\necdsa-521 b'rosa\\n'\n\
        ed25519-256 b'rosa\\n'\nperson Failed to authenticate a specific public key\n\
        door Host key for server has changed\n";
    prints_once(&python("libssh", "with_libssh.py"), expected);
}
