//! A host that dies under load and comes back by itself: played by a test, and timed by the
//! benchmark.

use std::{
    fmt, fs,
    io::Read,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use super::{
    Guest, Run, Sentinel, TICK, Web, backend_section, certify, config, file, files, fresh,
    in_network, lab, lab_command, lines, make_key, power, program, section, set, world,
};

/// People at the door, half of them in each container.
const PEOPLE: usize = 20;

/// Clients of the site, one request after the other each.
const CLIENTS: usize = 4;

/// Ports of the door, and the public ones.
const DOOR: u16 = 2322;
const HTTP: u16 = 8480;
const HTTPS: u16 = 8443;

/// As long as an outage takes at most.
const LONG: Duration = Duration::from_secs(240);

/// A sentinel, the containers of a host, and what the host's site is.
pub struct Outage {
    name: String,
    dir: PathBuf,
    calls: PathBuf,
    sentinel: Sentinel,
    guests: [Guest; 2],
    _web: Web,
}

/// How long each part took, in seconds.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// From the last answer of the site to the verdict that its host is down.
    pub detect: f64,
    /// From there to the page, by HTTP and by HTTPS.
    pub page: [f64; 2],
    /// From the verdict to the request that the host be started.
    pub asked: f64,
    /// From there to its first word: the host's own, and as long as the scene lets it be.
    pub boot: f64,
    /// From its first word to the first answer of the site.
    pub back: f64,
    /// From its first word until its containers run.
    pub running: f64,
    /// From its first word until the last of those who waited is in her container.
    pub held: f64,
}

impl Timeline {
    /// All that the site is away for, but for the host's boot.
    pub fn own(&self) -> f64 {
        self.detect + self.asked + self.back
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { detect, page: [http, https], asked, boot, back, running, held } = self;
        write!(
            f,
            "down after {detect:.2} s; page by HTTP {http:.2} s and by HTTPS {https:.2} s later; \
             start asked {asked:.2} s later; boot {boot:.2} s; then site {back:.2} s, containers \
             {running:.2} s, people {held:.2} s; own share {:.2} s",
            self.own()
        )
    }
}

impl Outage {
    /// The sentinel, with the page behind the public ports and a program that starts `b3` when the
    /// file `go` is there. Whoever calls has `b3` and the packet filter for himself.
    pub fn set(name: &str) -> Self {
        power("revive");
        make_key(&world().dir, name);
        let (dir, calls) = (fresh(&format!("{name}-files")), file(&format!("{name}.calls")));
        // What an earlier one remembers of its recoveries would slow this one down.
        let _ = fs::remove_dir_all(world().dir.join(format!("state-{DOOR}")));
        let go = dir.join("go").display().to_string();
        let before = format!("timeout 100 bash -c 'until [ -e {go} ]; do sleep 0.1; done'");
        let recovery = program(&format!("{name}.program"), &calls, &before, "");
        certify(&dir, "site", &["site.example"], 90);
        let mut text = config(&world().dir, DOOR, "");
        for other in ["b1", "b2"] {
            text = text.replace(&backend_section(other), "");
        }
        text += &format!("[gateway]\npool = \"web\"\nports = [{HTTP}, {HTTPS}]\nhold = \"1s\"\n");
        text += &format!("{}pool = \"web\"\nrecovery = {recovery} }}\n", backend_section("b3"));
        text += &section(HTTP, HTTPS, &files(&dir, "site", ""));
        let web = Web::start("b3", HTTP);
        let sentinel = Sentinel::start(&world().dir, name, &set(&text, "ssh", "wait", "\"100s\""));
        let guests = [0, 1].map(|i| Guest::new(&sentinel, "b3", &format!("{name}-{i}"), name));
        let outage = Self { name: name.to_owned(), dir, calls, sentinel, guests, _web: web };
        outage.wait_primary(Some("b3"));
        outage
    }

