//! A host that is started again by the sentinel: by a program, and through a cloud's API, whose
//! server stands on the sentinel's loopback and really powers `b3` on.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{log_in, newcomer};
use crate::harness::{
    Guest, Sentinel, backend_section, config, file, lab, lab_name, lab_script, lines, network,
    power, program, set, world,
};

/// A sentinel whose logins wait for long, with `b3` and how to start it.
fn sentinel(name: &str, port: u16, recovery: &str) -> Sentinel {
    Sentinel::start(&world().dir, name, &recovering(port, recovery))
}

/// Its configuration.
fn recovering(port: u16, recovery: &str) -> String {
    let more = format!("{}recovery = {recovery}\n", backend_section("b3"));
    set(&config(&world().dir, port, &more), "ssh", "wait", "\"100s\"")
}

/// What `status` says of b3's recovery.
fn recovery(sentinel: &Sentinel) -> serde_json::Value {
    let list = sentinel.console(&["backend", "list", "--json"]).stdout;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let b3 = list.as_array().unwrap().iter().find(|b| b["name"] == "b3").unwrap();
    b3["recovery"].clone()
}

/// Waits as long as a host needs to boot.
fn wait(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(120), "{what}: not so");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_program_starts_the_host_once_and_who_waited_is_let_in() {
    let _alone = crate::harness::b3();
    newcomer("rita");
    let calls = file("recovery.calls");
    let autostart =
        |name| format!("incus {} config set {name}-container boot.autostart=true", lab_name("b3"));
    let after = format!("lab {}\nlab {}", autostart("idler"), autostart("holder"));
    let text = program("recovery.program", &calls, "echo starting", &after);
    let sentinel = sentinel("recovery", 2381, &format!("{text} }}"));
    let guest = Guest::new(&sentinel, "b3", "revived", "rita");
    // Incus does not start it: it is told to when it looked through its containers already, as
    // when the storage came too late.
    let idle = Guest::new(&sentinel, "b3", "idler", "rita");
    lab().incus("b3", &["config", "set", "idler-container", "boot.autostart=false"]);
    lab().incus("b3", &["stop", "--force", "idler-container"]);
    let held = Guest::new(&sentinel, "b3", "holder", "rita");
    lab().incus("b3", &["config", "set", "holder-container", "boot.autostart=true"]);
    assert_eq!(sentinel.console(&["stop", "holder", "--hold", "--force"]).status, 0);
    assert_eq!(recovery(&sentinel)["state"], "idle");
    assert_eq!(log_in(2381, "rita", "revived", "hostname").stdout, "revived-container\n");

    power("kill");
    sentinel.wait_log("host is down");
    let waited = log_in(2381, "rita", "revived", "hostname");
    assert_eq!((waited.stdout.as_str(), waited.status), ("revived-container\n", 0), "{waited:?}");
    assert_eq!(lines(&calls), ["start b3 1 b3"], "once");
    wait("idle again", || recovery(&sentinel)["state"] == "idle");
    assert_eq!(recovery(&sentinel)["actions"], 1);
    wait("containers were seen to", || {
        sentinel.log_text().contains("containers after the return of their host")
    });
    let list = sentinel.console(&["list", "--json"]).stdout;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    for (name, state) in [("revived", "running"), ("idler", "running"), ("holder", "stopped")] {
        let row = list.as_array().unwrap().iter().find(|c| c["name"] == name).unwrap();
        assert_eq!(row["state"], state, "{row}");
    }
    let seen_to = "containers after the return of their host backend=b3 started=1 failed=0";
    assert!(sentinel.log_text().contains(seen_to), "{}", sentinel.log_text());
    assert_eq!(sentinel.log_text().matches("containers after the return").count(), 1);
    assert_eq!(lines(&calls).len(), 1, "once");
    drop((guest, idle, held));
}

