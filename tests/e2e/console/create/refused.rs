//! What is refused before anything is made.

use super::{super::console, Person, instances};
use crate::harness::{lab, lab_command, quiet_delete, world};

/// Words after `create`, the exit status, and a piece of what is said.
const REFUSED: &[(&str, u8, &str)] = &[
    ("Cr-bad", 2, "name must match [a-z][a-z0-9-]*"),
    ("\"cr-bad;id\"", 2, "name must match"),
    ("admin", 2, "name is reserved"),
    ("cr-bad --owner root", 2, "root is no name for an owner"),
    ("cr-bad --owner sudo", 2, "sudo is no name for an owner"),
    ("mail", 2, "mail is no name for an owner"),
    ("cr-bad --cpu 0", 2, "at least 1 processor"),
    ("cr-bad --cpu 3-1", 2, "goes backwards"),
    ("cr-bad --cpu 9999", 2, "9999 processors are more than there are: b"),
    ("cr-bad --cpu 0-9998", 2, "9999 processors are more than there are: b"),
    ("cr-bad --memory 8G", 2, "size needs a unit: MB, GB, TB, or MiB, GiB, TiB"),
    ("cr-bad --memory 1MB", 2, "1MB of memory is too little"),
    ("cr-bad --memory 900TB", 2, "900TB of memory are more than there is: b"),
    ("cr-bad --disk 0GB", 2, "size must be more than 0"),
    ("cr-bad --disk-quota 1MB", 2, "1MB of disk is too little"),
    ("cr-bad --disk 9999999TB", 2, "of disk is more than there is"),
    ("cr-bad --backend b9", 3, "no backend named \"b9\""),
    ("cr-bad --pool nowhere", 3, "no backend is in pool \"nowhere\""),
    ("cr-bad --image \"a b\"", 2, "an image is written like"),
    ("cr-bad --image nowhere:debian", 2, "no image server named \"nowhere\""),
    ("cr-bad --os-type beos", 2, "no system named \"beos\""),
    ("cr-bad --image small --os-type alpine", 2, "cannot be used with"),
    ("cr-bad --gpu first", 2, "a graphics card is a number"),
    ("cr-bad --gpu 0", 3, "no backend has that graphics card: b"),
    ("cr-bad --stack nothing", 3, "no stack named \"nothing\""),
    ("cr-bad --podman --no-docker", 2, "cannot be used with"),
    ("bob", 4, "bob exists already, on b2"),
];

#[test]
fn what_cannot_be_is_refused_before_anything_is_made() {
    let _person = Person::new("cr-bad");
    let mut script = String::new();
    for (words, ..) in REFUSED {
        script += &format!(
            "ssh -F $CFG sentinel 'create {words} --ssh-key -' < $DIR/cr-bad.pub 2>&1 | tail -n 2 | tr '\\n' ' '\n\
             echo \"${{PIPESTATUS[0]}}\"\n"
        );
    }
    let run = world().client(&script);
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines.len(), REFUSED.len(), "{run:?}");
    for ((words, status, says), line) in REFUSED.iter().zip(lines) {
        let said = line.contains("error: ") && line.contains(says);
        assert!(said && line.ends_with(&format!(" {status}")), "{words}: {line}");
    }
    assert_eq!(instances("cr-bad"), [""; 0]);
}

