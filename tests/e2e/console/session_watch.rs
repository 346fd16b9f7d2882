//! `session watch`: what another terminal shows, while it is shown.

use serde_json::Value;

use super::{assert_failed, console, dialogue::dialogue, people};
use crate::harness::{Guest, Sentinel, config, world};

/// Begins a session of `$1` on container `$2` with a shell on a terminal: it reads `type`, what it shows
/// is in `watched`, its process is `$session`, and its number `$id`. The shell ends with `exit`. `$P` may be the option for a port.
const BEGIN: &str = r#"
begin() {
    mkfifo type
    ssh -tt $P -F $CFG -i $DIR/$1 -l $2 $DOOR 'stty -echo; echo he""re; exec sh' <type >watched 2>&1 &
    session=$!
    exec 4>type
    until grep -q here watched; do kill -0 $session || exit 99; sleep 0.02; done
    id=$(ssh -n $P -F $CFG sentinel session list $2 -q)
}
wait_for() {
    local end=$((SECONDS + 120))
    until grep -qF "$1" $2; do
        [ $SECONDS -lt $end ] || { echo "never came: $1" >&2; cat $2 >&2; exit 98; }
        sleep 0.02
    done
}
"#;

const BEGAN: &str = "[admin@laptop watches this terminal]";
const LEFT: &str = "[admin@laptop no longer watches this terminal]";

/// The commands in the ledger that watched this session: status and failure.
fn records(id: &str) -> Vec<(Value, Value)> {
    let run = console("audit --kind command --limit 10000 --json");
    let records: Vec<Value> =
        serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"));
    let details = records.into_iter().map(|record| record["detail"].clone());
    let command = format!("session watch {id}");
    let of_it = details.filter(|detail| detail["command"] == command.as_str());
    of_it.map(|detail| (detail["status"].clone(), detail["failure"].clone())).collect()
}

#[test]
fn a_terminal_is_seen_as_it_is_and_not_touched_and_its_person_is_told() {
    let [_] = people(["watcha"]);
    let _guest = Guest::new(&world().sentinel, "b1", "watch-live", "watcha");
    let script = format!(
        "{BEGIN}begin watcha watch-live\n\
         ssh -t -F $CFG sentinel session watch $id; echo watch: $?, $id.\n\
         wait_for '{LEFT}' watched; echo 'echo al\"\"one; exit 7' >&4; wait $session; echo status: $?.\n\
         cat watched"
    );
    let run = dialogue(
        &script,
        &[
            ("80x24; this one is 100x40]", "run echo 'echo o\"\"ne' >type"),
            ("one\r\n", "nothing typed here\r"),
            // What it asks of a terminal is answered by hers, and goes nowhere.
            ("", "run echo 'printf \"\\033[6ntw\"; echo o' >type"),
            ("two\r\n", "\x1b[5;5Rq"),
            ("goes on", ""),
        ],
    );
    let Some((seen, after)) = run.stdout.split_once("watch: 0, ") else { panic!("{run:?}") };
    let Some((ended, watched)) = after.split_once("status: 7.") else { panic!("{run:?}") };
    assert_eq!(run.status, 0, "{run:?}");
    assert!(seen.contains("of watcha@laptop: watcha@watch-live on b1; from now on"), "{run:?}");
    assert!(seen.contains("\x1b[6n") && seen.contains("\x1b[?1049l"), "{run:?}");
    assert!(!seen.contains("alone"), "{run:?}");
    let id = ended.split_once('.').map_or("", |(id, _)| id);
    let told = [BEGAN, "one", "two", LEFT, "alone"].map(|text| watched.find(text));
    assert!(told.is_sorted() && told[0].is_some(), "{told:?}: {run:?}");
    assert!(!watched.contains("typed") && !watched.contains("5R"), "{run:?}");
    assert_eq!(records(id), [(0.into(), Value::Null)]);
}

