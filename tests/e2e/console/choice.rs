//! A key that opens several containers: its person chooses, or jumps.

use std::{fs, sync::OnceLock};

use super::dialogue::dialogue;
use crate::harness::{Run, label, make_key, quiet_delete, world};

/// Makes three containers that the key of `picker` opens: her own two, and one of alice in which she
/// is a guest.
fn prepare() {
    static READY: OnceLock<()> = OnceLock::new();
    READY.get_or_init(|| {
        let world = world();
        // On one backend, where no address is given twice.
        quiet_delete("b1", &["pick-one", "pick-two", "pick-guest"]);
        make_key(&world.dir, "picker");
        let key = world.dir.join("picker.pub");
        world.container("b1", "pick-one", "picker", &[]);
        world.container("b1", "pick-two", "picker", &[]);
        let guest = format!("picker={}", key.display());
        world.container("b1", "pick-guest", "alice", &["--collaborator", &guest]);
        world.sentinel.wait_until_listed(&["pick-one", "pick-two", "pick-guest"]);
    });
}

/// How picker logs in by a name that is no container's.
const LOGIN: &str = "ssh -F $CFG -i $DIR/picker -l picker";

const ASKED: &str = "Esc leaves): ";

fn choose(options: &str, command: &str, steps: &[(&str, &str)]) -> Run {
    dialogue(&format!("{LOGIN} {options} $DOOR {command}"), steps)
}

#[test]
fn she_chooses_on_a_terminal_and_is_inside_as_if_she_had_logged_in_there() {
    prepare();
    let run = choose(
        "-t -o SetEnv=LC_TEST=set",
        "",
        &[
            (ASKED, "\x1b[B"),
            ("> 2  pick-one", "\x1b[A"),
            ("> 1  pick-guest", "\r"),
            ("$ ", "id -un; hostname; stty size; echo $TERM $LC_TEST\r"),
            ("picker\r\npick-guest-container\r\n40 100\r\nxterm set\r\n", ""),
            ("$ ", "trap 'stty size' WINCH; echo rea''dy\r"),
            ("ready", ""),
            ("$ ", "resize 50 132"),
            ("50 132", "exit 5\r"),
        ],
    );
    assert_eq!(run.status, 5, "{run:?}");
    for (typed, name) in [("2\r", "pick-one"), ("pick-t\r", "pick-two"), ("3\r", "pick-two")] {
        let run = choose("-t", "'hostname; tty | cut -c1-8; exit 7'", &[(ASKED, typed)]);
        let said = format!("\x1b[J{name}-container\r\n/dev/pts\r\n");
        assert!(run.status == 7 && run.stdout.ends_with(&said), "{typed}: {run:?}");
    }
    let run = dialogue(
        &format!("TERM=dumb {LOGIN} -t $DOOR 'hostname; kill -TERM $$'"),
        &[("number or name: ", "nobody\r"), ("number or name: ", "pick-one\r")],
    );
    assert!(run.status == 143 && run.stdout.ends_with("pick-one-container\r\n"), "{run:?}");
    assert!(!run.stdout.contains('\x1b'), "{run:?}");
}

#[test]
fn she_may_leave_and_a_script_gets_a_list() {
    prepare();
    for key in ["\x1b", "\x03", "\x04"] {
        let run = choose("-t", "hostname", &[(ASKED, key)]);
        assert!(run.status == 130 && !run.stdout.contains("-container"), "{key:?} {run:?}");
    }
    for command in ["hostname", ""] {
        let run = world().client(&format!("{LOGIN} -T $DOOR {command}"));
        let said = "error: several containers know this key: pick-guest, pick-one, pick-two\n\
                    hint: log in as the one you mean: ssh -l pick-guest HOST\n";
        assert_eq!((run.status, run.stdout.as_str(), run.stderr.as_str()), (2, "", said));
    }
}

#[test]
fn what_her_key_may_not_do_there_she_cannot_do_and_she_is_judged_anew() {
    prepare();
    let world = world();
    quiet_delete("b1", &["pick-bound"]);
    make_key(&world.dir, "bound");
    let key = fs::read_to_string(world.dir.join("bound.pub")).unwrap();
    for name in ["pick-bound", "pick-free"] {
        world.container("b1", name, "bound", &[]);
    }
    world.sentinel.wait_until_listed(&["pick-bound", "pick-free"]);
    label(
        "b1",
        "pick-bound",
        "authorized-keys",
        &format!("command=\"echo forced; tty\",no-pty {key}"),
    );
    let login = |words: &str| format!("ssh -F $CFG -i $DIR/bound -l bound {words}");
    world.sentinel.wait("the label is read", || {
        let run = world.client("ssh -F $CFG -i $DIR/bound -l pick-bound $DOOR id");
        run.stdout.starts_with("forced\n")
    });
    let run = dialogue(&login("-t $DOOR id"), &[(ASKED, "1\r")]);
    assert!(run.stdout.ends_with("\x1b[Jforced\r\nnot a tty\r\n"), "{run:?}");
    // Whoever ends sessions of hers inside ends this one.
    let end = "run ssh -F $CFG sentinel key remove pick-free bound@laptop --force";
    let run = dialogue(&login("-t $DOOR"), &[(ASKED, "2\r"), ("$ ", end)]);
    assert_eq!(run.status, 255, "{run:?}");
    let add = format!("key add pick-free {}", key.trim());
    let added = world.client(&format!("ssh -F $CFG sentinel '{add}'"));
    assert_eq!(added.status, 0, "{added:?}");
    // Her key is taken away while she looks at the list.
    let taken = format!(
        "run {} incus b1 config set pick-bound-container user.containarium.authorized-keys=; \
         until ssh -F $CFG -i $DIR/bound -l bound $DOOR hostname | grep -q free; do sleep 0.1; done",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/lab")
    );
    let run = dialogue(&login("-t $DOOR id"), &[(ASKED, &taken), ("", "1\r")]);
    assert_eq!(run.status, 77, "{run:?}");
    assert!(
        run.stdout.ends_with("error: pick-bound is not open to your key any more\r\n"),
        "{run:?}"
    );
    for name in ["pick-bound", "pick-free"] {
        quiet_delete("b1", &[name]);
    }
}

#[test]
fn a_jump_reaches_what_her_key_opens_by_name_and_address_and_nothing_else() {
    prepare();
    let world = world();
    let jump = |target: &str| {
        world.client(&format!(
            "cat >$TMP/cfg <<END
Host door
  HostName $DOOR
Host target
  HostName {target}
  ProxyJump door
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
Host *
  User picker
  IdentityFile $DIR/picker
  IdentitiesOnly yes
  BatchMode yes
  UserKnownHostsFile $DIR/known_hosts
END
            ssh -F $TMP/cfg target 'hostname; id -un'"
        ))
    };
    for name in ["pick-one", "pick-guest", "pick-two-container"] {
        let run = jump(name);
        let name = name.trim_end_matches("-container");
        assert_eq!(run.stdout, format!("{name}-container\npicker\n"), "{run:?}");
    }
    let address = world.address("b1", "pick-one");
    let run = jump(&address);
    assert_eq!(run.stdout, "pick-one-container\npicker\n", "{run:?}");
    let others = [world.address("b1", "alice"), "alice".into(), "bob".into(), "127.0.0.1".into()];
    for other in
        others.iter().map(String::as_str).chain(["198.51.100.11", "pick-none", "localhost"])
    {
        let run = jump(other);
        assert!(run.stdout.is_empty() && run.status == 255, "{other}: {run:?}");
        assert!(run.stderr.contains("no container of yours is called"), "{other}: {run:?}");
    }
}
