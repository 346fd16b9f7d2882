//! A team's first day from beginning to end, told by a script over SSH alone.

use crate::harness::world;

#[test]
fn a_team_gets_its_containers_changes_shares_and_deletes_them() {
    let run = world().client(include_str!("../../scripts/team.sh"));
    let expected = "\
amy is amy, root by root
ben is ben, root by root
again: 4
listed: 2
info: ('running', 'b1', 'amy', '1GB', '2GB')
inside: 1 cpu, 524288 kB
default: root no, owner amy, docker no
sudo: root yes, docker no
runtime: root no, docker yes, podman yes
short: cyd
removed: no
amy: amy-container
amy-jump: amy-container
deleted: 255
new: 0 files
left: 0
";
    assert_eq!((run.stdout.as_str(), run.status), (expected, 0), "{run:?}");
}
