//! From the first byte to a [`Permit`]: handshake, keys, decisions.
//!
//! Identity is the key that signed. What was only offered is judged and forgotten.

use std::{net::IpAddr, sync::Arc};

use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::debug;

use super::{Shared, offer::Offer, session::passed_on};
use crate::{
    access::{Intent, Permit, Policy, Proof, Target, authorize},
    clock,
    config::Config,
    guard::Knock,
    link::connection::{Connection, ConnectionError},
    model::{
        authorized_keys::AuthorizedKey, container::Container, inventory::Inventory, name::Account,
        text,
    },
    reach::Ahead,
    wire::{
        error::Error as WireError,
        signature,
        userauth::{Request, ServerAuth},
    },
};

/// Wrong signatures that one connection may send: OpenSSH's `MaxAuthTries`.
const MAX_BAD_SIGNATURES: u32 = 6;

/// Who got in, and how the login was typed.
pub(super) struct Authenticated {
    /// What she may do.
    pub(super) permit: Permit,
    /// The login name, printable.
    pub(super) login: String,
    /// A start on the way to her container.
    pub(super) ahead: Option<Ahead>,
}

/// What was refused on a connection, for the record.
#[derive(Debug, Default)]
pub(super) struct Tried {
    /// The login name of the last request: untrusted bytes.
    pub(super) login: Option<Vec<u8>>,
    /// Fingerprint of the last key that was refused.
    pub(super) key: Option<String>,
    /// How many keys and signatures were refused.
    pub(super) attempts: u32,
}

impl Tried {
    fn asked(&mut self, user: Option<&[u8]>) {
        self.login = user.map(<[u8]>::to_vec).or(self.login.take());
    }

    fn note(&mut self, user: &[u8], offer: Option<&Offer>) {
        self.login = Some(user.to_vec());
        self.key = offer.map(|offer| offer.credential().key().fingerprint());
        self.attempts += 1;
    }
}

/// Authenticates the person on `connection`, who comes from `source`; what was refused is noted in
/// `tried`, for the record, and told to `knock`, for the guard. The caller bounds the time.
///
/// # Errors
/// The connection is over, because she left or broke a rule.
pub(super) async fn authenticate(
    shared: &Shared,
    connection: &mut Connection,
    source: IpAddr,
    (tried, knock): (&mut Tried, &mut Knock),
) -> Result<Authenticated, ConnectionError> {
    let mut auth = ServerAuth::default();
    let mut judge = Judge { shared, source, known: None, refused: None };
    let (mut wrong, mut guess) = (WrongSignatures::default(), Guess::default());
    loop {
        guess.next_packet(connection).await?;
        let began = Instant::from_std(clock::now());
        match auth.on_packet(&mut connection.transport)? {
            Request::Answered => {
                tried.asked(auth.user());
                on_answered(connection, &auth, knock)?;
            }
            Request::Query(attempt) => {
                let offer = Offer::parse(&attempt);
                if let Some(permit) = judge.permit(&attempt.user, offer.as_ref()).await {
                    ServerAuth::accept_query(&mut connection.transport, &attempt)?;
                    knock.offered();
                    guess.make(shared, &permit, connection.transport.peer_ident());
                } else {
                    tried.note(&attempt.user, offer.as_ref());
                    knock.refused();
                    judge.refuse(connection, &attempt.user, offer.as_ref(), began).await?;
                }
            }
            Request::Signed { attempt, message, signature } => {
                let offer = Offer::parse(&attempt);
                tried.note(&attempt.user, offer.as_ref());
                if let Some(permit) = judge.permit(&attempt.user, offer.as_ref()).await {
                    if is_proven(&permit, offer.as_ref(), &message, &signature) {
                        let login = text::printable_bytes(&attempt.user, 40);
                        return Ok(Authenticated { permit, login, ahead: guess.ahead });
                    }
                    knock.refused();
                    wrong.count()?;
                }
                knock.refused();
                judge.refuse(connection, &attempt.user, offer.as_ref(), began).await?;
            }
        }
    }
}

