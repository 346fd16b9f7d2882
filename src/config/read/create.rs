//! `[create]`.

use std::collections::BTreeMap;

use super::super::{
    Create,
    problem::Fault,
    section::{Read, Section},
    source::Told,
    tree::{Node, Value, shown},
    value::{parsed, text},
};
use crate::model::{cpu::CpuLimit, image::ImageName, size::Size};

/// Image servers that every Incus client knows.
const REMOTES: [(&str, &str); 1] = [("images", "https://images.linuxcontainers.org")];

/// Operating systems and their images. Red Hat's cannot be had without a subscription: whoever has
/// one imports it to the backends under this name.
const OS_TYPES: [(&str, &str); 5] = [
    ("ubuntu24", "images:ubuntu/24.04"),
    ("debian12", "images:debian/12"),
    ("rocky9", "images:rockylinux/9"),
    ("rhel9", "rhel9"),
    ("alpine", "images:alpine/3.22"),
];

/// Most image servers, and most operating systems.
const MAX_ENTRIES: usize = 100;

/// Longest name of an image server or an operating system, in bytes.
const MAX_NAME: usize = 32;

/// Longest URL, in bytes.
const MAX_URL: usize = 1024;

pub(super) fn create(mut section: Section<'_>) -> Result<Create, Told> {
    let remotes = section.section("remotes").and_then(|s| s.entries(MAX_ENTRIES, remote));
    let known = REMOTES.map(|(name, url)| (name.to_owned(), url.to_owned()));
    let remotes = remotes.map(|more| known.into_iter().chain(more).collect());
    let image = |node: &Node| image(node, remotes.as_ref().ok());
    let os_type = |name: &str, node: &Node| check_name(name).and_then(|()| image(node));
    let os_types = section.section("os_types").and_then(|s| s.entries(MAX_ENTRIES, os_type));
    let image = section.or_written("image", "images:ubuntu/24.04", image);
    let cpu = section.maybe("cpu", cpu);
    let memory = section.maybe("memory", parsed::<Size>("\"4GB\" or \"4GiB\""));
    let disk = section.or_written("disk", "20GB", parsed::<Size>("\"20GB\" or \"20GiB\""));
    section.finish(|_| None);
    let built_in =
        OS_TYPES.iter().map(|(name, image)| Some(((*name).to_owned(), image.parse().ok()?)));
    Ok(Create {
        image: image?,
        cpu: cpu?,
        memory: memory?,
        disk: disk?,
        remotes: remotes?,
        os_types: built_in.flatten().chain(os_types?).collect(),
    })
}

/// An image, of a server that is there where it is known which are.
fn image(node: &Node, remotes: Option<&BTreeMap<String, String>>) -> Read<ImageName> {
    let example = "\"images:ubuntu/24.04\", or \"debian\" for one of the backend's own";
    let image = parsed(example)(node)?;
    match (&image, remotes) {
        (ImageName::Remote { remote, .. }, Some(remotes)) if !remotes.contains_key(remote) => {
            let hint = format!("name it in [create.remotes]: {remote} = \"https://…\"");
            Err(Fault::new(format!("there is no image server \"{remote}\"")).hint(hint))
        }
        (ImageName::Local(_) | ImageName::Fingerprint(_) | ImageName::Remote { .. }, _) => {
            Ok(image)
        }
    }
}

/// `4`, `"4"` or `"0-3"`.
fn cpu(node: &Node) -> Read<CpuLimit> {
    let example = "\"4\", or \"0-3\" for these four and no others";
    match &node.value {
        Value::Integer { text, .. } => {
            let value = Value::String(text.clone());
            parsed(example)(&Node { at: node.at, value })
        }
        Value::String(_)
        | Value::Float(_)
        | Value::Date(_)
        | Value::Boolean(_)
        | Value::Array(_)
        | Value::Table(_) => parsed(example)(node),
    }
}

/// The URL of an image server. Images become root's files in containers, so nobody on the way may
/// change them.
fn remote(name: &str, node: &Node) -> Read<String> {
    check_name(name)?;
    let url = text(node)?;
    let fault = || Fault::new(format!("\"{}\" is not the URL of an image server", shown(url)));
    let host = url.strip_prefix("https://").ok_or_else(|| {
        fault().hint("it begins with https://, as in \"https://images.linuxcontainers.org\"")
    })?;
    let valid = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    if host.is_empty() || host.starts_with('/') || url.len() > MAX_URL || !host.bytes().all(valid) {
        return Err(fault());
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn check_name(name: &str) -> Read<()> {
    let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if begins && name.len() <= MAX_NAME && name != "local" && name.bytes().all(valid) {
        return Ok(());
    }
    Err(Fault::new(format!("\"{}\" is no name for this", shown(name)))
        .hint("lowercase letters, digits, and - . _ between them"))
}
