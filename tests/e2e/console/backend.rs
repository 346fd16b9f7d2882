//! `backend`: hosts come and go while the sentinel runs.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::harness::{Run, Sentinel, backend_section, config, lab, quiet_delete, world};

/// Runs a console command at the sentinel on `port`, with `input` on standard input.
fn at(port: u16, words: &str, input: &str) -> Run {
    let words = words.replace('\'', r"'\''");
    world().client(&format!("printf '%s' '{input}' | ssh -F $CFG -p {port} sentinel '{words}'"))
}

/// The same, as JSON, done.
fn json(port: u16, words: &str) -> Value {
    let run = at(port, &format!("{words} --json"), "");
    assert_eq!(run.status, 0, "{words}: {run:?}");
    serde_json::from_str(&run.stdout).unwrap()
}

/// A sentinel whose configuration has a folder of its own, and b1 alone in it.
fn sentinel(port: u16, name: &str) -> (Sentinel, PathBuf) {
    let dir = world().dir.join(name);
    fs::create_dir_all(&dir).unwrap();
    let text = config(&world().dir, port, "").replace(&backend_section("b2"), "");
    let sentinel = Sentinel::start(&dir, name, &text);
    sentinel.wait_until_listed(&["alice"]);
    (sentinel, dir)
}

/// Asserts that a command failed in one sentence, and what it says.
fn assert_refused(run: &Run, status: i32, told: &str) {
    assert_eq!(run.status, status, "{run:?}");
    assert!(run.stdout.is_empty() && run.stderr.contains(told), "{told}: {run:?}");
    assert_eq!(run.stderr.matches("error: ").count(), 1, "{run:?}");
}

fn ssh_b2(host_key: &str) -> String {
    let get = |what: &str| lab().get(&format!("LAB_B2_{what}")).to_owned();
    format!(
        "backend add b2 --address {} --user containarium --host-key \"{host_key}\" --incus-socket {}",
        get("ADDRESS"),
        get("INCUS_SOCKET")
    )
}

fn log_in(port: u16, person: &str) -> String {
    let run = world().client(&format!("ssh -F $CFG -p {port} {person} hostname"));
    run.stdout.trim().to_owned()
}