/// The service was granted, or a method refused. Somebody from a banned address is told so first, as
/// some clients leave at the first refusal.
fn on_answered(
    connection: &mut Connection,
    auth: &ServerAuth,
    knock: &mut Knock,
) -> Result<(), ConnectionError> {
    let refused = auth.refused();
    if refused.none {
        knock.asked();
    }
    if refused.other {
        knock.refused();
    }
    if let Some(notice) = knock.notice() {
        ServerAuth::banner(&mut connection.transport, &notice)?;
    }
    Ok(())
}

/// Signatures that were wrong under a key that is right. Others do not count: some clients sign with
/// every key they have.
#[derive(Debug, Default)]
struct WrongSignatures(u32);

impl WrongSignatures {
    fn count(&mut self) -> Result<(), WireError> {
        self.0 += 1;
        if self.0 > MAX_BAD_SIGNATURES {
            return Err(WireError::Protocol("too many authentication failures"));
        }
        Ok(())
    }
}

/// A start on the way to where an offered key would lead; one for each connection.
#[derive(Default)]
struct Guess {
    made: bool,
    ahead: Option<Ahead>,
}

impl Guess {
    fn make(&mut self, shared: &Shared, permit: &Permit, ident: Option<&str>) {
        if let (Target::Container { container, .. }, Some(ident)) = (permit.target(), ident)
            && !std::mem::replace(&mut self.made, true)
        {
            self.ahead = shared.reach.ahead(container, &passed_on(ident), &shared.tasks);
        }
    }

    /// Waits for a packet, and gives up a guess that grows too old over it.
    async fn next_packet(&mut self, connection: &mut Connection) -> Result<(), ConnectionError> {
        if let Some(until) = self.ahead.as_ref().map(Ahead::until) {
            match timeout_at(until.into(), connection.next_packet()).await {
                Ok(arrived) => return arrived,
                Err(_) => self.ahead = None,
            }
        }
        connection.next_packet().await
    }
}

/// Whether the key that was offered signed, by the rules of the line that permits it.
fn is_proven(permit: &Permit, offer: Option<&Offer>, message: &[u8], signature: &[u8]) -> bool {
    offer.is_some_and(|offer| {
        let key = offer.credential().key();
        signature::verify(key, &offer.algorithm, message, signature, permit.sk_policy()).is_ok()
    })
}

/// Judges the attempts of one connection.
struct Judge<'a> {
    shared: &'a Shared,
    source: IpAddr,
    /// Keys read from a container for a login name: read once for each name in a row.
    known: Option<(Vec<u8>, Vec<AuthorizedKey>)>,
    /// The name that was refused last, and whether a plain key was refused under it: only for one
    /// is a container asked.
    refused: Option<(Vec<u8>, bool)>,
}

impl Judge<'_> {
    /// What this key would get, or gets, under this name.
    async fn permit(&mut self, user: &[u8], offer: Option<&Offer>) -> Option<Permit> {
        let offer = offer?;
        let config = Arc::clone(&self.shared.config.borrow());
        let inventory = Arc::clone(&self.shared.inventory.borrow());
        let intent = Intent::parse(user, &config.admin.login, &config.routes);
        if let Some(permit) = self.decide(&config, &inventory, offer, &intent, &[]) {
            return Some(permit);
        }
        if !offer.is_plain_key() {
            return None;
        }
        let (container, account) = file_of(&inventory, &intent)?;
        let keys = self.file_keys(user, &container, &account).await;
        self.decide(&config, &inventory, offer, &intent, &keys)
    }

    fn decide(
        &self,
        config: &Config,
        inventory: &Inventory,
        offer: &Offer,
        intent: &Intent,
        file_keys: &[AuthorizedKey],
    ) -> Option<Permit> {
        let policy = Policy {
            admin: &config.admin,
            routes: &config.routes,
            backends: &config.backends,
            user_ca_keys: &config.ssh.user_ca_keys,
            inventory,
        };
        let proof = Proof {
            credential: offer.credential(),
            source: self.source,
            now_unix: clock::unix_seconds(),
            file_keys,
        };
        authorize(&policy, &proof, intent)
            .inspect_err(|denied| debug!(reason = %denied.reason, source = %self.source, "refused"))
            .ok()
    }

    async fn file_keys(
        &mut self,
        user: &[u8],
        container: &Container,
        account: &Account,
    ) -> Vec<AuthorizedKey> {
        if let Some((known, keys)) = &self.known
            && known == user
        {
            return keys.clone();
        }
        let began = clock::now();
        let keys = self.shared.fleet.authorized_keys(container, account).await;
        let now = clock::now();
        self.shared.pace.note(now.saturating_duration_since(began), now);
        self.known = Some((user.to_vec(), keys.clone()));
        keys
    }

    /// Says no. Unknown names, wrong keys and impossible names sound and last the same, in whatever
    /// order they come: what may have been looked up for one name takes its time for every name.
    async fn refuse(
        &mut self,
        connection: &mut Connection,
        user: &[u8],
        offer: Option<&Offer>,
        began: Instant,
    ) -> Result<(), ConnectionError> {
        let plain = offer.is_some_and(Offer::is_plain_key);
        let earlier = self.refused.take().filter(|(name, _)| name == user);
        let is_first = earlier.as_ref().is_none_or(|(_, with_plain)| plain && !with_plain);
        self.refused = Some((user.to_vec(), plain || earlier.is_some_and(|(_, plain)| plain)));
        if is_first {
            sleep_until(began + self.shared.pace.refusal(clock::now())).await;
        }
        Ok(ServerAuth::fail(&mut connection.transport)?)
    }
}

