//! What must never be: a shell on the sentinel, a host key that two containers share.

use std::{
    fs,
    process::{Command, Stdio},
};

use super::{Person, config as instance, console};
use crate::harness::{Sentinel, config, lab, lab_command, quiet_delete, world};

#[test]
fn the_sentinel_runs_no_program_whatever_is_typed() {
    let (_person, dir) = (Person::new("cr-shell"), &world().dir);
    let sentinel = Sentinel::start(dir, "cr-shell", &config(dir, 2289, ""));
    let trace = dir.join("cr-shell.trace");
    let mut strace = Command::new("strace")
        .args([
            "-f",
            "-e",
            "trace=execve,execveat,connect",
            "-p",
            &sentinel.pid().to_string(),
            "-o",
        ])
        .arg(&trace)
        .stderr(Stdio::null())
        .spawn()
        .expect("strace");
    let traced = || fs::read_to_string(&trace).unwrap_or_default();
    let status = format!("/proc/{}/status", sentinel.pid());
    sentinel.wait("it is traced", || {
        !fs::read_to_string(&status).unwrap_or_default().contains("TracerPid:\t0\n")
    });
    let run = world().client(
        "run() { ssh -p 2289 -F $CFG sentinel \"$1\" >out 2>&1 < ${2:-/dev/null}; echo $?; }\n\
         run 'create cr-shell --image small --ssh-key -' $DIR/cr-shell.pub\n\
         run 'create \"$(touch /tmp/pwned)\" --ssh-key \"`id`\"'; run 'create \"a;id\" --ssh-key -'\n\
         run 'adopt \"$(id)-container\" --owner \"a|id\" --ssh-key -'; run 'delete cr-shell --force'",
    );
    let calls = traced();
    strace.kill().unwrap();
    strace.wait().unwrap();
    assert_eq!(run.stdout, "0\n2\n2\n2\n0\n", "{run:?}");
    assert!(calls.contains("connect("), "nothing was traced: {calls}");
    assert!(!calls.contains("exec"), "{calls}");
}

#[test]
fn no_two_containers_have_a_host_key_of_their_image() {
    let people = ["cr-seed", "cr-twin1", "cr-twin2"].map(Person::new);
    // An image of a container that has run has its host keys in it.
    let incus = |words: &[&str]| lab().incus("b1", words);
    let _ = lab_command(&["incus", "b1", "image", "delete", "cr-baked"]).output();
    let seed = people[0].create("--image small --backend b1");
    assert_eq!(seed.status, 0, "{seed:?}");
    incus(&["stop", "-f", "cr-seed-container"]);
    incus(&["publish", "-q", "cr-seed-container", "--alias", "cr-baked"]);
    let made = people[1..].iter().map(|p| p.create("--image cr-baked --backend b1"));
    let made: Vec<_> = made.collect();
    incus(&["image", "delete", "cr-baked"]);
    assert!(made.iter().all(|m| m.status == 0), "{made:?}");
    let keys = people.each_ref().map(|person| {
        let key = instance("b1", person.0)["config"]["user.containarium.host-keys"].clone();
        key.as_str().unwrap().to_owned()
    });
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2], "{keys:?}");
    assert!(keys.iter().all(|key| key.starts_with("ssh-ed25519 ")), "{keys:?}");
    let inside = people[2].run("hostname");
    assert_eq!(inside.stdout, "cr-twin2-container\n", "{inside:?}");
    quiet_delete("b1", &["cr-seed"]);
    let info = console("info cr-twin1");
    assert_eq!(info.status, 0, "{info:?}");
}
