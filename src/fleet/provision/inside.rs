//! What happens inside an instance to make it ready: packages, the owner's account, sshd. The same
//! for one that was just made and one that is adopted.

use std::{net::IpAddr, time::Duration};

use tokio::time::sleep;

use super::{ProvisionError, Site};
use crate::{
    clock,
    fleet::{
        guest::{
            Guest, GuestError, Script,
            account::{self, AccountError, KeyChange, Power, Wanted},
        },
        job::Job,
        view,
    },
    incus::IncusError,
    model::{authorized_keys::AuthorizedKey, key::PublicKey, name::Account},
};

const PREPARE: &str = include_str!("prepare.sh");
const SSHD: &str = include_str!("sshd.sh");

/// For packages: mirrors are far and slow, and a lock is waited for.
const PREPARE_LIMIT: Duration = Duration::from_secs(900);
/// For sshd to start and listen.
const SSHD_LIMIT: Duration = Duration::from_secs(90);
/// For an address: DHCP takes some tenths of a second once the system inside asks for one.
const NETWORK_LIMIT: Duration = Duration::from_secs(60);
/// Pause between two looks at the addresses.
const LOOK: Duration = Duration::from_millis(50);
/// How long an instance that has just started may refuse to run anything.
const EARLY: Duration = Duration::from_secs(10);
/// Most host keys that are pinned: sshd has one of each type.
const MAX_HOST_KEYS: usize = 8;

/// What makes an instance a container of somebody's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready<'a> {
    pub(super) owner: &'a Account,
    pub(super) keys: &'a [AuthorizedKey],
    /// The owner is in the groups of the container runtimes.
    pub(super) docker: bool,
    /// Whose certificates sshd trusts.
    pub(super) ca: &'a [PublicKey],
}

/// How many steps [`make_ready`] shows.
pub(super) const STEPS: usize = 3;

/// Installs what is missing, makes the account, sets up sshd. Returns the host keys, read through
/// Incus: nobody on a network had a say in them.
pub(super) async fn make_ready(
    site: &Site,
    ready: Ready<'_>,
    job: &Job,
) -> Result<Vec<PublicKey>, ProvisionError> {
    let guest = Guest::new(site.client.clone(), site.instance.clone());
    job.step("install what is missing (sshd, sudo)");
    install(&guest, job).await.map_err(site.failed_inside("install what is missing in"))?;
    job.step(&format!("make the account {}", ready.owner));
    let wanted = Wanted {
        login: ready.owner,
        power: Power::Owner,
        container_runtime: ready.docker,
        keys: KeyChange { add: ready.keys, remove: &[] },
    };
    let made = account::ensure(&guest, &wanted, job).await;
    made.map_err(|source| match source {
        AccountError::Guest(source) => site.failed_inside("make the owner's account in")(source),
        source @ (AccountError::System(_) | AccountError::Missing(_)) => {
            let what = format!("make the owner's account in {}", site.name);
            ProvisionError::Account { what, backend: site.backend.clone(), source }
        }
    })?;
    job.step("start sshd, trust the sentinel's CA");
    let ca: String = ready.ca.iter().map(|key| key.to_line() + "\n").collect();
    let script = Script {
        what: "set up sshd",
        text: SSHD,
        arguments: &[],
        input: ca.as_bytes(),
        limit: SSHD_LIMIT,
    };
    let answer = guest.run(script, job).await.map_err(site.failed_inside("set up sshd in"))?;
    let host_keys = host_keys(&answer);
    if host_keys.is_empty() {
        let message = format!("the sshd of {} has no host key that can be pinned", site.name);
        return Err(ProvisionError::Unfit(message));
    }
    Ok(host_keys)
}

/// An instance that has just started may not run anything yet, although its first process is there.
async fn install(guest: &Guest, job: &Job) -> Result<(), GuestError> {
    let script = Script {
        what: "install packages",
        text: PREPARE,
        arguments: &[],
        input: &[],
        limit: PREPARE_LIMIT,
    };
    let until = clock::now() + EARLY;
    loop {
        match guest.run(script, job).await {
            Err(GuestError::Incus(IncusError::Api { .. })) if clock::now() < until => {
                sleep(LOOK).await;
            }
            done => return done.map(drop),
        }
    }
}

/// Waits until the instance has an address of its own.
pub(super) async fn wait_for_network(
    site: &Site,
    job: &Job,
) -> Result<Vec<IpAddr>, ProvisionError> {
    let until = clock::now() + NETWORK_LIMIT;
    loop {
        match site.client.instance(&site.instance).await {
            Ok(seen) => {
                let addresses = view::addresses(seen.state.as_ref());
                if !addresses.is_empty() {
                    return Ok(addresses);
                }
            }
            // It may be busy with a disk.
            Err(IncusError::Timeout(_)) if clock::now() < until => {}
            Err(error) => return Err(site.failed("look at the network of")(error)),
        }
        if clock::now() >= until {
            let seconds = NETWORK_LIMIT.as_secs();
            let message = format!("{} got no address within {seconds} s", site.name);
            return Err(ProvisionError::Unfit(message));
        }
        if job.cancelled().run_until_cancelled(sleep(LOOK)).await.is_none() {
            return Err(ProvisionError::Interrupted);
        }
    }
}

/// The keys that can be pinned; others of the container's are left out. Pure.
fn host_keys(answer: &str) -> Vec<PublicKey> {
    answer.lines().filter_map(|line| PublicKey::from_line(line).ok()).take(MAX_HOST_KEYS).collect()
}
