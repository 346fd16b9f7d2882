//! The results as `docs/benchmarks.md`: ratios first, then aims, then the figures behind them.

use std::{collections::BTreeMap, fmt::Write};

use crate::{
    Effort,
    create::Creation,
    echo::Echoes,
    flow::{CIPHERS, Direction, Flow, Key},
    harness::outage::Timeline,
    idle::Idle,
    list::Listing,
    loads::{self, Load},
    login::{AGENT_KEYS, KINDS, Logins},
    rate::{PER_SECOND, Rate},
    record::{self, Records},
    scene::Way,
    tui::Screens,
};

/// Everything a run has found out.
pub struct Results {
    pub flows: BTreeMap<Key, Vec<Flow>>,
    pub echoes: Echoes,
    pub records: Records,
    pub screens: Screens,
    pub logins: Logins,
    pub agent: Vec<f64>,
    pub rates: Vec<Rate>,
    pub creations: Vec<Creation>,
    pub listings: Vec<Listing>,
    pub outages: Vec<Timeline>,
    pub idle: Vec<Idle>,
    pub loads: Vec<Load>,
    pub machine: String,
    pub effort: Effort,
}

const HEAD: &str = "\
# Benchmarks

Written by `make bench`; a run replaces it. All ways lead from the same client to the same sshd in \
the same container on a backend, and take turns within one run.

| way | what it is |
|---|---|
| direct | one TCP connection, which the sentinel's kernel forwards: the same hops as all others |
| -J | `ssh -J` through OpenSSH's sshd on the sentinel's host, which connects to the container |
| door | the sentinel, which connects to the container (`routed = true`) |
| -J twice | `ssh -J` through the sentinel's host and the backend's sshd |
| door by link | the sentinel, which goes through the backend's sshd (the default) |

**How to read.** Compare ratios; absolute figures depend on the machine. Everything, both ends \
included, runs on this one machine: where it has few cores, throughput is what client, server and \
what is between them share, so a `-J` that costs the client a second cipher is slow for that, too. \
The client uses the named cipher on every leg of its own; the door's leg to the container is always \
aes128-gcm. CPU is that of the sentinel, or of the jump host's sshd on the same host, \
logins included; what the backend's sshd and the clients spend is in no column. Differences of a \
few per cent are noise: see the ranges.

";

const METHOD: &str = "\
## How it is measured

A flow is `head -c` of `/dev/zero` into `/dev/null` in one session, timed from the moment the \
remote command runs to the end of the session. Rates are 10^6 bytes a second, \
and the median of all rounds; for *both* they count the bytes of both directions. CPU is user and \
system time of all threads or processes per 2^30 bytes. A login is \
`ssh HOST true` as a new process, with the same key on all ways and no connection shared. The \
default key exchange is the one that client and server agree on: it can be another one on the \
way through the door. Idle sessions are authenticated connections with an open session channel, \
held by one client; memory is `VmRSS` of a sentinel that was started for this, and its own is `RssAnon`: \
the rest are pages of its executable. The sentinels have \
their defaults, but for `max_startups`, `max_startups_per_source` and `guard.allow`.

Far away means behind a proxy on the client's host that holds every byte back for 25 ms in each \
direction, and a new connection for the 50 ms of its handshake. A creation is of a small image with busybox and sshd that the backend has; Incus's share is what a pipe at \
its socket sees. Logins at a rate are made by one \
client program, each a new connection up to an open session channel, begun by the clock and not when \
the last one is done.

A host dies when the power of a backend is cut: its cable first, then all its processes. Meanwhile \
four clients ask its site by HTTP, one tries HTTPS, every 0.1 s each, and 20 people have a session \
each in one of two containers; 20 others log in while it is down, and are waited for before a program, \
which is what the sentinel's recovery calls, powers the host on. Its boot is what passes from that call to the \
first byte of its sshd, which starts behind its Incus there, and in no sum. The gateway may turn once in a second (`hold`), so that a boot of seconds \
does not count as flapping; health is checked as it is by default.
";

/// The whole text.
pub fn render(results: &Results) -> String {
    let mut out = HEAD.to_owned();
    let effort = &results.effort;
    writeln!(out, "{}", results.machine).unwrap();
    writeln!(
        out,
        "- {} rounds of {} MiB in each direction, {} logins of each kind, {} at a rate\n",
        effort.rounds, effort.mib, effort.logins, effort.burst
    )
    .unwrap();
    out += &results.ratios();
    out += &results.aims();
    out += &results.rates();
    out += &results.cpu();
    out += &results.keystrokes();
    out += &record::render(&results.records);
    out += &results.screens.render();
    out += &results.login_times();
    out += &results.login_rates();
    out += &results.created();
    out += &results.listed();
    out += &results.outages();
    out += &results.memory();
    if !results.loads.is_empty() {
        out += &loads::render(&results.loads);
    }
    out + METHOD
}

