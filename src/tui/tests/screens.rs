//! Pictures of every screen and dialogue, to be looked at when they change.

use super::*;
use crate::command::failure::{Failure, Kind};

/// The usual sizes: the least that is enough, two that people have, and one that is cramped.
const SIZES: [(u16, u16); 4] = [(80, 24), (120, 40), (200, 60), (40, 8)];

/// Pictures of the same at each size.
fn pictures(look: Look, sizes: &[(u16, u16)], go: impl Fn(&mut Person)) -> String {
    let picture = |(columns, rows): &(u16, u16)| {
        let mut person = Person::new(Size { columns: *columns, rows: *rows }, look);
        go(&mut person);
        format!("=== {columns}x{rows}\n{}\n", person.picture())
    };
    sizes.iter().map(picture).collect()
}

impl Person {
    /// What was asked for is answered.
    pub(super) fn hear(&mut self) {
        for action in std::mem::take(&mut self.due) {
            if let Action::Ask(words) = action {
                let answer = fleet::answer(&words);
                self.see(Event::Answered(words, answer));
            }
        }
    }

    /// The images are told, as late as they may be.
    fn hear_images(&mut self) {
        let words = crate::tui::images::QUESTION.map(str::to_owned).to_vec();
        let answer = fleet::answer(&words);
        self.see(Event::Answered(words, answer));
    }

    fn tick(&mut self, seconds: i64) {
        let now = self.state.now + jiff::SignedDuration::from_secs(seconds);
        self.see(Event::Tick(now));
    }
}

macro_rules! seen {
    ($name:literal, $sizes:expr, $go:expr) => {
        insta::assert_snapshot!($name, pictures(UNICODE, $sizes, $go))
    };
}

#[test]
fn lists() {
    seen!("containers", &SIZES, |_| ());
    let tab = |key: &'static str| {
        move |p: &mut Person| {
            p.keys(key);
            p.hear();
        }
    };
    seen!("hosts", &SIZES, tab("2"));
    seen!("sessions", &SIZES, tab("3"));
    seen!("guard", &SIZES, tab("4"));
    seen!("ledger", &SIZES, tab("5"));
}

#[test]
fn a_host_that_is_away_takes_no_bars_away() {
    let mut person = Person::new(SMALL, UNICODE);
    let picture = person.picture();
    for title in ["NAME", "STATE", "HOST", "CPU", "MEMORY", "DISK"] {
        assert!(person.reads(title), "{title}:\n{picture}");
    }
    let row = picture.lines().find(|line| line.contains("erin")).unwrap();
    let bars = row.split(' ').filter(|piece| piece.contains('█')).count();
    assert_eq!((row.contains("● 40m ago"), bars), (true, 3), "{picture}");
}

#[test]
fn the_head_says_who_is_where() {
    let mut person = Person::new(Size { columns: 120, rows: 24 }, UNICODE);
    assert!(person.reads("  ops@sentinel.example.org"));
    let mut facts = fleet::facts(UNICODE);
    facts.person = "alice@laptop".to_owned();
    person.see(Event::Facts(Arc::new(facts)));
    assert!(person.reads("  alice@laptop on sentinel.example.org"));
}

#[test]
fn lists_with_marks_filters_and_groups() {
    let few = &[(80, 24), (40, 8)];
    seen!("containers_marked", few, |p| p.keys(" jj  sv"));
    seen!("containers_filtered", few, |p| p.keys("/course\n"));
    seen!("containers_filter_typed", few, |p| p.keys("/no such thing"));
}

#[test]
fn empty_lists() {
    for (key, name) in [("1", "containers"), ("2", "hosts"), ("3", "sessions"), ("4", "guard")] {
        let text = pictures(UNICODE, &[(80, 24)], |p| {
            p.see(Event::Facts(Arc::default()));
            p.keys(key);
        });
        insta::assert_snapshot!(format!("empty_{name}"), text);
    }
}

#[test]
fn pages() {
    seen!("container", &SIZES, |p| {
        p.keys("\n");
        p.hear();
    });
    seen!("host", &SIZES, |p| {
        p.keys("2\n");
        p.hear();
    });
    seen!("container_asking", &[(80, 24)], |p| p.keys("\n"));
    seen!("container_gone", &[(80, 24)], |p| {
        p.keys("j\n");
        p.hear();
    });
    seen!("error", &[(80, 24), (40, 8)], |p| {
        p.keys("4y");
        p.hear();
    });
    seen!("record", &[(80, 24), (40, 8)], |p| {
        p.keys("5");
        p.hear();
        p.keys("\n");
    });
    seen!("record_of_a_refusal", &[(80, 24), (40, 8)], |p| {
        p.keys("4");
        p.hear();
        p.keys("/bob@\n\n");
    });
    seen!("help", &SIZES, |p| p.keys("?"));
    seen!("help_of_a_page", &[(80, 24)], |p| {
        p.keys("\n");
        p.hear();
        p.keys("?");
    });
    seen!("command", &[(80, 24), (40, 8)], |p| p.keys(":resize alice --me"));
    seen!("too_small", &[(20, 5), (39, 7), (3, 1)], |_| ());
}

/// Somebody begins work, which says what it does.
fn work(p: &mut Person) {
    p.keys(":resize alice --memory 12GiB\n");
    for (seconds, said) in [(0, "look at what alice uses"), (2, "change the limits of alice")] {
        p.tick(seconds);
        p.see(Event::Said(1, said.to_owned()));
    }
    p.tick(3);
}

