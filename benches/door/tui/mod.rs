//! What a screen costs: until it is there, until a key is seen, and while somebody looks on.

mod fleet;
mod seat;

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use tokio::{runtime::Builder, time::sleep};
use vt100::Screen;

use self::{
    fleet::{Changes, Fleet, MANY, PORT},
    seat::{Seat, Traffic},
};
use crate::{
    Effort,
    harness::{Halted, b3_itself, in_network},
    report::{Bound::AtMost, aim, median, percentile, table},
    scene::{Scene, Way, process_seconds, resident_kib},
};

/// The argument that asks for nothing else.
pub const ALONE: &str = "tui";

/// A terminal that fills a large screen.
const LARGE: (u16, u16) = (60, 200);
/// The terminal of somebody far away.
const SMALL: (u16, u16) = (24, 80);

/// Bytes a second that a slow terminal takes.
const SLOW: usize = 1024;

/// Between two keys of somebody in a hurry; no divisor of the second in which screens look around.
const HURRY: Duration = Duration::from_millis(7);

/// After this time a screen that was entered has asked for all that it shows.
const SETTLED: Duration = Duration::from_secs(3);

/// How long pages are turned on a slow terminal.
const TURNING: Duration = Duration::from_secs(15);

const PAGE_DOWN: &str = "\x1b[6~";
const PAGE_UP: &str = "\x1b[5~";

/// Everything that was found out.
pub struct Screens {
    /// Milliseconds to first frames.
    first: Vec<f64>,
    /// Milliseconds of keys, by what they do.
    echoes: Vec<(&'static str, Vec<f64>)>,
    /// Bytes of one move.
    cursor: f64,
    idle: Traffic,
    idle_hosts: Traffic,
    /// Per cent of a processor that the sentinel takes at rest, by how many look on.
    watched: Vec<(usize, f64)>,
    busy: Traffic,
    /// Changes a second meanwhile.
    changes: f64,
    slow: Slow,
}

/// Somebody whose terminal takes 1 KiB a second.
struct Slow {
    /// Bytes that she was sent for all that she typed.
    bytes: f64,
    /// Milliseconds until the last key was seen.
    late: f64,
    /// KiB by which the sentinel grew.
    grown: f64,
}

/// Measures all of it.
pub fn measure(scene: &Scene, effort: &Effort) -> Screens {
    let _alone = b3_itself();
    let fleet = Fleet::make(scene);
    in_network("client", || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(screens(scene, &fleet, effort))
    })
}

async fn screens(scene: &Scene, fleet: &Fleet, effort: &Effort) -> Screens {
    let (door, _) = scene.login(Way::Door);
    let door = door.rsplit(':').next().unwrap().parse().unwrap();
    eprintln!("screens: the first frame, {} times", effort.logins);
    let mut first = Vec::new();
    for _ in 0..effort.logins {
        first.push(Seat::take(scene, door, LARGE, "bench").await.1);
    }
    eprintln!("screens: nothing changes, twice {} s", effort.stall.as_secs());
    let (mut seat, _) = Seat::take(scene, door, LARGE, "bench").await;
    seat.look(SETTLED).await;
    let idle = seat.look(effort.stall).await;
    seat.press("2", |screen| screen.contents().contains("HEARTBEAT")).await;
    seat.look(SETTLED).await;
    let idle_hosts = seat.look(effort.stall).await;
    drop(seat);

    let watched = watched(scene, fleet, effort).await;
    eprintln!("screens: keys");
    let (mut seat, _) = Seat::take(scene, PORT, LARGE, "listed-b1-0").await;
    seat.look(SETTLED).await;
    let (moves, cursor) = rows(&mut seat, effort.keys).await;
    let mut echoes = vec![
        ("a row up or down", moves),
        ("a page up or down", pages(&mut seat, effort.keys / 4).await),
        ("a letter of a filter", letters(&mut seat, effort.keys / 20).await),
    ];
    let hung = Halted::b3();
    echoes.push(("a row, while a host hangs", rows(&mut seat, effort.keys).await.0));
    drop(hung);

    eprintln!("screens: containers that change");
    let changes = Changes::begin();
    seat.look(SETTLED).await;
    let busy = seat.look(effort.stall / 2).await;
    assert!(busy.shown > 0.0, "what changes is seen");
    echoes.push(("a row, while 50 containers change", rows(&mut seat, effort.keys).await.0));
    drop(seat);
    let rate = changes.rate();
    let slow = slow(scene, fleet).await;
    drop(changes);
    Screens { first, echoes, cursor, idle, idle_hosts, watched, busy, changes: rate, slow }
}

