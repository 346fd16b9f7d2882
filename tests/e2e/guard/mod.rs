//! Who is kept out, and who is not: real clients with addresses of their own, so that nobody else's
//! tests are banned.

mod attack;
mod fail2ban;
mod kernel;

use std::fs;

use serde_json::Value;

use crate::harness::{Sentinel, config, make_key, set, world};

/// A sentinel for which no address is special.
fn sentinel(name: &str, port: u16) -> (Sentinel, String) {
    let text = set(&config(&world().dir, port, ""), "guard", "allow", "[]");
    let text = set(&text, "guard", "rate_per_source", "10000");
    let text = set(&text, "guard", "rate", "10000");
    let sentinel = Sentinel::start(&world().dir, name, &text);
    sentinel.wait_until_listed(&["alice"]);
    (sentinel, text)
}

/// What a command answers.
fn asked(sentinel: &Sentinel, words: &[&str]) -> Value {
    let run = sentinel.console(&[words, &["--json"]].concat());
    serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{words:?}: {e}: {run:?}"))
}

#[test]
fn an_agent_with_twelve_keys_strikes_once_at_most() {
    for number in 1..=12 {
        make_key(&world().dir, &format!("guard-{number}"));
    }
    let (sentinel, _) = sentinel("guard-agent", 2491);
    let agent = r#"
        eval "$(ssh-agent)" >/dev/null
        trap 'kill $SSH_AGENT_PID' EXIT
        go() { ssh -b 192.0.2.16 -p 2491 -F none -o UserKnownHostsFile=$DIR/known_hosts -o BatchMode=yes "$@"; }
    "#;
    let failures = || asked(&sentinel, &["ban", "why", "192.0.2.16"])["failures"].as_u64();
    let right = world().client(&format!(
        "{agent} ssh-add -q $DIR/guard-? $DIR/guard-10 $DIR/guard-11 $DIR/alice; ssh-add -l | wc -l\n\
         for i in 1 2 3 4; do go alice@$DOOR hostname; done"
    ));
    let expected = format!("12\n{}", "alice-container\n".repeat(4));
    assert_eq!((right.stdout.as_str(), failures()), (expected.as_str(), Some(0)), "{right:?}");
    let wrong = world().client(&format!(
        "{agent} ssh-add -q $DIR/guard-? $DIR/guard-1[0-2]; ssh-add -l | wc -l; go alice@$DOOR hostname"
    ));
    assert_eq!((wrong.stdout.as_str(), wrong.status), ("12\n", 255), "{wrong:?}");
    sentinel.wait("twelve keys are one failure", || failures() == Some(1));
    let why = asked(&sentinel, &["ban", "why", "192.0.2.16"]);
    assert_eq!(why["banned"], false, "{why}");
}

#[test]
fn a_thousand_connections_that_ask_for_nothing_ban_nobody() {
    let (sentinel, _) = sentinel("guard-bare", 2492);
    let run = world().client(
        "python3 -c '\nimport os, socket\nread = 0\n\
         for n in range(1000):\n    \
             s = socket.create_connection((os.environ[\"DOOR\"], 2492), 60, (\"192.0.2.17\", 0))\n    \
             read += s.recv(4).startswith(b\"SSH-\")\n    s.close()\nprint(read)'",
    );
    assert_eq!(run.stdout, "1000\n", "{run:?}");
    let why = || asked(&sentinel, &["ban", "why", "192.0.2.17"]);
    sentinel.wait("they are counted", || why()["bare"] == 1000);
    let why = why();
    assert_eq!((&why["banned"], &why["failures"]), (&false.into(), &0.into()), "{why}");
    let run =
        world().client("ssh -b 192.0.2.17 -p 2492 -F $CFG -i $DIR/alice -l alice $DOOR hostname");
    assert_eq!(run.stdout, "alice-container\n", "{run:?}");
}

