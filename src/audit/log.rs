//! The log lines of events: what the ledger has in full is in the log in short, without what people
//! run.

use tracing::{debug, info};

use super::{
    Chosen, Command, Ended, Event, Gap, Notice, Refusal, Reload, Visit,
    event::{MAX_NAME, MAX_TEXT},
};
use crate::model::text::printable;

pub(super) fn log(event: &Event) {
    match event {
        Event::Login(visit) => login(visit, "login"),
        Event::Chosen(Chosen { visit }) => login(visit, "chose a container"),
        Event::Refused(refusal) => refused(refusal),
        Event::Ended(ended) => session(ended),
        Event::Command(command) => self::command(command),
        Event::Reload(Reload { changed, needs_restart: _, mistakes: 0 }) => {
            let changed = printable(&changed.join(", "), MAX_TEXT);
            info!(%changed, "configuration reloaded");
        }
        Event::Reload(Reload { mistakes, .. }) => {
            tracing::error!(problems = mistakes, "configuration not reloaded; the old one stays");
        }
        // Whoever tells this has logged it.
        Event::Notice(Notice { name, .. }) => debug!(event = name, "recorded"),
        Event::Gateway(pool, primary) => debug!(%pool, primary, "recorded"),
        Event::Started(version) => debug!(version, "recorded: started"),
        Event::Stopped => debug!("recorded: stopped"),
        Event::More(kind, count, since) => {
            info!(kind = kind.as_str(), count, %since, "more than are recorded one by one");
        }
        Event::Gap(Gap { since, lost, reason }) => {
            let reason = printable(reason, MAX_TEXT);
            tracing::warn!(%since, lost, %reason, "the ledger is written again after a gap");
        }
        Event::SetAside(file, reason) => {
            let (file, reason) = (printable(file, MAX_TEXT), printable(reason, MAX_TEXT));
            tracing::error!(%file, %reason, "the ledger was damaged and is set aside");
        }
        Event::Pruned(anchor) => info!(records = anchor.records, "ledger pruned"),
    }
}

fn login(visit: &Visit, message: &str) {
    let Visit { session, source, actor, login, target, .. } = visit;
    info!(
        session,
        %source,
        login,
        person = actor.person,
        key = actor.key,
        certificate = actor.certificate,
        target,
        "{message}"
    );
}

fn refused(refusal: &Refusal) {
    let Refusal { session, source, key, attempts, client, reason, counts, .. } = refusal;
    let ident = client.as_ref().map(|client| printable(client, MAX_NAME));
    let (login, reason) = (refusal.login(), printable(reason, MAX_TEXT));
    info!(
        session,
        %source,
        ident,
        login,
        key,
        attempts,
        counts,
        %reason,
        "connection ended before login"
    );
}

fn session(ended: &Ended) {
    let Ended { visit, bytes: (up, down), opened, last, by, reason, .. } = ended;
    let (session, reason) = (visit.session, format!("{by}: {}", printable(reason, MAX_TEXT)));
    info!(session, up, down, channels = opened, last, reason, "session ended");
}

fn command(run: &Command) {
    let Command { actor, command, status, failure, container: _ } = run;
    info!(
        person = actor.person,
        key = actor.key,
        certificate = actor.certificate,
        command = printable(command, MAX_TEXT),
        status,
        failure = failure.as_ref().map(|text| printable(text, MAX_TEXT)),
        "command"
    );
}
