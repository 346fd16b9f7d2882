//! Public ports, and the packet filter that leads them on. Pure.

use std::{fmt, str::FromStr};

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Its name in `iptables`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A port that the world sees: `443` is TCP, `443/udp` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicPort {
    /// Of which protocol.
    pub protocol: Protocol,
    /// Its number, never 0.
    pub number: u16,
}

/// Why a text is no public port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Behind the `/` is neither `tcp` nor `udp`.
    #[error("protocol must be tcp or udp")]
    Protocol,
    /// In front is no number, or one out of range.
    #[error("port must be a number from 1 to 65535")]
    Number,
}

impl FromStr for PublicPort {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return Err(PortError::Protocol),
        };
        let is_plain = number.bytes().all(|b| b.is_ascii_digit());
        let number = number.parse().ok().filter(|n| is_plain && *n > 0).ok_or(PortError::Number)?;
        Ok(Self { protocol, number })
    }
}

impl fmt::Display for PublicPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol.name())
    }
}

/// Which of the kernel's two packet filters is meant: a machine should use one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Firewall {
    /// The one that this machine's administrator chose (`update-alternatives`).
    #[default]
    Iptables,
    /// nftables, by `iptables-nft`.
    Nft,
    /// The old tables, by `iptables-legacy`.
    Legacy,
}

impl Firewall {
    /// As it is written in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Iptables => "iptables",
            Self::Nft => "iptables-nft",
            Self::Legacy => "iptables-legacy",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_tcp_unless_it_says_udp() {
        for (text, shown) in [("80", "80/tcp"), ("443/udp", "443/udp"), ("65535/tcp", "65535/tcp")]
        {
            assert_eq!(text.parse::<PublicPort>().unwrap().to_string(), shown);
        }
        for text in ["0", "65536", "", "+80", "80/", "80/TCP", "http", "80/udp/tcp", "/udp"] {
            assert!(text.parse::<PublicPort>().is_err(), "{text}");
        }
    }
}
