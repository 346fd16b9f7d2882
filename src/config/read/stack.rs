//! A stack's file.

use super::super::{
    problem::Fault,
    section::{Read, Section},
    source::{Sink, Told},
    tree::{Node, Table},
    value::text,
};
use crate::model::{
    name::StackName,
    stack::{Family, Stack},
    text::printable,
};

/// Longest script, in bytes: the kernel takes 128 KiB as one argument (`MAX_ARG_STRLEN`), in which are
/// ours, what is common to all families, and that of one.
const MAX_SCRIPT: usize = 32 * 1024;

/// Longest title and description, in characters: each is one line.
const MAX_TITLE: usize = 60;
const MAX_DESCRIPTION: usize = 300;

/// Reads the stack called `name`; `file` is where it comes from, `None` if it is built in.
pub(in crate::config) fn stack(
    name: StackName,
    file: Option<String>,
    table: &Table,
    sink: &Sink,
) -> Result<Stack, Told> {
    let mut root = Section::root(table, sink);
    let title = root.need("title", "title = \"Node.js\"", line(MAX_TITLE));
    let description =
        root.need("description", "description = \"Node.js, npm, yarn\"", line(MAX_DESCRIPTION));
    let check = root.need("check", "check = \"command -v node\"", script);
    let scripts = root.section("script").and_then(scripts);
    root.finish(|key| {
        Some(match key {
            "debian" => "script.debian",
            "rhel" => "script.rhel",
            "alpine" => "script.alpine",
            _ => return None,
        })
    });
    Ok(Stack {
        name,
        title: title?,
        description: description?,
        check: check?,
        scripts: scripts?,
        file,
    })
}

fn scripts(mut section: Section<'_>) -> Result<Vec<(Family, String)>, Told> {
    let common = section.maybe("common", script);
    let read = Family::ALL.map(|family| (family, section.maybe(family.as_str(), script)));
    let none = Family::ALL.iter().all(|family| !section.has(family.as_str()));
    let told = none.then(|| {
        let fault = Fault::new("no script for any family of distributions");
        section.missing("debian", fault.hint("write at least one of debian, rhel and alpine"))
    });
    section.finish(|_| None);
    let common = common?.unwrap_or_default();
    let mut scripts = Vec::new();
    for (family, script) in read {
        scripts.extend(script?.map(|script| (family, format!("{common}\n{script}"))));
    }
    told.map_or(Ok(scripts), Err)
}

fn script(node: &Node) -> Read<String> {
    let script = text(node)?;
    if script.trim().is_empty() {
        return Err(Fault::new("empty").hint("write `true` for a script that does nothing"));
    }
    if script.len() > MAX_SCRIPT {
        return Err(Fault::new(format!("longer than {MAX_SCRIPT} bytes")));
    }
    if script.contains('\0') {
        return Err(Fault::new("a script has no NUL in it"));
    }
    Ok(script.to_owned())
}

/// One line for people.
fn line(limit: usize) -> impl Fn(&Node) -> Read<String> {
    move |node| {
        let line = text(node)?.trim();
        if line.is_empty() || line.chars().count() > limit {
            return Err(Fault::new(format!("must have 1 to {limit} characters")));
        }
        // What would be changed for a terminal is no text for people.
        if printable(line, limit) != line {
            return Err(Fault::new("must be one line of text without control characters"));
        }
        Ok(line.to_owned())
    }
}
