//! `audit`: what the ledger says of what people did through the door, and that it is whole.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    assert_done, assert_failed, assert_refused, console, dialogue::dialogue, log_in, people,
};
use crate::harness::{Guest, Run, Sentinel, config, world};

/// The records that these words of `audit` mean.
fn records(words: &str) -> Vec<Value> {
    let run = console(&format!("audit {words} --json"));
    assert_done(&run);
    let Ok(Value::Array(records)) = serde_json::from_str(&run.stdout) else { panic!("{run:?}") };
    records
}

/// Waits until there are so many records.
fn wait_for(count: usize, words: &str) -> Vec<Value> {
    let what = format!("{count} records of {words}");
    world().sentinel.wait(&what, || records(words).len() >= count);
    let found = records(words);
    assert_eq!(found.len(), count, "{words}: {found:#?}");
    found
}

fn fingerprint(person: &str) -> String {
    let run = world().client(&format!("ssh-keygen -lf $DIR/{person}.pub | cut -d' ' -f2"));
    run.stdout.trim().to_owned()
}

fn sessions(records: &[Value]) -> BTreeSet<i64> {
    records.iter().map(|record| record["session"].as_i64().unwrap()).collect()
}

#[test]
fn a_session_is_recorded_when_it_is_permitted_and_when_it_ends() {
    let [_, phone] = people(["audrey", "audrey-phone"]);
    let guest = Guest::new(&world().sentinel, "b1", "audit-life", "audrey");
    assert_eq!(log_in("audrey", "audit-life", "echo out; exit 7").status, 7);
    let scp = "printf '%s' 'four' >x; scp -OqF $CFG -i $DIR/audrey x audit-life@$DOOR:/tmp/in-scp; \
               echo put x /tmp/in-sftp | sftp -qF $CFG -i $DIR/audrey -b - audit-life@$DOOR; \
               ssh -F $CFG -i $DIR/audrey -l audit-life -W localhost:22 $DOOR </dev/null | head -c 4; \
               ssh -F $CFG -i $DIR/audrey -l audit-life -W localhost:1 $DOOR </dev/null";
    let run = world().client(scp);
    assert!(run.stdout.contains("SSH-"), "{run:?}");

    // As they began: the end of one may be noticed after the next has ended.
    let mut ended = wait_for(5, "audit-life --kind session");
    ended.sort_by_key(|record| record["session"].as_i64());
    let login = wait_for(5, "audit-life --kind login");
    assert_eq!(sessions(&ended).len(), 5);
    assert_eq!(sessions(&ended), sessions(&login), "each has its two records");
    let key = fingerprint("audrey");
    for record in ended.iter().chain(&login) {
        assert_eq!(record["person"], "audrey@laptop", "{record}");
        assert_eq!(
            (&record["key"], &record["container"]),
            (&key.clone().into(), &"audit-life".into())
        );
        assert!(record["source"].as_str().unwrap().starts_with("192.0.2."), "{record}");
        assert_eq!(record["detail"]["account"], "audrey", "{record}");
        assert_eq!(record["detail"]["login"], "audit-life", "{record}");
    }
    let first = &ended[0]["detail"];
    let exec = serde_json::json!({
        "type": "session", "request": "exec", "what": "echo out; exit 7", "exit": "7",
    });
    assert_eq!(first["channels"], serde_json::json!([exec]), "{first}");
    assert_eq!((&first["bytes_out"], &first["ended_by"]), (&4.into(), &"client".into()), "{first}");
    assert!(first["seconds"].as_f64().is_some() && first["way"].is_string(), "{first}");
    let channel = |number: usize, key: &str| ended[number]["detail"]["channels"][0][key].clone();
    assert!(channel(1, "what").as_str().unwrap().ends_with("-t /tmp/in-scp"), "{}", ended[1]);
    assert_eq!((channel(2, "request"), channel(2, "what")), ("subsystem".into(), "sftp".into()));
    assert_eq!(channel(3, "what"), "localhost:22", "{}", ended[3]);
    assert_eq!((channel(4, "what"), channel(4, "refused")), ("localhost:1".into(), true.into()));

    // Commands are recorded without keys, and with what came of them.
    let added = console(&format!("key add audit-life \"{phone}\""));
    assert_done(&added);
    let commands = wait_for(1, "audit-life --kind command");
    let text = commands[0]["detail"]["command"].as_str().unwrap();
    assert_eq!(text, format!("key add audit-life {}", fingerprint("audrey-phone")));
    assert_eq!(
        (&commands[0]["detail"]["status"], &commands[0]["person"]),
        (&0.into(), &"admin@laptop".into())
    );
    drop(guest);
}

