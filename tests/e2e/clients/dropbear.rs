//! dropbear's dbclient, which routers and other small systems have.

use super::{kinds, prints};

/// `go [OPTIONS] USER@HOST [COMMAND]`, with alice's key, which `$ID` is.
///
/// What it runs ends by itself: dbclient now and then forgets to pass the end of its input on, also
/// to an sshd without anything between (3 of 280 transfers).
const GO: &str = r#"
    ID=$TMP/alice.db
    dropbearconvert openssh dropbear $DIR/alice $ID 2>/dev/null
    go() { $(command -v dbclient) -i $ID "$@"; }
"#;

#[test]
fn commands_have_statuses_streams_and_a_terminal() {
    let script = format!(
        "{GO}
        go alice@$DOOR 'echo out; echo err >&2; exit 42' >$TMP/out 2>$TMP/err
        echo $?
        cat $TMP/out $TMP/err
        go alice@$DOOR head -c $SIZE <$TMP/a >$TMP/b; cmp $TMP/a $TMP/b && echo bytes
        script -qec \"dbclient -i $ID -t alice@$DOOR 'tty | cut -c1-8; exit 5'\" /dev/null </dev/null |
            grep -o '/dev/pts'
        echo ${{PIPESTATUS[0]}}
        echo 'id -un; exit 6' | go -T alice@$DOOR
        echo $?"
    );
    prints(&script, "42\nout\nerr\nbytes\n/dev/pts\n5\nalice\n6\n");
}

#[test]
fn every_cipher_and_mac_that_both_have_carries_bytes() {
    let script = format!(
        "{GO}
        for cipher in chacha20-poly1305@openssh.com aes128-ctr aes256-ctr; do
            go -c $cipher -m hmac-sha2-256 alice@$DOOR head -c $SIZE <$TMP/a >$TMP/b
            cmp $TMP/a $TMP/b && echo bytes
        done"
    );
    prints(&script, "bytes\nbytes\nbytes\n");
}

#[test]
fn it_carries_scp_and_rsync() {
    let script = format!(
        "{GO}
        printf '#!/bin/sh\nexec dbclient -i %s \"$@\" 2>/dev/null\n' $ID >$TMP/go
        chmod 755 $TMP/go
        there=$(go alice@$DOOR mktemp -d)
        scp -qOS $TMP/go $TMP/a alice@$DOOR:$there/b
        scp -qS $TMP/go alice@$DOOR:$there/b $TMP/b
        cmp $TMP/a $TMP/b && echo same
        rsync -ce $TMP/go $TMP/a alice@$DOOR:$there/c
        rsync -ce $TMP/go alice@$DOOR:$there/c $TMP/c
        cmp $TMP/a $TMP/c && echo same
        go alice@$DOOR rm -r $there"
    );
    prints(&script, "same\nsame\n");
}

#[test]
fn ports_are_forwarded_and_it_jumps() {
    let script = format!(
        "{GO}
        dbclient -i $ID -N -L 127.0.0.1:8301:localhost:22 alice@$DOOR </dev/null &
        banner 8301
        kill $!; wait $! 2>/dev/null
        # A second host's key is asked for on a terminal only; what is shown is that it is reached.
        for inner in localhost alice alice-container; do
            go -y -y alice@$DOOR,alice@$inner 'hostname; exit 6' </dev/null 2>/dev/null
            echo $?
        done"
    );
    prints(&script, &format!("SSH-2.0-\n{}", "alice-container\n6\n".repeat(3)));
}

#[test]
fn both_ends_answer_when_asked_whether_they_live() {
    // It gives up when three keepalives, one a second, are not answered.
    let script = format!("{GO} go -K 1 alice@$DOOR 'sleep 4.5; echo lives' </dev/null; echo $?");
    prints(&script, "lives\n0\n");
}

#[test]
fn wrong_keys_are_refused_in_its_own_words() {
    let script = format!(
        "{GO}
        words() {{ tr '\\n' ' ' | grep -oE 'No auth methods could be used|host key mismatch'; }}
        dropbearconvert openssh dropbear $DIR/mallory $TMP/mallory.db 2>/dev/null
        ID=$TMP/mallory.db go alice@$DOOR true </dev/null 2>&1 | words
        echo ${{PIPESTATUS[0]}}
        echo \"$DOOR $(cut -d' ' -f1,2 $DIR/mallory.pub)\" >$KNOWN
        go alice@$DOOR true </dev/null 2>&1 | words
        echo ${{PIPESTATUS[0]}}"
    );
    prints(&script, "No auth methods could be used\n1\nhost key mismatch\n1\n");
}

#[test]
fn keys_of_every_kind_open_the_door() {
    kinds();
    let script = format!(
        "{GO}
        for kind in rsa-3072 ecdsa-256 ecdsa-384 ecdsa-521 ed25519-256; do
            dropbearconvert openssh dropbear $DIR/rosa-$kind $TMP/rosa-$kind 2>/dev/null
            ID=$TMP/rosa-$kind go kinds@$DOOR 'id -un' </dev/null 2>&1
        done"
    );
    prints(&script, &"rosa\n".repeat(5));
}
