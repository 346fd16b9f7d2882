//! Connections that do not log in are few, and do not stay.

use std::fs;

use crate::harness::{Sentinel, config, set, world};

/// A first packet as a client sends it: KEXINIT, offering what everybody speaks.
fn kexinit() -> Vec<u8> {
    let lists = [
        "curve25519-sha256",
        "ssh-ed25519",
        "aes128-ctr",
        "aes128-ctr",
        "hmac-sha2-256",
        "hmac-sha2-256",
        "none",
        "none",
        "",
        "",
    ];
    let mut payload = vec![20];
    payload.extend([7; 16]);
    for list in lists {
        payload.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
        payload.extend(list.bytes());
    }
    payload.extend([0; 5]);
    let padding = 4 + (8 - (payload.len() + 5 + 4) % 8) % 8;
    let length = u32::try_from(payload.len() + 1 + padding).unwrap();
    let mut packet = length.to_be_bytes().to_vec();
    packet.push(u8::try_from(padding).unwrap());
    packet.extend(payload);
    packet.extend(vec![0; padding]);
    packet
}

#[test]
fn whoever_stops_before_the_login_is_sent_away() {
    let dir = &world().dir;
    let text = set(&config(dir, 2471, ""), "ssh", "login_grace", "\"3s\"");
    let sentinel = Sentinel::start(dir, "grace", &text);
    sentinel.wait_until_listed(&["alice"]);
    let mut hello = b"SSH-2.0-slow\r\n".to_vec();
    fs::write(dir.join("hello-ident"), &hello).unwrap();
    hello.extend(kexinit());
    fs::write(dir.join("hello-kexinit"), &hello).unwrap();
    fs::write(dir.join("hello-nothing"), "").unwrap();
    fs::write(dir.join("hello-half"), "SSH-2.0-sl").unwrap();
    let run = world().client(
        "for stage in nothing half ident kexinit; do {\n\
           t=${EPOCHREALTIME/.}; exec 3<>/dev/tcp/$DOOR/2471; cat $DIR/hello-$stage >&3\n\
           timeout 100 cat <&3 >got-$stage; s=$?; echo \"$stage $s $(( (${EPOCHREALTIME/.} - t) / 1000 ))\" >end-$stage\n\
         } & done; wait; cat end-*; grep -c curve25519-sha256 -a got-kexinit; grep -ac SSH-2.0 got-nothing",
    );
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 6, "{run:?}");
    for line in &lines[..4] {
        let words: Vec<&str> = line.split(' ').collect();
        let took: u32 = words[2].parse().unwrap();
        assert_eq!(words[1], "0", "closed by the sentinel: {line}");
        assert!((3000..28_000).contains(&took), "{line}");
    }
    assert_eq!(lines[4..], ["1", "1"], "the sentinel had answered: {run:?}");
    sentinel.wait("all four are told", || {
        sentinel.log_text().matches("login grace time is over").count() == 4
    });
    // Sessions are not bound by it.
    let run =
        world().client("ssh -F $CFG -p 2471 -i $DIR/alice -l alice $DOOR 'sleep 4; echo slept'");
    assert_eq!(run.stdout, "slept\n", "{run:?}");
}

#[test]
fn one_source_that_does_not_log_in_leaves_room_for_others() {
    let dir = &world().dir;
    let text = set(&config(dir, 2472, ""), "ssh", "max_startups_per_source", "3");
    let sentinel = Sentinel::start(dir, "caps", &text);
    sentinel.wait_until_listed(&["alice"]);
    let run = world().client(
        "for fd in 3 4 5; do eval \"exec $fd<>/dev/tcp/$DOOR/2472\"; read -r -u $fd ident; echo \"${ident%% *}\"; done\n\
         exec 6<>/dev/tcp/$DOOR/2472; timeout 60 cat <&6 >fourth; echo \"fourth $? $(wc -c <fourth)\"\n\
         ssh -F $CFG -p 2472 -i $DIR/alice -l alice $DOOR true 2>/dev/null; echo \"ssh $?\"\n\
         ssh -b 192.0.2.14 -F $CFG -p 2472 -i $DIR/alice -l alice $DOOR 'echo other'\n\
         exec 3>&-; i=0\n\
         until ssh -F $CFG -p 2472 -i $DIR/alice -l alice $DOOR 'echo room again' 2>/dev/null; do\n\
           i=$((i + 1)); [ $i -lt 100 ] || exit 1; done",
    );
    let ident = "SSH-2.0-OpenSSH_9.9\n".repeat(3);
    assert_eq!(run.stdout, format!("{ident}fourth 0 0\nssh 255\nother\nroom again\n"), "{run:?}");
}

#[test]
fn sessions_do_not_count_against_the_cap() {
    let dir = &world().dir;
    let text = set(&config(dir, 2473, ""), "ssh", "max_startups_per_source", "1");
    let sentinel = Sentinel::start(dir, "one-each", &text);
    sentinel.wait_until_listed(&["alice"]);
    let run = world().client(
        "go() { ssh -F $CFG -p 2473 -i $DIR/alice -l alice $DOOR \"$@\"; }\n\
         for i in 1 2 3; do mkfifo in$i; go 'echo in; cat' <in$i >out$i & eval \"exec 1$i>in$i\"; until [ -s out$i ]; do :; done; done\n\
         cat out1 out2 out3; go 'echo fourth'; exec 11>&- 12>&- 13>&-; wait",
    );
    assert_eq!(run.stdout, "in\nin\nin\nfourth\n", "{run:?}");
}

#[test]
fn a_person_has_so_many_sessions_and_is_told_when_she_wants_more() {
    let dir = &world().dir;
    let text = set(&config(dir, 2474, ""), "ssh", "max_sessions_per_person", "2");
    let sentinel = Sentinel::start(dir, "per-person", &text);
    sentinel.wait_until_listed(&["alice", "bob"]);
    let run = world().client(
        "go() { who=$1; shift; ssh -F $CFG -p 2474 -i $DIR/$who -l $who $DOOR \"$@\"; }\n\
         for i in 1 2; do mkfifo in$i; go alice 'echo in; head -n 1' <in$i >out$i & pid[$i]=$!; eval \"exec 1$i>in$i\"; until [ -s out$i ]; do :; done; done\n\
         go alice 'echo third' >third 2>&1; echo $?; cat third >&2; go bob 'echo bob'\n\
         echo >&11; wait ${pid[1]}; i=0; until go alice 'echo room again' 2>/dev/null; do\n\
           i=$((i + 1)); [ $i -lt 100 ] || exit 1; done; echo >&12; wait",
    );
    assert_eq!(run.stdout, "255\nbob\nroom again\n", "{run:?}");
    let told = "you have 2 sessions here already, and no more are allowed at once";
    assert!(run.stderr.contains(told) && !run.stderr.contains("Permission denied"), "{run:?}");
    let ended = sentinel.console(&["audit", "--kind", "session", "--json"]);
    assert!(ended.stdout.contains(told), "it is recorded: {ended:?}");
}
