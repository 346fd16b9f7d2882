//! What is listed of what backends say, and of those that say nothing.

use std::{future::pending, io};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    sync::Mutex,
    task::JoinSet,
};

use super::*;
use crate::{
    command::{
        render::{Format, outcome},
        testing::{admin, config, context, execute_line},
    },
    config::Create,
    link::{Dial, Stream},
};

/// As Incus 6.0.4 says it of one that was imported as `name`.
fn imported(name: &str, fingerprint: &str, bytes: u64) -> Value {
    json!({
        "aliases": [{"description": "", "name": name}], "architecture": "x86_64",
        "auto_update": false, "cached": false, "created_at": "2026-11-23T17:23:48Z",
        "expires_at": "0001-01-01T00:00:00Z", "fingerprint": fingerprint, "profiles": ["default"],
        "properties": {"description": "Containarium test image", "os": "Debian"},
        "public": false, "size": bytes, "type": "container",
        "uploaded_at": "2026-11-23T17:37:33.214882947Z",
    })
}

/// The same of one that it fetched for a container.
fn fetched() -> Value {
    json!({
        "aliases": [], "architecture": "x86_64", "cached": true,
        "created_at": "2026-11-01T00:00:00Z", "fingerprint": "66ead7e9d59b".repeat(5) + "0e42",
        "properties": {
            "architecture": "amd64", "description": "Ubuntu noble amd64 (20261101_07:42)",
            "os": "Ubuntu", "release": "noble",
        },
        "size": 131_072_000, "type": "container",
    })
}

fn said(backend: &str, images: &[Value]) -> Answer {
    let images = serde_json::from_value(Value::from(images)).unwrap();
    Answer { backend: backend.parse().unwrap(), images: Ok(images) }
}

fn silent(backend: &str) -> Answer {
    let message = format!("backend {backend} is away: connection refused");
    let failure = Failure::new(Kind::Unavailable, message);
    Answer { backend: backend.parse().unwrap(), images: Err(failure) }
}

fn create() -> Create {
    config().borrow().create.clone()
}

/// What is said of two backends that have images and one that is away.
pub(in super::super) fn example([first, second]: [&str; 2], away: &str) -> Result<Report, Failure> {
    let (small, debian) = ("177ba4eb66ae".repeat(5) + "75de", "41ac892115f0".repeat(5) + "d435");
    let (small, debian) =
        (imported("small", &small, 8_751_104), imported("debian", &debian, 78_809_088));
    let answers = [said(first, &[small, debian.clone(), fetched()]), said(second, &[debian])];
    let answers: Vec<_> = answers.into_iter().chain([silent(away)]).collect();
    View::new(&answers, &create()).report()
}

#[test]
fn images_are_listed_by_what_create_takes_with_all_backends_that_have_them() {
    let report = example(["b1", "b2"], "b3");
    let plain = outcome(&report, Format::Plain);
    let expected = "\
IMAGE         BACKENDS  DESCRIPTION              ARCH    SIZE     DATE
debian        b1, b2    Containarium test image  x86_64  75.1MiB  2026-11-23
small         b1        Containarium test image  x86_64  8.3MiB   2026-11-23
66ead7e9d59b  b1        Ubuntu noble             x86_64  125MiB   2026-11-01

OS-TYPE    IMAGE                BACKENDS
(default)  images:ubuntu/24.04  any
alpine     images:alpine/3.22   any
debian12   images:debian/12     any
rhel9      rhel9                not known
rocky9     images:rockylinux/9  any
ubuntu24   images:ubuntu/24.04  any
";
    assert_eq!(plain.stdout, expected);
    let note = "note: backend b3 is away: connection refused; what it has is not shown\n";
    assert_eq!((plain.stderr.as_str(), plain.status), (note, 0));
    assert_eq!(outcome(&report, Format::Quiet).stdout, "debian\nsmall\n66ead7e9d59b\n");
}

