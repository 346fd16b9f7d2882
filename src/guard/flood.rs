//! Which connections are dropped early while very many have not logged in. Pure.
//!
//! As `MaxStartups begin:rate:full` of sshd(8): from half of the places on, a stranger's connection
//! is dropped with a chance that grows. The last eighth is kept for those from whose address
//! somebody has logged in before, so that no flood of strangers keeps known people out.

use super::book::Standing;

/// The chance at the beginning, in hundredths: sshd's own default.
const RATE: usize = 30;

/// Whether a connection is dropped while `starting` of `places` are taken; `draw` is a number from 0
/// to 99 that nobody can foresee.
pub(super) fn drops(standing: Standing, (starting, places): (usize, usize), draw: usize) -> bool {
    match standing {
        Standing::Allowed | Standing::Known => false,
        Standing::Stranger => draw < chance(starting, places),
    }
}

/// In hundredths.
fn chance(starting: usize, places: usize) -> usize {
    let (begin, full) = (places / 2, places - places / 8);
    if starting < begin.max(1) {
        return 0;
    }
    if starting >= full {
        return 100;
    }
    RATE + (100 - RATE) * (starting - begin) / (full - begin).max(1)
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
        }
    }
}
