//! A sentinel without network: one container that is never there, a console, a route for nobody.
//! Time is virtual: it passes when nothing else is left to do.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use containarium::{
    audit::Ledger,
    clock,
    command::context::Environment,
    config,
    console::{Console, Services},
    door::{Shared, hold::Hold, key_use::KeyUses, pace::Pace, registry::Registry},
    fleet::{Fleet, Identity},
    guard::Guard,
    health::Monitor,
    model::{
        container::{Container, Status},
        inventory::{Backend, Inventory, Presence},
    },
    process::Runtimes,
    reach::Reach,
    recording::Recorder,
    store::keys::{ClientCertificate, Keys},
};
use futures_util::FutureExt;
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::keys;

/// The administrator signs with the P-256 key, the owner of `alice` with [`keys::USER`]; the
/// first key is the CA of both.
pub struct World {
    /// Where everything runs.
    pub runtime: Runtime,
    /// What the door serves connections with.
    pub shared: Arc<Shared>,
    _config: watch::Sender<Arc<config::Config>>,
    _inventory: watch::Sender<Arc<Inventory>>,
}

impl World {
    /// A new one.
    pub fn new() -> Self {
        let runtime =
            Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let inside = runtime.enter();
        let (config, configured) = watch::channel(Arc::new(config()));
        let (inventory, listed) = watch::channel(Arc::new(inventory()));
        let link = Arc::new(keys::seeded(2));
        let tls = Arc::new(ClientCertificate::generate().unwrap());
        let identity = Identity { ssh: link.clone(), tls: tls.clone() };
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let fleet = Fleet::start(&[], identity, Path::new("/nonexistent"), &tasks, stop.clone());
        let monitor = Monitor::start(Vec::new(), fleet.tunnels(), &tasks, stop);
        let (outages, recoveries) =
            (watch::channel(Arc::default()).1, watch::channel(Arc::default()).1);
        let hold = Hold::new(configured.clone(), fleet.clone(), monitor, outages, recoveries);
        let environment = Environment {
            inventory: listed.clone(),
            ..Environment::new(fleet.clone(), configured.clone(), clock::timestamp())
        };
        let services = Services {
            environment: Arc::new(environment),
            open_port: Arc::new(|_, _| async { Err("nothing is there".to_owned()) }.boxed()),
        };
        let ca = keys::first().clone();
        let shared = Shared {
            config: configured.clone(),
            inventory: listed,
            keys: Keys { host: keys::HOST.clone(), ca, link, client: tls },
            session_key: keys::OTHER.clone(),
            reach: Reach::new(fleet.clone(), configured.clone(), keys::OTHER.clone()),
            hold,
            fleet,
            console: Arc::new(Console::new(services).unwrap()),
            guard: Guard::new(configured, None),
            registry: Registry::default(),
            key_uses: KeyUses::default(),
            ledger: Ledger::unkept(),
            recorder: Recorder::none(),
            pace: Pace::default(),
            runtimes: Runtimes::default(),
            tasks: TaskTracker::new(),
        };
        drop(inside);
        Self { runtime, shared: Arc::new(shared), _config: config, _inventory: inventory }
    }
}

fn config() -> config::Config {
    let admin = keys::EVERY[1].public_key().to_line();
    let (ca, other) = (keys::first().public_key().to_line(), keys::OTHER.public_key().to_line());
    let text = format!(
        "[ssh]\nwait = '0s'\nuser_ca_keys = ['{ca}']\n\
         [admin]\nlogin = 'ops'\nauthorized_keys = ['{admin} the admin']\nuser_ca_keys = ['{ca}']\n\
         [[route]]\nlogin = 'git'\nto = 'git@192.0.2.1:22'\nhost_key = '{ca}'\n\
         authorized_keys = ['expiry-time=\"20200101\" {other}']\n"
    );
    config::parse(&text, "sentinel.toml", Path::new("/nonexistent")).unwrap()
}

fn inventory() -> Inventory {
    let label = |key: &str, value: String| (format!("user.containarium.{key}"), value);
    let labels = BTreeMap::from([
        label("owner", "alice".to_owned()),
        label(
            "authorized-keys",
            format!("restrict,pty {} alice\n", keys::USER.public_key().to_line()),
        ),
        label("host-keys", keys::first().public_key().to_line()),
    ]);
    let place = || ("b1".parse().unwrap(), "default".parse().unwrap());
    let state = (Status::Running, vec![[192, 0, 2, 9].into()]);
    let container =
        Container::from_config("alice".parse().unwrap(), place(), state, &labels).unwrap();
    let (name, pool) = place();
    let backend = Backend {
        name,
        pool,
        presence: Presence::Unknown,
        refreshed: None,
        version: None,
        cpus: None,
        memory: None,
        disk: None,
        drained: false,
        unfinished: Vec::new(),
        containers: vec![Arc::new(container)],
    };
    Inventory::new(vec![Arc::new(backend)])
}
