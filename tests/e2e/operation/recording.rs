//! Recordings: of terminals alone, of those that are meant alone; and a disk that is full.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{fresh, ledger::Disk, log_in};
use crate::console::dialogue::dialogue;
use crate::harness::{Guest, Run, Sentinel, config, label, make_key, world};

/// A sentinel that records labelled containers in this folder.
fn start(name: &str, port: u16, folder: &Path) -> Sentinel {
    let record = format!("[record]\nsessions = \"labelled\"\npath = \"{}\"\n", folder.display());
    let sentinel = Sentinel::start(&world().dir, name, &config(&world().dir, port, &record));
    sentinel.wait_until_listed(&["alice", name]);
    sentinel
}

/// A container that is labelled, and whose owner has its name.
fn labelled(name: &str) -> Guest {
    make_key(&world().dir, name);
    let guest = Guest::new(&world().sentinel, "b1", name, name);
    label("b1", name, "record", "true");
    guest
}

/// Runs a command on a terminal.
fn on_terminal(port: u16, login: &str, command: &str) -> Run {
    world().client(&format!(
        "ssh -F $CFG -tt -p {port} -i $DIR/{login} -l {login} $DOOR '{command}' </dev/null"
    ))
}

/// The recordings in a folder, the oldest first.
fn recordings(folder: &Path) -> Vec<(PathBuf, String)> {
    let files = fs::read_dir(folder).into_iter().flatten();
    let casts = files.map(|file| file.unwrap().path()).filter(|p| p.extension().is_some());
    let mut all: Vec<_> = casts.map(|p| (p.clone(), fs::read_to_string(p).unwrap())).collect();
    all.sort();
    all
}

#[test]
fn terminals_of_labelled_containers_are_recorded_and_nothing_else() {
    let folder = fresh("record").join("recordings");
    let _guest = labelled("recorded");
    let sentinel = start("recorded", 2401, &folder);
    let bulk = log_in(2401, "recorded", "recorded", "echo in bul\"\"k");
    assert_eq!((bulk.stdout.as_str(), bulk.status), ("in bulk\n", 0), "{bulk:?}");
    let run = world().client(
        "echo in bulk >x; scp -OqF $CFG -P 2401 -i $DIR/recorded x recorded@$DOOR:/tmp/x; \
         echo get /tmp/x y | sftp -qF $CFG -P 2401 -i $DIR/recorded -b - recorded@$DOOR; cat y; \
         ssh -F $CFG -tt -p 2401 -i $DIR/alice -l alice $DOOR 'echo of alice' </dev/null",
    );
    assert!(run.stdout.contains("in bulk") && run.stdout.contains("of alice"), "{run:?}");
    let shown = on_terminal(2401, "recorded", "stty size; echo see\"\"n; exit 7");
    assert!(shown.status == 7 && shown.stdout.contains("seen"), "{shown:?}");
    let ended = || recordings(&folder).iter().any(|(_, text)| text.contains("\"m\",\"end\""));
    sentinel.wait("it is written", ended);
    let all = recordings(&folder);
    let [(path, text)] = all.as_slice() else { panic!("{all:?}") };
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(name.ends_with("-1.cast") && !name.contains("recorded"), "{name}");
    assert!(text.contains("seen") && !text.contains("bulk") && !text.contains("alice"), "{text}");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["version"], lines.len() >= 3), (&2.into(), true), "{text}");
    assert_eq!(lines[0]["containarium"]["person"], "recorded@laptop", "{text}");
    let past = sentinel.console(&["session", "list", "recorded", "--past", "-q"]);
    let session = lines[0]["containarium"]["session"].to_string();
    assert!(past.stdout.lines().any(|line| line == session), "{past:?}: {session}");
    let recorded = sentinel.console(&["session", "list", "recorded", "--past", "--json"]);
    assert!(recorded.stdout.contains(&format!("\"recordings\":[\"{session}.1\"]")), "{recorded:?}");
    let listed = world().client(&format!("stat -c %a {0} {0}/*", folder.display()));
    assert_eq!(listed.stdout, "700\n600\n", "{listed:?}");
}

#[test]
fn a_full_disk_ends_the_recording_and_not_the_session_unless_all_have_to_be_recorded() {
    let folder = fresh("record-disk");
    let disk = Disk::mount(folder.clone());
    let _guest = labelled("record-full");
    let sentinel = start("record-full", 2402, &folder);
    let flood = "head -c 3000000 /dev/zero | tr \"\\0\" x; echo; echo all of it";
    let run = on_terminal(2402, "record-full", flood);
    assert!(run.status == 0 && run.stdout.ends_with("\r\nall of it\r\n"), "{}", run.stderr);
    assert_eq!(run.stdout.matches('x').count(), 3_000_000);
    let all = || recordings(&folder);
    sentinel.wait("it says why", || {
        all().iter().any(|(_, text)| text.contains("not recorded from here on: No space left"))
    });

    let status = || sentinel.console(&["status"]).stdout;
    sentinel.wait("it is counted", || status().contains("not whole, since start: 1"));
    let text = fs::read_to_string(&sentinel.config).unwrap();
    fs::write(&sentinel.config, format!("{text}[audit]\nstrict = true\n")).unwrap();
    let reloaded = sentinel.console(&["reload"]);
    assert_eq!(reloaded.status, 0, "{reloaded:?}");
    for (path, _) in all() {
        fs::remove_file(path).unwrap();
    }
    disk.fill();
    let refused = log_in(2402, "record-full", "record-full", "echo in");
    assert!(refused.status == 75 && refused.stdout.is_empty(), "{refused:?}");
    assert!(refused.stderr.contains("sessions are recorded here"), "{refused:?}");
    let said = status();
    let told = "recordings cannot be written since";
    assert!(said.contains(told) && said.contains("No space left"), "{said}");
    // Who is not recorded needs no room.
    let alice = log_in(2402, "alice", "alice", "echo in");
    assert_eq!((alice.stdout.as_str(), alice.status), ("in\n", 0), "{alice:?}");
    disk.make_room();
    let run = log_in(2402, "record-full", "record-full", "echo in");
    assert_eq!((run.stdout.as_str(), run.status), ("in\n", 0), "{run:?}");
    sentinel.wait("it is told that they can", || !status().contains("recordings cannot"));
    let said = status();
    assert!(said.contains("recordings that are not whole, since start: "), "{said}");
    drop(disk);
}

