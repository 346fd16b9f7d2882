//! How full the kernel's table of connections is. Pure. When it is full, packets of new connections
//! are dropped, whoever they are for: the sentinel can only tell.

/// Per cent from which on it is told, and below which it is not any more.
const CROWDED: u64 = 90;
const ROOMY: u64 = 75;

/// Connections in the kernel's table, and how many it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) count: u64,
    pub(super) max: u64,
}

impl Table {
    /// Reads what the kernel says of both.
    pub(super) fn parse(count: &str, max: &str) -> Option<Self> {
        Some(Self { count: count.trim().parse().ok()?, max: max.trim().parse().ok()? })
    }

    /// Whether it is to be told, if it `was` until now.
    pub(super) fn is_crowded(self, was: bool) -> bool {
        let limit = if was { ROOMY } else { CROWDED };
        self.max > 0 && self.count.saturating_mul(100) >= self.max.saturating_mul(limit)
    }

    /// What is told, for people.
    pub(super) fn warning(self) -> String {
        format!(
            "the kernel's table of {} connections is nearly full, and drops new ones when it is; \
             raise net.netfilter.nf_conntrack_max",
            self.max
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_from_90_per_cent_on_until_there_is_room() {
        let mut told = false;
        let counts = [0, 89, 90, 100, 76, 75, 74, 89, 90].map(|count| {
            told = Table { count, max: 100 }.is_crowded(told);
            told
        });
        let expected = [false, false, true, true, true, true, false, false, true];
        assert_eq!(counts, expected);
        assert!(!Table { count: 0, max: 0 }.is_crowded(false));
        assert!(Table { count: u64::MAX, max: u64::MAX }.is_crowded(true));
    }

    #[test]
    fn only_numbers_are_a_table() {
        assert_eq!(Table::parse("7\n", "64\n"), Some(Table { count: 7, max: 64 }));
        assert_eq!((Table::parse("", "64"), Table::parse("7", "-1")), (None, None));
    }
}
