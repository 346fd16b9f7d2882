//! A host whose power fails, and those who wait for it.

use super::{Client, kill, patient, power};
use crate::{
    console::dialogue::dialogue,
    harness::{Guest, b3, lab_name, make_key, world},
};

const PORT: u16 = 2301;

#[test]
fn whoever_comes_while_a_host_is_down_is_told_waits_and_walks_in() {
    let _alone = b3();
    make_key(&world().dir, "waiter");
    let sentinel = patient("waiting", PORT, "110s");
    let _guest = Guest::new(&sentinel, "b3", "waiter", "waiter");
    for usual in ["", "; it is usually back after "] {
        kill(&sentinel);
        let to = (PORT, "waiter");
        let login = Client::start("hold-login", to, "$SSH -l waiter $DOOR hostname");
        let copy = Client::start(
            "hold-copy",
            to,
            "echo x >f; scp -q -F $CFG -P 2301 -i $DIR/waiter f waiter@$DOOR:/tmp/ && echo copied",
        );
        let jump = "echo 'HostKeyAlias x' >/dev/null; $SSH -o ConnectTimeout=120 -o StrictHostKeyChecking=no \
             -o UserKnownHostsFile=/dev/null -o ProxyCommand=\"ssh -F $CFG -p 2301 \
             -i $DIR/admin -W waiter:22 admin@$DOOR\" -l waiter waiter hostname";
        let jump = Client::start("hold-jump", to, jump);
        login.wait(&sentinel, "the host of waiter has been down for ");
        login.wait(&sentinel, usual);
        login.wait(&sentinel, "waiting up to 110 s for it");
        // Whoever goes away leaves nothing.
        sentinel.wait("all three are there", || sessions(&sentinel) == 3);
        let leaver =
            format!("ssh -F $CFG -p {PORT} -i $DIR/waiter -o LogLevel=INFO -l waiter $DOOR");
        let run = dialogue(&leaver, &[("the host of waiter has been down for ", "\x03")]);
        assert!(run.status != 0 && run.stderr.is_empty(), "{run:?}");
        sentinel.wait("the leaver is forgotten", || sessions(&sentinel) == 3);
        power(&["revive", "b3"]);
        let run = login.end();
        assert_eq!((run.stdout.as_str(), run.status), ("waiter-container\n", 0), "{run:?}");
        let lines: Vec<&str> = run.stderr.lines().collect();
        assert!(
            lines.iter().any(|l| l.contains("the host of waiter is back; letting you in")),
            "{run:?}"
        );
        assert!(lines.len() <= 5, "not more lines than changes: {run:?}");
        let kept = world().dir.join(format!("state-{PORT}/outages.json"));
        sentinel.wait("the outage is over and kept", || kept.exists());
        let run = copy.end();
        assert_eq!((run.stdout.as_str(), run.status), ("copied\n", 0), "{run:?}");
        let run = jump.end();
        assert!(run.stderr.contains("known hosts"), "{run:?}");
    }
}

/// How many sessions there are.
fn sessions(sentinel: &crate::harness::Sentinel) -> u64 {
    let status = sentinel.console(&["status", "--json"]).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    status["sessions"].as_u64().unwrap_or_else(|| panic!("{status}"))
}

#[test]
fn what_is_open_ends_with_its_host_and_who_need_not_wait_is_told_so() {
    let _alone = b3();
    make_key(&world().dir, "waiter2");
    let sentinel = patient("open", PORT + 1, "110s");
    let _guest = Guest::new(&sentinel, "b3", "opened", "waiter2");
    let to = (PORT + 1, "waiter2");
    let open = [
        ("open-login", "$SSH -l opened $DOOR 'echo here >&2; exec sleep 1000'"),
        (
            "open-idle",
            "$SSH -N -o PermitLocalCommand=yes -o LocalCommand='echo here >&2' -l opened $DOOR",
        ),
        (
            "open-jump",
            "ssh -F $CFG -p 2302 -i $DIR/admin -W opened:22 admin@$DOOR <(sleep 1000) | { read -r l; echo here >&2; cat; }",
        ),
        (
            "open-shell",
            "ssh -tt -F $CFG -p 2302 -i $DIR/admin admin@$DOOR shell opened <<<'echo here >&2; exec sleep 1000' >&2",
        ),
    ];
    let open = open.map(|(name, script)| Client::start(name, to, script));
    for client in &open {
        client.wait(&sentinel, "here");
    }
    kill(&sentinel);
    for client in open {
        let name = client.name.clone();
        sentinel.wait(&format!("{name} ends"), || client.running.is_finished());
        let run = client.end();
        if name == "open-login" || name == "open-idle" {
            assert_eq!(run.status, 255, "{name}: {run:?}");
            assert!(run.stderr.contains("the host of opened went away; log in again"), "{run:?}");
        }
    }
    // Nobody expects it back: not those who wait already, nor those who come.
    let waiting = Client::start("open-drained", to, "$SSH -l opened $DOOR hostname");
    waiting.wait(&sentinel, "the host of opened has been down for ");
    assert_eq!(sentinel.console(&["backend", "drain", "b3"]).status, 0);
    let coming = Client::start("open-drained-2", to, "$SSH -l opened $DOOR hostname");
    for client in [waiting, coming] {
        let run = client.end();
        assert_eq!((run.status, run.stdout.as_str()), (69, ""), "{run:?}");
        assert!(run.stderr.contains("which is away since 20"), "{run:?}");
        assert!(run.stderr.contains("and drained: it is not expected back soon"), "{run:?}");
    }
    assert_eq!(sentinel.console(&["backend", "resume", "b3"]).status, 0);
    let waiting = Client::start("open-gone", to, "$SSH -l opened $DOOR hostname");
    waiting.wait(&sentinel, "the host of opened has been down for ");
    let text = std::fs::read_to_string(&sentinel.config).unwrap();
    let without = &text[..text.find("[[backend]]\nname = \"b3\"").unwrap()];
    std::fs::write(&sentinel.config, without).unwrap();
    assert_eq!(sentinel.console(&["reload"]).status, 0);
    let run = waiting.end();
    assert_eq!((run.status, run.stdout.as_str()), (69, ""), "{run:?}");
    assert!(run.stderr.contains("backend b3 is not in the configuration"), "{run:?}");
    std::fs::write(&sentinel.config, text).unwrap();
    assert_eq!(sentinel.console(&["reload"]).status, 0);
    power(&["revive", "b3"]);
    sentinel.wait_until_listed(&["opened"]);
}

#[test]
fn the_choice_waits_as_a_login_does() {
    let _alone = b3();
    make_key(&world().dir, "chooser");
    let sentinel = patient("choosing", PORT + 2, "110s");
    let _one = Guest::new(&sentinel, "b3", "choose-a", "chooser");
    let _two = Guest::new(&sentinel, "b3", "choose-b", "chooser");
    kill(&sentinel);
    let login = format!("ssh -F $CFG -p {} -i $DIR/chooser -l somebody -t $DOOR", PORT + 2);
    let down = "the host of choose-a has been down for ";
    let run = dialogue(&format!("{login} hostname"), &[("leaves): ", "\r"), (down, "\x03")]);
    assert_eq!(run.status, 130, "{run:?}");
    let lab = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/lab");
    let revive = format!("run {lab} revive {} >/dev/null 2>&1", lab_name("b3"));
    let steps = [("leaves): ", "\r"), (down, revive.as_str()), ("is back; letting you in", "")];
    let run = dialogue(&format!("{login} hostname"), &steps);
    assert!(run.status == 0 && run.stdout.ends_with("choose-a-container\r\n"), "{run:?}");
}