    /// Plays it once, and asserts that everything and everybody is served as promised.
    pub fn play(self) -> Timeline {
        let load = self.load();
        let open = self.open();
        self.sentinel.wait("all are in, and pages come", || {
            self.text("here") == "here\n".repeat(PEOPLE)
                && self.answers().iter().all(|codes| codes.len() > 10)
        });
        power("kill");
        self.sentinel.wait("the page is served", || {
            let by_all = self.answers().iter().all(|codes| codes.ends_with("503"));
            by_all && self.text("https").ends_with(" 503\n")
        });
        self.wait_primary(None);
        let open = open.join().unwrap();
        assert_eq!(open.stdout, format!("{}{PEOPLE}\n", "255\n".repeat(PEOPLE)), "{open:?}");
        self.assert_words();
        let waiting = self.wait();
        self.sentinel.wait("all are told and wait", || {
            self.text("banners").matches("the host of ").count() >= PEOPLE
        });
        let watched = thread::scope(|scope| {
            let (name, guests) = (&self.name, self.guests.len());
            let running = scope.spawn(move || all_run(name, guests));
            let answers = scope.spawn(first_word);
            fs::write(self.dir.join("go"), "").unwrap();
            (answers.join().unwrap(), running.join().unwrap())
        });
        let waited = waiting.join().unwrap();
        self.wait_primary(Some("b3"));
        self.sentinel
            .wait("pages come again", || self.answers().iter().all(|codes| codes.ends_with("200")));
        fs::write(self.dir.join("enough"), "").unwrap();
        load.join().unwrap();
        for codes in self.answers() {
            // Down once and up once, whatever happened meanwhile.
            assert_eq!(codes.order(), ["200", "503", "200"]);
        }
        assert_eq!(lines(&self.calls), ["start b3 1 b3"], "once");
        let timeline = self.timeline(watched, &waited);
        self.sentinel.signal("TERM");
        assert_eq!(self.sentinel.wait_exit(), Some(0), "{}", self.sentinel.log_text());
        timeline
    }

    /// Clients of the site, who write down what they get and when.
    fn load(&self) -> JoinHandle<Run> {
        let dir = self.dir.display();
        client(format!(
            "export LC_ALL=C\nask() {{\n\
               until [ -e {dir}/enough ]; do\n\
                 code=$(curl -s --connect-timeout 0.2 -m 5 -o /dev/null -w '%{{http_code}}' \"${{@:2}}\")\n\
                 echo \"$EPOCHREALTIME $code\" >>{dir}/$1; sleep 0.1\n\
               done\n}}\n\
             ask https --cacert {dir}/site.crt --resolve site.example:{HTTPS}:$DOOR \
               https://site.example:{HTTPS}/ &\n\
             for i in {{1..{CLIENTS}}}; do ask http$i http://$DOOR:{HTTP}/ & done; wait"
        ))
    }

    /// People whose sessions are open when it happens: how they end, and how many are told why.
    fn open(&self) -> JoinHandle<Run> {
        let (name, dir, ssh) = (&self.name, self.dir.display(), self.ssh());
        client(format!(
            "for i in {{1..{PEOPLE}}}; do (\n\
               {ssh} 'echo here; sleep 1000' >>{dir}/here 2>err$i; echo $? >>ends) &\n\
             done; wait; cat ends\n\
             grep -l 'the host of {name}-[01] went away; log in again' err* | wc -l"
        ))
    }

    /// People who come while the host is down: where and when they are in, and how that ends.
    fn wait(&self) -> JoinHandle<Run> {
        let (dir, ssh) = (self.dir.display(), self.ssh());
        client(format!(
            "for i in {{1..{PEOPLE}}}; do (\n\
               {ssh} 'echo $(hostname) $(date +%s.%N)' >out$i 2>>{dir}/banners; echo $? >>out$i) &\n\
             done; wait; cat out*"
        ))
    }

    /// The beginning of a login to the container of person `$i`.
    fn ssh(&self) -> String {
        let name = &self.name;
        format!("ssh -F $CFG -p {DOOR} -i $DIR/{name} -o LogLevel=INFO -l {name}-$((i % 2)) $DOOR")
    }

    /// The page says what is being done while that is done.
    fn assert_words(&self) {
        let ask = format!("curl -s -m 60 -H 'Accept: text/html' http://$DOOR:{HTTP}/");
        let page = || world().client(&ask).stdout;
        self.sentinel
            .wait("the page tells of the start", || page().contains("It is being started again."));
        let page = page();
        assert!(page.contains("The machine behind this site went away "), "{page}");
        assert!(page.contains("<title>Back in a moment</title>"), "{page}");
    }

