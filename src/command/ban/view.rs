//! Bans as people and scripts see them.

use std::{net::IpAddr, time::Duration};

use jiff::Timestamp;
use serde::Serialize;

use super::super::{
    report::Field,
    view::{age, span},
};
use crate::{
    config::Guard as Rules,
    guard::{
        Summary,
        book::{Account, Cause, Entry},
    },
};

pub(super) const COLUMNS: &[&str] = &["SOURCE", "ID", "SINCE", "LEFT", "WHY"];

/// A ban.
#[derive(Serialize)]
pub(super) struct BanView {
    pub(super) source: String,
    pub(super) id: String,
    since: Timestamp,
    /// `None`: until it is removed.
    until: Option<Timestamp>,
    failures: Option<u8>,
    /// The how manieth in a row it is.
    strikes: Option<u8>,
    by: Option<String>,
    #[serde(skip)]
    cause: String,
}

impl BanView {
    pub(super) fn new(entry: &Entry, now: Timestamp) -> Self {
        let (failures, strikes, by) = match &entry.cause {
            Cause::Failures { failures, strikes, .. } => (Some(*failures), Some(*strikes), None),
            Cause::Administrator(by) => (None, None, Some(by.clone())),
        };
        let until = |left: Duration| {
            let end = if left > Duration::ZERO {
                now.checked_add(left)
            } else {
                now.checked_sub(entry.over)
            };
            rounded(end.unwrap_or(Timestamp::MAX))
        };
        Self {
            source: entry.network.to_string(),
            id: entry.id.to_string(),
            since: rounded(now.checked_sub(entry.age).unwrap_or(Timestamp::MIN)),
            until: entry.left.map(until),
            failures,
            strikes,
            by,
            cause: entry.cause.to_string(),
        }
    }

    pub(super) fn row(&self, now: Timestamp) -> Vec<String> {
        let left = self.until.map_or_else(
            || "until removed".to_owned(),
            |until| span(until.duration_since(now).as_secs().max(0)),
        );
        let since = format!("{} ago", age(now, self.since));
        vec![self.source.clone(), self.id.clone(), since, left, self.cause.clone()]
    }
}

/// What is known of an address.
#[derive(Serialize)]
pub(super) struct AccountView {
    source: String,
    allowed: bool,
    banned: bool,
    /// One that holds, or that is over for a day at most.
    ban: Option<BanView>,
    failures: usize,
    max_failures: usize,
    window_seconds: u64,
    bare: u32,
    last_login: Option<Timestamp>,
}

impl AccountView {
    pub(super) fn new(address: IpAddr, account: &Account, rules: &Rules, now: Timestamp) -> Self {
        let holds = |entry: &Entry| entry.left.is_none_or(|left| left > Duration::ZERO);
        let ago = |by: Duration| rounded(now.checked_sub(by).unwrap_or(Timestamp::MIN));
        Self {
            source: address.to_string(),
            allowed: account.allowed,
            banned: !account.allowed && account.ban.as_ref().is_some_and(holds),
            ban: account.ban.as_ref().map(|entry| BanView::new(entry, now)),
            failures: account.failures,
            max_failures: rules.max_failures,
            window_seconds: rules.window.as_secs(),
            bare: account.bare,
            last_login: account.success.map(ago),
        }
    }

    pub(super) fn fields(&self, now: Timestamp) -> Vec<Field> {
        let verdict = match (self.allowed, self.banned) {
            (true, _) => "let in, whatever it does: guard.allow names it",
            (false, true) => "banned",
            (false, false) => "not banned",
        };
        let ban = self.ban.iter().map(|ban| {
            let since = age(now, ban.since);
            let left = ban.until.map(|until| until.duration_since(now).as_secs());
            let end = match left {
                None => "until it is removed".to_owned(),
                Some(left) if left > 0 => format!("for {} more", span(left)),
                Some(left) => format!("over for {}", span(-left)),
            };
            format!("{} ({}), began {since} ago, {end}: {}", ban.source, ban.id, ban.cause)
        });
        let Self { failures, max_failures, .. } = self;
        let window = span(i64::try_from(self.window_seconds).unwrap_or(i64::MAX));
        let login = self.last_login.map(|at| format!("{} ago", age(now, at)));
        vec![
            Field::one("Source", self.source.clone()),
            Field::one("Verdict", verdict),
            Field::many("Ban", ban.collect()),
            Field::one("Failures", format!("{failures} in {window}, {max_failures} ban")),
            Field::one("Bare", format!("{} connections that asked for nothing", self.bare)),
            Field::many("Login", login.into_iter().collect()),
        ]
    }
}

/// A line of `status`.
pub(in super::super) fn summary(summary: &Summary) -> String {
    let bans = match summary.bans {
        0 => "nobody is banned".to_owned(),
        1 => "1 ban".to_owned(),
        bans => format!("{bans} bans"),
    };
    let dropped = match summary.refused {
        1 => "1 connection dropped".to_owned(),
        refused => format!("{refused} connections dropped"),
    };
    format!("{bans}, {dropped}")
}

/// To whole seconds: nobody reads less.
fn rounded(at: Timestamp) -> Timestamp {
    let nearest = at.checked_add(Duration::from_millis(500)).unwrap_or(at);
    Timestamp::from_second(nearest.as_second()).unwrap_or(at)
}
