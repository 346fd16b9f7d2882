//! An image that is chosen or typed, whatever is told meanwhile.

use serde_json::json;

use super::*;
use crate::tui::{
    form::{Hint, Step},
    forms,
    input::{Code, Key},
    state::Facts,
};

/// Two hosts with images and one that said nothing.
fn told(default: &Value) -> Images {
    let image = |name: &str, about: &str, hosts: &[&str]| {
        let size = 1 << 20;
        json!({"image": name, "description": about, "size_bytes": size, "backends": hosts})
    };
    Images::read(&json!({
        "default": default,
        "images": [
            image("debian", "old", &["h1"]), image("debian", "new", &["h2"]),
            image("small", "tiny", &["h1"]),
        ],
        "systems": [
            {"name": "rhel9", "image": "rhel9", "backends": []},
            {"name": "alpine", "image": "images:alpine", "backends": null},
        ],
        "silent": [{"backend": "h3", "reason": "away"}],
    }))
}

fn choices(emptiest: &str) -> Choices {
    let host = |name: &str| crate::tui::choices::Host {
        name: name.to_owned(),
        ..crate::tui::choices::Host::default()
    };
    Choices {
        image: "debian".to_owned(),
        systems: ["alpine", "rhel9"].map(str::to_owned).to_vec(),
        hosts: ["h1", "h2", "h3"].map(host).to_vec(),
        emptiest: Some(emptiest.to_owned()),
        ..Choices::default()
    }
}

/// Somebody who fills in the form.
struct Person {
    form: Form,
    images: Images,
    choices: Choices,
}

impl Person {
    fn new(choices: Choices) -> Self {
        let facts = Facts { choices: choices.clone(), ..Facts::default() };
        let mut person = Self { form: forms::create(&facts), images: Images::default(), choices };
        person.relate();
        person
    }

    fn relate(&mut self) {
        relate(&mut self.form, &self.images, &self.choices);
    }

    fn hear(&mut self, images: Images) {
        self.images = images;
        self.relate();
    }

    fn go(&mut self, option: &str) {
        let at = self.form.fields.iter().position(|field| field.option == Some(option));
        self.form.at = at.unwrap();
    }

    fn press(&mut self, code: Code) -> Step {
        let step = self.form.press(Key { code, ctrl: false, alt: false });
        self.relate();
        step
    }

    fn write(&mut self, text: &str) {
        text.chars().for_each(|c| drop(self.press(Code::Char(c))));
    }

    fn check(&self, option: &str) -> Result<Hint, String> {
        self.form.fields.iter().find(|field| field.option == Some(option)).unwrap().check()
    }

    fn said(&self) -> String {
        self.form.words().join(" ")
    }
}

fn local() -> Value {
    json!({"image": "debian", "backends": ["h1", "h2"]})
}

#[test]
fn until_it_is_told_which_there_are_an_image_is_typed() {
    let mut person = Person::new(choices("h1"));
    person.go("image");
    person.press(Code::Right);
    assert_eq!(person.said(), "create");
    person.write("sm");
    // Late, and what is typed stays, with its cursor.
    person.hear(told(&local()));
    person.write("al");
    person.press(Code::Left);
    person.write("l");
    assert_eq!(person.said(), "create --image=small");
    person.write(":");
    assert!(person.check("image").is_ok(), "one of a server");
    person.write(";");
    assert!(person.check("image").is_err());
}

#[test]
fn what_is_chosen_stays_when_more_is_told_and_when_it_is_gone() {
    let mut person = Person::new(choices("h1"));
    person.hear(told(&local()));
    person.go("image");
    person.press(Code::Right);
    person.press(Code::Right);
    assert_eq!(person.said(), "create --image=small");
    let fewer = json!({"images": [{"image": "small", "backends": ["h1"]}], "silent": []});
    person.hear(Images::read(&fewer));
    assert_eq!(person.said(), "create --image=small");
    person.hear(Images::default());
    assert_eq!(person.said(), "create --image=small");
    (0..5).for_each(|_| drop(person.press(Code::Backspace)));
    assert_eq!(person.said(), "create", "as if it were typed");
}

#[test]
fn another_host_marks_what_it_does_not_have() {
    let mut person = Person::new(choices("h1"));
    person.hear(told(&local()));
    person.go("image");
    person.press(Code::Right);
    person.press(Code::Right);
    assert_eq!(person.check("image"), Ok(Hint::None));
    let host = |person: &mut Person, letter: &str| {
        person.go("backend");
        // From the emptiest on, those that begin with it in turn.
        person.write(letter);
        person.said()
    };
    assert_eq!(host(&mut person, "h"), "create --backend=h1 --image=small");
    assert_eq!(person.check("image"), Ok(Hint::None));
    assert_eq!(host(&mut person, "h"), "create --backend=h2 --image=small");
    assert_eq!(person.check("image"), Err("only h1 has it".to_owned()));
    assert_eq!(host(&mut person, "h"), "create --backend=h3 --image=small");
    assert_eq!(person.check("image"), Ok(Hint::None), "nobody knows what h3 has");
    // The same of what is typed.
    person.go("image");
    person.write("small");
    person.go("backend");
    person.press(Code::Left);
    assert_eq!(person.check("image"), Err("only h1 has it".to_owned()));
    let mut elsewhere = Person::new(choices("h2"));
    elsewhere.hear(told(&local()));
    elsewhere.go("image");
    elsewhere.write("small");
    let doubt = "h2, the emptiest, does not have it; as Host choose h1".to_owned();
    assert_eq!(elsewhere.check("image"), Ok(Hint::Careful(doubt)));
}

#[test]
fn the_usual_image_and_systems_are_judged_as_others_are() {
    let mut person = Person::new(choices("h1"));
    person.hear(told(&json!({"image": "debian", "backends": ["h2"]})));
    assert!(matches!(person.check("image"), Ok(Hint::Careful(_))), "{:?}", person.form.fields);
    person.go("backend");
    person.press(Code::Right);
    assert_eq!(person.check("image"), Err("only h2 has it".to_owned()));
    person.go("os-type");
    person.write("a");
    assert_eq!((person.check("os-type"), person.check("image")), (Ok(Hint::None), Ok(Hint::None)));
    person.write("r");
    assert_eq!(person.check("os-type"), Err("h1 does not have it".to_owned()));
}

#[test]
fn a_system_and_an_image_are_refused_together_as_the_command_refuses_them() {
    let mut person = Person::new(choices("h1"));
    person.hear(told(&local()));
    person.go("os-type");
    person.write("a");
    person.go("image");
    person.write("x");
    for option in ["os-type", "image"] {
        assert_eq!(person.check(option), Err(BOTH.to_owned()), "{option}");
    }
    let words = ["create", "bob", "--ssh-key=-", "--os-type=alpine", "--image=x"];
    let words = words.map(str::to_owned);
    assert!(<crate::command::Grammar as clap::Parser>::try_parse_from(&words).is_err());
    person.press(Code::Backspace);
    for option in ["os-type", "image"] {
        assert_eq!(person.check(option), Ok(Hint::None), "{option}");
    }
}

#[test]
fn of_one_name_that_of_the_chosen_host_is_told() {
    let mut person = Person::new(choices("h1"));
    person.hear(told(&local()));
    let about = |person: &Person| {
        let images =
            person.images.options(Goal { host: person.form.said("backend"), emptiest: Some("h1") });
        images[0].note.clone()
    };
    assert_eq!(about(&person), "old, 1MiB");
    person.go("backend");
    person.write("hh");
    assert_eq!(about(&person), "new, 1MiB");
}
