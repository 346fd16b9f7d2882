//! Sessions at a door that is not there, and one in the ledger.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{
    super::context::{LiveSessions, Sessions},
    view::SessionView,
    *,
};
use crate::{
    audit::{Actor, Ended, EndedBy, Event, Visit},
    command::{context::Environment, testing::*},
    recording::{Tap, folder::Stored, watch::pair},
    store::ledger::Record,
};

/// Numbers and sentences of sessions that were ended.
type Killed = Arc<Mutex<Vec<(u64, String)>>>;

/// Alice is in, dave waits, and somebody chooses; the numbers and sentences of those that are ended.
fn door() -> (Context, Killed) {
    let session = |id: u64, person: &str, containers: &[&str]| LiveSession {
        id,
        open: id == 7,
        since: at(3480),
        person: person.to_owned(),
        key: Some(key(person.split('@').next().unwrap())),
        certificate: (id == 9).then(|| person.to_owned()),
        source: "[::ffff:192.0.2.1]:50022".parse().unwrap(),
        target: format!("{} on spot-1", containers.join(" or ")),
        containers: containers.iter().map(|name| name.parse().unwrap()).collect(),
        account: (containers.len() == 1).then(|| "alice".parse().unwrap()),
    };
    let live = vec![
        session(7, "alice@laptop", &["alice"]),
        session(8, "dave@desk", &["alice"]),
        session(9, "erin@laptop", &["alice", "bob"]),
    ];
    let ended = Arc::new(Mutex::new(Vec::new()));
    let said = Arc::clone(&ended);
    let sessions = Sessions {
        live: Arc::new(move || live.clone()),
        end: Arc::new(move |id, sentence| {
            said.lock().unwrap().push((id, sentence.to_owned()));
            id != 8
        }),
        watch: Arc::new(|id, terminal, who| {
            let (watcher, watch) = pair(who, terminal, Arc::default());
            let mut tap = Tap::unrecorded();
            tap.join(vec![watcher]);
            (id != 8).then_some(watch)
        }),
    };
    let context = context(admin());
    let environment = Environment { sessions, ..Environment::clone(&context.environment) };
    (Context { environment: Arc::new(environment), ..context }, ended)
}

#[test]
fn open_sessions_are_listed_and_filtered() {
    let (context, _) = door();
    let all = execute_line(b"session list", &context);
    assert_eq!(
        all.stdout,
        "ID  STATE    SINCE   WHO                        FROM       TO\n\
         7   open     2m ago  alice@laptop               192.0.2.1  alice on spot-1\n\
         8   waiting  2m ago  dave@desk                  192.0.2.1  alice on spot-1\n\
         9   waiting  2m ago  erin@laptop (certificate)  192.0.2.1  alice or bob on spot-1\n"
    );
    let json = execute_line(b"session list --json", &context).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    let ids = [0, 1, 2].map(|at| json[at]["certificate"].clone());
    assert_eq!(ids, [Value::Null, Value::Null, "erin@laptop".into()]);
    let fingerprint = key("dave").fingerprint();
    for (words, ids) in [
        ("alice", "7\n8\n9\n"),
        ("bob", "9\n"),
        ("carol", ""),
        ("--user LAPTOP", "7\n9\n"),
        ("--user 192.0.2.1", "7\n8\n9\n"),
        ("--user 192.0.2", ""),
        (&format!("--user {fingerprint}"), "8\n"),
    ] {
        let run = execute_line(format!("session list -q {words}").as_bytes(), &context);
        assert_eq!((run.stdout.as_str(), run.status), (ids, 0), "{words}: {run:?}");
    }
    let none = execute_line(b"session list carol", &context);
    assert_eq!(none.stderr, "note: no such session is open\n");
    for line in ["session list --since 2h", "session list --past --since yesterday", "session"] {
        assert_eq!(execute_line(line.as_bytes(), &context).status, 2, "{line}");
    }
    assert_eq!(execute_line(b"session list --past", &context).status, 69, "no ledger is kept");
}

#[test]
fn the_one_that_is_named_is_ended_with_a_sentence() {
    let (context, ended) = door();
    let killed = execute_line(b"session kill 7", &context);
    assert_eq!(killed.stdout, "session 7 of alice@laptop is ended\n", "{killed:?}");
    assert_eq!(*ended.lock().unwrap(), [(7, SENTENCE.to_owned())]);
    for (line, status) in [
        // It ended in between.
        ("session kill 8", 3),
        ("session kill 10", 3),
        ("session kill -1", 2),
        ("session kill", 2),
        ("session kill alice", 2),
        ("session play ../7", 2),
        ("session play 7.", 2),
        ("session play 7.x", 2),
        ("session play -7", 2),
    ] {
        assert_eq!(execute_line(line.as_bytes(), &context).status, status, "{line}");
    }
    assert_eq!(ended.lock().unwrap().len(), 2, "nobody else");
}

