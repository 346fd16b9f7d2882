//! Replays the fuzzers' corpora (`fuzz/corpus`, see `docs/fuzzing.md`) on the stable toolchain:
//! what they found once stays found. One test for each target, which its name says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[allow(unreachable_pub, reason = "also a library, of the fuzzers")]
#[path = "../fuzz/checks/mod.rs"]
mod checks;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

/// One test for each target, and their names.
macro_rules! targets {
    ($($target:ident),* $(,)?) => {
        $(
            #[test]
            fn $target() {
                replay(stringify!($target), checks::$target::check);
            }
        )*

        const TARGETS: &[&str] = &[$(stringify!($target)),*];
    };
}

targets! {
    authorized_keys,
    certificate,
    client,
    exchange,
    files,
    intercept,
    login_name,
    negotiate,
    packet,
    preauth,
    public_key,
    signature,
    userauth,
}

#[test]
fn every_target_is_replayed_and_every_corpus_has_a_target() {
    let stems = |directory: &str| -> Vec<String> {
        let mut stems: Vec<_> = entries(&fuzz().join(directory))
            .iter()
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        stems.sort();
        stems
    };
    assert_eq!(stems("targets"), TARGETS);
    assert_eq!(stems("corpus"), TARGETS);
}

/// Runs `check` on every input of a target's corpus; names those that fail.
fn replay(target: &str, check: fn(&[u8])) {
    let inputs = entries(&fuzz().join("corpus").join(target));
    assert!(!inputs.is_empty(), "the corpus of {target} is empty");
    let failed: Vec<_> = inputs
        .iter()
        .filter(|path| {
            let input = fs::read(path).unwrap();
            catch_unwind(AssertUnwindSafe(|| check(&input))).is_err()
        })
        .collect();
    assert!(failed.is_empty(), "{target} fails on {failed:?}");
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// What is in `directory`; nothing if it is missing.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(directory).into_iter().flatten();
    found.map(|entry| entry.unwrap().path()).collect()
}
