//! What a real server gets.

use std::{fs, path::Path, sync::Mutex, time::Duration};

use serde_json::Value;

use super::*;
use crate::{
    audit::Ledger,
    config,
    web::tests::{Server, answer},
};

const ADMIN: &str = "admin.authorized_keys = ['ssh-ed25519 \
    AAAAC3NzaC1lZDI1NTE5AAAAIJqRmYdWkC8NSTf4eDvyGUj0zaPbhj8gHZMpiUm+3HXQ']\n";

fn config(dir: &Path, text: &str) -> watch::Sender<Arc<Config>> {
    let config = config::parse(&format!("{ADMIN}{text}"), "f", dir);
    watch::channel(Arc::new(config.unwrap())).0
}

fn event(topic: Topic, text: &str) -> Event {
    let at = "2026-01-02T03:04:05Z".parse().unwrap();
    Event::new(topic, "host.down", Severity::Alarm, ("spot-1", text), at)
}

async fn asked(server: &Server, count: usize) -> Vec<String> {
    let waited = async {
        while server.asked().len() < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited).await.expect("in time");
    server.asked()
}

fn body(request: &str) -> Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn every_form_is_what_its_server_expects() {
    let server = Server::start(|_| answer("200 OK", "", "ok")).await;
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("secret"), "bot@zulip.example:KEY\n").unwrap();
    fs::write(dir.path().join("headers"), "Authorization: Bearer T\nX-Team: ops\n").unwrap();
    let url = format!("http://{}", server.url.authority());
    let text = format!(
        "[[webhook]]\nurl = '{url}/json'\nsecret = 'secret'\nheaders = 'headers'\n\
         events = ['host']\n\
         [[webhook]]\nurl = '{url}/slack'\nkind = 'slack'\nevents = ['recovery']\n\
         [[webhook]]\nurl = '{url}'\nkind = 'zulip'\nsecret = 'secret'\nchannel = 'o p&s'\n\
         events = ['certificate']\n"
    );
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let (config, web) = (config(dir.path(), &text), Web::new());
    let sender = Sender::start(config.subscribe(), web, Ledger::unkept(), &tasks, stop.clone());

    sender.tell(event(Topic::Host, "down\x1b[2J"));
    let json = asked(&server, 1).await.pop().unwrap();
    assert!(json.starts_with("POST /json HTTP/1.1\r\n"), "{json}");
    assert!(json.contains("authorization: Bearer T\r\nx-team: ops\r\n"), "{json}");
    let sent = body(&json);
    let keys: Vec<_> = sent.as_object().unwrap().keys().map(String::as_str).collect();
    let documented = ["at", "event", "id", "sentinel", "severity", "subject", "text", "topic"];
    assert_eq!(keys, documented);
    assert_eq!((&sent["event"], &sent["topic"]), (&"host.down".into(), &"host".into()));
    assert_eq!((&sent["subject"], &sent["text"]), (&"spot-1".into(), &"down\\u{1b}[2J".into()));
    assert_eq!((&sent["severity"], &sent["at"]), (&"alarm".into(), &"2026-01-02T03:04:05Z".into()));
    let signed = json.split_once("\r\n\r\n").unwrap().1;
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"bot@zulip.example:KEY");
    let tag = json.split_once("signature: sha256=").unwrap().1.lines().next().unwrap();
    let tag: Vec<u8> =
        (0..64).step_by(2).map(|i| u8::from_str_radix(&tag[i..i + 2], 16).unwrap()).collect();
    aws_lc_rs::hmac::verify(&key, signed.as_bytes(), &tag).unwrap();

    sender.tell(event(Topic::Recovery, "<!channel> & co"));
    let slack = asked(&server, 2).await.pop().unwrap();
    assert_eq!(body(&slack)["text"], "*host.down* (alarm): &lt;!channel&gt; &amp; co");

    sender.tell(event(Topic::Certificate, "`@**all**`"));
    let zulip = asked(&server, 3).await.pop().unwrap();
    assert!(zulip.starts_with("POST /api/v1/messages "), "{zulip}");
    assert!(zulip.contains("authorization: Basic Ym90QHp1bGlwLmV4YW1wbGU6S0VZ\r\n"), "{zulip}");
    let content = "content=%2A%2Ahost.down%2A%2A%20%28alarm%29%3A%20%60%27%40%2A%2Aall%2A%2A%27%60";
    let form = format!("type=stream&to=o%20p%26s&topic=containarium&{content}");
    assert!(zulip.ends_with(&form), "{zulip}");
    stop.cancel();
    tasks.close();
    tasks.wait().await;
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_in_order_and_a_dead_one_holds_up_nobody() {
    let answers = Mutex::new(vec!["204 No Content", "204 No Content", "404 Not Found", "503 No"]);
    let server =
        Server::start(move |_| answer(answers.lock().unwrap().pop().unwrap(), "", "")).await;
    let url = server.url.authority();
    let text =
        format!("[[webhook]]\nurl = 'http://127.0.0.1:1/'\n[[webhook]]\nurl = 'http://{url}/'\n");
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let config = config(Path::new("/nonexistent"), &text);
    let sender =
        Sender::start(config.subscribe(), Web::new(), Ledger::unkept(), &tasks, stop.clone());
    for text in ["one", "two", "three"] {
        sender.tell(event(Topic::Host, text));
    }
    let asked = asked(&server, 4).await;
    let texts: Vec<_> =
        asked.iter().map(|a| body(a)["text"].as_str().unwrap().to_owned()).collect();
    // Again after 503, never again after 404.
    assert_eq!(texts, ["one", "one", "two", "three"]);
    assert_eq!(body(&asked[0])["id"], body(&asked[1])["id"]);
    assert_ne!(body(&asked[1])["id"], body(&asked[2])["id"]);
    for _ in 0..1000 {
        sender.tell(event(Topic::Host, "a flood waits for nobody"));
    }
    stop.cancel();
    tasks.close();
    tasks.wait().await;
}

#[tokio::test]
async fn what_is_left_at_the_end_is_sent_once_more() {
    let answers =
        Mutex::new(vec![("200 OK", ""), ("200 OK", ""), ("503 No", "Retry-After: 600\r\n")]);
    let server = Server::start(move |_| {
        let (status, headers) = answers.lock().unwrap().pop().unwrap();
        answer(status, headers, "")
    })
    .await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, hangs) = (server.url.authority(), silent.local_addr().unwrap());
    let text = format!(
        "[[webhook]]\nurl = 'http://{url}/'\n[[webhook]]\nurl = 'http://{hangs}/'\n\
         [[webhook]]\nurl = 'http://127.0.0.1:1/'\n"
    );
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let config = config(Path::new("/nonexistent"), &text);
    let sender =
        Sender::start(config.subscribe(), Web::new(), Ledger::unkept(), &tasks, stop.clone());
    sender.tell(event(Topic::Host, "one"));
    asked(&server, 1).await;
    sender.tell(event(Topic::Host, "two"));
    stop.cancel();
    tasks.close();
    // It does not wait for the one that hangs, whose deadline is longer.
    tasks.wait().await;
    let texts: Vec<_> = server.asked().iter().map(|a| body(a)["text"].clone()).collect();
    assert_eq!(texts, ["one", "one", "two"]);
}
