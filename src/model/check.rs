//! How it is checked whether a backend's host is alive.

use std::time::Duration;

/// What is asked of a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Something accepts a TCP connection on this port.
    Tcp(u16),
    /// An SSH server says who it is on this port (RFC 4253, section 4.2).
    Ssh(u16),
    /// A web server answers on this port, whatever it says.
    Http(u16),
    /// Something accepts connections on the Incus socket of this machine.
    Incus,
    /// An SSH server says who it is at the end of the host's tunnel.
    Tunnel,
}

/// When a check is made, and how many results make a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// From the end of one probe to the beginning of the next.
    pub interval: Duration,
    /// After this a probe without an answer has failed.
    pub timeout: Duration,
    /// Failures in a row that make it down; at least 2, so that one lost probe changes nothing.
    pub fall: u32,
    /// Successes in a row that make it up again; at least 1.
    pub rise: u32,
}

/// A dead host is found within 4.5 s: an interval, three timeouts and two short pauses.
impl Default for Rules {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self { interval: second, timeout: second, fall: 3, rise: 2 }
    }
}

impl Check {
    /// A name for people and metrics: `tcp:443`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Tcp(port) => format!("tcp:{port}"),
            Self::Ssh(port) => format!("ssh:{port}"),
            Self::Http(port) => format!("http:{port}"),
            Self::Incus => "incus".to_owned(),
            Self::Tunnel => "tunnel".to_owned(),
        }
    }
}
