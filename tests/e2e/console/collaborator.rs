//! `collaborator`: what each permission is inside, exactly, and the end of all of it.

use super::{assert_done, assert_failed, assert_refused, console, log_in, people, session_during};
use crate::harness::{Guest, Run, lab, lab_command, quiet_delete, world};

/// Adds `person` with her key and these options.
fn add(container: &str, person: &str, options: &str) -> Run {
    let words = format!("collaborator add {container} {person} --ssh-key - {options}");
    world().client(&format!("ssh -F $CFG sentinel '{words}' <$DIR/{person}.pub"))
}

fn label(guest: &Guest) -> String {
    let key = "user.containarium.collaborators";
    lab().incus("b1", &["config", "get", &guest.instance(), key])
}

/// What a command prints; that it fails is part of it.
fn says(person: &str, command: &str) -> String {
    log_in(person, person, &format!("{command} 2>&1 || echo no")).stdout
}

const ASKED: &str = "sudo: a password is required\nno\n";

#[test]
fn each_permission_is_what_it_says_inside_and_no_more() {
    let [_, _, _, _] = people(["odile", "bert", "sina", "rolf"]);
    let guest = Guest::new(&world().sentinel, "b1", "share", "odile");
    let added = add("share", "bert", "");
    assert_done(&added);
    assert!(added.stdout.contains("logs in as bert or share+bert"), "{added:?}");
    assert_done(&add("share", "sina", "--sudo"));
    assert_done(&add("share", "rolf", "--container-runtime"));

    assert_eq!(log_in("bert", "share+bert", "id -un; id -Gn").stdout, "bert\nbert\n");
    assert_eq!(says("bert", "sudo -n id"), ASKED);
    assert_eq!(says("bert", "sudo -n su - root"), ASKED);
    assert_eq!(says("bert", "sudo -n su -"), ASKED);
    assert_eq!(says("bert", "sudo -n su - sina"), ASKED);
    assert_eq!(says("bert", "sudo -n su - odile -c id"), ASKED);
    assert_eq!(guest.root("ls /var/log/sudo-io 2>/dev/null | wc -l"), "0\n");
    assert_eq!(says("bert", "echo id -un | sudo -n su - odile"), "odile\n");
    let logged = "find /var/log/sudo-io -name stdout -o -name ttyout | xargs zcat -f";
    assert!(guest.root(logged).contains("odile"), "the session is not logged");

    assert_eq!(says("sina", "sudo -n id -un"), "root\n");
    assert_eq!(says("sina", "id -Gn"), "sina\n");
    assert_eq!(says("rolf", "id -Gn | xargs -n1 | sort | xargs"), "docker podman rolf\n");
    assert_eq!(says("rolf", "sudo -n id"), ASKED);

    let list = console("collaborator list share").stdout;
    for row in ["bert   become owner ", "sina   sudo ", "rolf   become owner, container runtime "] {
        assert!(list.lines().any(|line| line.starts_with(row)), "{row}:\n{list}");
    }
    // Her rights become what the call says, her keys stay, and sessions with more end.
    let ended = session_during("sina", "sina", "ssh -F $CFG sentinel collaborator add share sina");
    assert!(ended.stderr.contains("what you may on share was changed"), "{ended:?}");
    assert_eq!(says("sina", "sudo -n id"), ASKED);
    assert_done(&console("collaborator add share rolf --sudo"));
    assert_eq!(says("rolf", "id -Gn; sudo -n id -un"), "rolf\nroot\n");
}

#[test]
fn removing_ends_sessions_processes_and_access_and_files_stay() {
    let [_, _] = people(["oscar", "uma"]);
    let guest = Guest::new(&world().sentinel, "b1", "leave", "oscar");
    assert_done(&add("leave", "uma", "--container-runtime"));
    log_in("uma", "uma", "echo mine >file; nohup sleep 4321 >/dev/null 2>&1 &");
    log_in("uma", "uma", "(sleep 4322 | nohup sudo -n su - oscar) >/dev/null 2>&1 &");
    // What has left its parent belongs to her login all the same; what root serves does not.
    let away = "echo \"setsid nohup sleep 4323 >/dev/null 2>&1 &\" | sudo -n su - oscar";
    log_in("uma", "uma", away);
    guest.root("setsid sleep 999 >/dev/null 2>&1 &");
    let running = "ps -eo user:20,args | grep -E 'sleep 432|su - oscar' | grep -v grep | wc -l";
    world()
        .sentinel
        .wait("she is at work", || guest.root(running).trim().parse::<u32>().unwrap() >= 5);
    let removing = "ssh -F $CFG sentinel collaborator remove leave uma";
    let ended = session_during("uma", "leave+uma", removing);
    assert_eq!(ended.status, 255, "{ended:?}");
    assert!(ended.stderr.contains("you do not share leave any more"), "{ended:?}");
    for login in ["uma", "leave+uma", "leave"] {
        assert_refused(&log_in("uma", login, "true"));
    }
    // The owner's key opened her account, too.
    assert_refused(&log_in("oscar", "leave+uma", "true"));
    assert_eq!(guest.root("ps -eo user:20,args | grep -E '^uma|^oscar' | wc -l"), "0\n");
    assert_eq!(guest.root(running), "0\n");
    assert_eq!(guest.root("ps -eo args | grep -c '^[s]leep 999'"), "1\n");
    assert_eq!(
        guest.root("cat /home/uma/file; id -Gn uma; ls /etc/sudoers.d"),
        "mine\numa\nREADME\ncontainarium-oscar\n"
    );
    assert_eq!(guest.root("su - uma -c id >/dev/null 2>&1 || echo no"), "no\n");
    assert_eq!(label(&guest).trim(), "");
    assert_failed(&console("collaborator remove leave uma"), 3, &["leave has no collaborator uma"]);
    assert_done(&add("leave", "uma", ""));
    assert_eq!(log_in("uma", "uma", "cat file; id -Gn").stdout, "mine\numa\n");
}

