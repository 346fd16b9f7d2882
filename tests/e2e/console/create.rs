//! `create`: from nothing to `ssh NAME@sentinel`, or back to nothing.

use serde_json::Value;

use super::console;
use crate::harness::{Run, lab, make_key, quiet_delete, world};

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

/// The names of all instances on a backend that begin like this, with their marks.
fn instances(backend: &str, prefix: &str) -> Vec<String> {
    let list = lab().incus(backend, &["list", &format!("^{prefix}"), "-fcsv", "-cn"]);
    list.lines().map(str::to_owned).collect()
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
