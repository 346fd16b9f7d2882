//! Files of stacks.

use super::*;
use crate::model::stack::Family;

#[test]
fn what_is_built_in_is_whole() {
    let stacks = Stacks::built_in();
    assert_eq!(stacks.problems(), []);
    let names: Vec<_> = stacks.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names.len(), 12, "{names:?}");
    // Nobody makes CUDA for Alpine.
    let missing = |s: &&str| stacks.find(&s.parse().unwrap()).unwrap().families().count() < 3;
    assert_eq!(names.iter().copied().filter(missing).collect::<Vec<_>>(), ["gpu"]);
}

#[test]
fn common_text_stands_in_front_of_each_familys() {
    let golang = Stacks::built_in().find(&"golang".parse().unwrap()).unwrap();
    for family in Family::ALL {
        let script = golang.script(family).unwrap();
        let (common, own) = (script.find("go_tools() {"), script.rfind("\ngo_tools\n"));
        assert!(common.is_some() && common < own, "{script}");
    }
}

#[test]
fn the_check_of_a_configuration_reads_its_stacks() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("sentinel.toml");
    fs::write(&main, minimal()).unwrap();
    let check_now = || {
        let mut out = Vec::new();
        let status = check(&main, &mut out);
        (status, String::from_utf8(out).unwrap())
    };
    assert_eq!(check_now().0, 0, "the folder need not be there");
    let own = folder.path().join("stacks");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("one.toml"), "title = 'One'\ntitel = 'x'\n").unwrap();
    fs::write(own.join("two.toml"), "title = 1\n[script\n").unwrap();
    let (status, text) = check_now();
    assert_eq!(status, 78, "{text}");
    for part in
        ["one.toml:2:1: titel: unknown key", "hint: did you mean `title`?", "two.toml:2:", "check"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let stacks = Stacks::load(&own);
    let broken = stacks.find(&"one".parse().unwrap());
    assert!(matches!(broken, Err(NoStack::Broken(p)) if p.file.ends_with("one.toml")));
    assert_eq!(stacks.find(&"three".parse().unwrap()), Err(NoStack::Unknown));
    assert!(stacks.find(&"rust".parse().unwrap()).is_ok());
}

#[test]
fn files_that_cannot_be_read_are_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("big.toml"), "#".repeat(2 << 20)).unwrap();
    fs::write(folder.path().join("raw.toml"), b"title = '\xff'").unwrap();
    fs::create_dir(folder.path().join("rust.toml")).unwrap();
    let stacks = Stacks::load(folder.path());
    let told: Vec<_> = stacks.problems().iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("big.toml: larger than"), "{told:?}");
    assert!(told[1].contains("raw.toml: line 1 is not UTF-8"), "{told:?}");
    let rust = stacks.find(&"rust".parse().unwrap());
    assert!(matches!(rust, Err(NoStack::Broken(_))), "the one built in is not what was meant");
    let file = folder.path().join("raw.toml");
    assert_eq!(Stacks::load(&file).problems().len(), 1, "a file is no folder");
}
