//! curl, for libssh2: what PHP, libgit2 and many programs without an ssh use.

use super::{kinds, prints, run};
use crate::harness::with_newest_clients;

/// `go [OPTIONS] URL`, with alice's key.
const GO: &str = r#"
    go() { curl -sS --key $DIR/alice --pubkey $DIR/alice.pub -u alice: --hostpubsha256 "${PRINT#*:}" "$@"; }
"#;

#[test]
fn files_are_copied_by_sftp_and_scp() {
    let script = format!(
        "{GO}
        for scheme in sftp scp; do
            go -T $TMP/a $scheme://$DOOR/tmp/curl-$scheme
            echo $?
            go -o $TMP/b $scheme://$DOOR/tmp/curl-$scheme
            cmp $TMP/a $TMP/b && echo same
        done
        go sftp://$DOOR/tmp/ | grep -o 'curl-.*' | sort
        go -Q '-rm /tmp/curl-sftp' -Q '-rm /tmp/curl-scp' sftp://$DOOR/tmp/ >/dev/null
        echo $?"
    );
    prints(&script, "0\nsame\n0\nsame\ncurl-scp\ncurl-sftp\n0\n");
}

#[test]
fn wrong_keys_are_refused_in_its_own_words() {
    let script = format!(
        "{GO}
        go --key $DIR/mallory --pubkey $DIR/mallory.pub sftp://$DOOR/ 2>&1
        echo $?
        go --hostpubsha256 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA sftp://$DOOR/ 2>&1 |
            grep -o 'Denied establishing ssh session: mismatch'
        echo ${{PIPESTATUS[0]}}"
    );
    let words =
        "curl: (67) Authentication failure\n67\nDenied establishing ssh session: mismatch\n60\n";
    prints(&script, words);
}

#[test]
fn keys_of_every_kind_open_the_door() {
    kinds();
    let script = format!(
        "{GO}
        for kind in rsa-3072 ecdsa-256 ecdsa-384 ecdsa-521 ed25519-256; do
            go --key $DIR/rosa-$kind --pubkey $DIR/rosa-$kind.pub -u kinds: \
                sftp://$DOOR/etc/hostname 2>/dev/null || echo $kind refused
        done"
    );
    // libssh2 before 1.11 signs with RSA and SHA-1 alone.
    let old = run(&script);
    let host = "kinds-container\n";
    assert_eq!(old.stdout, format!("rsa-3072 refused\n{}", host.repeat(4)), "{old:?}");
    let new = with_newest_clients(|| run(&script));
    assert_eq!(new.stdout, host.repeat(5), "{new:?}");
}
