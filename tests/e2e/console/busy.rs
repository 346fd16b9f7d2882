//! Screens: what containers use is seen while it is used.

use super::console;
use crate::harness::{Guest, world};

/// Opens the page of a container without a window around it, until a pattern was drawn or two minutes
/// are over; prints all that was drawn.
const LOOK: &str = r"
    set -e
    dir=$(mktemp -d); mkfifo $dir/keys
    TERM=xterm LC_ALL=C.UTF-8 ssh -F $CFG -tt sentinel NAME < $dir/keys > $dir/seen & exec 3> $dir/keys
    for i in $(seq 600); do if grep -Eaq 'PATTERN' $dir/seen; then break; fi; sleep 0.2; done
    printf q >&3; wait $!; cat -v $dir/seen; rm -r $dir
";

fn look(name: &str, pattern: &str) -> String {
    let run = world().client(&LOOK.replace("NAME", name).replace("PATTERN", pattern));
    assert_eq!(run.status, 0, "{run:?}");
    run.stdout
}

#[test]
fn a_busy_container_is_seen_to_be_busy() {
    let guest = Guest::new(&world().sentinel, "b1", "busy-seen", "alice");
    let run = console("resize busy-seen --cpu 1 --memory 1GiB --disk 1GiB");
    assert_eq!(run.status, 0, "{run:?}");
    let calm = look("busy-seen", "[0-9]%");
    assert!(calm.contains("of 1GiB"), "{calm}");
    guest.root("nohup sh -c 'while :; do :; done' >/dev/null 2>&1 &");
    // Whatever else the machine does, a loop gets some of it. Idle containers have one digit.
    let busy = look("busy-seen", "[1-9][0-9]+%");
    let digits = |at: usize| busy[..at].rsplit(|c: char| !c.is_ascii_digit()).next();
    let percents = busy.match_indices('%').filter_map(|(at, _)| digits(at)?.parse::<u8>().ok());
    let seen = percents.max();
    assert!(seen >= Some(10), "{seen:?}: {busy}");
}
