//! Packets in, files out: with a real disk, and without anybody who writes.

use std::path::Path;

use serde_json::{Value, json};

use super::{
    folder::Stored,
    terminals::tests::{confirm, data, numbers, open, pty, request},
    *,
};
use crate::{
    config::{Record, Recorded},
    model::size::Size,
    wire::message,
};

fn config(max_size: u64, max_total: u64) -> Record {
    let size = |bytes| Size::from_bytes(bytes).unwrap();
    Record {
        sessions: Recorded::Labelled,
        path: "/nonexistent".into(),
        input: false,
        tell_watched: true,
        max_size: size(max_size),
        max_total: size(max_total),
        retention: Duration::from_secs(86_400),
    }
}

fn facts(session: u64) -> Facts {
    let source = "192.0.2.1".parse().unwrap();
    let target = "alice@alice on b1".to_owned();
    Facts { session, person: "../alice\\u{1b}[2J".to_owned(), source, target }
}

/// A tap on a session with a shell on a terminal.
fn shell(recorder: &Recorder, session: u64, input: bool) -> Tap {
    let mut tap = Tap::new(facts(session), recorder.clone(), input);
    tap.from_client(&open(b"session", 0));
    tap.from_upstream(&confirm(0, 5));
    tap.from_client(&pty(5));
    tap.from_client(&request(5, b"shell", &[]));
    tap
}

fn lines(stored: &Stored) -> Vec<Value> {
    let text = std::fs::read_to_string(&stored.path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What is in the only recording, without times, and its head.
fn only(folder: &Path) -> (Value, Vec<(String, String)>) {
    let all = folder::list(folder).unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    let mut lines = lines(&all[0]);
    let events = lines.split_off(1);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (lines.remove(0), events.iter().map(|event| (text(&event[1]), text(&event[2]))).collect())
}

#[test]
fn a_terminal_becomes_a_file_and_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("recordings");
    for (input, typed) in [(false, false), (true, true)] {
        let (recorder, writer) =
            Recorder::start(folder.clone(), || config(1 << 20, 1 << 30)).unwrap();
        let mut tap = shell(&recorder, 42, input);
        // A character that comes in two packets, and one that never comes whole.
        for part in [&b"$ \xc3"[..], b"\xbc\x1b[2J", b"\xff\xe2\x82"] {
            tap.from_upstream(&data(0, part));
        }
        tap.from_client(&data(5, b"ls\r"));
        let mut bulk = Tap::new(facts(43), recorder, true);
        bulk.from_client(&open(b"session", 0));
        bulk.from_upstream(&confirm(0, 5));
        bulk.from_client(&request(5, b"exec", &[b"scp -t x"]));
        bulk.from_client(&data(5, b"bulk"));
        tap.from_upstream(&numbers(message::CHANNEL_CLOSE, &[0]));
        drop((tap, bulk));
        writer.close();
        let (head, events) = only(&folder);
        assert_eq!(
            (&head["version"], &head["width"], &head["height"]),
            (&json!(2), &json!(100), &json!(40))
        );
        let about = &head["containarium"];
        assert_eq!((&about["session"], &about["source"]), (&json!(42), &json!("192.0.2.1")));
        let mut expected = vec![("o", "$ "), ("o", "ü\u{1b}[2J"), ("o", "\u{fffd}")];
        expected.extend(typed.then_some(("i", "ls\r")));
        expected.extend([("o", "\u{fffd}"), ("m", "end")]);
        let events: Vec<_> = events.iter().map(|(c, t)| (c.as_str(), t.as_str())).collect();
        assert_eq!(events, expected);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn a_recording_ends_at_its_limit_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, writer) =
        Recorder::start(dir.path().into(), || config(100_000, 1 << 30)).unwrap();
    let mut tap = shell(&recorder, 1, false);
    for _ in 0..100 {
        tap.from_upstream(&data(0, &[b'x'; 3000]));
    }
    drop(tap);
    writer.close();
    let (_, events) = only(dir.path());
    assert!((30..=34).contains(&events.len()), "{}", events.len());
    let last = events.last().unwrap();
    assert_eq!(*last, ("m".to_owned(), "not recorded from here on: record.max_size".to_owned()));
    assert_eq!(recorder.health(), Health::default(), "as it is wished");
}

#[test]
fn all_together_take_no_more_than_they_may() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, writer) =
        Recorder::start(dir.path().into(), || config(1 << 20, 320_000)).unwrap();
    for session in 1..=9 {
        let mut tap = shell(&recorder, session, false);
        for _ in 0..20 {
            tap.from_upstream(&data(0, &[b'x'; 3000]));
        }
    }
    let mut long = shell(&recorder, 10, false);
    for _ in 0..200 {
        long.from_upstream(&data(0, &[b'x'; 3000]));
    }
    drop(long);
    writer.close();
    let all = folder::list(dir.path()).unwrap();
    let total: u64 = all.iter().map(|stored| stored.bytes).sum();
    assert!((200_000..340_000).contains(&total), "{total}");
    let last = all.iter().find(|stored| stored.name.session == 10).unwrap();
    let Health { problem, broken } = recorder.health();
    let told = problem.map(|(_, reason)| reason).unwrap_or_default();
    assert_eq!((told.as_str(), broken), ("record.max_total is reached", 1));
    let remark = lines(last).last().unwrap()[2].clone();
    assert_eq!(remark, "not recorded from here on: record.max_total");
    // The oldest went for it.
    assert_eq!(all.len(), 1, "{all:?}");
}

