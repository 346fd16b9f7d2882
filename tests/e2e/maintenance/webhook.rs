//! Who is told by webhook that a certificate ends, also when the sentinel ends first.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::Value;

use super::{certify, certify_years, files, fresh, section};
use crate::harness::{Sentinel, TICK, config, in_network, world};

const PORT: u16 = 8467;

/// A server on the sentinel's loopback that takes events, or does not.
struct Receiver {
    answer: Arc<Mutex<&'static str>>,
    events: Arc<Mutex<Vec<Value>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = in_network("sentinel", || TcpListener::bind(("127.0.0.1", PORT)).unwrap());
        listener.set_nonblocking(true).unwrap();
        let answer = Arc::new(Mutex::new("204 No Content\r\n"));
        let (events, stop) = (Arc::<Mutex<Vec<Value>>>::default(), Arc::<AtomicBool>::default());
        let (said, told, ended) = (Arc::clone(&answer), Arc::clone(&events), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let event = take(&stream).unwrap();
                        // Noted before it is answered: who knows of the answer may look.
                        told.lock().unwrap().push(event);
                        let head =
                            format!("HTTP/1.1 {}Content-Length: 0\r\n\r\n", said.lock().unwrap());
                        let _ = (&stream).write_all(head.as_bytes());
                    }
                    Err(_) => thread::sleep(TICK),
                }
            }
        });
        Self { answer, events, stop, thread: Some(thread) }
    }

    /// The events that came of this name.
    fn all(&self, name: &str) -> Vec<Value> {
        let events = self.events.lock().unwrap();
        events.iter().filter(|event| event["event"] == name).cloned().collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The event of one request.
fn take(stream: &TcpStream) -> io::Result<Value> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let (mut reader, mut length) = (BufReader::new(stream), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

#[test]
fn a_certificate_that_ends_is_told_at_the_latest_when_the_sentinel_stops() {
    let dir = fresh("tls-webhook");
    certify(&dir, "site", &["told.example"], 3);
    let receiver = Receiver::start();
    let hooks = format!(
        "[[webhook]]\nurl = \"http://127.0.0.1:{PORT}/\"\nevents = [\"certificate\"]\n\
         [[webhook]]\nurl = \"http://127.0.0.1:1/\"\nevents = [\"certificate\"]\n"
    );
    let text = section(2291, 2292, &files(&dir, "site", "")) + &hooks;
    let sentinel = Sentinel::start(&world().dir, "told", &config(&world().dir, 2290, &text));
    sentinel.wait("it is told", || receiver.all("certificate.expires").len() == 1);
    let event = &receiver.all("certificate.expires")[0];
    assert_eq!(
        (&event["subject"], &event["severity"]),
        (&"told.example".into(), &"warning".into())
    );
    let said = event["text"].as_str().unwrap();
    assert!(said.contains("site.crt) was not renewed: it is valid until 20"), "{event}");

    // Nobody takes the next one, and its receiver wants to be left alone for an hour.
    *receiver.answer.lock().unwrap() = "503 Service Unavailable\r\nRetry-After: 3600\r\n";
    certify_years(&dir, "site", "told.example", 2020, 2021);
    sentinel.wait_log("webhook is not taken");
    *receiver.answer.lock().unwrap() = "204 No Content\r\n";
    sentinel.signal("TERM");
    assert_eq!(sentinel.wait_exit(), Some(0), "{}", sentinel.log_text());
    let told = receiver.all("certificate.expired");
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!((&told[0]["id"], &told[0]["severity"]), (&told[1]["id"], &"alarm".into()));
    // What the other one would not hear is in the log.
    let log = sentinel.log_text();
    for event in ["certificate.expires", "certificate.expired"] {
        let given_up = log.lines().any(|line| {
            ["webhook given up", "to=http://127.0.0.1:1 ", event, "the sentinel stops"]
                .iter()
                .all(|part| line.contains(part))
        });
        assert!(given_up, "{event}: {log}");
    }
}
