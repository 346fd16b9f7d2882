//! `backend info NAME`: what was last seen of a backend, and what its Incus says now.

use std::time::Duration;

use serde::Serialize;
use tokio::{time::timeout, try_join};

use super::{
    find,
    view::{BackendView, CheckView},
};
use crate::{
    command::{
        context::Context,
        explain,
        failure::Failure,
        report::{Field, Part, Report},
        view::{age, share},
    },
    config::{Backend as Config, BackendAddress, SshAddress},
    incus::{Client, IncusError, host},
    model::{inventory::Presence, name::BackendName, text::printable},
};

/// For what its Incus says now: somebody looks at a prompt.
const DEADLINE: Duration = Duration::from_secs(3);

/// Longest piece of what Incus calls things, in characters.
const MAX_TEXT: usize = 100;

#[derive(Serialize)]
struct Info {
    #[serde(flatten)]
    view: BackendView,
    address: Option<String>,
    ways: Vec<&'static str>,
    unfinished: Vec<String>,
    /// Of its storage; null while it does not answer, as the rest.
    pools: Option<Vec<PoolView>>,
    images: Option<usize>,
    certificate: Option<String>,
    system: Option<String>,
}

#[derive(Serialize)]
struct PoolView {
    name: String,
    driver: String,
    used: Option<u64>,
    total: Option<u64>,
}

/// What Incus says now.
struct Live {
    pools: Vec<PoolView>,
    images: usize,
    certificate: String,
    system: String,
}

pub(super) async fn run(name: &BackendName, context: &Context) -> Result<Report, Failure> {
    let backend = find(name, context)?;
    let config = context.fleet.config(name);
    let client = match backend.presence {
        Presence::Up { .. } => context.fleet.incus(name),
        Presence::Unknown | Presence::Away { .. } => None,
    };
    let live = match client {
        Some(client) => Some(
            timeout(DEADLINE, ask(&client))
                .await
                .unwrap_or_else(|_| Err(IncusError::Timeout(format!("ask {name}")))),
        ),
        None => None,
    };
    let mut info = Info {
        view: BackendView::new(&backend, context),
        address: config.as_deref().map(address),
        ways: config.as_deref().map(ways).unwrap_or_default(),
        unfinished: backend.unfinished.clone(),
        pools: None,
        images: None,
        certificate: None,
        system: None,
    };
    let silent = match live {
        Some(Ok(live)) => {
            info.pools = Some(live.pools);
            info.images = Some(live.images);
            info.certificate = Some(live.certificate).filter(|text| !text.is_empty());
            info.system = Some(live.system);
            None
        }
        Some(Err(error)) => Some(explain::incus(&format!("ask {name}"), name, &error).message),
        None => Some(format!("{name} does not answer")),
    };
    let fields = fields(&info, context);
    let report = Report::of(&info)?.names(vec![info.view.name.clone()]).part(Part::Fields(fields));
    Ok(match silent {
        Some(why) => report.note(format!("{why}; this is what was seen last")),
        None => report,
    })
}

async fn ask(client: &Client) -> Result<Live, IncusError> {
    let (server, pools, images) = try_join!(client.server(), client.pools(), client.images())?;
    let shown = |text: &str| printable(text, MAX_TEXT);
    let pool = |pool: host::Pool| PoolView {
        name: shown(&pool.name),
        driver: shown(&pool.driver),
        used: pool.space.map(|space| space.used),
        total: pool.space.map(|space| space.total),
    };
    let about = server.environment;
    let system = format!("{} {}, Linux {}", about.os_name, about.os_version, about.kernel_version);
    Ok(Live {
        pools: pools.into_iter().map(pool).collect(),
        images: images.len(),
        certificate: shown(&about.certificate_fingerprint),
        system: shown(&system),
    })
}

fn fields(info: &Info, context: &Context) -> Vec<Field> {
    let Info { view, .. } = info;
    let maybe = |label, value: Option<String>| Field::many(label, value.into_iter().collect());
    let pools = info.pools.iter().flatten().map(|pool| {
        let share = share(pool.used.zip(pool.total));
        format!("{} ({}) {share}", pool.name, pool.driver).trim_end().to_owned()
    });
    vec![
        Field::one("Name", view.name.clone()),
        Field::one("Pool", view.pool.clone()),
        Field::many(
            "Host",
            view.health.iter().flat_map(|h| &h.checks).map(CheckView::text).collect(),
        ),
        maybe("Tunnel", view.tunnel.as_ref().map(|t| t.text(context.now))),
        maybe("Recovery", view.recovery.as_ref().map(|r| r.text(context.now))),
        maybe("Address", info.address.clone()),
        maybe("Ways", Some(info.ways.join(", ")).filter(|ways| !ways.is_empty())),
        Field::one("Presence", view.presence_text(context.now)),
        maybe("Reason", view.reason.clone()),
        maybe("Refreshed", view.refreshed.map(|at| format!("{} ago", age(context.now, at)))),
        maybe("Incus", view.version.clone()),
        maybe("System", info.system.clone()),
        maybe("CPUs", view.cpus.map(|cpus| cpus.to_string())),
        maybe("Memory", view.memory_used.zip(view.memory_total).map(|m| share(Some(m)))),
        Field::many("Storage", pools.collect()),
        Field::one("Containers", view.containers.to_string()),
        Field::many("Half made", info.unfinished.clone()),
        maybe("Images", info.images.map(|images| images.to_string())),
        maybe("Certificate", info.certificate.clone()),
    ]
}

/// How a configuration writes where it is.
pub(super) fn address(config: &Config) -> String {
    match &config.address {
        BackendAddress::Local => format!("local, {}", config.incus_socket.display()),
        BackendAddress::Ssh { address: SshAddress::Network(address), user, .. } => {
            format!("{user}@{address} by SSH")
        }
        BackendAddress::Ssh { address: SshAddress::Tunnel(_), user, .. } => {
            format!("{user} by SSH through its tunnel")
        }
        BackendAddress::Https { address, .. } => format!("https://{address}"),
    }
}

/// The ways to its containers, in the order in which they are tried.
fn ways(config: &Config) -> Vec<&'static str> {
    let direct = config.routed.then_some("direct");
    match config.address {
        BackendAddress::Local => vec!["direct", "exec"],
        BackendAddress::Ssh { .. } => direct.into_iter().chain(["link", "exec"]).collect(),
        BackendAddress::Https { .. } => direct.into_iter().chain(["exec"]).collect(),
    }
}
