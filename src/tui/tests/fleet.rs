//! A fleet as somebody may have it: 30 containers on four hosts, one of which is down.

use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::{
    command::{
        LiveSession,
        failure::{Failure, Kind},
        report::{Field, Part, Report, Table},
        testing,
    },
    fleet::usage::{POINTS, Point, Usage, Use},
    guard::book::{Cause, Entry, Id},
    health::{CheckHealth, Health, HostHealth, machine},
    model::{
        check::Check,
        container::{Container, Status},
        inventory::{Backend, Inventory, Presence},
    },
    tui::{choices::hosts, keymap::Tab, shared::Shared, table::Row},
};

/// Name, owner, host, processors, memory and disk; stopped ones have a name in capitals.
const CONTAINERS: &[(&str, &str, &str, &str, &str, &str)] = &[
    ("alice", "alice", "tank-1", "4", "8GiB", "50GiB"),
    ("anna-thesis", "anna", "tank-1", "2", "4GiB", "20GiB"),
    ("archive", "ops", "attic", "1", "1GiB", "500GiB"),
    ("bob", "bob", "tank-1", "2", "4GiB", "20GiB"),
    ("build-arm", "ci", "forge", "0-3", "16GiB", "100GiB"),
    ("build-x86", "ci", "forge", "8", "16GiB", "100GiB"),
    ("carol", "carol", "tank-2", "2", "4GiB", "20GiB"),
    ("course-01", "student01", "tank-2", "1", "1GiB", "5GiB"),
    ("course-02", "student02", "tank-2", "1", "1GiB", "5GiB"),
    ("course-03", "student03", "tank-2", "1", "1GiB", "5GiB"),
    ("course-04", "student04", "tank-2", "1", "1GiB", "5GiB"),
    ("course-05", "student05", "tank-2", "1", "1GiB", "5GiB"),
    ("course-06", "student06", "tank-2", "1", "1GiB", "5GiB"),
    ("dave", "dave", "tank-1", "2", "4GiB", "20GiB"),
    ("DOCS-PREVIEW", "web", "tank-2", "1", "512MiB", "5GiB"),
    ("erin", "erin", "attic", "2", "4GiB", "20GiB"),
    ("frank", "frank", "tank-1", "2", "4GiB", "20GiB"),
    ("gitea", "ops", "forge", "2", "2GiB", "200GiB"),
    ("GRACE", "grace", "tank-2", "2", "4GiB", "20GiB"),
    ("heidi", "heidi", "tank-1", "2", "4GiB", "20GiB"),
    ("ivan-gpu", "ivan", "forge", "16", "64GiB", "1TiB"),
    ("judy", "judy", "tank-2", "2", "4GiB", "20GiB"),
    ("mallory", "mallory", "tank-1", "1", "1GiB", "10GiB"),
    ("matrix", "ops", "tank-2", "2", "4GiB", "80GiB"),
    ("niaj", "niaj", "attic", "2", "4GiB", "20GiB"),
    ("olivia", "olivia", "tank-1", "2", "4GiB", "20GiB"),
    ("peggy", "peggy", "tank-2", "2", "4GiB", "20GiB"),
    ("STAGING", "web", "tank-1", "2", "4GiB", "40GiB"),
    ("web", "web", "tank-1", "4", "8GiB", "40GiB"),
    ("zoe-with-a-rather-long-name", "zoe", "tank-2", "2", "4GiB", "20GiB"),
];

pub(super) fn now() -> Timestamp {
    testing::at(40 * 86_400)
}

fn ago(seconds: i64) -> Timestamp {
    testing::at(40 * 86_400 - seconds)
}

pub(super) fn facts(look: Look) -> Facts {
    let (inventory, health) = (inventory(), health());
    let (sessions, bans) = (sessions(), bans());
    let usage = usage(&inventory);
    let (inventory, usage, health) = (&inventory, &usage, &health);
    let (sessions, bans) = (&sessions[..], &bans[..]);
    let sources = Sources { inventory, usage, health, sessions, bans, now: now() };
    let choices = choices(inventory);
    let (rows, about) = Reader::default().read(&sources, look);
    Facts {
        sentinel: "sentinel.example.org".to_owned(),
        person: "ops".to_owned(),
        alarms: vec!["backend attic is away for 40m: connection timed out".to_owned()],
        rows,
        about,
        choices,
    }
}

