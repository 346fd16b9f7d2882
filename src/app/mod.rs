//! Composition root: configuration to running sentinel and back. The only module that knows all
//! others; called by `main` alone.
//!
//! parse -> bind -> build -> run -> drain. What can fail at start fails before anything is served.

mod ledger;
mod maintenance;
mod meter;
mod outage;
mod sessions;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use self::outage::{Affected, Record};
use crate::{
    audit::{Event, Ledger, Reload},
    clock,
    command::context::{Environment, PublicKeys},
    config::{self, Config, changes, needs_restart},
    console::{
        Console, ConsoleError, OpenPort, Services,
        control::{Control, ControlError},
    },
    door::{
        Door, DoorError, Shared,
        hold::{Hold, Wanted},
        key_use::KeyUses,
        pace::Pace,
        registry::Registry,
    },
    fleet::{self, Fleet},
    gateway::{self, ClaimError, certificate::Keystore, page::PageError},
    guard::Guard,
    health::{Host, Monitor},
    model::{container::Container, text},
    process::Runtimes,
    reach::{Reach, SSH_PORT},
    recording::Recorder,
    recovery::{self, Recoveries, Surroundings},
    store::{
        backends::BackendFiles,
        keys::{KeyStoreError, Keys},
        outages::Outages,
    },
    telemetry::{Telemetry, TelemetryError},
    web::Web,
    webhook,
    wire::identity::{Identity, IdentityError},
};

/// sysexits: something in the configuration.
const CONFIG: u8 = 78;

/// How long connections and drivers may take to end after they were told to.
const ENDING: Duration = Duration::from_secs(10);

/// What people are told when the sentinel stops.
const FAREWELL: &str = "the sentinel is restarting; log in again in a moment";

