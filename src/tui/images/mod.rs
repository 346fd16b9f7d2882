//! The images that hosts have, and what the form for a new container makes of them. Pure.

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::{
    choices::Choices,
    form::{Choice, Content, Form},
    line::Line,
};
use crate::{
    command::view::{described, size},
    model::{image::ImageName, text::printable},
};

/// What is asked to know them.
pub const QUESTION: [&str; 2] = ["image", "list"];

/// What is said of the field for an image while none is known, and when there are some to choose from.
pub const TYPED: &str = "alias of the host, or SERVER:ALIAS";
const CHOSEN: &str = "left and right choose; or type an alias, or SERVER:ALIAS";

/// The command takes only one of both.
const BOTH: &str = "System and Image both say what it is made of: one of them, please";

/// Longest text of an image, in characters.
const MAX_TEXT: usize = 100;

/// What is known of images.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Images {
    /// Those that hosts have; of one name one after the other.
    known: Vec<Image>,
    /// Hosts that did not say what they have.
    silent: Vec<String>,
    /// What is taken when nothing is said.
    default: Option<Meant>,
    /// What systems mean, by name.
    systems: Vec<(String, Meant)>,
}

#[derive(Debug, Clone, PartialEq)]
struct Image {
    /// As the command takes it.
    name: String,
    /// What it is, and how large: printable.
    about: String,
    hosts: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Meant {
    /// Printable.
    image: String,
    /// Those that have it; `None`: any fetches it.
    hosts: Option<Vec<String>>,
}

/// Where the container goes to.
#[derive(Clone, Copy)]
struct Goal<'a> {
    /// The host that is chosen.
    host: Option<&'a str>,
    /// Where it goes to otherwise.
    emptiest: Option<&'a str>,
}

impl Images {
    /// What `image list` says.
    #[must_use]
    pub fn read(told: &Value) -> Self {
        let list = |key: &str| told[key].as_array().map(Vec::as_slice).unwrap_or_default();
        let systems = list("systems").iter().map(|system| (shown(&system["name"]), meant(system)));
        Self {
            known: list("images").iter().filter_map(Image::read).collect(),
            silent: list("silent").iter().map(|silent| shown(&silent["backend"])).collect(),
            default: Some(meant(&told["default"])).filter(|default| !default.image.is_empty()),
            systems: systems.collect(),
        }
    }

    /// What can be chosen: what is to be had first, then what is not.
    fn options(&self, goal: Goal<'_>) -> Vec<Choice> {
        let names = self.known.chunk_by(|one, next| one.name == next.name);
        let options = names.map(|images| {
            let is_there = |image: &&Image| image.hosts.iter().any(|host| goal.is(host));
            let about = images.iter().find(is_there).or(images.first());
            let hosts: Vec<_> = images.iter().flat_map(|image| image.hosts.clone()).collect();
            let name = images.first().map_or("", |image| image.name.as_str());
            let about = about.map_or("", |image| image.about.as_str());
            self.judged(Choice::new(name), &hosts, about, goal)
        });
        let (refused, had): (Vec<_>, Vec<_>) = options.partition(|option| option.refused);
        [had, refused].concat()
    }

    /// What stands for saying nothing, where `system` is chosen.
    fn usual(&self, system: Option<&str>, choices: &Choices, goal: Goal<'_>) -> Choice {
        if let Some(system) = system {
            let meant = self.systems.iter().find(|(name, _)| name == system);
            let image = meant.map_or("", |(_, meant)| meant.image.as_str());
            return Choice {
                note: format!("as {system} says"),
                ..Choice::usual(if image.is_empty() { "as the system says" } else { image })
            };
        }
        let usual = Choice::usual(&choices.image);
        match self.default.as_ref().filter(|default| default.image == choices.image) {
            Some(Meant { hosts: Some(hosts), .. }) => {
                self.judged(usual, hosts, "the usual one", goal)
            }
            Some(Meant { hosts: None, .. }) => Choice { note: "the usual one".to_owned(), ..usual },
            None => usual,
        }
    }