fn choices(inventory: &Inventory) -> Choices {
    let (hosts, emptiest) = hosts(inventory);
    let words = |words: &str| words.split(' ').map(str::to_owned).collect();
    Choices {
        image: "images:ubuntu/24.04".to_owned(),
        systems: words("debian12 rhel9 rocky9 ubuntu24"),
        stacks: words(
            "base docker go java jupyter kubernetes latex node php podman postgres python r ruby rust",
        ),
        limits: ["2", "4GiB", "20GiB"].map(str::to_owned),
        hosts,
        emptiest,
    }
}

fn inventory() -> Inventory {
    let up = |seconds| Presence::Up { since: ago(seconds) };
    let reason = "connection timed out".to_owned();
    let gib = |used: u64, total: u64| Some((used << 30, total << 30));
    let hosts = [
        ("tank-1", up(12 * 86_400), Some(32), gib(71, 128), gib(900, 1800), false),
        ("tank-2", up(12 * 86_400), Some(32), gib(31, 128), gib(400, 1800), false),
        ("forge", up(3 * 3600), Some(64), gib(240, 256), gib(3400, 3600), true),
        (
            "attic",
            Presence::Away { since: ago(2400), reason },
            Some(8),
            gib(9, 16),
            gib(610, 8000),
            false,
        ),
    ];
    let hosts = hosts.map(|(name, presence, cpus, memory, disk, drained)| {
        let containers = CONTAINERS.iter().filter(|(_, _, host, ..)| *host == name);
        let containers = containers.enumerate().map(container).collect();
        let backend = Backend::clone(&testing::backend(name, presence, containers));
        let version = Some("6.0.4".to_owned());
        Arc::new(Backend { version, cpus, memory, disk, drained, ..backend })
    });
    Inventory::new(hosts.into())
}

fn container(
    (i, (name, owner, host, cpu, memory, disk)): (usize, &(&str, &str, &str, &str, &str, &str)),
) -> Container {
    let is_stopped = name.starts_with(char::is_uppercase);
    let address = format!("10.{}.3.{}", host.len(), 10 + i);
    let mut made = testing::container(
        &name.to_lowercase(),
        host,
        Some(address.as_str()).filter(|_| !is_stopped),
    );
    made.owner = owner.parse().unwrap();
    if is_stopped {
        (made.status, made.hold) = (Status::Stopped, *name == "GRACE");
    }
    if *name == "frank" {
        made.status = Status::Frozen;
    }
    let created = ago(86_400 * (3 + 7 * i64::try_from(i).unwrap())).to_string();
    let config = [
        ("limits.cpu", *cpu),
        ("limits.memory", *memory),
        ("root.size", *disk),
        ("user.containarium.created-at", created.as_str()),
    ];
    made.config.extend(config.map(|(key, value)| (key.to_owned(), value.to_owned())));
    made
}

/// What containers use: some much, some little; the one that has not been asked yet is bob.
fn usage(inventory: &Inventory) -> Usage {
    let mut usage = Usage::default();
    for (i, container) in (0_u64..).zip(inventory.containers()) {
        if container.name.as_str() == "bob" {
            continue;
        }
        let cpu = u8::try_from(i * 37 % 101).unwrap();
        let beat = |j: usize| {
            let wave = u8::try_from((j * 7 + usize::from(cpu)) % 60).unwrap();
            Point { cpu: (j > 3).then_some(wave), memory: 30 + wave / 10 }
        };
        let size = |key: &str| container.config[key].parse::<crate::model::size::Size>().unwrap();
        let [memory, disk] = ["limits.memory", "root.size"].map(|key| size(key).bytes());
        let used = Use {
            cpu: Some(cpu),
            memory: Some((memory * (i * 13 % 100) / 100, memory)),
            disk: Some((disk * (i * 29 % 99) / 100, Some(disk))),
            history: (0..POINTS).map(beat).collect(),
        };
        usage = usage.with(&container.backend, &container.name, used);
    }
    usage
}

