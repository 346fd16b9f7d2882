//! Many logins a second: how long each takes, and what they cost the sentinel.

use std::{process::Stdio, sync::Arc, time::Duration};

use russh::{
    client,
    keys::{PrivateKey, PrivateKeyWithHashAlg, load_secret_key},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    Effort,
    idle::AnyKey,
    scene::{Scene, Way, on_host},
};

/// The argument that makes this program the client that logs in.
pub const LOGINS: &str = "log-in";

/// Logins begun in a second.
pub const PER_SECOND: u32 = 50;

/// A login that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(10);

/// The logins by one way.
pub struct Rate {
    pub way: Way,
    /// Milliseconds of each that succeeded.
    pub times: Vec<f64>,
    /// How many did not.
    pub failed: usize,
    /// CPU milliseconds of the sentinel for each.
    pub cpu: f64,
}

/// Logs in `effort.burst` times by each way.
pub fn measure(scene: &Scene, effort: &Effort) -> Vec<Rate> {
    [Way::Direct, Way::Door].map(|way| run(scene, way, effort.burst)).into()
}

fn run(scene: &Scene, way: Way, count: usize) -> Rate {
    eprintln!("{count} logins, {PER_SECOND} a second, {}", way.title());
    let (address, user) = scene.login(way);
    let before = scene.cpu_seconds(way);
    let program = std::env::current_exe().unwrap();
    let out = on_host("client", program.to_str().unwrap())
        .args([LOGINS, &address, user])
        .arg(scene.dir.join("alice"))
        .arg(count.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", way.title());
    let times: Vec<f64> =
        String::from_utf8(out.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    let cpu = (scene.cpu_seconds(way) - before) * 1e3 / count as f64;
    Rate { way, failed: count - times.len(), times, cpu }
}

/// Logs in and opens a session channel, again and again; prints the milliseconds of each success.
pub fn log_in(arguments: &[String]) {
    let [address, user, key, count] = arguments else { panic!("{LOGINS} ADDRESS USER KEY COUNT") };
    let key = Arc::new(load_secret_key(key, None).unwrap());
    let count: u32 = count.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let times = runtime.block_on(async {
        let (start, mut logins) = (Instant::now(), JoinSet::new());
        for number in 0..count {
            sleep_until(start + Duration::from_secs(1) * number / PER_SECOND).await;
            let (address, user, key) = (address.clone(), user.clone(), Arc::clone(&key));
            logins.spawn(timeout(LIMIT, one(address, user, key)));
        }
        logins.join_all().await
    });
    for outcome in times {
        match outcome {
            Ok(Ok(taken)) => println!("{}", taken.as_secs_f64() * 1e3),
            Ok(Err(error)) => eprintln!("login failed: {error}"),
            Err(_) => eprintln!("login takes more than {} s", LIMIT.as_secs()),
        }
    }
}

async fn one(
    address: String,
    user: String,
    key: Arc<PrivateKey>,
) -> Result<Duration, russh::Error> {
    let start = Instant::now();
    let config = Arc::new(client::Config::default());
    let mut connection = client::connect(config, &address, AnyKey).await?;
    let key = PrivateKeyWithHashAlg::new(key, None);
    if !connection.authenticate_publickey(user, key).await?.success() {
        return Err(russh::Error::NotAuthenticated);
    }
    connection.channel_open_session().await?;
    Ok(start.elapsed())
}
