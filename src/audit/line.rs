//! How each event becomes a line of the ledger. Pure. Text from outside is made printable here.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::event::{
    Channel, Chosen, Command, Ended, Event, Gap, MAX_NAME, MAX_TEXT, Notice, Refusal, Reload, Visit,
};
use crate::{
    model::text::{printable, printable_bytes},
    store::ledger::{Anchor, Line, hexadecimal},
};

/// Longest text about one channel, in characters.
const MAX_CHANNEL: usize = 200;

impl Event {
    /// How it is written down, at this time.
    #[must_use]
    pub fn line(&self, at: Timestamp) -> Line {
        let blank = Line {
            at: at.as_microsecond(),
            kind: self.kind().as_str().to_owned(),
            session: None,
            person: None,
            key: None,
            source: None,
            container: None,
            detail: String::new(),
        };
        let (line, detail) = match self {
            Self::Started(version) => (blank, json!({ "event": "started", "version": version })),
            Self::Stopped => (blank, json!({ "event": "stopped" })),
            Self::Login(visit) | Self::Chosen(Chosen { visit }) => {
                (visit.fill(blank), Value::Object(visit.detail()))
            }
            Self::Refused(refusal) => (refusal.fill(blank), refusal.detail()),
            Self::More(_, count, since) => {
                (blank, json!({ "more": count, "since": since.to_string() }))
            }
            Self::Ended(ended) => (ended.visit.fill(blank), ended.detail()),
            Self::Command(command) => (command.fill(blank), command.detail()),
            Self::Reload(reload) => (blank, reload.detail()),
            Self::Notice(notice) => (blank, notice.detail()),
            Self::Gateway(pool, primary) => (blank, json!({ "pool": pool, "primary": primary })),
            Self::Gap(gap) => (blank, gap.detail()),
            Self::SetAside(file, reason) => {
                let (file, reason) = (printable(file, MAX_TEXT), printable(reason, MAX_TEXT));
                (blank, json!({ "set_aside": file, "reason": reason }))
            }
            Self::Pruned(Anchor { id, hash, records }) => {
                let hash = hexadecimal(hash);
                (blank, json!({ "pruned": records, "pruned_through": id, "hash": hash }))
            }
        };
        Line { detail: detail.to_string(), ..line }
    }
}

impl Visit {
    fn fill(&self, line: Line) -> Line {
        Line {
            session: Some(number(self.session)),
            person: Some(printable(&self.actor.person, MAX_NAME)),
            key: self.actor.key.clone(),
            source: Some(self.source.ip().to_canonical().to_string()),
            container: self.container.as_ref().map(ToString::to_string),
            ..line
        }
    }

    fn detail(&self) -> serde_json::Map<String, Value> {
        let mut detail = serde_json::Map::new();
        let texts = [
            ("login", Some(&self.login)),
            ("target", Some(&self.target)),
            ("account", self.account.as_ref()),
            ("certificate", self.actor.certificate.as_ref()),
            ("client", self.client.as_ref()),
        ];
        for (key, text) in texts {
            detail.insert(key.to_owned(), json!(text.map(|text| printable(text, MAX_TEXT))));
        }
        detail.insert("port".to_owned(), json!(self.source.port()));
        if let Some(session) = self.chosen_in {
            detail.insert("chosen_in".to_owned(), json!(session));
        }
        detail
    }
}

impl Refusal {
    /// The login name as it is shown.
    pub(super) fn login(&self) -> Option<String> {
        self.login.as_ref().map(|name| printable_bytes(name, MAX_NAME))
    }

    fn fill(&self, line: Line) -> Line {
        Line {
            session: Some(number(self.session)),
            key: self.key.clone(),
            source: Some(self.source.ip().to_canonical().to_string()),
            ..line
        }
    }

    fn detail(&self) -> Value {
        json!({
            "login": self.login(),
            "attempts": self.attempts,
            "client": self.client.as_ref().map(|client| printable(client, MAX_TEXT)),
            "port": self.source.port(),
            "reason": printable(&self.reason, MAX_TEXT),
            "counts": self.counts,
        })
    }
}

impl Ended {
    fn detail(&self) -> Value {
        let mut detail = self.visit.detail();
        let channels: Vec<_> = self.channels.iter().map(Channel::detail).collect();
        let more = [
            ("way", json!(self.way)),
            ("seconds", json!((self.lasted.as_secs_f64() * 1000.0).round() / 1000.0)),
            ("bytes_in", json!(self.bytes.0)),
            ("bytes_out", json!(self.bytes.1)),
            ("opened", json!(self.opened)),
            ("channels", json!(channels)),
            ("ended_by", json!(self.by.to_string())),
            ("reason", json!(printable(&self.reason, MAX_TEXT))),
        ];
        detail.extend(more.map(|(key, value)| (key.to_owned(), value)));
        Value::Object(detail)
    }
}

impl Channel {
    fn detail(&self) -> Value {
        let mut detail = serde_json::Map::new();
        let mut put = |key: &str, value: Value| detail.insert(key.to_owned(), value);
        put("type", json!(printable_bytes(&self.kind, MAX_CHANNEL)));
        if let Some(request) = self.request {
            put("request", json!(request));
        }
        if let Some(what) = &self.what {
            put("what", json!(printable_bytes(what, MAX_CHANNEL)));
        }
        if let Some(exit) = &self.exit {
            put("exit", json!(printable(exit, MAX_NAME)));
        }
        if self.refused {
            put("refused", json!(true));
        }
        if let Some(files) = &self.files {
            put("files", files.detail());
        }
        Value::Object(detail)
    }
}

impl Command {
    fn fill(&self, line: Line) -> Line {
        Line {
            person: Some(printable(&self.actor.person, MAX_NAME)),
            key: self.actor.key.clone(),
            container: self.container.as_ref().map(ToString::to_string),
            ..line
        }
    }

    fn detail(&self) -> Value {
        json!({
            "command": printable(&self.command, MAX_TEXT),
            "status": self.status,
            "failure": self.failure.as_ref().map(|text| printable(text, MAX_TEXT)),
            "certificate": self.actor.certificate.as_ref().map(|id| printable(id, MAX_TEXT)),
        })
    }
}

impl Reload {
    fn detail(&self) -> Value {
        let changed: Vec<_> = self.changed.iter().map(|key| printable(key, MAX_NAME)).collect();
        json!({
            "changed": changed,
            "needs_restart": self.needs_restart,
            "mistakes": self.mistakes,
        })
    }
}

impl Notice {
    fn detail(&self) -> Value {
        let (subject, text) = (printable(&self.subject, MAX_NAME), printable(&self.text, MAX_TEXT));
        json!({ "event": self.name, "subject": subject, "text": text })
    }
}

impl Gap {
    fn detail(&self) -> Value {
        json!({
            "gap_since": self.since.to_string(),
            "lost": self.lost,
            "reason": printable(&self.reason, MAX_TEXT),
        })
    }
}

fn number(session: u64) -> i64 {
    i64::try_from(session).unwrap_or(i64::MAX)
}
