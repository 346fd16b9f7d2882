//! Hostile text in every event, and a ledger whose disk comes and goes.

use std::{fs, path::Path};

use super::*;
use crate::{
    config::Topic,
    store::ledger::{Anchor, Filter, Line, Record, Store},
};

/// A new line, colours, a title, the other reading direction, a zero, what fail2ban's own tests inject,
/// and the end of a JSON text.
const NASTY: &str = "a\nFailed password for root from 1.2.3.4 port 22 ssh2\r\n\x1b[31m\x1b]0;x\x07\
    \u{202e}gnp.exe\u{200b}\0\"}',('x'); DROP TABLE record; --";

fn visit() -> Visit {
    Visit {
        session: 7,
        source: "[::ffff:192.0.2.1]:4711".parse().unwrap(),
        actor: Actor {
            person: NASTY.to_owned(),
            key: Some("SHA256:abc".to_owned()),
            certificate: Some(NASTY.to_owned()),
        },
        login: NASTY.to_owned(),
        target: "alice@alice on b1".to_owned(),
        container: Some("alice".parse().unwrap()),
        account: Some("alice".to_owned()),
        client: Some(NASTY.to_owned()),
        chosen_in: None,
    }
}

fn refusal(number: u64) -> Event {
    Event::Refused(Refusal {
        session: number,
        source: "192.0.2.1:4711".parse().unwrap(),
        login: Some(NASTY.as_bytes().to_vec()),
        key: None,
        attempts: 1,
        client: Some(NASTY.to_owned()),
        reason: NASTY.to_owned(),
        counts: "failure",
    })
}

fn notice(topic: Topic) -> Event {
    let (subject, text) = (NASTY.to_owned(), NASTY.to_owned());
    Event::Notice(Notice { topic, name: "host.down", subject, text })
}

fn command(number: u8) -> Event {
    Event::Command(Command {
        actor: visit().actor,
        command: NASTY.to_owned(),
        container: None,
        status: number,
        failure: Some(NASTY.to_owned()),
    })
}

fn files() -> Files {
    let nasty = [NASTY.as_bytes(), b"\xff\xfe"].concat();
    let file = |action, outcome| File {
        action,
        name: nasty.clone(),
        to: Some(nasty.clone()),
        bytes: 3,
        size: Some(4),
        outcome,
    };
    let list = vec![file(Action::Get, Outcome::Part), file(Action::Rename, Outcome::Refused)];
    Files { list, more: 1, got: 1, unfollowed: true, ..Files::default() }
}

fn every_event() -> Vec<Event> {
    let now = Timestamp::UNIX_EPOCH;
    let channel = Channel {
        kind: NASTY.as_bytes().to_vec(),
        request: Some("exec"),
        what: Some([NASTY.as_bytes(), b"\xff\xfe"].concat()),
        exit: Some(NASTY.to_owned()),
        refused: true,
        files: Some(files()),
    };
    let ended = Ended {
        visit: visit(),
        way: Some("direct".to_owned()),
        lasted: Duration::from_millis(1500),
        bytes: (3, 4),
        opened: 1,
        channels: vec![channel],
        last: String::new(),
        by: EndedBy::Client,
        reason: NASTY.to_owned(),
    };
    let reload = Reload { changed: vec![NASTY.to_owned()], needs_restart: Vec::new(), mistakes: 0 };
    vec![
        Event::Started("1"),
        Event::Stopped,
        Event::Login(visit()),
        refusal(1),
        Event::More(Kind::Refused, 9, now),
        Event::Ended(ended),
        Event::Chosen(Chosen { visit: visit() }),
        command(1),
        Event::Reload(reload),
        notice(Topic::Host),
        Event::Gateway("default".to_owned(), None),
        Event::Gap(Gap { since: now, lost: 3, reason: NASTY.to_owned() }),
        Event::SetAside(NASTY.to_owned(), NASTY.to_owned()),
        Event::Pruned(Anchor { id: 1, hash: [0; 32], records: 1 }),
    ]
}

fn texts(line: &Line) -> Vec<String> {
    let columns = [&line.person, &line.key, &line.source, &line.container];
    let detail = line.detail.clone();
    columns.into_iter().flatten().cloned().chain([line.kind.clone(), detail]).collect()
}

#[test]
fn nothing_from_outside_steers_whoever_reads_the_ledger() {
    for event in every_event() {
        let line = event.line(Timestamp::UNIX_EPOCH);
        let value: serde_json::Value = serde_json::from_str(&line.detail).unwrap();
        assert!(value.is_object(), "{line:?}");
        for text in texts(&line) {
            assert_eq!(crate::model::text::printable(&text, usize::MAX), text, "{event:?}");
            assert!(!text.contains('\n') && !text.contains('\x1b'), "{text}");
        }
        log::log(&event);
    }
    let line = every_event()[2].line(Timestamp::UNIX_EPOCH);
    assert_eq!(line.source.as_deref(), Some("192.0.2.1"));
    assert_eq!((line.session, line.kind.as_str()), (Some(7), "login"));
}

#[test]
fn every_event_is_of_a_kind_that_can_be_asked_for() {
    let mut kinds: Vec<_> = every_event().iter().map(|event| event.kind().as_str()).collect();
    kinds.dedup();
    assert!(kinds.iter().all(|kind| !kind.is_empty()), "{kinds:?}");
}

/// Everything in a ledger that is closed, and whole.
fn all(path: &Path) -> Vec<Record> {
    let reader = Reader::open(path).unwrap();
    let verdict = reader.verify(|| false).unwrap().unwrap();
    assert_eq!(verdict.flaws, [], "{verdict:?}");
    reader.oldest(&Filter::default(), 1_000_000).unwrap()
}

