//! `export`: the file alone leads in, by both forms, and nothing is asked.

use super::console;
use crate::harness::{Guest, Run, Sentinel, config, lab, set, with_newest_clients, world};

/// A home without anything but a folder for ssh, where `ssh` takes nothing from other files. `$EXPORT`
/// is what was exported.
const HOME: &str = r#"
    export HOME=$TMP/home
    mkdir -p $HOME/.ssh
    # ssh asks the system where home is: what the file says of it is put right.
    own() { sed "s:~/:$HOME/:g"; }
    to() { ssh -F $TMP/config -o BatchMode=yes -o UserKnownHostsFile=$TMP/known "$@" </dev/null; }
    leave() { for host in "$@"; do to -O exit $host 2>/dev/null; done; }
    touch $TMP/known
"#;

/// Exports with the shared sentinel's console, and runs a script in a home that has nothing else.
fn with_export(script: &str) -> Run {
    let dir = world().dir.display();
    let exported = console(&format!("export alice --key {dir}/alice"));
    assert_eq!(exported.status, 0, "{exported:?}");
    world().client(&format!("EXPORT='{}'\n{HOME}\n{script}", exported.stdout))
}

#[test]
fn both_forms_connect_with_the_exported_file_alone() {
    let script = r#"
        echo "$EXPORT" | own >$TMP/config
        to alice 'echo $USER; hostname; echo $SSH_CONNECTION | cut -d" " -f4'
        to alice-jump 'echo $USER; hostname'
        to alice-jump 'exit 7'; echo $?
        ls $HOME/.ssh | wc -l
        wc -c <$TMP/known
        leave alice-jump alice"#;
    let expected = "alice\nalice-container\n22\nalice\nalice-container\n7\n2\n0\n";
    let run = with_export(script);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), (expected, ""), "{run:?}");
    let newest = with_newest_clients(|| with_export(script));
    assert_eq!(newest, run);
}

#[test]
fn it_may_stand_twice_and_anywhere_in_a_file() {
    let run = with_export(
        r#"{
            echo "ServerAliveInterval 77"; echo "$EXPORT" | own; echo "Port 77"
            echo "Host other"; echo "  User bob"; echo "$EXPORT" | own; echo "BatchMode yes"
        } >$TMP/config
        to alice hostname
        ssh -F $TMP/config -G other | grep -E '^(port|user|batchmode|serveralive[a-z]*|knownhostsc[a-z]*|stricth[a-z]*) '
        leave alice"#,
    );
    let expected = "alice-container\nuser bob\nport 77\nbatchmode yes\nstricthostkeychecking ask\n\
                    serveralivecountmax 3\nserveraliveinterval 77\n";
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&run.stdout), sorted(expected), "{run:?}");
}

#[test]
fn another_host_key_is_refused_and_an_old_client_takes_known_hosts() {
    // Bob's key instead of the door's: nobody is let in, and nothing is asked.
    let run = with_export(
        r#"echo "$EXPORT" | own | sed "s:ssh-ed25519 .*:$(cut -d" " -f1,2 $DIR/bob.pub):" >$TMP/config
        to alice hostname; echo $?; to alice-jump hostname; echo $?"#,
    );
    assert_eq!(run.stdout, "255\n255\n", "{run:?}");
    assert!(run.stderr.contains("Host key verification failed"), "{run:?}");
    // OpenSSH before 8.5 ignores the command; the lines are in its file.
    let known = console("export alice --known-hosts");
    let run = with_export(&format!(
        r#"echo "$EXPORT" | own | grep -v 'KnownHostsCommand /' >$TMP/config
            to alice hostname; echo $?
            echo '{}' >$TMP/known
            to alice hostname; to alice-jump hostname; leave alice-jump alice"#,
        known.stdout
    ));
    assert_eq!(run.stdout, "255\nalice-container\nalice-container\n", "{run:?}");
}

#[test]
fn the_address_is_what_is_configured_else_where_the_caller_came() {
    let world = world();
    let door = lab().get("LAB_SENTINEL_ADDRESS");
    let exported = console("export alice").stdout;
    assert!(exported.contains(&format!("\n  HostName {door}\n  Port 22\n")), "{exported}");
    let named = console("export alice --jump-ip jump.example.org:2022").stdout;
    assert!(named.contains("\n  HostName jump.example.org\n  Port 2022\n"), "{named}");
    let text = set(&config(&world.dir, 2261, ""), "ssh", "advertise", &format!("\"{door}:2261\""));
    let sentinel = Sentinel::start(&world.dir, "export", &text);
    sentinel.wait_until_listed(&["alice"]);
    let local = sentinel.console(&["export", "alice"]).stdout;
    assert!(local.contains(&format!("\n  HostName {door}\n  Port 2261\n")), "{local}");
}

#[test]
fn a_container_that_is_made_anew_is_exported_anew() {
    let guest = Guest::new(&world().sentinel, "b1", "export-new", "alice");
    let before = console("export export-new").stdout;
    assert_eq!(console("export export-new").stdout, before);
    assert!(before.contains("\nHost export-new-jump\n"), "{before}");
    drop(guest);
    let _guest = Guest::new(&world().sentinel, "b1", "export-new", "alice");
    let key = |text: &str| text.lines().rfind(|l| l.contains("KnownHosts")).map(str::to_owned);
    world().sentinel.wait("its new host key is known", || {
        let after = console("export export-new").stdout;
        key(&after).is_some() && key(&after) != key(&before)
    });
}
