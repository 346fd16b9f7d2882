//! SIGTERM: no new connections, a while for sessions, a sentence, status 0.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::harness::{Sentinel, config, set, world};

#[test]
fn live_sessions_go_on_until_the_drain_is_over_and_are_told() {
    let dir = &world().dir;
    let text = set(&config(dir, 2441, ""), "ssh", "drain", "\"4s\"");
    let sentinel = Sentinel::start(dir, "drain", &text);
    sentinel.wait_until_listed(&["alice", "bob"]);
    let session = |name: &'static str, command: &'static str| {
        thread::spawn(move || {
            world()
                .client(&format!("ssh -F $CFG -p 2441 -i $DIR/{name} -l {name} $DOOR '{command}'"))
        })
    };
    // One writes on until it is ended; one ends by itself, but only after the signal.
    let long = session("alice", "while echo tick; do sleep 0.1; done");
    let short = session(
        "bob",
        "until [ -e /tmp/drain-ends ]; do sleep 0.1; done; rm /tmp/drain-ends; echo done",
    );
    sentinel
        .wait("two sessions", || sentinel.log_text().matches("connected session=").count() == 2);

    let began = Instant::now();
    sentinel.signal("TERM");
    sentinel.wait_log("waiting for sessions to end");
    let new = world().client("ssh -F $CFG -p 2441 -i $DIR/alice -l alice $DOOR true");
    assert!(new.status == 255 && new.stderr.contains("Connection refused"), "{new:?}");
    crate::harness::lab().incus("b2", &["exec", "bob-container", "--", "touch", "/tmp/drain-ends"]);
    let short = short.join().unwrap();
    assert_eq!((short.stdout.as_str(), short.status), ("done\n", 0), "{short:?}");
    assert!(!long.is_finished(), "the other one goes on");
    let long = long.join().unwrap();
    assert!(began.elapsed() >= Duration::from_secs(4), "ended after {:?}", began.elapsed());
    assert_eq!(long.status, 255, "{}", long.stderr);
    assert!(
        long.stderr.contains("the sentinel is restarting; log in again in a moment"),
        "{}",
        long.stderr
    );
    assert!(long.stdout.lines().count() > 10, "it went on after the signal");
    assert_eq!(sentinel.wait_exit(), Some(0));
    assert!(sentinel.log_text().trim_end().ends_with("stopped"), "{}", sentinel.log_text());
}

#[test]
fn without_sessions_it_ends_at_once() {
    let dir = &world().dir;
    for (signal, drain) in [("TERM", "\"1h\""), ("INT", "\"0s\"")] {
        let text = set(&config(dir, 2442, ""), "ssh", "drain", drain);
        let sentinel = Sentinel::start(dir, "idle", &text);
        sentinel.wait_until_listed(&["alice"]);
        let socket = sentinel.control_socket();
        assert!(socket.exists());
        // Somebody who does not log in does not hold it up.
        let there = dir.join(format!("idle-{signal}"));
        let idle = thread::spawn(move || {
            world().client(&format!(
                "exec 3<>/dev/tcp/$DOOR/2442; echo SSH-2.0-idle >&3; read -r -u 3 ident\n\
                 echo $ident >$DIR/idle-{signal}; cat <&3 >/dev/null"
            ))
        });
        sentinel.wait("the idle one is there", || there.exists());
        sentinel.signal(signal);
        let began = Instant::now();
        assert_eq!(sentinel.wait_exit(), Some(0));
        // He might stay for 30 s, and sessions for an hour.
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        assert!(!socket.exists(), "the control socket is left behind");
        idle.join().unwrap();
    }
}
