//! A client that stops in the middle of a key exchange. (`door/pipe` and `link/tunnel` have the
//! other sides, in virtual time.)

use std::time::{Duration, Instant};

use super::client;
use crate::harness::{Sentinel, config, world};

/// A key exchange may take 30 s, and is looked at every few.
const GONE: Duration = Duration::from_secs(40);

#[test]
fn a_client_stopped_in_a_key_exchange_is_gone_in_time() {
    let dir = &world().dir;
    let sentinel = Sentinel::start(dir, "silent", &config(dir, 2282, ""));
    sentinel.wait_until_listed(&["alice"]);
    // ssh tells what it does; it is stopped at its first word of a rekey. Where it was quicker
    // than that, it is let go and another one tried.
    let script = r#"
        for try in {1..50}; do
            mkfifo log$try
            ssh -F $CFG -p 2282 -i $DIR/alice -l alice -v -E log$try -o RekeyLimit=1M $DOOR 'exec cat /dev/zero' >/dev/null &
            ssh=$!
            exec 3<log$try
            rekeys=0
            while read -r -u 3 line; do
                case $line in *SSH2_MSG_KEXINIT\ received*) rekeys=$((rekeys + 1)) ;; esac
                [ $rekeys = 2 ] && break
            done
            kill -STOP $ssh
            # All that it had said by then.
            sent=$(timeout 1 grep -m1 'SSH2_MSG_NEWKEYS sent' <&3)
            if [ -z "$sent" ] && [ $rekeys = 2 ]; then
                touch $DIR/silent-stopped
                until [ -e $DIR/silent-gone ]; do sleep 0.1; done
                echo stopped
                kill -KILL $ssh
                exit 0
            fi
            kill -KILL $ssh
            exec 3<&-
        done"#;
    let files = ["silent-stopped", "silent-gone"].map(|name| dir.join(name));
    let running = std::thread::spawn(move || client(script));
    let begun = Instant::now();
    while !files[0].exists() && !running.is_finished() && begun.elapsed() < super::LIMIT {
        std::thread::sleep(Duration::from_millis(50));
    }
    let (stopped, told) = (Instant::now(), "reason=\"client: key exchange");
    while !sentinel.log_text().contains(told) && stopped.elapsed() < GONE {
        std::thread::sleep(Duration::from_millis(100));
    }
    let took = stopped.elapsed();
    std::fs::write(&files[1], "").unwrap();
    let run = running.join().unwrap();
    assert_eq!(run.stdout, "stopped\n", "{run:?}");
    let log = sentinel.log_text();
    assert!(log.contains(told), "still there after {took:?}: {log}");
    assert!(took > Duration::from_secs(25), "it had its time: {took:?}");
}