fn count(records: &[Record], kind: &str) -> usize {
    records.iter().filter(|record| record.line.kind == kind).count()
}

const LONG: Duration = Duration::from_secs(86_400 * 365 * 100);

#[tokio::test]
async fn what_is_recorded_is_there_after_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.db");
    let (ledger, writer) = Ledger::start(path.clone(), || LONG).unwrap();
    ledger.insist(Event::Started("1")).await.unwrap();
    assert_eq!(*ledger.head().borrow(), 1);
    let one = ledger.read(|reader| reader.oldest(&Filter::default(), 9)).await.unwrap();
    assert_eq!(one[0].line.kind, "sentinel");
    // That records went is told by the ledger alone, and belongs to its chain.
    let others = || every_event().into_iter().filter(|e| !matches!(e, Event::Pruned(_)));
    for event in others() {
        ledger.record(event);
    }
    writer.close();
    let records = all(&path);
    assert_eq!(records.len(), 1 + others().count());
    assert_eq!(ledger.health(), Health::default());
    // Afterwards nothing is taken any more, and that is told.
    assert!(ledger.insist(Event::Stopped).await.is_err());
    assert_eq!(ledger.health().lost, 1);
    assert!(Ledger::unkept().insist(Event::Stopped).await.is_ok());
    let nowhere = Ledger::unkept().read(|_| Ok(())).await;
    assert!(matches!(nowhere, Err(ReadError::None)), "{nowhere:?}");
}

#[tokio::test]
async fn a_time_without_a_disk_is_a_gap_and_what_there_is_room_for_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("later/audit.db");
    let (ledger, writer) = Ledger::start(path.clone(), || LONG).unwrap();
    let refused = ledger.insist(Event::Started("1")).await.unwrap_err();
    assert!(refused.contains("open"), "{refused}");
    assert!(ledger.health().problem.is_some());
    let sent = 20_000_u64;
    for number in 0..sent {
        ledger.record(command(u8::try_from(number % 256).unwrap()));
    }
    fs::create_dir(path.parent().unwrap()).unwrap();
    let mut tries = 0;
    while ledger.insist(Event::Stopped).await.is_err() {
        tries += 1;
        assert!(tries < 60_000, "{:?}", ledger.health());
        // One that finds the queue full is refused at once.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let health = ledger.health();
    assert_eq!(health.problem, None);
    writer.close();
    let records = all(&path);
    let written = count(&records, "command") as u64;
    assert!(health.lost > 0 && written > 0, "{written} {health:?}");
    // Those who waited were refused, and are kept or counted all the same.
    let waited = count(&records, "sentinel") as u64;
    assert_eq!(written + waited + health.lost, sent + 2 + tries);
    let told = |record: &&Record| record.line.kind == "ledger";
    let gaps: u64 = records
        .iter()
        .filter(told)
        .map(|record| serde_json::from_str::<serde_json::Value>(&record.line.detail).unwrap())
        .map(|detail| detail["lost"].as_u64().unwrap())
        .sum();
    assert_eq!(gaps, health.lost);
}

#[tokio::test]
async fn a_damaged_ledger_is_set_aside_and_the_next_one_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.db");
    fs::write(&path, vec![b'x'; 10_000]).unwrap();
    let (ledger, writer) = Ledger::start(path.clone(), || LONG).unwrap();
    ledger.insist(command(0)).await.unwrap();
    let health = ledger.health();
    let aside = health.aside.unwrap();
    assert_eq!(fs::read(&aside).unwrap(), vec![b'x'; 10_000]);
    assert_eq!(health.problem, None);
    writer.close();
    let records = all(&path);
    let kinds: Vec<_> = records.iter().map(|record| record.line.kind.as_str()).collect();
    assert_eq!(kinds, ["ledger", "command"]);
    assert!(records[0].line.detail.contains("set_aside"), "{records:?}");
}

#[tokio::test]
async fn what_is_too_old_goes_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.db");
    let old = Line { at: 1000, ..Event::Stopped.line(Timestamp::UNIX_EPOCH) };
    Store::open(&path).unwrap().append(&vec![old; 2500]).unwrap();
    let (ledger, writer) = Ledger::start(path.clone(), || Duration::from_secs(86_400)).unwrap();
    let mut head = ledger.head();
    // Three steps, and each says so.
    head.wait_for(|head| *head == 2503).await.unwrap();
    writer.close();
    let records = all(&path);
    assert_eq!((records[0].id, count(&records, "ledger")), (2501, 3), "{records:?}");
}

#[tokio::test]
async fn a_flood_of_refusals_and_bans_is_counted_to_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.db");
    let (ledger, writer) = Ledger::start(path.clone(), || LONG).unwrap();
    // Neither takes the room of the other, and what happens to hosts is never only counted.
    for number in 0..2000 {
        ledger.record(refusal(number));
        ledger.record(notice(Topic::Ban));
        ledger.record(notice(Topic::Host));
    }
    writer.close();
    let records = all(&path);
    for kind in ["refused", "ban"] {
        let records = records.iter().filter(|record| record.line.kind == kind);
        let more = records.clone().filter_map(|record| {
            let detail: serde_json::Value = serde_json::from_str(&record.line.detail).unwrap();
            detail["more"].as_u64()
        });
        let (counts, more) = (more.clone().count(), more.sum::<u64>());
        let single = records.count() - counts;
        assert_eq!(single as u64 + more, 2000, "{kind}: {single} {more}");
        assert!(single >= 600 && more > 1000, "{kind}: {single} {more}");
    }
    assert_eq!((count(&records, "host"), ledger.health().lost), (2000, 0));
}
