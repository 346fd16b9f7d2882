//! What people have installed: each client reaches its container as OpenSSH does, old and new.
//!
//! `tests/lab/install` has Debian's clients, `tests/lab/clients` puts newer ones into
//! `target/clients`. Each test has ports of its own, because all share one client host.

mod agent;
mod audit;
mod curl;
mod dropbear;
mod editor;
mod openssh;
mod putty;
mod python;

use std::{fs, process::Command, sync::OnceLock};

use crate::harness::{Run, with_newest_clients, world};

/// Kinds of keys that people have, as `ssh-keygen -t` names them, and their bits.
const KINDS: [(&str, &str); 5] =
    [("rsa", "3072"), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521"), ("ed25519", "256")];

/// `$HOME` is empty but for the door's key in `.ssh/known_hosts`; `$KNOWN` is that file,
/// `$KEY` and `$PRINT` are the key and its fingerprint. `$SIZE` bytes are in `$TMP/a`.
/// `banner PORT`: how what listens there, or will in a moment, begins. `until_told FILE PATTERN`.
const TOOLS: &str = r#"
    export HOME=$TMP KNOWN=$TMP/.ssh/known_hosts SIZE=3000000
    mkdir $HOME/.ssh
    KEY=$(cut -d' ' -f1,2 $DIR/keys/ssh_host_ed25519_key.pub)
    PRINT=$(ssh-keygen -lf $DIR/keys/ssh_host_ed25519_key.pub | cut -d' ' -f2)
    echo "$DOOR $KEY" >$KNOWN
    head -c $SIZE /dev/urandom >$TMP/a
    banner() {
        for i in {1..500}; do
            exec 9<>/dev/tcp/127.0.0.1/$1 && break
            sleep 0.02
        done 2>/dev/null
        head -c 8 <&9
        exec 9<&-
        echo
    }
    until_told() { for i in {1..1000}; do grep -qs "$2" $1 && break; sleep 0.02; done; }
"#;

fn run(script: &str) -> Run {
    world().client(&format!("{TOOLS}\n{script}"))
}

/// Asserts that a script prints this.
#[track_caller]
fn prints_once(script: &str, stdout: &str) {
    let run = run(script);
    assert_eq!((run.stdout.as_str(), run.status), (stdout, 0), "{run:?}");
}

/// Asserts that a script prints this with Debian's clients and with the newest.
#[track_caller]
fn prints(script: &str, stdout: &str) {
    prints_once(script, stdout);
    let new = with_newest_clients(|| run(script));
    assert_eq!((new.stdout.as_str(), new.status), (stdout, 0), "the newest: {new:?}");
}

/// Container `kinds` of rosa, who has a key `$DIR/rosa-KIND-BITS` of each kind.
fn kinds() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = &world().dir;
        let lines = KINDS.map(|(kind, bits)| {
            let file = dir.join(format!("rosa-{kind}-{bits}"));
            let mut make = Command::new("ssh-keygen");
            make.args(["-q", "-t", kind, "-b", bits, "-N", "", "-C", "rosa", "-f"]).arg(&file);
            assert!(make.status().expect("ssh-keygen").success());
            fs::read_to_string(file.with_extension("pub")).unwrap()
        });
        fs::write(dir.join("rosa.pub"), lines.concat()).unwrap();
        world().container("b1", "kinds", "rosa", &[]);
        world().sentinel.wait_until_listed(&["kinds"]);
    });
}
