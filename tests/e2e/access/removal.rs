//! A key that is taken away ends at once; one that is added inside opens one container.

use std::time::{Duration, Instant};

use super::{assert_prints, assert_refused, log_in, newcomers, team};
use crate::harness::{Run, lab, label, labelled, quiet_delete, world};

/// The promise is a second; a login on a busy machine takes some of it.
const BOUND: Duration = Duration::from_secs(15);

/// How long after `removed` the first login was refused. Before that, all get in.
fn until_refused(removed: Instant, attempt: impl Fn() -> Run) -> Duration {
    loop {
        let began = removed.elapsed();
        let run = attempt();
        if run.status == 255 {
            assert_refused(&run);
            return began;
        }
        assert!(began < BOUND, "still valid after {began:?}: {run:?}");
    }
}

#[test]
fn a_key_removed_from_the_label_is_refused_within_a_second() {
    let [lea, new] = newcomers(["lea", "lea-new"]);
    quiet_delete("b2", &["brief"]);
    labelled("b2", "brief", "lea", &lea, &[]);
    world().sentinel.wait_until_listed(&["brief"]);
    let attempt = |person: &str| log_in(person, "brief", "true");
    assert_eq!(attempt("lea").status, 69);
    assert_refused(&attempt("lea-new"));
    label("b2", "brief", "authorized-keys", &new);
    let took = until_refused(Instant::now(), || attempt("lea"));
    println!("removed from the label: refused by a login that began {} ms after", took.as_millis());
    assert_eq!(attempt("lea-new").status, 69, "the other key has its place");
    quiet_delete("b2", &["brief"]);
    // Its name is unknown now, and so is its key.
    world().sentinel.wait("brief is gone", || attempt("lea-new").status == 255);
}

#[test]
fn a_key_added_inside_opens_that_container_until_it_is_removed_there() {
    team();
    newcomers(["phone"]);
    assert_refused(&log_in("phone", "team", "id -un"));
    let copied = world().client(
        "printf 'Host team\\n HostName %s\\n User team\\n IdentitiesOnly no\\n' $DOOR >cfg\n\
         cat $CFG >>cfg && mkdir .ssh && eval $(ssh-agent) && trap 'kill $SSH_AGENT_PID' EXIT\n\
         ssh-add -q $DIR/dora && HOME=$PWD ssh-copy-id -F $PWD/cfg -i $DIR/phone.pub team",
    );
    assert!(copied.stdout.contains("Number of key(s) added: 1"), "{copied:?}");
    let attempt = || log_in("phone", "team", "id -un");
    world().sentinel.wait("the added key opens", || attempt().status == 0);
    assert_prints(&attempt(), "dora\n");
    for login in ["alice", "bob", "team+emil", "whoever", "admin"] {
        assert_refused(&log_in("phone", login, "id -un"));
    }
    let file = "/home/dora/.ssh/authorized_keys";
    // Read a moment before: what was remembered then must not last.
    assert_prints(&attempt(), "dora\n");
    let script = format!("sed -i /phone@laptop/d {file}");
    lab().incus("b1", &["exec", "team-container", "-T", "--", "sh", "-ec", &script]);
    let took = until_refused(Instant::now(), attempt);
    println!("removed inside: refused by a login that began {} ms after", took.as_millis());
    assert_prints(&log_in("dora", "team", "id -un"), "dora\n");
}
