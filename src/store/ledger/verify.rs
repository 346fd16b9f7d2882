//! Walking the whole chain.

use super::{
    LedgerError, Reader,
    chain::{BEGINNING, Hash, hash},
    reader::{COLUMNS, record},
    refused,
};

/// Flaws that are named one by one; what is behind them is counted.
const MAX_FLAWS: usize = 100;

/// Something that was not left as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// This record, or the hash of the one before it, was changed, or it stood in another place.
    Changed(i64),
    /// These records, the first and the last of them, are not there.
    Missing(i64, i64),
    /// Records stand behind the end that was noted; the first of them.
    Behind(i64),
    /// The end that was noted is not that of the last record.
    End,
    /// The beginning that was noted is not the one that the ledger itself tells.
    Beginning,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How many records there are.
    pub records: i64,
    /// Numbers of the first and the last; 0: there is none.
    pub range: (i64, i64),
    /// The hash of the last record: noted elsewhere, it tells whether the ledger was replaced.
    pub hash: Hash,
    /// What is wrong, the oldest first.
    pub flaws: Vec<Flaw>,
    /// How much more is wrong.
    pub more: usize,
}

impl Reader {
    /// Walks the chain as it is at this moment; `None` when `cancelled` said so.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn verify(&self, cancelled: impl Fn() -> bool) -> Result<Option<Verdict>, LedgerError> {
        let failed = refused("read");
        // All of it is read in one statement, and so as it was at one moment.
        let query = format!(
            "SELECT {COLUMNS}, head, head_hash, anchor, anchor_hash \
             FROM chain LEFT JOIN record ORDER BY id"
        );
        let mut statement = self.connection.prepare(&query).map_err(&failed)?;
        let mut rows = statement.query([]).map_err(&failed)?;
        let mut walk: Option<Walk> = None;
        while let Some(row) = rows.next().map_err(&failed)? {
            if cancelled() {
                return Ok(None);
            }
            let noted = || -> rusqlite::Result<Walk> {
                Ok(Walk::new((row.get(10)?, row.get(11)?), (row.get(12)?, row.get(13)?)))
            };
            let walk = match &mut walk {
                Some(walk) => walk,
                None => walk.insert(noted().map_err(&failed)?),
            };
            if row.get::<_, Option<i64>>(0).map_err(&failed)?.is_some() {
                // A value of another type than was written is a change, too.
                match record(row) {
                    Ok(record) => walk.step(&record),
                    Err(_) => walk.step_unreadable(row.get(0).map_err(&failed)?),
                }
            }
        }
        let damaged = || LedgerError::Damaged("the end of its chain is not noted".to_owned());
        Ok(Some(walk.ok_or_else(damaged)?.finish()))
    }
}

/// How far the walk has come. Pure.
struct Walk {
    head: (i64, Hash),
    anchor: (i64, Hash),
    /// The anchor that the newest record about pruning tells.
    told: (i64, String),
    last: (i64, Hash),
    verdict: Verdict,
}

impl Walk {
    fn new(head: (i64, Hash), anchor: (i64, Hash)) -> Self {
        let (flaws, more) = (Vec::new(), 0);
        let verdict = Verdict { records: 0, range: (0, 0), hash: BEGINNING, flaws, more };
        let told = (0, super::hexadecimal(&BEGINNING));
        Self { head, anchor, told, last: anchor, verdict }
    }

    fn step(&mut self, record: &super::Record) {
        // What follows a gap has nothing that it could be checked against.
        let follows = self.arrive(record.id);
        if follows && hash(&self.last.1, record.id, &record.line) != record.hash {
            self.flaw(Flaw::Changed(record.id));
        }
        self.last = (record.id, record.hash);
        if record.line.kind == "ledger"
            && let Ok(detail) = serde_json::from_str::<serde_json::Value>(&record.line.detail)
            && let (Some(through), Some(hash)) =
                (detail["pruned_through"].as_i64(), detail["hash"].as_str())
        {
            self.told = (through, hash.to_owned());
        }
    }

    fn step_unreadable(&mut self, id: i64) {
        let _ = self.arrive(id);
        self.flaw(Flaw::Changed(id));
        self.last = (id, BEGINNING);
    }

    /// Counts a record; whether it follows the one before it.
    fn arrive(&mut self, id: i64) -> bool {
        self.verdict.records += 1;
        if self.verdict.records == 1 {
            self.verdict.range.0 = id;
        }
        if id == self.head.0 + 1 {
            self.flaw(Flaw::Behind(id));
        }
        let follows = id == self.last.0 + 1;
        if !follows {
            self.flaw(Flaw::Missing(self.last.0 + 1, id - 1));
        }
        follows
    }

    fn finish(mut self) -> Verdict {
        if self.last.0 < self.head.0 {
            self.flaw(Flaw::Missing(self.last.0 + 1, self.head.0));
        } else if self.last.0 == self.head.0 && self.last.1 != self.head.1 {
            self.flaw(Flaw::End);
        }
        if self.told != (self.anchor.0, super::hexadecimal(&self.anchor.1)) {
            self.flaw(Flaw::Beginning);
        }
        self.verdict.range.1 = if self.verdict.records == 0 { 0 } else { self.last.0 };
        self.verdict.hash = self.last.1;
        self.verdict
    }

    fn flaw(&mut self, flaw: Flaw) {
        if self.verdict.flaws.len() < MAX_FLAWS {
            self.verdict.flaws.push(flaw);
        } else {
            self.verdict.more += 1;
        }
    }
}
