//! How long `create` of the small image takes until one can log in, and how much of that is the
//! sentinel's own: without Incus, what runs inside, and the container's boot.
//!
//! Incus's share is measured where its socket is: a pipe between sentinel and Incus notes when
//! somebody waits for it.

use std::{
    fs::{self, Permissions},
    io::{Read, Write},
    net::Shutdown,
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Effort,
    harness::{Sentinel, backend_section, lab, make_key, quiet_delete},
    scene::{Scene, on_host},
};

/// Port of the sentinel whose only backend is behind the pipe.
const PORT: u16 = 2203;

/// One creation, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Creation {
    /// From the start of `ssh` to its end.
    pub total: f64,
    /// Of these, while nobody waited for Incus or for the container to boot.
    pub own: f64,
}

/// Creates `effort.creations` containers, one after the other; each is logged in to.
pub fn measure(scene: &Scene, effort: &Effort) -> Vec<Creation> {
    eprintln!("creating containers");
    let socket = Path::new(lab().get("LAB_B1_INCUS_SOCKET")).with_file_name("pipe.sock");
    let calls = pipe(&socket);
    make_key(&scene.dir, "bench-new");
    let sentinel = Sentinel::start(&scene.dir, "create", &config(&scene.dir, &socket));
    let creations = (0..effort.creations).map(|number| {
        let name = format!("bench-new{number}");
        quiet_delete("b1", &[&name]);
        calls.lock().unwrap().clear();
        let begun = Instant::now();
        create(scene, &name);
        let ended = Instant::now();
        let creation = creation((begun, ended), &calls.lock().unwrap());
        ssh(scene, &name, "bench-new", "true");
        quiet_delete("b1", &[&name]);
        creation
    });
    let creations = creations.collect();
    drop(sentinel);
    fs::remove_file(&socket).unwrap();
    creations
}

fn create(scene: &Scene, name: &str) {
    let key = fs::read_to_string(scene.dir.join("bench-new.pub")).unwrap();
    ssh(
        scene,
        "admin",
        "admin",
        &format!("create {name} --image small --ssh-key '{}'", key.trim()),
    );
}

fn ssh(scene: &Scene, login: &str, key: &str, words: &str) {
    let port = PORT.to_string();
    let mut ssh = on_host("client", "ssh");
    ssh.args(["-F", "none", "-p", &port, "-l", login, "-i"]).arg(scene.dir.join(key));
    ssh.args(["-o", "StrictHostKeyChecking=accept-new", "-o", "IdentitiesOnly=yes", "-o"])
        .arg(format!("UserKnownHostsFile={}", scene.dir.join("known_hosts").display()))
        .args([lab().get("LAB_SENTINEL_ADDRESS"), words])
        .stdin(Stdio::null());
    let out = ssh.output().unwrap();
    assert!(out.status.success(), "{words}: {}", String::from_utf8_lossy(&out.stderr));
}

fn config(dir: &Path, socket: &Path) -> String {
    let shown = dir.display();
    let admin = fs::read_to_string(dir.join("admin.pub")).unwrap();
    let backend = backend_section("b1")
        .replace(lab().get("LAB_B1_INCUS_SOCKET"), &socket.display().to_string());
    format!(
        "state_dir = \"{shown}/state-{PORT}\"\ncontrol_socket = \"{shown}/control-{PORT}.sock\"\n\
         [ssh]\nlisten = [\"{}:{PORT}\"]\nhost_keys = \"{shown}/keys\"\ndrain = \"0s\"\n\
         [admin]\nauthorized_keys = [\"{}\"]\n{backend}",
        lab().get("LAB_SENTINEL_ADDRESS"),
        admin.trim(),
    )
}

/// A connection to Incus: what was asked first, and from when to when it was open.
struct Call {
    request: String,
    begun: Instant,
    ended: Option<Instant>,
}

type Calls = Arc<Mutex<Vec<Call>>>;

/// Passes everything on between `socket` and the Incus of b1, until this process ends.
fn pipe(socket: &Path) -> Calls {
    // Of a run that was ended.
    let _ = fs::remove_file(socket);
    let listener = UnixListener::bind(socket).unwrap();
    fs::set_permissions(socket, Permissions::from_mode(0o666)).unwrap();
    let calls = Calls::default();
    let noted = Arc::clone(&calls);
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, calls) = (client.unwrap(), Arc::clone(&noted));
            thread::spawn(move || pass(client, &calls));
        }
    });
    calls
}

fn pass(mut client: UnixStream, calls: &Calls) {
    let begun = Instant::now();
    let mut first = vec![0; 64 * 1024];
    let Ok(length @ 1..) = client.read(&mut first) else { return };
    let line = String::from_utf8_lossy(&first[..length]);
    let request = line.lines().next().unwrap_or_default().to_owned();
    calls.lock().unwrap().push(Call { request, begun, ended: None });
    let mut incus = UnixStream::connect(lab().get("LAB_B1_INCUS_SOCKET")).unwrap();
    incus.write_all(&first[..length]).unwrap();
    let (mut from, mut to) = (client.try_clone().unwrap(), incus.try_clone().unwrap());
    let up = thread::spawn(move || {
        // Ends when either side does.
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut incus, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = up.join();
    let ended = Instant::now();
    let mut calls = calls.lock().unwrap();
    if let Some(call) = calls.iter_mut().find(|c| c.begun == begun) {
        call.ended = Some(ended);
    }
}

/// What is left of a creation without the time in which a call was open, or the container booted.
fn creation((begun, ended): (Instant, Instant), calls: &[Call]) -> Creation {
    let mut busy: Vec<_> = calls
        .iter()
        .filter(|call| !call.request.contains("/1.0/events"))
        .map(|call| (call.begun, call.ended.unwrap_or(ended).min(ended)))
        .collect();
    let started =
        calls.iter().find(|c| c.request.starts_with("PUT ") && c.request.contains("/state"));
    let inside = calls.iter().find(|c| c.request.contains("/exec"));
    let (started, inside) = (started.expect("it is started"), inside.expect("something is run"));
    // The looks for its address; the pauses between them are the container's.
    let looks =
        calls.iter().filter(|c| c.request.contains("recursion=1") && c.begun < inside.begun);
    let booted = looks.filter_map(|c| c.ended).max().expect("it is looked at");
    busy.push((started.begun, booted));
    busy.sort();
    let (mut waited, mut until) = (Duration::ZERO, begun);
    for (from, to) in busy {
        waited += to.saturating_duration_since(from.max(until));
        until = until.max(to);
    }
    let total = ended - begun;
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    Creation { total: millis(total), own: millis(total.saturating_sub(waited)) }
}
