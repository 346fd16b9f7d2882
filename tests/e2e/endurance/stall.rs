//! Readers that stop.

use std::{thread, time::Duration};

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

/// Functions for the scripts: `to PERSON COMMAND` becomes an ssh, `begin` has the sentinel's memory
/// taken, `echoes SECONDS` asks the other session, whose answers have to come meanwhile.
const TOOLS: &str = r#"
    to() { exec ssh -F $CFG -p $PORT -i $DIR/$1 -l $1 $DOOR "${@:2}"; }
    # Four flows at once first: what the sentinel keeps for the next ones is there then.
    for i in 1 2 3 4; do head -c 30M /dev/zero | to alice cat >/dev/null & done; wait
    coproc to bob 'while read -r line; do echo "$line"; done'
    begin() {
        echo first >&${COPROC[1]}; read -r line <&${COPROC[0]}
        touch $DIR/$NAME-going
        until [ -e $DIR/$NAME-measured ]; do sleep 0.05; done
    }
    echoes() {
        local end=$((EPOCHSECONDS + $1)) n=0 worst=0 t
        while [ $EPOCHSECONDS -lt $end ]; do
            n=$((n + 1)); t=${EPOCHREALTIME/.}
            echo "line $n" >&${COPROC[1]}
            read -r line <&${COPROC[0]}
            [ "$line" = "line $n" ] || exit 1
            t=$((${EPOCHREALTIME/.} - t)); [ $t -gt $worst ] && worst=$t
            sleep 0.02
        done
        echo "worst echo of $n: $worst us" >&2
        [ $n -gt 10 ] && echo echoed
        eval "exec ${COPROC[1]}>&-"
    }
"#;

/// Runs a script at a sentinel of its own, and asserts that from `begin` to its end the sentinel's
/// memory grows by less than [`COST`].
fn costs_little(name: &str, port: u16, script: &str, stdout: &str) {
    let dir = &world().dir;
    let sentinel = Sentinel::start(dir, name, &config(dir, port, ""));
    sentinel.wait_until_listed(&["alice", "bob"]);
    let [going, measured] = ["going", "measured"].map(|what| dir.join(format!("{name}-{what}")));
    let script = format!("NAME={name} PORT={port}\n{TOOLS}\n{script}");
    let running = thread::spawn(move || client(&script));
    sentinel.wait("the sessions are there", || going.exists() || running.is_finished());
    let before = sentinel.usage().resident;
    std::fs::write(&measured, "").unwrap();
    let mut most = before;
    while !running.is_finished() {
        most = most.max(sentinel.usage().resident);
        thread::sleep(Duration::from_millis(100));
    }
    let run = running.join().unwrap();
    assert_eq!(run.stdout, stdout, "{run:?}");
    let cost = most - before;
    eprintln!("{name}: {cost} bytes more resident; {}", run.stderr.trim());
    assert!(cost < COST, "{cost} bytes more resident");
}

#[test]
fn a_stalled_reader_costs_less_than_a_megabyte_and_stalls_nobody_else() {
    let seconds = figure(5, 60);
    let script = format!(
        r"mkfifo go stalled; exec 3<>stalled 4<>go
        to alice 'echo ready; read -r go; exec yes' <&4 >&3 2>/dev/null &
        flood=$!
        read -r ready <&3
        begin
        echo >&4
        echoes {seconds}
        timeout 60 head -c 20M <stalled | wc -c
        kill $flood
        wait"
    );
    costs_little("stalled", 2281, &script, "echoed\n20971520\n");
}

#[test]
fn a_stopped_client_with_ten_floods_costs_less_than_a_megabyte_either() {
    let seconds = figure(5, 60);
    // Ten windows of 2 MiB are more than the kernel holds on the way.
    let script = format!(
        r"to alice -MNS m &
        master=$!
        until [ -S m ]; do sleep 0.05; done
        over() {{ ssh -F $CFG -S m alice $@; }}
        over rm -f /tmp/flood-may-begin
        for i in {{1..9}}; do
            over 'echo ready; until [ -e /tmp/flood-may-begin ]; do sleep 0.1; done; exec yes' >>ready.$i 2>/dev/null &
        done
        until [ $(cat ready.* | wc -l) = 9 ]; do sleep 0.05; done
        begin
        over touch /tmp/flood-may-begin
        until [ $(cat ready.* | wc -l) -gt 9 ]; do :; done
        kill -STOP $master
        echoes {seconds}
        kill -KILL $master
        wait"
    );
    costs_little("stopped", 2283, &script, "echoed\n");
}
