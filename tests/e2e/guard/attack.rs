//! Programs that people attack with, as Debian has them, against a guard with its defaults.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::asked;
use crate::harness::{Run, Sentinel, config, lab, make_key, set, world};

/// Connections after which whoever asks for what is refused has to be banned.
const WITHIN: usize = 6;

/// A sentinel with the guard's defaults.
fn sentinel(name: &str, port: u16) -> Sentinel {
    let text = set(&config(&world().dir, port, ""), "guard", "allow", "[]");
    let text: String = text
        .lines()
        .filter(|l| !l.starts_with("max_startups"))
        .map(|l| l.to_owned() + "\n")
        .collect();
    let sentinel = Sentinel::start(&world().dir, name, &text);
    sentinel.wait_until_listed(&["alice"]);
    sentinel
}

/// What each of these scripts begins with: `$from COMMAND…` runs a command whose connections come
/// from 192.0.2.LAST. The programs know no option for that, so a user of their own does, whose way
/// leads out under that address. `$TMP` is theirs, too.
fn prelude(last: u8) -> String {
    let gateway = lab().get("LAB_CLIENT_GATEWAY");
    format!(
        "chmod 777 $TMP; user=$((61000 + {last}))\n\
         by() {{ ip rule \"$1\" uidrange $user-$user lookup $user; }}\n\
         ip route replace $DOOR via {gateway} src 192.0.2.{last} table $user\n\
         by del 2>/dev/null; by add; trap 'by del' EXIT\n\
         from=\"setpriv --reuid $user --regid $user --clear-groups\"\n\
         seq -f pw%g 1 20 >passwords; printf 'root\\nadmin\\nalice\\n' >logins\n"
    )
}

/// Whether an address is banned, and what for, once something changes `until` so.
fn why(sentinel: &Sentinel, address: &str) -> serde_json::Value {
    asked(sentinel, &["ban", "why", address])
}

/// How the connections of an address counted, in the order in which they ended.
fn counted(sentinel: &Sentinel, address: &str) -> Vec<String> {
    let (source, log) = (format!(" source={address}:"), sentinel.log_text());
    let of = log.lines().filter(|l| l.contains("ended before login") && l.contains(&source));
    let how = |line: &str| {
        let (_, rest) = line.split_once(" counts=\"")?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    of.filter_map(how).collect()
}

fn login(port: u16, address: &str) -> Run {
    world().client(&format!(
        "ssh -b {address} -p {port} -F $CFG -i $DIR/alice -l alice $DOOR hostname"
    ))
}

/// Runs `attack` again and again until it is banned, for it leaves at the first word about passwords;
/// alice logs in from elsewhere meanwhile, and then from the same address.
fn is_banned(port: u16, last: u8, attack: &str) -> (Sentinel, Vec<Run>) {
    let sentinel = sentinel(&format!("attack-{port}"), port);
    let address = format!("192.0.2.{last}");
    let (over, script) = (AtomicBool::new(false), format!("{}{attack}", prelude(last)));
    let runs = thread::scope(|scope| {
        let alice = scope.spawn(|| {
            let mut logins = 0;
            while logins < 2 || !over.load(Ordering::Relaxed) {
                let run = login(port, "192.0.2.19");
                assert_eq!(run.stdout, "alice-container\n", "login {logins}: {run:?}");
                logins += 1;
            }
        });
        let mut runs = Vec::new();
        while runs.len() < WITHIN && why(&sentinel, &address)["banned"] == false {
            runs.push(world().client(&script));
        }
        over.store(true, Ordering::Relaxed);
        alice.join().unwrap_or_else(|_| panic!("alice is kept out: {runs:?}"));
        runs
    });
    let why = why(&sentinel, &address);
    assert_eq!(
        (&why["banned"], &why["ban"]["failures"]),
        (&true.into(), &3.into()),
        "{why} {runs:?}"
    );
    // The banned one may use up what the address has for proofs; that comes again.
    sentinel.wait("a registered key gets in from there", || {
        login(port, &address).stdout == "alice-container\n"
    });
    (sentinel, runs)
}

#[test]
fn hydra_is_banned_at_its_third_connection() {
    let attack = "$from hydra -I -L logins -P passwords -t 16 -s 2481 ssh://$DOOR 2>&1";
    let (sentinel, runs) = is_banned(2481, 16, attack);
    // One connection a run: it asks for a list of methods, and leaves when there is no password in it.
    assert_eq!(counted(&sentinel, "192.0.2.16"), ["failure"; 3], "{runs:?}");
    for run in runs {
        assert!(run.stdout.contains("does not support password authentication"), "{run:?}");
    }
}

#[test]
fn hydra_with_keys_is_banned_at_its_third_connection() {
    for number in 1..=5 {
        make_key(&world().dir, &format!("attack-{number}"));
    }
    // One key a connection, and one connection at a time.
    let attack = "cp $DIR/attack-[1-5] .; chmod a+r attack-?; ls $PWD/attack-? >keys\n\
                  $from hydra -I -L logins -P keys -t 1 -s 2482 sshkey://$DOOR 2>&1";
    let (sentinel, runs) = is_banned(2482, 17, attack);
    let counted = counted(&sentinel, "192.0.2.17");
    let (before, after) = counted.split_at(3.min(counted.len()));
    assert_eq!(before, ["failure"; 3], "{runs:?}");
    // What it was let prove afterwards counts no more, and the rest was dropped.
    assert!(after.iter().all(|counts| counts == "no"), "{counted:?} {runs:?}");
    assert!(runs.iter().all(|run| run.stdout.contains("0 valid password found")), "{runs:?}");
}

#[test]
fn medusa_is_banned_at_its_third_connection() {
    let attack = "$from medusa -h $DOOR -n 2483 -U logins -P passwords -M ssh -t 1 2>&1";
    let (sentinel, runs) = is_banned(2483, 18, attack);
    let counted = counted(&sentinel, "192.0.2.18");
    assert!(
        counted.iter().filter(|counts| *counts == "failure").count() <= WITHIN,
        "{counted:?} {runs:?}"
    );
    let none = "No supported authentication methods located";
    assert!(runs.iter().all(|run| run.stdout.contains(none)), "{runs:?}");
}

/// It opens ten connections at once: those that were let in before the ban count no more.
#[test]
fn ncrack_is_banned_at_its_third_connection() {
    let attack =
        "timeout 20 $from ncrack -U logins -P passwords -g CL=10,at=1 ssh://$DOOR:2484 2>&1; true";
    let (sentinel, runs) = is_banned(2484, 15, attack);
    let counted = counted(&sentinel, "192.0.2.15");
    let failures = counted.iter().filter(|counts| *counts == "failure").count();
    assert_eq!(failures, 3, "{counted:?} {runs:?}");
}
