//! Who gets in, and where: names, keys, collaborators, certificates.

mod ahead;
mod certificate;
mod grid;
mod key_line;
mod name;
mod person;
mod removal;
mod stranger;

use std::{fs, sync::OnceLock};

use crate::harness::{Run, make_key, world};

/// Makes key pairs in `$DIR` for people of one test, and returns their public lines.
fn newcomers<const N: usize>(people: [&str; N]) -> [String; N] {
    let dir = &world().dir;
    people.map(|person| {
        make_key(dir, person);
        fs::read_to_string(dir.join(format!("{person}.pub"))).unwrap().trim().to_owned()
    })
}

/// Logs in at the shared sentinel as `login` with the key of `person`.
fn log_in(person: &str, login: &str, command: &str) -> Run {
    world().client(&format!("ssh -F $CFG -i $DIR/{person} -l '{login}' $DOOR '{command}'"))
}

/// Asserts that a login was refused as all of them are.
#[track_caller]
fn assert_refused(run: &Run) {
    let refused = run.stderr.trim_end().ends_with(": Permission denied (publickey).");
    assert!(run.status == 255 && refused && run.stdout.is_empty(), "not refused: {run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
}

/// Asserts that a login succeeded and its command printed this.
#[track_caller]
fn assert_prints(run: &Run, stdout: &str) {
    assert_eq!((run.stdout.as_str(), run.stderr.as_str(), run.status), (stdout, "", 0), "{run:?}");
}

/// Container `team` of dora, with emil as a collaborator.
fn team() {
    static TEAM: OnceLock<()> = OnceLock::new();
    TEAM.get_or_init(|| {
        newcomers(["dora", "emil"]);
        let emil = format!("emil={}/emil.pub", world().dir.display());
        world().container("b1", "team", "dora", &["--collaborator", &emil]);
        world().sentinel.wait_until_listed(&["team"]);
    });
}