/// Whose file may open the container that `intent` names.
fn file_of(inventory: &Inventory, intent: &Intent) -> Option<(Arc<Container>, Account)> {
    match intent {
        Intent::Container { name, account } => {
            let container = inventory.container(name)?;
            let account = account.as_ref().unwrap_or(&container.owner);
            // For others no key counts: a stranger's guesses must not keep the backend busy.
            let known = container.owner == *account
                || container.collaborators.iter().any(|c| c.login == *account);
            known.then(|| (Arc::clone(container), account.clone()))
        }
        Intent::Admin | Intent::Route(_) | Intent::Other => None,
    }
}

/// Where a permit leads, in words for logs.
pub(super) fn describe(target: &Target) -> String {
    match target {
        Target::Container { container, account } => {
            format!("{account}@{} on {}", container.name, container.backend)
        }
        Target::Console => "console".to_owned(),
        Target::Choice(_) => "choice".to_owned(),
        Target::Route(route) => format!("route {}", route.login),
        Target::Tunnel(backend) => format!("tunnel of {}", backend.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        container::{Collaborator, Status},
        inventory::{Backend, Presence},
    };

    fn inventory() -> Inventory {
        let bob = Collaborator {
            login: "bob".parse().unwrap(),
            keys: Vec::new(),
            sudo: false,
            container_runtime: false,
        };
        let container = Container {
            name: "box".parse().unwrap(),
            backend: "b1".parse().unwrap(),
            pool: "default".parse().unwrap(),
            owner: "alice".parse().unwrap(),
            keys: Vec::new(),
            collaborators: vec![bob],
            host_keys: Vec::new(),
            status: Status::Running,
            addresses: Vec::new(),
            hold: false,
            config: std::collections::BTreeMap::new(),
            problems: Vec::new(),
        };
        let backend = Backend {
            name: "b1".parse().unwrap(),
            pool: "default".parse().unwrap(),
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

    #[test]
    fn six_wrong_signatures_are_enough() {
        let mut wrong = WrongSignatures::default();
        let counted: Vec<_> = (0..8).map(|_| wrong.count().is_ok()).collect();
        assert_eq!(counted, [true, true, true, true, true, true, false, false]);
    }

    #[test]
    fn a_container_is_asked_only_for_accounts_that_a_key_could_open() {
        let admin = "admin".parse().unwrap();
        let asked = |login: &str| {
            let intent = Intent::parse(login.as_bytes(), &admin, &[]);
            file_of(&inventory(), &intent).map(|(_, account)| account.to_string())
        };
        assert_eq!(asked("box").as_deref(), Some("alice"));
        assert_eq!(asked("box+alice").as_deref(), Some("alice"));
        assert_eq!(asked("box+bob").as_deref(), Some("bob"));
        for login in ["box+root", "box+carol", "bax", "admin", "Box"] {
            assert_eq!(asked(login), None, "{login}");
        }
    }
}
