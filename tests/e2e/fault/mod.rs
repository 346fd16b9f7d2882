//! What goes wrong between the door and a container, and what people see of it.

mod away;
mod exec;
mod hostile;
mod identity;
mod recovery;
mod slow;

use std::fs;

use crate::harness::{Run, make_key, world};

/// Makes the key pair of an owner in `$DIR`.
fn newcomer(person: &str) -> String {
    let dir = &world().dir;
    make_key(dir, person);
    fs::read_to_string(dir.join(format!("{person}.pub"))).unwrap().trim().to_owned()
}

/// Logs in as `login` at the sentinel on `port` with the key of `person`.
fn log_in(port: u16, person: &str, login: &str, command: &str) -> Run {
    world().client(&format!("ssh -F $CFG -p {port} -i $DIR/{person} -l {login} $DOOR '{command}'"))
}

/// Asserts that a person was let in and told one sentence with these words, and why she is not
/// where she wanted to be is never her key.
#[track_caller]
fn assert_told(run: &Run, status: i32, words: &[&str]) {
    let all = words.iter().all(|word| run.stderr.contains(word));
    assert!(all && run.stderr.starts_with("error: container "), "{words:?}: {run:?}");
    assert_eq!(
        (run.status, run.stdout.as_str(), run.stderr.lines().count()),
        (status, "", 1),
        "{run:?}"
    );
    assert!(!run.stderr.contains("Permission denied"), "{run:?}");
}

/// Asserts that scp, sftp and rsync show these words of the sentence, too.
fn assert_copiers_are_told(port: u16, person: &str, login: &str, words: &str) {
    let ssh = format!("-F $CFG -i $DIR/{person}");
    let run = world().client(&format!(
        "echo x >file\n\
         {{ scp {ssh} -P {port} file {login}@$DOOR: >scp 2>&1; echo scp $? >>scp; }} &\n\
         {{ scp {ssh} -O -P {port} file {login}@$DOOR: >old 2>&1; echo old $? >>old; }} &\n\
         {{ echo ls | sftp {ssh} -b - -P {port} {login}@$DOOR >sftp 2>&1; echo sftp $? >>sftp; }} &\n\
         {{ rsync -e \"ssh {ssh} -p {port}\" file {login}@$DOOR: >rsync 2>&1; echo rsync $? >>rsync; }} &\n\
         wait\n\
         for f in scp old sftp rsync; do echo \"$f: $(tr '\\n' ' ' <$f)\"; done"
    ));
    for line in run.stdout.lines() {
        let told = line.contains(words) && !line.contains("Permission denied");
        assert!(told && !line.ends_with(" 0 "), "{line}");
    }
    assert_eq!(run.stdout.lines().count(), 4, "{run:?}");
}
