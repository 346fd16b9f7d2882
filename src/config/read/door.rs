//! `[ssh]`, `[admin]` and `[log]`.

use std::{
    net::{Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use super::super::{
    Admin, Log, LogFormat, Ssh,
    address::advertise,
    keys::{authorized_key, authorized_keys_file, public_key},
    path::path,
    problem::Fault,
    section::Section,
    source::Told,
    value::{boolean, choice, count, duration, log_filter, name, socket_address},
};
use crate::model::name::Account;

/// Most unauthenticated connections that may be allowed: each may hold 64 KiB of
/// input, and as much of answers that its peer does not take.
const MAX_STARTUPS: usize = 10_000;
/// A quarter of those from everywhere. A script that creates 20 containers at once comes from one
/// address, and so does an office in the morning.
const STARTUPS_PER_SOURCE: usize = 32;

/// More than any person or her scripts have, and few enough that one who opens connections without end
/// leaves memory for others: idle ones take 10 MB, and what a stopped reader holds is bounded.
const SESSIONS_PER_PERSON: usize = 1000;

/// Most that may be set: as many descriptors, twice, as a service has by default on large machines.
const MAX_SESSIONS_PER_PERSON: usize = 100_000;

/// Seconds.
const HOUR: u64 = 3600;

pub(super) fn ssh(mut section: Section<'_>, base: &Path) -> Result<Ssh, Told> {
    let listen = section.list("listen", socket_address);
    let advertise = section.maybe("advertise", advertise);
    let host_keys = section.or("host_keys", base.join("keys"), path(base));
    let login_grace = section.or("login_grace", Duration::from_secs(30), duration(1, 600));
    let wait = section.or("wait", Duration::from_secs(120), duration(0, HOUR));
    let drain = section.or("drain", Duration::from_secs(30), duration(0, 24 * HOUR));
    let user_ca_keys = section.list("user_ca_keys", public_key);
    let startups = count(1..=MAX_STARTUPS);
    let max_startups_per_source =
        section.or("max_startups_per_source", STARTUPS_PER_SOURCE, &startups);
    let max_startups = section.or("max_startups", 128, &startups);
    let sessions = count(1..=MAX_SESSIONS_PER_PERSON);
    let max_sessions_per_person =
        section.or("max_sessions_per_person", SESSIONS_PER_PERSON, sessions);
    let listen = listen.and_then(|given| checked_listen(&section, given));
    section.finish(|key| (key == "authorized_keys").then_some("admin.authorized_keys"));
    Ok(Ssh {
        listen: listen?,
        advertise: advertise?,
        host_keys: host_keys?,
        login_grace: login_grace?,
        wait: wait?,
        drain: drain?,
        user_ca_keys: user_ca_keys?.unwrap_or_default(),
        max_startups_per_source: max_startups_per_source?,
        max_startups: max_startups?,
        max_sessions_per_person: max_sessions_per_person?,
    })
}

fn checked_listen(
    section: &Section<'_>,
    listen: Option<Vec<SocketAddr>>,
) -> Result<Vec<SocketAddr>, Told> {
    let Some(listen) = listen else {
        return Ok(vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, 22))]);
    };
    if listen.is_empty() {
        let hint = "leave it out, or write `listen = [\"[::]:22\"]`";
        return Err(section.fault("listen", Fault::new("nothing to listen on").hint(hint)));
    }
    // Port 0 takes any free port, so two of them are two.
    let earlier = |i: usize, a: &SocketAddr| a.port() != 0 && listen[..i].contains(a);
    match listen.iter().enumerate().find(|(i, a)| earlier(*i, a)) {
        None => Ok(listen),
        Some((_, twice)) => {
            let fault = Fault::new(format!("\"{twice}\" is there twice"));
            Err(section.fault("listen", fault.hint("remove one of them")))
        }
    }
}

pub(super) fn admin(mut section: Section<'_>, base: &Path) -> Result<Admin, Told> {
    let login = section.or_written("login", "admin", name::<Account>);
    let inline = section.list("authorized_keys", authorized_key).map(Option::unwrap_or_default);
    let file = section.maybe("authorized_keys_file", path(base));
    let from_file = file.and_then(|file| match file {
        None => Ok(Vec::new()),
        Some(file) => authorized_keys_file(&file).map_err(|faults| {
            for fault in faults {
                section.fault("authorized_keys_file", fault);
            }
            Told
        }),
    });
    let user_ca_keys = section.list("user_ca_keys", public_key).map(Option::unwrap_or_default);
    // Only when all three were read is it known that there is none.
    if let (Ok([]), Ok([]), Ok([])) =
        (inline.as_deref(), from_file.as_deref(), user_ca_keys.as_deref())
    {
        let fault = Fault::new("nobody could administer: there is no key");
        let hint = "for instance `authorized_keys = [\"ssh-ed25519 AAAA… ops@example.org\"]` in \
                    [admin], or authorized_keys_file, or user_ca_keys";
        section.missing("authorized_keys", fault.hint(hint));
    }
    section.finish(|_| None);
    let keys = [inline?, from_file?].concat();
    Ok(Admin { login: login?, keys, user_ca_keys: user_ca_keys? })
}

pub(super) fn log(mut section: Section<'_>) -> Result<Log, Told> {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = section.or("format", LogFormat::Text, choice(&formats));
    let level = section.or("level", "info".to_owned(), log_filter);
    let openssh = section.or("openssh", false, boolean);
    section.finish(|_| None);
    Ok(Log { format: format?, level: level?, openssh: openssh? })
}
