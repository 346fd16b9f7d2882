//! The life of one connection: authenticate, open the far side, pipe, tell how it ended.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tracing::{debug, error, info};

use super::{
    Shared,
    accept::Admitted,
    attend::{self, attend},
    authenticate::{Authenticated, Tried, authenticate, describe},
    intercept::Intercept,
    observe::Observed,
    pipe::{End, Ended, Pipe},
    recorded::{Recorded, tell_as_openssh, visit},
    registry::{Call, Entry, Session},
    tapped::{is_recorded, tap},
    tunnel,
    upstream::{self, Inside, Upstream, Visitor},
};
use crate::{
    access::{Permit, Target},
    audit::{EndedBy, Event, Refusal, Visit},
    clock,
    guard::Knock,
    link::{
        connection::{Connection, ConnectionError},
        login::LoginError,
        socket::Socket,
    },
    model::text,
    reach::Ahead,
    recording::Tap,
    wire::{
        error::Error as WireError,
        message::Reason,
        negotiate::Offer,
        transport::{Params, RekeyLimits, Role},
    },
};

/// What clients take us for. They choose their compatibility by it: `yes | head -1` ends only
/// towards an sshd that they know to understand `eow@openssh.com`.
pub(super) const IDENT: &str = "SSH-2.0-OpenSSH_9.9 Containarium";

/// Lines for a person that may wait to be shown.
const LINES: usize = 8;

/// What [`Shared::config`]'s login grace is at most for somebody who is banned: what is needed to prove
/// a key by hand. Others of that source wait for the place.
const PROBATION: Duration = Duration::from_secs(15);

/// How long the last bytes may take to get out when a connection ends.
const LAST_BYTES: Duration = Duration::from_secs(5);

/// How long the console may take to give terminals back before a session is ended.
const GIVING_BACK: Duration = Duration::from_secs(3);

/// sysexits: try again later.
pub(super) const TRY_LATER: u32 = 75;

/// Serves one connection, which came from `peer`, to its end.
pub async fn serve(shared: &Shared, socket: Socket, peer: SocketAddr, admitted: Admitted) {
    let id = shared.registry.number();
    // Boxed, here and below: a session that idles keeps no room for how it began and will end.
    let Some(live) = Box::pin(open(shared, socket, (id, peer), admitted)).await else { return };
    let Live { mut pipe, entry, recorded, console } = live;
    let ended = loop {
        tokio::select! {
            biased;
            call = entry.called() => match call {
                Call::End(sentence) => {
                    if let Some(console) = &console {
                        console.leave.end(&sentence);
                        let _ = timeout(GIVING_BACK, pipe.run()).await;
                    }
                    break Err(sentence);
                }
                Call::Watchers(new) => pipe.tap.join(new),
            },
            ended = pipe.run() => break Ok(ended),
        }
    };
    Box::pin(finish(*pipe, ended, recorded)).await;
}

/// A session, ready to run.
struct Live {
    pipe: Box<Pipe>,
    entry: Entry,
    recorded: Recorded,
    console: Option<Inside>,
}

/// From the first byte to two sides that can be piped. `None`: it came to an end before.
async fn open(
    shared: &Shared,
    socket: Socket,
    (id, peer): (u64, SocketAddr),
    admitted: Admitted,
) -> Option<Live> {
    let params = Params {
        ident: IDENT.to_owned(),
        offer: Offer::front(shared.host_key_algorithms()),
        rekey: RekeyLimits::default(),
        role: Role::Server(shared.keys.host.clone()),
    };
    let mut connection = Connection::new(socket, params).ok()?;
    if admitted.greeted.is_some() {
        connection.transport.greeted();
    }
    let (connection, authenticated) = enter(shared, connection, (id, peer), admitted).await?;
    if let Target::Tunnel(backend) = authenticated.permit.target() {
        let Authenticated { permit, login, .. } = &authenticated;
        let client = connection.transport.peer_ident();
        // Never waited for: without its host's tunnel nobody gets in there, and each who comes
        // through it has a record of her own.
        let visit = visit(permit, login, (id, peer), client);
        let recorded = Recorded::new(shared.ledger.clone(), visit.clone());
        shared.ledger.record(Event::Login(visit));
        tunnel::serve(shared, connection, backend, (id, peer)).await;
        let reason = "the tunnel ended; the log says why".to_owned();
        recorded.end(EndedBy::Client, reason, Observed::default());
        return None;
    }
    let limit = shared.config.borrow().ssh.max_sessions_per_person;
    let session = session_of(&authenticated.permit, id, peer);
    let Some(entry) = shared.registry.enter(session, limit) else {
        turn_away(shared, connection, &authenticated, (id, peer, limit)).await;
        return None;
    };
    connect(shared, connection, authenticated, entry, (id, peer)).await
}

