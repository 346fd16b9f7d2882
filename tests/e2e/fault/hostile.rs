//! Containers whose root is an enemy: of the sentinel, and of whoever logs in.

use std::{fs::File, net::TcpListener, os::fd::AsFd, thread};

use containarium::wire::{identity::Identity, message};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{assert_told, log_in, newcomer};
use crate::{
    harness::{Guest, Sentinel, config, lab, world},
    peer::{Payload, Peer},
};

/// Where the enemy listens, as containers of a backend see it: incusbr0 of the lab.
const GATEWAY: &str = "10.0.3.1";

/// The container's own host key.
fn stolen_key(guest: &Guest) -> Identity {
    let file = guest.root("cat /etc/ssh/ssh_host_ed25519_key");
    let key = ssh_key::PrivateKey::from_openssh(&file).unwrap();
    Identity::from_private_key(&key).unwrap()
}

/// Puts a listener of ours behind port 22 of a container, in place of its sshd.
fn replace_sshd(guest: &Guest) -> TcpListener {
    let netns = lab().netns(&guest.backend);
    let listening = thread::spawn(move || {
        let netns = File::open(netns).unwrap();
        move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        TcpListener::bind((GATEWAY, 0)).unwrap()
    });
    let listener = listening.join().unwrap();
    let port = listener.local_addr().unwrap().port();
    guest.root(&format!(
        "systemctl disable --now ssh.service\n\
         systemd-run -q --unit=evil socat TCP-LISTEN:22,fork,reuseaddr TCP:{GATEWAY}:{port}\n\
         until grep -q ':0016 .* 0A ' /proc/net/tcp; do sleep 0.05; done"
    ));
    listener
}

/// The sshd at a container's address knows the pinned host key, and breaks the protocol before or
/// after the login. Before: the way through Incus leads in. After: the person is told, without a
/// byte that would steer her terminal, and nobody else notices.
#[test]
fn an_enemy_at_a_containers_address_takes_nobody_along() {
    newcomer("judas");
    let sentinel = Sentinel::start(&world().dir, "enemy", &config(&world().dir, 2213, ""));
    let guest = Guest::new(&sentinel, "b1", "enemy", "judas");
    assert_eq!(log_in(2213, "judas", "enemy", "hostname").stdout, "enemy-container\n");
    let host_key = stolen_key(&guest);
    let listener = replace_sshd(&guest);
    let accept = || Peer::accept(&listener);

    let words = "bye \u{1b}[2J\u{1b}]52;c;x\u{7}\r\nPermission granted";
    let goodbye = Payload::new(message::DISCONNECT).uint32(11).string(words).string("").0;
    let run = thread::scope(|scope| {
        scope.spawn(|| {
            let mut far = accept();
            far.let_in(&host_key);
            far.next_number(message::CHANNEL_OPEN);
            far.send(&goodbye);
            far.rx.skip_to_end();
        });
        log_in(2213, "judas", "enemy", "true")
    });
    assert!(run.status == 255 && run.stderr.contains("bye "), "{run:?}");
    assert!(!run.stderr.contains(['\u{1b}', '\u{7}']), "{run:?}");
    assert!(!run.stderr.contains("\nPermission"), "{run:?}");

    for rude in
        [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"SSH-2.0-evil\r\n\xff\xff\xff\xff\xff", b""]
    {
        let run = thread::scope(|scope| {
            scope.spawn(|| {
                let mut far = accept();
                let _ = far.tx.raw(rude);
                far.tx.finish();
                far.rx.skip_to_end();
            });
            log_in(2213, "judas", "enemy", "hostname")
        });
        assert_eq!((run.stdout.as_str(), run.status), ("enemy-container\n", 0), "{rude:?} {run:?}");
        assert_eq!(sentinel.way_of("enemy"), "exec");
    }
    assert_eq!(log_in(2213, "alice", "alice", "id -un").stdout, "alice\n");
}

/// What the way through Incus starts is the container's, too: a program that is no sshd, that floods,
/// or that says nothing, is told in a sentence, and costs nobody else anything.
#[test]
fn a_program_in_place_of_sshd_takes_nobody_along() {
    newcomer("ivo");
    let sentinel = Sentinel::start(&world().dir, "program", &config(&world().dir, 2214, ""));
    let guest = Guest::new(&sentinel, "b2", "program", "ivo");
    guest.root("systemctl disable --now ssh.service; mv /usr/sbin/sshd /usr/sbin/sshd.real");
    for program in [
        "exec yes",
        "exec cat /dev/zero",
        "printf 'SSH-2.0-evil\\r\\n'; exec cat /dev/urandom",
        "printf 'SSH-2.0-\\033[2J\\033]0;t\\007\\r\\n'; exec sleep 100",
        "exec sleep 100",
        "echo >&2 'error: \\033[2J'; exit 3",
        "kill -9 $$",
    ] {
        let script =
            "printf '%s\\n' '#!/bin/sh' \"$1\" >/usr/sbin/sshd && chmod 755 /usr/sbin/sshd";
        let instance = guest.instance();
        let line = ["exec", &instance, "-T", "--", "sh", "-ec", script, "sh", program];
        lab().incus(&guest.backend, &line);
        let run = log_in(2214, "ivo", "program", "true");
        assert_told(&run, 75, &["container program on backend b2 does not answer"]);
        assert!(!run.stderr.contains(['\u{1b}', '\u{7}']), "{run:?}");
        assert_eq!(log_in(2214, "bob", "bob", "id -un").stdout, "bob\n", "{program}");
    }
    guest.root("mv /usr/sbin/sshd.real /usr/sbin/sshd");
    assert_eq!(log_in(2214, "ivo", "program", "hostname").stdout, "program-container\n");
}
