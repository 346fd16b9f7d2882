//! `image list`: what backends have, beside what their Incus says of it.

use serde_json::Value;

use super::{console, info::Way};
use crate::harness::{Sentinel, backend_section, config, lab, lab_command, world};

/// The port of the sentinel one of whose backends hangs.
const PORT: u16 = 2236;

/// What Incus says of its images.
fn images(backend: &str) -> Vec<Value> {
    serde_json::from_str(&lab().incus(backend, &["image", "list", "-fjson"])).unwrap()
}

/// The one of this name.
fn named(backend: &str, name: &str) -> Value {
    let is_it = |image: &Value| {
        image["aliases"].as_array().unwrap().iter().any(|alias| alias["name"] == name)
    };
    images(backend).into_iter().find(is_it).unwrap_or_else(|| panic!("no {name} on {backend}"))
}

/// Another name of an image on b1, for as long as this lives.
struct Alias(&'static str);

impl Alias {
    fn new(name: &'static str, image: &Value) -> Self {
        Self::delete(name);
        let fingerprint = image["fingerprint"].as_str().unwrap();
        lab().incus("b1", &["image", "alias", "create", name, fingerprint]);
        Self(name)
    }

    fn delete(name: &str) {
        // There need not be one.
        let _ = lab_command(&["incus", "b1", "image", "alias", "delete", name]).output();
    }
}

impl Drop for Alias {
    fn drop(&mut self) {
        Self::delete(self.0);
    }
}

fn told(words: &str) -> Value {
    let run = console(words);
    assert_eq!(run.status, 0, "{run:?}");
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn images_are_those_of_each_incus() {
    let _alias = Alias::new("img-only", &named("b1", "small"));
    let all = told("image list --json");
    let list = all["images"].as_array().unwrap();
    let has = |image: &Value, backend: &str| {
        image["backends"].as_array().unwrap().iter().any(|name| name == backend)
    };
    for (name, backend) in [("bare", "b1"), ("bare", "b2"), ("small", "b2"), ("img-only", "b1")] {
        let incus = named(backend, name);
        let of_name = list.iter().filter(|image| image["image"] == name && has(image, backend));
        let [image] = of_name.collect::<Vec<_>>()[..] else { panic!("{name} {backend}: {all}") };
        for (ours, theirs) in [
            (&image["fingerprint"], &incus["fingerprint"]),
            (&image["architecture"], &incus["architecture"]),
            (&image["size_bytes"], &incus["size"]),
            (&image["created_at"], &incus["created_at"]),
            (&image["os"], &incus["properties"]["os"]),
            (&image["description"], &incus["properties"]["description"]),
        ] {
            assert_eq!(ours, theirs, "{name} {backend}: {all}");
        }
    }
    let only = list.iter().find(|image| image["image"] == "img-only").unwrap();
    assert_eq!(only["backends"], serde_json::json!(["b1"]), "{all}");
    let names = |words: &str| console(words).stdout.lines().map(str::to_owned).collect::<Vec<_>>();
    let is_only = |name: &String| name == "img-only";
    assert!(names("image list -q --backend b1").iter().any(is_only));
    assert!(!names("image list -q --backend b2").iter().any(is_only));
    let table = console("image list").stdout;
    let line = table.lines().find(|line| line.starts_with("img-only ")).expect("no line");
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!((words[1], words[words.len() - 3]), ("b1", "x86_64"), "{table}");
    assert!(table.contains("\n(default)  images:ubuntu/24.04  any\n"), "{table}");
}

#[test]
fn a_backend_that_hangs_holds_up_no_image_of_the_others() {
    let dir = &world().dir;
    let socket = dir.join("image.sock").display().to_string();
    let way = Way::new(&socket, lab().get("LAB_B1_INCUS_SOCKET"));
    let common = config(dir, PORT, "");
    let (common, _) = common.split_once("[[backend]]").unwrap();
    let slow =
        format!("[[backend]]\nname = \"slow\"\naddress = \"local\"\nincus_socket = \"{socket}\"\n");
    let text = format!("{common}{slow}{}", backend_section("b2"));
    let sentinel = Sentinel::start(dir, "image", &text);
    let told = || {
        let run = sentinel.console(&["image", "list", "--json"]);
        assert_eq!(run.status, 0, "{run:?}");
        serde_json::from_str::<Value>(&run.stdout).unwrap()
    };
    let backends = |told: &Value| {
        let images = told["images"].as_array().unwrap();
        let small = images.iter().find(|image| image["image"] == "small");
        small.map_or(Value::Null, |image| image["backends"].clone())
    };
    sentinel.wait("both tell", || backends(&told()) == serde_json::json!(["slow", "b2"]));
    way.signal("STOP");
    let [all, alone] = [&[][..], &["--backend", "slow"]]
        .map(|more| sentinel.console(&[&["image", "list"], more].concat()));
    let after = told();
    way.signal("CONT");
    assert_eq!((all.status, alone.status), (0, 69), "{all:?} {alone:?}");
    assert!(all.stderr.contains("note: backend slow "), "{all:?}");
    assert!(alone.stderr.contains("hint: type `status`"), "{alone:?}");
    assert_eq!(backends(&after), serde_json::json!(["b2"]), "{after}");
    assert_eq!(after["silent"][0]["backend"], "slow", "{after}");
}
