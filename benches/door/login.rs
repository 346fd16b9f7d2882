//! How long `ssh HOST true` takes.

use std::{collections::BTreeMap, time::Instant};

use crate::{
    Effort,
    scene::{Scene, Way, ssh},
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