impl Results {
    fn rate(&self, cipher: &'static str, direction: Direction, way: Way) -> f64 {
        median(self.flows[&(cipher, direction, way)].iter().map(|f| f.rate))
    }

    fn cpu_of(&self, cipher: &'static str, direction: Direction, way: Way) -> f64 {
        median(self.flows[&(cipher, direction, way)].iter().map(|f| f.cpu))
    }

    fn login(&self, kind: &'static str, way: Way) -> f64 {
        median(self.logins[&(kind, way)].iter().copied())
    }

    fn ratios(&self) -> String {
        let mut out = table(
            "Ratios",
            &[
                "",
                "door / direct",
                "door / -J",
                "link / -J twice",
                "CPU door / -J",
                "CPU link / -J twice",
            ],
        );
        for (cipher, direction) in kinds() {
            let rate = |way| self.rate(cipher, direction, way);
            let cpu = |way| self.cpu_of(cipher, direction, way);
            let cells = [
                rate(Way::Door) / rate(Way::Direct),
                rate(Way::Door) / rate(Way::Jump),
                rate(Way::Link) / rate(Way::JumpTwice),
                cpu(Way::Door) / cpu(Way::Jump),
                cpu(Way::Link) / cpu(Way::JumpTwice),
            ];
            let name = format!("throughput {} {}", short(cipher), direction.title());
            row(&mut out, &name, cells.map(|r| format!("{r:.2}")));
        }
        for (kind, ..) in KINDS {
            let time = |way| self.login(kind, way);
            let cells =
                [(Way::Door, Way::Direct), (Way::Door, Way::Jump), (Way::Link, Way::JumpTwice)]
                    .map(|(way, peer)| format!("{:.2}", time(way) / time(peer)));
            row(
                &mut out,
                &format!("time of a login, {kind}"),
                cells.into_iter().chain(["–", "–"].map(str::to_owned)),
            );
        }
        out + "\nThroughput is better above 1, CPU and time below.\n\n"
    }

    fn aims(&self) -> String {
        let mut out = table("Aims", &["aim", "found", ""]);
        for (cipher, direction) in kinds() {
            let rate = |way| self.rate(cipher, direction, way);
            let what = format!("{} {}", short(cipher), direction.title());
            let by_jump = rate(Way::Door) / rate(Way::Jump);
            aim(&mut out, &format!("{what}: at least 1.5 × -J"), by_jump, AtLeast(1.5));
            let by_direct = rate(Way::Door) / rate(Way::Direct);
            aim(&mut out, &format!("{what}: at least 0.85 × direct"), by_direct, AtLeast(0.85));
            let most = if cipher == CIPHERS[0] { 0.85 } else { 0.65 };
            let cpu = self.cpu_of(cipher, direction, Way::Door)
                / self.cpu_of(cipher, direction, Way::Jump);
            aim(&mut out, &format!("{what}: CPU at most {most} × -J"), cpu, AtMost(most));
        }
        let login = |kind: usize, way| self.login(KINDS[kind].0, way);
        let near = login(0, Way::Door) / login(0, Way::Direct);
        aim(&mut out, "login: at most 1.15 × direct", near, AtMost(1.15));
        let far = login(2, Way::Door) / login(2, Way::Jump);
        aim(&mut out, "login 25 ms away: at most 0.6 × -J", far, AtMost(0.6));
        let what = format!("login with the last of {AGENT_KEYS} keys, ms: under 1000");
        aim(&mut out, &what, percentile(&self.agent, 95), AtMost(1000.0));
        let Echoes { echoes, grown } = &self.echoes;
        for echo in echoes.iter().filter(|echo| echo.beside) {
            let what = "p99 of a keystroke beside a stopped reader, ms: under 50";
            aim(&mut out, what, percentile(&echo.times, 99), AtMost(50.0));
        }
        aim(&mut out, "MiB for a reader stopped in a flood: under 1", grown / 1024.0, AtMost(1.0));
        for rate in self.rates.iter().filter(|rate| rate.way == Way::Door) {
            let what = format!("p99 of logins at {PER_SECOND} a second, ms: under 250");
            aim(&mut out, &what, percentile(&rate.times, 99), AtMost(250.0));
            let what = "logins for a second of the sentinel's CPU: at least 200";
            aim(&mut out, what, 1e3 / rate.cpu, AtLeast(200.0));
        }
        let total = median(self.creations.iter().map(|c| c.total));
        aim(&mut out, "`create` of a small image, ms: under 3000", total, AtMost(3000.0));
        let own = median(self.creations.iter().map(|c| c.own));
        aim(&mut out, "the sentinel's own share of it, ms: under 300", own, AtMost(300.0));
        let listed = median(self.listings.iter().map(|l| l.local));
        let what =
            format!("`list` of {} containers on two backends, ms: under 50", self.effort.listed);
        aim(&mut out, &what, listed, AtMost(50.0));
        let worst = |part: fn(&Timeline) -> f64| self.outages.iter().map(part).fold(0.0, f64::max);
        let what = "a dead host is seen, worst, s: under 5";
        aim(&mut out, what, worst(|t| t.detect), AtMost(5.0));
        let page = worst(|t| t.page[0].max(t.page[1]));
        aim(&mut out, "the page is served after that, worst, s: under 1", page, AtMost(1.0));
        let what = "a site is away without the host's boot, worst, s: under 7";
        aim(&mut out, what, worst(Timeline::own), AtMost(7.0));
        self.screens.aims(&mut out);
        let idle = &self.idle[0];
        aim(&mut out, "KiB per idle session: at most 8", idle.per_session(), AtMost(8.0));
        let own = idle.empty.anonymous / 1024.0;
        let what = format!("MiB of an idle process, {own:.1} of them its own: under 16");
        aim(&mut out, &what, idle.empty.resident / 1024.0, AtMost(16.0));
        out + "\n"
    }

