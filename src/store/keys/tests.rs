//! Keys in a directory that is empty, complete, broken or readable by others.

use std::fs::Permissions;

use tempfile::TempDir;

use super::*;
use crate::model::key::PublicKey;

fn started() -> (TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("state/keys");
    Keys::open(&directory).unwrap();
    (parent, directory)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn fixture(name: &str, to: &Path) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keys").join(name);
    fs::write(to, fs::read(from).unwrap()).unwrap();
    fs::set_permissions(to, Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn the_first_start_makes_keys_and_later_ones_find_them() {
    let (_parent, directory) = started();
    assert_eq!(mode(&directory), 0o700);
    let first = Keys::open(&directory).unwrap();
    let second = Keys::open(&directory).unwrap();
    assert_eq!(first.host[0].public_key(), second.host[0].public_key());
    assert_eq!(first.ca.public_key(), second.ca.public_key());
    assert_eq!(first.link.public_key(), second.link.public_key());
    assert_ne!(first.ca.public_key(), first.host[0].public_key());
    for name in [HOST_KEY, CA_KEY, LINK_KEY] {
        assert_eq!(mode(&directory.join(name)), 0o600, "{name}");
        let public = fs::read_to_string(directory.join(format!("{name}.pub"))).unwrap();
        PublicKey::from_line(&public).unwrap();
    }
    let shown = format!("{first:?}");
    assert!(!shown.contains("PRIVATE") && shown.contains("SHA256:"), "{shown}");
}

/// I-49.
#[test]
fn a_lost_key_is_an_error_and_stays_lost() {
    for name in [HOST_KEY, CA_KEY, LINK_KEY] {
        let (_parent, directory) = started();
        let path = directory.join(name);
        fs::remove_file(&path).unwrap();
        let error = Keys::open(&directory).unwrap_err();
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
        assert!(matches!(error, KeyStoreError::Missing { .. }), "{name}");
        assert!(!path.exists());
    }
    let (_parent, directory) = started();
    fs::remove_file(directory.join(MARKER)).unwrap();
    fs::remove_file(directory.join(HOST_KEY)).unwrap();
    assert!(matches!(Keys::open(&directory), Err(KeyStoreError::Missing { .. })));
}

#[test]
fn an_interrupted_first_start_is_finished_with_the_keys_it_made() {
    let (_parent, directory) = started();
    let before = Keys::open(&directory).unwrap();
    for name in [MARKER, CA_KEY, LINK_KEY] {
        fs::remove_file(directory.join(name)).unwrap();
    }
    let after = Keys::open(&directory).unwrap();
    assert_eq!(before.host[0].public_key(), after.host[0].public_key());
    let public = fs::read_to_string(directory.join("ca.pub")).unwrap();
    assert_eq!(&PublicKey::from_line(&public).unwrap(), after.ca.public_key());
}

#[test]
fn a_key_that_others_can_read_or_a_directory_they_can_write_is_refused() {
    let (_parent, directory) = started();
    for bits in [0o640, 0o604, 0o620] {
        fs::set_permissions(directory.join(CA_KEY), Permissions::from_mode(bits)).unwrap();
        let error = Keys::open(&directory).unwrap_err().to_string();
        assert!(error.contains("chmod 600") && error.contains(&format!("{bits:04o}")), "{error}");
    }
    fs::set_permissions(directory.join(CA_KEY), Permissions::from_mode(0o400)).unwrap();
    assert!(Keys::open(&directory).is_ok());
    fs::set_permissions(&directory, Permissions::from_mode(0o770)).unwrap();
    assert!(matches!(Keys::open(&directory), Err(KeyStoreError::DirectoryMode { .. })));
}

#[test]
fn a_broken_key_is_named() {
    for name in [HOST_KEY, CA_KEY, LINK_KEY] {
        let (_parent, directory) = started();
        let path = directory.join(name);
        let good = fs::read(&path).unwrap();
        let expected = path.to_string_lossy().into_owned();
        for bad in [&b""[..], b"nonsense", &good[..good.len() / 2]] {
            fs::write(&path, bad).unwrap();
            let error = Keys::open(&directory).unwrap_err().to_string();
            assert!(error.contains(&expected), "{error}");
            assert_eq!(fs::read(&path).unwrap(), bad, "left as it was");
        }
    }
}

#[test]
fn other_host_keys_are_used_where_they_exist() {
    let (_parent, directory) = started();
    fixture("rsa", &directory.join("ssh_host_rsa_key"));
    fixture("p256", &directory.join("ssh_host_ecdsa_key"));
    let keys = Keys::open(&directory).unwrap();
    let types: Vec<_> = keys.host.iter().map(|k| k.public_key().algorithm()).collect();
    assert_eq!(types, ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"]);
    fixture("ed25519", &directory.join("ssh_host_rsa_key"));
    assert!(matches!(Keys::open(&directory), Err(KeyStoreError::Type { .. })));
}

#[test]
fn identity_files_are_checked_the_same_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    assert!(matches!(load_identity(&path), Err(KeyStoreError::Missing { .. })));
    fixture("p384", &path);
    assert_eq!(load_identity(&path).unwrap().algorithms(), ["ecdsa-sha2-nistp384"]);
    fixture("encrypted", &path);
    let error = load_identity(&path).unwrap_err().to_string();
    assert!(error.ends_with("private key is encrypted"), "{error}");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(load_private_key(&path), Err(KeyStoreError::Mode { .. })));
}