#[test]
fn a_disk_that_stalls_makes_nobody_wait_and_leaves_a_gap_that_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (shared, messages) = Recorder::pair();
    let recorder = Recorder(Some(Arc::clone(&shared)));
    let mut tap = shell(&recorder, 1, false);
    let packet = data(0, &vec![b'x'; 30_000]);
    for _ in 0..1000 {
        tap.from_upstream(&packet);
    }
    let waiting = shared.waiting.load(Ordering::Relaxed);
    assert!((MAX_WAITING - 31_000..=MAX_WAITING).contains(&waiting), "{waiting}");
    // The disk goes on.
    let files = writer::Files::new(
        dir.path().into(),
        Box::new(|| config(100 << 20, 1 << 30)),
        Arc::clone(&shared),
    );
    let thread = std::thread::spawn(move || files.run(&messages));
    while shared.waiting.load(Ordering::Relaxed) > 0 {
        std::thread::yield_now();
    }
    tap.from_upstream(&data(0, b"after"));
    drop(tap);
    shared.queue.send(Message::Close).unwrap();
    thread.join().unwrap();
    let (_, events) = only(dir.path());
    let kept = events.iter().filter(|(code, text)| code == "o" && text.len() == 30_000).count();
    let gap = format!("{} bytes are missing here: the disk was too slow", (1000 - kept) * 30_000);
    let rest: Vec<_> = events[kept..].iter().map(|(c, t)| (c.as_str(), t.as_str())).collect();
    assert_eq!(rest, [("m", gap.as_str()), ("o", "after"), ("m", "end")]);
    assert_eq!(shared.waiting.load(Ordering::Relaxed), 0, "all room is given back");
    let broken = recorder.health();
    assert_eq!(broken, Health { problem: None, broken: 1 });
}

#[tokio::test]
async fn a_folder_that_cannot_be_is_told_and_hurts_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (recorder, writer) =
        Recorder::start(file.join("recordings"), || config(1 << 20, 1 << 30)).unwrap();
    assert!(recorder.ready().await.is_err());
    let mut tap = shell(&recorder, 1, false);
    tap.from_upstream(&data(0, b"x"));
    assert!(recorder.ready().await.is_err(), "it has got there");
    let Health { problem, broken } = recorder.health();
    let told = problem.map(|(_, reason)| reason).unwrap_or_default();
    assert!(told.starts_with("Not a directory") && broken == 1, "{told} {broken}");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(recorder.ready().await, Ok(()));
    // This one is lost, the next is not.
    drop((tap, shell(&recorder, 2, false)));
    writer.close();
    let all = folder::list(&file.join("recordings")).unwrap();
    assert_eq!(all.iter().map(|s| s.name.session).collect::<Vec<_>>(), [2]);
    assert_eq!(Recorder::none().ready().await, Ok(()));
}
