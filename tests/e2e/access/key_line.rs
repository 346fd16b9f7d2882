//! Options of the key lines in labels: they bind in the container, through the certificate.

use super::{assert_prints, assert_refused, newcomers};
use crate::harness::{Guest, Run, label, world};

#[test]
fn options_of_a_key_line_hold_in_the_container() {
    let keys = newcomers(["ruth", "forced", "tight", "roaming", "late"]);
    let [ruth, forced, tight, roaming, late] = &keys;
    let guest = Guest::new(&world().sentinel, "b2", "rules", "ruth");
    let lines = [
        ruth.clone(),
        format!("command=\"echo forced: $SSH_ORIGINAL_COMMAND\" {forced}"),
        format!("restrict,pty {tight}"),
        format!("from=\"192.0.2.12,!192.0.2.13,192.0.2.13\" {roaming}"),
        format!("expiry-time=\"20200101\" {late}"),
    ];
    label(&guest.backend, &guest.name, "authorized-keys", &lines.join("\n"));
    let attempt = |person: &str, ssh: &str, command: &str| -> Run {
        world().client(&format!("ssh -F $CFG -i $DIR/{person} {ssh} -l rules $DOOR '{command}'"))
    };
    world().sentinel.wait("labels are read", || attempt("tight", "", "true").status == 0);
    assert_prints(&attempt("forced", "", "id -un"), "forced: id -un\n");
    assert_prints(&attempt("ruth", "", "id -un"), "ruth\n");

    let pty = attempt("tight", "-tt", "tty");
    assert!(pty.stdout.starts_with("/dev/pts/"), "pty was given back: {pty:?}");
    let forward = "-o ExitOnForwardFailure=yes -R 0:127.0.0.1:1";
    let refused = attempt("tight", forward, "id -un");
    assert!(refused.stderr.contains("remote port forwarding failed"), "{refused:?}");
    assert_eq!(attempt("ruth", forward, "true").status, 0);

    assert_refused(&attempt("roaming", "", "id -un"));
    assert_refused(&attempt("roaming", "-b 192.0.2.13", "id -un"));
    assert_prints(&attempt("roaming", "-b 192.0.2.12", "id -un"), "ruth\n");
    assert_refused(&attempt("late", "", "id -un"));
}
