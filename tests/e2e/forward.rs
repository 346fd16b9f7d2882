//! Forwards of every kind: they work as directly, and they are the container's own.
//!
//! Each test has ports of its own, because all share one container and one client.

use std::sync::{Mutex, PoisonError};

use crate::harness::{lab, world};

/// `open OPTIONS`: a master connection; `over COMMAND`, `forward OPTIONS` use it; `close`.
/// `serve ADDRESS COMMAND PATTERN`: a server in the container that ends with the master; it is
/// there when its socket is, by the pattern in `/proc/net`. `listen`: the same on the client.
const TOOLS: &str = r#"
    open() { ssh -F $CFG -fNM -S $TMP/m -o ExitOnForwardFailure=yes "$@" box >/dev/null; }
    over() { ssh -F $CFG -S $TMP/m box "$@"; }
    forward() { ssh -F $CFG -S $TMP/m -O forward "$@" box; }
    close() { ssh -F $CFG -S $TMP/m -O exit box 2>/dev/null; }
    serve() {
        # A terminal, because its end ends the server; its input is silent and never over.
        mkfifo $TMP/silence
        ssh -F $CFG -S $TMP/m -tt box "socat $1,fork SYSTEM:'$2'" <>$TMP/silence >/dev/null 2>&1 &
        over "until grep -qE '$3' /proc/net/tcp /proc/net/unix; do sleep 0.02; done"
    }
    listen() {
        socat $1,fork SYSTEM:"$2" &
        local server=$!
        trap "kill $server" EXIT
        until grep -qE "$3" /proc/net/tcp /proc/net/unix; do sleep 0.02; done
    }
"#;

fn same(script: &str, stdout: &str) {
    // A test may run again with another client, on the same ports.
    static PORTS: Mutex<()> = Mutex::new(());
    let _ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    world().same(&format!("{TOOLS}\n{script}"), stdout, 0);
}

/// A listening port as `/proc/net/tcp` writes it.
fn listening(port: u16) -> String {
    format!(":{port:04X} 0+:0000 0A")
}

#[test]
pub fn a_server_on_the_containers_loopback_is_reached() {
    let server = listening(9101);
    same(
        &format!(
            r"open -L 8101:localhost:9101 -L 8102:127.0.0.1:9101
            serve TCP-LISTEN:9101,bind=127.0.0.1,reuseaddr 'hostname; cat' '{server}'
            echo one | nc -N 127.0.0.1 8101
            echo two | nc -N 127.0.0.1 8102
            echo three | ssh -F $CFG -W localhost:9101 box
            close"
        ),
        "alice-container\none\nalice-container\ntwo\nalice-container\nthree\n",
    );
}

#[test]
pub fn nothing_listens_there_is_told() {
    let script = "ssh -F $CFG -o LogLevel=INFO -W localhost:9 box";
    let run = world().alike(script);
    assert!(run.stderr.contains("Connection refused"), "{run:?}");
    assert_eq!(run.status, 255);
}

#[test]
pub fn a_port_of_the_container_leads_back() {
    same(
        r#"listen TCP-LISTEN:8103,bind=127.0.0.1,reuseaddr 'echo client; cat' ':1FA7 0+:0000 0A'
        open
        port=$(forward -R 0:127.0.0.1:8103)
        [ "$port" -gt 1024 ] && echo allocated
        over "echo any | nc -N 127.0.0.1 $port"
        forward -R 9103:127.0.0.1:8103
        over "echo fixed | nc -N localhost 9103"
        ssh -F $CFG -S $TMP/m -O cancel -R 9103:127.0.0.1:8103 box
        over "nc -N localhost 9103; echo \$?"
        close"#,
        "allocated\nclient\nany\nclient\nfixed\n1\n",
    );
}

#[test]
pub fn the_allocated_port_is_told() {
    let script = "ssh -F $CFG -o LogLevel=INFO -R 0:127.0.0.1:1 box true 2>&1 |
        sed 's/port [0-9]\\{4,5\\}/port N/' | tr -d '\\r'";
    world().same(script, "Allocated port N for remote forward to 127.0.0.1:1\n", 0);
}

#[test]
pub fn a_port_that_is_taken_is_refused() {
    let script = "ssh -F $CFG -o ExitOnForwardFailure=yes -R 22:127.0.0.1:1 box true";
    let run = world().alike(script);
    assert!(run.stderr.contains("remote port forwarding failed"), "{run:?}");
    assert_eq!(run.status, 255);
}

#[test]
pub fn socks_reaches_what_the_container_reaches() {
    let server = listening(9105);
    same(
        &format!(
            r"open -D 8105
            serve TCP-LISTEN:9105,bind=127.0.0.1,reuseaddr 'hostname; cat' '{server}'
            echo name | nc -N -X 5 -x 127.0.0.1:8105 localhost 9105
            echo address | nc -N -X 4 -x 127.0.0.1:8105 127.0.0.1 9105
            close"
        ),
        "alice-container\nname\nalice-container\naddress\n",
    );
}

#[test]
pub fn unix_sockets_are_forwarded_both_ways() {
    same(
        r#"listen UNIX-LISTEN:$TMP/client 'echo client; cat' "$TMP/client"
        open
        there=$(over mktemp -d)
        serve UNIX-LISTEN:$there/server 'hostname; cat' $there/server
        forward -L $TMP/here:$there/server
        forward -R $there/back:$TMP/client
        echo in | nc -NU $TMP/here
        over "echo out | nc -NU $there/back"
        over rm -r $there
        close"#,
        "alice-container\nin\nclient\nout\n",
    );
}

#[test]
fn forwards_are_in_the_containers_namespace() {
    let world = world();
    let server = listening(9107);
    let script = format!(
        r#"{TOOLS}
        open -L 8107:localhost:9107 -R 9108:127.0.0.1:1
        serve TCP-LISTEN:9107,bind=127.0.0.1,reuseaddr 'readlink /proc/self/ns/net; echo $SOCAT_PEERADDR' '{server}'
        over readlink /proc/self/ns/net
        nc -N 127.0.0.1 8107 </dev/null
        # The namespace of the process that has the listener of -R.
        over 'inode=$(awk "\$2 ~ /:2394\$/ && \$4 == \"0A\" {{ print \$10 }}" /proc/net/tcp)
            sudo find /proc/[0-9]*/fd -lname "socket:\[$inode\]" 2>/dev/null | head -1 |
            cut -d/ -f1-3 | {{ read p; sudo readlink $p/ns/net; }}'
        for host in $SENTINEL $BACKEND; do
            nsenter --net=$host grep -cE ':(2393|2394) ' /proc/net/tcp
        done
        close"#
    );
    let (sentinel, backend) = (lab().netns("sentinel"), lab().netns("b1"));
    let run = world.client(&format!(
        "CFG=$DIR/ssh_config_door SENTINEL={sentinel} BACKEND={backend}\n{script}"
    ));
    let lines: Vec<_> = run.stdout.lines().collect();
    let [inside, server, peer, listener, on_sentinel, on_backend] = lines[..] else {
        panic!("{run:?}")
    };
    assert!(inside.starts_with("net:["), "{run:?}");
    assert_eq!((server, listener, peer), (inside, inside, "127.0.0.1"), "{run:?}");
    assert_eq!((on_sentinel, on_backend), ("0", "0"), "{run:?}");
    let own = world.client("readlink /proc/self/ns/net").stdout;
    assert_ne!(own.trim(), inside);
}
