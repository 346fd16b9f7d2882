//! What strangers can do to the door: floods from one and from many addresses, expensive key
//! exchanges, clients that stop half-way, very many that say nothing, programs that guess passwords;
//! and what somebody can do who is in. Each against a sentinel that was
//! just started, in 1 GiB of memory where this machine lets us, while people log in.

mod attack;
mod inside;
mod stage;

use std::{
    fmt::Write,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use self::stage::{Network, Program, Stage, Target};
use crate::{
    report::{
        Bound::{self, AtLeast, AtMost},
        aim, table,
    },
    scene::{Scene, on_host, process_seconds, resident_kib},
    strangers,
};

/// The argument that plays these loads alone, and the one that plays the first of them alone.
pub const LOADS: &str = "loads";
pub const GUARD: &str = "guard";

/// The argument that plays the flood from one address alone.
pub const FLOOD: &str = "loads-flood";

/// The arguments that play one of those that take longest alone.
pub const CHANNELS: &str = "loads-channels";
pub const ATTACKS: &str = "loads-attacks";

/// Addresses that only the client's host has, for strangers and for people who never came before.
const STRANGERS: &str = "10.200.0.0+10000";
const FRESH: &str = "10.201.0.0+20";

/// One who floods, and one who is at home here.
const FLOODER: &str = "192.0.2.16";
const HOME: &str = "192.0.2.17";
const ALLOWED: &str = "192.0.2.18";

/// What the figures of one load are called.
pub struct Load {
    title: &'static str,
    /// Its sentinel had 1 GiB of memory.
    limited: bool,
    found: Vec<(String, f64, Bound)>,
}

/// All of them, in some minutes.
pub fn measure(scene: &Scene) -> Vec<Load> {
    let _network = Network::add();
    let stage = Stage::set(scene);
    vec![
        dropped(&stage),
        one_source(&stage),
        many_sources(&stage),
        exchanges(&stage),
        slow(&stage),
        idle(&stage),
        inside::channels(&stage),
        attack::attacks(&stage),
    ]
}

/// The first of them.
pub fn guard(scene: &Scene) -> Vec<Load> {
    vec![dropped(&Stage::set(scene))]
}

/// A flood from one address.
pub fn flood(scene: &Scene) -> Vec<Load> {
    vec![one_source(&Stage::set(scene))]
}

/// What somebody does with channels.
pub fn channels(scene: &Scene) -> Vec<Load> {
    vec![inside::channels(&Stage::set(scene))]
}

/// What programs do that guess passwords.
pub fn attacks(scene: &Scene) -> Vec<Load> {
    vec![attack::attacks(&Stage::set(scene))]
}

/// The figures and what they should be.
pub fn render(loads: &[Load]) -> String {
    let mut out = table("Strangers", &["load", "found", ""]);
    for load in loads {
        for (what, found, bound) in &load.found {
            aim(&mut out, &format!("{}: {what}", load.title), *found, *bound);
        }
    }
    let limited = loads.iter().all(|load| load.limited);
    let limited = if limited { "in 1 GiB of memory" } else { "without a memory limit" };
    writeln!(
        out,
        "\nEach against a sentinel of its own with the guard's defaults, {limited}, all on this \
         machine. A crowd connects 2000 times a second and says nothing; people log in meanwhile, \
         each a new connection up to an open session channel. Growth is from the start of a load to \
         the peak (`VmHWM`); of channels it is of what is resident, from when a tenth of them is \
         over to the end, and they are all of one administrator at the console. A program that \
         guesses passwords is started again and again, until it is banned and then for {} s alone \
         and for as long as 20 logins take beside it; an attempt is a connection.\n",
        attack::SECONDS
    )
    .unwrap();
    out
}

/// What connections of a banned address cost.
fn dropped(stage: &Stage) -> Load {
    const COUNT: u32 = 10_000;
    eprintln!("{COUNT} connections of a banned address");
    let target = Target::start(stage, 0, &[]);
    let run = target.sentinel.console(&["ban", "add", FLOODER]);
    assert_eq!(run.status, 0, "{run:?}");
    let before = process_seconds(target.sentinel.pid());
    let fared = target.crowd(FLOODER, COUNT, 5000).leave();
    let cpu = (process_seconds(target.sentinel.pid()) - before) * 1e3;
    let found = vec![
        ("dropped, %: at least 99".to_owned(), fared.dropped / fared.all() * 1e2, AtLeast(99.0)),
        ("the sentinel's CPU for each, ms: at most 1".to_owned(), cpu / fared.all(), AtMost(1.0)),
    ];
    Load { title: "banned address", limited: stage.memory.is_some(), found }
}

/// L1: a flood from one address.
fn one_source(stage: &Stage) -> Load {
    eprintln!("a flood from one address");
    let target = Target::start(stage, 1, &[]);
    let descriptors = target.descriptors();
    let crowd = target.crowd(FLOODER, 20_000, 2000);
    let logins = target.logins(HOME, 20, 1);
    let fared = crowd.leave();
    let mut found = vec![
        ("held at once: at most 32 (max_startups_per_source)".to_owned(), fared.most, AtMost(32.0)),
        (
            "p99 until the others are dropped, ms: under 50".to_owned(),
            fared.p99_dropped,
            AtMost(50.0),
        ),
        ("growth, MiB: under 32".to_owned(), target.growth(), AtMost(32.0)),
        ("left behind, descriptors: 0".to_owned(), target.left(descriptors), AtMost(0.0)),
    ];
    found.extend(logins.found("from elsewhere", 100.0, 1000.0));
    Load { title: "2000/s from one address", limited: stage.memory.is_some(), found }
}

/// L2: a flood from 10,000 addresses.
fn many_sources(stage: &Stage) -> Load {
    eprintln!("a flood from 10000 addresses");
    let allow = format!("[\"{ALLOWED}\"]");
    let target = Target::start(stage, 2, &[("guard", "allow", &allow)]);
    // Somebody has logged in from there before.
    target.logins(HOME, 1, 1);
    let crowd = target.crowd(STRANGERS, 30_000, 2000);
    let [allowed, known, fresh] = thread::scope(|scope| {
        let target = &target;
        [(ALLOWED, 1), (HOME, 1), (FRESH, 5)]
            .map(|(source, tries)| scope.spawn(move || target.logins(source, 20, tries)))
            .map(|logins| logins.join().unwrap())
    });
    let fared = crowd.leave();
    let first = fresh.tries.iter().filter(|tries| **tries == 1).count().min(fresh.times.len());
    let mut found = vec![
        ("held at once: at most 128 (max_startups)".to_owned(), fared.most, AtMost(128.0)),
        ("growth, MiB: under 32".to_owned(), target.growth(), AtMost(32.0)),
    ];
    found.extend(allowed.found("from guard.allow", 100.0, 1000.0));
    found.extend(known.found("from a known address", 100.0, 1000.0));
    found.push((
        "logins from a fresh address at the first try, %: at least 50".to_owned(),
        first as f64 / fresh.count * 1e2,
        AtLeast(50.0),
    ));
    found.push((
        "the same within 5 tries, %: at least 99".to_owned(),
        fresh.share(),
        AtLeast(99.0),
    ));
    Load { title: "2000/s from 10000 addresses", limited: stage.memory.is_some(), found }
}

/// L3: as many key exchanges as somebody can ask for.
fn exchanges(stage: &Stage) -> Load {
    eprintln!("key exchanges without end");
    let target = Target::start(stage, 3, &[]);
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/python/ssh-audit");
    let attack = |number: u32| -> Child {
        let door = target.door.replace(':', " -p ");
        let script = format!(
            "PYTHONPATH={0} exec timeout 8 python3 {0}/bin/ssh-audit --dheat={number}:curve25519-sha256 {door}",
            clients.display()
        );
        let mut attack = on_host("client", "bash");
        attack.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null());
        attack.stderr(Stdio::null()).spawn().unwrap()
    };
    let mut found = Vec::new();
    for number in [10, 50] {
        let ended = || target.sentinel.log_text().matches("ended before login").count();
        let (mut attack, before) = (attack(number), ended());
        let logins = target.logins(HOME, 15, 1);
        let _ = attack.wait();
        let mut all = ended();
        loop {
            thread::sleep(Duration::from_millis(500));
            if std::mem::replace(&mut all, ended()) == all {
                break;
            }
        }
        let rate = (all - before) as f64 / 8.0;
        found.push((format!("served of {number} sockets, a second: under 20"), rate, AtMost(20.0)));
        found.extend(logins.found(&format!("beside {number}"), 100.0, 500.0));
    }
    Load { title: "key exchanges (dheat)", limited: stage.memory.is_some(), found }
}

