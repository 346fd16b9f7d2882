//! How long `ssh HOST true` takes.

use std::{collections::BTreeMap, time::Instant};

use crate::{
    Effort,
    scene::{Scene, Way, ssh},
};

/// Key exchanges: name, and what the ssh configuration says.
pub const KEX: [(&str, &str); 2] =
    [("curve25519", "  KexAlgorithms curve25519-sha256"), ("default", "")];

/// Milliseconds of each login, by key exchange and way.
pub type Logins = BTreeMap<(&'static str, Way), Vec<f64>>;

/// Logs in `effort.logins` times by each way, in turns.
pub fn measure(scene: &Scene, effort: &Effort) -> Logins {
    let mut logins = Logins::new();
    for (kex, options) in KEX {
        let config = scene.ssh_config("kex", options);
        eprintln!("logins, {kex} key exchange");
        for _ in 0..effort.logins {
            for way in Way::ALL {
                let start = Instant::now();
                let status = ssh(&config, way, "true").status().unwrap();
                let taken = start.elapsed();
                assert!(status.success(), "{}", way.title());
                logins.entry((kex, way)).or_default().push(taken.as_secs_f64() * 1e3);
            }
        }
    }
    logins
}
