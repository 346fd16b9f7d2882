//! Lists of source addresses, as `from="…"` of `authorized_keys` (sshd(8); `ssh_config(5)`,
//! PATTERNS) and `source-address` of certificates (PROTOCOL.certkeys) write them.
//!
//! Addresses only: this door looks up no names, so a pattern that could only match a host name is
//! an error and not a pattern that never matches.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A list that cannot be enforced as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// An entry is no address, network or pattern over addresses.
    #[error("not an address, a network or a pattern over addresses")]
    Entry,
    /// A network has address bits to the right of its prefix, as in `10.0.0.1/8`.
    #[error("network has bits outside its prefix")]
    Prefix,
    /// More than [`MAX_ENTRIES`].
    #[error("too many entries")]
    TooMany,
}

/// Most entries of one list.
pub const MAX_ENTRIES: usize = 256;

/// A network: an address and how many leading bits of it count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    bits: u128,
    prefix: u32,
    v4: bool,
}

impl Network {
    /// The network of `prefix` bits that `address` lies in.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u32) -> Self {
        let address = address.to_canonical();
        let network = Self { bits: bits(address), prefix, v4: address.is_ipv4() };
        Self { bits: network.bits & network.mask(), ..network }
    }

    /// `ADDRESS` or `ADDRESS/PREFIX`. IPv4-mapped IPv6 networks are IPv4 networks.
    ///
    /// # Errors
    /// It has another form, or address bits outside the prefix.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| SourceError::Entry)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let mut prefix = match prefix {
            None => width,
            Some(digits) if digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| SourceError::Entry)?
            }
            Some(_) => return Err(SourceError::Entry),
        };
        if prefix > width {
            return Err(SourceError::Entry);
        }
        let folded = address.to_canonical();
        let mapped = folded.is_ipv4() && width == 128;
        // A network wider than ::ffff:0:0/96 is not an IPv4 network, whatever its address.
        let kept = if mapped && prefix < 96 { address } else { folded };
        if mapped && prefix >= 96 {
            prefix -= 96;
        }
        let network = Self { bits: bits(kept), prefix, v4: kept.is_ipv4() };
        if network.bits & !network.mask() != 0 {
            return Err(SourceError::Prefix);
        }
        Ok(network)
    }

    /// The network that `ADDRESS/PREFIX` lies in, whatever its bits to the right of the prefix are.
    #[must_use]
    pub fn within(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let prefix: u32 = prefix.parse().ok()?;
        let width = if address.to_canonical().is_ipv4() { 32 } else { 128 };
        (prefix <= width).then(|| Self::new(address, prefix))
    }

    /// Whether `address` lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.v4 && bits(address) & self.mask() == self.bits
    }

    /// Whether all of `other` lies in it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.address())
    }

    /// Its first address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        if self.v4 {
            Ipv4Addr::from_bits(u32::try_from(self.bits).unwrap_or_default()).into()
        } else {
            Ipv6Addr::from_bits(self.bits).into()
        }
    }

    /// Whether it is one address.
    #[must_use]
    pub fn is_address(&self) -> bool {
        self.prefix == if self.v4 { 32 } else { 128 }
    }

    fn mask(&self) -> u128 {
        let width = if self.v4 { 32 } else { 128 };
        let ones = u128::MAX >> (128 - width);
        ones & !ones.checked_shr(self.prefix).unwrap_or(0)
    }
}

impl FromStr for Network {
    type Err = SourceError;

    /// As [`Network::parse`].
    fn from_str(text: &str) -> Result<Self, SourceError> {
        Self::parse(text)
    }
}

impl fmt::Display for Network {
    /// As [`Network::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_address() {
            return write!(f, "{}", self.address());
        }
        write!(f, "{}/{}", self.address(), self.prefix)
    }
}

/// A certificate's `source-address`: networks apart by commas. The source must be in one of them.
///
/// # Errors
/// The list is empty, too long, or an entry is no [`Network`].
pub fn networks_contain(list: &str, source: IpAddr) -> Result<bool, SourceError> {
    let mut found = false;
    for (i, entry) in list.split(',').enumerate() {
        if i == MAX_ENTRIES {
            return Err(SourceError::TooMany);
        }
        found |= Network::parse(entry)?.contains(source);
    }
    Ok(found)
}

