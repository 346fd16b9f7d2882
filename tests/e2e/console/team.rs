//! A team's first day from beginning to end, told by a script over SSH alone.

use crate::harness::{claim, world};

#[test]
fn a_team_gets_its_containers_changes_shares_and_deletes_them() {
    ["tilda", "theo", "tara"].into_iter().for_each(claim);
    let run = world().client(include_str!("../../scripts/team.sh"));
    let expected = "\
tilda is tilda, root by root
theo is theo, root by root
again: 4
listed: 2
info: ('running', 'b1', 'tilda', '1GB', '2GB')
inside: 1 cpu, 524288 kB
default: root no, owner tilda, docker no
sudo: root yes, docker no
runtime: root no, docker yes, podman yes
short: tara
removed: no
tilda: tilda-container
tilda-jump: tilda-container
deleted: 255
new: 0 files
left: 0
";
    assert_eq!((run.stdout.as_str(), run.status), (expected, 0), "{run:?}");
}
