//! How long `list` takes when two backends have many containers: by the local executable, process
//! and all, and by SSH on a connection that stands.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use crate::{
    Effort,
    harness::{Sentinel, config, lab, lab_command},
    scene::{Scene, on_host},
};

/// Port of the sentinel that has both backends.
const PORT: u16 = 2204;

/// The label by which the instances are found again, whoever left them.
const MARK: &str = "user.bench=list";

/// One listing by each way, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Listing {
    /// `containarium list` on the sentinel's host.
    pub local: f64,
    /// `ssh SENTINEL list` on a connection that is logged in.
    pub remote: f64,
}

/// Lists `effort.listed` containers, half of them on each backend, `effort.logins` times.
pub fn measure(scene: &Scene, effort: &Effort) -> Vec<Listing> {
    eprintln!("making {} containers to list", effort.listed);
    let _instances = Instances::make(scene, effort.listed / 2);
    let sentinel = Sentinel::start(&scene.dir, "list", &config(&scene.dir, PORT, ""));
    let names: Vec<_> = ["b1", "b2"].map(|backend| last(backend, effort)).into();
    sentinel.wait_until_listed(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let master = Master::open(scene);
    let listings = (0..effort.logins).map(|_| {
        let local = time(|| {
            let run = sentinel.console(&["list"]);
            assert!(run.stdout.lines().count() > effort.listed, "{run:?}");
        });
        let remote = time(|| {
            let lines = master.run("list").lines().count();
            assert!(lines > effort.listed, "{lines} lines");
        });
        Listing { local, remote }
    });
    listings.collect()
}

fn last(backend: &str, effort: &Effort) -> String {
    format!("listed-{backend}-{}", effort.listed / 2 - 1)
}

fn time(act: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    act();
    begun.elapsed().as_secs_f64() * 1e3
}

/// Containers that never ran, `listed-BACKEND-NUMBER`; removed when dropped.
pub struct Instances;

impl Instances {
    /// Makes so many on each of two backends.
    pub fn make(scene: &Scene, each: usize) -> Self {
        remove();
        let key = fs::read_to_string(scene.dir.join("alice.pub")).unwrap();
        thread::scope(|scope| {
            for backend in ["b1", "b2"] {
                let key = key.trim();
                scope.spawn(move || {
                    for number in 0..each {
                        let owner = "user.containarium.owner=alice";
                        let keys = format!("user.containarium.authorized-keys={key}");
                        let name = format!("listed-{backend}-{number}-container");
                        lab().incus(
                            backend,
                            &["init", "-q", "--empty", &name, "-c", owner, "-c", &keys, "-c", MARK],
                        );
                    }
                });
            }
        });
        Self
    }
}

impl Drop for Instances {
    fn drop(&mut self) {
        remove();
    }
}

fn remove() {
    for backend in ["b1", "b2"] {
        let found = lab().incus(backend, &["list", MARK, "-fcsv", "-cn"]);
        let names: Vec<_> = found.lines().collect();
        for names in names.chunks(20) {
            let line = [&["incus", backend, "delete", "--force"], names].concat();
            let _ = lab_command(&line).output();
        }
    }
}

/// A connection that sessions share.
struct Master<'a> {
    scene: &'a Scene,
}

impl<'a> Master<'a> {
    fn open(scene: &'a Scene) -> Self {
        let master = Self { scene };
        let shared = ["-o", "ControlMaster=yes", "-o", "ControlPersist=yes"];
        assert!(
            master.ssh(&shared, "version").status().unwrap().success(),
            "no connection to share"
        );
        master
    }

    fn run(&self, words: &str) -> String {
        let out = self.ssh(&[], words).stdout(Stdio::piped()).output().unwrap();
        assert!(out.status.success(), "{words}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    fn ssh(&self, options: &[&str], words: &str) -> Command {
        let port = PORT.to_string();
        let mut ssh = on_host("client", "ssh");
        ssh.args(["-F", "none", "-p", &port, "-l", "admin", "-i"])
            .arg(self.scene.dir.join("admin"))
            .args(["-o", "StrictHostKeyChecking=accept-new", "-o", "IdentitiesOnly=yes", "-o"])
            .arg(format!("UserKnownHostsFile={}", self.scene.dir.join("known_hosts").display()))
            .arg("-S")
            .arg(self.scene.dir.join("list.ctl"))
            .args(options)
            .args([lab().get("LAB_SENTINEL_ADDRESS"), words])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        ssh
    }
}

impl Drop for Master<'_> {
    fn drop(&mut self) {
        let _ = self.ssh(&["-O", "exit"], "").status();
    }
}
