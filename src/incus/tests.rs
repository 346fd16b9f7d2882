//! The client against a server that misbehaves.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    sync::Mutex,
    task::JoinSet,
};

use super::*;
use crate::link::{Dial, Stream};

/// Answers each request with what the function makes of its path, and hangs up if told so.
struct Canned {
    answer: fn(&str) -> Option<Vec<u8>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Dial for Canned {
    fn dial(&self) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async {
            let (ours, mut theirs) = duplex(1024);
            let answer = self.answer;
            self.tasks.lock().await.spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(theirs.read_u8().await.unwrap());
                }
                let text = String::from_utf8(request).unwrap();
                match answer(text.split(' ').nth(1).unwrap()) {
                    Some(bytes) => theirs.write_all(&bytes).await.unwrap_or_default(),
                    None => std::future::pending().await,
                }
            });
            Ok(Box::new(ours) as Stream)
        })
    }
}

fn client(answer: fn(&str) -> Option<Vec<u8>>) -> Client {
    Client::new(Arc::new(Canned { answer, tasks: Mutex::default() }))
}

fn http(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

#[tokio::test]
async fn broken_answers_are_told_apart() {
    let cut = client(|_| Some(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec()));
    assert!(matches!(cut.server().await, Err(IncusError::Broken(_))));
    let hung_up = client(|_| Some(Vec::new()));
    assert!(matches!(hung_up.server().await, Err(IncusError::Broken(_))));
    let no_http = client(|_| Some(b"SSH-2.0-OpenSSH\r\n".to_vec()));
    assert!(matches!(no_http.server().await, Err(IncusError::Broken(_))));
    // Deep enough to overflow the stack of whoever follows it, also where nobody looks at it.
    let no_answers = [
        client(|_| Some(http("200 OK", "<html>"))),
        client(|_| Some(http("200 OK", &"[".repeat(100_000)))),
        client(|_| {
            let deep = "[".repeat(100_000);
            Some(http("200 OK", &format!(r#"{{"type":"sync","new":{deep},"metadata":{{}}}}"#)))
        }),
        client(|_| Some(http("200 OK", r#"{"type":"sync","metadata":{"environment":7}}"#))),
    ];
    for no_answer in no_answers {
        assert!(matches!(no_answer.server().await, Err(IncusError::Decode { .. })));
    }
    let proxy = client(|_| Some(http("502 Bad\u{1b}", "\u{1b}[2Jbad gateway")));
    let error = proxy.read_file("a", "/x", 1).await.unwrap_err();
    assert!(!error.to_string().contains('\u{1b}'), "{error}");
}

#[tokio::test(start_paused = true)]
async fn silence_ends_in_time() {
    let silent = client(|_| None);
    let waited = tokio::time::timeout(Duration::from_secs(11), silent.server()).await;
    assert!(matches!(waited, Ok(Err(IncusError::Timeout(_)))));
}

#[tokio::test]
async fn a_list_that_is_too_large_is_read_in_parts() {
    let client = client(|path| {
        let item = |name: &str, code| {
            format!(r#"{{"name":"{name}","type":"container","status_code":{code}}}"#)
        };
        let body = match path {
            "/1.0/instances?recursion=2" => " ".repeat(9 << 20),
            "/1.0/instances?recursion=1" => {
                format!(r#"{{"type":"sync","metadata":[{},{}]}}"#, item("a", 103), item("b", 102))
            }
            "/1.0/instances/a/state" => r#"{"type":"sync","metadata":{"network":null}}"#.to_owned(),
            other => panic!("{other}"),
        };
        Some(http("200 OK", &body))
    });
    let all = client.instances().await.unwrap();
    let states: Vec<_> = all.iter().map(|i| (i.name.as_str(), i.state.is_some())).collect();
    assert_eq!(states, [("a", true), ("b", false)]);
}

#[tokio::test]
async fn a_refusal_is_read_whatever_the_limit() {
    let body = r#"{"type":"error","error_code":404,"error":"Not Found"}"#;
    assert!(body.len() > 10);
    let client = client(|_| {
        Some(http("404 Not Found", r#"{"type":"error","error_code":404,"error":"Not Found"}"#))
    });
    assert_eq!(client.read_file("a", "/x", 10).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_file_server_that_just_ended_is_asked_again() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let client = client(|_| {
        let asked = ASKED.fetch_add(1, Ordering::Relaxed);
        Some(if asked < 2 {
            http(
                "500 Internal Server Error",
                r#"{"type":"error","error_code":500,"error":"dial unix /proc/self/fd/53/forkfile.sock: connect: no such file or directory"}"#,
            )
        } else {
            let body = r#"{"type":"sync","metadata":["a","b"]}"#;
            let length = body.len();
            format!("HTTP/1.1 200 OK\r\nX-Incus-Type: directory\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
        })
    });
    assert_eq!(client.names_in("a", "/x").await.unwrap(), ["a", "b"]);
    assert_eq!(ASKED.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn other_troubles_with_files_are_told_at_once() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let client = client(|_| {
        ASKED.fetch_add(1, Ordering::Relaxed);
        Some(http(
            "500 Internal Server Error",
            r#"{"type":"error","error_code":500,"error":"disk quota exceeded"}"#,
        ))
    });
    assert!(matches!(client.names_in("a", "/x").await, Err(IncusError::Api { code: 500, .. })));
    assert_eq!(ASKED.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn an_operation_is_waited_for_although_a_connection_is_lost() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    static AGAIN: AtomicUsize = AtomicUsize::new(0);
    let lossy = client(|_| {
        let done = r#"{"type":"sync","metadata":{"id":"x","status_code":200}}"#;
        let asked = ASKED.fetch_add(1, Ordering::Relaxed);
        Some(if asked == 0 { Vec::new() } else { http("200 OK", done) })
    });
    assert_eq!(lossy.wait("x", Duration::from_secs(30)).await.unwrap().id, "x");
    // Forgotten meanwhile: nobody knows how it ended.
    let forgotten = client(|_| {
        let gone = r#"{"type":"error","error_code":404,"error":"Operation not found"}"#;
        let asked = AGAIN.fetch_add(1, Ordering::Relaxed);
        Some(if asked == 0 { Vec::new() } else { http("404 Not Found", gone) })
    });
    let error = forgotten.wait("x", Duration::from_secs(30)).await.unwrap_err();
    assert!(matches!(error, IncusError::Broken(_)), "{error}");
    let dead = client(|_| Some(Vec::new()));
    assert!(dead.wait("x", Duration::from_secs(30)).await.unwrap_err().is_unavailable());
}

#[tokio::test(start_paused = true)]
async fn a_command_to_which_nobody_could_attach_is_started_again() {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let busy = client(|path| {
        if !path.ends_with("/exec") {
            return None;
        }
        STARTED.fetch_add(1, Ordering::Relaxed);
        let fds = r#"{"0":"a","1":"b","2":"c","control":"d"}"#;
        let body =
            format!(r#"{{"type":"async","metadata":{{"id":"x","metadata":{{"fds":{fds}}}}}}}"#);
        Some(http("202 Accepted", &body))
    });
    let ran = busy.run("a", &["true"], Vec::new(), |_| {}).await;
    assert!(matches!(ran, Err(IncusError::Timeout(_))), "{ran:?}");
    assert_eq!(STARTED.load(Ordering::Relaxed), 3);
}
