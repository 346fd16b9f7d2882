//! The way into a container for somebody who chose it at the console: she is judged anew, by the
//! container's name, and goes in as if she had logged in there.

use std::{net::SocketAddr, sync::Arc};

use futures_util::FutureExt;
use ssh_key::Certificate;
use tokio::sync::{mpsc, watch};

use super::{
    Shared,
    hold::{Hold, Wanted},
    observe::Observed,
    recorded::{Recorded, visit},
    registry::Registry,
    session::{TRY_LATER, session_of, too_many, unrecorded},
    upstream::{Certify, Visitor},
};
use crate::{
    access::{Credential, Intent, Permit, Policy, Proof, Target, authorize},
    audit::{Chosen, EndedBy, Event, Ledger, Visit},
    clock,
    config::Config,
    console::{
        Enter, Turned,
        inside::{Inside, Login},
    },
    model::{
        container::Container, inventory::Inventory, key::PublicKey, name::ContainerName,
        text::printable,
    },
    reach::{Reach, ReachError, SSH_PORT},
    wire::identity::generate_ed25519,
};

/// sysexits: unavailable, and not permitted.
const UNAVAILABLE: u32 = 69;
const NOT_PERMITTED: u32 = 77;

/// The way in for the person of this permit.
pub(super) fn enter(shared: &Shared, visitor: &Visitor<'_>) -> Enter {
    let choice = Arc::new(Choice {
        config: shared.config.clone(),
        inventory: shared.inventory.clone(),
        reach: shared.reach.clone(),
        hold: shared.hold.clone(),
        registry: shared.registry.clone(),
        ledger: shared.ledger.clone(),
        certify: Certify::new(shared),
        session: visitor.id,
        key: visitor.permit.principal().key.clone(),
        source: visitor.source,
    });
    Enter::new(move |name, lines| {
        let choice = Arc::clone(&choice);
        async move { choice.enter(name, lines).await }.boxed()
    })
}

/// What is known of her, and what judges her.
struct Choice {
    config: watch::Receiver<Arc<Config>>,
    inventory: watch::Receiver<Arc<Inventory>>,
    reach: Reach,
    hold: Hold,
    registry: Registry,
    ledger: Ledger,
    certify: Certify,
    /// Number of the session in which she chooses.
    session: u64,
    key: Option<PublicKey>,
    source: SocketAddr,
}

impl Choice {
    async fn enter(
        &self,
        name: ContainerName,
        lines: mpsc::Sender<String>,
    ) -> Result<Inside, Turned> {
        let gone = || Turned {
            sentence: format!("{name} is not open to your key any more"),
            status: NOT_PERMITTED,
        };
        let permit = self.judge(&name).ok_or_else(gone)?;
        let Target::Container { container, account } = permit.target() else { return Err(gone()) };
        let failed = |sentence: &str, status| Turned {
            sentence: format!("{name}: {}", printable(sentence, 300)),
            status,
        };
        let id = self.registry.number();
        let limit = self.config.borrow().ssh.max_sessions_per_person;
        let entry = self.registry.enter(session_of(&permit, id, self.source), limit);
        let entry = entry.ok_or_else(|| failed(&too_many(limit), TRY_LATER))?;
        let turned =
            |e: ReachError| Turned { sentence: printable(&e.to_string(), 400), status: e.status() };
        if container.host_keys.is_empty() {
            return Err(turned(ReachError::NoHostKey(name.clone())));
        }
        let by = printable(&permit.principal().name, 64);
        let wanted = Wanted { container, by: &by, login: true };
        let reach = &self.reach;
        let open = move |container: Arc<Container>| {
            async move { reach.open_port(&container, SSH_PORT).await }.boxed()
        };
        let stream = tokio::select! {
            sentence = entry.ended() => return Err(failed(&sentence, UNAVAILABLE)),
            opened = self.hold.until(wanted, &lines, Box::new(open)) => opened.map_err(turned)?,
        };
        let key = generate_ed25519("").map_err(|e| failed(&e.to_string(), UNAVAILABLE))?;
        let subject =
            key.public_key().to_bytes().map_err(|e| failed(&e.to_string(), UNAVAILABLE))?;
        let subject =
            PublicKey::from_blob(&subject).map_err(|e| failed(&e.to_string(), UNAVAILABLE))?;
        let certificate = self.certify.issue(&permit, id, account.as_str(), &subject);
        let certificate = certificate.and_then(|blob| Certificate::from_bytes(&blob).ok());
        let certificate =
            certificate.ok_or_else(|| failed("no certificate could be made", UNAVAILABLE))?;
        let login = Login {
            pinned: &container.host_keys,
            account: account.as_str(),
            key: Arc::new(key),
            certificate,
        };
        let mut recorded = self.record(&permit, (&name, id)).await?;
        entry.open();
        let ended = async move { entry.ended().await }.boxed();
        match Inside::log_in(stream, login, ended).await {
            Ok(inside) => {
                recorded.reached("console");
                Ok(inside.telling(move |by, reason| recorded.end(by, reason, Observed::default())))
            }
            Err(e) => {
                recorded.end(EndedBy::Sentinel, e.to_string(), Observed::default());
                Err(failed(&e.to_string(), UNAVAILABLE))
            }
        }
    }

    /// Records that she goes in, and in the end how that ended. What she carries is seen, and counted,
    /// in the session in which she chose.
    async fn record(
        &self,
        permit: &Permit,
        (name, id): (&ContainerName, u64),
    ) -> Result<Recorded, Turned> {
        let visit = visit(permit, name.as_str(), (id, self.source), None);
        let visit = Visit { chosen_in: Some(self.session), ..visit };
        let recorded = Recorded::new(self.ledger.clone(), visit.clone());
        let (event, strict) = (Event::Chosen(Chosen { visit }), self.config.borrow().audit.strict);
        if !strict {
            self.ledger.record(event);
            return Ok(recorded);
        }
        match self.ledger.insist(event).await {
            Ok(()) => Ok(recorded),
            Err(e) => {
                let sentence = unrecorded(&e);
                recorded.end(EndedBy::Sentinel, sentence.clone(), Observed::default());
                Err(Turned { sentence, status: TRY_LATER })
            }
        }
    }

    /// Whether she may go there now: the configuration, the labels or the time may have changed.
    fn judge(&self, name: &ContainerName) -> Option<Permit> {
        let key = self.key.as_ref()?;
        let config = Arc::clone(&self.config.borrow());
        let inventory = Arc::clone(&self.inventory.borrow());
        let policy = Policy {
            admin: &config.admin,
            routes: &config.routes,
            backends: &config.backends,
            user_ca_keys: &config.ssh.user_ca_keys,
            inventory: &inventory,
        };
        let proof = Proof {
            credential: Credential::Key(key),
            source: self.source.ip().to_canonical(),
            now_unix: clock::unix_seconds(),
            file_keys: &[],
        };
        let intent = Intent::Container { name: name.clone(), account: None };
        let judged = authorize(&policy, &proof, &intent);
        judged.inspect_err(|denied| tracing::debug!(reason = %denied.reason, "refused")).ok()
    }
}
