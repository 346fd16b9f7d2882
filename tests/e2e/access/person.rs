//! Owners, collaborators, and keys that name nothing.

use super::{assert_prints, assert_refused, log_in, newcomers, team};
use crate::harness::{labelled, quiet_delete, world};

#[test]
fn a_collaborator_lands_in_her_own_account_and_the_owner_may_take_it() {
    team();
    assert_prints(&log_in("dora", "team", "id -un"), "dora\n");
    assert_prints(&log_in("emil", "team", "id -un"), "emil\n");
    assert_prints(&log_in("emil", "team+emil", "id -un"), "emil\n");
    assert_prints(&log_in("dora", "team+emil", "id -un"), "emil\n");
    assert_prints(&log_in("dora", "team+dora", "id -un; sudo id -un"), "dora\nroot\n");
    for login in ["team+dora", "team+root", "dora", "alice"] {
        if login == "dora" {
            // No container's name: the key says where.
            assert_prints(&log_in("emil", login, "id -un"), "emil\n");
        } else {
            assert_refused(&log_in("emil", login, "id -un"));
        }
    }
    assert_refused(&log_in("dora", "team+root", "id -un"));
    let sudo = log_in("emil", "team", "sudo -n id");
    assert!(sudo.status != 0 && sudo.stdout.is_empty(), "{sudo:?}");
}

#[test]
fn an_unknown_name_leads_where_the_key_alone_leads() {
    team();
    for name in ["whoever", "Team", "team:dora"] {
        assert_prints(&log_in("dora", name, "hostname; id -un"), "team-container\ndora\n");
    }
    assert_prints(&log_in("emil", "whoever", "hostname; id -un"), "team-container\nemil\n");
}

#[test]
fn a_key_of_several_containers_is_told_which() {
    let [key] = newcomers(["kim"]);
    let names = ["kims-first", "kims-second"];
    quiet_delete("b1", &names);
    labelled("b1", names[0], "kim", &key, &[]);
    labelled("b1", names[1], "lou", "", &[("kim", &key)]);
    world().sentinel.wait_until_listed(&names);
    for command in ["true", ""] {
        let run = log_in("kim", "whoever", command);
        let listed = names.iter().all(|name| run.stderr.contains(name));
        assert!(run.status == 2 && listed && run.stdout.is_empty(), "{run:?}");
    }
    let run = world().client("echo ls | sftp -b - -F $CFG -i $DIR/kim whoever@$DOOR");
    assert!(run.status != 0 && run.stderr.contains("kims-second"), "{run:?}");
    quiet_delete("b1", &names);
}