#[test]
fn who_watches_is_told_why_it_ends_and_leaves_one_record_whatever_ends_it() {
    let [_] = people(["watchb"]);
    let _guest = Guest::new(&world().sentinel, "b1", "watch-end", "watchb");
    let run = world().client(&format!(
        "{BEGIN}begin watchb watch-end\n\
         ssh -n -F $CFG sentinel session watch $id >cut 2>cut.err & cut=$!\n\
         wait_for 'terminal' cut.err; kill -KILL $cut\n\
         wait_for '{LEFT}' watched\n\
         ssh -n -F $CFG sentinel session watch $id.1 >out 2>err & watch=$!\n\
         wait_for 'terminal' err; echo 'echo o\"\"ne' >&4; wait_for one out\n\
         ssh -n -F $CFG sentinel session kill $id >&2; wait $watch; echo $? $id; cat out; cat err >&2"
    ));
    let mut lines = run.stdout.lines();
    let Some(("0", id)) = lines.next().and_then(|l| l.split_once(' ')) else { panic!("{run:?}") };
    assert_eq!(lines.next().map(|line| line.contains("one")), Some(true), "{run:?}");
    let told = [format!("note: terminal {id}.1 of 80x24\n"), format!("note: session {id} ended\n")];
    assert!(told.iter().all(|line| run.stderr.contains(line)), "{run:?}");

    let cut = (130.into(), "its session ended before it did".into());
    world().sentinel.wait("it is recorded", || !records(id).is_empty());
    assert_eq!(records(id), [cut]);
    world().sentinel.wait("it is recorded", || !records(&format!("{id}.1")).is_empty());
    assert_eq!(records(&format!("{id}.1")), [(0.into(), Value::Null)]);

    assert_failed(&console(&format!("session watch {id}")), 3, &["no session", "is open"]);
}

#[test]
fn who_stops_is_dropped_and_the_watched_session_goes_on_meanwhile() {
    const BULK: usize = 12_000_000;
    let [_] = people(["watchc"]);
    let guest = Guest::new(&world().sentinel, "b1", "watch-stop", "watchc");
    let script = format!(
        "{BEGIN}begin watchc watch-stop\n\
         ssh -n -F $CFG sentinel session watch $id >seen 2>err & watch=$!\n\
         wait_for '{BEGAN}' watched; wait_for terminal err; kill -STOP $watch\n\
         echo 'head -c {BULK} /dev/zero | tr \"\\0\" x; echo; echo bu\"\"lk' >&4\n\
         wait_for bulk watched\n\
         echo 'until [ -e /tmp/enough ]; do echo more; sleep 0.1; done; exit 7' >&4\n\
         wait_for '{LEFT}' watched; ssh -n -F $CFG -i $DIR/watchc -l watch-stop $DOOR touch /tmp/enough\n\
         wait $session; echo $?; tr -dc x <watched | wc -c\n\
         kill -CONT $watch; wait $watch; echo $? $id; cat err >&2"
    );
    let run = world().client(&script);
    let lines: Vec<_> = run.stdout.lines().collect();
    let ["7", bulk, last] = lines.as_slice() else { panic!("{run:?}") };
    assert_eq!(*bulk, BULK.to_string(), "{run:?}");
    let Some(("1", id)) = last.split_once(' ') else { panic!("{run:?}") };
    assert!(run.stderr.contains("here nothing was taken for 5 s"), "{run:?}");
    world().sentinel.wait("it is recorded", || !records(id).is_empty());
    let records = records(id);
    assert!(records.len() == 1 && records[0].0 == 1, "{records:?}");
    drop(guest);
}

#[test]
fn nobody_is_told_where_that_is_configured() {
    let [_] = people(["watchd"]);
    let _guest = Guest::new(&world().sentinel, "b1", "watch-untold", "watchd");
    let config = config(&world().dir, 2404, "[record]\ntell_watched = false\n");
    let sentinel = Sentinel::start(&world().dir, "watch-untold", &config);
    sentinel.wait_until_listed(&["watch-untold"]);
    let run = world().client(&format!(
        "{BEGIN}P='-p 2404'; begin watchd watch-untold\n\
         ssh -n $P -F $CFG sentinel session watch $id >out 2>err & watch=$!\n\
         wait_for terminal err; echo 'echo o\"\"ne; exit 7' >&4; wait $session; echo $?\n\
         wait $watch; echo $?; cat watched; cat out >&2"
    ));
    assert!(run.stdout.starts_with("7\n0\n") && run.stdout.contains("one"), "{run:?}");
    assert!(run.stderr.contains("one") && !run.stdout.contains("this terminal]"), "{run:?}");
}