fn health() -> Health {
    let beats = |missed: &[usize], millis: u64| {
        let beat = |i| {
            (!missed.contains(&i))
                .then(|| Duration::from_millis(millis * (1 + (i as u64 * 7) % 13)))
        };
        (0..60).map(beat).collect()
    };
    let host = |state, history, since| HostHealth {
        state,
        since,
        checks: vec![CheckHealth { check: Check::Ssh(22), state, history }],
    };
    let lost: Vec<usize> = (20..60).collect();
    let hosts = [
        ("tank-1", host(machine::State::Up, beats(&[], 1), ago(12 * 86_400))),
        ("tank-2", host(machine::State::Up, beats(&[31], 2), ago(12 * 86_400))),
        ("forge", host(machine::State::Suspect(1), beats(&[57], 30), ago(3 * 3600))),
        ("attic", host(machine::State::Down, beats(&lost, 4), ago(2400))),
    ];
    Health { hosts: hosts.map(|(name, host)| (name.parse().unwrap(), host)).into() }
}

fn sessions() -> Vec<LiveSession> {
    let session =
        |(id, seconds, person, source, target, open): (u64, i64, &str, &str, &str, bool)| {
            LiveSession {
                id,
                open,
                since: ago(seconds),
                person: person.to_owned(),
                key: None,
                certificate: None,
                source: source.parse().unwrap(),
                target: target.to_owned(),
                containers: vec![target.parse().unwrap()],
                account: None,
            }
        };
    let sessions = [
        (8812, 9 * 3600, "alice@laptop", "192.0.2.10:50122", "alice", true),
        (8901, 4000, "anna@desk", "198.51.100.7:40022", "anna-thesis", true),
        (8931, 700, "alice@laptop", "192.0.2.10:50990", "alice", true),
        (8940, 95, "ci@runner-3", "[2001:db8::77]:39111", "build-x86", true),
        (8944, 31, "erin@phone", "203.0.113.80:61001", "erin", false),
        (8945, 4, "student04@lab", "192.0.2.64:42000", "course-04", true),
    ];
    sessions.map(session).into()
}

fn bans() -> Vec<Entry> {
    let entry = |(network, id, age, left, cause): (&str, u32, u64, Option<u64>, Cause)| Entry {
        network: network.parse().unwrap(),
        id: Id::new(id),
        age: Duration::from_secs(age),
        left: left.map(Duration::from_secs),
        over: Duration::ZERO,
        cause,
    };
    let failures = |failures, strikes| Cause::Failures { failures, strikes, told: true };
    vec![
        entry(("203.0.113.9/32", 88_123, 60, Some(240), failures(5, 1))),
        entry(("198.51.100.0/24", 90_411, 3600 * 7, Some(3600 * 17), failures(12, 4))),
        entry((
            "2001:db8:bad::/64",
            91_002,
            86_400 * 3,
            None,
            Cause::Administrator("ops".to_owned()),
        )),
    ]
}

/// What is asked for, answered.
pub(super) fn answer(words: &[String]) -> Result<Arc<Report>, Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["audit", "--kind", "refused", ..] => Ok(Arc::new(refused())),
        ["audit", "--kind", ..] => Ok(Arc::new(incidents())),
        ["audit", ..] => Ok(Arc::new(ledger())),
        ["backend", "info", _] => Ok(Arc::new(host())),
        ["session", "list", ..] => Ok(Arc::new(past())),
        ["info", "alice"] => Ok(Arc::new(info())),
        ["image", "list"] => Ok(Arc::new(testing::images(["tank-1", "forge"], "attic"))),
        ["info", name] => Err(Failure::new(Kind::NotFound, format!("no container named \"{name}\""))
            .hint("`list` shows the containers")),
        ["ban", "why", _] => Err(Failure::new(
            Kind::Unavailable,
            "the book of the guard cannot be read: the disk of the sentinel at /var/lib/containarium is \
             full, and what was written last is not what is known now",
        )
        .hint("`status` says what is wrong; remove what is not needed from that disk, then `reload`")),
        _ => Ok(Arc::new(Report::default().part(Part::Text(words.join(" "))))),
    }
}

