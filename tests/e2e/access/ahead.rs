//! What the offer of a permitted key sets going before anything is signed.

use super::{assert_prints, log_in};
use crate::harness::{Guest, world};

/// Established connections to sshd, as `/proc/net/tcp` shows them: port 22 is 16 in hexadecimal.
const AT_SSHD: &str =
    "cat /proc/net/tcp /proc/net/tcp6 | awk '$2 ~ /:0016$/ && $4 == \"01\"' | wc -l";

/// Whether a line of the log tells that somebody was let in as `login`.
fn is_login(line: &str, login: &str) -> bool {
    line.contains(": login session=") && line.contains(&format!("login=\"{login}\""))
}

#[test]
fn a_login_is_begun_while_the_signature_is_on_its_way() {
    let guest = Guest::new(&world().sentinel, "b1", "eager", "alice");
    assert_prints(&log_in("alice", "eager", "echo in"), "in\n");
    let log = world().sentinel.log_text();
    let login = log.lines().find(|line| is_login(line, "eager")).expect("the login is logged");
    let session = login.split(' ').find(|word| word.starts_with("session=")).unwrap();
    let connected = format!("connected {session} ");
    let connected = log.lines().find(|line| line.contains(&connected)).expect("it was connected");
    assert!(connected.contains("ahead=true"), "{connected}");
    drop(guest);
}

/// Keys are public: whoever has read them can offer them, and gets nothing that stays.
#[test]
fn an_offer_that_nobody_signs_opens_nothing_and_leaves_nothing() {
    let sentinel = &world().sentinel;
    let guest = Guest::new(sentinel, "b1", "lure", "alice");
    // The client offers the public half; the private one is locked.
    let run = world().client(
        "cp $DIR/alice locked && cp $DIR/alice.pub locked.pub && chmod 600 locked\n\
         ssh-keygen -q -p -P '' -N secret -f locked >/dev/null\n\
         for i in 1 2 3 4 5 6 7 8; do\n\
           { ssh -F $CFG -i locked -l lure $DOOR true 2>err$i; echo $? >end$i; } &\n\
         done\n\
         ssh -F $CFG -i $DIR/alice -l lure $DOOR 'echo beside them'; wait\n\
         sort -u end?; grep -c 'Permission denied (publickey)' err?",
    );
    let denied = "err1 err2 err3 err4 err5 err6 err7 err8".replace(' ', ":1\n") + ":1\n";
    assert_eq!(run.stdout, format!("beside them\n255\n{denied}"), "{run:?}");
    let log = sentinel.log_text();
    let logins = log.lines().filter(|line| is_login(line, "lure"));
    assert_eq!(logins.count(), 1, "one login: that of the key that signed");
    sentinel.wait("nobody is connected to the container", || guest.root(AT_SSHD).trim() == "0");
}