/// What the registry tells of a session.
pub(super) fn session_of(permit: &Permit, id: u64, source: SocketAddr) -> Session {
    let (containers, account) = match permit.target() {
        Target::Container { container, account } => {
            (vec![container.name.clone()], Some(account.clone()))
        }
        Target::Choice(names) => (names.clone(), None),
        Target::Console | Target::Route(_) | Target::Tunnel(_) => (Vec::new(), None),
    };
    Session {
        id,
        since: clock::timestamp(),
        person: text::printable(&permit.principal().name, 64),
        source,
        target: describe(permit.target()),
        containers,
        account,
        key: permit.principal().key.clone(),
        certificate: permit.principal().certificate.clone(),
    }
}

/// What somebody is told who has as many sessions as she may.
pub(super) fn too_many(limit: usize) -> String {
    let sessions = if limit == 1 { "a session".to_owned() } else { format!("{limit} sessions") };
    format!("you have {sessions} here already, and no more are allowed at once; end one of them")
}

/// Turns away somebody who has as many sessions as she may: an apology would be one more.
async fn turn_away(
    shared: &Shared,
    connection: Connection,
    Authenticated { permit, login, .. }: &Authenticated,
    (id, peer, limit): (u64, SocketAddr, usize),
) {
    let client = connection.transport.peer_ident();
    let (recorded, _) = record(shared, visit(permit, login, (id, peer), client)).await;
    let sentence = too_many(limit);
    recorded.end(EndedBy::Sentinel, sentence.clone(), Observed::default());
    connection.close(Reason::TooManyConnections, &sentence).await;
}

/// Authenticates the person within the grace time.
async fn enter(
    shared: &Shared,
    mut connection: Connection,
    (id, peer): (u64, SocketAddr),
    admitted: Admitted,
) -> Option<(Connection, Authenticated)> {
    let Admitted { mut starting, mut knock, greeted } = admitted;
    let came = greeted.unwrap_or_else(|| Instant::from_std(clock::now()));
    let until = came + grace(shared, &knock);
    let source = peer.ip().to_canonical();
    let mut tried = Tried::default();
    let outcome = tokio::select! {
        biased;
        sentence = starting.ended() => {
            knock.excuse();
            connection.close(Reason::ByApplication, &sentence).await;
            return None;
        }
        outcome = timeout_at(
            until,
            authenticate(shared, &mut connection, source, (&mut tried, &mut knock)),
        ) => outcome,
    };
    let reason = match &outcome {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("login grace time is over".to_owned()),
    };
    if let Some(reason) = reason {
        let client = connection.transport.peer_ident().map(str::to_owned);
        let Tried { login, key, attempts } = tried;
        let (source, counts) = (peer, knock.counts());
        let refusal = Refusal { session: id, source, login, key, attempts, client, reason, counts };
        let event = Event::Refused(refusal);
        tell_as_openssh(shared, &event);
        shared.ledger.record(event);
    }
    match outcome {
        Ok(Ok(authenticated)) => {
            knock.succeeded();
            return Some((connection, authenticated));
        }
        Ok(Err(error)) => {
            // Before the goodbye, for which a client may let us wait.
            drop(knock);
            complain(connection, &error).await;
        }
        Err(_) => {
            drop(knock);
            connection.close(Reason::ByApplication, "login takes too long").await;
        }
    }
    None
}

/// How long a connection may take from its acceptance to its login.
pub(super) fn grace(shared: &Shared, knock: &Knock) -> Duration {
    let grace = shared.config.borrow().ssh.login_grace;
    if knock.is_banned() { grace.min(PROBATION) } else { grace }
}

/// Tells a client that broke the protocol what it did, and closes.
async fn complain(connection: Connection, error: &ConnectionError) {
    if let ConnectionError::Wire(error) = error
        && let Some(reason) = error.reason()
    {
        connection.close(reason, &error.to_string()).await;
    }
}