fn table(columns: &'static [&'static str], rows: &[&[&str]]) -> Report {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
    let names = rows.iter().map(|row| row[0].clone()).collect();
    Report::default().part(Part::Table(Table { columns, rows })).names(names)
}

/// Connections that ended without a login: who, from where, with how many tries, by what, and why.
fn refused() -> Report {
    let scanner = "SSH-2.0-libssh_0.9.6";
    let key = Some("SHA256:QmlnIHRyZWVzIGdyb3cgZnJvbSBzbWFsbCBzZWVkcywgYW4");
    let known = [
        (31, 9000, "203.0.113.9", "root", 0, scanner, "closed", None),
        (38, 1300, "2001:db8:77::9", "alice", 3, "SSH-2.0-OpenSSH_9.9", "closed", key),
        (40, 71, "203.0.113.9", "root", 1, scanner, "login grace time is over", None),
        (42, 64, "203.0.113.9", "oracle", 0, scanner, "closed", None),
        (47, 7, "192.0.2.33", "bob@old-laptop", 12, "SSH-2.0-PuTTY_0.81", "closed", key),
    ];
    let (mut rows, mut json) = (Vec::new(), Vec::new());
    for (id, seconds, source, login, attempts, client, reason, key) in known {
        let (at, what) = (ago(seconds), format!("as {login}: {reason}"));
        let time = at.strftime("%F %T").to_string();
        let id_text = id.to_string();
        let cells = [&id_text, &time, "refused", "", source, "", &what];
        rows.push(cells.map(str::to_owned).to_vec());
        let detail = serde_json::json!({
            "login": login, "attempts": attempts, "client": client, "reason": reason,
            "port": 40_000 + id, "counts": "failure",
        });
        json.push(serde_json::json!({
            "id": id, "at": at, "kind": "refused", "session": 8000 + id, "source": source,
            "key": key, "detail": detail,
        }));
    }
    let names = rows.iter().map(|row| row[0].clone()).collect();
    let table = Table { columns: &[], rows };
    let report = Report { json: json.into(), ..Report::default() };
    report.part(Part::Table(table)).names(names)
}

fn ledger() -> Report {
    table(
        &["ID", "TIME", "KIND", "WHO", "FROM", "CONTAINER", "WHAT"],
        &[
            &[
                "41",
                "2023-12-24 20:11:02",
                "login",
                "alice@laptop",
                "192.0.2.10",
                "alice",
                "ssh, key SHA256:9f8h",
            ],
            &[
                "42",
                "2023-12-24 20:31:40",
                "refused",
                "root",
                "203.0.113.9",
                "",
                "no such name or key; 5 of 5 tries",
            ],
            &[
                "43",
                "2023-12-24 20:31:40",
                "ban",
                "",
                "203.0.113.9",
                "",
                "203.0.113.9/32 for 5m: 5 failed logins",
            ],
            &[
                "44",
                "2023-12-24 21:02:11",
                "command",
                "ops",
                "192.0.2.2",
                "bob",
                "resize bob memory 8GiB",
            ],
            &[
                "45",
                "2023-12-24 21:33:20",
                "host",
                "",
                "",
                "",
                "attic is down: connection timed out",
            ],
            &[
                "46",
                "2023-12-24 22:13:16",
                "login",
                "student04@lab",
                "192.0.2.64",
                "course-04",
                "sftp, 14 files, 2.1MiB",
            ],
        ],
    )
}

fn incidents() -> Report {
    let row = |time, kind, what| ["7", time, kind, "", "", "", what];
    let rows = [
        row("2023-12-12 19:58:00", "host", "tank-1 is down: connection timed out"),
        row(
            "2023-12-12 19:58:01",
            "recovery",
            "tank-1: asked gce to start instance tank-1 in zone europe-west4-b of project containers",
        ),
        row("2023-12-12 20:01:12", "host", "tank-1 is up"),
        row("2023-12-24 21:33:20", "host", "attic is down: connection timed out"),
    ];
    let columns = &["ID", "TIME", "KIND", "WHO", "FROM", "CONTAINER", "WHAT"];
    table(columns, &rows.each_ref().map(<[&str; 7]>::as_slice))
}

