//! A small fleet for the tests of this module and of `console`.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::sync::watch;

use super::{
    context::{Context, Environment, Usage},
    render::{Format, Outcome},
    terminal::Terminal,
};
use crate::config::{self, Config};
use crate::fleet::Fleet;
use crate::model::{
    authorized_keys::{AuthorizedKey, KeyOptions},
    container::{Collaborator, Container, Status},
    inventory::{Backend, Inventory, Presence},
    key::PublicKey,
    principal::{Principal, Role},
};
use crate::recovery::{Recoveries, Recovery, State};

/// The key of a person: the same for the same name.
pub(crate) fn key(name: &str) -> PublicKey {
    let mut seed = [0; 32];
    seed.iter_mut().zip(name.bytes()).for_each(|(s, b)| *s = b);
    let pair = ssh_key::private::Ed25519Keypair::from_seed(&seed);
    let key = russh::keys::PrivateKey::from(pair);
    let line = key.public_key().to_openssh().unwrap();
    let comment = if name == "dave" { "dave@desk".to_owned() } else { format!("{name}@laptop") };
    PublicKey::from_line(&format!("{line} {comment}")).unwrap()
}

pub(crate) fn authorized(name: &str) -> AuthorizedKey {
    AuthorizedKey { key: key(name), options: KeyOptions::default() }
}

pub(crate) fn admin() -> Principal {
    Principal {
        name: "ops".to_owned(),
        role: Role::Admin,
        key: Some(key("ops")),
        certificate: None,
    }
}

pub(crate) fn member(name: &str) -> Principal {
    let key = key(name);
    let name = key.comment().to_owned();
    Principal { name, role: Role::Member, key: Some(key), certificate: None }
}

pub(crate) fn container(name: &str, backend: &str, address: Option<&str>) -> Container {
    Container {
        name: name.parse().unwrap(),
        backend: backend.parse().unwrap(),
        pool: "default".parse().unwrap(),
        owner: name.parse().unwrap(),
        keys: vec![authorized(name)],
        collaborators: Vec::new(),
        host_keys: vec![key("host")],
        status: Status::Running,
        addresses: address.iter().map(|a| a.parse().unwrap()).collect(),
        hold: false,
        config: BTreeMap::new(),
        problems: Vec::new(),
    }
}

pub(crate) fn backend(name: &str, presence: Presence, containers: Vec<Container>) -> Arc<Backend> {
    let refreshed = match presence {
        Presence::Up { .. } => at(3540),
        Presence::Away { since, .. } => since,
        Presence::Unknown => at(0),
    };
    Arc::new(Backend {
        name: name.parse().unwrap(),
        pool: "default".parse().unwrap(),
        presence,
        refreshed: Some(refreshed),
        version: None,
        cpus: None,
        memory: None,
        disk: None,
        drained: false,
        unfinished: Vec::new(),
        containers: containers.into_iter().map(Arc::new).collect(),
    })
}

/// Two backends, one of them away; carol has alice's address, and a second alice is hidden.
pub(crate) fn fleet() -> Inventory {
    let mut alice = container("alice", "spot-1", Some("10.0.3.100"));
    alice.addresses.push("fd00::100".parse().unwrap());
    alice.collaborators.push(Collaborator {
        login: "dave".parse().unwrap(),
        keys: vec![authorized("dave")],
        sudo: true,
        container_runtime: false,
    });
    for (key, value) in [("limits.cpu", "2"), ("limits.memory", "4GiB"), ("root.size", "50GiB")] {
        alice.config.insert(key.to_owned(), value.to_owned());
    }
    let mut bob = container("bob", "spot-1", None);
    (bob.status, bob.hold, bob.host_keys) = (Status::Stopped, true, Vec::new());
    bob.problems.push("label host-keys: not an OpenSSH public key line".to_owned());
    let mut one =
        Backend::clone(&backend("spot-1", Presence::Up { since: at(0) }, vec![alice, bob]));
    (one.version, one.cpus, one.memory) =
        (Some("6.0".to_owned()), Some(8), Some((4 << 30, 8 << 30)));
    (one.disk, one.drained) = (Some((10 << 30, 50 << 30)), true);
    one.unfinished = vec!["erin-container".to_owned()];
    let away = Presence::Away { since: at(3000), reason: "connection refused".to_owned() };
    let others = vec![
        container("carol", "spot-2", Some("10.0.3.100")),
        container("alice", "spot-2", Some("10.0.3.7")),
    ];
    Inventory::new(vec![Arc::new(one), backend("spot-2", away, others)])
}

/// The host of spot-2 is being started.
fn recoveries() -> Recoveries {
    let recovery = Recovery {
        kind: "gce",
        state: State::Starting(at(3540)),
        alarm: None,
        actions: 2,
        error: Some("the API says 503".to_owned()),
    };
    Recoveries::from([("spot-2".parse().unwrap(), recovery)])
}

/// The least configuration.
pub(crate) fn config() -> watch::Receiver<Arc<Config>> {
    let text = format!("admin.authorized_keys = ['{}']", key("admin").to_line());
    let config = config::parse(&text, "sentinel.toml", Path::new("/etc/containarium")).unwrap();
    watch::channel(Arc::new(config)).1
}

/// The time `seconds` after the sentinel's start.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

pub(crate) fn context(principal: Principal) -> Context {
    let fleet = Fleet::fixed(watch::channel(Arc::new(fleet())).1);
    let environment = Environment {
        usage: Arc::new(|| Usage {
            sessions: 7,
            connections: 9,
            tasks: 80,
            descriptors: 31,
            resident_bytes: 14 << 20,
            panics: 0,
        }),
        version: "0.0.0-test",
        recoveries: watch::channel(Arc::new(recoveries())).1,
        ..Environment::new(fleet, config(), at(0))
    };
    let (format, now) = (Format::Plain, at(3600));
    Context {
        principal,
        format,
        now,
        reached: None,
        from: None,
        environment: Arc::new(environment),
    }
}

/// Runs an exec line that waits for nothing.
pub(crate) fn execute_line(line: &[u8], context: &Context) -> Outcome {
    let mut terminal = Terminal::unattended();
    super::execute_line(line, context, &mut terminal).now_or_never().expect("it does not wait")
}

/// Runs words that wait for nothing.
pub(crate) fn execute(words: &[String], context: &Context) -> Outcome {
    let mut terminal = Terminal::unattended();
    super::execute(words, context, &mut terminal).now_or_never().expect("it does not wait")
}

/// What `image list` says of two backends that have images, the first more of them, and one that is away.
pub(crate) fn images(backends: [&str; 2], away: &str) -> super::report::Report {
    super::image::example(backends, away).unwrap()
}