    /// Says of a system which image it is, and whether that is to be had.
    fn tell(&self, system: &mut Choice, goal: Goal<'_>) {
        let Some((_, meant)) = self.systems.iter().find(|(name, _)| *name == system.word) else {
            return;
        };
        *system = match &meant.hosts {
            Some(hosts) => self.judged(system.clone(), hosts, &meant.image, goal),
            None => Choice { note: meant.image.clone(), ..system.clone() },
        };
    }

    /// The same choice with what is said of it: what it is, or why it cannot be had.
    fn judged(&self, choice: Choice, hosts: &[String], about: &str, goal: Goal<'_>) -> Choice {
        let has = |host: &str| hosts.iter().chain(&self.silent).any(|other| other == host);
        let others = hosts.join(", ");
        let refused = |note| Choice { note, refused: true, doubtful: false, ..choice.clone() };
        match (goal.host, goal.emptiest, hosts) {
            (_, _, []) if self.silent.is_empty() => refused("no host has it".to_owned()),
            (Some(host), _, []) if !has(host) => refused(format!("{host} does not have it")),
            (Some(host), _, [_]) if !has(host) => refused(format!("only {others} has it")),
            (Some(host), ..) if !has(host) => refused(format!("only {others} have it")),
            (None, Some(host), _) if !has(host) => {
                let where_else = if hosts.is_empty() { "" } else { "; as Host choose " };
                let note = format!("{host}, the emptiest, does not have it{where_else}{others}");
                Choice { note, refused: false, doubtful: true, ..choice }
            }
            _ => Choice { note: about.to_owned(), refused: false, doubtful: false, ..choice },
        }
    }
}

impl Goal<'_> {
    fn is(self, host: &str) -> bool {
        self.host.or(self.emptiest) == Some(host)
    }
}

impl Image {
    fn read(told: &Value) -> Option<Self> {
        let name = told["image"].as_str().filter(|name| name.parse::<ImageName>().is_ok())?;
        let [os, release, description] =
            ["os", "release", "description"].map(|key| told[key].as_str());
        let what = printable(described(os, release, description).as_str(), MAX_TEXT);
        let bytes = told["size_bytes"].as_u64().map(size);
        let about = [Some(what).filter(|what| !what.is_empty()), bytes];
        Some(Self {
            name: name.to_owned(),
            about: about.into_iter().flatten().collect::<Vec<_>>().join(", "),
            hosts: hosts(told).unwrap_or_default(),
        })
    }
}

fn meant(told: &Value) -> Meant {
    Meant { image: shown(&told["image"]), hosts: hosts(told) }
}

fn hosts(told: &Value) -> Option<Vec<String>> {
    told["backends"].as_array().map(|hosts| hosts.iter().map(shown).collect())
}

fn shown(text: &Value) -> String {
    printable(text.as_str().unwrap_or_default(), MAX_TEXT)
}

/// Says in the form for a new container what there is to choose from, and what its fields say against
/// each other. What was chosen stays.
pub fn relate(form: &mut Form, images: &Images, choices: &Choices) {
    if form.command[..] != ["create"] {
        return;
    }
    let [host, system, image] =
        ["backend", "os-type", "image"].map(|option| form.said(option).map(str::to_owned));
    let goal = Goal { host: host.as_deref(), emptiest: choices.emptiest.as_deref() };
    let against = (system.is_some() && image.is_some()).then_some(BOTH);
    if let Some(field) = form.field_mut("os-type") {
        field.against = against;
        if let Content::One { options, .. } = &mut field.content {
            for option in options {
                images.tell(option, goal);
            }
        }
    }
    if let Some(field) = form.field_mut("image") {
        field.against = against;
        let usual = images.usual(system.as_deref(), choices, goal);
        let options: Vec<_> = std::iter::once(usual).chain(images.options(goal)).collect();
        if options.len() > 1 { CHOSEN } else { TYPED }.clone_into(&mut field.help);
        renew(&mut field.content, options);
    }
}

/// Other options. What was chosen and is not among them any more is as if it were typed.
fn renew(content: &mut Content, new: Vec<Choice>) {
    let Content::Combo { line, options, at, .. } = content else { return };
    let chosen = options.get(*at).map(|choice| choice.word.clone()).unwrap_or_default();
    let place = new.iter().position(|option| option.word == chosen);
    if place.is_none() && line.text().is_empty() {
        *line = Line::new(chosen);
    }
    (*at, *options) = (place.unwrap_or(0), new);
}
