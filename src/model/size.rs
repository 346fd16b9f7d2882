//! Sizes of memory and disks as people write them: `4GB` is 1000³ times 4, `4GiB` is 1024³. Pure.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// Units: how they are written, how they are compared, and their size in bytes; largest first.
const UNITS: [(&str, &str, u64); 9] = [
    ("TiB", "tib", 1 << 40),
    ("TB", "tb", 1_000_000_000_000),
    ("GiB", "gib", 1 << 30),
    ("GB", "gb", 1_000_000_000),
    ("MiB", "mib", 1 << 20),
    ("MB", "mb", 1_000_000),
    ("KiB", "kib", 1 << 10),
    ("kB", "kb", 1000),
    ("B", "b", 1),
];

/// Most digits behind the point.
const MAX_DECIMALS: usize = 3;

/// A number of bytes, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// Why a size was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// There is no number in front, or something strange in it.
    #[error("size must be a number and a unit, such as 4GB or 4GiB")]
    Form,
    /// `4`, `4G`: which unit is meant?
    #[error("size needs a unit: MB, GB, TB, or MiB, GiB, TiB")]
    Unit,
    /// Nothing, or less than a byte.
    #[error("size must be more than 0")]
    Zero,
    /// More than 64 bits of bytes.
    #[error("size is too large")]
    TooLarge,
}

impl Size {
    /// So many bytes; `None` for 0.
    #[must_use]
    pub fn from_bytes(bytes: u64) -> Option<Self> {
        (bytes > 0).then_some(Self(bytes))
    }

    /// In bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let decimal = (1..=MAX_DECIMALS).contains(&decimals.len()) && !decimals.contains('.');
        if whole.is_empty() || !decimal {
            return Err(SizeError::Form);
        }
        let unit = unit.to_ascii_lowercase();
        let known = UNITS.iter().find(|(_, name, _)| *name == unit);
        let (.., factor) = known.ok_or(SizeError::Unit)?;
        let whole: u64 = whole.parse().map_err(|_| SizeError::TooLarge)?;
        // At most three digits, so that neither of these overflows.
        let thousandths: u64 = format!("{decimals:0<MAX_DECIMALS$}").parse().unwrap_or_default();
        let bytes =
            u128::from(*factor) * (u128::from(whole) * 1000 + u128::from(thousandths)) / 1000;
        let bytes = u64::try_from(bytes).map_err(|_| SizeError::TooLarge)?;
        Self::from_bytes(bytes).ok_or(SizeError::Zero)
    }
}

/// As Incus reads it: a whole number of the largest unit that leaves no rest.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut units = UNITS.iter();
        let fits = units.find(|(.., factor)| self.0.is_multiple_of(*factor));
        let (unit, _, factor) = fits.unwrap_or(&("B", "b", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_a_thousand_and_of_1024_are_told_apart() {
        for (text, bytes) in [
            ("8GB", 8_000_000_000),
            ("8GiB", 8 << 30),
            ("8gib", 8 << 30),
            ("4096MB", 4_096_000_000),
            ("512MiB", 512 << 20),
            ("1.5GiB", 1536 << 20),
            ("0.001kB", 1),
            ("1B", 1),
            ("2TB", 2_000_000_000_000),
        ] {
            assert_eq!(text.parse::<Size>().map(Size::bytes), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_the_reason() {
        for (text, why) in [
            ("", SizeError::Form),
            ("GB", SizeError::Form),
            ("-1GB", SizeError::Form),
            ("1.GB", SizeError::Form),
            ("1.2.3GB", SizeError::Form),
            ("1.2345GB", SizeError::Form),
            ("8", SizeError::Unit),
            ("8G", SizeError::Unit),
            ("8 GB", SizeError::Unit),
            ("50%", SizeError::Unit),
            ("8GBx", SizeError::Unit),
            ("8ＧＢ", SizeError::Unit),
            ("0GB", SizeError::Zero),
            ("0.0001kB", SizeError::Form),
            ("99999999999999999999B", SizeError::TooLarge),
            ("99999999TiB", SizeError::TooLarge),
        ] {
            assert_eq!(text.parse::<Size>(), Err(why), "{text}");
        }
    }

    #[test]
    fn sizes_are_written_as_they_were_meant() {
        for text in ["8GB", "8GiB", "512MiB", "1500MB", "1TiB", "1B", "1001B", "20GiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        assert_eq!("1.5GiB".parse::<Size>().unwrap().to_string(), "1536MiB");
        assert_eq!("1024MiB".parse::<Size>().unwrap().to_string(), "1GiB");
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_in_writing(bytes in 1..=u64::MAX) {
            let size = Size::from_bytes(bytes).unwrap();
            assert_eq!(size.to_string().parse::<Size>(), Ok(size));
        }
    }
}
