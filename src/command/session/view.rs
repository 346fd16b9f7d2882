//! Sessions as people and scripts see them. Pure.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::{LiveSession, play};
use crate::{
    command::view::{age, span},
    recording::folder::Stored,
    store::ledger::Record,
};

pub(super) const COLUMNS: &[&str] = &["ID", "STATE", "SINCE", "WHO", "FROM", "TO"];
pub(super) const PAST_COLUMNS: &[&str] =
    &["ID", "BEGAN", "LASTED", "WHO", "FROM", "TO", "ENDED BY", "WHY", "RECORDED"];

/// A session, open or not.
#[derive(Serialize)]
pub(super) struct SessionView {
    pub(super) id: i64,
    /// `open`, `waiting` or `ended`.
    state: &'static str,
    since: Timestamp,
    until: Option<Timestamp>,
    person: String,
    key: Option<String>,
    certificate: Option<String>,
    source: String,
    target: String,
    container: Option<String>,
    account: Option<String>,
    ended_by: Option<String>,
    reason: Option<String>,
    /// What `session play` takes; of one that is open not told.
    pub(super) recordings: Vec<String>,
}

impl SessionView {
    pub(super) fn live(session: &LiveSession) -> Self {
        let container = match session.containers.as_slice() {
            [one] => Some(one.to_string()),
            [] | [..] => None,
        };
        Self {
            id: i64::try_from(session.id).unwrap_or(i64::MAX),
            state: if session.open { "open" } else { "waiting" },
            since: session.since,
            until: None,
            person: session.person.clone(),
            key: session.key.as_ref().map(crate::model::key::PublicKey::fingerprint),
            certificate: session.certificate.clone(),
            source: session.source.ip().to_canonical().to_string(),
            target: session.target.clone(),
            container,
            account: session.account.as_ref().map(ToString::to_string),
            ended_by: None,
            reason: None,
            recordings: Vec::new(),
        }
    }

    /// A session by the record of its end, and its recordings; `None`: it is none.
    pub(super) fn past(record: &Record, stored: &[Stored]) -> Option<Self> {
        let detail: Value = serde_json::from_str(&record.line.detail).unwrap_or_default();
        let text = |key: &str| detail[key].as_str().map(str::to_owned);
        let lasted = detail["seconds"].as_f64().filter(|s| (0.0..1e10).contains(s)).unwrap_or(0.0);
        let lasted = SignedDuration::try_from_secs_f64(lasted).unwrap_or_default();
        let until = record.at();
        let line = record.line.clone();
        let session = line.session.and_then(|id| u64::try_from(id).ok());
        // What was chosen at a console is recorded from the choice on, in the session that had it.
        let sessions = [session, detail["chosen_in"].as_u64()];
        let of_it = stored.iter().filter(|s| sessions.contains(&Some(s.name.session)));
        Some(Self {
            id: line.session?,
            state: "ended",
            since: until.checked_sub(lasted).unwrap_or(until),
            until: Some(until),
            person: line.person.unwrap_or_default(),
            key: line.key,
            certificate: text("certificate"),
            source: line.source.unwrap_or_default(),
            target: text("target").unwrap_or_default(),
            container: line.container,
            account: text("account"),
            ended_by: text("ended_by"),
            reason: text("reason"),
            recordings: of_it.map(|stored| play::id(&stored.name)).collect(),
        })
    }

    /// Her name, and whether a certificate gave it to her.
    fn who(&self) -> String {
        let person = &self.person;
        match self.certificate.as_deref() {
            None => person.clone(),
            Some(id) if id.is_empty() || id == person => format!("{person} (certificate)"),
            Some(id) => format!("{person} (certificate {id})"),
        }
    }

    /// A row of [`COLUMNS`].
    pub(super) fn row(&self, now: Timestamp) -> Vec<String> {
        let since = format!("{} ago", age(now, self.since));
        let Self { source, target, .. } = self;
        let state = self.state.to_owned();
        vec![self.id.to_string(), state, since, self.who(), source.clone(), target.clone()]
    }

    /// A row of [`PAST_COLUMNS`].
    pub(super) fn past_row(&self) -> Vec<String> {
        let lasted = self.until.map_or(0, |until| until.duration_since(self.since).as_secs());
        vec![
            self.id.to_string(),
            self.since.strftime("%F %T").to_string(),
            span(lasted),
            self.who(),
            self.source.clone(),
            self.target.clone(),
            self.ended_by.clone().unwrap_or_default(),
            self.reason.clone().unwrap_or_default(),
            self.recordings.join(", "),
        ]
    }
}