#[test]
fn a_session_that_ends_ends_those_who_watch_it() {
    let (context, _) = door();
    let watched = execute_line(b"session watch 7", &context);
    assert_eq!((watched.status, watched.stderr.as_str()), (0, "note: session 7 ended\n"));
    for (line, status, said) in [
        ("session watch 7.0", 3, "terminal 7.0 has ended"),
        ("session watch 7 --json", 2, "no JSON"),
        // It ended in between.
        ("session watch 8", 3, "no session 8"),
        ("session watch 10", 3, "no session 10"),
        ("session watch alice", 2, "the number of a session"),
        ("session watch", 2, "ID"),
    ] {
        let run = execute_line(line.as_bytes(), &context);
        let text = format!("{}{}", run.stdout, run.stderr);
        assert!(run.status == status && text.contains(said), "{line}: {run:?}");
    }
    let mut own = (context.sessions.live)().remove(0);
    own.containers.clear();
    let live: LiveSessions = Arc::new(move || vec![own.clone()]);
    let sessions = Sessions { live, ..context.sessions.clone() };
    let environment = Environment { sessions, ..Environment::clone(&context.environment) };
    let context = Context { environment: Arc::new(environment), ..context };
    let console = execute_line(b"session watch 7", &context);
    assert!(console.status == 4 && console.stderr.contains("leads to no container"), "{console:?}");
    let member = Context { principal: member("alice"), ..context };
    assert_eq!(execute_line(b"session watch 7", &member).status, 77);
}

fn record() -> Record {
    let visit = Visit {
        session: 7,
        source: "192.0.2.1:50022".parse().unwrap(),
        actor: Actor { person: "alice@laptop".to_owned(), ..Actor::default() },
        login: "alice".to_owned(),
        target: "alice@alice on spot-1".to_owned(),
        container: Some("alice".parse().unwrap()),
        account: Some("alice".to_owned()),
        client: None,
        chosen_in: None,
    };
    let ended = Ended {
        visit,
        way: Some("direct".to_owned()),
        lasted: std::time::Duration::from_millis(72_500),
        bytes: (0, 0),
        opened: 1,
        channels: Vec::new(),
        last: String::new(),
        by: EndedBy::Sentinel,
        reason: format!("{SENTENCE}\x1b[2J"),
    };
    Record { id: 12, line: Event::Ended(ended).line(at(3600)), hash: [0; 32] }
}

/// The recordings of two sessions.
fn stored() -> Vec<Stored> {
    let stored = |name: &str| Stored { name: name.parse().unwrap(), path: name.into(), bytes: 9 };
    ["20231114T231207Z-7-1.cast", "20231114T231208Z-8-1.cast"].map(stored).to_vec()
}

#[test]
fn a_past_session_is_read_from_its_record() {
    let view = SessionView::past(&record(), &stored()).unwrap();
    assert_eq!(
        view.past_row(),
        [
            "7",
            "2023-11-14 23:12:07",
            "1m",
            "alice@laptop",
            "192.0.2.1",
            "alice@alice on spot-1",
            "sentinel",
            "an administrator ended this session\\u{1b}[2J",
            "7.1"
        ]
    );
    for seconds in ["-1", "1e300", "null"] {
        let mut odd = record();
        odd.line.detail = format!("{{\"seconds\":{seconds}}}");
        assert_eq!(SessionView::past(&odd, &[]).unwrap().past_row()[2], "0s", "{seconds}");
    }
    for (id, shown) in [
        ("alice@laptop", "alice@laptop (certificate)"),
        ("", "alice@laptop (certificate)"),
        ("laptop-7", "alice@laptop (certificate laptop-7)"),
    ] {
        let mut certified = record();
        certified.line.detail = json!({ "certificate": id }).to_string();
        assert_eq!(SessionView::past(&certified, &[]).unwrap().past_row()[3], shown);
    }
    let mut chosen = record();
    chosen.line.session = Some(9);
    assert!(SessionView::past(&chosen, &stored()).unwrap().recordings.is_empty());
    chosen.line.detail = json!({ "chosen_in": 8 }).to_string();
    assert_eq!(SessionView::past(&chosen, &stored()).unwrap().recordings, ["8.1"]);
    let mut nobody = record();
    nobody.line.session = None;
    assert!(SessionView::past(&nobody, &stored()).is_none());
}

/// For the reference.
pub(in crate::command) fn example() -> Value {
    let run = execute_line(b"session list alice --user alice@laptop --json", &door().0);
    serde_json::from_str(&run.stdout).unwrap()
}

pub(in crate::command) fn example_of_past() -> Value {
    json!([SessionView::past(&record(), &stored()).unwrap()])
}
