//! How an event is written. Pure.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use base64ct::{Base64, Encoding};
use hyper::{
    Method,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde_json::json;

use super::{Event, Severity};
use crate::{
    config::{Webhook, WebhookForm},
    web::Request,
};

/// What an event is known by, also when it is sent again.
pub(super) struct Envelope<'a> {
    /// Unique among all events of all sentinels.
    pub(super) id: &'a str,
    /// The machine's name.
    pub(super) sentinel: &'a str,
}

/// The request that tells `event`; `secret` and `headers` are what the files say now.
pub(super) fn request(
    webhook: &Webhook,
    event: &Event,
    envelope: &Envelope<'_>,
    (secret, headers): (Option<&str>, &str),
) -> Request {
    let mut sent = Vec::new();
    let (url, kind, body) = match &webhook.form {
        WebhookForm::Json => {
            let body = body(event, envelope).to_string();
            if let Some(secret) = secret {
                let name = HeaderName::from_static("x-containarium-signature");
                sent.push((name, format!("sha256={}", signature(secret, &body))));
            }
            (webhook.url.clone(), "application/json", body)
        }
        WebhookForm::Slack => {
            let body = json!({ "text": slack(event) }).to_string();
            (webhook.url.clone(), "application/json", body)
        }
        WebhookForm::Zulip { channel, topic } => {
            let basic = Base64::encode_string(secret.unwrap_or_default().as_bytes());
            sent.push((AUTHORIZATION, format!("Basic {basic}")));
            let content = zulip(event);
            let fields =
                [("type", "stream"), ("to", channel), ("topic", topic), ("content", &content)];
            let fields = fields.map(|(key, value)| format!("{key}={}", escaped(value)));
            let url = webhook.url.join("/api/v1/messages");
            (url, "application/x-www-form-urlencoded", fields.join("&"))
        }
    };
    sent.push((CONTENT_TYPE, kind.to_owned()));
    let ours = sent.into_iter().filter_map(|(name, value)| {
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(name == AUTHORIZATION);
        Some((name, value))
    });
    let headers = ours.chain(headers.lines().filter_map(header)).collect();
    Request { method: Method::POST, url, headers, body: body.into() }
}

fn body(event: &Event, envelope: &Envelope<'_>) -> serde_json::Value {
    let topic = crate::config::Topic::ALL.iter().find(|(_, topic)| *topic == event.topic);
    json!({
        "id": envelope.id,
        "event": event.name,
        "topic": topic.map(|(name, _)| name),
        "severity": severity(event.severity),
        "subject": event.subject,
        "text": event.text,
        "at": event.at,
        "sentinel": envelope.sentinel,
    })
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Alarm => "alarm",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

/// What would be a link or a call of everybody is escaped.
fn slack(event: &Event) -> String {
    let plain = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("*{}* ({}): {}", event.name, severity(event.severity), plain(&event.text))
}

/// The text as code, in which nothing means anything.
fn zulip(event: &Event) -> String {
    let text = event.text.replace('`', "'");
    format!("**{}** ({}): `{text}`", event.name, severity(event.severity))
}

fn signature(secret: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::sign(&key, body.as_bytes()).as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn header(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    let mut value = HeaderValue::from_str(value.trim()).ok()?;
    value.set_sensitive(true);
    Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
}

/// A value of a form.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}
