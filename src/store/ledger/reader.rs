//! Connections that only read. They see the ledger as it was when a query began, and hold up nobody.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, Row, types::Value};

use super::{LedgerError, Line, Record, refused, schema};

/// How long a query waits for the file.
const BUSY: Duration = Duration::from_secs(2);

/// Which records are meant; without anything in it, all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// From this time on, in microseconds since 1970.
    pub since: Option<i64>,
    /// Before this time, in microseconds since 1970.
    pub until: Option<i64>,
    /// That concern this container.
    pub container: Option<String>,
    /// Of this person (a part of her name is enough), key, source address or login name.
    pub who: Option<String>,
    /// Of these kinds.
    pub kinds: Vec<String>,
    /// With a higher number.
    pub after: i64,
}

/// The ledger's file, open for reading.
#[derive(Debug)]
pub struct Reader {
    pub(super) connection: Connection,
}

impl Reader {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// There is none, it is damaged, of a later release, or cannot be read.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        if let Err(source) = path.metadata() {
            let path = PathBuf::from(path);
            return Err(LedgerError::Io { operation: "read", path, source });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(refused("open"))?;
        connection.busy_timeout(BUSY).map_err(refused("open"))?;
        match schema::form(&connection)?.0 {
            form if form > i64::from(schema::FORM) => Err(LedgerError::Newer(form)),
            // Earlier forms have the same columns, and fewer indexes.
            1.. => Ok(Self { connection }),
            _ => Err(LedgerError::Damaged("it is not a ledger of ours".to_owned())),
        }
    }

    /// The newest `limit` records that `filter` means, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn newest(&self, filter: &Filter, limit: usize) -> Result<Vec<Record>, LedgerError> {
        let mut records = self.find(filter, "DESC", limit)?;
        records.reverse();
        Ok(records)
    }

    /// The oldest `limit` records that `filter` means, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn oldest(&self, filter: &Filter, limit: usize) -> Result<Vec<Record>, LedgerError> {
        self.find(filter, "ASC", limit)
    }

    fn find(
        &self,
        filter: &Filter,
        order: &'static str,
        limit: usize,
    ) -> Result<Vec<Record>, LedgerError> {
        let (query, values) = query(filter, order, limit);
        let failed = refused("read");
        let mut statement = self.connection.prepare(&query).map_err(&failed)?;
        let rows =
            statement.query_map(rusqlite::params_from_iter(values), record).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }
}

/// What [`record`] reads.
pub(super) const COLUMNS: &str =
    "id, at, kind, session, person, key, source, container, detail, hash";

/// A row of [`COLUMNS`].
pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let line = Line {
        at: row.get(1)?,
        kind: row.get(2)?,
        session: row.get(3)?,
        person: row.get(4)?,
        key: row.get(5)?,
        source: row.get(6)?,
        container: row.get(7)?,
        detail: row.get(8)?,
    };
    Ok(Record { id: row.get(0)?, line, hash: row.get(9)? })
}

/// A query in SQL, which is constant text, and its values in their order.
pub(super) fn query(filter: &Filter, order: &'static str, limit: usize) -> (String, Vec<Value>) {
    let (wheres, mut values) = conditions(filter);
    values.push(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
    let n = values.len();
    (format!("SELECT {COLUMNS} FROM record WHERE {wheres} ORDER BY id {order} LIMIT ?{n}"), values)
}

/// A condition in SQL, which is constant text, and its values in their order.
fn conditions(filter: &Filter) -> (String, Vec<Value>) {
    let mut values = vec![Value::Integer(filter.after)];
    let mut wheres = vec!["id > ?1".to_owned()];
    let mut add = |value: Value, condition: &dyn Fn(usize) -> String| {
        values.push(value);
        wheres.push(condition(values.len()));
    };
    if let Some(since) = filter.since {
        add(Value::Integer(since), &|n| format!("at >= ?{n}"));
    }
    if let Some(until) = filter.until {
        add(Value::Integer(until), &|n| format!("at < ?{n}"));
    }
    if let Some(container) = &filter.container {
        add(Value::Text(container.clone()), &|n| format!("container = ?{n}"));
    }
    if let Some(who) = &filter.who {
        add(Value::Text(who.clone()), &|n| {
            format!(
                "(instr(lower(person), lower(?{n})) > 0 OR key = ?{n} OR source = ?{n} \
                 OR CASE WHEN json_valid(detail) THEN detail ->> '$.login' = ?{n} END)"
            )
        });
    }
    // Where there is a container or a time, it means fewer records than a kind does: `+` keeps the
    // index of kinds out of it.
    let narrow = filter.container.is_some() || filter.since.is_some() || filter.until.is_some();
    let column = if narrow { "+kind" } else { "kind" };
    let mut kinds = Vec::new();
    for kind in &filter.kinds {
        values.push(Value::Text(kind.clone()));
        kinds.push(format!("{column} = ?{}", values.len()));
    }
    if !kinds.is_empty() {
        wheres.push(format!("({})", kinds.join(" OR ")));
    }
    (wheres.join(" AND "), values)
}
