//! The clients of a soak. Each kind is a script on the client's host that says "ok" when it got
//! what it should, and comes again and again until the round is over.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{harness::usage::Usage, scene::Scene};

/// How often the sentinel is looked at while clients work.
const SAMPLE: Duration = Duration::from_secs(1);

/// Failures that are kept in full; one is enough to fail, and the next ones say the same.
const MAX_FAILURES: usize = 20;

/// What came of a round.
pub struct Outcome {
    /// How often each kind of client was there.
    pub done: Vec<(&'static str, u64)>,
    /// What went wrong.
    pub failures: Vec<String>,
    /// The most that the sentinel used, each figure for itself.
    pub peak: Usage,
}

/// The kinds of clients. `$BOX` is one container and the other in turns.
const KINDS: [(&str, &str); 13] = [
    (
        "exec",
        r"out=$(ssh -F $CFG $BOX 'echo out; echo err >&2; exit 3' 2>errors)
        [ $? = 3 ] && [ $out = out ] && [ $(cat errors) = err ] && echo ok",
    ),
    (
        "scp, both ways",
        r"head -c 5M /dev/urandom >a
        there=$(ssh -F $CFG $BOX mktemp)
        scp -F $CFG -q a $BOX:$there && scp -F $CFG -Oq $BOX:$there b
        ssh -F $CFG $BOX rm $there
        cmp a b && echo ok",
    ),
    (
        "sftp",
        r"head -c 2M /dev/urandom >a
        there=$(ssh -F $CFG $BOX mktemp)
        printf 'put a %s\nget %s b\nrm %s\n' $there $there $there | sftp -F $CFG -qb - $BOX >/dev/null
        cmp a b && echo ok",
    ),
    (
        "terminal that echoes",
        r#"coproc ssh -F $CFG -tt $BOX 'stty -echo; echo ready; while read -r line; do echo "got $line"; done'
        read -r line <&${COPROC[0]}
        for i in {1..40}; do
            echo "line $i" >&${COPROC[1]}
            read -r line <&${COPROC[0]}
            [ "$line" = "got line $i"$'\r' ] || exit 1
        done
        printf '\4' >&${COPROC[1]}
        wait $COPROC_PID && echo ok"#,
    ),
    (
        "forwards -L, -R, -W",
        r"ssh -F $CFG -W localhost:22 $BOX </dev/null | head -c 8 >banner
        ssh -F $CFG -fNM -S m -L $TMP/near:localhost:22 -R /tmp/far-$$:$TMP/echo $BOX >/dev/null
        socat UNIX-LISTEN:$TMP/echo,fork SYSTEM:cat &
        echo -n | nc -UN $TMP/near | head -c 8 >>banner
        until [ -S echo ]; do sleep 0.02; done
        head -c 100K /dev/zero | ssh -F $CFG -S m $BOX nc -UN /tmp/far-$$ | wc -c >count
        ssh -F $CFG -S m $BOX rm /tmp/far-$$
        ssh -F $CFG -S m -O exit $BOX 2>/dev/null
        kill %%
        [ $(cat banner) = SSH-2.0-SSH-2.0- ] && [ $(cat count) = 102400 ] && echo ok",
    ),
    (
        "ControlMaster, ten at once",
        r"ssh -F $CFG -fNM -S m $BOX >/dev/null
        mkfifo stalled && exec 3<>stalled
        ssh -F $CFG -S m $BOX 'exec yes' >&3 2>/dev/null &
        stalled=$!
        for n in {1..9}; do
            seq $n 20000 | ssh -F $CFG -S m $BOX cat >$n &
            pids+=$!' '
        done
        wait $pids
        for n in {1..9}; do seq $n 20000 | cmp - $n || exit 1; done
        ssh -F $CFG -S m -O exit $BOX 2>/dev/null
        kill $stalled 2>/dev/null
        echo ok",
    ),
    (
        "refused logins",
        r"ssh -F $CFG refused true 2>a; [ $? = 255 ] || exit 1
        ssh -F $CFG -l nobody-at-all refused true 2>b; [ $? = 255 ] || exit 1
        grep -q 'Permission denied' a && grep -q 'Permission denied' b && echo ok",
    ),
    (
        "half-open TCP",
        r"for text in '' SSH-2.0-half $'SSH-2.0-half\r\n'; do
            exec 3<>/dev/tcp/$DOOR/$PORT
            printf %s $text >&3
            read -r -u 3 ident
            exec 3>&-
        done
        exec 3<>/dev/tcp/$DOOR/$PORT
        timeout 10 cat <&3 >rest && echo ok",
    ),
    (
        "clients killed",
        r"for signal in KILL STOP; do
            ssh -F $CFG $BOX 'echo begun >&2; cat /dev/zero' >/dev/null 2>begun &
            until [ -s begun ]; do sleep 0.05; done
            kill -$signal $!
            sleep 0.5
            kill -KILL $! 2>/dev/null
            wait $! 2>/dev/null
            rm begun
        done
        echo ok",
    ),
    (
        "rekeying, chacha20",
        r"head -c 30M /dev/urandom >a
        ssh -F $CFG -o RekeyLimit=1M -c chacha20-poly1305@openssh.com $BOX cat <a | cmp - a && echo ok",
    ),
    (
        "rekeying, aes128-gcm",
        r"head -c 30M /dev/urandom >a
        ssh -F $CFG -o RekeyLimit='1M 1' -c aes128-gcm@openssh.com $BOX cat <a | cmp - a && echo ok",
    ),
    (
        "jump",
        r"[ $(ssh -F $CFG -J sentinel -o HostKeyAlias=$BOX-inside -o StrictHostKeyChecking=no \
            -o Port=22 -o UserKnownHostsFile=/dev/null -l alice -o HostName=$BOX -i $DIR/alice inside \
            hostname) = $BOX-container ] && echo ok",
    ),
    (
        "console",
        r#"ssh -F $CFG sentinel list --json | grep -q '"soak2"' || exit 1
        ssh -F $CFG sentinel status | grep -q Sessions || exit 1
        ssh -F $CFG sentinel nonsense 2>/dev/null; [ $? = 2 ] && echo ok"#,
    ),
];

/// What a client does.
#[derive(Clone, Copy)]
enum Kind {
    Script(&'static str),
    Reload,
    Local,
}

/// Lets every kind of client whose name contains `only` work for `time`.
pub fn run(scene: &Scene, only: &str, time: Duration) -> Outcome {
    let end = Instant::now() + time;
    let failures = Mutex::new(Vec::new());
    let over = AtomicBool::new(false);
    let (done, peak) = thread::scope(|scope| {
        let watching = scope.spawn(|| watch(scene, &over));
        let scripts = KINDS.map(|(name, script)| (name, Kind::Script(script)));
        let others = [("reload", Kind::Reload), ("local command", Kind::Local)];
        let kinds = scripts.into_iter().chain(others).filter(|(name, _)| name.contains(only));
        let working: Vec<_> = kinds
            .map(|(name, kind)| {
                let failures = &failures;
                scope.spawn(move || repeat(name, end, failures, |n| visit(scene, kind, n)))
            })
            .collect();
        let done = working.into_iter().map(|thread| thread.join().unwrap()).collect();
        over.store(true, Ordering::SeqCst);
        (done, watching.join().unwrap())
    });
    Outcome { done, failures: failures.into_inner().unwrap(), peak }
}

/// Does something until `end`; how often it was done.
fn repeat(
    name: &'static str,
    end: Instant,
    failures: &Mutex<Vec<String>>,
    visit: impl Fn(u64) -> Result<(), String>,
) -> (&'static str, u64) {
    let mut count = 0;
    while Instant::now() < end {
        // What hangs panics, with what it is in its message.
        let visited = catch_unwind(AssertUnwindSafe(|| visit(count)));
        if let Err(error) = visited.unwrap_or_else(|_| Err("hangs".to_owned())) {
            let mut failures = failures.lock().unwrap();
            eprintln!("{name}: {error}");
            if failures.len() < MAX_FAILURES {
                failures.push(format!("{name}: {error}"));
            }
        }
        count += 1;
    }
    (name, count)
}

fn visit(scene: &Scene, kind: Kind, number: u64) -> Result<(), String> {
    let script = match kind {
        Kind::Script(script) => script,
        Kind::Reload => return reload(scene, number),
        Kind::Local => return local(scene),
    };
    let set = format!("PORT={} BOX=soak{}\n", crate::scene::PORT, 1 + number % 2);
    let run = scene.world.client(&(set + script));
    if run.stdout == "ok\n" && run.status == 0 { Ok(()) } else { Err(format!("{run:?}")) }
}

/// A key that no configuration has.
pub const MISTAKE: &str = "nonsense";

/// Every other reload changes the log's level, and some find a mistake.
fn reload(scene: &Scene, number: u64) -> Result<(), String> {
    let sentinel = scene.sentinel();
    let level = ["\"info\"", "\"info,containarium=debug\""][usize::from(number % 2 == 1)];
    let good = number % 5 != 4;
    let text = crate::harness::set(&scene.config, "log", "level", level);
    fs::write(&sentinel.config, if good { text } else { text + MISTAKE + " = 1\n" }).unwrap();
    let run = sentinel.console(&["reload"]);
    fs::write(&sentinel.config, &scene.config).unwrap();
    thread::sleep(Duration::from_millis(500));
    if (run.status == 0) == good { Ok(()) } else { Err(format!("{run:?}")) }
}

fn local(scene: &Scene) -> Result<(), String> {
    let run = scene.sentinel().console(&["info", "soak1", "--json"]);
    thread::sleep(Duration::from_millis(200));
    if run.status == 0 && run.stdout.contains("soak1") { Ok(()) } else { Err(format!("{run:?}")) }
}

/// The most that the sentinel uses until `over`.
fn watch(scene: &Scene, over: &AtomicBool) -> Usage {
    let mut peak = scene.sentinel().usage();
    while !over.load(Ordering::SeqCst) {
        thread::sleep(SAMPLE);
        let now = scene.sentinel().usage();
        peak.connections = peak.connections.max(now.connections);
        peak.tasks = peak.tasks.max(now.tasks);
        peak.descriptors = peak.descriptors.max(now.descriptors);
        peak.resident = peak.resident.max(now.resident);
        peak.panics = now.panics;
    }
    peak
}