#[test]
fn work_under_way_and_done() {
    let few = &[(80, 24), (40, 8)];
    seen!("work", few, work);
    seen!("work_failed", few, |p| {
        work(p);
        let message = "memory 12GiB: backend tank-1 has 57GiB free, and the daemon did not answer";
        let failure = Failure::new(Kind::Unavailable, message).hint("`backend info tank-1`");
        p.see(Event::Ended(1, Err(failure)));
    });
    seen!("works", few, |p| {
        work(p);
        p.see(Event::Ended(1, Ok(Arc::default())));
        p.keys(":start grace\n");
        p.see(Event::Ended(2, Err(Failure::new(Kind::Conflict, "grace is held"))));
        p.keys(":delete bob --force\n");
        p.see(Event::Said(3, "stop bob".to_owned()));
        p.keys("w");
    });
}

#[test]
fn only_work_under_way_is_asked_to_stop() {
    let mut person = Person::new(SMALL, UNICODE);
    work(&mut person);
    assert!(person.reads("x stop it"));
    person.keys("x");
    assert_eq!(person.due, [Action::Stop(1)]);
    person.see(Event::Ended(1, Err(Failure::new(Kind::Conflict, "it was stopped"))));
    assert!(person.reads("it was stopped") && !person.reads("stop it"));
    person.keys("x");
    assert!(person.due.is_empty() && !person.state.pages.is_empty());
}

#[test]
fn questions() {
    let few = &[(80, 24), (40, 8)];
    seen!("stop", few, |p| p.keys("o"));
    seen!("delete", few, |p| p.keys("dali"));
    seen!("delete_many", few, |p| p.keys("*d"));
}

#[test]
fn other_looks() {
    let ascii = Look { colour: true, ascii: true };
    let draw = |look, go: &dyn Fn(&mut Person)| pictures(look, &[(80, 24)], go);
    insta::assert_snapshot!("ascii_containers", draw(ascii, &|p| p.keys(" s")));
    insta::assert_snapshot!("ascii_hosts", draw(ascii, &|p| p.keys("2")));
    insta::assert_snapshot!("ascii_create", draw(ascii, &|p| p.keys("c")));
    for look in [UNICODE, Look { colour: false, ascii: false }] {
        let mut person = Person::new(SMALL, look);
        person.keys(" j");
        let name = if look.colour { "styles" } else { "styles_without_colours" };
        insta::assert_snapshot!(name, styled(&person.drawn().0));
    }
}

/// A public key, and its fingerprint.
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKCnMRMTDIcFbTdhRTBoJsL9Qvj9Ib3rLEJYhvJbCQGW bob@desk";

#[test]
fn forms() {
    let few = &[(80, 24), (40, 8)];
    seen!("create", &SIZES, |p| p.keys("c"));
    seen!("create_wrong_name", few, |p| p.keys("cBob;"));
    seen!("create_key", few, |p| {
        p.keys("cbob\t");
        p.paste(KEY);
    });
    seen!("create_private_key", few, |p| {
        p.keys("cbob\t");
        p.paste("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----");
    });
    seen!("create_host_away", few, |p| p.keys("cbob\t\t\ta"));
    seen!("create_stacks", few, |p| p.keys("cbob\t\t\t\t\t\t\t\t\td j pr "));
    seen!("create_ready", few, |p| {
        p.keys("cbob\t");
        p.paste(KEY);
        p.keys("\t\t\t\t\t\t\t\t\t");
    });
    image_fields();
    let resize = |p: &mut Person| {
        p.keys("r");
        p.hear();
    };
    seen!("resize_asking", few, |p| p.keys("r"));
    seen!("resize", &[(80, 24), (120, 40), (40, 8)], resize);
    seen!("resize_changed", few, move |p| {
        resize(p);
        p.press(Code::Tab);
        (0..8).for_each(|_| p.press(Code::Right));
        p.keys("\t20GiB");
    });
    seen!("collaborator", few, |p| p.keys("a"));
    seen!("collaborator_remove", few, |p| {
        p.keys("A");
        p.hear();
        p.press(Code::Right);
    });
    seen!("key_add", few, |p| p.keys("n"));
    seen!("key_remove", few, |p| {
        p.keys("N");
        p.hear();
        p.press(Code::Right);
    });
}

#[test]
fn one_sees_how_much_is_wrong_however_long_the_first_is() {
    let mut person = Person::new(SMALL, UNICODE);
    let facts = Facts { alarms: ["x".repeat(200), "y".to_owned()].to_vec(), ..Facts::default() };
    person.see(Event::Facts(Arc::new(facts)));
    assert!(person.reads("xxx… (and 1 more: `:status`)"));
}

/// The field for an image, when it is known which there are. The emptiest host has none.
fn image_fields() {
    let few = &[(80, 24), (40, 8)];
    let at_image = |p: &mut Person, host: &str| {
        p.keys("cbob\t\t\t");
        p.keys(host);
        p.keys("\t\t");
        p.hear_images();
    };
    seen!("create_images", &SIZES, |p| at_image(p, ""));
    seen!("create_image", few, |p| {
        at_image(p, "t");
        p.press(Code::Right);
    });
    seen!("create_image_doubtful", few, |p| {
        at_image(p, "");
        p.press(Code::Right);
    });
    seen!("create_image_elsewhere", few, |p| {
        at_image(p, "tt");
        p.press(Code::Left);
    });
    seen!("create_image_typed", few, |p| {
        at_image(p, "t");
        p.keys("small");
    });
    seen!("create_image_of_system", few, |p| {
        at_image(p, "");
        p.press(Code::Up);
        p.keys("d\t");
    });
    seen!("create_image_and_system", few, |p| {
        at_image(p, "");
        p.keys("images:debian/13");
        p.press(Code::Up);
        p.keys("d");
    });
}
