//! `recovery` of a backend: who starts its host again.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use super::super::{
    Gce, Recovery, RecoveryCommand, RecoveryKind,
    path::file,
    problem::Fault,
    section::{Read, Section},
    source::Told,
    tree::{Node, shown},
    value::{boolean, choice, count, duration, parsed, text},
};
use crate::model::url::Url;

/// Most arguments, and most variables.
const MAX_WORDS: usize = 64;

/// Longest argument, and longest value of a variable, in bytes.
const MAX_WORD: usize = 4096;

/// Longest name of a project, zone or instance, in bytes (a domain may be in front of a project).
const MAX_NAME: usize = 100;

/// Largest number of starts in an hour: more is no recovery.
const MAX_HOURLY: usize = 60;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    None,
    Gce,
    Command,
}

/// The keys that only one kind has.
const OF_GCE: [&str; 6] = ["project", "zone", "instance", "credentials", "endpoint", "metadata"];
const OF_COMMAND: [&str; 3] = ["argv", "env", "timeout"];
const OF_BOTH: [&str; 3] = ["grace", "may_reset", "hourly"];

pub(super) fn recovery(backend: &mut Section<'_>, base: &Path) -> Result<Option<Recovery>, Told> {
    if !backend.has("recovery") {
        return backend.section("recovery").map(|_| None);
    }
    let mut section = backend.section("recovery")?;
    let kinds = [("none", Kind::None), ("gce", Kind::Gce), ("command", Kind::Command)];
    let kind = section.need("kind", "kind = \"gce\"", choice(&kinds));
    let grace = section.or("grace", Duration::from_secs(120), duration(10, 3600));
    let may_reset = section.or("may_reset", false, boolean);
    let hourly = section.or("hourly", 6, count(1..=MAX_HOURLY));
    let is = |wanted| kind.is_ok_and(|kind| kind == wanted);
    let gce = gce(&mut section, is(Kind::Gce), base);
    let command = command(&mut section, is(Kind::Command));
    let foreign: Vec<&str> = match kind {
        Ok(Kind::None) => [&OF_GCE[..], &OF_COMMAND, &OF_BOTH].concat(),
        Ok(Kind::Gce) => OF_COMMAND.to_vec(),
        Ok(Kind::Command) => OF_GCE.to_vec(),
        Err(_) => Vec::new(),
    };
    let mut verdict = Ok(());
    for key in foreign.iter().filter(|key| section.has(key)) {
        let fault = Fault::new("means nothing for this kind of recovery");
        verdict = Err(section.fault(key, fault.hint(format!("remove `{key}`, or change `kind`"))));
    }
    section.finish(|_| None);
    verdict?;
    let kind = match kind? {
        Kind::None => return Ok(None),
        Kind::Gce => gce?.map(RecoveryKind::Gce),
        Kind::Command => command?.map(RecoveryKind::Command),
    };
    let (grace, may_reset, hourly) = (grace?, may_reset?, hourly?);
    Ok(kind.map(|kind| Recovery { kind, grace, may_reset, hourly }))
}

fn gce(section: &mut Section<'_>, wanted: bool, base: &Path) -> Result<Option<Gce>, Told> {
    let url = parsed::<Url>("\"https://compute.googleapis.com\"");
    let credentials = section.maybe("credentials", file(base));
    let endpoint = section.or_written("endpoint", "https://compute.googleapis.com", &url);
    let metadata = section.or_written("metadata", "http://metadata.google.internal", &url);
    if !wanted {
        // They are known, and said to be foreign by the caller.
        for key in ["project", "zone", "instance"] {
            section.maybe(key, |_| Ok(()))?;
        }
        return Ok(None);
    }
    let project = section.need("project", "project = \"my-project\"", name);
    let zone = section.need("zone", "zone = \"europe-west3-a\"", name);
    let instance = section.need("instance", "instance = \"spot-1\"", name);
    Ok(Some(Gce {
        project: project?,
        zone: zone?,
        instance: instance?,
        credentials: credentials?,
        endpoint: endpoint?,
        metadata: metadata?,
    }))
}

fn command(section: &mut Section<'_>, wanted: bool) -> Result<Option<RecoveryCommand>, Told> {
    let argv = section.list("argv", word);
    let env = section.section("env").and_then(|env| env.entries(MAX_WORDS, variable));
    let timeout = section.or("timeout", Duration::from_secs(60), duration(1, 3600));
    if !wanted {
        return Ok(None);
    }
    let argv = argv?.unwrap_or_default();
    let Some(path) = argv.first() else {
        let hint = "for instance `argv = [\"/usr/local/bin/start-host\", \"spot-1\"]`";
        return Err(section.missing("argv", Fault::new("nothing to run").hint(hint)));
    };
    if argv.len() > MAX_WORDS {
        let fault = Fault::new(format!("{} words, the limit is {MAX_WORDS}", argv.len()));
        return Err(section.fault("argv", fault));
    }
    executable(path).map_err(|fault| section.fault("argv", fault))?;
    Ok(Some(RecoveryCommand { argv, env: env?, timeout: timeout? }))
}

/// The path of a program that is there: no shell searches for it.
fn executable(path: &str) -> Result<(), Fault> {
    let shown = shown(path);
    if !path.starts_with('/') {
        let hint = "write the whole path, from \"/\"; no shell reads this";
        return Err(Fault::new(format!("\"{shown}\" is not a whole path")).hint(hint));
    }
    match fs::metadata(path) {
        Ok(file) if file.is_file() && file.permissions().mode() & 0o111 != 0 => Ok(()),
        Ok(_) => Err(Fault::new(format!("{shown} is not a program"))
            .hint(format!("`chmod +x {shown}` makes a script one"))),
        Err(e) => Err(Fault::new(format!("{shown} cannot be run: {e}"))),
    }
}

fn word(node: &Node) -> Read<String> {
    let text = text(node)?;
    if text.len() > MAX_WORD || text.contains('\0') {
        return Err(Fault::new(format!("longer than {MAX_WORD} bytes, or with a NUL in it")));
    }
    Ok(text.to_owned())
}

fn variable(name: &str, node: &Node) -> Read<String> {
    let letters = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let is_name = name.bytes().all(letters) && !name.starts_with(|c: char| c.is_ascii_digit());
    if !is_name || name.is_empty() {
        return Err(Fault::new("not a name of a variable").hint("letters, digits and _"));
    }
    if name.starts_with("CONTAINARIUM_") {
        return Err(Fault::new("variables of this name are set by the sentinel")
            .hint("take a name that does not begin with CONTAINARIUM_"));
    }
    word(node)
}

/// A name in the cloud: nothing that would leave its part of a URL.
fn name(node: &Node) -> Read<String> {
    let text = text(node)?;
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:".contains(&b);
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if begins && text.len() <= MAX_NAME && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(format!("\"{}\" is not a name in Compute Engine", shown(text)))
        .hint("lowercase letters, digits and -, as `gcloud compute instances list` shows it"))
}