fn host() -> Report {
    let fields = vec![
        Field::one("Name", "tank-1"),
        Field::many("Host", vec!["ssh:22 up, 3ms".to_owned(), "incus up, 11ms".to_owned()]),
        Field::one("Recovery", "gce, not needed since 2023-12-12 20:01"),
        Field::one("Address", "containarium@tank-1.example.org:22 by SSH"),
        Field::one("System", "Debian GNU/Linux 12 (bookworm), Linux 6.1.0-28-cloud-amd64, x86_64"),
        Field::one("Storage", "default (btrfs) 900GiB of 1.7TiB"),
        Field::many("Half made", vec!["nina: removed by `delete nina --force`".to_owned()]),
    ];
    Report::default().part(Part::Fields(fields)).note(
        "the certificate of www.example.org ends in 3 days and was not renewed: connection refused",
    )
}

fn past() -> Report {
    table(
        &["ID", "BEGAN", "LASTED", "WHO", "FROM", "TO", "ENDED BY", "WHY", "RECORDED"],
        &[
            &[
                "8790",
                "2023-12-24 17:01",
                "3h",
                "bob@tower",
                "192.0.2.33",
                "bob",
                "person",
                "",
                "1",
            ],
            &[
                "8811",
                "2023-12-24 19:40",
                "12m",
                "judy@desk",
                "192.0.2.35",
                "judy",
                "person",
                "",
                "",
            ],
        ],
    )
}

fn info() -> Report {
    let field = |label, values: &[&str]| Field {
        label,
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    let key = "SHA256:9f8hPtYtSuXyzFvB7ccmW8j0gqW1mUZzzW4c0qTuoxs (ed25519)";
    let fields = vec![
        field("Name", &["alice"]),
        field("Owner", &["alice"]),
        field("State", &["running"]),
        field("Backend", &["tank-1 (pool default)"]),
        field("Address", &["10.6.3.10", "fd00::10"]),
        field("CPU", &["12% (limit 4)"]),
        field("Memory", &["2.3GiB / 8GiB"]),
        field("Disk", &["31GiB / 50GiB (62%)"]),
        field("Image", &["Ubuntu noble amd64 (20231201_07:42)"]),
        field(
            "Keys",
            &[key, "SHA256:QmlnIHRyZWVzIGdyb3cgZnJvbSBzbWFsbCBzZWVkcywgYW4 (rsa) alice@tower"],
        ),
        field("Collaborators", &["dave (sudo)", &format!("  {key} dave@desk")]),
    ];
    let json = serde_json::json!({
        "name": "alice", "backend": "tank-1", "cpu": "4", "memory": "8GiB", "disk": "50GiB",
        "collaborators": [{"login": "dave"}],
        "keys": [{"fingerprint": "SHA256:9f8hPtYtSuXyzFvB7ccmW8j0gqW1mUZzzW4c0qTuoxs", "comment": "alice@laptop"}],
        "live": {
            "memory_bytes": 2_469_606_195_u64, "memory_total_bytes": 8_u64 << 30,
            "disk_bytes": 31_u64 << 30, "disk_total_bytes": 50_u64 << 30,
        },
    });
    Report { json, ..Report::default().part(Part::Fields(fields)) }
}

/// Limits of each, for those who need only some.
pub(super) fn rows(count: usize) -> BTreeMap<Tab, Shared<Row>> {
    let names: Vec<String> = (0..count).map(|i| format!("box-{i:04}")).collect();
    let containers: Vec<_> =
        names.iter().map(|name| testing::container(name, "tank-1", Some("10.0.0.9"))).collect();
    let host = testing::backend("tank-1", Presence::Up { since: ago(60) }, containers);
    let inventory = Inventory::new(vec![host]);
    let (usage, health, sessions, bans) = (Usage::default(), Health::default(), [], []);
    let sources = Sources {
        inventory: &inventory,
        usage: &usage,
        health: &health,
        sessions: &sessions,
        bans: &bans,
        now: now(),
    };
    Reader::default().read(&sources, UNICODE).0
}