/// A line's `from`: networks and patterns with `*` and `?`, apart by commas, `!` in front for
/// those that must not match. The source must match one, and none with `!`.
///
/// # Errors
/// The list is empty, too long, or an entry is neither network nor pattern over addresses.
pub fn patterns_match(list: &str, source: IpAddr) -> Result<bool, SourceError> {
    let text = source.to_canonical().to_string();
    let (mut found, mut denied) = (false, false);
    for (i, entry) in list.split(',').enumerate() {
        if i == MAX_ENTRIES {
            return Err(SourceError::TooMany);
        }
        let (negated, entry) = match entry.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, entry),
        };
        let matches = if entry.contains(['*', '?']) {
            let entry = entry.to_ascii_lowercase();
            if !entry.bytes().all(|b| b.is_ascii_hexdigit() || b".:*?".contains(&b)) {
                return Err(SourceError::Entry);
            }
            glob(entry.as_bytes(), text.as_bytes())
        } else {
            Network::parse(entry)?.contains(source)
        };
        if negated { denied |= matches } else { found |= matches }
    }
    Ok(found && !denied)
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// `*` is any run of bytes and `?` any byte. At most `pattern * text` steps.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(b) if *b == b'?' || *b == text[t] => {
                p += 1;
                t += 1;
            }
            Some(_) | None => {
                let Some((after_star, from)) = retry else { return false };
                retry = Some((after_star, from + 1));
                (p, t) = (after_star, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_hold_what_they_say() {
        for (list, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.7/32", "::ffff:192.0.2.7", "::192.0.2.7"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("0.0.0.0/0", "8.8.8.8", "::1"),
            ("::/0", "::1", "8.8.8.8"),
            ("10.0.0.0/8,::1", "::1", "::2"),
        ] {
            assert_eq!(networks_contain(list, ip(inside)), Ok(true), "{list} {inside}");
            assert_eq!(networks_contain(list, ip(outside)), Ok(false), "{list} {outside}");
        }
    }

    #[test]
    fn a_list_with_one_bad_entry_is_bad() {
        for list in [
            "",
            ",",
            "10.0.0.0/8,",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "10.0.0/8",
            "host",
            "10.0.0.0/8 ",
            "::/129",
            "!10.0.0.1",
            "*",
            "fe80::1%eth0",
        ] {
            assert!(networks_contain(list, ip("10.0.0.1")).is_err(), "{list:?}");
        }
        assert_eq!(networks_contain("10.0.0.1/8", ip("10.0.0.1")), Err(SourceError::Prefix));
        let long = vec!["10.0.0.1"; MAX_ENTRIES + 1].join(",");
        assert_eq!(networks_contain(&long, ip("10.0.0.1")), Err(SourceError::TooMany));
        for list in ["*.example.org", "host", "!", "10.0.0.1/8", "", "*,,*", "1*/8"] {
            assert!(patterns_match(list, ip("10.0.0.1")).is_err(), "{list:?}");
        }
    }

    #[test]
    fn patterns_match_text_and_negation_wins() {
        for (list, source, expected) in [
            ("10.0.0.?", "10.0.0.7", true),
            ("10.0.0.?", "10.0.0.77", false),
            ("10.*", "::ffff:10.1.2.3", true),
            ("2001:DB8:*", "2001:db8::1", true),
            ("*", "::1", true),
            ("10.0.0.0/8,!10.0.0.7", "10.0.0.7", false),
            ("!10.0.0.7,10.0.0.0/8", "10.0.0.7", false),
            ("!10.0.0.7,10.0.0.0/8", "10.0.0.8", true),
            ("!10.0.0.7", "10.0.0.8", false),
            ("!10.*,*", "10.0.0.8", false),
        ] {
            assert_eq!(patterns_match(list, ip(source)), Ok(expected), "{list} {source}");
        }
    }

    proptest! {
        #[test]
        fn any_list_is_decided_or_refused(list in "[0-9a-f.:/*?!, ]{0,60}", source: IpAddr) {
            let _ = patterns_match(&list, source);
            let _ = networks_contain(&list, source);
        }

        #[test]
        fn an_address_is_in_each_of_its_networks(source: IpAddr, prefix in 0u32..=128) {
            let source = source.to_canonical();
            let width = if source.is_ipv4() { 32 } else { 128 };
            let prefix = prefix.min(width);
            let all = Network { bits: 0, prefix, v4: source.is_ipv4() };
            let network = Network { bits: bits(source) & all.mask(), ..all };
            prop_assert!(network.contains(source));
            prop_assert_eq!(network.mask().count_ones(), prefix);
            prop_assert_eq!(Network::new(source, prefix), network);
            let read = Network::parse(&network.to_string());
            // An IPv4-mapped network is written as what it is.
            prop_assert_eq!(read, Ok(network));
            prop_assert!(Network::new(source, prefix / 2).covers(&network));
            prop_assert!(network.covers(&Network::new(source, width)));
            prop_assert!(prefix == width || !Network::new(source, width).covers(&network));
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "*1".repeat(2000);
        assert_eq!(patterns_match(&pattern, ip("2001:db8::")), Ok(false));
    }
}