#[test]
fn keys_that_are_none_are_refused_and_not_repeated() {
    let _person = Person::new("cr-key");
    let run = world().client(
        "key=$DIR/cr-key; create() { ssh -F $CFG sentinel \"create cr-key --image small --ssh-key -\" 2>&1 | head -n 1; }\n\
         create < $key; cat $key.pub $key.pub | create; echo garbage | create; create < /dev/null\n\
         ssh-keygen -q -t rsa -b 1024 -N '' -f weak 2>/dev/null; create < weak.pub\n\
         head -c 100000 /dev/zero | tr '\\0' a | create\n\
         ssh -F $CFG sentinel 'create cr-key --image small' 2>&1 | head -n 1\n\
         ssh -F $CFG sentinel 'create cr-key --image small --ssh-key /etc/passwd' 2>&1 | head -n 1\n\
         grep -v -- ----- $key | head -n 1 | cut -c1-40",
    );
    let lines: Vec<_> = run.stdout.lines().collect();
    let says = [
        "that is a private key",
        "more than one line",
        "public key: ",
        "no public key given",
        "public key: ",
        "longer than",
        "--ssh-key",
        "public key: ",
    ];
    assert_eq!(lines.len(), says.len() + 1, "{run:?}");
    for (line, says) in lines.iter().zip(says) {
        assert!(line.starts_with("error: ") && line.contains(says), "{says}: {line}");
    }
    let secret = lines[says.len()];
    assert!(lines[..says.len()].iter().all(|line| !line.contains(secret)), "{run:?}");
    assert!(!world().sentinel.log_text().contains(secret));
    assert_eq!(instances("cr-key"), [""; 0]);
}

#[test]
fn what_has_the_name_already_is_told_apart_and_left_alone() {
    let person = Person::new("cr-taken");
    for (mark, says, hint) in [
        ("user.x=y", "which is no container of this sentinel", "`adopt cr-taken-container`"),
        (
            "user.containarium.creating=SHA256:other 2026-01-01T00:00:00Z",
            "another sentinel is making cr-taken on b1 (SHA256:other 2026-01-01T00:00:00Z)",
            "if that sentinel is gone",
        ),
    ] {
        lab().incus("b1", &["init", "-q", "--empty", "cr-taken-container", "-c", mark]);
        let refused = person.create("--image small --backend b1");
        assert_eq!((refused.status, refused.stdout.as_str()), (4, ""), "{refused:?}");
        assert!(refused.stderr.contains(says) && refused.stderr.contains(hint), "{refused:?}");
        assert_eq!(instances("cr-taken"), ["cr-taken-container"]);
        quiet_delete("b1", &["cr-taken"]);
    }
    let missing = person.create("--image no-such-image");
    assert_eq!((missing.status, missing.stdout.as_str()), (3, ""), "{missing:?}");
    assert!(missing.stderr.contains("the backend has no such image"), "{missing:?}");
    assert_eq!(instances("cr-taken"), [""; 0]);
}

#[test]
fn what_does_not_start_is_removed_unless_it_is_to_be_kept() {
    let person = Person::new("cr-broken");
    // An image without anything in it: Incus makes the instance, and then cannot start it.
    let incus = |words: &[&str]| lab().incus("b2", words);
    let _ = lab_command(&["incus", "b2", "image", "delete", "cr-nothing"]).output();
    incus(&["init", "-q", "--empty", "cr-nothing"]);
    incus(&["publish", "-q", "cr-nothing", "--alias", "cr-nothing"]);
    incus(&["delete", "cr-nothing"]);
    let failed = person.create("--image cr-nothing --backend b2");
    assert_eq!((failed.status, failed.stdout.as_str()), (1, ""), "{failed:?}");
    assert!(failed.stderr.contains("error: start cr-broken: "), "{failed:?}");
    assert!(failed.stderr.contains("note: undoing: removing cr-broken-container"), "{failed:?}");
    assert_eq!(instances("cr-broken"), [""; 0]);
    let kept = person.create("--image cr-nothing --backend b2 --keep-failed");
    assert!(kept.stderr.contains("cr-broken-container on b2 is kept as it is"), "{kept:?}");
    assert_eq!(instances("cr-broken"), ["cr-broken-container"]);
    assert_eq!(console("info cr-broken").status, 3, "what is kept is nobody's container");
    world()
        .sentinel
        .wait("what is left is known", || console("status").stdout.contains("cr-broken"));
    let again = person.create("--image small --backend b2");
    incus(&["image", "delete", "cr-nothing"]);
    assert_eq!(again.status, 0, "{again:?}");
    assert!(again.stderr.contains("removing what an earlier try left on b2"), "{again:?}");
    assert_eq!(person.run("true").status, 0);
}
