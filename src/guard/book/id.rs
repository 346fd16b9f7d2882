//! The numbers of bans, as people quote them.

use std::{fmt, str::FromStr};

/// Without those that look alike on a screen or sound alike on the telephone.
const LETTERS: &[u8; 32] = b"23456789abcdefghjkmnpqrstuvwxyz-";

/// Letters that are used: the last one is not.
const BASE: u32 = 31;

/// Letters of a number; 31^6 is more than any `u32` of 29 bits.
const LENGTH: usize = 6;

/// The number of a ban: six letters and digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(u32);

impl Id {
    /// The number as it is written; only its lower 29 bits count.
    #[must_use]
    pub fn new(number: u32) -> Self {
        Self(number & (u32::MAX >> 3))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        for _ in 0..LENGTH {
            let letter = LETTERS.get((rest % BASE) as usize).copied().unwrap_or(b'-');
            write!(f, "{}", char::from(letter))?;
            rest /= BASE;
        }
        Ok(())
    }
}

/// It is no number of a ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a ban, which has six letters and digits")]
pub struct NoId;

impl FromStr for Id {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        if text.len() != LENGTH {
            return Err(NoId);
        }
        let mut number = 0u32;
        for letter in text.bytes().rev() {
            let letter = letter.to_ascii_lowercase();
            let digit = LETTERS.iter().position(|l| *l == letter && letter != b'-').ok_or(NoId)?;
            let digit = u32::try_from(digit).map_err(|_| NoId)?;
            number = number.checked_mul(BASE).and_then(|n| n.checked_add(digit)).ok_or(NoId)?;
        }
        if number >> 29 == 0 { Ok(Self(number)) } else { Err(NoId) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        for number in [0, 1, 30, 31, 12_345, u32::MAX, u32::MAX >> 3, 0xdead_beef] {
            let id = Id::new(number);
            let text = id.to_string();
            assert_eq!((text.len(), text.parse()), (6, Ok(id)), "{text}");
            assert_eq!(text.to_uppercase().parse(), Ok(id));
        }
        for text in ["", "abc", "222222222", "l22222", "22222-", "zzzzzz", "é2222", "١٢٣"] {
            assert_eq!(text.parse::<Id>(), Err(NoId), "{text}");
        }
    }
}
