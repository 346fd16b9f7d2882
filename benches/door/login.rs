//! How long `ssh HOST true` takes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Instant,
};

use crate::{
    Effort,
    harness::make_key,
    scene::{Scene, Way, ssh, wait_until},
};

/// What is measured: its name, what the ssh configuration says, whether the client is far away.
pub const KINDS: [(&str, &str, bool); 3] = [
    ("curve25519", CURVE25519, false),
    ("default", "", false),
    ("curve25519, 25 ms away", CURVE25519, true),
];

const CURVE25519: &str = "  KexAlgorithms curve25519-sha256";

/// Milliseconds of each login, by kind and way.
pub type Logins = BTreeMap<(&'static str, Way), Vec<f64>>;

/// Logs in `effort.logins` times by each way, in turns.
pub fn measure(scene: &Scene, effort: &Effort) -> Logins {
    let mut logins = Logins::new();
    for (kind, options, far) in KINDS {
        let (config, _proxy) = if far {
            let (config, proxy) = scene.ssh_config_far("far", options);
            (config, Some(proxy))
        } else {
            (scene.ssh_config("kex", options), None)
        };
        eprintln!("logins, {kind}");
        for _ in 0..effort.logins {
            for way in Way::ALL {
                let start = Instant::now();
                let status = ssh(&config, way, "true").status().unwrap();
                let taken = start.elapsed();
                assert!(status.success(), "{}", way.title());
                logins.entry((kind, way)).or_default().push(taken.as_secs_f64() * 1e3);
            }
        }
    }
    logins
}

/// Keys in the agent; the last one is the right one.
pub const AGENT_KEYS: usize = 30;

/// Milliseconds of logins through the door with the last of [`AGENT_KEYS`] keys of an agent. An
/// sshd would have hung up at the seventh (`MaxAuthTries`), so there is nothing beside it.
pub fn with_agent(scene: &Scene, effort: &Effort) -> Vec<f64> {
    eprintln!("logins with the last of {AGENT_KEYS} keys");
    let agent = Agent::start(scene);
    let config = scene.ssh_config("agent", "");
    let text = fs::read_to_string(&config).unwrap().replace("IdentitiesOnly yes", "");
    let key = format!("IdentityFile {}", scene.dir.join("alice").display());
    fs::write(&config, text.replace(&key, "IdentityFile none")).unwrap();
    (0..effort.logins)
        .map(|_| {
            let start = Instant::now();
            let mut login = ssh(&config, Way::Door, "true");
            assert!(login.env("SSH_AUTH_SOCK", &agent.socket).status().unwrap().success());
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect()
}

/// An ssh-agent with many keys.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(scene: &Scene) -> Self {
        let socket = scene.dir.join("agent.sock");
        let child = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).spawn().unwrap();
        let agent = Self { child, socket };
        wait_until("the agent listens", || agent.socket.exists());
        for number in 1..AGENT_KEYS {
            let name = format!("agent-{number}");
            make_key(&scene.dir, &name);
            agent.add(&scene.dir.join(name));
        }
        agent.add(&scene.dir.join("alice"));
        agent
    }

    fn add(&self, key: &Path) {
        let mut add = Command::new("ssh-add");
        let status = add.arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket).status();
        assert!(status.unwrap().success(), "ssh-add");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
