//! Throughput of one stream, and what it costs the host in the middle.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use crate::{
    Effort,
    scene::{Scene, Way, ssh},
};

/// Ciphers on the client's leg: OpenSSH's favourite and the cheapest.
pub const CIPHERS: [&str; 2] = ["chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com"];

/// Where the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Container to client.
    Down,
    /// Client to container.
    Up,
    /// Both at once; figures count the bytes of both.
    Both,
}

impl Direction {
    /// In the order of the tables.
    pub const ALL: [Self; 3] = [Self::Down, Self::Up, Self::Both];

    /// How tables call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Up => "up",
            Self::Both => "both",
        }
    }
}

/// What is measured: cipher, direction, way.
pub type Key = (&'static str, Direction, Way);

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// 10^6 bytes a second.
    pub rate: f64,
    /// CPU seconds per GiB of what stands on the sentinel's host.
    pub cpu: f64,
}

/// Measures everything `effort.rounds` times, in turns.
pub fn measure(scene: &Scene, effort: &Effort) -> BTreeMap<Key, Vec<Flow>> {
    let mut flows: BTreeMap<Key, Vec<Flow>> = BTreeMap::new();
    for round in 1..=effort.rounds {
        for cipher in CIPHERS {
            let config = scene.ssh_config("cipher", &format!("  Ciphers {cipher}"));
            for direction in Direction::ALL {
                eprintln!("throughput {round}/{}: {cipher} {}", effort.rounds, direction.title());
                for way in Way::ALL {
                    let flow = run(scene, &config, (direction, way), effort.mib << 20);
                    flows.entry((cipher, direction, way)).or_default().push(flow);
                }
            }
        }
    }
    flows
}

fn run(scene: &Scene, config: &Path, (direction, way): (Direction, Way), bytes: u64) -> Flow {
    let script = match direction {
        Direction::Down => format!("echo go >&2; head -c {bytes} /dev/zero"),
        Direction::Up => "echo go >&2; cat >/dev/null".to_owned(),
        // A background command would get /dev/null as its input.
        Direction::Both => {
            format!("exec 3<&0; echo go >&2; cat <&3 >/dev/null & head -c {bytes} /dev/zero; wait")
        }
    };
    let before = scene.cpu_seconds(way);
    let mut source = None;
    let mut ssh = ssh(config, way, &script);
    if direction != Direction::Down {
        let mut head = Command::new("head")
            .args(["-c", &bytes.to_string(), "/dev/zero"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        ssh.stdin(head.stdout.take().unwrap());
        source = Some(head);
    }
    let mut child = ssh.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // It holds our end of the pipe to `head`.
    drop(ssh);
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    // The login is over; what follows is the flow and the end of the session.
    let start = Instant::now();
    assert_eq!(line, "go\n", "{}", way.title());
    assert!(child.wait().unwrap().success(), "{}", way.title());
    let seconds = start.elapsed().as_secs_f64();
    if let Some(mut head) = source {
        head.wait().unwrap();
    }
    let total = if direction == Direction::Both { bytes * 2 } else { bytes } as f64;
    let cpu = scene.cpu_seconds(way) - before;
    Flow { rate: total / seconds / 1e6, cpu: cpu / (total / f64::from(1 << 30)) }
}