/// Why the sentinel did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("{0}")]
    Telemetry(#[from] TelemetryError),
    #[error("{0}")]
    Keys(#[from] KeyStoreError),
    #[error("{0}")]
    Door(#[from] DoorError),
    #[error("{0}")]
    Console(#[from] ConsoleError),
    #[error("{0}")]
    Control(#[from] ControlError),
    #[error("{0}")]
    Identity(#[from] IdentityError),
    #[error("{0}")]
    Gateway(#[from] ClaimError),
    #[error("{0}")]
    Page(#[from] PageError),
    #[error("prepare HTTPS for the maintenance page: {0}")]
    Tls(String),
    #[error("the door closed by itself; the log says why")]
    Closed,
    #[error("{operation}: {source}")]
    Io { operation: &'static str, source: io::Error },
}

/// Runs the sentinel with the configuration at `path` until it is told to stop.
#[must_use]
pub fn serve(path: &Path) -> ExitCode {
    let config = match config::load(path) {
        Ok(config) => config,
        Err(problems) => return fail(CONFIG, &problems.to_string()),
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(e) => return fail(1, &format!("start the runtime: {e}")),
    };
    let outcome = runtime.block_on(run(path, config));
    runtime.shutdown_timeout(Duration::from_secs(1));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => fail(1, &e.to_string()),
    }
}

/// Reports what is wrong with the configuration at `path`: 0 nothing, 78 something.
#[must_use]
pub fn check_config(path: &Path) -> ExitCode {
    ExitCode::from(config::check(path, &mut io::stdout()))
}

fn fail(status: u8, text: &str) -> ExitCode {
    // Nobody is left to tell that standard error is closed.
    for line in text.lines() {
        let is_hint = line.trim_start().starts_with("hint:");
        let _ =
            writeln!(io::stderr(), "{}{}", if is_hint { "" } else { "error: " }, line.trim_start());
    }
    ExitCode::from(status)
}

/// The parts that a reload touches.
struct Running {
    path: PathBuf,
    telemetry: Telemetry,
    config: watch::Sender<Arc<Config>>,
    fleet: Fleet,
    monitor: Monitor,
    recoveries: watch::Receiver<Arc<Recoveries>>,
    ledger: Ledger,
    /// Held while the configuration is taken over: SIGHUP and `reload` may come together.
    reloading: Mutex<()>,
}

impl Running {
    /// Takes a new configuration if it is good, and names the keys that need a restart; keeps the
    /// old one, and says so, if it is not.
    fn reload(&self) -> Result<Vec<&'static str>, String> {
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let next = config::load(&self.path).map_err(|problems| {
            for problem in &problems.0 {
                error!("{problem}");
            }
            let reload = Reload { mistakes: problems.0.len(), ..Reload::default() };
            self.ledger.record(Event::Reload(reload));
            let first = problems.0.first().map(ToString::to_string).unwrap_or_default();
            first.lines().next().unwrap_or_default().to_owned()
        })?;
        let restart = needs_restart(&self.config.borrow(), &next);
        let changed = changes(&self.config.borrow(), &next);
        if !restart.is_empty() {
            warn!(keys = restart.join(", "), "changed, but taken over only at a restart");
        }
        if let Err(e) = self.telemetry.reload(&next.log) {
            warn!(error = %e, "log level not changed");
        }
        self.fleet.reconfigure(&next.backends);
        self.monitor.reconfigure(hosts(&next));
        self.config.send_replace(Arc::new(next));
        let needs_restart = restart.clone();
        self.ledger.record(Event::Reload(Reload { changed, needs_restart, mistakes: 0 }));
        Ok(restart)
    }
}

async fn run(path: &Path, config: Config) -> Result<(), StartError> {
    let telemetry = Telemetry::install(&config.log)?;
    let io = |operation| move |source| StartError::Io { operation, source };
    let signals = Signals::new().map_err(io("listen for signals"))?;
    std::fs::create_dir_all(&config.state_dir).map_err(io("make the state directory"))?;
    let keys = Keys::open(&config.ssh.host_keys)?;
    let door = Door::bind(&config.ssh.listen)?;
    let page = maintenance::Page::bind(config.maintenance.as_ref())?;
    let control = Control::bind(&config.control_socket).await?;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let identity = fleet::Identity { ssh: Arc::clone(&keys.link), tls: Arc::clone(&keys.client) };
    let state_dir = &config.state_dir;
    let fleet = Fleet::start(&config.backends, identity, state_dir, &tasks, stop.clone());
    let record = Record::load(state_dir.join("outages.json"));
    let recoveries = state_dir.join("recoveries.json");
    let monitor = Monitor::start(hosts(&config), fleet.tunnels(), &tasks, stop.clone());
    let (publish, config) = watch::channel(Arc::new(config));
    let kept = ledger::start(&config).map_err(io("start the threads that write"))?;
    let (ledger, recorder, writers) = kept;
    let web = Web::new();
    let webhooks =
        webhook::Sender::start(config.clone(), web, ledger.clone(), &tasks, stop.clone());
    let surroundings = surroundings(&config, &monitor, &fleet, &webhooks, recoveries);
    let recoveries = recovery::start(surroundings, &tasks, stop.clone());
    let remembered = remember(&config, &webhooks, &tasks, &stop);
    let (path, reloading) = (path.to_owned(), Mutex::default());
    let running = Running {
        path,
        telemetry,
        config: publish,
        fleet,
        monitor,
        recoveries,
        ledger: ledger.clone(),
        reloading,
    };
    let running = Arc::new(running);
    let gateway = open_gateway(&running, &config, &tasks, stop.clone())?;
    ledger::follow_gateway(gateway.clone(), ledger.clone(), &tasks, stop.clone());
    let outages = record.known();
    let certificates =
        page.open(&running, (&config, outages.clone()), webhooks.clone(), &tasks, &stop)?;
    let watched = Watched { gateway, certificates, outages };
    let shared = Arc::new(build(keys, &running, (config, recorder), remembered, watched)?);
    tasks.spawn(control.serve(Arc::clone(&shared.console), stop.clone()));
    let (monitor, fleet) = (running.monitor.clone(), running.fleet.clone());
    let (reach, registry) = (shared.reach.clone(), shared.registry.clone());
    let affected = Affected { monitor, fleet, reach, registry, webhooks };
    outage::start(affected, record, &tasks, stop.clone());
    for address in door.addresses() {
        info!(%address, "listening");
    }
    let closing = CancellationToken::new();
    let serving = tasks.spawn(door.run(Arc::clone(&shared), closing.clone()));
    let outcome = tokio::select! {
        () = signals.follow(&running) => Ok(()),
        // Whoever started the sentinel starts it again.
        () = closing.cancelled() => Err(StartError::Closed),
    };
    closing.cancel();
    drain(&shared, &running, serving).await;
    stop.cancel();
    tasks.close();
    if tokio::time::timeout(ENDING, tasks.wait()).await.is_err() {
        warn!("some tasks did not end in time");
    }
    ledger::close(ledger, writers).await;
    info!("stopped");
    outcome
}

/// When keys were used last, and who is banned: read now, and written down until `stop`.
fn remember(
    config: &watch::Receiver<Arc<Config>>,
    webhooks: &webhook::Sender,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> (KeyUses, Guard) {
    let in_state = |name| config.borrow().state_dir.join(name);
    let (key_use, bans) = (in_state("key-use.json"), in_state("bans.json"));
    let key_uses = KeyUses::load(&key_use);
    tasks.spawn(key_uses.clone().keep(key_use, stop.clone()));
    let guard = Guard::load(&bans, config.clone(), Some(webhooks.clone()));
    tasks.spawn(guard.clone().keep(bans, stop.clone()));
    let doors = config.borrow().ssh.listen.clone();
    tasks.spawn(guard.clone().keep_kernel(doors, stop.clone()));
    (key_uses, guard)
}

/// What recovery looks at.
fn surroundings(
    config: &watch::Receiver<Arc<Config>>,
    monitor: &Monitor,
    fleet: &Fleet,
    webhooks: &webhook::Sender,
    record: PathBuf,
) -> Surroundings {
    Surroundings {
        config: config.clone(),
        health: monitor.health(),
        fleet: fleet.clone(),
        web: Web::new(),
        webhooks: webhooks.clone(),
        record,
    }
}

/// The hosts whose health is followed.
fn hosts(config: &Config) -> Vec<Host> {
    config.backends.iter().map(|backend| Host::of(backend)).collect()
}

/// Leads public ports to the backends that are alive, from now on.
fn open_gateway(
    running: &Running,
    config: &watch::Receiver<Arc<Config>>,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> Result<watch::Receiver<Arc<gateway::State>>, ClaimError> {
    let (health, inventory) = (running.monitor.health(), running.fleet.inventory());
    gateway::start(gateway::Facts { config: config.clone(), health, inventory }, tasks, stop)
}

/// What people are told of, as it is now.
struct Watched {
    gateway: watch::Receiver<Arc<gateway::State>>,
    certificates: watch::Receiver<Arc<Keystore>>,
    outages: watch::Receiver<Arc<Outages>>,
}

fn build(
    keys: Keys,
    running: &Arc<Running>,
    (config, recorder): (watch::Receiver<Arc<Config>>, Recorder),
    (key_uses, guard): (KeyUses, Guard),
    watched: Watched,
) -> Result<Shared, StartError> {
    let fleet = &running.fleet;
    let Watched { gateway, certificates, outages } = watched;
    let link_key = Arc::new(Identity::from_private_key(&keys.link)?);
    let reach = Reach::new(fleet.clone(), config.clone(), link_key);
    let last = ledger::last_session(&config.borrow().audit.path);
    let (registry, reloaded) = (Registry::after(last), Arc::clone(running));
    let runtimes = Runtimes::default();
    runtimes.add(tokio::runtime::Handle::current());
    let public = PublicKeys {
        host: keys.host.iter().map(|k| k.public_key().clone()).collect(),
        ca: vec![keys.ca.public_key().clone()],
    };
    let (ending, used) = (registry.clone(), key_uses.clone());
    let hold = Hold::new(
        config.clone(),
        fleet.clone(),
        running.monitor.clone(),
        outages,
        running.recoveries.clone(),
    );
    let shells = reach.clone();
    let environment = Environment {
        health: running.monitor.health(),
        gateway,
        recoveries: running.recoveries.clone(),
        certificates,
        guard: guard.clone(),
        backend_files: Arc::new(BackendFiles::new(running.path.clone())),
        end_sessions: Arc::new(move |name, whose, said| ending.end(name, whose, said)),
        sessions: sessions::at_the_door(&registry),
        ledger: running.ledger.clone(),
        recorder: recorder.clone(),
        last_use: Arc::new(move |name, key| used.last(name, key)),
        keys: Arc::new(public),
        usage: meter::meter(registry.clone(), runtimes.clone()),
        reload: Arc::new(move || reloaded.reload()),
        incus_for_people: Arc::new(move |backend| shells.incus_for_people(backend)),
        ..Environment::new(fleet.clone(), config.clone(), clock::timestamp())
    };
    let console = Console::new(Services {
        environment: Arc::new(environment),
        open_port: open_port(reach.clone(), hold.clone()),
    })?;
    Ok(Shared {
        config,
        inventory: fleet.inventory(),
        keys,
        session_key: Arc::new(Identity::generate_ed25519()?),
        fleet: fleet.clone(),
        reach,
        hold,
        console: Arc::new(console),
        guard,
        registry,
        key_uses,
        ledger: running.ledger.clone(),
        recorder,
        pace: Pace::default(),
        runtimes,
        tasks: TaskTracker::new(),
    })
}

/// The way to containers' ports for jumps, which wait as logins do, but cannot be told so.
fn open_port(reach: Reach, hold: Hold) -> OpenPort {
    Arc::new(move |container, port| {
        let (reach, hold) = (reach.clone(), hold.clone());
        async move {
            let wanted = Wanted { container: &container, by: "a jump", login: port == SSH_PORT };
            let open = |container: Arc<Container>| {
                let reach = reach.clone();
                async move { reach.open_port(&container, port).await }.boxed()
            };
            let opened = hold.until(wanted, &mpsc::channel(1).0, Box::new(open)).await;
            opened.map_err(|e| text::printable(&e.to_string(), 200))
        }
        .boxed()
    })
}

/// The signals that mean something.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Reloads at each SIGHUP; returns at SIGTERM or SIGINT.
    async fn follow(mut self, running: &Running) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => {
                    // What is wrong is in the log.
                    let _ = running.reload();
                }
                _ = self.terminate.recv() => break info!("SIGTERM: no new connections"),
                _ = self.interrupt.recv() => break info!("SIGINT: no new connections"),
            }
        }
    }
}

/// Lets sessions run on for a while, then ends them with a sentence.
async fn drain(
    shared: &Shared,
    running: &Running,
    serving: tokio::task::JoinHandle<Result<(), DoorError>>,
) {
    let mut count = shared.registry.count();
    let limit = running.config.borrow().ssh.drain;
    let live = *count.borrow();
    if live > 0 {
        info!(sessions = live, ?limit, "waiting for sessions to end");
        let empty = count.wait_for(|n| *n == 0);
        let _ = tokio::time::timeout(limit, empty).await;
    }
    shared.registry.end_all(FAREWELL);
    match tokio::time::timeout(ENDING, serving).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(e))) => error!(error = %e, "door failed"),
        Ok(Err(e)) => error!(error = %e, "door failed"),
        Err(_) => warn!("some connections did not end in time"),
    }
}