    fn rates(&self) -> String {
        let titles = Way::ALL.map(Way::title);
        let mut out = table("Throughput, MB/s: median (range)", &[&[""][..], &titles].concat());
        for (cipher, direction) in kinds() {
            let cells = Way::ALL
                .map(|way| spread(self.flows[&(cipher, direction, way)].iter().map(|f| f.rate), 0));
            row(&mut out, &format!("{} {}", short(cipher), direction.title()), cells);
        }
        out + "\n"
    }

    fn cpu(&self) -> String {
        let titles = Way::ALL[1..].iter().map(|way| way.title());
        let titles: Vec<_> = std::iter::once("").chain(titles).collect();
        let mut out = table("CPU between client and container, s/GiB: median (range)", &titles);
        for (cipher, direction) in kinds() {
            let cells = Way::ALL[1..]
                .iter()
                .map(|way| spread(self.flows[&(cipher, direction, *way)].iter().map(|f| f.cpu), 2));
            row(&mut out, &format!("{} {}", short(cipher), direction.title()), cells);
        }
        out + "\n"
    }

    fn login_times(&self) -> String {
        let titles = Way::ALL.map(Way::title);
        let mut out = table("Login, ms: median / p95", &[&["kind"][..], &titles].concat());
        for (kind, ..) in KINDS {
            let cells = Way::ALL.map(|way| {
                let times = &self.logins[&(kind, way)];
                format!("{:.0} / {:.0}", self.login(kind, way), percentile(times, 95))
            });
            row(&mut out, kind, cells);
        }
        out + "\n"
    }

    fn keystrokes(&self) -> String {
        let mut out = table("A keystroke and its echo, ms", &["", "p50", "p95", "p99"]);
        for echo in &self.echoes.echoes {
            let beside = if echo.beside { ", beside a stopped reader" } else { "" };
            let cells = [50, 95, 99].map(|p| format!("{:.2}", percentile(&echo.times, p)));
            row(&mut out, &format!("{}{beside}", echo.way.title()), cells);
        }
        out + "\n"
    }

    fn login_rates(&self) -> String {
        let columns = ["", "p50, ms", "p99, ms", "failed", "sentinel's CPU, ms"];
        let mut out = table(&format!("Logins at {PER_SECOND} a second"), &columns);
        for rate in &self.rates {
            let at = |percent| format!("{:.0}", percentile(&rate.times, percent));
            let cpu =
                if rate.way == Way::Direct { "–".into() } else { format!("{:.1}", rate.cpu) };
            row(&mut out, rate.way.title(), [at(50), at(99), rate.failed.to_string(), cpu]);
        }
        out + "\n"
    }

    fn created(&self) -> String {
        let mut out = table("Creating a container, ms: median (range)", &["", "time"]);
        let total = spread(self.creations.iter().map(|c| c.total), 0);
        row(&mut out, "`ssh SENTINEL create` until one can log in", [total]);
        let own = spread(self.creations.iter().map(|c| c.own), 0);
        row(&mut out, "of that without Incus, what runs inside, and the boot", [own]);
        out + "\n"
    }

