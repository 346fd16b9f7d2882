//! The forms that the ledger's file has had, and how each becomes the next.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::{LedgerError, refused};

/// `CTNR` in ASCII: tells the file from other `SQLite` databases (see file(1)).
const APPLICATION: i64 = 0x4354_4e52;

/// What makes form N + 1 of form N. The first makes everything.
const STEPS: [&str; FORM as usize] = [
    "
    CREATE TABLE record (
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        kind TEXT NOT NULL,
        session INTEGER,
        person TEXT,
        key TEXT,
        source TEXT,
        container TEXT,
        detail TEXT NOT NULL,
        hash BLOB NOT NULL
    ) STRICT;
    CREATE INDEX record_at ON record (at);
    CREATE INDEX record_container ON record (container) WHERE container IS NOT NULL;
    CREATE TABLE chain (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        head INTEGER NOT NULL,
        head_hash BLOB NOT NULL,
        anchor INTEGER NOT NULL,
        anchor_hash BLOB NOT NULL
    ) STRICT;
    INSERT INTO chain VALUES (1, 0, zeroblob(32), 0, zeroblob(32));
",
    "
    CREATE INDEX record_kind ON record (kind);
",
];

/// The form that this release writes.
pub(super) const FORM: u8 = 2;

/// Brings the file to [`FORM`], in one transaction: it has the old form or the new one, never half.
///
/// # Errors
/// It is no ledger, a later release wrote it, or it cannot be written.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), LedgerError> {
    let failed = refused("prepare");
    let (form, application) = form(connection)?;
    if application != APPLICATION && !(application == 0 && form == 0 && is_empty(connection)?) {
        return Err(LedgerError::Damaged("it is not a ledger of ours".to_owned()));
    }
    if form > i64::from(FORM) {
        return Err(LedgerError::Newer(form));
    }
    if form == i64::from(FORM) {
        return Ok(());
    }
    let begun = Transaction::new_unchecked(connection, TransactionBehavior::Immediate);
    let transaction = begun.map_err(&failed)?;
    for step in STEPS.iter().skip(usize::try_from(form).unwrap_or(0)) {
        transaction.execute_batch(step).map_err(&failed)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION).map_err(&failed)?;
    transaction.pragma_update(None, "user_version", FORM).map_err(&failed)?;
    transaction.commit().map_err(&failed)
}

/// The form of the file, and whose it is.
pub(super) fn form(connection: &Connection) -> Result<(i64, i64), LedgerError> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    let form = number("user_version").map_err(refused("read"))?;
    Ok((form, number("application_id").map_err(refused("read"))?))
}

fn is_empty(connection: &Connection) -> Result<bool, LedgerError> {
    let query = "SELECT count(*) = 0 FROM sqlite_schema";
    connection.query_row(query, [], |row| row.get(0)).map_err(refused("read"))
}
