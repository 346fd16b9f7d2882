//! Readers that stop.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{client, figure};
use crate::harness::{Sentinel, config, world};

#[test]
fn a_reader_that_sleeps_first_gets_everything_ten_times_out_of_ten() {
    let script = r"
        for i in {1..10}; do
            { head -c 200M /dev/zero | ssh -F $CFG alice cat | { sleep 3; wc -c; } >got.$i; } &
        done
        wait
        cat got.*";
    let run = client(script);
    assert_eq!(run.stdout, "209715200\n".repeat(10), "{run:?}");
}

/// What a stalled reader may cost, in bytes.
const COST: u64 = 1024 * 1024;

#[test]
fn a_stalled_reader_costs_less_than_a_megabyte_and_stalls_nobody_else() {
    let dir = &world().dir;
    let sentinel = Sentinel::start(dir, "stalled", &config(dir, 2281, ""));
    sentinel.wait_until_listed(&["alice", "bob"]);
    let going = dir.join("stalled-going");
    let seconds = figure(5, 60);
    // Four flows at once first: what the sentinel keeps for the next ones is there then.
    let script = format!(
        r#"to() {{ exec ssh -F $CFG -p 2281 -i $DIR/$1 -l $1 $DOOR "$2"; }}
        for i in 1 2 3 4; do head -c 30M /dev/zero | to alice cat >/dev/null & done; wait
        mkfifo go stalled; exec 3<>stalled 4<>go
        to alice 'echo ready; read -r go; exec yes' <&4 >&3 2>/dev/null &
        flood=$!
        read -r ready <&3
        coproc to bob 'while read -r line; do echo "$line"; done'
        echo first >&${{COPROC[1]}}; read -r line <&${{COPROC[0]}}
        touch $DIR/stalled-going
        until [ -e $DIR/stalled-measured ]; do sleep 0.05; done
        echo >&4
        end=$((EPOCHSECONDS + {seconds})); n=0; worst=0
        while [ $EPOCHSECONDS -lt $end ]; do
            n=$((n + 1)); t=${{EPOCHREALTIME/.}}
            echo "line $n" >&${{COPROC[1]}}
            read -r line <&${{COPROC[0]}}
            [ "$line" = "line $n" ] || exit 1
            t=$((${{EPOCHREALTIME/.}} - t)); [ $t -gt $worst ] && worst=$t
            sleep 0.02
        done
        echo "worst echo of $n: $worst us" >&2
        [ $n -gt 10 ] && echo echoed
        timeout 60 head -c 20M <stalled | wc -c
        kill $flood
        eval "exec ${{COPROC[1]}}>&-"
        wait"#
    );
    let _ = std::fs::remove_file(&going);
    let measured = dir.join("stalled-measured");
    let _ = std::fs::remove_file(&measured);
    let running = thread::spawn(move || client(&script));
    sentinel.wait("both sessions are there", || going.exists() || running.is_finished());
    let before = sentinel.usage().resident;
    std::fs::write(&measured, "").unwrap();
    let start = Instant::now();
    let mut most = before;
    while start.elapsed() < Duration::from_secs(seconds) && !running.is_finished() {
        most = most.max(sentinel.usage().resident);
        thread::sleep(Duration::from_millis(100));
    }
    let run = running.join().unwrap();
    assert_eq!(run.stdout, "echoed\n20971520\n", "{run:?}");
    let cost = most - before;
    eprintln!(
        "a stalled reader for {seconds} s: {cost} bytes more resident; {}",
        run.stderr.trim()
    );
    assert!(cost < COST, "{cost} bytes more resident");
}
