//! The forms of the commands that need more than a yes. Pure.

use std::{collections::BTreeSet, str::FromStr};

use serde_json::Value;

use super::{
    choices::{Choices, Host},
    form::{Amount, Check, Choice, Content, Field, Form, Hint, Unit},
    images,
    keymap::Deed,
    line::Line,
    state::{Facts, Page, State},
};
use crate::{
    command::report::Report,
    model::{
        authorized_keys,
        cpu::CpuLimit,
        image::ImageName,
        name::{Account, ContainerName},
        size::Size,
        text::printable,
    },
};

/// Longest text of a choice, in characters.
const MAX_CHOICE: usize = 100;

fn text(check: Check, optional: bool) -> Content {
    Content::Text { line: Line::default(), check, optional }
}

fn field(
    label: &'static str,
    option: Option<&'static str>,
    help: impl Into<String>,
    content: Content,
) -> Field {
    Field { label, help: help.into(), usual: String::new(), option, content, against: None }
}

impl Field {
    /// The same, with what it is when nothing is said.
    fn usual(self, usual: impl Into<String>) -> Self {
        Self { usual: usual.into(), ..self }
    }
}

fn is<T: FromStr<Err: ToString>>(text: &str) -> Result<Hint, String> {
    text.parse::<T>().map(|_| Hint::None).map_err(|error| error.to_string())
}

/// A public key; its fingerprint is said.
fn key(text: &str) -> Result<Hint, String> {
    match authorized_keys::parse(text) {
        (keys, refused) if refused.is_empty() && keys.len() == 1 => {
            let shown = |key: &authorized_keys::AuthorizedKey| {
                let comment = printable(key.key.comment(), MAX_CHOICE);
                format!("{} {comment}", key.key.fingerprint()).trim_end().to_owned()
            };
            Ok(Hint::Good(keys.iter().map(shown).collect()))
        }
        (_, refused) => {
            let reason = refused.first().map(|refused| refused.reason.clone());
            Err(reason.unwrap_or_else(|| "one line of a .pub file, please".to_owned()))
        }
    }
}

fn public_key(option: Option<&'static str>) -> Field {
    field("Public key", option, "paste one line of a .pub file", text(key, false))
}

/// A new container.
#[must_use]
pub fn create(facts: &Facts) -> Form {
    let Choices { image, systems, stacks, limits: [cpu, memory, disk], .. } = &facts.choices;
    let systems = systems.iter().map(Choice::new);
    let system = std::iter::once(Choice::usual("as the image says")).chain(systems).collect();
    let any = Content::Any { options: stacks.clone(), at: 0, chosen: BTreeSet::new() };
    let amount = |usual: &str, unit| Content::Amount(new_amount(&facts.choices, usual, unit));
    let image_field = Content::Combo {
        line: Line::default(),
        check: is::<ImageName>,
        options: vec![Choice::usual(image)],
        at: 0,
    };
    let fields = vec![
        field(
            "Name",
            None,
            "what people log in as: ssh NAME@...",
            text(is::<ContainerName>, false),
        ),
        public_key(Some("ssh-key")),
        field("Owner", Some("owner"), "her account inside", text(is::<Account>, true))
            .usual("as the container"),
        field(
            "Host",
            Some("backend"),
            "left and right choose",
            Content::One { options: places(&facts.choices), at: 0 },
        ),
        field(
            "System",
            Some("os-type"),
            "left and right choose",
            Content::One { options: system, at: 0 },
        ),
        field("Image", Some("image"), images::TYPED, image_field),
        field(
            "Processors",
            Some("cpu"),
            "2 is any two, 0-3 are these four",
            amount(cpu, Unit::Processors),
        )
        .usual(cpu),
        field("Memory", Some("memory"), "for instance 4GiB", amount(memory, Unit::Memory))
            .usual(memory),
        field("Disk", Some("disk"), "for instance 20GiB", amount(disk, Unit::Disk)).usual(disk),
        field("Stacks", Some("stack"), "left and right move, Space chooses", any).usual("none"),
    ];
    Form::new("Create a container".to_owned(), "Create", vec!["create".to_owned()], fields)
}

