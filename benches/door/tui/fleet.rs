//! What a screen is measured with: 2,000 containers that are only remembered, and 50 that change.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    net::IpAddr,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use containarium::{
    model::container::Status,
    store::inventory::{Cached, CachedBackend, CachedContainer},
};

use crate::{
    harness::{Sentinel, backend_section, config, lab},
    list::Instances,
    scene::Scene,
};

/// Port of the sentinel with this fleet.
pub const PORT: u16 = 2231;

/// Containers of a host that is away, and is remembered.
pub const MANY: usize = 2000;

/// Containers that change, half of them on each of two hosts.
pub const CHANGING: usize = 50;

/// When the host that is away was last seen, in seconds since 1970: long ago, so that its age stays.
const LONG_AGO: i64 = 1_600_000_000;

/// A sentinel with such a fleet.
pub struct Fleet {
    pub sentinel: Sentinel,
    _instances: Instances,
}

impl Fleet {
    pub fn make(scene: &Scene) -> Self {
        eprintln!("making {CHANGING} containers that change");
        let instances = Instances::make(scene, CHANGING / 2);
        let state = scene.dir.join(format!("state-{PORT}"));
        fs::create_dir_all(&state).unwrap();
        remember(&state.join("inventory.json"));
        // An address of the hosts' network at which nobody is.
        let away = backend_section("b2")
            .replace("\"b2\"", "\"away\"")
            .replace(lab().get("LAB_B2_ADDRESS"), "198.51.100.99");
        let sections = backend_section("b3") + &away;
        let config = config(&scene.dir, PORT, &sections);
        let sentinel = Sentinel::spawn(&scene.dir, "tui", &config);
        sentinel.wait_log("listening");
        let last = format!("remembered-{:04}", MANY - 1);
        sentinel.wait_until_listed(&["listed-b1-0", "listed-b2-0", &last]);
        Self { sentinel, _instances: instances }
    }
}

fn byte(number: usize) -> u8 {
    u8::try_from(number).unwrap()
}

fn remember(file: &Path) {
    let container = |number: usize| CachedContainer {
        name: format!("remembered-{number:04}").parse().unwrap(),
        status: Status::Running,
        addresses: vec![IpAddr::from([10, 0, byte(number / 250), byte(number % 250)])],
        config: BTreeMap::from([
            ("user.containarium.owner".to_owned(), format!("person{}", number % 100)),
            ("limits.cpu".to_owned(), (1 + number % 8).to_string()),
            ("limits.memory".to_owned(), format!("{}GiB", 1 + number % 16)),
        ]),
    };
    let containers = (0..MANY).map(container).collect();
    let backend = CachedBackend { refreshed: Some(LONG_AGO), containers };
    Cached::new(BTreeMap::from([("away".parse().unwrap(), backend)])).save(file).unwrap();
}

/// Owners of all containers that change, who are others again and again: what is seen in every row.
pub struct Changes {
    stop: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    begun: Instant,
    threads: Vec<JoinHandle<()>>,
}

impl Changes {
    pub fn begin() -> Self {
        let (stop, made) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let threads = ["b1", "b2"].map(|backend| {
            let (stop, made) = (Arc::clone(&stop), Arc::clone(&made));
            thread::spawn(move || {
                for round in (0..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                    change(backend, round);
                    made.fetch_add(CHANGING / 2, Ordering::Relaxed);
                }
            })
        });
        Self { stop, made, begun: Instant::now(), threads: threads.into() }
    }

    /// Changes a second so far.
    pub fn rate(&self) -> f64 {
        self.made.load(Ordering::Relaxed) as f64 / self.begun.elapsed().as_secs_f64()
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Gives each container its next owner; one program and one connection for all, for fifty programs would
/// take the machine for themselves.
fn change(backend: &str, round: usize) {
    let socket = lab().get(&format!("LAB_{}_INCUS_SOCKET", backend.to_uppercase()));
    let each = (0..CHANGING / 2).map(|number| {
        format!(
            "url = \"http://incus/1.0/instances/listed-{backend}-{number}-container\"\n\
             unix-socket = \"{socket}\"\nrequest = \"PATCH\"\noutput = \"/dev/null\"\n\
             silent\nfail\ndata = \"{{\\\"config\\\":{{\\\"user.containarium.owner\\\":\\\"person{round}\\\"}}}}\"\n"
        )
    });
    let requests = each.collect::<Vec<_>>().join("next\n");
    let mut curl = Command::new("curl").args(["-K", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    curl.stdin.take().unwrap().write_all(requests.as_bytes()).unwrap();
    assert!(curl.wait().unwrap().success(), "{backend} changes its containers");
}
