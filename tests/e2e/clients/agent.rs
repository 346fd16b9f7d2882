//! Agents: many keys, strange keys, and keys that are for some hosts only.

use super::{prints, run};
use crate::harness::{make_key, with_newest_clients, world};

/// An agent with alice's key behind those of `$DIR/agent-*`; `go` logs in with what it has.
const AGENT: &str = r#"
    eval "$(ssh-agent)" >/dev/null
    trap 'kill $SSH_AGENT_PID' EXIT
    go() { ssh -F none -o UserKnownHostsFile=$KNOWN -o BatchMode=yes "$@"; }
"#;

#[test]
fn the_last_of_thirty_keys_logs_in_again_and_again() {
    for number in 1..30 {
        make_key(&world().dir, &format!("agent-{number}"));
    }
    // What was refused is one round trip each, and is held against nobody: neither the connection,
    // nor the next one. How long it takes is the benchmark's business.
    let script = format!(
        "{AGENT}
        ssh-add -q $DIR/agent-*[0-9] $DIR/alice
        ssh-add -l | wc -l
        for round in 1 2 3; do
            go -v -E $TMP/log alice@$DOOR hostname
            grep -c 'Offering public key' $TMP/log
            grep -c 'Server accepts key' $TMP/log
            grep -c 'Authentications that can continue' $TMP/log
            rm $TMP/log
        done"
    );
    prints(&script, &format!("30\n{}", "alice-container\n30\n1\n30\n".repeat(3)));
}

#[test]
fn keys_that_no_server_knows_are_passed_over() {
    // OpenSSH passes over most of them itself; PuTTY offers whatever the agent has, and paramiko
    // signs with it without asking. An SSH library once ended the whole connection on the first key that it could not parse.
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/clients");
    let script = format!(
        "{AGENT}
        ssh-add -q $DIR/alice
        python3 {folder}/strange_agent.py $TMP/strange &
        python3 {folder}/strange_agent.py $TMP/malformed malformed &
        until [ -S $TMP/strange ] && [ -S $TMP/malformed ]; do sleep 0.02; done
        export SSH_AUTH_SOCK=$TMP/strange
        go -v -E $TMP/log -o PubkeyAcceptedAlgorithms=+ssh-dss alice@$DOOR hostname
        grep -oE 'Offering public key: strange [^ ]+' $TMP/log
        export SSH_AUTH_SOCK=$TMP/malformed
        plink -batch -v -agent -hostkey $PRINT alice@$DOOR hostname 2>$TMP/log
        grep -c 'Trying Pageant key' $TMP/log
        PYTHONPATH=$CLIENTS/python/paramiko-2.12 python3 -W ignore -c '
import os, paramiko
client = paramiko.SSHClient()
client.load_host_keys(os.environ[\"KNOWN\"])
client.connect(os.environ[\"DOOR\"], username=\"alice\", look_for_keys=False)
print(client.exec_command(\"hostname\")[1].read().decode(), end=\"\")'"
    );
    let run = run(&script);
    let offered =
        ["ED25519-SK", "DSA", "RSA"].map(|k| format!("Offering public key: strange {k}\n"));
    let expected =
        format!("alice-container\n{}alice-container\n10\nalice-container\n", offered.concat());
    assert_eq!((run.stdout.as_str(), run.status), (expected.as_str(), 0), "{run:?}");
}

#[test]
fn a_key_of_a_kind_that_only_its_owner_knows_is_passed_over() {
    let script = format!(
        "{AGENT}
        ssh-keygen -q -t mldsa44-ed25519 -N '' -f $TMP/new
        ssh-add -q $TMP/new $DIR/alice
        go -v -E $TMP/log alice@$DOOR hostname
        grep -oE 'Offering public key: [^ ]+ (MLDSA44-)?ED25519' $TMP/log | cut -d' ' -f5
        env -u SSH_AUTH_SOCK ssh -F none -i $TMP/new -o UserKnownHostsFile=$KNOWN -o BatchMode=yes \
            alice@$DOOR 2>&1 | grep -o 'Permission denied (publickey)'"
    );
    let run = with_newest_clients(|| run(&script));
    let expected = "alice-container\nMLDSA44-ED25519\nED25519\nPermission denied (publickey)\n";
    assert_eq!((run.stdout.as_str(), run.status), (expected, 0), "{run:?}");
}

/// Adds alice's key, to be used along these ways only.
fn restricted(ways: &str) -> String {
    format!(
        "{AGENT}
        {{ cat $KNOWN; echo -n 'localhost '; go -i $DIR/alice alice@$DOOR cat /etc/ssh/ssh_host_ed25519_key.pub; }} >$TMP/ways
        ssh-add -q -H $TMP/ways {ways} $DIR/alice
        there='ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -o LogLevel=ERROR'"
    )
}

#[test]
fn a_key_that_is_restricted_to_the_door_opens_it_and_goes_no_further() {
    for way in ["-h $DOOR", "-h alice@$DOOR"] {
        let script = format!(
            "{}
            go alice@$DOOR hostname
            go -A alice@$DOOR 'ssh-add -l'
            # The containers own key file has alices key, so only the agent can refuse.
            go -A alice@$DOOR \"$there localhost hostname\" 2>&1 | grep -o 'Permission denied'",
            restricted(way)
        );
        prints(&script, "alice-container\nThe agent has no identities.\nPermission denied\n");
    }
}

#[test]
fn a_key_that_is_restricted_to_a_way_through_the_door_goes_that_way() {
    let script = format!(
        "{}
        go -A alice@$DOOR \"$there localhost hostname\"",
        restricted("-h $DOOR -h \"$DOOR>localhost\"")
    );
    prints(&script, "alice-container\n");
    // From inside the container to the door again: there the agent signs only what names the
    // door's host key (publickey-hostbound).
    let script = format!(
        "{}
        go -A alice@$DOOR \"$there alice@$DOOR hostname\"",
        restricted("-h $DOOR -h \"$DOOR>alice@$DOOR\"")
    );
    prints(&script, "alice-container\n");
}

#[test]
fn a_key_that_is_restricted_to_another_host_does_not_open_the_door() {
    let script = format!(
        "{}
        go alice@$DOOR hostname 2>&1 | grep -o 'Permission denied (publickey)'",
        restricted("-h localhost")
    );
    prints(&script, "Permission denied (publickey)\n");
}

#[test]
fn a_key_that_is_restricted_to_another_account_does_not_open_this_one() {
    let script = format!(
        "{}
        go alice@$DOOR hostname 2>&1 | grep -o 'Permission denied (publickey)'
        go bob@$DOOR hostname 2>&1 | grep -o 'Permission denied (publickey)'",
        restricted("-h bob@$DOOR")
    );
    prints(&script, "Permission denied (publickey)\nPermission denied (publickey)\n");
}