    fn wait_primary(&self, backend: Option<&str>) {
        self.sentinel.wait(&format!("ports lead to {backend:?}"), || {
            let status = self.sentinel.console(&["status", "--json"]).stdout;
            let status: serde_json::Value = serde_json::from_str(&status).unwrap_or_default();
            let pool = &status["gateway"]["pools"][0];
            pool["in_force"] == true && pool["primary"].as_str() == backend
        });
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.dir.join(name)).unwrap_or_default()
    }

    /// What each client of the site got.
    fn answers(&self) -> Vec<Codes> {
        (1..=CLIENTS).map(|i| Codes::of(&self.text(&format!("http{i}")))).collect()
    }

    /// When what happened, from what all of them wrote down.
    fn timeline(&self, (answered, running): (f64, f64), waited: &Run) -> Timeline {
        let (down, asked) = (self.logged("host is down"), self.logged("recovery: start"));
        let http = self.answers();
        let first = |wanted: &'static str, after: f64| {
            let all = http.iter().flat_map(|codes| &codes.0);
            let times = all.filter(|(at, code)| *at > after && code == wanted).map(|(at, _)| *at);
            times.min_by(f64::total_cmp).unwrap()
        };
        let good = http.iter().flat_map(|codes| &codes.0);
        let good = good.filter(|(at, code)| *at < down && code == "200").map(|(at, _)| *at);
        let by_https = Codes::of(&self.text("https")).0;
        let by_https = by_https.iter().find(|(at, code)| *at > down && code == "503");
        Timeline {
            detect: down - good.max_by(f64::total_cmp).unwrap(),
            page: [first("503", down) - down, by_https.unwrap().0 - down],
            asked: asked - down,
            boot: answered - asked,
            back: first("200", down) - answered,
            running: running - answered,
            held: self.last_in(waited) - answered,
        }
    }

    /// When the last one of those who waited was in; all of them have to be.
    fn last_in(&self, waited: &Run) -> f64 {
        let said: Vec<&str> = waited.stdout.split_whitespace().collect();
        assert_eq!(said.len(), 3 * PEOPLE, "{waited:?}");
        let ours = [0, 1].map(|i| format!("{}-{i}-container", self.name));
        let times = said.chunks(3).map(|said| {
            assert!(ours.iter().any(|name| name == said[0]) && said[2] == "0", "{waited:?}");
            said[1].parse().unwrap()
        });
        times.max_by(f64::total_cmp).unwrap()
    }

    /// When the sentinel wrote that for the first time.
    fn logged(&self, what: &str) -> f64 {
        let log = self.sentinel.log_text();
        let line = log.lines().find(|line| line.contains(what)).expect(what);
        let at: jiff::Timestamp = line.split(' ').next().unwrap().parse().unwrap();
        seconds(at.as_duration().unsigned_abs())
    }
}

/// What one client got, and when.
struct Codes(Vec<(f64, String)>);

impl Codes {
    fn of(text: &str) -> Self {
        let entry = |line: &str| {
            let (at, code) = line.split_once(' ')?;
            Some((at.parse().ok()?, code.to_owned()))
        };
        Self(text.lines().filter_map(entry).collect())
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn ends_with(&self, code: &str) -> bool {
        self.0.last().is_some_and(|(_, last)| last == code)
    }

    /// The order of different answers, without those that did not come.
    fn order(&self) -> Vec<&str> {
        let mut order: Vec<_> =
            self.0.iter().map(|(_, code)| code.as_str()).filter(|code| *code != "000").collect();
        order.dedup();
        order
    }
}

/// A script of the client's host that takes as long as an outage.
fn client(script: String) -> JoinHandle<Run> {
    thread::spawn(move || world().client_within(LONG, &script))
}

/// When `b3` says its first word to the sentinel's host.
fn first_word() -> f64 {
    let address = SocketAddr::new(lab().of("b3", "ADDRESS").parse().unwrap(), 22);
    in_network("sentinel", || {
        let speaks = || {
            let mut stream = TcpStream::connect_timeout(&address, 10 * TICK).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
            stream.read_exact(&mut [0]).ok()
        };
        until(&|| speaks().is_some())
    })
}

/// When all containers of the scene run, as their Incus says.
fn all_run(name: &str, count: usize) -> f64 {
    until(&|| {
        let filter = format!("^{name}-");
        let list = lab_command(&["incus", "b3", "list", &filter, "-cs", "-fcsv"]).output();
        String::from_utf8_lossy(&list.unwrap().stdout).matches("RUNNING").count() == count
    })
}

/// When that is so.
fn until(is_so: &dyn Fn() -> bool) -> f64 {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "the host does not come back");
        thread::sleep(2 * TICK);
    }
    seconds(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
}

fn seconds(since: Duration) -> f64 {
    since.as_secs_f64()
}