#[test]
fn who_is_banned_is_told_and_a_colleague_gets_in() {
    let (mut sentinel, text) = sentinel("guard-ban", 2493);
    let go = |address: &str, person: &str| {
        world().client(&format!(
            "ssh -b {address} -p 2493 -F $CFG -o LogLevel=INFO -i $DIR/{person} -l alice $DOOR hostname"
        ))
    };
    let (bad, other) = ("192.0.2.18", "192.0.2.19");
    for _ in 0..3 {
        let run = go(bad, "mallory");
        assert!(run.stderr.contains("Permission denied"), "{run:?}");
        assert!(!run.stderr.contains("banned"), "{run:?}");
    }
    sentinel.wait("it is banned", || asked(&sentinel, &["ban", "list"])[0]["source"] == bad);
    let ban = asked(&sentinel, &["ban", "list"])[0].clone();
    let id = ban["id"].as_str().unwrap();
    assert_eq!((&ban["failures"], &ban["strikes"]), (&3.into(), &1.into()), "{ban}");
    let recorded = || asked(&sentinel, &["audit", "--kind", "ban"]);
    sentinel.wait("it is recorded", || recorded()[0]["detail"]["subject"] == bad);
    // Told once, before anything else.
    let told = go(bad, "mallory");
    assert!(told.stderr.contains(&format!("{bad} is banned until ")), "{told:?}");
    assert!(told.stderr.contains(&format!("quote {id} to")), "{told:?}");
    let again = go(bad, "mallory");
    assert!(again.status == 255 && !again.stderr.contains("banned"), "{again:?}");
    // A registered key opens behind the same address, and alice is not locked out by her name.
    for address in [bad, other] {
        let run = go(address, "alice");
        assert_eq!((run.stdout.as_str(), run.status), ("alice-container\n", 0), "{run:?}");
    }
    // All at once: ten may try, and what the seconds meanwhile add; the others are reset.
    let flood = world().client(&format!(
        "python3 -c '\nimport os, socket\nreset, held = 0, []\n\
         for n in range(400):\n    \
             try:\n        \
                 s = socket.create_connection((os.environ[\"DOOR\"], 2493), 60, (\"{bad}\", 0))\n        \
                 held.append(s)\n        got = s.recv(4)\n    \
             except ConnectionResetError:\n        got = b\"\"\n    \
             reset += not got\nprint(reset)'"
    ));
    // Eight are held at a time, for 15 s at most.
    let reset = flood.stdout.trim().parse::<u32>().unwrap_or_else(|e| panic!("{e}: {flood:?}"));
    assert!(reset >= 300, "{flood:?}");
    // What was decided is there after a crash.
    let file = world().dir.join("state-2493/bans.json");
    sentinel.wait("it is kept", || fs::read_to_string(&file).unwrap_or_default().contains(id));
    sentinel.signal("KILL");
    sentinel.wait_exit();
    sentinel = Sentinel::start(&world().dir, "guard-ban", &text);
    sentinel.wait_until_listed(&["alice"]);
    assert_eq!(asked(&sentinel, &["ban", "list"])[0]["id"], id);
    // An administrator's word acts at once.
    let removed = sentinel.console(&["ban", "remove", id]);
    assert_eq!(removed.stdout, format!("{bad} ({id}) is not banned any more\n"), "{removed:?}");
    let run = go(bad, "mallory");
    assert!(run.stderr.contains("Permission denied"), "{run:?}");
    assert_eq!(asked(&sentinel, &["ban", "list"]), Value::Array(Vec::new()));
}

/// Sixteen places, of which strangers have fourteen, and sixty connections that take them: each is
/// greeted, and who has spoken stays.
#[test]
fn who_speaks_gets_in_beside_a_crowd_that_says_nothing() {
    let (_, text) = sentinel("guard-silent", 2495);
    let text = set(&text, "ssh", "max_startups", "16");
    let sentinel = Sentinel::start(&world().dir, "guard-silent", &text);
    sentinel.wait_until_listed(&["alice"]);
    let run = world().client(
        r#"cat >crowd.py <<'END'
import os, socket, subprocess, sys
def connect(last):
    return socket.create_connection((os.environ["DOOR"], 2495), 60, ("192.0.2.%d" % last, 0))
def is_open(s):
    s.setblocking(False)
    try:
        while s.recv(4096):
            pass
        return False
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
first, heard = connect(16), b""
first.sendall(b"SSH-2.0-x\r\n")
while len(heard) < 200:
    heard += first.recv(4096)
crowd, greeted = [], 0
for n in range(60):
    crowd.append(connect(16 + n % 3))
    greeted += crowd[-1].recv(4) == b"SSH-"
login = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, capture_output=True, text=True)
print(login.stdout.strip(), login.stderr.strip(), greeted, is_open(first), sum(map(is_open, crowd)) <= 13)
END
        python3 crowd.py ssh -b 192.0.2.19 -p 2495 -F $CFG -i $DIR/alice -l alice $DOOR hostname"#,
    );
    assert_eq!(run.stdout, "alice-container  60 True True\n", "{run:?} {}", sentinel.log_text());
}

#[test]
fn ones_own_address_is_banned_only_on_purpose() {
    let run = world().client("ssh -F $CFG sentinel 'ban add 192.0.2.10' 2>&1");
    let allowed = "error: 192.0.2.10 is let in by guard.allow (192.0.2.0/28)\n";
    assert!(run.stdout.starts_with(allowed), "{run:?}");
    let (_sentinel, _) = sentinel("guard-own", 2494);
    let run = world().client(
        "ssh() { command ssh -b 192.0.2.19 -p 2494 -F $CFG sentinel \"$@\"; }\n\
         ssh 'ban add 192.0.2.19' 2>&1; echo $?\n\
         ssh 'ban why 192.0.2.19 --json'",
    );
    assert!(run.stdout.contains("where you come from (192.0.2.19)? needs a yes"), "{run:?}");
    assert!(
        run.stdout.contains("\"banned\":false") || run.stdout.contains("\"banned\": false"),
        "{run:?}"
    );
}
