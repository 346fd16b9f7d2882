//! The forms of the commands that need more than a yes. Pure.

use std::{collections::BTreeSet, str::FromStr};

use super::{
    form::{Check, Content, Field, Form, Hint},
    keymap::{Deed, Tab},
    line::Line,
    state::{Facts, Page, State},
};
use crate::{
    command::report::{Part, Report},
    model::{
        authorized_keys,
        cpu::CpuLimit,
        image::ImageName,
        name::{Account, ContainerName},
        size::Size,
    },
};

/// What is usual when a container is made, and what there is to choose from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choices {
    /// The image when none is asked for.
    pub image: String,
    /// Names of systems.
    pub systems: Vec<String>,
    /// Names of stacks.
    pub stacks: Vec<String>,
    /// Processors, memory and disk when nothing is asked for.
    pub limits: [String; 3],
}

fn text(check: Check, optional: bool) -> Content {
    Content::Text { line: Line::default(), check, optional }
}

fn field(
    label: &'static str,
    option: Option<&'static str>,
    help: impl Into<String>,
    content: Content,
) -> Field {
    Field { label, help: help.into(), option, content }
}

fn is<T: FromStr<Err: ToString>>(text: &str) -> Result<Hint, String> {
    text.parse::<T>().map(|_| Hint::new()).map_err(|error| error.to_string())
}

/// A public key; its fingerprint is said.
fn key(text: &str) -> Result<Hint, String> {
    match authorized_keys::parse(text) {
        (keys, refused) if refused.is_empty() && keys.len() == 1 => {
            Ok(keys.iter().map(|key| key.key.fingerprint()).collect())
        }
        (_, refused) => {
            let reason = refused.first().map(|refused| refused.reason.clone());
            Err(reason.unwrap_or_else(|| "one line of a .pub file, please".to_owned()))
        }
    }
}

fn limit<T: FromStr<Err: ToString>>(text: &str) -> Result<Hint, String> {
    if text == "none" { Ok("no limit".to_owned()) } else { is::<T>(text) }
}

/// A new container.
#[must_use]
pub fn create(facts: &Facts) -> Form {
    let Choices { image, systems, stacks, limits: [cpu, memory, disk] } = &facts.choices;
    let usual = |what: &str, value: &str| format!("{what}; {value} when nothing is said");
    let one = |first: &str, others: Vec<String>| {
        let options = std::iter::once(first.to_owned()).chain(others).collect();
        Content::One { options, at: 0 }
    };
    let hosts = facts.rows.get(&Tab::Hosts).into_iter().flatten();
    let hosts = hosts.map(|row| row.id.clone()).collect();
    let any = Content::Any { options: stacks.clone(), at: 0, chosen: BTreeSet::new() };
    let image = usual("alias of the host, or SERVER:ALIAS", image);
    Form {
        title: "Create a container".to_owned(),
        command: vec!["create".to_owned()],
        fields: vec![
            field(
                "Name",
                None,
                "what people log in as: ssh NAME@...",
                text(is::<ContainerName>, false),
            ),
            field("Public key", Some("ssh-key"), "paste one line of a .pub file", text(key, false)),
            field(
                "Owner",
                Some("owner"),
                "her account inside; the name when nothing is said",
                text(is::<Account>, true),
            ),
            field("Host", Some("backend"), "left and right choose", one("the emptiest", hosts)),
            field(
                "System",
                Some("os-type"),
                "left and right choose",
                one("as the image says", systems.clone()),
            ),
            field("Image", Some("image"), image, text(is::<ImageName>, true)),
            field(
                "Processors",
                Some("cpu"),
                usual("2, or 0-3 for these four", cpu),
                text(is::<CpuLimit>, true),
            ),
            field("Memory", Some("memory"), usual("4GiB", memory), text(is::<Size>, true)),
            field("Disk", Some("disk"), usual("20GiB", disk), text(is::<Size>, true)),
            field("Stacks", Some("stack"), "arrows move, Space chooses", any),
        ],
        at: 0,
        insisted: false,
    }
}

/// A form about one container.
#[must_use]
pub fn about(deed: Deed, name: &str, state: &State) -> Form {
    let report = state.pages.iter().rev().find_map(|page| match page {
        Page::Container(shown, answer) if shown == name => {
            answer.said.as_ref().and_then(|said| said.as_ref().ok())
        }
        Page::Container(..) | Page::Answer(..) | Page::Work(_) | Page::Works | Page::Help(_) => {
            None
        }
    });
    let known = |label: &str| report.map(|report| values(report, label)).unwrap_or_default();
    let now = |label: &str| known(label).join(", ");
    let (title, command, fields) = match deed {
        Deed::Resize => {
            let used = |label: &str| match now(label) {
                now if now.is_empty() => "none takes the limit away".to_owned(),
                now => format!("now {now}; none takes the limit away"),
            };
            let fields = vec![
                field("Processors", Some("cpu"), used("CPU"), text(limit::<CpuLimit>, true)),
                field("Memory", Some("memory"), used("Memory"), text(limit::<Size>, true)),
                field("Disk", Some("disk"), used("Disk"), text(limit::<Size>, true)),
                field(
                    "Force",
                    Some("force"),
                    "also less memory than is in use",
                    Content::Flag(false),
                ),
            ];
            ("Resize", &["resize"][..], fields)
        }
        Deed::AddCollaborator => {
            let fields = collaborator();
            ("Let somebody else in to", &["collaborator", "add"][..], fields)
        }
        Deed::AddKey => {
            let fields =
                vec![field("Public key", None, "paste one line of a .pub file", text(key, false))];
            ("Add a key to", &["key", "add"][..], fields)
        }
        Deed::RemoveCollaborator => {
            let help = format!("one of: {}", now("Collaborators"));
            let fields = vec![field("Login", None, help, text(is::<Account>, false))];
            ("Let somebody in no more to", &["collaborator", "remove"][..], fields)
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
            let help = format!("fingerprint or comment; one of: {}", now("Keys"));
            let any = |_: &str| Ok(Hint::new());
            (
                "Take a key from",
                &["key", "remove"][..],
                vec![field("Key", None, help, text(any, false))],
            )
        }
    };
    let mut command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    command.push(name.to_owned());
    Form { title: format!("{title} {name}"), command, fields, at: 0, insisted: false }
}

fn collaborator() -> Vec<Field> {
    let key = text(key, false);
    vec![
        field("Login", None, "her account inside", text(is::<Account>, false)),
        field("Public key", Some("ssh-key"), "paste one line of a .pub file", key),
        field("Sudo", Some("sudo"), "anything, without a password", Content::Flag(false)),
        field(
            "Containers",
            Some("container-runtime"),
            "the groups docker and podman",
            Content::Flag(false),
        ),
    ]
}

/// What a report says behind a label.
fn values(report: &Report, label: &str) -> Vec<String> {
    let fields = report.parts.iter().filter_map(|part| match part {
        Part::Fields(fields) => Some(fields),
        Part::Table(_) | Part::Text(_) => None,
    });
    fields.flatten().filter(|field| field.label == label).flat_map(|f| f.values.clone()).collect()
}
