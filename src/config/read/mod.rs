//! The tree as [`Config`]: which sections and keys there are, their defaults and limits.
//!
//! Each function reads all of its keys before it gives up, so that all mistakes are reported.

mod audit;
mod backend;
mod create;
mod door;
mod gateway;
mod guard;
mod health;
mod maintenance;
mod record;
mod recovery;
mod route;
pub(super) mod stack;
mod webhook;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    Config,
    path::{path, socket},
    problem::Fault,
    section::Section,
    source::{At, Sink, Sources, Told},
    tree::Table,
};
use crate::model::authorized_keys::AuthorizedKey;

/// Most backends, and most routes: each backend is a connection and a task.
const MAX_ENTRIES: usize = 500;

/// Most webhooks: each is a queue.
const MAX_WEBHOOKS: usize = 20;

/// What is common to all sections.
#[derive(Clone, Copy)]
struct Scope<'a> {
    base: &'a Path,
    sources: &'a Sources,
    /// The keys of administrators, as far as they are known.
    admins: &'a [AuthorizedKey],
}

/// Reads the whole configuration; relative paths begin at `base`.
pub(super) fn config(
    table: &Table,
    base: &Path,
    sources: &Sources,
    sink: &Sink,
) -> Result<Config, Told> {
    let mut root = Section::root(table, sink);
    root.refuse("metrics");
    let state_dir = root.or("state_dir", "/var/lib/containarium".into(), path(base));
    let default_socket = "/run/containarium/control.sock".into();
    let control_socket = root.or("control_socket", default_socket, socket(base));
    let stacks = root.or_written("stacks", "stacks", path(base));
    let ssh = root.section("ssh").and_then(|section| door::ssh(section, base));
    let admin = root.section("admin").and_then(|section| door::admin(section, base));
    let guard = root.section("guard").and_then(guard::guard);
    let admins = admin.as_ref().map_or(&[][..], |admin| &admin.keys);
    let scope = Scope { base, sources, admins };
    let log = root.section("log").and_then(door::log);
    let state = state_dir.as_ref().map_or(base, PathBuf::as_path);
    let audit = root.section("audit").and_then(|section| audit::audit(section, base, state));
    let record = root.section("record").and_then(|section| record::record(section, base, state));
    let create = root.section("create").and_then(create::create);
    let backends = backend::backends(root.sections("backend", MAX_ENTRIES), scope);
    let listen = ssh.as_ref().map_or(&[][..], |ssh| &ssh.listen);
    let has_gateway = root.has("gateway");
    let gateway = root
        .section("gateway")
        .and_then(|section| has_gateway.then(|| gateway::gateway(section, listen)).transpose());
    let known = backends.as_deref().ok();
    let maintenance = maintenance::maintenance(&mut root, scope, known);
    let admin_login = admin.as_ref().ok().map(|a| &a.login);
    let routes = route::routes(root.sections("route", MAX_ENTRIES), scope, admin_login);
    let webhooks = webhook::webhooks(root.sections("webhook", MAX_WEBHOOKS), scope);
    root.finish(home_of);
    Ok(Config {
        state_dir: state_dir?,
        control_socket: control_socket?,
        stacks: stacks?,
        ssh: ssh?,
        admin: admin?,
        guard: guard?,
        log: log?,
        audit: audit?,
        record: record?,
        create: create?,
        gateway: gateway?,
        backends: backends?,
        routes: routes?,
        webhooks: webhooks?,
        maintenance: maintenance?,
    })
}

/// The path of a key that was written at the top of the file, for the hint.
fn home_of(key: &str) -> Option<&'static str> {
    Some(match key {
        "listen" => "ssh.listen",
        "advertise" => "ssh.advertise",
        "host_keys" => "ssh.host_keys",
        "login_grace" => "ssh.login_grace",
        "wait" => "ssh.wait",
        "drain" => "ssh.drain",
        "max_startups" => "ssh.max_startups",
        "max_startups_per_source" => "ssh.max_startups_per_source",
        "max_sessions_per_person" => "ssh.max_sessions_per_person",
        "user_ca_keys" => "ssh.user_ca_keys",
        "login" => "admin.login",
        "authorized_keys" => "admin.authorized_keys",
        "authorized_keys_file" => "admin.authorized_keys_file",
        "image" => "create.image",
        "cpu" => "create.cpu",
        "memory" => "create.memory",
        "disk" => "create.disk",
        "max_failures" => "guard.max_failures",
        "window" => "guard.window",
        "ban" => "guard.ban",
        "allow" => "guard.allow",
        "format" => "log.format",
        "level" => "log.level",
        "openssh" => "log.openssh",
        "retention" => "audit.retention",
        "strict" => "audit.strict",
        _ => return None,
    })
}

/// Values of which each may be there once.
struct Unique<'a> {
    what: &'static str,
    sources: &'a Sources,
    seen: BTreeMap<String, At>,
}

impl<'a> Unique<'a> {
    fn new(what: &'static str, sources: &'a Sources) -> Self {
        Self { what, sources, seen: BTreeMap::new() }
    }

    fn check(&mut self, section: &Section<'_>, key: &str, value: &str) {
        let Some(first) = self.seen.get(value) else {
            self.seen.insert(value.to_owned(), section.place(key));
            return;
        };
        let fault = Fault::new(format!("there is another {} \"{value}\"", self.what));
        section.fault(key, fault.hint(format!("the first is in {}", self.sources.line_of(*first))));
    }
}
