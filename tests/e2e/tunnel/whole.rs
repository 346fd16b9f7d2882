//! Everything that people and administrators do, through a tunnel.

use super::{Nat, Tunnel, known, log_in, sentinel, wait_up};
use crate::harness::{Guest, b3, lab, make_key, quiet_delete, shell, world};

const PORT: u16 = 2601;

#[test]
fn a_host_that_nobody_can_dial_is_a_backend_like_others() {
    let _alone = b3();
    for person in ["far-1", "tuna", "tu-made"] {
        make_key(&world().dir, person);
    }
    let _nat = Nat::new();
    let sentinel = sentinel("far-1", PORT);
    let before = known(&sentinel, "far-1");
    assert_eq!(
        (&before["tunnel"]["connected"], &before["presence"]),
        (&false.into(), &"away".into())
    );
    let _tunnel = Tunnel::start("b3", "far-1", PORT);
    wait_up(&sentinel, "far-1");
    let dialled = format!(
        "timeout 2 bash -c 'exec 3<>/dev/tcp/{}/22' 2>/dev/null; echo $?",
        lab().of("b3", "ADDRESS")
    );
    let dialled = shell("sentinel", &dialled, &world().dir, &world().dir.join("ssh_config"));
    assert_eq!(dialled.stdout, "124\n", "it can be dialled: {dialled:?}");

    let _guest = Guest::new(&sentinel, "b3", "tuna", "tuna");
    let run = log_in(PORT, "tuna", "tuna", "hostname; exit 7");
    assert_eq!((run.stdout.as_str(), run.status), ("tuna-container\n", 7), "{run:?}");
    assert_eq!(sentinel.way_of("tuna"), "link");
    let script = format!(
        r#"SSH="-F $CFG -o Port={PORT} -o IdentityFile=$DIR/tuna"
        head -c 1000000 /dev/urandom >up
        scp -q $SSH up tuna@$DOOR:there && scp -q $SSH tuna@$DOOR:there down && cmp up down && echo copied
        # One that is not read holds up nobody.
        mkfifo stalled; sleep 1000 <>stalled & exec 9<>stalled
        ssh $SSH tuna@$DOOR 'cat /dev/zero' >stalled & reader=$!
        ssh $SSH tuna@$DOOR 'head -c 6000000 /dev/zero' | wc -c
        kill $reader
        ssh $SSH -fNM -S $TMP/m -L 8601:localhost:22 -o ExitOnForwardFailure=yes tuna@$DOOR
        nc -N 127.0.0.1 8601 </dev/null | head -c 8; echo
        ssh $SSH -S $TMP/m -O exit tuna@$DOOR 2>/dev/null
        ssh -F $CFG -p {PORT} admin@$DOOR -i $DIR/admin "shell tuna" <<<'echo in; exit 5'; echo $?
        "#
    );
    let run = world().client(&script);
    assert_eq!(run.stdout, "copied\n6000000\nSSH-2.0-\nin\n5\n", "{run:?}");
    let jumped = world().client(&format!(
        "ssh -F $CFG -p {PORT} -i $DIR/admin -W tuna:22 admin@$DOOR </dev/null | head -c 8"
    ));
    assert_eq!(jumped.stdout, "SSH-2.0-", "{jumped:?}");

    quiet_delete("b3", &["tu-made"]);
    let made = world().client(&format!(
        "ssh -F $CFG -p {PORT} -i $DIR/admin admin@$DOOR \
         'create tu-made --ssh-key - --image small --backend far-1' <$DIR/tu-made.pub"
    ));
    assert_eq!(made.status, 0, "{made:?}");
    let run = log_in(PORT, "tu-made", "tu-made", "hostname");
    assert_eq!(run.stdout, "tu-made-container\n", "{run:?}");
    let gone = sentinel.console(&["delete", "tu-made", "--force"]);
    assert_eq!(gone.status, 0, "{gone:?}");

    let info = sentinel.console(&["backend", "info", "far-1"]).stdout;
    let source = lab().of("b3", "ADDRESS");
    assert!(info.contains("Tunnel:") && info.contains(&format!(" from {source}:")), "{info}");
    assert!(info.contains("containarium by SSH through its tunnel"), "{info}");
    let list = sentinel.console(&["status"]).stdout;
    assert!(list.contains(", tunnel for "), "{list}");
    let status = sentinel.console(&["status", "--json"]).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["sessions"], 0, "a tunnel is no session: {status}");
    let idle = || known(&sentinel, "far-1")["tunnel"]["streams"].as_u64().is_some_and(|n| n <= 2);
    sentinel.wait("streams end with their sessions", idle);
}

#[test]
fn a_sentinel_that_stops_waits_for_sessions_and_not_for_tunnels() {
    let _alone = b3();
    make_key(&world().dir, "far-2");
    let _nat = Nat::new();
    let sentinel = sentinel("far-2", PORT + 1);
    let mut tunnel = Tunnel::start("b3", "far-2", PORT + 1);
    wait_up(&sentinel, "far-2");
    sentinel.signal("TERM");
    assert_eq!(sentinel.wait_exit(), Some(0));
    assert!(!sentinel.log_text().contains("waiting for sessions to end"));
    let said = {
        let _ = tunnel.child.wait();
        std::fs::read_to_string(&tunnel.errors).unwrap()
    };
    assert!(said.contains("the sentinel is restarting"), "{said}");
}
