//! The other side of a person's connection: a container, a route's far side, the console, or, when
//! none of them can be had, an apology.

use std::{net::SocketAddr, sync::Arc};

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::{Shared, choice, hold::Wanted, intercept::OwnName};
use crate::{
    access::{Permit, Target},
    clock,
    command::context::Came,
    config::Route,
    console::{Leave, Visit},
    link::{
        connection::Connection,
        login::{IDENT, Login, LoginError, log_in},
        socket::Socket,
    },
    model::{container::Container, key::PublicKey, name::Account, text},
    reach::{Ahead, ReachError, Reached, log_in_to_route},
    store::keys::load_identity,
    wire::{
        certificate::{Parameters, issue},
        identity::Identity,
        userauth::Credential,
    },
};

/// How far the clocks of sentinel and container may differ, and how long a login may take, in
/// seconds.
const VALIDITY: u64 = 300;

/// Bytes in flight between the door and the console, each way.
const CONSOLE_BUFFER: usize = 64 * 1024;

/// The far side, ready for the pipe.
pub(super) struct Upstream {
    pub(super) connection: Connection,
    /// The container's own name, for forwards.
    pub(super) own: Option<OwnName>,
    /// How it was reached, for logs.
    pub(super) way: String,
    /// Whether that was begun before the person had proven her key.
    pub(super) ahead: bool,
    /// The console, where it is the far side.
    pub(super) console: Option<Inside>,
}

/// The console's task.
pub(super) struct Inside {
    /// By which it ends by itself, and gives terminals back first.
    pub(super) leave: Leave,
    _task: AbortOnDropHandle<()>,
}

/// For whom something is opened.
pub(super) struct Visitor<'a> {
    pub(super) permit: &'a Permit,
    /// Number of the connection.
    pub(super) id: u64,
    /// The client's identification line.
    pub(super) ident: &'a str,
    /// Where she comes from.
    pub(super) source: SocketAddr,
    /// At which address of ours she arrived.
    pub(super) reached: Option<SocketAddr>,
}

/// Opens the far side, with what was done `ahead` for it. A fault of the far side is told by an apology, which is a far side, too.
/// While a host is away this waits, and tells the person so through `lines`.
///
/// # Errors
/// Not even the console works.
pub(super) async fn open(
    shared: &Shared,
    visitor: &Visitor<'_>,
    ahead: Option<Ahead>,
    lines: &mpsc::Sender<String>,
) -> Result<Upstream, LoginError> {
    let principal = visitor.permit.principal().clone();
    let failed = match visitor.permit.target() {
        Target::Console => {
            let came = Came { from: visitor.source.ip(), to: visitor.reached };
            return console(shared, Visit::Console(principal, Some(came))).await;
        }
        Target::Tunnel(_) => {
            let sentence = "the key of a node carries its tunnel and nothing else".to_owned();
            return console(shared, Visit::Apology { sentence, status: 69 }).await;
        }
        Target::Choice(containers) => {
            let (containers, enter) = (containers.clone(), choice::enter(shared, visitor));
            return console(shared, Visit::Choice { principal, containers, enter }).await;
        }
        Target::Container { container, account } => {
            match hold(shared, visitor, (container, account), ahead, lines).await {
                Ok(upstream) => return Ok(upstream),
                Err(failed) => failed,
            }
        }
        Target::Route(route) => match to_route(shared, visitor, route).await {
            Ok(upstream) => return Ok(upstream),
            Err(failed) => failed,
        },
    };
    refuse(shared, visitor.id, &failed.to_string(), failed.status()).await
}

/// A console that says why there is nothing else.
///
/// # Errors
/// Not even the console works.
pub(super) async fn refuse(
    shared: &Shared,
    session: u64,
    reason: &str,
    status: u32,
) -> Result<Upstream, LoginError> {
    let sentence = text::printable(reason, 400);
    warn!(session, status, reason = %sentence, "far side is not there");
    console(shared, Visit::Apology { sentence, status }).await
}

/// Logs in to a container; waits for its host, and for its start.
async fn hold(
    shared: &Shared,
    visitor: &Visitor<'_>,
    (container, account): (&Arc<Container>, &Account),
    mut ahead: Option<Ahead>,
    lines: &mpsc::Sender<String>,
) -> Result<Upstream, ReachError> {
    let by = text::printable(&visitor.permit.principal().name, 64);
    let attempt = move |container: Arc<Container>| {
        let ahead = ahead.take();
        async move { to_container(shared, visitor, (&container, account), ahead).await }.boxed()
    };
    let wanted = Wanted { container, by: &by, login: true };
    shared.hold.until(wanted, lines, Box::new(attempt)).await
}