/// Opens the far side, and lets the person in.
async fn connect(
    shared: &Shared,
    mut connection: Connection,
    authenticated: Authenticated,
    entry: Entry,
    (id, peer): (u64, SocketAddr),
) -> Option<Live> {
    let Authenticated { permit, login, ahead } = authenticated;
    connection.transport.set_authenticated();
    let client = connection.transport.peer_ident();
    let (mut recorded, unwritten) =
        record(shared, visit(&permit, &login, (id, peer), client)).await;
    let unwritten = match unwritten {
        None => unrecordable(shared, &permit).await,
        unwritten => unwritten,
    };
    let ident = passed_on(connection.transport.peer_ident().unwrap_or(IDENT));
    let reached = connection.socket.local_addr();
    let visitor = Visitor { permit: &permit, id, ident: &ident, source: peer, reached };
    let (lines, mut told) = mpsc::channel(LINES);
    let opened = tokio::select! {
        biased;
        sentence = entry.ended() => {
            recorded.end(EndedBy::Sentinel, sentence.to_string(), Observed::default());
            connection.close(Reason::ByApplication, &sentence).await;
            return None;
        }
        error = attend(&mut connection, &mut told) => {
            let reason = format!("person left before the far side was there: {error}");
            recorded.end(EndedBy::Client, reason, Observed::default());
            complain(connection, &error).await;
            return None;
        }
        opened = far_side(shared, &visitor, unwritten, ahead, &lines) => opened,
    };
    match opened {
        Ok(upstream) => {
            info!(session = id, way = upstream.way, ahead = upstream.ahead, "connected");
            recorded.reached(&upstream.way);
            if let (Target::Container { container, .. }, Some(key)) =
                (permit.target(), &permit.principal().key)
            {
                shared.key_uses.note(&container.name, key, clock::timestamp());
            }
            let seen = (observed(shared, &permit), tap(shared, &permit, (id, peer)));
            join(shared, connection, (upstream, seen), entry, recorded).await
        }
        Err(error) => {
            error!(session = id, error = %error, "console is not there");
            recorded.end(EndedBy::Sentinel, "internal error".to_owned(), Observed::default());
            connection.close(Reason::ByApplication, "internal error").await;
            None
        }
    }
}

/// What is looked at of what passes.
fn observed(shared: &Shared, permit: &Permit) -> Observed {
    let config = shared.config.borrow();
    let is_console = matches!(permit.target(), Target::Console);
    let observed = Observed::new(!config.audit.commands || is_console);
    if config.audit.files && !is_console { observed.with_files() } else { observed }
}

/// Records a login. Where every session has to be in the ledger, why this one cannot be.
async fn record(shared: &Shared, visit: Visit) -> (Recorded, Option<String>) {
    let recorded = Recorded::new(shared.ledger.clone(), visit.clone());
    let (event, strict) = (Event::Login(visit), shared.config.borrow().audit.strict);
    tell_as_openssh(shared, &event);
    if strict {
        return (recorded, shared.ledger.insist(event).await.err());
    }
    shared.ledger.record(event);
    (recorded, None)
}

/// Where every session has to be recorded, why the terminals of this one cannot be that have to.
async fn unrecordable(shared: &Shared, permit: &Permit) -> Option<String> {
    let strict = shared.config.borrow().audit.strict;
    if !strict || !is_recorded(shared, permit) {
        return None;
    }
    shared.recorder.ready().await.err()
}

/// The far side, or an apology where the session must not be.
async fn far_side(
    shared: &Shared,
    visitor: &Visitor<'_>,
    unwritten: Option<String>,
    ahead: Option<Ahead>,
    lines: &mpsc::Sender<String>,
) -> Result<Upstream, LoginError> {
    match unwritten {
        None => upstream::open(shared, visitor, ahead, lines).await,
        Some(reason) => upstream::refuse(shared, visitor.id, &unrecorded(&reason), TRY_LATER).await,
    }
}

/// What is said where a session cannot be recorded and has to be.
pub(super) fn unrecorded(reason: &str) -> String {
    format!("sessions are recorded here, and that cannot be done now ({reason}); try again later")
}

/// A client's identification as the far side sees it: 1.99 is for servers (RFC 4253, section 5.1).
pub(super) fn passed_on(ident: &str) -> String {
    let rest = ident.strip_prefix("SSH-1.99-");
    rest.map_or_else(|| ident.to_owned(), |rest| format!("SSH-2.0-{rest}"))
}

