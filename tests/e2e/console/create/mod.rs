//! `create`: from nothing to `ssh NAME@sentinel`, or back to nothing.

mod fault;
mod refused;
mod request;
mod secret;

use serde_json::Value;

use super::{console, dialogue::dialogue};
use crate::harness::{Run, Sentinel, config as config_of, lab, make_key, quiet_delete, set, world};

/// A person with a key, and no container of her name on any backend; what she made is removed.
struct Person(&'static str);

impl Person {
    fn new(name: &'static str) -> Self {
        for backend in ["b1", "b2"] {
            quiet_delete(backend, &[name]);
        }
        make_key(&world().dir, name);
        Self(name)
    }

    /// Creates her container with more options.
    fn create(&self, options: &str) -> Run {
        let name = self.0;
        world().client(&format!(
            "ssh -F $CFG sentinel 'create {name} --ssh-key - {options}' < $DIR/{name}.pub"
        ))
    }

    /// Logs in with her key and runs a command.
    fn run(&self, command: &str) -> Run {
        let name = self.0;
        world().client(&format!("ssh -F $CFG -i $DIR/{name} {name}@$DOOR {command}"))
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        for backend in ["b1", "b2"] {
            quiet_delete(backend, &[self.0]);
        }
    }
}

/// The instances on both backends whose names begin like this.
fn instances(prefix: &str) -> Vec<String> {
    let list = |backend| lab().incus(backend, &["list", &format!("^{prefix}"), "-fcsv", "-cn"]);
    ["b1", "b2"].map(list).iter().flat_map(|l| l.lines()).map(str::to_owned).collect()
}

fn config(backend: &str, name: &str) -> Value {
    let path = format!("/1.0/instances/{name}-container");
    serde_json::from_str(&lab().incus(backend, &["query", &path])).unwrap()
}

#[test]
fn a_small_container_is_ready_when_the_prompt_is_back() {
    let person = Person::new("cr-small");
    let made = person.create("--image small --backend b1");
    assert_eq!(made.status, 0, "{made:?}");
    let door = lab().get("LAB_SENTINEL_ADDRESS");
    let last = format!("ssh cr-small@{door}");
    assert_eq!(made.stdout, format!("cr-small is ready on b1\n{last}\n"));
    assert!(made.stderr.contains("[1/7] find a place for cr-small\n"), "{made:?}");
    assert!(made.stderr.contains("[7/7] set the labels\n"), "{made:?}");
    // At once, and as the line says; the owner is root when she wants.
    let first = person.run("'id -un; sudo -n id -u'");
    assert_eq!((first.stdout.as_str(), first.status), ("cr-small\n0\n", 0), "{first:?}");

    let instance = config("b1", "cr-small");
    for (key, value) in [
        ("security.nesting", "true"),
        ("security.privileged", "false"),
        ("security.idmap.isolated", "true"),
        ("security.syscalls.intercept.mknod", "true"),
        ("boot.autostart", "true"),
        ("user.containarium.owner", "cr-small"),
        ("user.containarium.created-by", "admin@laptop"),
    ] {
        assert_eq!(instance["config"][key], value, "{key}");
    }
    assert!(instance["config"]["user.containarium.creating"].is_null());
    assert_eq!(instance["devices"]["eth0"]["security.mac_filtering"], "true");
    assert_eq!(instance["devices"]["eth0"]["security.ipv4_filtering"], "true");
    assert_eq!(instance["devices"]["root"]["size"], "20GB");

    let again = person.create("--image small");
    assert_eq!((again.status, again.stdout.as_str()), (4, ""), "{again:?}");
    assert!(again.stderr.contains("error: cr-small exists already, on b1\nhint: "), "{again:?}");
    let log = console("logs cr-small");
    assert!(log.stdout.contains("[7/7] set the labels"), "{log:?}");
}

#[test]
fn a_bare_debian_gets_its_packages_and_json_tells_all() {
    let person = Person::new("cr-bare");
    let options = "--image bare --backend b2 --owner wanda --cpu 1 --memory 512MiB --disk 5GB \
                   --no-autostart --no-docker --json";
    let made = person.create(options);
    assert_eq!(made.status, 0, "{made:?}");
    assert!(made.stderr.contains("Setting up openssh-server"), "{made:?}");
    let json: Value = serde_json::from_str(&made.stdout).unwrap();
    let door = lab().get("LAB_SENTINEL_ADDRESS");
    for (key, value) in [
        ("name", "cr-bare"),
        ("owner", "wanda"),
        ("backend", "b2"),
        ("image", "bare"),
        ("cpu", "1"),
        ("memory", "512MiB"),
        ("disk", "5GB"),
        ("host", door),
        ("ssh", &format!("ssh cr-bare@{door}")),
    ] {
        assert_eq!(json[key], value, "{key}: {json}");
    }
    assert_eq!((&json["autostart"], &json["port"]), (&false.into(), &22.into()));
    assert_eq!(json["keys"][0]["comment"], "cr-bare@laptop");
    assert!(json["host_keys"][0]["fingerprint"].as_str().unwrap().starts_with("SHA256:"));
    let ready = person.run("'id -un; sudo -n id -u; nproc'");
    assert_eq!((ready.stdout.as_str(), ready.status), ("wanda\n0\n1\n", 0), "{ready:?}");
    let instance = config("b2", "cr-bare");
    for (key, value) in [
        ("security.nesting", "false"),
        ("boot.autostart", "false"),
        ("limits.cpu", "1"),
        ("limits.memory", "512MiB"),
    ] {
        assert_eq!(instance["config"][key], value, "{key}");
    }
    assert_eq!(instance["devices"]["root"]["size"], "5GB");
}

#[test]
fn the_line_to_type_names_the_port_and_the_host_that_is_advertised() {
    let (_person, dir) = (Person::new("cr-host"), &world().dir);
    let text = set(&config_of(dir, 2284, ""), "ssh", "advertise", "\"ssh.example.org:2222\"");
    let sentinel = Sentinel::start(dir, "cr-host", &text);
    let made = world().client(
        "ssh -p 2284 -F $CFG sentinel 'create cr-host --ssh-key - --image small' < $DIR/cr-host.pub",
    );
    assert!(made.stdout.ends_with("\nssh -p 2222 cr-host@ssh.example.org\n"), "{made:?}");
    drop(sentinel);
}

#[test]
fn twenty_at_once_are_spread_and_each_is_shown_and_ready() {
    let people: Vec<_> = (0..20).map(|i| format!("cr-many{i}")).collect();
    for name in &people {
        // Of a run that was ended.
        for backend in ["b1", "b2"].into_iter().filter(|_| !instances("cr-many").is_empty()) {
            quiet_delete(backend, &[name]);
        }
    }
    let dir = &world().dir;
    make_key(dir, "cr-many");
    // With the limits of a sentinel that nobody configured.
    let text = config_of(dir, 2295, "").replace("max_startups_per_source = 100\n", "");
    let _sentinel = Sentinel::start(dir, "cr-many", &text);
    let run = world().client_within(
        std::time::Duration::from_secs(300),
        "for i in {0..19}; do\n\
           ssh -p 2295 -F $CFG sentinel \"create cr-many$i --ssh-key - --image small\" \
             < $DIR/cr-many.pub > out$i 2> err$i || tail -n 4 err$i >&2 &\n\
         done; wait\n\
         for i in {0..19}; do\n\
           tail -n 1 out$i; grep -c '^\\[7/7\\] set the labels$' err$i\n\
           ssh -p 2295 -F $CFG -i $DIR/cr-many cr-many$i@$DOOR hostname\n\
         done",
    );
    let door = lab().get("LAB_SENTINEL_ADDRESS");
    let expected = people.iter().fold(String::new(), |all, name| {
        all + &format!("ssh -p 2295 {name}@{door}\n1\n{name}-container\n")
    });
    assert_eq!((run.stdout, run.status), (expected, 0), "{}", run.stderr);
    let on = |backend| lab().incus(backend, &["list", "^cr-many", "-fcsv", "-cn"]).lines().count();
    let spread = ["b1", "b2"].map(on);
    std::thread::scope(|scope| {
        for name in &people {
            scope.spawn(move || {
                let deleted = console(&format!("delete {name} --force"));
                assert_eq!(deleted.status, 0, "{deleted:?}");
            });
        }
    });
    assert_eq!(spread.iter().sum::<usize>(), 20);
    assert!(spread.iter().all(|n| *n >= 5), "{spread:?}");
}

#[test]
fn ctrl_c_undoes_what_was_made_and_blocks_no_second_try() {
    let person = Person::new("cr-ctrlc");
    let key = std::fs::read_to_string(world().dir.join("cr-ctrlc.pub")).unwrap();
    let line = format!(
        "ssh -F $CFG -t sentinel \"create cr-ctrlc --ssh-key '{}' --image bare\"",
        key.trim()
    );
    let stopped = dialogue(&line, &[("[4/7] install what is missing", "\x03")]);
    assert_eq!(stopped.status, 130, "{stopped:?}");
    assert!(stopped.stdout.contains("undoing: removing cr-ctrlc-container from b"), "{stopped:?}");
    assert_eq!(instances("cr-ctrlc"), [""; 0]);
    assert_eq!(console("info cr-ctrlc").status, 3);
    let again = person.create("--image small");
    assert_eq!(again.status, 0, "{again:?}");
}

#[test]
fn a_lost_connection_stops_nothing_and_logs_tell_the_end() {
    let person = Person::new("cr-lost");
    let lost = world().client(
        "ssh -F $CFG sentinel 'create cr-lost --ssh-key - --image bare' < $DIR/cr-lost.pub 2> err &\n\
         until grep -q '^.4/7. install' err; do sleep 0.05; done\n\
         kill -KILL $!; wait $!; echo $?",
    );
    assert_eq!(lost.stdout, "137\n", "{lost:?}");
    let log = console("logs cr-lost");
    assert!(log.stdout.ends_with("  done\n") && log.status == 0, "{log:?}");
    assert!(log.stdout.contains("[7/7] set the labels"), "{log:?}");
    let ready = person.run("true");
    assert_eq!(ready.status, 0, "{ready:?}");
}

#[test]
fn stacks_come_with_it_and_one_that_fails_undoes_it_all() {
    let person = Person::new("cr-stack");
    let folder = world().dir.join("stacks");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, script) in [("cr-good", "echo yes >/srv/cr-good"), ("cr-bad", "echo no >&2; exit 7")]
    {
        let text = format!(
            "title = '{name}'\ndescription = 'of a test'\ncheck = 'mkdir -p /srv; test -e /srv/{name}'\n\
             [script]\nalpine = '{script}'\n"
        );
        // At once, for other tests list the folder at any time.
        std::fs::write(folder.join(format!(".{name}")), text).unwrap();
        std::fs::rename(folder.join(format!(".{name}")), folder.join(format!("{name}.toml")))
            .unwrap();
    }
    let failed = person.create("--image small --stack cr-good --stack cr-bad");
    assert_eq!((failed.status, failed.stdout.as_str()), (1, ""), "{failed:?}");
    assert!(failed.stderr.contains("[9/9] install cr-bad (cr-bad)\n  | no\n"), "{failed:?}");
    assert!(failed.stderr.contains("undoing: removing cr-stack-container"), "{failed:?}");
    assert_eq!(instances("cr-stack"), [""; 0]);
    assert_eq!(console("info cr-stack").status, 3);
    let made = person.create("--image small --stack cr-good --stack cr-good --json");
    let json: Value = serde_json::from_str(&made.stdout).unwrap();
    assert_eq!(json["stacks"], serde_json::json!(["cr-good"]), "{made:?}");
    assert_eq!(person.run("cat /srv/cr-good").stdout, "yes\n");
}