/// L4: clients that stop half-way.
fn slow(stage: &Stage) -> Load {
    const EACH: u32 = 30;
    const GRACE: f64 = 6.0;
    eprintln!("clients that stop half-way");
    let changes = [
        ("ssh", "login_grace", "\"6s\""),
        ("guard", "allow", "[\"192.0.2.0/24\"]"),
        ("ssh", "max_startups", "1000"),
        ("ssh", "max_startups_per_source", "1000"),
    ];
    let target = Target::start(stage, 4, &changes);
    let key = stage.scene.dir.join("jump");
    let arguments = [&target.door, FLOODER, key.to_str().unwrap(), &EACH.to_string()];
    let mut program = Program::start(strangers::STALL, &arguments);
    assert_eq!(program.line(), "come");
    let each = target.growth() * 1024.0 / f64::from(6 * EACH);
    let mut found = vec![("for each that is held, KiB: under 64".to_owned(), each, AtMost(64.0))];
    for line in program.rest().lines() {
        let mut words = line.splitn(3, ' ');
        let mut next = || words.next().unwrap_or_default().to_owned();
        let (least, most, stage): (f64, f64, _) =
            (next().parse().unwrap(), next().parse().unwrap(), next());
        let off = (least - GRACE).abs().max((most - GRACE).abs());
        let what = format!("cut at {GRACE} s after {stage}, off by, s: at most 1");
        found.push((what, off, AtMost(1.0)));
    }
    Load { title: "slow clients", limited: stage.memory.is_some(), found }
}

/// L5: very many that say nothing.
fn idle(stage: &Stage) -> Load {
    const COUNT: u32 = 9_900;
    eprintln!("{COUNT} connections that say nothing");
    let changes = [
        ("ssh", "login_grace", "\"10m\""),
        ("guard", "allow", "[\"192.0.2.0/24\"]"),
        ("ssh", "max_startups", "10000"),
        ("ssh", "max_startups_per_source", "10000"),
    ];
    let target = Target::start(stage, 5, &changes);
    let mut crowd = target.crowd(FLOODER, COUNT, 2000);
    crowd.wait();
    let mib = resident_kib(target.sentinel.pid()) / 1024.0;
    let lag = target.crowd(HOME, 50, 25).leave();
    let fared = crowd.leave();
    let found = vec![
        ("held: all of 9900".to_owned(), fared.most, AtLeast(f64::from(COUNT))),
        ("the sentinel's memory, MiB: under 150".to_owned(), mib, AtMost(150.0)),
        (
            "p99 of the first line for one more, ms: under 50".to_owned(),
            lag.p99_greeted,
            AtMost(50.0),
        ),
    ];
    Load { title: "idle connections", limited: stage.memory.is_some(), found }
}