    fn listed(&self) -> String {
        let title = format!("Listing {} containers, ms: median (range)", self.effort.listed);
        let mut out = table(&title, &["", "time"]);
        let local = spread(self.listings.iter().map(|l| l.local), 1);
        row(&mut out, "`containarium list`, process and all", [local]);
        let remote = spread(self.listings.iter().map(|l| l.remote), 1);
        row(&mut out, "`ssh SENTINEL list` on a connection that stands", [remote]);
        out + "\n"
    }

    fn outages(&self) -> String {
        type Part = (&'static str, &'static str, fn(&Timeline) -> f64);
        let title = "A host that dies under load, s: median, worst";
        let mut out = table(title, &["from", "to", "median", "worst"]);
        let parts: [Part; 8] = [
            ("the last answer of the site", "down", |t| t.detect),
            ("down", "the page by HTTP", |t| t.page[0]),
            ("down", "the page by HTTPS, with the site's certificate", |t| t.page[1]),
            ("down", "the start is asked for", |t| t.asked),
            ("the host's first word", "the site answers", |t| t.back),
            ("the host's first word", "its containers run", |t| t.running),
            ("the host's first word", "the last of 20 who waited is in", |t| t.held),
            ("the last answer of the site", "its next one, without the boot", Timeline::own),
        ];
        for (from, to, part) in parts {
            let times = sorted(self.outages.iter().map(part));
            let cells = [median(times.iter().copied()), times[times.len() - 1]];
            let cells = cells.map(|seconds| format!("{seconds:.2}"));
            row(&mut out, from, std::iter::once(to.to_owned()).chain(cells));
        }
        out + "\n"
    }

    fn memory(&self) -> String {
        let mut out = table(
            "Memory of the sentinel, MiB",
            &["", "sessions", "resident", "of it its own", "KiB per session", "of it its own"],
        );
        let mib = |kib: f64| format!("{:.1}", kib / 1024.0);
        for Idle { way, empty, held } in &self.idle {
            let [all, own] = [empty.resident, empty.anonymous].map(mib);
            let [none, zero] = ["–", "0"].map(str::to_owned);
            row(&mut out, way.title(), [zero, all, own, none.clone(), none]);
            for (count, kib) in held {
                let each = |kib: f64, empty: f64| format!("{:.1}", (kib - empty) / *count as f64);
                let all = each(kib.resident, empty.resident);
                let own = each(kib.anonymous, empty.anonymous);
                let [resident, anonymous] = [kib.resident, kib.anonymous].map(mib);
                row(&mut out, way.title(), [count.to_string(), resident, anonymous, all, own]);
            }
        }
        out + "\n"
    }
}

/// What a figure should be.
#[derive(Clone, Copy)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}
use Bound::{AtLeast, AtMost};

pub fn aim(out: &mut String, what: &str, found: f64, bound: Bound) {
    let (met, off) = match bound {
        AtLeast(least) => (found >= least, (least - found) / least),
        AtMost(most) => (found <= most, (found - most) / most),
    };
    let verdict =
        if met { "met".to_owned() } else { format!("**missed by {:.0} %**", off * 100.0) };
    row(out, what, [format!("{found:.2}"), verdict]);
}

fn kinds() -> impl Iterator<Item = (&'static str, Direction)> {
    CIPHERS.into_iter().flat_map(|c| Direction::ALL.into_iter().map(move |d| (c, d)))
}

fn short(cipher: &str) -> &str {
    cipher.split(['@']).next().unwrap_or(cipher)
}

pub fn table(title: &str, columns: &[&str]) -> String {
    let rule = "---|".repeat(columns.len());
    format!("## {title}\n\n| {} |\n|{rule}\n", columns.join(" | "))
}

fn row(out: &mut String, name: &str, cells: impl IntoIterator<Item = String>) {
    let cells: Vec<String> = cells.into_iter().collect();
    writeln!(out, "| {name} | {} |", cells.join(" | ")).unwrap();
}

fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
}

pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let values = sorted(values);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}

/// The smallest value that `percent` of all do not exceed.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let values = sorted(values.iter().copied());
    values[(values.len() * percent).div_ceil(100).max(1) - 1]
}

fn spread(values: impl IntoIterator<Item = f64>, digits: usize) -> String {
    let values = sorted(values);
    let (least, most) = (values[0], values[values.len() - 1]);
    let middle = median(values);
    format!("{middle:.digits$} ({least:.digits$}–{most:.digits$})")
}
