//! `https://HOST[:PORT]/PATH` of a server that is not ours. What follows the host may be a secret,
//! so neither [`fmt::Display`] nor [`fmt::Debug`] shows it.

use std::{fmt, net::IpAddr, str::FromStr};

/// Longest URL, in bytes.
const MAX_URL: usize = 2048;

/// Where a request goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// `https`, not `http`.
    pub secure: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query, from `/`.
    pub path: String,
}

/// Why a text is no URL that can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Something else in front.
    #[error("a URL begins with https:// (or http:// for this machine and private networks)")]
    Scheme,
    /// No host, or one that cannot be.
    #[error("no host name or address after the //")]
    Host,
    /// No port number.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// `USER:PASSWORD@` in it.
    #[error("a password in a URL is read by everybody who sees the file")]
    Password,
    /// Blanks, control characters, or letters beyond ASCII.
    #[error("a character in it has to be written as %XX")]
    Character,
    /// `#…` in it.
    #[error("what follows # is never sent")]
    Fragment,
    /// Too long.
    #[error("longer than {MAX_URL} bytes")]
    TooLong,
    /// `http` to somebody far away.
    #[error("everybody on the way could read it: http:// is for this machine and private networks")]
    Insecure,
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.len() > MAX_URL {
            return Err(UrlError::TooLong);
        }
        let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(UrlError::Scheme),
        };
        if !rest.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b)) {
            return Err(UrlError::Character);
        }
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(UrlError::Password);
        }
        let (host, port) = split_port(authority);
        let port = match port {
            None => {
                if secure {
                    443
                } else {
                    80
                }
            }
            Some(port) => port.parse().ok().filter(|p| *p > 0).ok_or(UrlError::Port)?,
        };
        let host = host_of(host).ok_or(UrlError::Host)?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        let url = Self { secure, host, port, path: format!("{slash}{path}") };
        if url.secure || url.is_near() { Ok(url) } else { Err(UrlError::Insecure) }
    }
}

impl Url {
    /// The same server, with `path` behind what this URL ends with.
    #[must_use]
    pub fn join(&self, path: &str) -> Self {
        Self { path: format!("{}{path}", self.path.trim_end_matches('/')), ..self.clone() }
    }

    /// What a `Host` header says, and what may be shown: `HOST`, or `HOST:PORT`.
    #[must_use]
    pub fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.secure, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// On this machine or in a private network, as far as the name tells.
    fn is_near(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
            Ok(IpAddr::V6(ip)) => {
                ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
            }
            // `.internal` is nobody's on the public net.
            Err(_) => self.host == "localhost" || self.host.ends_with(".internal"),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}/…")
    }
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn host_of(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('[') {
        let address = inner.strip_suffix(']')?;
        return address.parse::<std::net::Ipv6Addr>().ok().map(|ip| ip.to_string());
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let is_name = !text.is_empty() && text.len() <= 253 && text.bytes().all(allowed);
    is_name.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_and_never_shown_whole() {
        let url: Url = "https://Hooks.example/T0/SECRET?x=1".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port, url.secure), ("hooks.example", 443, true));
        assert_eq!(url.path, "/T0/SECRET?x=1");
        assert_eq!(format!("{url} {url:?}"), "https://hooks.example https://hooks.example/…");
        let url: Url = "http://[::1]:8080".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("::1", 8080, "/"));
        assert_eq!(url.join("/a").path, "/a");
        assert_eq!(url.authority(), "[::1]:8080");
        let url: Url = "https://h.example?x".parse().unwrap();
        assert_eq!(url.path, "/?x");
    }

    #[test]
    fn what_is_no_url_or_could_be_read_on_the_way_is_refused() {
        for (text, why) in [
            ("ftp://x", UrlError::Scheme),
            ("https://", UrlError::Host),
            ("https://[::g]/", UrlError::Host),
            ("https://a b/", UrlError::Character),
            ("https://a/\r\nX: y", UrlError::Character),
            ("https://ä/", UrlError::Character),
            ("https://u:p@h/", UrlError::Password),
            ("https://h:0/", UrlError::Port),
            ("https://h:x/", UrlError::Port),
            ("https://h/#f", UrlError::Fragment),
            ("http://example.org/", UrlError::Insecure),
            ("http://8.8.8.8/", UrlError::Insecure),
        ] {
            assert_eq!(text.parse::<Url>(), Err(why), "{text}");
        }
        for text in
            ["http://localhost", "http://127.0.0.1:9", "http://10.1.2.3/x", "http://a.internal"]
        {
            assert!(text.parse::<Url>().is_ok(), "{text}");
        }
    }
}
