//! Backends and sentinels that die while a container is made.

use super::Person;
use crate::harness::{
    Run, Sentinel, backend_section, config, lab, lab_command, quiet_delete, trust_link_key, world,
};

/// Begins a creation at the sentinel on `port`; does something once packages are installed; the
/// output of the creation and its status, last.
fn create_and(port: u16, name: &str, backend: &str, act: impl FnOnce()) -> Run {
    let begun = world().dir.join(format!("{name}.begun"));
    let script = format!(
        "ssh -p {port} -F $CFG sentinel 'create {name} --ssh-key - --image bare --backend {backend}' \
           < $DIR/{name}.pub > $DIR/{name}.begun 2>&1 & wait $!; echo $? >> $DIR/{name}.begun; cat $DIR/{name}.begun"
    );
    std::thread::scope(|scope| {
        let run = scope.spawn(|| world().client(&script));
        world().sentinel.wait("packages are being installed", || {
            std::fs::read_to_string(&begun).unwrap_or_default().contains("[4/7] install")
        });
        act();
        run.join().unwrap()
    })
}

fn create_small(port: u16, name: &str, backend: &str) -> Run {
    world().client(&format!(
        "ssh -p {port} -F $CFG sentinel 'create {name} --ssh-key - --image small --backend {backend}' \
           < $DIR/{name}.pub"
    ))
}

#[test]
fn a_backend_that_dies_leaves_nothing_that_blocks_a_second_try() {
    let _alone = crate::harness::b3();
    let (_person, dir) = (Person::new("cr-dies"), &world().dir);
    let lab_does = |command: &str| {
        let out = lab_command(&[command, "b3"]).output().unwrap();
        assert!(out.status.success(), "{command}: {}", String::from_utf8_lossy(&out.stderr));
    };
    trust_link_key(dir);
    let sentinel = Sentinel::start(dir, "cr-dies", &config(dir, 2285, &backend_section("b3")));
    quiet_delete("b3", &["cr-dies"]);
    let failed = create_and(2285, "cr-dies", "b3", || lab_does("kill"));
    assert!(failed.stdout.ends_with("\n69\n"), "{failed:?}");
    assert!(failed.stdout.contains("error: install what is missing in cr-dies: "), "{failed:?}");
    assert!(failed.stdout.contains("is left on b3"), "{failed:?}");
    let away = create_small(2285, "cr-dies", "b3");
    assert_eq!((away.status, away.stdout.as_str()), (69, ""), "{away:?}");
    lab_does("revive");
    sentinel.wait("it is back", || {
        sentinel.log_text().matches("backend is up backend=b3").count() == 2
    });
    assert!(sentinel.console(&["status"]).stdout.contains("cr-dies"), "what was left is shown");
    assert!(!sentinel.console(&["list", "-q"]).stdout.contains("cr-dies"));
    let again = create_small(2285, "cr-dies", "b3");
    quiet_delete("b3", &["cr-dies"]);
    assert_eq!(again.status, 0, "{again:?}");
    assert!(again.stderr.contains("removing what an earlier try left on b3"), "{again:?}");
}

#[test]
fn what_a_killed_sentinel_left_is_removed_by_the_next_try() {
    let (person, dir) = (Person::new("cr-crash"), &world().dir);
    let text = config(dir, 2286, "");
    let sentinel = Sentinel::start(dir, "cr-crash", &text);
    let failed = create_and(2286, "cr-crash", "b1", || sentinel.signal("KILL"));
    assert!(failed.stdout.ends_with("\n255\n"), "{failed:?}");
    drop(sentinel);
    let left = lab().incus("b1", &["list", "^cr-crash", "-fcsv", "-cns"]);
    assert_eq!(left, "cr-crash-container,RUNNING\n");
    let sentinel = Sentinel::start(dir, "cr-crash", &text);
    let again = create_small(2286, "cr-crash", "b2");
    assert_eq!(again.status, 0, "{again:?}");
    assert!(again.stderr.contains("removing what an earlier try left on b1"), "{again:?}");
    assert_eq!(lab().incus("b1", &["list", "^cr-crash", "-fcsv", "-cns"]), "");
    assert_eq!(person.run("-p 2286 true").status, 0);
    drop(sentinel);
}
