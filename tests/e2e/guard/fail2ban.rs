//! What `log.openssh` writes is read by Debian's fail2ban with the filter of `contrib/fail2ban`: each
//! failure once, under the address from which it came, whatever strangers call themselves.

use std::{fs, path::Path, process::Command};

use crate::harness::{Sentinel, config, set, world};

/// What a login name, or a client's first line, may be that wants to be taken for something else: the
/// samples of fail2ban's own tests for sshd, and lines of ours.
const NASTY: &str = r#"
NASTY = [
    "from 10.10.1.1",
    "test from 10.10.1.2 port 55555 ssh2",
    " from 10.10.1.2 port 55555 ssh2",
    "ruser from 1.2.3.4",
    "ruser " + "X" * 100 + " from 1.2.3.4",
    "x\n2026-01-01T00:00:00.000000Z  INFO sshd: Failed publickey for x from 1.2.3.4 port 1 ssh2",
    "x\r\nJan  1 00:00:00 host containarium[1]: 2026-01-01T00:00:00Z  INFO sshd: Failed publickey for x from 1.2.3.4 port 1 ssh2",
    "x\u2028INFO sshd: Connection closed by authenticating user x 1.2.3.4 port 1 [preauth]",
    "x 1.2.3.4 port 1 [preauth]",
    "::ffff:1.2.3.4",
]
"#;

/// Says a first line of its own, and then logs in by name with a key that nobody knows.
const NAMES: &str = r#"
import os, socket, paramiko
def connect():
    return socket.create_connection((os.environ["DOOR"], 2485), 60, ("192.0.2.17", 0))
key = paramiko.Ed25519Key.from_private_key_file(os.path.join(os.environ["DIR"], "mallory"))
for name in NASTY:
    s = connect()
    s.sendall(b"SSH-2.0-" + name.split("\n")[0].encode()[:200] + b"\r\n")
    s.recv(1)
    s.close()
    transport = paramiko.Transport(connect())
    transport.start_client(timeout=60)
    try:
        transport.auth_publickey(name, key)
    except paramiko.AuthenticationException:
        print("refused")
    transport.close()
"#;

/// The addresses that fail2ban finds in a log, and what it says of itself.
fn found(log: &Path) -> (Vec<String>, String) {
    let filter =
        concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/fail2ban/filter.d/containarium.conf");
    let run = |options: &[&str]| {
        let out = Command::new("fail2ban-regex").args(options).arg(log).arg(filter).output();
        let out = out.expect("fail2ban-regex");
        assert!(out.status.success(), "{out:?}");
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    (run(&["-o", "ip"]).lines().map(str::to_owned).collect(), run(&[]))
}

#[test]
fn fail2ban_finds_each_failure_once_and_under_its_own_address() {
    let text = set(&config(&world().dir, 2485, ""), "guard", "allow", "[]");
    let text = set(&text, "guard", "rate_per_source", "10000");
    // Nobody is banned before the last of them: who is banned counts no more.
    let text = set(&set(&text, "guard", "max_failures", "10"), "log", "openssh", "true");
    let sentinel = Sentinel::start(&world().dir, "guard-fail2ban", &text);
    sentinel.wait_until_listed(&["alice"]);
    let ssh = "ssh -b 192.0.2.16 -p 2485 -F $CFG -i $DIR";
    let run = world().client(&format!(
        "{ssh}/mallory -l alice $DOOR hostname\n\
         {ssh}/mallory -l nobody-known $DOOR hostname\n\
         {ssh}/alice -o PubkeyAuthentication=no -l alice $DOOR hostname\n\
         {ssh}/alice -l alice $DOOR hostname\n\
         python3 -c 'import socket; print(socket.create_connection((\"'$DOOR'\", 2485), 60, (\"192.0.2.16\", 0)).recv(4))'"
    ));
    assert_eq!(run.stdout, "alice-container\nb'SSH-'\n", "{run:?}");
    fs::write(world().dir.join("nasty.py"), format!("{NASTY}{NAMES}")).unwrap();
    let run = world().client(
        "PYTHONWARNINGS=ignore PYTHONPATH=$CLIENTS/python/paramiko-5.1 python3 $DIR/nasty.py",
    );
    assert_eq!(run.stdout, "refused\n".repeat(10), "{run:?}");
    // 13 failures, 11 connections that asked for nothing, one login.
    sentinel.wait("all of them are told", || in_words_of_openssh(&sentinel).len() == 25);
    let (said, log) = (in_words_of_openssh(&sentinel), sentinel.log_text());
    let accepted =
        |line: &&String| line.starts_with("Accepted publickey for alice from 192.0.2.16 ");
    assert_eq!(said.iter().filter(accepted).count(), 1, "{said:?}");
    assert_eq!(log.matches(" counts=\"failure\"").count(), 13, "{log}");
    let mut expected = vec!["192.0.2.16"; 3];
    expected.resize(13, "192.0.2.17");
    let syslog = world().dir.join("guard-fail2ban.syslog");
    let lines = log.lines().map(|l| format!("Nov 23 08:02:34 host containarium[12]: {l}\n"));
    fs::write(&syslog, lines.collect::<String>()).unwrap();
    for log in [&sentinel.log, &syslog] {
        let (addresses, all) = found(log);
        assert_eq!(addresses, expected, "{all}");
    }
}

/// The lines of the log that are sshd's, as they begin behind the time.
fn in_words_of_openssh(sentinel: &Sentinel) -> Vec<String> {
    let log = sentinel.log_text();
    let rest = log
        .lines()
        .filter_map(|line| line.split_once(' ')?.1.trim_start().strip_prefix("INFO sshd: "));
    rest.map(str::to_owned).collect()
}