/// Nobody, one and ten who look at a fleet at rest.
async fn watched(scene: &Scene, fleet: &Fleet, effort: &Effort) -> Vec<(usize, f64)> {
    let (mut seats, mut found) = (Vec::new(), Vec::new());
    for count in [0, 1, 10] {
        eprintln!("screens: nothing changes, {count} look on for {} s", effort.stall.as_secs());
        while seats.len() < count {
            seats.push(Seat::take(scene, PORT, LARGE, "listed-b1-0").await.0);
        }
        // What comes when they have come.
        for seat in &mut seats {
            seat.look(SETTLED / 4).await;
        }
        let (begun, used) = (Instant::now(), process_seconds(fleet.sentinel.pid()));
        sleep(effort.stall).await;
        let used = process_seconds(fleet.sentinel.pid()) - used;
        found.push((count, used / begun.elapsed().as_secs_f64() * 100.0));
    }
    found
}

/// One row down and up again; milliseconds of each, and the median of their bytes.
async fn rows(seat: &mut Seat, keys: usize) -> (Vec<f64>, f64) {
    let (mut times, mut bytes) = (Vec::new(), Vec::new());
    for key in ["j", "k"].into_iter().cycle().take(keys) {
        let (before, taken) = (here(seat.screen()), seat.taken());
        times.push(seat.press(key, |screen| here(screen) != before).await);
        bytes.push((seat.taken() - taken) as f64);
        seat.look(HURRY).await;
    }
    (times, median(bytes))
}

async fn pages(seat: &mut Seat, keys: usize) -> Vec<f64> {
    let mut times = Vec::new();
    for key in [PAGE_DOWN, PAGE_DOWN, PAGE_UP, PAGE_UP].into_iter().cycle().take(keys / 4 * 4) {
        let before = here(seat.screen());
        times.push(seat.press(key, |screen| here(screen) != before).await);
        seat.look(HURRY).await;
    }
    times
}

async fn letters(seat: &mut Seat, words: usize) -> Vec<f64> {
    let mut times = Vec::new();
    for _ in 0..words {
        seat.press("/", |screen| has_line(screen, "/")).await;
        for typed in ["/p", "/pe", "/per", "/pers", "/perso", "/person", "/person7"] {
            let key = &typed[typed.len() - 1..];
            times.push(seat.press(key, |screen| has_line(screen, typed)).await);
            seat.look(HURRY).await;
        }
        // Escape is a key by itself only if nothing follows for a while.
        seat.press("\x1b", |screen| !screen.contents().contains("/person7")).await;
    }
    times
}

/// Somebody far away who turns pages five times a second, and then goes to the last row.
async fn slow(scene: &Scene, fleet: &Fleet) -> Slow {
    eprintln!("screens: a slow terminal");
    let (mut seat, _) = Seat::take(scene, PORT, SMALL, "listed-b1-0").await;
    seat.look(SETTLED).await;
    let (before, taken) = (resident_kib(fleet.sentinel.pid()), seat.taken());
    seat.slow_down(SLOW);
    let (begun, mut keys) = (Instant::now(), [PAGE_DOWN, PAGE_UP].into_iter().cycle());
    while begun.elapsed() < TURNING {
        seat.type_ahead(keys.next().unwrap()).await;
        seat.look(Duration::from_millis(200)).await;
    }
    let last = format!("remembered-{:04}", MANY - 1);
    let late = seat.press("G", |screen| here(screen).is_some_and(|row| row.contains(&last))).await;
    let grown = resident_kib(fleet.sentinel.pid()) - before;
    Slow { bytes: (seat.taken() - taken) as f64, late, grown }
}

