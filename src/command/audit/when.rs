//! Times as people type them. Pure.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

/// A time, or how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::command) enum When {
    Ago(SignedDuration),
    At(Timestamp),
}

const FORM: &str = "a time is written 90m, 2h or 7d (ago), 2026-11-23, or 2026-11-23T08:30 (UTC)";

impl FromStr for When {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ago(text).map(Self::Ago).or_else(|| at(text).map(Self::At)).ok_or(FORM)
    }
}

impl When {
    /// The time that was meant at `now`.
    pub(in crate::command) fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(span) => now.checked_sub(span).unwrap_or(Timestamp::MIN),
            Self::At(at) => at,
        }
    }
}

fn ago(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
    Some(SignedDuration::from_secs(i64::from(number) * seconds))
}

fn at(text: &str) -> Option<Timestamp> {
    let civil = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok();
    // With a zone it is one moment; without one it is UTC, as everything that is shown.
    text.parse().ok().or_else(|| Some(civil()?.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spans_dates_and_moments() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        for (text, meant) in [
            ("90m", "2026-11-23T10:30:00Z"),
            ("0s", "2026-11-23T12:00:00Z"),
            ("2h", "2026-11-23T10:00:00Z"),
            ("1w", "2026-11-16T12:00:00Z"),
            ("2026-11-22", "2026-11-22T00:00:00Z"),
            ("2026-11-22T08:30", "2026-11-22T08:30:00Z"),
            ("2026-11-22 08:30:01", "2026-11-22T08:30:01Z"),
            ("2026-11-22T08:30:00+02:00", "2026-11-22T06:30:00Z"),
        ] {
            let when: When = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(when.before(now).to_string(), meant, "{text}");
        }
        for text in ["", "h", "2", "-2h", "2y", "yesterday", "2026-13-01", "99999999999d", "2 h"] {
            assert_eq!(text.parse::<When>(), Err(FORM), "{text}");
        }
        assert_eq!("4000000000d".parse::<When>().unwrap().before(now), Timestamp::MIN);
    }
}
