//! How many processors a container may use, or which: `4` is any four, `2-4` are the processors 2, 3
//! and 4 and no others. Pure.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// A limit on processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuLimit {
    /// So many, whichever are idle.
    Count(u32),
    /// Those from the first to the last, counted from 0, and no others.
    Pinned {
        /// The first.
        first: u32,
        /// The last.
        last: u32,
    },
}

/// Why a limit was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CpuError {
    /// No number, no range.
    #[error("processors are a number, such as 4, or a range of numbers, such as 0-3")]
    Form,
    /// None at all.
    #[error("a container needs at least 1 processor")]
    Zero,
    /// A range from high to low.
    #[error("the range goes backwards")]
    Backwards,
}

impl CpuLimit {
    /// How many processors a host must have for this.
    #[must_use]
    pub fn needed(self) -> u64 {
        match self {
            Self::Count(count) => count.into(),
            Self::Pinned { last, .. } => u64::from(last) + 1,
        }
    }
}

impl FromStr for CpuLimit {
    type Err = CpuError;

    fn from_str(text: &str) -> Result<Self, CpuError> {
        // `parse` would take a sign.
        let number = |text: &str| {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u32>().ok().filter(|_| digits).ok_or(CpuError::Form)
        };
        let Some((first, last)) = text.split_once('-') else {
            let count = number(text)?;
            return if count == 0 { Err(CpuError::Zero) } else { Ok(Self::Count(count)) };
        };
        let (first, last) = (number(first)?, number(last)?);
        if first > last { Err(CpuError::Backwards) } else { Ok(Self::Pinned { first, last }) }
    }
}

/// As Incus reads it.
impl fmt::Display for CpuLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Pinned { first, last } => write!(f, "{first}-{last}"),
        }
    }
}

impl Serialize for CpuLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_count_and_a_range_is_pinned() {
        for (text, limit, needed) in [
            ("1", CpuLimit::Count(1), 1),
            ("4", CpuLimit::Count(4), 4),
            ("0-3", CpuLimit::Pinned { first: 0, last: 3 }, 4),
            ("1-1", CpuLimit::Pinned { first: 1, last: 1 }, 2),
        ] {
            let read: CpuLimit = text.parse().unwrap();
            assert_eq!((read, read.needed(), read.to_string().as_str()), (limit, needed, text));
        }
        for (text, why) in [
            ("0", CpuError::Zero),
            ("4-2", CpuError::Backwards),
            ("", CpuError::Form),
            ("+1", CpuError::Form),
            ("-1", CpuError::Form),
            ("1-", CpuError::Form),
            ("1-2-3", CpuError::Form),
            ("1,3", CpuError::Form),
            ("2.5", CpuError::Form),
            ("99999999999", CpuError::Form),
        ] {
            assert_eq!(text.parse::<CpuLimit>(), Err(why), "{text}");
        }
    }
}
