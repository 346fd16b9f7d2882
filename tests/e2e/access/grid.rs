//! The cross product of five people and twenty containers.

use std::collections::BTreeMap;

use super::newcomers;
use crate::harness::{CONTAINERS, labelled, quiet_delete, world};

const PEOPLE: [&str; 5] = ["ada", "ben", "cleo", "dan", "eve"];
const MADE: usize = 18;

/// What two commands at a time leave of a two-core machine is enough for the others.
const AT_ONCE: usize = 4;

/// Ada, Ben and Cleo own six each; Dan owns none and helps in four; Ada helps in some of the
/// others'; Eve has nothing.
fn grants(number: usize) -> (&'static str, Vec<&'static str>) {
    let owner = PEOPLE[number % 3];
    let mut helpers = Vec::new();
    if number.is_multiple_of(5) {
        helpers.push("dan");
    }
    if number % 4 == 1 && owner != "ada" {
        helpers.push("ada");
    }
    (owner, helpers)
}

fn backend(number: usize) -> &'static str {
    if number.is_multiple_of(2) { "b1" } else { "b2" }
}

fn name(number: usize) -> String {
    format!("grid-{number:02}")
}

struct Grid;

impl Grid {
    fn make(keys: &BTreeMap<&str, String>) -> Self {
        Self::remove();
        let grid = Self;
        std::thread::scope(|scope| {
            for half in 0..2 {
                scope.spawn(move || {
                    for number in (0..MADE).filter(|n| n % 2 == half) {
                        let (owner, helpers) = grants(number);
                        let helpers: Vec<_> =
                            helpers.iter().map(|h| (*h, keys[h].as_str())).collect();
                        let name = name(number);
                        labelled(backend(number), &name, owner, &keys[owner], &helpers);
                    }
                });
            }
        });
        grid
    }

    fn remove() {
        let names: Vec<String> = (0..MADE).map(name).collect();
        for half in 0..2 {
            let mine: Vec<&str> = names.iter().skip(half).step_by(2).map(String::as_str).collect();
            quiet_delete(backend(half), &mine);
        }
    }
}

impl Drop for Grid {
    fn drop(&mut self) {
        Self::remove();
    }
}

#[test]
fn five_people_reach_their_own_of_twenty_containers_and_nothing_else() {
    let lines = newcomers(PEOPLE);
    let keys: BTreeMap<&str, String> = PEOPLE.into_iter().zip(lines).collect();
    let _grid = Grid::make(&keys);
    let names: Vec<String> = (0..MADE).map(name).collect();
    world().sentinel.wait_until_listed(&names.iter().map(String::as_str).collect::<Vec<_>>());

    let mut expected = BTreeMap::new();
    for person in PEOPLE {
        for number in 0..MADE {
            let (owner, helpers) = grants(number);
            let granted = owner == person || helpers.contains(&person);
            expected.insert((person.to_owned(), name(number)), granted);
        }
        for (other, _) in CONTAINERS {
            expected.insert((person.to_owned(), other.to_owned()), false);
        }
    }
    assert_eq!(expected.len(), 100);
    assert_eq!(expected.values().filter(|granted| **granted).count(), 18 + 4 + 4);

    let pairs: Vec<String> = expected.keys().map(|(p, c)| format!("{p} {c}\n")).collect();
    let pairs = pairs.concat();
    let run = world().client(&format!(
        "xargs -P {AT_ONCE} -n 2 bash -c '\
           out=$(ssh -F $CFG -i $DIR/$0 -l $1 $DOOR true 2>&1); echo \"$0 $1 $? $out\"' <<'END'\n{pairs}END"
    ));
    assert_eq!(run.stdout.lines().count(), 100, "{run:?}");
    for line in run.stdout.lines() {
        let (person, rest) = line.split_once(' ').unwrap();
        let (container, outcome) = rest.split_once(' ').unwrap();
        let got_in = outcome.starts_with(&format!("69 error: container {container} is stopped, "));
        let refused =
            outcome.starts_with("255 ") && outcome.ends_with(": Permission denied (publickey).");
        assert!(got_in != refused, "{line}");
        assert_eq!(got_in, expected[&(person.to_owned(), container.to_owned())], "{line}");
    }
}
