//! plink, pscp and psftp, which are what people on Windows have, or something made of them.

use super::{kinds, prints, run};
use crate::harness::with_newest_clients;

/// `go [OPTIONS] USER@HOST [COMMAND]`, with alice's key; `$WITH` is what all its programs take.
const GO: &str = r#"
    puttygen $DIR/alice -o $TMP/alice.ppk -O private
    WITH="-batch -hostkey $PRINT -i $TMP/alice.ppk"
    go() { plink $WITH "$@"; }
"#;

/// A saved session: `-load often` rekeys after 256 KiB and sends a keepalive every second.
const OFTEN: &str = r"
    mkdir -p $HOME/.putty/sessions
    printf 'RekeyBytes=256K\nPingIntervalSecs=1\n' >$HOME/.putty/sessions/often
";

#[test]
fn commands_have_statuses_streams_and_a_terminal() {
    let script = format!(
        "{GO}
        go alice@$DOOR 'echo out; echo err >&2; exit 42' >$TMP/out 2>$TMP/err
        echo $?
        cat $TMP/out $TMP/err
        go -t alice@$DOOR 'tty | cut -c1-8; exit 5' </dev/null | tr -d '\\r'
        echo ${{PIPESTATUS[0]}}
        echo 'id -un; exit 6' | go -T alice@$DOOR
        echo $?
        go -s alice@$DOOR sftp </dev/null | wc -c
        go -C alice@$DOOR 'echo asked to compress'"
    );
    let said = "42\nout\nerr\n/dev/pts\n5\nalice\n6\n0\nasked to compress\n";
    prints(&script, said);
}

#[test]
fn bulk_survives_key_exchanges_that_it_starts() {
    let script = format!(
        "{GO} {OFTEN}
        go -v -load often alice@$DOOR 'cat; sleep 2' <$TMP/a 2>$TMP/log | cmp - $TMP/a && echo bytes
        echo $(($(grep -c 'Initiating key re-exchange' $TMP/log) > 5))"
    );
    prints(&script, "bytes\n1\n");
}

#[test]
fn files_are_copied_in_both_ways() {
    let script = format!(
        "{GO} {OFTEN}
        there=$(go alice@$DOOR mktemp -d)
        for mode in -sftp -scp; do
            pscp -q $mode -load often $WITH $TMP/a alice@$DOOR:$there/b
            pscp -q $mode -load often $WITH alice@$DOOR:$there/b $TMP/b
            cmp $TMP/a $TMP/b && echo same
            rm $TMP/b
        done
        printf 'cd %s\nput a c\nmv c d\nget d c\nchmod 600 d\nrm d\nrm b\nquit\n' $there >$TMP/batch
        cd $TMP
        psftp -load often -b $TMP/batch $WITH alice@$DOOR >/dev/null
        echo $?
        cmp a c && echo same
        go alice@$DOOR rmdir $there"
    );
    prints(&script, "same\nsame\n0\nsame\n");
}

#[test]
fn ports_are_forwarded_and_it_jumps() {
    let script = format!(
        "{GO}
        plink $WITH -N -L 127.0.0.1:8311:localhost:22 -D 127.0.0.1:8312 alice@$DOOR &
        banner 8311
        nc -N -X 5 -x 127.0.0.1:8312 localhost 22 </dev/null | head -c 8
        echo
        kill $!; wait $! 2>/dev/null
        go alice@$DOOR cat /etc/ssh/ssh_host_ed25519_key.pub >$TMP/inner.pub
        inner=$(ssh-keygen -lf $TMP/inner.pub | cut -d' ' -f2)
        go -hostkey $inner -proxycmd \"plink $WITH -nc %host:%port alice@$DOOR\" \
            alice@alice-container 'hostname; exit 6' 2>/dev/null
        echo $?"
    );
    prints(&script, "SSH-2.0-\nSSH-2.0-\nalice-container\n6\n");
}

#[test]
fn wrong_keys_are_refused_in_its_own_words() {
    let script = format!(
        "{GO}
        puttygen $DIR/mallory -o $TMP/mallory.ppk -O private
        plink -batch -hostkey $PRINT -i $TMP/mallory.ppk alice@$DOOR true 2>&1 | tr -d '\\r'
        echo ${{PIPESTATUS[0]}}
        plink -batch -hostkey $(ssh-keygen -lf $DIR/mallory.pub | cut -d' ' -f2) \
            -i $TMP/alice.ppk alice@$DOOR true 2>&1 | tr -d '\\r'
        echo ${{PIPESTATUS[0]}}"
    );
    prints(
        &script,
        "Server refused our key\nFATAL ERROR: No supported authentication methods available \
         (server sent: publickey)\n1\nFATAL ERROR: Host key not in manually configured list\n1\n",
    );
}

#[test]
fn keys_of_every_kind_open_the_door() {
    kinds();
    let script = format!(
        "{GO}
        for kind in rsa-3072 ecdsa-256 ecdsa-384 ecdsa-521 ed25519-256; do
            puttygen $DIR/rosa-$kind -o $TMP/rosa-$kind.ppk -O private
            plink -batch -hostkey $PRINT -i $TMP/rosa-$kind.ppk kinds@$DOOR 'id -un' 2>&1
        done"
    );
    prints(&script, &"rosa\n".repeat(5));
}

#[test]
fn the_newest_agrees_on_post_quantum_exchange() {
    let script = format!("{GO} go -v alice@$DOOR true 2>&1 | grep -o 'ML-KEM-768 / Curve25519'");
    let new = with_newest_clients(|| run(&script));
    assert_eq!(new.stdout, "ML-KEM-768 / Curve25519\n", "{new:?}");
}
