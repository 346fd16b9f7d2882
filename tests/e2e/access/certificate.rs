//! Certificates of a users' CA: what they promise holds, and nothing more.

use super::{assert_prints, assert_refused, newcomers};
use crate::harness::{Run, Sentinel, config, make_key, set, world};

/// A sentinel that believes one CA about containers, and not about the console.
struct Believer {
    _sentinel: Sentinel,
    port: u16,
    /// The CA's key file in `$DIR`; the guest's is called `NAME-guest`.
    ca: String,
    guest: String,
}

impl Believer {
    fn start(name: &str, port: u16) -> Self {
        let dir = &world().dir;
        let (ca, guest) = (format!("{name}-ca"), format!("{name}-guest"));
        let [line, _] = newcomers([&ca, &guest]);
        let text = set(&config(dir, port, ""), "ssh", "user_ca_keys", &format!("[\"{line}\"]"));
        let sentinel = Sentinel::start(dir, name, &text);
        sentinel.wait_until_listed(&["alice", "bob"]);
        Self { _sentinel: sentinel, port, ca, guest }
    }

    /// Has `ca` certify the guest's key with options of `ssh-keygen`, then logs in as `login`,
    /// with further options of `ssh`, and runs `command`.
    fn log_in_by(&self, ca: &str, sign: &str, ssh: &str, login: &str, command: &str) -> Run {
        let Self { port, guest, .. } = self;
        world().client(&format!(
            "cp $DIR/{guest} guest && cp $DIR/{guest}.pub guest.pub &&\n\
             ssh-keygen -q -s $DIR/{ca} -I visit-7 {sign} guest.pub &&\n\
             ssh -F $CFG -p {port} -i guest {ssh} -l '{login}' $DOOR '{command}'"
        ))
    }

    fn log_in(&self, sign: &str, ssh: &str, login: &str, command: &str) -> Run {
        self.log_in_by(&self.ca, sign, ssh, login, command)
    }
}

#[test]
fn a_certificate_opens_the_container_that_is_its_principal() {
    let door = Believer::start("principals", 2201);
    let try_as = |principals: &str, login: &str| {
        door.log_in(&format!("-n {principals} -V +1h"), "", login, "id -un")
    };
    assert_prints(&try_as("alice", "alice"), "alice\n");
    assert_prints(&try_as("carol,bob", "bob"), "bob\n");
    assert_prints(&try_as("alice+alice", "alice+alice"), "alice\n");
    for (principals, login) in [
        ("bob", "alice"),
        ("alice+alice", "alice"),
        ("alice", "alice+alice"),
        ("alice+root", "alice+root"),
        ("Alice", "alice"),
        ("root", "alice"),
        ("admin", "admin"),
        ("whoever", "whoever"),
    ] {
        assert_refused(&try_as(principals, login));
    }
}

#[test]
fn a_certificate_that_does_not_hold_is_refused() {
    let door = Believer::start("promises", 2202);
    make_key(&world().dir, "foreign-ca");
    let good = "-n alice -V +1h";
    assert_prints(&door.log_in(good, "", "alice", "id -un"), "alice\n");
    for sign in [
        "-n alice -V -2h:-1h",
        "-n alice -V +1h:+2h",
        "-V +1h",
        "-n alice -V +1h -O critical:unheard-of=1",
        "-n alice -V +1h -h",
    ] {
        assert_refused(&door.log_in(sign, "", "alice", "id -un"));
    }
    for ca in ["foreign-ca", "promises-guest"] {
        assert_refused(&door.log_in_by(ca, good, "", "alice", "id -un"));
    }
}

#[test]
fn what_a_certificate_restricts_is_restricted() {
    let door = Believer::start("limits", 2203);
    let attempt = |sign: &str, ssh: &str, command: &str| {
        door.log_in(&format!("-n alice -V +1h {sign}"), ssh, "alice", command)
    };
    let forced = "-O force-command='echo forced: $SSH_ORIGINAL_COMMAND'";
    assert_prints(&attempt(forced, "", "id -un"), "forced: id -un\n");
    let source = "-O source-address=192.0.2.12/32,198.18.0.0/15";
    assert_refused(&attempt(source, "", "id -un"));
    assert_prints(&attempt(source, "-b 192.0.2.12", "id -un"), "alice\n");
    let bare = attempt("-O clear", "-tt", "tty");
    assert!(bare.stderr.contains("PTY allocation request failed"), "{bare:?}");
    let forward = attempt("-O clear", "-o ExitOnForwardFailure=yes -R 0:127.0.0.1:1", "id -un");
    assert!(
        forward.status == 255 && forward.stderr.contains("remote port forwarding failed"),
        "{forward:?}"
    );
    let full = attempt("", "-tt", "tty");
    assert!(full.stdout.starts_with("/dev/pts/"), "{full:?}");
}
