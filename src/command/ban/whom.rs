//! What people type after `ban`.

use std::{str::FromStr, time::Duration};

use crate::{guard::book::Id, model::source::Network};

/// Longest time of a ban by hand, in seconds; longer ones hold until they are removed.
const LONGEST: u64 = 366 * 24 * 3600;

/// An address, a network or a ban's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whom {
    Network(Network),
    Id(Id),
}

impl FromStr for Whom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        Network::parse(text)
            .map(Self::Network)
            .map_err(|why| format!("{why}; it is no ban's id either"))
    }
}

/// A time with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Length(u64);

impl Length {
    pub(super) fn seconds(self) -> u64 {
        self.0
    }

    pub(super) fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl FromStr for Length {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let form = "a time is a number and a unit, up to 366d: 30s, 10m, 2h, 7d";
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 24 * 3600,
            _ => return Err(form),
        };
        let seconds = number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
        seconds.filter(|s| (1..=LONGEST).contains(s)).map(Self).ok_or(form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_addresses_and_ids_are_told_from_what_is_none() {
        for (text, seconds) in [("1s", 1), ("10m", 600), ("2h", 7200), ("7d", 604_800)] {
            assert_eq!(text.parse(), Ok(Length(seconds)), "{text}");
        }
        for text in ["", "1", "h", "0s", "-1s", "1.5h", "367d", "99999999999999999999d", "1w"] {
            assert!(text.parse::<Length>().is_err(), "{text}");
        }
        assert!(matches!("192.0.2.7".parse(), Ok(Whom::Network(_))));
        assert!(matches!("2001:db8::/32".parse(), Ok(Whom::Network(_))));
        assert!(matches!("abc234".parse(), Ok(Whom::Id(_))));
        for text in ["", "alice", "192.0.2.7/24", "192.0.2", "a.example"] {
            assert!(text.parse::<Whom>().is_err(), "{text}");
        }
    }
}
