//! The one connection that writes.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{
    LedgerError, Line,
    chain::{Hash, hash},
    refused, schema,
};

/// How long a write waits for somebody who holds the file with a program of his own.
const BUSY: Duration = Duration::from_secs(2);

/// Largest file that is looked through when it is opened, in bytes: this reads all of it.
const CHECKED: i64 = 64 << 20;

/// What the write-ahead log shrinks to, in bytes, once it was larger.
const LOG_LIMIT: i64 = 16 << 20;

/// The end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of the last record; 0: there is none yet.
    pub id: i64,
    /// Its hash.
    pub hash: Hash,
}

/// What the oldest record that is kept is chained to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Number of the last record that went.
    pub id: i64,
    /// Its hash.
    pub hash: Hash,
    /// How many went just now.
    pub records: i64,
}

/// The ledger's file, open for writing. One at a time.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    head: Head,
}

impl Store {
    /// Opens the file, and makes it if there is none, for its owner alone.
    ///
    /// # Errors
    /// It is damaged, of a later release, or cannot be written.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let mut options = OpenOptions::new();
        let made = options.write(true).create(true).truncate(false).mode(0o600).open(path);
        made.map_err(|source| LedgerError::Io { operation: "open", path: path.into(), source })?;
        let failed = refused("open");
        let mut connection = Connection::open(path).map_err(&failed)?;
        connection.busy_timeout(BUSY).map_err(&failed)?;
        let journal = connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        journal.map_err(&failed)?;
        // Each batch reaches the disk before it counts as written. Nobody waits for it but the
        // thread that writes, and who asked to.
        connection.pragma_update(None, "synchronous", "FULL").map_err(&failed)?;
        connection.pragma_update(None, "journal_size_limit", LOG_LIMIT).map_err(&failed)?;
        schema::migrate(&mut connection)?;
        check(&connection)?;
        let head = head(&connection)?;
        Ok(Self { connection, head })
    }

    /// The end of the chain.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// Adds records: all of them, or none.
    ///
    /// # Errors
    /// They cannot be written, or the file is damaged.
    pub fn append(&mut self, lines: &[Line]) -> Result<(), LedgerError> {
        let failed = refused("write");
        let transaction = begin(&self.connection)?;
        let head = add(&transaction, self.head, lines)?;
        transaction.commit().map_err(failed)?;
        self.head = head;
        Ok(())
    }

    /// Lets go of at most `most` of the oldest records that were written before `before`, and adds
    /// the record that `tell` makes of it, in one transaction: so the chain itself says where it
    /// begins. How many went.
    ///
    /// # Errors
    /// They cannot be written, or the file is damaged.
    pub fn prune(
        &mut self,
        before: i64,
        most: i64,
        tell: impl FnOnce(Anchor) -> Line,
    ) -> Result<i64, LedgerError> {
        let failed = refused("prune");
        let transaction = begin(&self.connection)?;
        let first: Option<i64> = transaction
            .query_row("SELECT min(id) FROM record", [], |row| row.get(0))
            .map_err(&failed)?;
        let Some(first) = first else { return Ok(0) };
        // Clocks are set back at times: only what is older than everything behind it goes.
        let end = first.saturating_add(most).min(self.head.id + 1);
        let query = "SELECT id FROM record WHERE id < ?1 AND at >= ?2 ORDER BY id LIMIT 1";
        let kept = transaction.query_row(query, [end, before], |row| row.get::<_, i64>(0));
        let through = kept.optional().map_err(&failed)?.unwrap_or(end) - 1;
        if through < first {
            return Ok(0);
        }
        let query = "SELECT hash FROM record WHERE id = ?1";
        let hash: Hash = transaction.query_row(query, [through], |r| r.get(0)).map_err(&failed)?;
        let query = "DELETE FROM record WHERE id <= ?1";
        let count = transaction.execute(query, [through]).map_err(&failed)?;
        let records = i64::try_from(count).unwrap_or(i64::MAX);
        transaction
            .execute("UPDATE chain SET anchor = ?1, anchor_hash = ?2", params![through, hash])
            .map_err(&failed)?;
        let line = tell(Anchor { id: through, hash, records });
        let head = add(&transaction, self.head, &[line])?;
        transaction.commit().map_err(&failed)?;
        self.head = head;
        Ok(records)
    }
}

/// Renames the file and what `SQLite` keeps beside it, so that a new one can be begun and somebody
/// can look at the old one. Its new name.
///
/// # Errors
/// The system refused.
pub fn put_aside(path: &Path, now: Timestamp) -> Result<PathBuf, LedgerError> {
    let beside = |path: &Path, suffix: &str| {
        let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
        name.push(suffix);
        path.with_file_name(name)
    };
    let aside = beside(path, &now.strftime(".damaged-%Y%m%dT%H%M%S%6fZ").to_string());
    for suffix in ["-wal", "-shm", ""] {
        let (from, to) = (beside(path, suffix), beside(&aside, suffix));
        match fs::rename(&from, to) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed.map_err(|source| LedgerError::Io {
                operation: "put aside",
                path: from,
                source,
            })?,
        }
    }
    Ok(aside)
}

fn begin(connection: &Connection) -> Result<Transaction<'_>, LedgerError> {
    let begun = Transaction::new_unchecked(connection, TransactionBehavior::Immediate);
    begun.map_err(refused("write"))
}

/// Adds lines behind `head`; the new end.
fn add(transaction: &Transaction<'_>, mut head: Head, lines: &[Line]) -> Result<Head, LedgerError> {
    let failed = refused("write");
    let mut insert = transaction
        .prepare("INSERT INTO record VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")
        .map_err(&failed)?;
    for line in lines {
        let id = head.id + 1;
        head = Head { id, hash: hash(&head.hash, id, line) };
        let Line { at, kind, session, person, key, source, container, detail } = line;
        let row = params![id, at, kind, session, person, key, source, container, detail, head.hash];
        insert.execute(row).map_err(&failed)?;
    }
    transaction
        .execute("UPDATE chain SET head = ?1, head_hash = ?2", params![head.id, head.hash])
        .map_err(&failed)?;
    Ok(head)
}

/// Looks for damage, where that does not take long.
fn check(connection: &Connection) -> Result<(), LedgerError> {
    let failed = refused("check");
    let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let size: i64 = connection.query_row(size, [], |row| row.get(0)).map_err(&failed)?;
    if size > CHECKED {
        return Ok(());
    }
    let found: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(&failed)?;
    if found == "ok" { Ok(()) } else { Err(LedgerError::Damaged(found)) }
}

/// The end of the chain, as it was noted and as it is: records that do not end where they did are
/// nothing to add to.
fn head(connection: &Connection) -> Result<Head, LedgerError> {
    let failed = refused("read");
    let damaged = |what: &str| LedgerError::Damaged(what.to_owned());
    let noted = connection
        .query_row("SELECT head, head_hash FROM chain", [], |row| {
            Ok(Head { id: row.get(0)?, hash: row.get(1)? })
        })
        .optional()
        .map_err(&failed)?;
    let noted = noted.ok_or_else(|| damaged("the end of its chain is not noted"))?;
    let last = connection
        .query_row("SELECT id, hash FROM record ORDER BY id DESC LIMIT 1", [], |row| {
            Ok(Head { id: row.get(0)?, hash: row.get(1)? })
        })
        .optional()
        .map_err(&failed)?;
    match last {
        Some(last) if last == noted => Ok(noted),
        None if noted.id == 0 => Ok(noted),
        Some(_) | None => Err(damaged("its chain does not end where it was written to")),
    }
}