/// The hosts to choose from: first the one that is chosen when none is named.
fn places(choices: &Choices) -> Vec<Choice> {
    let host = |host: &Host| Choice {
        note: host.note(),
        refused: host.obstacle.is_some(),
        ..Choice::new(&host.name)
    };
    let emptiest = choices.hosts.iter().find(|host| Some(&host.name) == choices.emptiest.as_ref());
    let usual = match emptiest {
        Some(host) => Choice {
            note: format!("{}: {}", host.name, host.note()),
            ..Choice::usual("the emptiest")
        },
        None => Choice {
            note: "no host can take a container now".to_owned(),
            refused: true,
            ..Choice::usual("the emptiest")
        },
    };
    std::iter::once(usual).chain(choices.hosts.iter().map(host)).collect()
}

/// For a container that is made: the largest of the hosts says how much there is.
fn new_amount(choices: &Choices, usual: &str, unit: Unit) -> Amount {
    let usable = choices.hosts.iter().filter(|host| host.obstacle.is_none());
    let most = usable.filter_map(|host| Some((capacity(host, unit)?, host.name.clone())));
    Amount { unit, now: limit(unit, usual), most: most.max(), ..Amount::default() }
}

fn capacity(host: &Host, unit: Unit) -> Option<u64> {
    match unit {
        Unit::Processors => host.cpus,
        Unit::Memory => host.memory.map(|(_, all)| all),
        Unit::Disk => host.disk.map(|(_, all)| all),
    }
}

fn limit(unit: Unit, text: &str) -> Option<u64> {
    match unit {
        Unit::Processors => text.parse().ok().map(CpuLimit::needed),
        Unit::Memory | Unit::Disk => text.parse().ok().map(Size::bytes),
    }
}

/// A form about one container. What is not known of it yet is told later: [`tell`].
#[must_use]
pub fn about(deed: Deed, name: &str, state: &State) -> Form {
    let none = "none takes the limit away";
    let amount = |unit| Content::Amount(Amount { unit, resizes: true, ..Amount::default() });
    let (title, button, command, fields) = match deed {
        Deed::Resize => {
            let fields = vec![
                field("Processors", Some("cpu"), none, amount(Unit::Processors)).usual("as now"),
                field("Memory", Some("memory"), none, amount(Unit::Memory)).usual("as now"),
                field("Disk", Some("disk"), none, amount(Unit::Disk)).usual("as now"),
                field(
                    "Force",
                    Some("force"),
                    "also less memory than is in use",
                    Content::Flag(false),
                ),
            ];
            ("Resize", "Resize", &["resize"][..], fields)
        }
        Deed::AddCollaborator => {
            ("Let somebody else in to", "Let in", &["collaborator", "add"][..], collaborator())
        }
        Deed::AddKey => ("Add a key to", "Add", &["key", "add"][..], vec![public_key(None)]),
        Deed::RemoveCollaborator => {
            let fields = vec![field("Login", None, "her account", text(is::<Account>, false))];
            ("Let somebody in no more to", "Remove", &["collaborator", "remove"][..], fields)
        }
        Deed::RemoveKey
        | Deed::Create
        | Deed::Shell
        | Deed::Start
        | Deed::Stop
        | Deed::Restart
        | Deed::Delete
        | Deed::Drain
        | Deed::Resume
        | Deed::Kill
        | Deed::Watch
        | Deed::Lift
        | Deed::Why => {
            let any = |_: &str| Ok(Hint::None);
            let fields = vec![field("Key", None, "its fingerprint or comment", text(any, false))];
            ("Take a key from", "Remove", &["key", "remove"][..], fields)
        }
    };
    let mut command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    command.push(name.to_owned());
    let mut form = Form::new(format!("{title} {name}"), button, command, fields);
    form.about = Some((deed, name.to_owned()));
    if let Some(report) = known(name, state) {
        tell(&mut form, report, &state.facts);
    }
    form
}

/// What is known of a container, where its page was opened.
#[must_use]
pub fn known<'a>(name: &str, state: &'a State) -> Option<&'a Report> {
    state.pages.iter().rev().find_map(|page| match page {
        Page::Container(shown, answer) if shown == name => {
            answer.said.as_ref()?.as_ref().ok().map(AsRef::as_ref)
        }
        Page::Container(..)
        | Page::Answer(..)
        | Page::Work(_)
        | Page::Works
        | Page::Help(_)
        | Page::Row(..) => None,
    })
}

