//! A running sentinel, watched: it may not panic, and must let go of all that its clients used.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{Run, lab, usage::Usage};

/// How long to wait for what should happen soon.
const SOON: Duration = Duration::from_secs(100);

/// A running sentinel.
pub struct Sentinel {
    child: Mutex<Child>,
    /// What it used before anybody came; not known of one that was only spawned.
    baseline: Mutex<Option<Usage>>,
    control_socket: PathBuf,
    /// Its configuration file.
    pub config: PathBuf,
    /// Its log.
    pub log: PathBuf,
}

impl Sentinel {
    /// Starts the executable with a configuration, and waits until it listens and knows of each
    /// backend whether it is up. `name` tells its files from those of others in `dir`.
    pub fn start(dir: &Path, name: &str, config: &str) -> Self {
        let sentinel = Self::spawn(dir, name, config);
        sentinel.wait_log("listening");
        sentinel.settle();
        sentinel
    }

    /// Takes what it uses now for what it uses without clients.
    pub fn settle(&self) {
        let usage = self.settled();
        *self.baseline.lock().unwrap() = Some(usage);
    }

    /// Starts the executable with a configuration that may be wrong.
    pub fn spawn(dir: &Path, name: &str, config: &str) -> Self {
        Self::spawn_on("sentinel", dir, name, config)
    }

    /// Starts the executable on any host of the lab.
    pub fn spawn_on(host: &str, dir: &Path, name: &str, config: &str) -> Self {
        Self::spawn_with(host, dir, name, config, &[])
    }

    /// The same with other variables in its environment.
    pub fn spawn_with(
        host: &str,
        dir: &Path,
        name: &str,
        config: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let environment: Vec<_> = environment.iter().map(String::as_str).collect();
        Self::spawn_by(host, dir, name, config, &environment)
    }

    /// The same by `env`, with these words before the executable: variables, and a program that
    /// becomes it.
    pub fn spawn_by(host: &str, dir: &Path, name: &str, config: &str, words: &[&str]) -> Self {
        let config_file = dir.join(format!("{name}.toml"));
        let log = dir.join(format!("{name}.log"));
        fs::write(&config_file, config).unwrap();
        let child = Command::new("nsenter")
            .arg(format!("--net={}", lab().netns(host)))
            // `env` becomes the sentinel, as `nsenter` became `env`.
            .arg("env")
            .args(words)
            .arg(env!("CARGO_BIN_EXE_containarium"))
            .args(["serve", "--config"])
            .arg(&config_file)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .expect("containarium");
        let socket = config.lines().find_map(|l| l.strip_prefix("control_socket = "));
        let sentinel = Self {
            child: Mutex::new(child),
            baseline: Mutex::default(),
            control_socket: PathBuf::from(socket.unwrap_or_default().trim_matches('"')),
            config: config_file,
            log,
        };
        // The shared sentinel lives in a static, which is never dropped: a process of its own
        // ends it when the tests are gone.
        reap_later(sentinel.pid());
        sentinel
    }

    /// Its process id. (`nsenter` becomes it.)
    pub fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// What it has logged so far.
    pub fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until the log contains `text`.
    pub fn wait_log(&self, text: &str) {
        self.wait(&format!("log says {text:?}"), || self.log_text().contains(text));
    }

    /// Waits until these containers are listed.
    pub fn wait_until_listed(&self, names: &[&str]) {
        self.wait(&format!("{names:?} are listed"), || {
            let list = self.console(&["list", "-q"]).stdout;
            names.iter().all(|name| list.lines().any(|line| line == *name))
        });
    }

    /// Runs a console command over the control socket.
    pub fn console(&self, words: &[&str]) -> Run {
        let out = Command::new(env!("CARGO_BIN_EXE_containarium"))
            .arg("--socket")
            .arg(self.control_socket())
            .args(words)
            .output()
            .expect("containarium");
        Run {
            stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
            status: out.status.code().unwrap_or(-1),
        }
    }

    /// By which way the last login as `login` was connected, once it is.
    pub fn way_of(&self, login: &str) -> String {
        let field = |line: &str, name: &str| {
            let (_, rest) = line.split_once(&format!(" {name}="))?;
            Some(rest.split_whitespace().next()?.trim_matches('"').to_owned())
        };
        let log = self.log_text();
        let mut logins = log.lines().filter(|l| l.contains(": login session="));
        let last = logins.rfind(|l| field(l, "login").as_deref() == Some(login));
        let session = field(last.expect("no such login"), "session").unwrap();
        let connected = log.lines().filter(|l| l.contains("connected session="));
        let mut mine = connected.filter(|l| field(l, "session").as_ref() == Some(&session));
        mine.find_map(|l| field(l, "way")).unwrap_or_else(|| "none".to_owned())
    }

    /// The control socket, from the configuration.
    pub fn control_socket(&self) -> PathBuf {
        self.control_socket.clone()
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(status.expect("kill").success());
    }

    /// Waits until it ends; its exit status.
    pub fn wait_exit(&self) -> Option<i32> {
        let start = Instant::now();
        while start.elapsed() < SOON {
            if let Some(status) = self.child.lock().unwrap().try_wait().unwrap() {
                return status.code();
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the sentinel does not end: {}", self.log_text());
    }

    /// Waits until a condition holds.
    pub fn wait(&self, what: &str, condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            let ended = self.child.lock().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none() && start.elapsed() < SOON,
                "{what}: not so ({ended:?}); log:\n{}",
                self.log_text()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Sentinel {
    /// Asserts that it has not panicked and, if it runs, that it uses no more than at its start,
    /// unless it is `busy` again.
    pub fn inspect(&self, busy: &dyn Fn() -> bool) {
        let runs = self.child.lock().unwrap().try_wait().unwrap().is_none();
        let baseline = self.baseline.lock().unwrap().clone();
        if let Some(baseline) = baseline.filter(|_| runs) {
            self.assert_no_excess(&baseline, busy);
        }
        let log = self.log_text();
        assert!(!log.contains("panic:"), "the sentinel panicked:\n{log}");
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let inspected = (!thread::panicking())
            .then(|| catch_unwind(AssertUnwindSafe(|| self.inspect(&|| false))));
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
        if let Some(Err(failed)) = inspected {
            resume_unwind(failed);
        }
    }
}

/// Ends process `pid` once this test process is gone: at once, lest it take away the control socket
/// of the next run's sentinel.
pub fn reap_later(pid: u32) {
    let me = std::process::id();
    let script = format!(
        "while kill -0 {me} 2>/dev/null && kill -0 {pid} 2>/dev/null; do sleep 0.2; done; kill -KILL {pid} 2>/dev/null"
    );
    let _ = Command::new("bash")
        .args(["-c", &script])
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
}
