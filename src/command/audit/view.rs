//! A record for people and for scripts. Pure.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::super::view::{size, span};
use crate::{
    model::text::printable,
    store::ledger::{Record, hexadecimal},
};

pub(super) const COLUMNS: &[&str] = &["ID", "TIME", "KIND", "WHO", "FROM", "CONTAINER", "WHAT"];

/// Channels that are shown of a session.
const SHOWN: usize = 3;

/// Longest text shown in a line, in characters.
const MAX_TEXT: usize = 300;

/// What `--json` shows of a record.
#[derive(Serialize)]
pub(super) struct RecordView {
    pub(super) id: i64,
    at: Timestamp,
    kind: String,
    session: Option<i64>,
    person: Option<String>,
    key: Option<String>,
    source: Option<String>,
    container: Option<String>,
    detail: Value,
    hash: String,
}

impl RecordView {
    pub(super) fn new(record: &Record) -> Self {
        let line = record.line.clone();
        Self {
            id: record.id,
            at: record.at(),
            detail: serde_json::from_str(&line.detail).unwrap_or_default(),
            kind: line.kind,
            session: line.session,
            person: line.person,
            key: line.key,
            source: line.source,
            container: line.container,
            hash: hexadecimal(&record.hash),
        }
    }

    /// A row of [`COLUMNS`].
    pub(super) fn row(&self) -> Vec<String> {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            self.id.to_string(),
            self.at.strftime("%F %T").to_string(),
            self.kind.clone(),
            or_none(&self.person),
            or_none(&self.source),
            or_none(&self.container),
            self.what(),
        ]
    }

    /// The same as a line of its own.
    pub(super) fn line(&self) -> String {
        let cells = self.row().into_iter().map(|cell| match cell.as_str() {
            "" => "-".to_owned(),
            text => printable(text, MAX_TEXT),
        });
        cells.collect::<Vec<_>>().join("  ")
    }

    fn what(&self) -> String {
        let text = |key: &str| self.detail[key].as_str().unwrap_or_default().to_owned();
        if let Some(more) = self.detail["more"].as_u64() {
            return format!("{more} more since {}", text("since"));
        }
        match self.kind.as_str() {
            "login" | "chosen" => format!("as {} to {}", text("login"), text("target")),
            "refused" => format!("as {}: {}", text("login"), text("reason")),
            "session" => self.session(),
            "command" => match self.detail["failure"].as_str() {
                Some(failure) => {
                    format!("{}: {} ({failure})", text("command"), self.detail["status"])
                }
                None => format!("{}: {}", text("command"), self.detail["status"]),
            },
            "reload" => match self.detail["mistakes"].as_u64() {
                Some(0) | None => {
                    let changed: Vec<_> = self.list("changed").filter_map(Value::as_str).collect();
                    format!("changed: {}", changed.join(", "))
                }
                Some(mistakes) => format!("refused for {mistakes} mistakes"),
            },
            "gateway" => match self.detail["primary"].as_str() {
                Some(primary) => format!("{} leads to {primary}", text("pool")),
                None => format!("{} leads nowhere", text("pool")),
            },
            "ledger" => self.ledger(),
            "sentinel" => text("event"),
            // What people are told of.
            _ => text("text"),
        }
    }

    fn session(&self) -> String {
        let number = |key: &str| self.detail[key].as_u64().unwrap_or(0);
        let seconds = self.detail["seconds"].as_f64().unwrap_or(0.0);
        // A session lasts less than the centuries that a float counts exactly.
        #[expect(clippy::cast_possible_truncation, reason = "bounded by the sentinel's life")]
        let lasted = span(seconds as i64);
        let (read, written) = (size(number("bytes_in")), size(number("bytes_out")));
        let mut what = match self.detail["chosen_in"].as_u64() {
            Some(session) => format!("{lasted}, chosen in session {session}"),
            None => format!("{lasted}, {read} in, {written} out"),
        };
        for channel in self.list("channels").take(SHOWN) {
            let part = |key: &str| channel[key].as_str();
            let name = part("request").or_else(|| part("type")).unwrap_or_default();
            let exit = part("exit").map(|exit| format!(" [{exit}]")).unwrap_or_default();
            let refused = if channel["refused"] == true { " refused" } else { "" };
            let about = part("what").map(|what| format!(" {what}")).unwrap_or_default();
            let files = files(&channel["files"]);
            let _ = write!(what, "; {name}{about}{exit}{refused}{files}");
        }
        let more = number("opened").saturating_sub(SHOWN as u64);
        if more > 0 {
            let _ = write!(what, "; {more} more");
        }
        let text = |key: &str| self.detail[key].as_str().unwrap_or_default();
        format!("{what}; {}: {}", text("ended_by"), text("reason"))
    }

    fn ledger(&self) -> String {
        let text = |key: &str| self.detail[key].as_str().unwrap_or_default();
        if let Some(pruned) = self.detail["pruned"].as_u64() {
            format!("pruned {pruned} records up to {}", self.detail["pruned_through"])
        } else if let Some(lost) = self.detail["lost"].as_u64() {
            let (since, reason) = (text("gap_since"), text("reason"));
            format!("not written since {since}, {lost} records lost: {reason}")
        } else {
            format!("an earlier ledger is in {}: {}", text("set_aside"), text("reason"))
        }
    }

    fn list(&self, key: &str) -> impl Iterator<Item = &Value> {
        self.detail[key].as_array().into_iter().flatten()
    }
}