/// What a session's first channel did with files, a line for each.
fn files(record: &Value) -> Vec<String> {
    let list = record["detail"]["channels"][0]["files"]["list"].as_array().cloned();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let one = |file: Value| {
        let keys = ["action", "name", "to", "bytes", "size", "part", "refused"];
        let parts: Vec<_> = keys.iter().filter(|key| !file[**key].is_null()).collect();
        parts.into_iter().map(|key| text(&file[*key])).collect::<Vec<_>>().join(" ")
    };
    list.unwrap_or_default().into_iter().map(one).collect()
}

#[test]
fn files_that_sftp_and_scp_move_are_recorded_by_name_and_size() {
    let [_] = people(["filippa"]);
    let guest = Guest::new(&world().sentinel, "b1", "audit-files", "filippa");
    let run = world().client(
        r#"with="-F $CFG -i $DIR/filippa"; there=audit-files@$DOOR
        head -c 300000 /dev/zero >big; mkdir tree; echo one >"tree/a b"; : >tree/none
        printf 'put big /tmp/big\nget /tmp/big back\nrename /tmp/big /tmp/bigger\n-rm /tmp/gone\n' >batch
        echo 'rm /tmp/bigger' >>batch
        sftp -q $with -b batch $there
        scp -q -s $with big $there:/tmp/new
        scp -q -O -r $with tree $there:/tmp/
        scp -q -O $with $there:/tmp/new back
        # Somebody's own script, which breaks off.
        printf 'C0644 1000 cut\nabc' | ssh $with $there 'scp -t /tmp/cut'
        puttygen $DIR/filippa -o key.ppk -O private
        print=$(ssh-keygen -lf $DIR/keys/ssh_host_ed25519_key.pub | cut -d' ' -f2)
        printf 'put big /tmp/p\nget /tmp/p back\nmv /tmp/p /tmp/q\nrm /tmp/q\nquit\n' >batch
        psftp -batch -hostkey $print -i key.ppk -b batch $there
        cmp big back && echo same"#,
    );
    assert!(run.stdout.ends_with("same\n"), "{run:?}");
    let mut ended = wait_for(6, "audit-files --kind session");
    ended.sort_by_key(|record| record["session"].as_i64());
    let expected: [&[&str]; 6] = [
        &[
            "put /tmp/big 300000",
            "get /tmp/big 300000",
            "rename /tmp/big /tmp/bigger",
            "remove /tmp/gone true",
            "remove /tmp/bigger",
        ],
        &["put /tmp/new 300000"],
        &["put tree/a b 4", "put tree/none 0"],
        &["get new 300000"],
        &["put cut 3 1000 true"],
        &["put /tmp/p 300000", "get /tmp/p 300000", "rename /tmp/p /tmp/q", "remove /tmp/q"],
    ];
    for (record, expected) in ended.iter().zip(expected) {
        let mut found = files(record);
        // In which order a tree is sent is the client's file system's.
        if expected.iter().any(|line| line.contains("tree/")) {
            found.sort();
        }
        assert_eq!(found, expected, "{record:#}\n{run:?}");
        let files = &record["detail"]["channels"][0]["files"];
        assert!(files["unfollowed"].is_null() && files["more"].is_null(), "{record:#}");
    }
    assert_eq!(ended[4]["detail"]["channels"][0]["files"]["list"][0]["part"], true);
    assert_eq!(ended[0]["detail"]["channels"][0]["files"]["list"][3]["refused"], true);
    let table = console("audit audit-files --kind session");
    assert!(
        table.stdout.contains(
            "subsystem sftp [0], put 1 file of 292.9KiB, got 1 file of 292.9KiB, 2 changed;"
        ),
        "{table:?}"
    );
    drop(guest);
}