#[test]
fn one_name_of_several_images_has_a_row_for_each() {
    let (old, new) = ("a".repeat(64), "b".repeat(64));
    let answers = [
        said("b1", &[imported("debian", &old, 1)]),
        said("b2", &[imported("debian", &new, 2)]),
        said("b3", &[imported("debian", &old, 1)]),
    ];
    let create = Create { image: "debian".parse().unwrap(), ..create() };
    let report = View::new(&answers, &create).report().unwrap();
    let images: Vec<_> = report.json["images"].as_array().unwrap().iter().collect();
    let backends: Vec<_> = images.iter().map(|image| image["backends"].to_string()).collect();
    assert_eq!(backends, [r#"["b1","b3"]"#, r#"["b2"]"#]);
    assert_eq!(report.names, ["debian"]);
    assert_eq!(report.json["default"], json!({"image": "debian", "backends": ["b1", "b3", "b2"]}));
    let rhel = &report.json["systems"][2];
    assert_eq!(*rhel, json!({"name": "rhel9", "image": "rhel9", "backends": []}));
}

#[test]
fn a_hostile_backend_names_nothing_that_cannot_be_typed_and_steers_no_terminal() {
    let nasty = "\x1b[2J\u{202e}x";
    let mut machine = imported("a-machine", &"c".repeat(64), 1);
    machine["type"] = "virtual-machine".into();
    let mut image = imported(nasty, &"d".repeat(64), u64::MAX);
    let alias = |name: &str| json!({"name": name, "description": nasty});
    let names = ["--force", "a b", "own:x", "local:x", "0123456789abcdef", "", "fine/1.0"];
    image["aliases"] = names.map(alias).to_vec().into();
    image["properties"] = json!({"os": nasty, "release": "r".repeat(10_000)});
    (image["architecture"], image["created_at"]) = (nasty.into(), nasty.into());
    let unnamed = [nasty, "", "short", "ZZZZZZZZZZZZZZZZ"].map(
        |fingerprint| json!({"fingerprint": fingerprint, "type": "container", "aliases": null}),
    );
    let many: Vec<_> =
        (0..1200).map(|i| imported(&format!("m{i:04}"), &"e".repeat(64), 1)).collect();
    let images = [&[machine, image][..], &unnamed, &many].concat();
    let report = View::new(&[said("b1", &images)], &create()).report();
    let quiet = outcome(&report, Format::Quiet).stdout;
    let names: Vec<_> = quiet.lines().collect();
    assert_eq!((names.len(), names[0], names[1]), (1000, "fine/1.0", "m0000"));
    for format in [Format::Plain, Format::Json] {
        let said = outcome(&report, format);
        let raw = said.stdout.chars().find(|c| c.is_control() && *c != '\n' || *c == '\u{202e}');
        assert_eq!(raw, None, "{said:?}");
        assert!(said.stdout.len() < 1_000_000, "{}", said.stdout.len());
    }
    assert_eq!(report.unwrap().notes, ["b1 has more images than 1000, not all shown"]);
}

#[test]
fn who_cannot_be_asked_is_named_with_the_reason() {
    let all = execute_line(b"image list", &context(admin()));
    assert_eq!(all.status, 0, "{all:?}");
    assert!(all.stdout.starts_with("OS-TYPE"), "{all:?}");
    assert!(all.stderr.contains("spot-2 is away: connection refused; what it has"), "{all:?}");
    let one = execute_line(b"image list --backend spot-2", &context(admin()));
    assert_eq!((one.status, one.stdout.as_str()), (69, ""), "{one:?}");
    let hint = "is away: connection refused\nhint: type `status` to see the backends\n";
    assert!(one.stderr.ends_with(hint), "{one:?}");
    assert_eq!(execute_line(b"image list --backend nope", &context(admin())).status, 3);
    assert_eq!(execute_line(b"image", &context(admin())).status, 2);
}

/// Answers with this, or never.
struct Canned {
    body: Option<String>,
    tasks: Mutex<JoinSet<()>>,
}

impl Dial for Canned {
    fn dial(&self) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async {
            let (ours, mut theirs) = duplex(4096);
            let body = self.body.clone();
            self.tasks.lock().await.spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(theirs.read_u8().await.unwrap());
                }
                assert!(request.starts_with(b"GET /1.0/images?recursion=1 "));
                let Some(body) = body else { return pending().await };
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                theirs.write_all((head + &body).as_bytes()).await.unwrap();
            });
            Ok(Box::new(ours) as Stream)
        })
    }
}

fn client(body: Option<Value>) -> Client {
    let body = body.map(|body| body.to_string());
    Client::new(Arc::new(Canned { body, tasks: Mutex::default() }))
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_hangs_is_given_up_in_time() {
    let name = "b1".parse().unwrap();
    let well = json!({"type": "sync", "status_code": 200, "metadata": [fetched()]});
    let known = images(&name, &client(Some(well))).await.unwrap();
    assert_eq!((known.len(), known[0].properties["release"].as_str()), (1, "noble"));
    let hangs = client(None);
    let waited = timeout(DEADLINE * 2, images(&name, &hangs)).await;
    let failure = waited.expect("it waits for more than its time").unwrap_err();
    assert_eq!(failure.message, "backend b1 does not answer within 3s");
    let refused = json!({"type": "error", "error_code": 403, "error": "not authorized"});
    let failure = images(&name, &client(Some(refused))).await.unwrap_err();
    assert_eq!(failure.message, "ask b1: the backend does not trust the sentinel");
}
