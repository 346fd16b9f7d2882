//! What a soak needs in the lab: two containers, one that the sentinel reaches directly and one by
//! link, and people.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::harness::{Sentinel, World, config, lab, make_key, set, trust_link_key};

/// The port of the sentinel.
pub const PORT: u16 = 2260;

/// The container subnet of a lab backend, to which nobody has a route.
const CONTAINERS: &str = "10.0.3.0/24";

/// The lab, ready. Dropping it takes the route away; the containers stay for the next run.
pub struct Scene {
    pub world: World,
    /// The configuration, for reloads.
    pub config: String,
    _route: Route,
}

impl Scene {
    /// Brings up everything.
    pub fn set() -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        for person in ["admin", "alice", "mallory"] {
            make_key(&dir, person);
        }
        let route = Route::add();
        let config = sentinel_config(&dir);
        let world = World { sentinel: Sentinel::start(&dir, "soak", &config), dir };
        trust_link_key(&world.dir);
        for (name, backend) in [("soak1", "b1"), ("soak2", "b2")] {
            world.container(backend, name, "alice", &[]);
        }
        write_client_config(&world.dir);
        let scene = Self { world, config, _route: route };
        scene.sentinel().wait_until_listed(&["soak1", "soak2"]);
        scene.check();
        scene
    }

    /// The sentinel.
    pub fn sentinel(&self) -> &Sentinel {
        &self.world.sentinel
    }

    /// Both containers are reached, each in its way. These first logins also warm up what a
    /// sentinel does once.
    fn check(&self) {
        let run = self.world.client("ssh -F $CFG soak1 hostname; ssh -F $CFG soak2 hostname");
        assert_eq!(run.stdout, "soak1-container\nsoak2-container\n", "{run:?}");
        let ways = [("soak1", "link"), ("soak2", "direct")];
        assert_eq!(ways.map(|(name, _)| self.sentinel().way_of(name)), ways.map(|(_, way)| way));
        self.sentinel().settle();
    }
}

/// As in the end-to-end tests, but for what the soak needs to be quick.
fn sentinel_config(dir: &Path) -> String {
    let text = config(dir, PORT, "routed = true\n");
    let text = text.replacen("name = \"b1\"\n", "name = \"b1\"\nrouted = false\n", 1);
    let text = set(&text, "ssh", "login_grace", "\"3s\"");
    set(&text, "log", "level", "\"info\"")
}

fn write_client_config(dir: &Path) {
    let (shown, door) = (dir.display(), lab().get("LAB_SENTINEL_ADDRESS"));
    let host = |name: &str, user: &str, key: &str| {
        format!("Host {name}\n  User {user}\n  IdentityFile {shown}/{key}\n  HostName {door}\n")
    };
    let text = [
        host("soak1", "soak1", "alice"),
        host("soak2", "soak2", "alice"),
        host("sentinel", "admin", "admin"),
        host("refused", "soak1", "mallory"),
        format!(
            "Host *\n  Port {PORT}\n  UserKnownHostsFile {shown}/known_hosts\n  \
             StrictHostKeyChecking yes\n  IdentitiesOnly yes\n  LogLevel ERROR\n  BatchMode yes\n  \
             ConnectTimeout 20\n"
        ),
    ];
    fs::write(dir.join("ssh_config"), text.concat()).unwrap();
    let key = fs::read_to_string(dir.join("keys/ssh_host_ed25519_key.pub")).unwrap();
    fs::write(dir.join("known_hosts"), format!("[{door}]:{PORT} {key}")).unwrap();
}

/// The sentinel's way to the containers of `b2`.
struct Route;

impl Route {
    fn add() -> Self {
        let via = ["route", "replace", CONTAINERS, "via", lab().get("LAB_B2_ADDRESS")];
        assert!(on_sentinel(&via), "route");
        Self
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        on_sentinel(&["route", "del", CONTAINERS]);
    }
}

fn on_sentinel(arguments: &[&str]) -> bool {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", lab().netns("sentinel"))).arg("ip").args(arguments);
    command.stderr(Stdio::null()).status().unwrap().success()
}
