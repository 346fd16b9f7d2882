//! The certificates of the maintenance page, as `status` shows them.

use jiff::Timestamp;
use serde::Serialize;

use super::{context::Context, view::age};
use crate::gateway::certificate::View;

/// Seconds before its end at which a certificate is a problem, 14 days: CAs have it renewed 30 days
/// before.
const EXPIRES_SOON: i64 = 14 * 24 * 3600;

/// A certificate.
#[derive(Serialize)]
pub(super) struct CertificateView {
    names: Vec<String>,
    valid_from: Timestamp,
    expires: Timestamp,
    source: String,
}

/// Every certificate.
pub(super) fn views(context: &Context) -> Vec<CertificateView> {
    let view = |c: View| CertificateView {
        names: c.names,
        valid_from: c.from,
        expires: c.until,
        source: c.source,
    };
    context.certificates.borrow().views().into_iter().map(view).collect()
}

/// Every certificate, for people.
pub(super) fn lines(context: &Context) -> Vec<String> {
    let line = |c: &View| format!("{}, {}", named(&c.names), lasts(c, context.now));
    context.certificates.borrow().views().iter().map(line).collect()
}

/// What is wrong with them.
pub(super) fn problems(context: &Context) -> Vec<String> {
    let (keystore, now) = (context.certificates.borrow(), context.now);
    let views = keystore.views();
    let told = keystore.problems().into_iter();
    let told = told.map(|(source, why)| format!("certificate {source}: {why}"));
    let is_wrong = |view: &&View| {
        let left = view.until.as_second() - now.as_second();
        now < view.from || left <= EXPIRES_SOON
    };
    let wrong = views.iter().filter(is_wrong).map(|view| {
        let (names, source) = (named(&view.names), &view.source);
        format!("certificate of {names} ({source}): {}", lasts(view, now))
    });
    told.chain(wrong).chain(nobody_signed(context, &views)).collect()
}

/// HTTPS without any certificate frightens visitors.
fn nobody_signed(context: &Context, views: &[View]) -> Option<String> {
    let config = context.config.borrow();
    let https = config.maintenance.as_ref()?.https?;
    let told = format!("the maintenance page at {https} has no certificate but one of its own");
    views.is_empty().then_some(told)
}

/// The first of many names, for one line.
fn named(names: &[String]) -> String {
    match names {
        [] => "a certificate without names".to_owned(),
        [one] => one.clone(),
        [first, others @ ..] => format!("{first} and {} more", others.len()),
    }
}

fn lasts(certificate: &View, now: Timestamp) -> String {
    let View { from, until, .. } = certificate;
    if now < *from {
        return format!("not valid before {}", from.strftime("%F"));
    }
    if *until < now {
        return format!("expired {} ago", age(now, *until));
    }
    format!("valid for {}", age(*until, now))
}
