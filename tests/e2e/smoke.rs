//! The first minute: everything a newcomer tries.

use crate::harness::world;

#[test]
pub fn a_login_name_is_a_container() {
    let world = world();
    for name in ["alice", "bob"] {
        let run = world.client(&format!("ssh -F $CFG {name} 'hostname; id -un'"));
        assert_eq!(run.stdout, format!("{name}-container\n{name}\n"), "{run:?}");
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    }
}

#[test]
pub fn an_administrator_lists_the_fleet() {
    let run = world().client("ssh -F $CFG sentinel list --json");
    let list: serde_json::Value =
        serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"));
    let text = list.to_string();
    assert!(text.contains("\"alice\"") && text.contains("\"bob\""), "{text}");
}
