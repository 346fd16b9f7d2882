//! The programs that change the kernel's packet filter: `iptables-save`, `iptables-restore`,
//! `conntrack`, and their IPv6 forms. Text of ours goes in by standard input; no shell is involved.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time::timeout,
};

use super::{
    rules::{Family, Protocol, unled},
    table::Table,
};
use crate::model::{firewall::Firewall, text::printable_bytes};

/// How long a program may take in all.
const LIMIT: Duration = Duration::from_secs(10);

/// How long `iptables` waits for its lock, in seconds: others hold it for milliseconds.
const LOCK: &str = "5";

/// Lists and forgets connections.
const CONNTRACK: &str = "conntrack";

/// Beginning of the files that tell how full its table is.
const TABLE: &str = "/proc/sys/net/netfilter/nf_conntrack_";

/// Longest output read, in bytes: some ten thousand rules.
const MAX_OUTPUT: u64 = 4 * 1024 * 1024;

/// Longest complaint shown, in bytes.
const MAX_COMPLAINT: usize = 300;

/// Why the packet filter is not as wanted.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The program is not there, or cannot be run.
    #[error("run {program}: {source}")]
    Run {
        /// Its name.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It took longer than 10 s.
    #[error("{0} takes too long")]
    Timeout(&'static str),
    /// It refused.
    #[error("{program}: {said}")]
    Refused {
        /// Its name.
        program: &'static str,
        /// What it said, printable.
        said: String,
    },
}

/// What `iptables-save` says of a family.
pub(super) async fn save(firewall: Firewall, family: Family) -> Result<String, KernelError> {
    run(programs(firewall, family).0, &[], "").await
}

/// Applies a text of [`super::rules`] in one piece: all of it, or nothing.
pub(super) async fn restore(
    firewall: Firewall,
    family: Family,
    text: &str,
) -> Result<(), KernelError> {
    let arguments = ["--noflush", "--wait", LOCK];
    run(programs(firewall, family).1, &arguments, text).await.map(drop)
}

fn programs(firewall: Firewall, family: Family) -> (&'static str, &'static str) {
    match (firewall, family) {
        (Firewall::Iptables, Family::V4) => ("iptables-save", "iptables-restore"),
        (Firewall::Iptables, Family::V6) => ("ip6tables-save", "ip6tables-restore"),
        (Firewall::Nft, Family::V4) => ("iptables-nft-save", "iptables-nft-restore"),
        (Firewall::Nft, Family::V6) => ("ip6tables-nft-save", "ip6tables-nft-restore"),
        (Firewall::Legacy, Family::V4) => ("iptables-legacy-save", "iptables-legacy-restore"),
        (Firewall::Legacy, Family::V6) => ("ip6tables-legacy-save", "ip6tables-legacy-restore"),
    }
}

/// Whether the program that forgets connections is there.
///
/// # Errors
/// It is not.
pub(super) async fn has_conntrack() -> Result<(), KernelError> {
    run(CONNTRACK, &["--version"], "").await.map(drop)
}

/// Forgets connections that were led to `to`: their clients get a new answer at once instead of
/// waiting for one from a host that is gone. That there is none is no error.
pub(super) async fn forget(protocol: Protocol, to: SocketAddr) -> Result<(), KernelError> {
    let (address, port) = (to.ip().to_string(), to.port().to_string());
    let of = ["-p", protocol.name(), "--reply-src", &address, "--reply-port-src", &port];
    delete(Family::of(to.ip()), &of).await
}

/// Forgets UDP conversations with this machine itself at `port`, which leads somewhere now: the
/// kernel asks the rules at the first packet only, and a client that goes on would never get there.
pub(super) async fn forget_unled(family: Family, port: u16) -> Result<(), KernelError> {
    let port = port.to_string();
    let list = ["-L", "-f", name(family), "-p", "udp", "--orig-port-dst", &port];
    let listed = run(CONNTRACK, &list, "").await?;
    // Conversations of this machine with others at that port are none of ours.
    for address in unled(&listed).into_iter().filter(|a| UdpSocket::bind((*a, 0)).is_ok()) {
        let address = address.to_string();
        let of = ["-p", "udp", "--orig-dst", &address, "--orig-port-dst", &port];
        delete(family, &[&of[..], &["--reply-src", &address]].concat()).await?;
    }
    Ok(())
}

async fn delete(family: Family, of: &[&str]) -> Result<(), KernelError> {
    match run(CONNTRACK, &[&["-D", "-f", name(family)], of].concat(), "").await {
        Err(KernelError::Refused { said, .. }) if said.contains("0 flow entries") => Ok(()),
        done => done.map(drop),
    }
}

fn name(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

/// Whether the kernel forwards packets of a family at all, as far as can be told.
pub(super) fn forwards(family: Family) -> bool {
    let file = match family {
        Family::V4 => "/proc/sys/net/ipv4/ip_forward",
        Family::V6 => "/proc/sys/net/ipv6/conf/all/forwarding",
    };
    std::fs::read_to_string(file).map_or(true, |text| text.trim() != "0")
}

/// The table of connections; none without the part of the kernel that has it.
pub(super) fn table() -> Option<Table> {
    let read = |what: &str| std::fs::read_to_string(format!("{TABLE}{what}")).ok();
    Table::parse(&read("count")?, &read("max")?)
}

/// Runs a program with `input`, for 10 s at most: what it says.
///
/// # Errors
/// It cannot be run, takes too long, or fails.
pub async fn run(
    program: &'static str,
    arguments: &[&str],
    input: &str,
) -> Result<String, KernelError> {
    let failed = |source| KernelError::Run { program, source };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let done = timeout(LIMIT, exchange(&mut child, input)).await;
    let (success, output, complaint) =
        done.map_err(|_| KernelError::Timeout(program))?.map_err(failed)?;
    if success {
        return Ok(String::from_utf8_lossy(&output).into_owned());
    }
    Err(KernelError::Refused { program, said: printable_bytes(&complaint, MAX_COMPLAINT) })
}

async fn exchange(child: &mut Child, input: &str) -> io::Result<(bool, Vec<u8>, Vec<u8>)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // It may have refused before it read everything: its status tells.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let (mut output, mut complaint) = (Vec::new(), Vec::new());
    let read = async {
        if let Some(stdout) = stdout {
            stdout.take(MAX_OUTPUT).read_to_end(&mut output).await?;
        }
        io::Result::Ok(())
    };
    let hear = async {
        if let Some(stderr) = stderr {
            stderr.take(MAX_OUTPUT).read_to_end(&mut complaint).await?;
        }
        io::Result::Ok(())
    };
    let ((), read, heard) = tokio::join!(write, read, hear);
    if output.len() as u64 == MAX_OUTPUT {
        // Nobody reads the rest, for which it would wait.
        child.start_kill()?;
    }
    read?;
    heard?;
    let status = child.wait().await?;
    Ok((status.success(), output, complaint))
}