/// Says in a form what `info` said of its container.
pub fn tell(form: &mut Form, report: &Report, facts: &Facts) {
    let told = &report.json;
    let entries = match form.about.as_ref().map(|(deed, _)| *deed) {
        Some(Deed::RemoveCollaborator) => Some(entries(told, "collaborators", "login")),
        Some(Deed::RemoveKey) => Some(entries(told, "keys", "fingerprint")),
        Some(_) | None => None,
    };
    for field in &mut form.fields {
        match &mut field.content {
            Content::Amount(amount) => field.usual = measure(amount, told, facts),
            Content::Text { line, .. } if line.text().is_empty() => {
                let Some(options) = entries.clone() else { continue };
                "left and right choose".clone_into(&mut field.help);
                field.content = Content::One { options, at: 0 };
            }
            // What was known at first was old; what was chosen stays.
            Content::One { options, at } => {
                let Some(entries) = &entries else { continue };
                let chosen = options.get(*at).map(|choice| &choice.word);
                *at = entries.iter().position(|entry| Some(&entry.word) == chosen).unwrap_or(0);
                options.clone_from(entries);
            }
            Content::Text { .. }
            | Content::Combo { .. }
            | Content::Any { .. }
            | Content::Flag(_) => {}
        }
    }
}

/// Those there are, behind one that is none of them: nobody is removed by an Enter too many.
fn entries(told: &Value, list: &str, word: &str) -> Vec<Choice> {
    let entries = told[list].as_array().map(Vec::as_slice).unwrap_or_default();
    let shown = |text: &Value| printable(text.as_str().unwrap_or_default(), MAX_CHOICE);
    let entry = |entry: &Value| Choice {
        note: shown(&entry["comment"]),
        shown: shown(&entry[word]),
        ..Choice::new(entry[word].as_str().unwrap_or_default())
    };
    let note = if entries.is_empty() { "there is none" } else { "choose one" };
    let first = Choice { note: note.to_owned(), refused: true, ..Choice::usual("-") };
    std::iter::once(first).chain(entries.iter().map(entry)).collect()
}

/// Learns the limit, what is in use, and how much its host has; the limit as it is shown.
fn measure(amount: &mut Amount, told: &Value, facts: &Facts) -> String {
    let (key, used) = match amount.unit {
        Unit::Processors => ("cpu", None),
        Unit::Memory => ("memory", told["live"]["memory_bytes"].as_u64()),
        Unit::Disk => ("disk", told["live"]["disk_bytes"].as_u64()),
    };
    let host = facts.choices.hosts.iter().find(|host| told["backend"] == host.name.as_str());
    let now = told[key].as_str();
    amount.now = now.and_then(|text| limit(amount.unit, text));
    amount.used = used.filter(|used| *used > 0);
    amount.most = host.and_then(|host| Some((capacity(host, amount.unit)?, host.name.clone())));
    printable(now.unwrap_or("no limit"), MAX_CHOICE)
}

fn collaborator() -> Vec<Field> {
    vec![
        field("Login", None, "her account inside", text(is::<Account>, false)),
        public_key(Some("ssh-key")),
        field("Sudo", Some("sudo"), "anything, without a password", Content::Flag(false)),
        field(
            "Containers",
            Some("container-runtime"),
            "the groups docker and podman",
            Content::Flag(false),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::tui::theme::Look;

    #[test]
    fn a_list_that_was_old_is_made_new_and_what_was_chosen_stays() {
        let size = crate::command::terminal::Size { columns: 80, rows: 24 };
        let look = Look { colour: true, ascii: false };
        let state = State::new(size, look, Timestamp::UNIX_EPOCH);
        let mut form = about(Deed::RemoveCollaborator, "alice", &state);
        let mut told = |logins: &[&str], chosen: usize| {
            let logins: Vec<_> =
                logins.iter().map(|login| serde_json::json!({ "login": login })).collect();
            let json = serde_json::json!({ "collaborators": logins });
            tell(&mut form, &Report { json, ..Report::default() }, &Facts::default());
            let [Field { content: Content::One { options, at }, .. }] = form.fields.as_mut_slice()
            else {
                panic!("no list: {form:?}");
            };
            let was = std::mem::replace(at, chosen);
            (options.len() - 1, options[was].word.clone())
        };
        assert_eq!(told(&[], 0), (0, String::new()));
        assert_eq!(told(&["bob", "dave"], 2), (2, String::new()));
        assert_eq!(told(&["dave"], 1), (1, "dave".to_owned()));
        assert_eq!(told(&["bob"], 0), (1, String::new()));
    }
}
