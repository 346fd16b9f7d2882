//! Where an sshd is: `HOST[:PORT]`, and `USER@HOST[:PORT]`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    Advertise,
    problem::Fault,
    section::Read,
    tree::{Node, shown},
    value::text,
};

/// Longest host name, in bytes (RFC 1035).
const MAX_HOST: usize = 253;

/// Longest account name, in bytes: generous, for Windows domains.
const MAX_USER: usize = 128;

/// Ports where none is written: of sshd, and of Incus (`core.https_address`).
const SSH_PORT: &str = "22";
const HTTPS_PORT: &str = "8443";

const FORM: &str = "for instance \"198.51.100.2:22\", \"host.example.org\" or \"[2001:db8::1]:22\"";

/// Where a backend's Incus is: here, behind an sshd, or behind HTTPS; those as `HOST:PORT`. Or
/// behind an sshd whose host makes the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Local,
    Remote(String),
    Https(String),
    Tunnel,
}

/// A backend's address.
pub(super) fn place(node: &Node) -> Read<Place> {
    match text(node)? {
        "local" => Ok(Place::Local),
        "tunnel" => Ok(Place::Tunnel),
        near if near.eq_ignore_ascii_case("local") || near == "localhost" => {
            Err(Fault::new(format!("\"{near}\" is ambiguous"))
                .hint("an Incus on this machine is \"local\"; an sshd on it is \"127.0.0.1:22\""))
        }
        text if text.contains('@') => {
            let (user, address) = text.rsplit_once('@').unwrap_or(("", text));
            Err(Fault::new("an address has no account in it").hint(format!(
                "write `address = \"{}\"` and `user = \"{}\"`",
                shown(address),
                shown(user)
            )))
        }
        text => match text.strip_prefix("https://") {
            Some(rest) => {
                host_port(rest.strip_suffix('/').unwrap_or(rest), HTTPS_PORT).map(Place::Https)
            }
            None => host_port(text, SSH_PORT).map(Place::Remote),
        },
    }
}

/// Where people reach the door: `HOST` or `HOST:PORT`.
pub(super) fn advertise(node: &Node) -> Read<Advertise> {
    let text = text(node)?;
    let address = host_port(text, SSH_PORT)?;
    let (host, port) = address.rsplit_once(':').unwrap_or((&address, "22"));
    let host = host.trim_matches(['[', ']']).to_owned();
    Ok(Advertise { host, port: port.parse().unwrap_or(22) })
}

/// A route's destination: account and `HOST:PORT`.
pub(super) fn destination(node: &Node) -> Read<(String, String)> {
    let text = text(node)?;
    // From the right: accounts of Windows domains may contain an @ themselves.
    let Some((user, address)) = text.rsplit_once('@') else {
        return Err(Fault::new("no account in front of the host")
            .hint(format!("did you mean \"git@{}\"?", shown(text))));
    };
    Ok((check_user(user)?, host_port(address, SSH_PORT)?))
}

/// An account on another machine.
pub(super) fn user(node: &Node) -> Read<String> {
    check_user(text(node)?)
}

fn check_user(user: &str) -> Read<String> {
    let fault = || Fault::new(format!("\"{}\" is not an account", shown(user)));
    if user.is_empty() || user.len() > MAX_USER || user.starts_with('-') {
        return Err(fault().hint("for instance \"containarium\""));
    }
    if user.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(fault().hint("an account has no spaces in it"));
    }
    Ok(user.to_owned())
}

/// `HOST:PORT` of `HOST` or `HOST:PORT`.
fn host_port(text: &str, default_port: &str) -> Read<String> {
    let fault = || Fault::new(format!("\"{}\" is not an address", shown(text)));
    if let Some(rest) = text.strip_prefix("ssh://") {
        return Err(
            fault().hint(format!("did you mean \"{}\"?", shown(rest.trim_end_matches('/'))))
        );
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(fault().hint(format!("did you mean \"[{text}]:{default_port}\"?")));
    }
    let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, tail))) => {
            host.parse::<Ipv6Addr>().map_err(|_| fault().hint(FORM))?;
            (
                format!("[{host}]"),
                if tail.is_empty() { Some(default_port) } else { tail.strip_prefix(':') },
            )
        }
        Some(None) => return Err(fault().hint(FORM)),
        None => {
            let (host, port) = text.split_once(':').unwrap_or((text, default_port));
            if !is_host(host) {
                return Err(fault().hint(FORM));
            }
            (host.to_owned(), Some(port))
        }
    };
    let port = port.and_then(|p| p.parse::<u16>().ok()).filter(|p| *p > 0);
    let port = port.ok_or_else(|| fault().hint("a port is a number from 1 to 65535"))?;
    Ok(format!("{host}:{port}"))
}

fn is_host(host: &str) -> bool {
    let label = |l: &str| {
        let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        !l.is_empty() && !l.starts_with('-') && l.bytes().all(valid)
    };
    // What looks like an IPv4 address has to be one: 10.0.0.300 would be asked of DNS otherwise.
    let numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let name = host.strip_suffix('.').unwrap_or(host);
    let valid = if numeric { host.parse::<Ipv4Addr>().is_ok() } else { name.split('.').all(label) };
    valid && host.len() <= MAX_HOST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_port_is_22_and_ipv6_keeps_its_brackets() {
        for (text, normal) in [
            ("198.51.100.2", "198.51.100.2:22"),
            ("host.example.org:2222", "host.example.org:2222"),
            ("[2001:db8::1]", "[2001:db8::1]:22"),
            ("[2001:db8::1]:2022", "[2001:db8::1]:2022"),
            ("spot_1", "spot_1:22"),
        ] {
            assert_eq!(host_port(text, "22"), Ok(normal.to_owned()));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_way_out() {
        for (text, hint) in [
            ("2001:db8::1", "did you mean \"[2001:db8::1]:22\"?"),
            ("ssh://h/", "did you mean \"h\"?"),
            ("h:0", "a port is a number from 1 to 65535"),
            ("h:65536", "a port is a number from 1 to 65535"),
            ("[::1]22", "a port is a number from 1 to 65535"),
            ("10.0.0.300", FORM),
            ("[::1", FORM),
            ("a b", FORM),
            ("-oProxyCommand=x", FORM),
            ("", FORM),
        ] {
            assert_eq!(host_port(text, "22").unwrap_err().hints, [hint], "{text}");
        }
    }
}