/// What a channel did with files, in short.
fn files(files: &Value) -> String {
    let number = |key: &str| files[key].as_u64().unwrap_or(0);
    let mut what = String::new();
    for (count, verb, bytes) in [("put", "put", "bytes_in"), ("got", "got", "bytes_out")] {
        let (count, bytes) = (number(count), number(bytes));
        if count > 0 || bytes > 0 {
            let s = if count == 1 { "" } else { "s" };
            let _ = write!(what, ", {verb} {count} file{s} of {}", size(bytes));
        }
    }
    if number("changed") > 0 {
        let _ = write!(what, ", {} changed", number("changed"));
    }
    if files["unfollowed"] == true {
        what.push_str(", not followed to the end");
    }
    what
}

/// Records, for the reference.
#[cfg(test)]
pub(in crate::command) fn example() -> Value {
    let shown: Vec<_> = tests::records().iter().map(RecordView::new).collect();
    serde_json::to_value(&shown[..3]).unwrap()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        audit::{
            Action, Actor, Channel, Command, Ended, EndedBy, Event, File, Files, Gap, Outcome,
            Refusal, Visit,
        },
        command::testing::at,
    };

    fn visit() -> Visit {
        Visit {
            session: 7,
            source: "192.0.2.1:50022".parse().unwrap(),
            actor: Actor {
                person: "alice@laptop".to_owned(),
                key: Some("SHA256:l7HT3Q5xVnGyQ8NnPpzdxnwrV0D2ZQ0Yw3xqqWZsnPQ".to_owned()),
                certificate: None,
            },
            login: "alice".to_owned(),
            target: "alice@alice on spot-1".to_owned(),
            container: Some("alice".parse().unwrap()),
            account: Some("alice".to_owned()),
            client: Some("SSH-2.0-OpenSSH_9.9".to_owned()),
            chosen_in: None,
        }
    }

    fn moved() -> Files {
        let file = |action, name: &[u8], to: Option<&[u8]>, bytes| File {
            action,
            name: name.to_vec(),
            to: to.map(<[u8]>::to_vec),
            bytes,
            size: None,
            outcome: Outcome::Done,
        };
        Files {
            list: vec![
                file(Action::Put, b"/home/alice/a.part", None, 41_000),
                file(Action::Rename, b"/home/alice/a.part", Some(b"/home/alice/a"), 0),
                File { outcome: Outcome::Refused, ..file(Action::Get, b"/etc/shadow", None, 0) },
            ],
            put: 1,
            changed: 1,
            bytes: (41_000, 0),
            ..Files::default()
        }
    }

    pub(super) fn records() -> Vec<Record> {
        let channel = Channel {
            kind: b"session".to_vec(),
            request: Some("exec"),
            what: Some(b"make test".to_vec()),
            exit: Some("0".to_owned()),
            refused: false,
            files: None,
        };
        let sftp = Channel {
            request: Some("subsystem"),
            what: Some(b"sftp".to_vec()),
            files: Some(moved()),
            ..channel.clone()
        };
        let ended = Ended {
            visit: visit(),
            way: Some("direct".to_owned()),
            lasted: Duration::from_millis(72_500),
            bytes: (42_000, 1 << 20),
            opened: 5,
            channels: vec![channel, sftp],
            last: String::new(),
            by: EndedBy::Client,
            reason: "closed".to_owned(),
        };
        let command = Command {
            actor: Actor { person: "ops".to_owned(), ..Actor::default() },
            command: "delete bob --force".to_owned(),
            container: Some("bob".parse().unwrap()),
            status: 3,
            failure: Some("no container named \"bob\"".to_owned()),
        };
        let refusal = Refusal {
            session: 9,
            source: "203.0.113.7:40000".parse().unwrap(),
            login: Some(b"root\nFailed password for root from 1.2.3.4\x1b[2J".to_vec()),
            key: None,
            attempts: 2,
            client: None,
            reason: "closed".to_owned(),
            counts: "failure",
        };
        let gap = Gap { since: at(0), lost: 4, reason: "disk full".to_owned() };
        let events = [
            Event::Login(visit()),
            Event::Ended(ended),
            Event::Command(command),
            Event::Refused(refusal),
            Event::Gap(gap),
        ];
        let record = |(id, event): (i64, &Event)| Record {
            id,
            line: event.line(at(id)),
            hash: [u8::try_from(id).unwrap(); 32],
        };
        (1..).zip(&events).map(record).collect()
    }

    #[test]
    fn a_record_is_one_line_whatever_is_in_it() {
        let lines: Vec<_> = records().iter().map(|r| RecordView::new(r).line()).collect();
        assert_eq!(
            lines[0],
            "1  2023-11-14 22:13:21  login  alice@laptop  192.0.2.1  alice  \
            as alice to alice@alice on spot-1"
        );
        assert_eq!(
            lines[1],
            "2  2023-11-14 22:13:22  session  alice@laptop  192.0.2.1  alice  \
            1m, 41KiB in, 1MiB out; exec make test [0]; \
            subsystem sftp [0], put 1 file of 40KiB, 1 changed; 2 more; client: closed"
        );
        assert_eq!(
            lines[2],
            "3  2023-11-14 22:13:23  command  ops  -  bob  \
            delete bob --force: 3 (no container named \"bob\")"
        );
        assert_eq!(
            lines[3],
            "4  2023-11-14 22:13:24  refused  -  203.0.113.7  -  as root\\u{a}\
            Failed password for root from 1.2.3.4\\u{1b}[2J: closed"
        );
        assert!(lines[4].ends_with("4 records lost: disk full"), "{}", lines[4]);
    }
}
