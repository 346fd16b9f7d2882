//! A host that does not die, but fails: connections refused, silence, and loss.

use super::{Client, is_down, patient, power};
use crate::harness::{Guest, b3, lab_command, lab_name, make_key, world};

const PORT: u16 = 2331;

/// Runs a script on the host of `b3`, with its network only.
fn on_b3(script: &str) {
    power(&["in", "b3", "bash", "-ec", script]);
}

/// How `ss` lists the listener of sshd.
const SSHD: &str = "-t 'sport = 22'";

/// The same of Incus.
fn incusd() -> String {
    format!("-x | grep {}/unix.socket", lab_name("b3"))
}

/// A script that halts a daemon of `b3`, or lets it go on. The nsenter that started it halts itself
/// when it hears that its child is halted, which may be late: it is halted before, and for a while
/// it is woken whenever it is found halted.
fn signal(signal: &str, listener: &str) -> String {
    let kill = match signal {
        "STOP" => "kill -STOP $parent $one",
        _ => {
            "kill -CONT $one $parent\n\
             for _ in {1..20}; do\n\
               sleep 0.05; read -r _ _ state _ < /proc/$((parent))/stat\n\
               [ $state != T ] || kill -CONT $parent\n\
             done"
        }
    };
    format!(
        "one=$(ss -Hlnp {listener} | grep -o 'pid=[0-9]*' | head -1 | cut -d= -f2)\n\
         parent=$(ps -o ppid= -p $one)\n{kill}"
    )
}

/// Lets the packets of `b3` through again, whatever the test did.
struct Mended;

impl Drop for Mended {
    fn drop(&mut self) {
        let _ = lab_command(&["in", "b3", "iptables", "-F", "INPUT"]).output();
    }
}

/// One host after the other way to fail, one sentinel: each ends what is open with a sentence or at
/// once, and whoever comes then waits and walks in when it is over.
#[test]
fn refused_silent_and_cut_off_hosts_are_told_waited_for_and_entered_again() {
    let _alone = b3();
    make_key(&world().dir, "faulty");
    let sentinel = patient("faulty", PORT, "100s");
    let _guest = Guest::new(&sentinel, "b3", "faulty", "faulty");
    let _mended = Mended;
    let to = (PORT, "faulty");
    let silence = "iptables -I INPUT -i eth0 -j DROP";
    let (halt, go) = (signal("STOP", SSHD), signal("CONT", SSHD));
    let faults: [(&str, Vec<&str>, Vec<&str>); 3] = [
        ("refused", vec!["kill", "b3", "sshd"], vec!["revive", "b3"]),
        (
            "silent",
            vec!["in", "b3", "bash", "-ec", silence],
            vec!["in", "b3", "iptables", "-F", "INPUT"],
        ),
        ("halted", vec!["in", "b3", "bash", "-ec", &halt], vec!["in", "b3", "bash", "-ec", &go]),
    ];
    for (name, fail, mend) in faults {
        let open = format!("fault-{name}-open");
        let open =
            Client::start(&open, to, "$SSH -l faulty $DOOR 'echo here >&2; exec sleep 1000'");
        open.wait(&sentinel, "here");
        power(&fail);
        // While nobody knows it yet.
        let early = format!("fault-{name}-early");
        let early = Client::start(&early, to, "$SSH -l faulty $DOOR hostname");
        sentinel.wait(&format!("{name}: b3 is down"), || is_down(&sentinel));
        sentinel.wait(&format!("{name}: the session ends"), || open.running.is_finished());
        let run = open.end();
        let sentence = run.stderr.contains("the host of faulty went away; log in again")
            || run.stderr.contains("connection to the container was lost");
        assert!(run.status == 255 && sentence, "{name}: {run:?}");
        let late = format!("fault-{name}-late");
        let late = Client::start(&late, to, "$SSH -l faulty $DOOR hostname");
        late.wait(&sentinel, "the host of faulty has been down for ");
        // Others go their way.
        let bob = format!("ssh -F $CFG -p {PORT} bob id -un");
        assert_eq!(world().client(&bob).stdout, "bob\n", "{name}");
        power(&mend);
        for client in [early, late] {
            let run = client.end();
            assert_eq!((run.stdout.as_str(), run.status), ("faulty-container\n", 0), "{run:?}");
        }
    }
}

/// An Incus that accepts and answers nothing (or is stopped) is no reason to keep people out of
/// containers that run.
#[test]
fn a_halted_incus_keeps_nobody_out_of_a_running_container() {
    let _alone = b3();
    make_key(&world().dir, "halted");
    let sentinel = patient("halted", PORT + 2, "5s");
    let _guest = Guest::new(&sentinel, "b3", "halted", "halted");
    on_b3(&signal("STOP", &incusd()));
    let login = format!("ssh -F $CFG -p {} -i $DIR/halted -l halted $DOOR hostname", PORT + 2);
    let runs: Vec<_> = (0..3).map(|_| world().client(&login)).collect();
    on_b3(&signal("CONT", &incusd()));
    for run in runs {
        assert_eq!((run.stdout.as_str(), run.status), ("halted-container\n", 0), "{run:?}");
    }
}

/// Half of all packets are lost: a login works, or ends with its sentence, and the host is never taken
/// for one that shows another key or refuses somebody.
#[test]
fn a_lossy_way_lets_in_or_tells() {
    let _alone = b3();
    make_key(&world().dir, "lossy");
    let sentinel = patient("lossy", PORT + 1, "5s");
    let _guest = Guest::new(&sentinel, "b3", "lossy", "lossy");
    let mended = Mended;
    let login = format!("ssh -F $CFG -p {} -i $DIR/lossy -l lossy $DOOR hostname", PORT + 1);
    let loss = "iptables -I INPUT -i eth0 -m statistic --mode random --probability 0.5 -j DROP";
    on_b3(loss);
    for _ in 0..5 {
        let run = world().client(&login);
        let entered = run.status == 0 && run.stdout == "lossy-container\n";
        let told = run.status == 75 && run.stderr.starts_with("error: container lossy ");
        // A session that was entered may be lost to the same fault.
        let is_gone = run.status == 255 && run.stderr.contains("went away");
        assert!(entered || told || is_gone, "{run:?}");
    }
    drop(mended);
    sentinel.wait("it is entered again", || world().client(&login).status == 0);
}
