//! What is done to containers on the screen, with its effect in Incus and at the door.

use serde_json::Value;

use super::{remove, screen::Screen};
use crate::harness::{Run, lab, make_key, world};

/// A person with a key and no container of her name; what she made is removed.
struct Person(&'static str);

impl Person {
    fn new(name: &'static str) -> Self {
        remove(name);
        make_key(&world().dir, name);
        Self(name)
    }

    /// Her public key, as it is pasted.
    fn key(&self) -> String {
        std::fs::read_to_string(world().dir.join(format!("{}.pub", self.0))).unwrap()
    }

    /// Logs in to a container with her key.
    fn log_in(&self, login: &str) -> Run {
        let key = self.0;
        world().client(&format!("ssh -F $CFG -i $DIR/{key} -l {login} $DOOR id -un"))
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        remove(self.0);
    }
}

/// What Incus has of a container, on whichever backend it is.
fn instance(name: &str) -> Option<Value> {
    let filter = format!("^{name}-container$");
    ["b1", "b2"].into_iter().find_map(|backend| {
        let list = lab().incus(backend, &["list", &filter, "-fjson"]);
        let list: Value = serde_json::from_str(&list).unwrap();
        list.get(0).cloned()
    })
}

/// Shows only this container in the list.
fn watch(screen: &Screen, name: &str) {
    screen.keys(&["/"]);
    screen.text(name);
    screen.keys(&["Enter"]);
    screen.wait("none of");
}

/// Fills in the form for a new container, and begins.
fn create(screen: &Screen, person: &Person) {
    screen.field("Name");
    screen.text(person.0);
    screen.field("Public key");
    screen.paste(&person.key());
    // Its fingerprint is what people compare.
    screen.wait("SHA256:");
    screen.field("Image");
    // Those that there are, once that is known.
    screen.wait("the usual one");
    screen.insist("Right", |seen| seen.contains("< small >"));
}

/// Asserts that a container is there, and lets its owner in.
fn assert_made(person: &Person) {
    let made = instance(person.0).expect("no instance");
    assert_eq!(made["status"], "Running", "{made}");
    assert_eq!(made["config"]["user.containarium.owner"], person.0, "{made}");
    let run = person.log_in(person.0);
    assert_eq!((run.stdout.trim(), run.status), (person.0, 0), "{run:?}");
}

#[test]
fn a_container_lives_its_whole_life_by_keys_alone_and_others_see_it() {
    let (owner, guest) = (Person::new("tui-life"), Person::new("tui-guest"));
    let (screen, other) = (Screen::open(), Screen::open());
    watch(&other, "tui-life");
    screen.keys(&["c"]);
    screen.wait("Create a container");
    create(&screen, &owner);
    screen.keys(&["C-s"]);
    screen.wait("tui-life is ready on");
    assert_made(&owner);
    other.wait_until("it runs", |s| !s.contains("none of") && s.contains("running"));

    screen.back("is ready on");
    screen.enter("tui-life");
    screen.keys(&["r"]);
    screen.wait("Resize tui-life");
    screen.field("Processors");
    screen.text("1");
    screen.field("Memory");
    screen.text("512MiB");
    screen.keys(&["C-s"]);
    screen.wait("memory 512MiB");
    let config = instance("tui-life").expect("gone")["config"].clone();
    assert_eq!((&config["limits.cpu"], &config["limits.memory"]), (&"1".into(), &"512MiB".into()));

    screen.back("memory 512MiB");
    screen.keys(&["a"]);
    screen.wait("Let somebody else in to tui-life");
    screen.field("Login");
    screen.text("guest");
    screen.field("Public key");
    screen.paste(&guest.key());
    screen.wait("SHA256:");
    screen.keys(&["C-s"]);
    screen.wait("guest shares tui-life");
    let run = guest.log_in("tui-life");
    assert_eq!((run.stdout.as_str(), run.status), ("guest\n", 0), "{run:?}");

    screen.back("guest shares tui-life");
    screen.keys(&["A"]);
    screen.wait("Let somebody in no more to tui-life");
    // Those that there are, once that is known.
    screen.wait("choose one");
    screen.keys(&["Right"]);
    screen.wait("< guest");
    screen.keys(&["C-s"]);
    screen.wait("guest does not share tui-life");
    let run = guest.log_in("tui-life");
    assert!(run.status == 255 && run.stderr.contains("Permission denied"), "{run:?}");

    screen.back("guest does not share");
    screen.keys(&["d"]);
    screen.wait("type \"tui-life\"");
    // Not before its name stands there.
    screen.text("tui-lif");
    screen.keys(&["Enter"]);
    screen.text("e");
    screen.wait("tui-life\": tui-life");
    assert!(instance("tui-life").is_some());
    screen.keys(&["Enter"]);
    world().sentinel.wait("it is gone", || instance("tui-life").is_none());
    other.wait("none of");
}

#[test]
fn a_container_is_made_with_the_mouse() {
    let owner = Person::new("tui-mouse");
    let screen = Screen::open();
    screen.click("c create");
    screen.wait("Create a container");
    for (field, typed) in [("Name", "tui-mouse"), ("Image", "small")] {
        screen.click(field);
        screen.text(typed);
        screen.wait(typed);
    }
    screen.click("Public key");
    screen.paste(&owner.key());
    screen.wait("SHA256:");
    screen.click("[ Create ]");
    screen.wait("tui-mouse is ready on");
    assert_made(&owner);
    screen.click("3 Sessions");
    screen.wait("FROM");
    screen.click("q leave");
    screen.wait("left: 0");
}
