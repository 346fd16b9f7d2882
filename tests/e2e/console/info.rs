//! `info`: what a container does now.

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command},
};

use serde_json::Value;

use super::console;
use crate::harness::{Guest, Sentinel, config, lab, labelled, quiet_delete, world};

/// The port of the sentinel whose backend hangs.
const PORT: u16 = 2234;

fn info(name: &str) -> Value {
    let run = console(&format!("info {name} --json"));
    assert_eq!(run.status, 0, "{run:?}");
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn what_a_container_does_now_is_told() {
    let begun: u64 = world().client("date +%s").stdout.trim().parse().unwrap();
    let guest = Guest::new(&world().sentinel, "b1", "info-live", "alice");
    assert_eq!(console("resize info-live --cpu 1 --memory 1GiB --disk 1GiB").status, 0);
    let calm = info("info-live");
    let live = &calm["live"];
    assert_eq!((calm["state"].as_str(), calm["current"].as_bool()), (Some("running"), Some(true)));
    assert_eq!(calm["addresses"][0], guest.address.as_str());
    assert_eq!(live["memory_total_bytes"], 1 << 30);
    assert_eq!(live["disk_total_bytes"], 1 << 30);
    // Incus takes the time at which the kernel first showed it the process.
    let now: u64 = guest.root("date +%s").trim().parse().unwrap();
    let told = live["started_at"].as_str().unwrap();
    let told: u64 = world().client(&format!("date -d {told} +%s")).stdout.trim().parse().unwrap();
    assert!((begun..=now).contains(&told), "{begun} {told} {now}");
    assert!(live["processes"].as_u64().unwrap() > 3, "{calm}");

    guest.root("dd if=/dev/zero of=/root/big bs=1M count=100 conv=fsync 2>/dev/null; sync");
    guest.root("nohup sh -c 'while :; do :; done' >/dev/null 2>&1 &");
    let busy = info("info-live");
    let grown = busy["live"]["disk_bytes"].as_u64().unwrap() - live["disk_bytes"].as_u64().unwrap();
    assert!((90 << 20..130 << 20).contains(&grown), "{grown}");
    let used = |info: &Value| info["live"]["cpu_seconds"].as_f64().unwrap();
    assert!(used(&busy) > used(&calm), "{calm} {busy}");
    // Whatever else the machine does, a loop gets some of it.
    world().sentinel.wait("its processor is busy", || {
        // Nothing where Incus could not be asked twice in time.
        info("info-live")["live"]["cpu_percent"].as_f64().is_some_and(|busy| busy > 20.0)
    });
    let text = console("info info-live").stdout;
    let words = text.split(' ').filter(|word| !word.is_empty());
    let text = words.collect::<Vec<_>>().join(" ");
    for part in [
        "\nState: running\n",
        "\nUptime: ",
        "% (limit 1)\n",
        " / 1GiB\n",
        " / 1GiB (1",
        "\nProcesses: ",
        "\nAuto-start: as it was before\n",
    ] {
        assert!(text.contains(part), "{part:?}: {text}");
    }

    lab().incus("b1", &["stop", "--force", &guest.instance()]);
    let stopped = info("info-live");
    assert_eq!(stopped["state"], "stopped", "{stopped}");
    assert_eq!(stopped["live"]["uptime_seconds"], Value::Null, "{stopped}");
    assert_eq!(stopped["live"]["processes"], 0, "{stopped}");
    assert!(stopped["live"]["disk_bytes"].as_u64().unwrap() >= 90 << 20, "{stopped}");
}

/// The way to an Incus: a process that can be stopped, and then neither answers nor closes.
pub(super) struct Way(Child);

impl Way {
    pub(super) fn new(from: &str, to: &str) -> Self {
        let listen = format!("UNIX-LISTEN:{from},fork");
        let connect = format!("UNIX-CONNECT:{to}");
        let mut socat = Command::new("socat");
        Self(socat.args([&listen, &connect]).process_group(0).spawn().expect("socat"))
    }

    pub(super) fn signal(&self, signal: &str) {
        let group = format!("-{}", self.0.id());
        let done = Command::new("kill").args(["-s", signal, "--", &group]).status();
        assert!(done.expect("kill").success());
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.signal("KILL");
        let _ = self.0.wait();
    }
}

#[test]
fn a_backend_that_hangs_is_not_waited_for() {
    let dir = &world().dir;
    let socket = dir.join("slow.sock").display().to_string();
    let way = Way::new(&socket, lab().get("LAB_B1_INCUS_SOCKET"));
    let slow =
        format!("[[backend]]\nname = \"slow\"\naddress = \"local\"\nincus_socket = \"{socket}\"\n");
    let common = config(dir, PORT, "");
    let (common, _) = common.split_once("[[backend]]").unwrap();
    let sentinel = Sentinel::start(dir, "slow", &format!("{common}{slow}"));
    labelled("b1", "info-hang", "alice", "", &[]);
    sentinel.wait_until_listed(&["info-hang"]);
    let before = sentinel.console(&["info", "info-hang", "--json"]);
    way.signal("STOP");
    let run = sentinel.console(&["info", "info-hang", "--json"]);
    way.signal("CONT");
    quiet_delete("b1", &["info-hang"]);
    let [before, after] = [before, run].map(|run| {
        assert_eq!(run.status, 0, "{run:?}");
        serde_json::from_str::<Value>(&run.stdout).unwrap()
    });
    assert_eq!(
        (before["current"].as_bool(), after["current"].as_bool()),
        (Some(true), Some(false))
    );
    assert_eq!((&after["live"], &after["state"]), (&Value::Null, &before["state"]));
    assert!(after["seen"].is_string(), "{after}");
}
