//! The door beside OpenSSH: direct to a container's sshd, through a jump host, through the door.
//!
//! All ways are measured in one run, in turns, on the lab's hosts, so that a machine that slows
//! down slows all of them. `--quick` (or `BENCH_QUICK=1`) is a smoke check of under a minute, of
//! which nothing is kept; a full run writes `docs/benchmarks.md`. `outages` as the first argument
//! plays nothing but the hosts that die, `console` nothing but commands, `loads` nothing but what strangers
//! do, `guard` nothing but the first of that, `record` nothing but terminals that are recorded and watched,
//! `files` nothing but what it costs to see which files are moved, `tui` nothing but screens; each is told of.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark: it reads the clock, and what fails ends it"
)]

mod channels;
mod create;
mod delay;
mod echo;
mod files;
mod flow;
#[path = "../../tests/e2e/harness/mod.rs"]
#[allow(dead_code, unused_imports, clippy::pedantic, reason = "it belongs to the tests")]
mod harness;
mod idle;
mod list;
mod loads;
mod login;
mod machine;
mod outage;
#[path = "../../tests/hostile/peer/mod.rs"]
#[allow(dead_code, unused_imports, clippy::pedantic, reason = "it belongs to the tests")]
mod peer;
mod rate;
mod record;
mod report;
mod scene;
mod strangers;
mod tui;

use std::{fs, path::Path, time::Duration};

use self::{report::Results, scene::Scene};

/// How much is measured.
pub struct Effort {
    /// Rounds of throughput.
    pub rounds: usize,
    /// MiB in each direction of a flow.
    pub mib: u64,
    /// Logins of each kind.
    pub logins: usize,
    /// Keys typed by each way.
    pub keys: usize,
    /// How long a reader is stopped.
    pub stall: Duration,
    /// Logins at a fixed rate.
    pub burst: usize,
    /// Containers created.
    pub creations: usize,
    /// Containers listed, on two backends.
    pub listed: usize,
    /// Hosts that die.
    pub outages: usize,
    /// How many idle sessions are held, in rising order.
    pub idle: &'static [usize],
}

const FULL: Effort = Effort {
    rounds: 3,
    mib: 1024,
    logins: 20,
    keys: 500,
    stall: Duration::from_secs(60),
    burst: 1000,
    creations: 10,
    listed: 200,
    outages: 5,
    idle: &[100, 1000],
};
const QUICK: Effort = Effort {
    rounds: 1,
    mib: 64,
    logins: 2,
    keys: 20,
    stall: Duration::from_secs(2),
    burst: 20,
    creations: 2,
    listed: 20,
    outages: 1,
    idle: &[20],
};

/// The argument that asks for the console's commands and nothing else.
const CONSOLE: &str = "console";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, rest @ ..] = arguments.as_slice() {
        match command.as_str() {
            idle::HOLD => return idle::hold(rest),
            delay::DELAY => return delay::serve(rest),
            rate::LOGINS => return rate::log_in(rest),
            outage::ALONE => return drop(outage::measure(&effort(&arguments))),
            files::FILES => return println!("{}", files::measure()),
            CONSOLE => return console(&effort(&arguments)),
            channels::CHANNELS => return channels::channels(rest),
            strangers::CROWD => return strangers::crowd(rest),
            strangers::LOG_IN => return strangers::log_in(rest),
            strangers::STALL => return strangers::stall(rest),
            record::ALONE => return records(&effort(&arguments)),
            tui::ALONE => return screens(&effort(&arguments)),
            loads::GUARD => return println!("{}", loads::render(&loads::guard(&Scene::set()))),
            loads::LOADS => return println!("{}", loads::render(&loads::measure(&Scene::set()))),
            loads::FLOOD => return println!("{}", loads::render(&loads::flood(&Scene::set()))),
            loads::CHANNELS => {
                return println!("{}", loads::render(&loads::channels(&Scene::set())));
            }
            loads::ATTACKS => {
                return println!("{}", loads::render(&loads::attacks(&Scene::set())));
            }
            _ => {}
        }
    }
    let effort = effort(&arguments);
    let scene = Scene::set();
    let idle = idle::measure(&scene, &effort);
    let flows = flow::measure(&scene, &effort);
    let echoes = echo::measure(&scene, &effort);
    let records = record::measure(&scene, &effort);
    let screens = tui::measure(&scene, &effort);
    let logins = login::measure(&scene, &effort);
    let agent = login::with_agent(&scene, &effort);
    let rates = rate::measure(&scene, &effort);
    let creations = create::measure(&scene, &effort);
    let listings = list::measure(&scene, &effort);
    // Some minutes, and a quick run has one and a half.
    let loads = if is_quick(&arguments) { Vec::new() } else { loads::measure(&scene) };
    drop(scene);
    let outages = outage::measure(&effort);
    let results = Results {
        flows,
        echoes,
        records,
        screens,
        logins,
        agent,
        rates,
        creations,
        listings,
        outages,
        idle,
        loads,
        machine: machine::describe(),
        effort,
    };
    let text = report::render(&results);
    println!("{text}");
    if is_quick(&arguments) {
        println!("A quick run shows that it works; its figures are noise and are not kept.");
    } else {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
        fs::write(file, text).unwrap();
    }
}

/// Measures commands alone, and tells of each.
fn console(effort: &Effort) {
    let scene = Scene::set();
    eprintln!("{:#?}", create::measure(&scene, effort));
    eprintln!("{:#?}", list::measure(&scene, effort));
}

/// Measures terminals alone, and tells of them.
fn records(effort: &Effort) {
    println!("{}", record::render(&record::measure(&Scene::set(), effort)));
}

/// Measures screens alone, and tells of them.
fn screens(effort: &Effort) {
    let screens = tui::measure(&Scene::set(), effort);
    let mut out = report::table("Aims", &["aim", "found", ""]);
    screens.aims(&mut out);
    println!("{out}\n{}", screens.render());
}

fn effort(arguments: &[String]) -> Effort {
    if is_quick(arguments) { QUICK } else { FULL }
}

fn is_quick(arguments: &[String]) -> bool {
    arguments.iter().any(|a| a == "--quick")
        || std::env::var_os("BENCH_QUICK").is_some_and(|v| v != "0" && !v.is_empty())
}
