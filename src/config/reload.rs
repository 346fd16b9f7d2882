//! What a reload changes, and what it cannot change.

use std::fmt::Display;

use super::Config;

/// Keys that differ between the `running` configuration and the `next` one and take effect only at
/// a restart: sockets that are bound, directories that are open.
#[must_use]
pub fn needs_restart(running: &Config, next: &Config) -> Vec<&'static str> {
    let listens = |config: &Config| {
        config.maintenance.as_ref().map_or((None, None), |page| (page.http, page.https))
    };
    let moves = running.audit.path != next.audit.path;
    let records = running.record.path != next.record.path;
    let (page, next_page) = (listens(running), listens(next));
    let differs = [
        ("state_dir", running.state_dir != next.state_dir),
        ("control_socket", running.control_socket != next.control_socket),
        ("ssh.listen", running.ssh.listen != next.ssh.listen),
        // By default it is in that directory.
        ("audit.path", moves && running.state_dir == next.state_dir),
        ("record.path", records && running.state_dir == next.state_dir),
        ("ssh.host_keys", running.ssh.host_keys != next.ssh.host_keys),
        ("maintenance.http", page.0 != next_page.0),
        ("maintenance.https", page.1 != next_page.1),
        ("log.format", running.log.format != next.log.format),
    ];
    differs.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
}

/// Keys that differ between the `running` configuration and the `next` one, never their values: single
/// keys of sections, whole entries of lists, by their names.
#[must_use]
pub fn changes(running: &Config, next: &Config) -> Vec<String> {
    let (ssh, new_ssh) = (&running.ssh, &next.ssh);
    let (admin, new_admin) = (&running.admin, &next.admin);
    let (create, new_create) = (&running.create, &next.create);
    let (audit, new_audit) = (&running.audit, &next.audit);
    let startups = (ssh.max_startups, ssh.max_startups_per_source);
    let new_startups = (new_ssh.max_startups, new_ssh.max_startups_per_source);
    let per_person = ssh.max_sessions_per_person;
    let new_per_person = new_ssh.max_sessions_per_person;
    let differs = [
        ("state_dir", running.state_dir != next.state_dir),
        ("control_socket", running.control_socket != next.control_socket),
        ("stacks", running.stacks != next.stacks),
        ("ssh.listen", ssh.listen != new_ssh.listen),
        ("ssh.advertise", ssh.advertise != new_ssh.advertise),
        ("ssh.host_keys", ssh.host_keys != new_ssh.host_keys),
        ("ssh.login_grace", ssh.login_grace != new_ssh.login_grace),
        ("ssh.wait", ssh.wait != new_ssh.wait),
        ("ssh.drain", ssh.drain != new_ssh.drain),
        ("ssh.user_ca_keys", ssh.user_ca_keys != new_ssh.user_ca_keys),
        ("ssh.max_startups", startups != new_startups),
        ("ssh.max_sessions_per_person", per_person != new_per_person),
        ("admin.login", admin.login != new_admin.login),
        ("admin.authorized_keys", admin.keys != new_admin.keys),
        ("admin.user_ca_keys", admin.user_ca_keys != new_admin.user_ca_keys),
        ("guard", running.guard != next.guard),
        ("log.format", running.log.format != next.log.format),
        ("log.level", running.log.level != next.log.level),
        ("log.openssh", running.log.openssh != next.log.openssh),
        ("audit.path", audit.path != new_audit.path),
        ("audit.retention", audit.retention != new_audit.retention),
        ("audit.strict", audit.strict != new_audit.strict),
        ("audit.commands", audit.commands != new_audit.commands),
        ("audit.files", audit.files != new_audit.files),
        ("record", running.record != next.record),
        ("create", create != new_create),
        ("gateway", running.gateway != next.gateway),
        ("maintenance", running.maintenance != next.maintenance),
        // Their URLs may be secrets, and they have no other names.
        ("webhook", running.webhooks != next.webhooks),
    ];
    let keys = differs.into_iter().filter_map(|(key, differs)| differs.then_some(key.to_owned()));
    let backends = entries("backend", (&running.backends, &next.backends), |b| b.name.clone());
    let routes = entries("route", (&running.routes, &next.routes), |r| r.login.clone());
    keys.chain(backends).chain(routes).collect()
}

/// The entries of a list that came, went or changed.
fn entries<T: PartialEq, N: PartialEq + Display>(
    key: &str,
    (running, next): (&[T], &[T]),
    name: impl Fn(&T) -> N,
) -> Vec<String> {
    let of = |list: &[T], wanted: &N| list.iter().any(|entry| name(entry) == *wanted);
    let gone = running.iter().map(&name).filter(|name| !of(next, name));
    let gone = gone.map(|name| format!("{key} {name} removed"));
    let rest = next.iter().filter(|entry| !running.contains(entry)).map(|entry| {
        let (name, verb) = (name(entry), ["added", "changed"]);
        let verb = verb[usize::from(of(running, &name))];
        format!("{key} {name} {verb}")
    });
    gone.chain(rest).collect()
}
