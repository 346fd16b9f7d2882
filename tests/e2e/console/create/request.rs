//! What a backend's socket receives, and what becomes of answers that are none.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
};

use serde_json::{Value, json};

use super::{Person, instances};
use crate::harness::{Run, Sentinel, config, lab, world};

/// Passes everything on between a socket and the Incus behind it, keeps the body of each `POST
/// /1.0/instances`, and answers that as it is told: `pass`, `hang`, `garbage`, `close`, `failed`
/// (an operation that ends badly, with status 200), `swallow` (it is done, and not answered).
const PROXY: &str = r#"
import os, socket, sys, threading
listen, incus, folder = sys.argv[1:]
mode = lambda: open(f"{folder}/mode").read().strip()
def answer(text, status="200 OK"):
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()
def copy(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    try: b.shutdown(socket.SHUT_WR)
    except OSError: pass
def serve(client):
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more: return client.close()
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    if head.startswith(b"POST /1.0/instances HTTP"):
        length = next(int(l.split(b":")[1]) for l in head.split(b"\r\n") if l.lower().startswith(b"content-length"))
        while len(body) < length: body += client.recv(65536)
        data = head + b"\r\n\r\n" + body
        open(f"{folder}/body", "wb").write(body)
        if mode() == "garbage": client.sendall(b"\x00\x01 what?\r\n\r\n" * 100)
        if mode() == "failed": client.sendall(answer('{"type":"async","status_code":100,"operation":"/1.0/operations/x","metadata":{"id":"x","status_code":103}}', "202 Accepted"))
        if mode() in ("garbage", "close", "failed"): return client.close()
        if mode() == "hang": return threading.Event().wait()
    if b"/operations/x/wait" in head.split(b"\r\n")[0]:
        client.sendall(answer('{"type":"error","error_code":500,"error":"the disk\\u001b[2J broke","metadata":null}'))
        return client.close()
    upstream = socket.socket(socket.AF_UNIX); upstream.connect(incus); upstream.sendall(data)
    if head.startswith(b"POST /1.0/instances HTTP") and mode() == "swallow":
        upstream.recv(65536)
        return threading.Event().wait()
    threading.Thread(target=copy, args=(client, upstream), daemon=True).start()
    copy(upstream, client)
server = socket.socket(socket.AF_UNIX); server.bind(listen); server.listen(64)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"#;

/// A sentinel whose only local backend is b1 behind the proxy.
struct Proxied {
    proxy: Child,
    folder: tempfile::TempDir,
    port: u16,
    sentinel: Option<Sentinel>,
}

impl Proxied {
    fn start(name: &str, port: u16, more: &str) -> Self {
        // Not in the run's directory: the paths of sockets are short.
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("incus.sock");
        fs::write(folder.path().join("mode"), "pass").unwrap();
        let proxy = Command::new("python3")
            .args(["-c", PROXY])
            .arg(&socket)
            .arg(lab().get("LAB_B1_INCUS_SOCKET"))
            .arg(folder.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        world().sentinel.wait("the proxy listens", || socket.exists());
        let local = format!(
            "[[backend]]\nname = \"odd\"\naddress = \"local\"\npool = \"odd\"\nincus_socket = \"{}\"\n{more}",
            socket.display()
        );
        // Without the others, which are the same hosts.
        let text = config(&world().dir, port, "");
        let text = text.split("[[backend]]").next().unwrap().to_owned() + &local;
        let sentinel = Some(Sentinel::start(&world().dir, name, &text));
        Self { proxy, folder, port, sentinel }
    }

    fn mode(&self, mode: &str) {
        fs::write(self.folder.path().join("mode"), mode).unwrap();
    }

    fn create(&self, name: &str, options: &str) -> Run {
        world().client(&format!(
            "ssh -p {} -F $CFG sentinel 'create {name} --ssh-key - {options}' < $DIR/{name}.pub",
            self.port
        ))
    }

    /// What was asked of Incus last.
    fn body(&self) -> Value {
        serde_json::from_slice(&fs::read(self.folder.path().join("body")).unwrap()).unwrap()
    }
}

impl Drop for Proxied {
    fn drop(&mut self) {
        self.sentinel = None;
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

#[test]
fn an_image_server_is_asked_in_the_words_of_simplestreams() {
    let _person = Person::new("cr-remote");
    let own = "[create]\nremotes = { own = \"https://127.0.0.1:9/streams/\" }\n";
    let proxied = Proxied::start("cr-remote", 2287, own);
    let failed = proxied.create("cr-remote", "--image own:debian/12");
    assert_eq!((failed.status, failed.stdout.as_str()), (69, ""), "{failed:?}");
    let says = "error: make cr-remote: the image server does not answer, or has no such image\n";
    assert!(failed.stderr.contains(says), "{failed:?}");
    let body = proxied.body();
    let source = json!({
        "type": "image",
        "mode": "pull",
        "server": "https://127.0.0.1:9/streams",
        "protocol": "simplestreams",
        "alias": "debian/12",
    });
    assert_eq!(body["source"], source);
    let outside = ["name", "type", "start", "profiles"].map(|key| body[key].clone());
    let expected =
        [json!("cr-remote-container"), json!("container"), json!(false), json!(["default"])];
    assert_eq!(outside, expected);
    assert_eq!(instances("cr-remote"), [""; 0]);
    // The fixed names mean fixed images; these are not fetched, as the answer is none.
    proxied.mode("close");
    for (words, server, alias) in [
        ("--os-type rocky9", "https://images.linuxcontainers.org", "rockylinux/9"),
        ("", "https://images.linuxcontainers.org", "ubuntu/24.04"),
    ] {
        assert_eq!(proxied.create("cr-remote", words).status, 69);
        let source = &proxied.body()["source"];
        assert_eq!((&source["server"], &source["alias"]), (&json!(server), &json!(alias)));
    }
}

/// Creates a container while the backend behaves so, one way after the other, and then once well.
fn is_told(name: &'static str, port: u16, modes: &[(&str, i32, &str)]) {
    let _person = Person::new(name);
    let proxied = Proxied::start(name, port, "");
    for (mode, status, says) in modes {
        proxied.mode(mode);
        let failed = proxied.create(name, "--image small");
        assert_eq!((failed.status, failed.stdout.as_str()), (*status, ""), "{mode}: {failed:?}");
        assert!(failed.stderr.contains(says), "{mode}: {failed:?}");
        assert!(!failed.stderr.contains('\x1b'), "{mode}: {failed:?}");
        assert_eq!(instances(name), [""; 0], "{mode}");
    }
    proxied.mode("pass");
    let made = proxied.create(name, "--image small");
    assert_eq!(made.status, 0, "{made:?}");
}

#[test]
fn answers_that_are_none_are_told_and_leave_nothing() {
    world();
    let said = [
        ("garbage", 69, "error: make cr-odd: backend odd does not answer ("),
        ("close", 69, "error: make cr-odd: backend odd does not answer ("),
        ("failed", 1, "error: make cr-odd: incus: the disk"),
    ];
    // Side by side, as these wait for the deadline of a call.
    thread::scope(|scope| {
        scope.spawn(|| is_told("cr-hung", 2293, &[("hang", 69, "no answer in time")]));
        scope.spawn(|| is_told("cr-mute", 2294, &[("swallow", 69, "no answer in time")]));
        is_told("cr-odd", 2288, &said);
    });
}