/// The row that one is at: its name, for the rest may change by itself.
fn here(screen: &Screen) -> Option<String> {
    let mut rows = screen.rows(0, screen.size().1.get());
    let row = rows.find(|row| row.starts_with('▸'))?;
    row.split_whitespace().nth(1).map(str::to_owned)
}

fn has_line(screen: &Screen, line: &str) -> bool {
    screen.rows(0, screen.size().1.get()).any(|row| row.trim_end() == line)
}

impl Screens {
    /// What should be, and what is.
    pub fn aims(&self, out: &mut String) {
        let first = percentile(&self.first, 95);
        aim(out, "p95 of a screen after authentication, ms: under 60", first, AtMost(60.0));
        for (what, times) in &self.echoes {
            let what = format!("p99 of {what}, {MANY} containers, ms: under 16");
            aim(out, &what, percentile(times, 99), AtMost(16.0));
        }
        let a_minute = self.idle.shown / self.idle.seconds * 60.0;
        aim(
            out,
            "bytes a minute of a screen on which nothing changes: under 1024",
            a_minute,
            AtMost(1024.0),
        );
        let (idle, one) = (self.watched[0].1, self.watched[1].1);
        let what = format!("% of a processor for one screen at rest, {MANY} containers: under 1");
        aim(out, &what, one - idle, AtMost(1.0));
        let a_second = self.busy.shown / self.busy.seconds;
        aim(out, "bytes a second while 50 containers change: under 4096", a_second, AtMost(4096.0));
        let late = self.slow.late / 1e3;
        aim(out, "a key on a terminal of 1 KiB a second, s: under 5", late, AtMost(5.0));
        let grown = self.slow.grown / 1024.0;
        aim(out, "MiB for a terminal of 1 KiB a second: under 1", grown, AtMost(1.0));
    }

    /// The tables.
    pub fn render(&self) -> String {
        let title = format!("Screens: a key until it is seen, {MANY} containers, ms");
        let mut out = table(&title, &["", "p50", "p95", "p99"]);
        let first = ("the first frame after authentication, one container", self.first.clone());
        for (what, times) in self.echoes.iter().chain([&first]) {
            let [half, most, all] = [50, 95, 99].map(|percent| percentile(times, percent));
            writeln!(out, "| {what} | {half:.2} | {most:.2} | {all:.2} |").unwrap();
        }
        out += "\n";
        out += &table("Screens: bytes", &["", "for the terminal", "on the wire"]);
        let minute = |traffic: &Traffic| {
            [traffic.shown, traffic.wire].map(|bytes| bytes / traffic.seconds * 60.0)
        };
        let rows = [
            ("a minute, containers, nothing changes", minute(&self.idle)),
            ("a minute, hosts and their heartbeats", minute(&self.idle_hosts)),
            ("a second, 50 containers that change", minute(&self.busy).map(|bytes| bytes / 60.0)),
        ];
        for (what, [shown, wire]) in rows {
            writeln!(out, "| {what} | {shown:.0} | {wire:.0} |").unwrap();
        }
        writeln!(out, "| one row up or down | {:.0} | – |\n", self.cursor).unwrap();
        let title = format!("Screens at rest, {MANY} containers: the sentinel's CPU");
        out += &table(&title, &["who look on", "% of a processor"]);
        for (count, percent) in &self.watched {
            writeln!(out, "| {count} | {percent:.2} |").unwrap();
        }
        let Slow { bytes, late, grown } = self.slow;
        writeln!(
            out,
            "\nA terminal has 200 columns and 60 rows, and an emulator \
             says what is seen on it. {MANY} containers are remembered of a host that is away, 50 are real: \
             {:.1} changes a second were made to them. A slow terminal, 80 columns and 24 rows, takes {SLOW} \
             bytes a second while pages are turned five times a second for {} s: it was sent {bytes:.0} bytes, the \
             last key was seen after {:.1} s, and the sentinel grew by {grown:.0} KiB.\n",
            self.changes,
            TURNING.as_secs(),
            late / 1e3,
        )
        .unwrap();
        out
    }
}