/// The files that `backend add` wrote.
fn added(dir: &Path) -> Vec<PathBuf> {
    let Ok(found) = fs::read_dir(dir.join("conf.d")) else { return Vec::new() };
    found.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_host_behind_ssh_is_tried_added_drained_and_removed() {
    let (sentinel, dir) = sentinel(2241, "backends-ssh");
    let b1_key = lab().get("LAB_B1_HOST_KEY");
    let wrong = at(2241, &ssh_b2(b1_key), "");
    assert_refused(&wrong, 69, "is pinned: refusing to talk to it; nothing was changed");
    let nobody = ssh_b2(lab().get("LAB_B2_HOST_KEY")).replace("containarium", "nobody");
    assert_refused(&at(2241, &nobody, ""), 69, "key refused; nothing was changed");
    let malformed = ssh_b2("ssh-ed25519 AAAA");
    assert_refused(&at(2241, &malformed, ""), 2, "--host-key: ");
    assert!(added(&dir).is_empty(), "{:?}", added(&dir));

    let add = ssh_b2(lab().get("LAB_B2_HOST_KEY"));
    let done = at(2241, &add, "");
    assert_eq!(done.status, 0, "{done:?}");
    assert!(done.stdout.starts_with("b2 is added (containarium@"), "{done:?}");
    let file = dir.join("conf.d/backend-b2.toml");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(added(&dir), [file.as_path()]);
    assert_eq!(log_in(2241, "bob"), "bob-container");
    assert_refused(&at(2241, &add, ""), 4, "backend-b2.toml:3 already");
    let same = add.replace("add b2", "add b9");
    assert_refused(&at(2241, &same, ""), 4, "there is another Incus socket");

    let info = json(2241, "backend info b2");
    assert_eq!((&info["presence"], &info["drained"]), (&"up".into(), &false.into()));
    assert_eq!(info["ways"], serde_json::json!(["link", "exec"]));
    assert!(info["pools"][0]["total"].as_u64() > info["pools"][0]["used"].as_u64(), "{info}");
    assert!(info["images"].as_u64() > Some(0), "{info}");
    assert!(info["disk_total"].as_u64() > Some(0), "{info}");

    assert_eq!(at(2241, "backend drain b2", "").status, 0);
    assert_eq!(log_in(2241, "bob"), "bob-container");
    drop(sentinel);
    let text = fs::read_to_string(dir.join("backends-ssh.toml")).unwrap();
    let sentinel = Sentinel::start(&dir, "backends-ssh", &text);
    sentinel.wait_until_listed(&["alice", "bob"]);
    assert_eq!(json(2241, "backend info b2")["drained"], true);
    let list = at(2241, "status", "").stdout;
    assert!(list.lines().any(|l| l.starts_with("b2 ") && l.contains(", drained")), "{list}");
    assert_eq!(at(2241, "backend resume b2", "").status, 0);
    assert_eq!(json(2241, "backend list")[1]["drained"], false);

    assert_refused(&at(2241, "backend remove b2", ""), 4, "backend b2 has container");
    let by_hand = at(2241, "backend remove b1 --force", "");
    let line = 1 + text.lines().position(|l| l == "name = \"b1\"").unwrap();
    assert_refused(&by_hand, 4, &format!("backends-ssh.toml:{line}, which"));
    assert_eq!(at(2241, "backend remove b2 --force", "").status, 0);
    assert_eq!(at(2241, "backend list -q", "").stdout, "b1\n");
    assert!(added(&dir).is_empty(), "{:?}", added(&dir));
    let running = lab().incus("b2", &["list", "^bob-container$", "-cs", "-fcsv"]);
    assert_eq!(running, "RUNNING\n", "nothing there was touched");
}

/// Takes the sentinel's certificate out of b2's trust when the test is over.
struct Distrust;

impl Drop for Distrust {
    fn drop(&mut self) {
        let crt = world().dir.join("keys/client.crt");
        let script = "openssl x509 -outform DER | sha256sum | cut -d' ' -f1";
        let out = Command::new("bash")
            .args(["-c", script])
            .stdin(fs::File::open(crt).unwrap())
            .output()
            .unwrap();
        let fingerprint = String::from_utf8(out.stdout).unwrap();
        let line = ["incus", "b2", "config", "trust", "remove", fingerprint.trim()];
        let _ = crate::harness::lab_command(&line).output();
    }
}

#[test]
fn a_host_by_https_is_added_by_its_token_and_its_people_get_in() {
    let (sentinel, dir) = sentinel(2242, "backends-https");
    let _distrust = Distrust;
    let address = lab().get("LAB_B2_ADDRESS");
    lab().incus("b2", &["config", "set", &format!("core.https_address={address}:8443")]);
    let token = || lab().incus("b2", &["config", "trust", "add", "-q", "e2e"]);
    let first = token();

    let not_one = at(2242, "backend add far --token -", "hello");
    assert_refused(&not_one, 2, "that is no trust token");
    let zeros = "0".repeat(64);
    let pinned = format!("backend add far --address https://{address} --fingerprint {zeros}");
    let another = at(2242, &pinned, "");
    assert_refused(&another, 69, "is pinned: refusing to talk to it; nothing was changed");
    let shown = another.stderr.split("shows certificate ").nth(1).unwrap()[..64].to_owned();
    let stranger = pinned.replace(&zeros, &shown);
    assert_refused(&at(2242, &stranger, ""), 69, "does not trust the sentinel");
    assert!(added(&dir).is_empty(), "{:?}", added(&dir));

    let done = at(2242, "backend add far --token - --json", &first);
    assert_eq!(done.status, 0, "{done:?}");
    let done: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(done["address"], format!("https://{address}:8443"));
    assert_eq!((&done["name"], &done["presence"]), (&"far".into(), &"up".into()));
    assert_eq!(log_in(2242, "bob"), "bob-container");
    let info = json(2242, "backend info far");
    assert_eq!(info["certificate"], shown);
    assert_eq!(info["ways"], serde_json::json!(["exec"]));
    // The token is in no file, and in no log.
    let text = fs::read_to_string(dir.join("conf.d/backend-far.toml")).unwrap();
    for place in [text, sentinel.log_text()] {
        assert!(!place.contains(first.trim()), "{place}");
    }

    // A host that was reinstalled, or somebody in its place.
    let file = dir.join("conf.d/backend-far.toml");
    fs::write(&file, fs::read_to_string(&file).unwrap().replace(&shown, &zeros)).unwrap();
    assert_eq!(at(2242, "reload", "").status, 0);
    let sentence =
        format!("shows certificate {shown}, but {zeros} is pinned: refusing to talk to it");
    sentinel.wait("it is told", || at(2242, "status", "").stdout.contains(&sentence));
    assert!(at(2242, "backend info far", "").stdout.contains(&sentence));

    // Trusted already: what it is pinned to is enough.
    assert_eq!(at(2242, "backend remove far --force", "").status, 0);
    assert_eq!(at(2242, &stranger, "").status, 0);
    assert_eq!(at(2242, "backend remove far --force", "").status, 0);
    drop(Distrust);
    let used = at(2242, "backend add far --token -", &first);
    assert_refused(&used, 77, "does not take the token");
}

#[test]
fn what_a_create_left_behind_is_told_until_it_is_gone() {
    let instance = "halfway-container";
    quiet_delete("b1", &["halfway"]);
    let mark = "user.containarium.creating=somebody";
    lab().incus("b1", &["init", "-q", "--empty", instance, "-c", mark]);
    let told = || world().sentinel.console(&["status"]).stdout;
    let sentence = "instance halfway-container on b1 is half made";
    world().sentinel.wait("it is told", || told().contains(sentence));
    let info = world().sentinel.console(&["backend", "info", "b1"]).stdout;
    assert!(info.contains("Half made:") && info.contains(instance), "{info}");
    quiet_delete("b1", &["halfway"]);
    world().sentinel.wait("it is gone", || !told().contains(sentence));
}

/// A folder that is mounted read-only, until the test is over.
struct ReadOnly(PathBuf);

impl ReadOnly {
    fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "ro", "none"]).arg(&folder);
        assert!(mount.status().unwrap().success());
        Self(folder)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_configuration_that_may_not_be_written_is_told_with_what_to_write() {
    let (_sentinel, dir) = sentinel(2243, "backends-ro");
    let _folder = ReadOnly::new(dir.join("conf.d"));
    let run = at(2243, &ssh_b2(lab().get("LAB_B2_HOST_KEY")), "");
    assert_refused(&run, 1, "the sentinel may not write its configuration: ");
    assert!(run.stderr.contains("hint: add these lines"), "{run:?}");
    let section = backend_section("b2").replace(":22\"", "\"");
    for line in section.lines() {
        assert!(run.stderr.contains(line), "{line}: {run:?}");
    }
    assert_eq!(at(2243, "backend list -q", "").stdout, "b1\n");
}
