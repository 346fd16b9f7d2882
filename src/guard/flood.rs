//! Which connections are dropped early while very many have not logged in. Pure.
//!
//! As `MaxStartups begin:rate:full` of sshd(8): once half of the places are taken by connections that
//! have spoken, a stranger's new one is dropped with a chance that grows. Those that are silent do
//! not count here: they make room (`door::lobby`). The last eighth of the places is kept for those
//! from whose address somebody has logged in before, so that no flood of strangers keeps known
//! people out.

use super::book::Standing;

/// The chance at the beginning, in hundredths: sshd's own default.
const RATE: usize = 30;

/// Whether a connection is dropped while those that have spoken take `spoken` of `places`; `draw` is
/// a number from 0 to 99 that nobody can foresee.
pub(super) fn drops(standing: Standing, (spoken, places): (usize, usize), draw: usize) -> bool {
    match standing {
        Standing::Allowed | Standing::Known => false,
        Standing::Stranger => draw < chance(spoken, places),
    }
}

/// How many of `places` may be taken when one more comes, at most all.
pub(super) fn places(standing: Standing, places: usize) -> usize {
    match standing {
        Standing::Allowed | Standing::Known => places,
        Standing::Stranger => places - places / 8,
    }
}

/// In hundredths.
fn chance(spoken: usize, all: usize) -> usize {
    let (begin, full) = (all / 2, places(Standing::Stranger, all));
    if spoken < begin.max(1) {
        return 0;
    }
    if spoken >= full {
        return 100;
    }
    RATE + (100 - RATE) * (spoken - begin) / (full - begin).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chance_grows_from_half_of_the_places_and_the_last_ones_are_for_known_people() {
        let table = [(0, 0), (63, 0), (64, 30), (88, 65), (111, 98), (112, 100), (128, 100)];
        for (starting, expected) in table {
            assert_eq!(chance(starting, 128), expected, "{starting}");
            assert!(!drops(Standing::Known, (starting, 128), 0));
            assert!(!drops(Standing::Allowed, (starting, 128), 0));
            assert_eq!(drops(Standing::Stranger, (starting, 128), 29), expected >= 30);
        }
        // With few places the first one is still to be had.
        for places in 1..=8 {
            assert_eq!(chance(0, places), 0, "{places}");
            assert!(super::places(Standing::Stranger, places) > 0, "{places}");
        }
    }
}