#[test]
fn refusals_are_recorded_and_nobody_writes_lines_of_hers_into_the_ledger() {
    let [_] = people(["amelia"]);
    // One of its own: beyond 600 refusals, which the suite may come to, they are only counted.
    let text = config(&world().dir, 2396, "");
    let sentinel = Sentinel::start(&world().dir, "audit-refused", &text);
    let shown = |who: &str, more: &[&str]| {
        let run =
            sentinel.console(&[&["audit", "--kind", "refused", "--user", who], more].concat());
        assert_done(&run);
        run
    };
    let go = "ssh -p 2396 -i $DIR/amelia -F";
    assert_refused(&world().client(&format!("{go} $CFG -l audit-nobody $DOOR true")));
    let count = |who: &str| shown(who, &["-q"]).stdout.lines().count();
    sentinel.wait("it is there", || count("audit-nobody") == 1);
    let refused = shown("audit-nobody", &["--json"]);
    let refused: Value = serde_json::from_str(&refused.stdout).unwrap();
    assert_eq!(
        (&refused[0]["key"], &refused[0]["detail"]["attempts"]),
        (&fingerprint("amelia").into(), &1.into())
    );
    assert_eq!(refused[0]["person"], Value::Null, "{}", refused[0]);

    // A client's own configuration may say any name, if it is on one line.
    let run = world().client(&format!(
        "printf 'User \"audit Failed password for root from 1.2.3.4 port 22 ssh2\\x1b[2J\\xe2\\x80\\xae\"\\n' >cfg; \
         echo \"Include $CFG\" >>cfg; {go} $PWD/cfg $DOOR true",
    ));
    assert_refused(&run);
    let amelia = fingerprint("amelia");
    sentinel.wait("both are there", || count(&amelia) == 2);
    let table = shown(&amelia, &[]);
    assert_eq!(table.stdout.lines().count(), 3, "a heading and two lines: {table:?}");
    assert!(
        table.stdout.contains(
            "as audit Failed password for root from 1.2.3.4 port 22 ssh2\\u{1b}[2J\\u{202e}: "
        ),
        "{table:?}"
    );
    let json = shown(&amelia, &["--json"]);
    assert!(json.stdout.is_ascii() && json.stdout.lines().count() == 1, "{json:?}");
}

#[test]
fn the_ledger_is_followed_verified_and_asked_in_vain() {
    let verified = console("audit verify --json");
    assert_done(&verified);
    let value: Value = serde_json::from_str(&verified.stdout).unwrap();
    assert!(value["intact"] == true && value["records"].as_i64() > Some(0), "{verified:?}");
    assert_done(&console("audit verify"));

    let run: Run = world().client(
        "ssh -F $CFG sentinel audit --follow --json --kind command >out &\n\
         until ssh -F $CFG sentinel stop audit-unheard-of; grep -q 'audit-unheard-of.*}$' out; do\n\
         kill -0 $! || exit 99; sleep 0.05; done\n\
         kill $!; wait $!; grep -m1 audit-unheard-of out",
    );
    let line: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"));
    assert_eq!(
        (&line["container"], &line["detail"]["status"]),
        (&"audit-unheard-of".into(), &3.into())
    );

    let none = console("audit audit-nothing");
    assert!(none.status == 0 && none.stdout.is_empty(), "{none:?}");
    assert!(none.stderr.contains("nothing like that is recorded"), "{none:?}");
    assert_failed(&console("audit --since yesterday"), 2, &["a time is written"]);
    assert_failed(&console("audit --kind logins"), 2, &["login"]);
    assert_failed(&console("audit --limit 0"), 2, &[]);
    let alice = log_in("alice", "alice", "true");
    assert_done(&alice);
    assert_eq!(records("--limit 3").len(), 3);
    assert_eq!(records("--until 2020-01-01"), Vec::<Value>::new());
}

#[test]
fn a_command_is_recorded_though_the_connection_is_cut_while_it_runs() {
    let [_] = people(["audcut"]);
    let guest = Guest::new(&world().sentinel, "b1", "audit-cut", "audcut");
    let run = dialogue("ssh -tt -F $CFG sentinel delete audit-cut", &[("[y/N] ", "kill KILL")]);
    assert!(run.stdout.contains("delete audit-cut of audcut"), "{run:?}");
    let records = wait_for(1, "audit-cut --kind command");
    let detail = &records[0]["detail"];
    assert_eq!((&detail["command"], &detail["status"]), (&"delete audit-cut".into(), &130.into()));
    assert_eq!(detail["failure"], "its session ended before it did", "{records:?}");
    drop(guest);
}
