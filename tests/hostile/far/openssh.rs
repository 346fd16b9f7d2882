//! OpenSSH's own client, whose far side is an enemy: it must not notice the door in between.

use std::{
    fs,
    process::{Command, Stdio},
};

use containarium::wire::message;

use crate::{fixture::Evil, peer::Payload};

/// I-17: an sshd opens channels to the person's agent, screen and forwards for which she never asked.
/// They reach her client, which refuses, and its refusals reach the sshd: as without the door.
#[test]
fn openssh_refuses_what_it_did_not_ask_for() {
    let evil = Evil::listen();
    let dir = tempfile::TempDir::new().unwrap();
    let key = dir.path().join("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "person", "-f"])
        .arg(&key)
        .status();
    assert!(made.expect("ssh-keygen").success());
    let line = fs::read_to_string(key.with_extension("pub")).unwrap();
    let list = format!("authorized_keys = [\"{}\", ", line.trim());
    let section = evil.section().replace("authorized_keys = [", &list);
    let sentinel = crate::fixture::Sentinel::start(&section);
    let client = Command::new("ssh")
        .args(["-F", "none", "-N", "-v", "-o", "UserKnownHostsFile=/dev/null"])
        .args(["-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes", "-i"])
        .arg(&key)
        .args(["-p", &sentinel.address.port().to_string(), "evil@127.0.0.1"])
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ssh");
    let mut far = evil.accept();
    far.let_in(&evil.host_key);
    for (number, kind) in [
        "auth-agent@openssh.com",
        "x11",
        "forwarded-tcpip",
        "forwarded-streamlocal@openssh.com",
        "session",
        "\u{1b}]52;c;x\u{7}",
    ]
    .into_iter()
    .enumerate()
    {
        let number = u32::try_from(number).unwrap();
        let open = Payload::new(message::CHANNEL_OPEN).string(kind).uint32(number);
        let open = open.uint32(1 << 20).uint32(1 << 15);
        let rest = match kind {
            "x11" => open.string("10.0.0.1").uint32(6000),
            "forwarded-tcpip" => open.string("127.0.0.1").uint32(22).string("10.0.0.1").uint32(1),
            "forwarded-streamlocal@openssh.com" => open.string("/tmp/x").string(""),
            _ => open,
        };
        far.send(&rest.0);
        let answer = far.next_number(message::CHANNEL_OPEN_FAILURE);
        assert_eq!(answer[1..5], number.to_be_bytes(), "{kind}");
    }
    // Its words, when it leaves, are for her terminal: nothing in them steers it.
    let words = "bye \u{1b}[2J\u{1b}]0;t\u{7}";
    far.send(&Payload::new(message::DISCONNECT).uint32(11).string(words).string("").0);
    let out = client.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(told.contains("bye ") && !told.contains('\u{1b}'), "{told:?}");
}