#[test]
fn what_was_chosen_is_on_record_as_a_session_there_with_its_recording() {
    let folder = fresh("record-choice").join("recordings");
    let _first = labelled("rec-choice");
    let _second = Guest::new(&world().sentinel, "b1", "rec-choice-b", "rec-choice");
    let sentinel = start("rec-choice", 2406, &folder);
    sentinel.wait_until_listed(&["rec-choice-b"]);
    let login = "ssh -F $CFG -p 2406 -i $DIR/rec-choice -l whichever -t $DOOR";
    let asked = "Esc leaves): ";
    let run = dialogue(&format!("{login} 'echo he\"\"re; exit 7'"), &[(asked, "1\r")]);
    assert!(run.status == 7 && run.stdout.contains("here"), "{run:?}");
    // Whose person goes away without a word has an end, too.
    let leaving = [(asked, "2\r"), ("here", "kill TERM")];
    let left = dialogue(&format!("{login} 'echo he\"\"re; sleep 1000'"), &leaving);
    assert!(left.status != 0 && left.stdout.contains("here"), "{left:?}");
    let past = |name: &str| -> serde_json::Value {
        let run = sentinel.console(&["session", "list", name, "--past", "--json"]);
        serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"))
    };
    let one = |name: &str| past(name).as_array().is_some_and(|list| list.len() == 1);
    sentinel.wait("both have an end", || one("rec-choice") && one("rec-choice-b"));
    let (first, second) = (past("rec-choice"), past("rec-choice-b"));
    let (reason, by) = (&first[0]["reason"], &first[0]["ended_by"]);
    assert_eq!((reason, by), (&"status 7".into(), &"container".into()), "{first}");
    let said = second[0]["reason"].as_str().unwrap_or_default();
    assert!(said.ends_with(", in which it was chosen, ended"), "{second}");
    let records = sentinel.console(&["audit", "rec-choice", "--kind", "session", "--json"]);
    let records: serde_json::Value =
        serde_json::from_str(&records.stdout).unwrap_or_else(|e| panic!("{e}: {records:?}"));
    let record = &records[0];
    assert_eq!((&record["session"], &record["container"]), (&first[0]["id"], &"rec-choice".into()));
    // It was recorded where it was chosen.
    let recording = format!("{}.1", record["detail"]["chosen_in"]);
    assert_eq!(first[0]["recordings"], serde_json::json!([recording]), "{record}");
    let played = sentinel.console(&["session", "play", &recording]);
    assert!(played.status == 0 && played.stdout.contains("here"), "{played:?}");
}

/// A recording with a pause of an hour in it.
const CAST: &str = "{\"version\":2,\"width\":80,\"height\":24,\"timestamp\":1,\"title\":\"ti\\u001b]0;tle\\u0007\"}
[0.0,\"o\",\"\\u001b[?1049hfir\\u001b[msts\"]
[12.0,\"o\",\"second\"]
[13.0,\"m\",\"7 bytes are missing\"]
[3600.0,\"o\",\"late\"]
[3600.0,\"m\",\"end\"]
";

#[test]
fn a_recording_is_played_paused_and_sought_and_without_a_terminal_it_is_the_file() {
    let folder = fresh("record-play");
    let sentinel = start("alice", 2403, &folder);
    // Of no session that there is, and never too old.
    fs::write(folder.join("20990101T000000Z-9000001-1.cast"), CAST).unwrap();
    let played = |words: &str, steps: &[(&str, &str)]| {
        let ssh = "ssh -t -F $CFG -p 2403 -i $DIR/admin -l admin $DOOR";
        dialogue(&format!("{ssh} session play {words}"), steps)
    };
    let run = played(
        "9000001",
        &[
            ("\x1b[msts", " \x1b[C\x1b[C\x1b[C"),
            ("second", "\x1b[D\x1b[D"),
            // An empty screen, and from the beginning.
            ("\x1b[H\x1b[2J", ""),
            ("\x1b[msts", "x\x1b[?1;2cq"),
        ],
    );
    assert!(run.status == 0 && !run.stdout.contains("late"), "{run:?}");
    let (told, restored) = ("ti\\u{1b}]0;tle\\u{7} on 80x24", "\x1b[?1049l");
    assert!(run.stdout.contains(&told.replace(" on", ", on")), "{run:?}");
    assert!(run.stdout.contains(restored) && !run.stdout.contains("\x1b]0;"), "{run:?}");

    let file = log_in(2403, "admin", "admin", "session play 9000001.1");
    assert_eq!((file.stdout.as_str(), file.status), (CAST, 0), "{file:?}");
    let about = sentinel.console(&["session", "play", "9000001", "--json"]);
    assert!(about.stdout.contains("\"id\":\"9000001.1\""), "{about:?}");
    for (which, said) in [("9000002", "no recording"), ("9000001.2", "no recording")] {
        let none = sentinel.console(&["session", "play", which]);
        assert!(none.status == 3 && none.stderr.contains(said), "{none:?}");
    }
    let record = sentinel.console(&["audit", "--kind", "command", "--json"]);
    assert!(record.stdout.contains("\"session play 9000001\""), "{record:?}");
}