#[test]
fn busybox_has_the_same_permissions_and_the_same_end() {
    let [_, _] = people(["bb-owner", "bb-guest"]);
    quiet_delete("b1", &["bb"]);
    let made = world().client(
        "ssh -F $CFG sentinel 'create bb --owner bb-owner --ssh-key - --image small --backend b1' \
         <$DIR/bb-owner.pub",
    );
    assert_done(&made);
    assert_done(&add("bb", "bb-guest", "--container-runtime"));
    let own = |command: &str| says("bb-guest", command);
    assert_eq!(own("id -Gn | xargs -n1 | sort | xargs"), "bb-guest docker podman\n");
    assert_eq!(own("sudo -n id"), ASKED);
    assert_eq!(own("sudo -n su - root"), ASKED);
    assert_eq!(own("echo id -un | sudo -n su - bb-owner"), "bb-owner\n");
    assert_done(&console("collaborator add bb bb-guest --sudo"));
    assert_eq!(own("id -Gn; sudo -n id -un"), "bb-guest\nroot\n");
    own("nohup sleep 4323 >/dev/null 2>&1 &");
    let removing = "ssh -F $CFG sentinel collaborator remove bb bb-guest";
    let ended = session_during("bb-guest", "bb-guest", removing);
    assert!(ended.stderr.contains("you do not share bb any more"), "{ended:?}");
    assert_refused(&log_in("bb-guest", "bb-guest", "true"));
    let left =
        "ps | grep -c '[b]b-guest'; id -Gn bb-guest; cat /etc/sudoers.d/*guest; su - bb-guest";
    let left =
        world().client(&format!("ssh -F $CFG sentinel 'shell bb --root' <<'IN'\n{left}\nIN\n"));
    assert_eq!(left.stdout, "0\nbb-guest\nThis account is not available\n", "{left:?}");
    assert_done(&add("bb", "bb-guest", ""));
    assert_eq!(own("id -Gn; sudo -n id"), format!("bb-guest\n{ASKED}"));
    quiet_delete("b1", &["bb"]);
}

#[test]
fn names_of_others_are_refused_and_nothing_changes() {
    let [_, _] = people(["odo", "ivy"]);
    let guest = Guest::new(&world().sentinel, "b1", "names", "odo");
    guest.root("groupadd --system staff-x");
    let passwd = guest.root("cat /etc/passwd /etc/group");
    let typed = |login: &str| {
        let words = format!("collaborator add names {login} --ssh-key -");
        world().client(&format!("ssh -F $CFG sentinel \"{words}\" <$DIR/ivy.pub"))
    };
    for login in
        ["'bob;id'", "-rf", "-- -rf", "Bob", "root", "admin", "sentinel", "odo", "''", "'$(id)'"]
    {
        assert_failed(&typed(login), 2, &["error: "]);
    }
    for login in ["daemon", "sshd", "docker", "staff-x"] {
        assert_failed(&typed(login), 4, &["of the system inside the container"]);
    }
    assert_eq!(guest.root("cat /etc/passwd /etc/group"), passwd);
    assert_eq!(label(&guest).trim(), "[]");
    let stranger = console("collaborator remove names daemon");
    assert_failed(&stranger, 4, &["of the system"]);
    guest.root("useradd -m hers");
    assert_failed(&console("collaborator remove names hers"), 3, &["no collaborator hers"]);
    let hers = "getent passwd hers | cut -d: -f7; chage -l hers | grep -c 'expires.*never'";
    assert_eq!(guest.root(hers), "/bin/sh\n2\n", "what nobody here made is left alone");
}

#[test]
fn of_a_container_that_does_not_run_the_door_is_closed_at_once_and_the_rest_later() {
    let [_, _] = people(["otto", "zoe"]);
    let guest = Guest::new(&world().sentinel, "b1", "asleep", "otto");
    assert_done(&add("asleep", "zoe", "--sudo"));
    let stop = lab_command(&["incus", "b1", "stop", "--force", &guest.instance()]).status();
    assert!(stop.unwrap().success());
    world()
        .sentinel
        .wait("it is stopped", || console("list --state stopped -q").stdout.contains("asleep"));
    assert_failed(&add("asleep", "zoe", ""), 4, &["asleep is not running", "nothing was changed"]);
    let half = console("collaborator remove asleep zoe");
    assert_failed(
        &half,
        4,
        &["zoe cannot log in to asleep any more", "not locked", "`start asleep`"],
    );
    assert_refused(&log_in("zoe", "asleep+zoe", "true"));
    assert_done(&console("start asleep"));
    assert_eq!(guest.root("ls /etc/sudoers.d | grep zoe"), "containarium-zoe\n");
    assert_done(&console("collaborator remove asleep zoe"));
    assert_eq!(guest.root("ls /etc/sudoers.d | grep -c zoe || :"), "0\n");
}
