//! `adopt`: instances of an existing host become containers, and keep what is in them.

use super::console;
use crate::harness::{Run, lab, make_key, quiet_delete, world};

fn adopt(instance: &str, person: &str, options: &str) -> Run {
    world().client(&format!(
        "ssh -F $CFG sentinel 'adopt {instance} --ssh-key - {options}' < $DIR/{person}.pub"
    ))
}

#[test]
fn an_instance_that_is_there_keeps_its_data_and_is_logged_in_to() {
    quiet_delete("b2", &["ad-old"]);
    make_key(&world().dir, "ad-old");
    lab().incus("b2", &["launch", "-q", "bare", "ad-old-container"]);
    world().sentinel.wait("it runs commands", || {
        let list = ["list", "^ad-old", "-fcsv", "-c4"];
        lab().incus("b2", &list).contains("eth0")
    });
    let inside = "useradd -m -s /bin/sh ann && echo precious >/home/ann/data && \
                  install -d -o ann -m 700 /home/ann/.ssh && echo '# hers' >/home/ann/.ssh/authorized_keys && \
                  chown -R ann:ann /home/ann";
    lab().incus("b2", &["exec", "ad-old-container", "-T", "--", "sh", "-ec", inside]);
    lab().incus("b2", &["stop", "-f", "ad-old-container"]);

    let adopted = adopt("ad-old-container", "ad-old", "--owner ann");
    assert_eq!(adopted.status, 0, "{adopted:?}");
    let door = lab().get("LAB_SENTINEL_ADDRESS");
    let expected = format!("ad-old is ready on b2\nssh ad-old@{door}\n");
    assert_eq!(adopted.stdout, expected);
    let kept = world().client(
        "ssh -F $CFG -i $DIR/ad-old ad-old@$DOOR 'cat data; head -n 1 .ssh/authorized_keys; sudo -n id -u'",
    );
    assert_eq!((kept.stdout.as_str(), kept.status), ("precious\n# hers\n0\n", 0), "{kept:?}");

    let again = adopt("ad-old-container", "ad-old", "--owner ann");
    assert_eq!((again.status, again.stdout.as_str()), (4, ""), "{again:?}");
    assert!(again.stderr.contains("ad-old exists already, on b2"), "{again:?}");
    assert_eq!(console("delete ad-old --force").status, 0);
}

#[test]
fn an_owner_who_never_had_a_password_is_not_locked_out() {
    quiet_delete("b1", &["ad-small"]);
    make_key(&world().dir, "ad-small");
    lab().incus("b1", &["launch", "-q", "small", "ad-small-container"]);
    // As busybox makes accounts: `!` for the password, which its sshd takes for locked.
    let inside = "adduser -D ida && grep -q '^ida:!:' /etc/shadow && echo hers >/home/ida/data";
    lab().incus("b1", &["exec", "ad-small-container", "-T", "--", "sh", "-ec", inside]);
    let adopted = adopt("ad-small-container", "ad-small", "--owner ida");
    assert_eq!(adopted.status, 0, "{adopted:?}");
    let kept = world()
        .client("ssh -F $CFG -i $DIR/ad-small ad-small@$DOOR 'id -un; cat data; sudo -n id -u'");
    assert_eq!((kept.stdout.as_str(), kept.status), ("ida\nhers\n0\n", 0), "{kept:?}");
    assert_eq!(console("delete ad-small --force").status, 0);
}

#[test]
fn what_is_not_there_or_not_to_be_adopted_is_refused() {
    make_key(&world().dir, "ad-none");
    for (instance, options, status, says) in [
        ("ad-none-container", "--owner ann", 3, "no instance ad-none-container"),
        ("ad-none-container", "--owner ann --backend b9", 3, "no backend named \"b9\""),
        ("ad-none", "--owner ann", 2, "hint: stop it and rename it on its backend: incus rename"),
        ("\"a;id-container\"", "--owner ann", 2, "name must match"),
        ("ad-none-container", "--owner root", 2, "root is no name for an owner"),
        ("ad-none-container", "--owner Ann", 2, "name must match"),
        ("admin-container", "--owner ann", 2, "name is reserved"),
    ] {
        let refused = adopt(instance, "ad-none", options);
        assert_eq!((refused.status, refused.stdout.as_str()), (status, ""), "{refused:?}");
        assert!(refused.stderr.contains(says), "{says}: {refused:?}");
    }
}