async fn to_container(
    shared: &Shared,
    visitor: &Visitor<'_>,
    (container, account): (&Arc<Container>, &Account),
    ahead: Option<Ahead>,
) -> Result<Upstream, ReachError> {
    let credential = certified(shared, visitor, account.as_str());
    let login = Login { ident: visitor.ident, pinned: &[], user: account.as_str(), credential };
    let reached = shared.reach.log_in(container, &login, ahead).await?;
    let Reached { connection, container, way, ahead } = reached;
    let first = container.addresses.first();
    let own = OwnName {
        names: vec![container.name.to_string(), container.name.instance()],
        address: first.map_or_else(|| "127.0.0.1".to_owned(), ToString::to_string),
    };
    Ok(Upstream { connection, own: Some(own), way: way.to_string(), ahead, console: None })
}

async fn to_route(
    shared: &Shared,
    visitor: &Visitor<'_>,
    route: &Arc<Route>,
) -> Result<Upstream, ReachError> {
    let credential = match route.identity.clone() {
        None => certified(shared, visitor, &route.user),
        Some(file) => {
            let loaded = tokio::task::spawn_blocking(move || load_identity(&file)).await;
            let unreadable = |detail: String| ReachError::RouteUnreachable {
                name: route.login.to_string(),
                detail: text::printable(&detail, 200),
            };
            let identity = loaded
                .map_err(|e| unreadable(e.to_string()))?
                .map_err(|e| unreadable(e.to_string()))?;
            Credential::Key { identity: Arc::new(identity), certificate: None }
        }
    };
    let connection = log_in_to_route(route, visitor.ident, credential).await?;
    Ok(Upstream { connection, own: None, way: "route".to_owned(), ahead: false, console: None })
}

/// A certificate of our CA for this one login.
fn certified(shared: &Shared, visitor: &Visitor<'_>, account: &str) -> Credential {
    let identity = Arc::clone(&shared.session_key);
    let certify = Certify::new(shared);
    // Without a certificate the far side refuses, and the person is told so.
    let certificate = certify.issue(visitor.permit, visitor.id, account, identity.public_key());
    Credential::Key { identity, certificate }
}

/// Makes certificates. The far side's own log names the person by their id.
pub(super) struct Certify {
    ca: Arc<Identity>,
}

impl Certify {
    pub(super) fn new(shared: &Shared) -> Self {
        Self { ca: Arc::clone(&shared.keys.ca) }
    }

    /// One for this permit and session, as this account, for a key of ours.
    pub(super) fn issue(
        &self,
        permit: &Permit,
        session: u64,
        account: &str,
        subject: &PublicKey,
    ) -> Option<Vec<u8>> {
        let principal = permit.principal();
        let fingerprint = principal.key.as_ref().map(PublicKey::fingerprint);
        let key_id = format!(
            "containarium session={session} key={} person={}",
            fingerprint.as_deref().unwrap_or("-"),
            text::printable(&principal.name, 64),
        );
        let now = clock::unix_seconds();
        let parameters = Parameters {
            serial: session,
            key_id: &key_id,
            principals: &[account],
            valid_after: now.saturating_sub(VALIDITY),
            valid_before: now + VALIDITY,
            restrictions: permit.restrictions(),
        };
        issue(&self.ca, subject, &parameters)
            .inspect_err(|e| warn!(session, error = %e, "certificate not issued"))
            .ok()
    }
}

/// The console behind an in-memory stream.
async fn console(shared: &Shared, visit: Visit) -> Result<Upstream, LoginError> {
    let (near, far) = tokio::io::duplex(CONSOLE_BUFFER);
    let console = Arc::clone(&shared.console);
    let leave = Leave::default();
    let wanted = leave.clone();
    let task = shared.tasks.spawn(async move {
        if let Err(e) = console.serve(far, visit, wanted).await {
            tracing::debug!(error = %e, "console connection ended");
        }
    });
    let inside = Inside { leave, _task: AbortOnDropHandle::new(task) };
    let login = Login {
        ident: IDENT,
        pinned: std::slice::from_ref(shared.console.host_key()),
        user: "console",
        credential: Credential::None,
    };
    let connection = log_in(Socket::Other(Box::new(near)), login).await?;
    Ok(Upstream {
        connection,
        own: None,
        way: "console".to_owned(),
        ahead: false,
        console: Some(inside),
    })
}