#[test]
fn a_program_that_fails_is_told_and_a_drained_host_is_left_alone() {
    let _alone = crate::harness::b3();
    world();
    let calls = file("drained.calls");
    let text = program("drained.program", &calls, "printf 'no \\033[2J quota\\n'; exit 7", "");
    let sentinel = sentinel("drained", 2382, &format!("{text}, hourly = 1 }}"));
    let drained = sentinel.console(&["backend", "drain", "b3"]);
    assert_eq!(drained.status, 0, "{drained:?}");
    power("kill");
    sentinel.wait_log("host is down");
    sentinel.wait("it is held", || recovery(&sentinel)["state"] == "held");
    assert!(sentinel.console(&["status"]).stdout.contains("b3 held (command), as it is drained"));
    assert_eq!(lines(&calls), [""; 0], "hands off");

    assert_eq!(sentinel.console(&["backend", "resume", "b3"]).status, 0);
    sentinel.wait("it was tried", || recovery(&sentinel)["error"].is_string());
    let error = recovery(&sentinel)["error"].as_str().unwrap().to_owned();
    assert_eq!(error, "the command ended with exit status: 7: no \\u{1b}[2J quota");
    // One in an hour: the second is left to people.
    wait("an alarm", || recovery(&sentinel)["alarm"] == "exhausted");
    assert_eq!(lines(&calls), ["start b3 1 b3"]);
    let problem = "recovery of backend b3: started as often as allowed in an hour";
    assert!(sentinel.console(&["status"]).stdout.contains(problem));
    power("revive");
    sentinel.wait_log("host is up");
    wait("idle again", || recovery(&sentinel)["state"] == "idle");
    assert_eq!(recovery(&sentinel)["alarm"], serde_json::Value::Null);
}

#[test]
fn a_sentinel_that_crashes_again_and_again_does_not_start_a_host_each_time() {
    let _alone = crate::harness::b3();
    world();
    let calls = file("crashing.calls");
    let text = program("crashing.program", &calls, "exit 7", "");
    let often = "health = { interval = \"200ms\", fall = 2 }";
    let text = recovering(2384, &format!("{text} }}\n{often}"));
    power("kill");
    let start = || {
        let sentinel = Sentinel::spawn(&world().dir, "crashing", &text);
        sentinel.wait_log("listening");
        sentinel
    };
    let crash = |sentinel: Sentinel| {
        sentinel.signal("KILL");
        sentinel.wait_exit();
    };
    let first = start();
    first.wait("it is called", || !lines(&calls).is_empty());
    crash(first);
    for _ in 0..2 {
        let next = start();
        next.wait("it is asked, and left to boot", || recovery(&next)["state"] == "waiting");
        assert_eq!(recovery(&next)["actions"], 1, "{}", next.log_text());
        crash(next);
    }
    assert_eq!(lines(&calls), ["start b3 1 b3"]);
    power("revive");
}

/// The cloud, on the sentinel's loopback; it ends with the test.
struct Cloud(Child);

impl Cloud {
    fn start(port: u16, calls: &Path) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/fault/cloud.py");
        let child = Command::new("nsenter")
            .arg(format!("--net={}", lab().netns("sentinel")))
            .args(["python3"])
            .arg(program)
            .arg(port.to_string())
            .arg(calls)
            .arg(lab_script())
            .arg(network())
            .arg(lab_name("b3"))
            .stdin(Stdio::null())
            .spawn()
            .expect("python3");
        let cloud = Self(child);
        wait("the cloud listens", || !lines(calls).is_empty());
        cloud
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_cloud_that_refuses_at_first_starts_the_host_once() {
    let _alone = crate::harness::b3();
    newcomer("gus");
    let calls = file("cloud.calls");
    let cloud = Cloud::start(8461, &calls);
    let recovered = sentinel(
        "cloud",
        2383,
        "{ kind = \"gce\", project = \"p\", zone = \"z\", instance = \"b3\", \
         endpoint = \"http://127.0.0.1:8461\", metadata = \"http://127.0.0.1:8461\" }\n\
         [[webhook]]\nurl = \"http://127.0.0.1:8461/hook\"",
    );
    let guest = Guest::new(&recovered, "b3", "clouded", "gus");
    power("kill");
    recovered.wait_log("host is down");
    let waited = log_in(2383, "gus", "clouded", "hostname");
    assert_eq!((waited.stdout.as_str(), waited.status), ("clouded-container\n", 0), "{waited:?}");
    let called = lines(&calls);
    let starts = called.iter().filter(|call| call.contains("/instances/b3/start"));
    assert_eq!(starts.count(), 1, "{called:?}");
    // A token that was refused, too many requests, and a server that failed: all of them came.
    for status in ["401", "429", "503"] {
        assert!(called.iter().any(|call| call.ends_with(status)), "{status}: {called:?}");
    }
    wait("people are told", || {
        let called = lines(&calls);
        ["host.down", "recovery.started", "host.up", "recovery.returned"]
            .iter()
            .all(|event| called.iter().filter(|c| c.contains(&format!("\"{event}\""))).count() == 1)
    });
    assert!(!recovered.log_text().contains("T0P-SECRET"));
    drop((guest, cloud));
}