/// Lets the person in and connects the two sides.
async fn join(
    shared: &Shared,
    mut connection: Connection,
    (upstream, (observed, tap)): (Upstream, (Observed, Tap)),
    entry: Entry,
    recorded: Recorded,
) -> Option<Live> {
    if let Err(error) = attend::succeed(&mut connection).await {
        recorded.end(EndedBy::Client, error.to_string(), observed);
        return None;
    }
    let session_id = *connection.transport.session_id()?;
    let mut intercept = Intercept::new(shared.keys.host.clone(), session_id, upstream.own)
        .with_host_key_algorithm(connection.transport.host_key_algorithm());
    if tap.is_there() && shared.config.borrow().record.tell_watched {
        intercept = intercept.with_reserve();
    }
    // Only OpenSSH is known to understand the announcement; it costs others a refusal.
    let is_openssh = |i: &str| i.starts_with("SSH-2.0-OpenSSH_");
    if connection.transport.peer_ident().is_some_and(is_openssh) {
        connection.transport.send(&[&intercept.announcement()]).ok()?;
    }
    let pipe = Pipe { client: connection, upstream: upstream.connection, intercept, observed, tap };
    entry.open();
    Some(Live { pipe: Box::new(pipe), entry, recorded, console: upstream.console })
}

/// Passes the end of one side on to the other, and tells it.
async fn finish(pipe: Pipe, ended: Result<Ended, Arc<str>>, recorded: Recorded) {
    let Pipe { client, upstream, observed, tap, .. } = pipe;
    // Those who watch need not wait for goodbyes.
    drop(tap);
    let (by, why) = match &ended {
        Err(sentence) => (EndedBy::Sentinel, sentence.to_string()),
        Ok(Ended { by: End::Client, how }) => (EndedBy::Client, how.to_string()),
        Ok(Ended { by: End::Upstream, how }) => (EndedBy::Container, how.to_string()),
    };
    recorded.end(by, why, observed);
    match ended {
        Err(sentence) => {
            upstream.close(Reason::ByApplication, "ended by the sentinel").await;
            client.close(Reason::ByApplication, &sentence).await;
        }
        Ok(Ended { by: End::Client, how }) => {
            complain(client, &how).await;
            close_slowly(upstream, Reason::ByApplication, "client left").await;
        }
        Ok(Ended { by: End::Upstream, how }) => {
            let (reason, sentence) = farewell(&how);
            close_slowly(client, reason, &sentence).await;
        }
    }
}

/// What the person is told when the far side ended the connection.
fn farewell(how: &ConnectionError) -> (Reason, String) {
    match how {
        ConnectionError::Wire(WireError::Disconnected { text, .. }) => {
            (Reason::ByApplication, text.clone())
        }
        ConnectionError::Wire(error) => {
            // The codes of protocol errors are about the connection on which they are sent.
            (Reason::ConnectionLost, format!("the container's sshd broke the protocol: {error}"))
        }
        ConnectionError::Io(_) | ConnectionError::Closed => {
            (Reason::ConnectionLost, "connection to the container was lost".to_owned())
        }
    }
}

/// Lets what is in the output go out before the goodbye.
async fn close_slowly(mut connection: Connection, reason: Reason, text: &str) {
    if !matches!(timeout(LAST_BYTES, connection.drain()).await, Ok(Ok(()))) {
        debug!("peer does not take its last bytes");
        return;
    }
    connection.close(reason, text).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_far_side_sees_the_clients_identification_with_version_2() {
        for (said, seen) in [
            ("SSH-2.0-PuTTY_Release_0.83", "SSH-2.0-PuTTY_Release_0.83"),
            ("SSH-1.99-old client", "SSH-2.0-old client"),
            (IDENT, IDENT),
        ] {
            assert_eq!(passed_on(said), seen);
        }
    }

    #[test]
    fn the_end_of_the_far_side_is_told_with_its_own_words() {
        let said = WireError::Disconnected { reason: 2, text: "too many".to_owned() };
        assert_eq!(farewell(&said.into()), (Reason::ByApplication, "too many".to_owned()));
        let (reason, sentence) = farewell(&WireError::Malformed.into());
        assert_eq!(reason, Reason::ConnectionLost);
        assert!(sentence.ends_with("broke the protocol: malformed message"), "{sentence}");
        assert_eq!(farewell(&ConnectionError::Closed).0, Reason::ConnectionLost);
    }
}
