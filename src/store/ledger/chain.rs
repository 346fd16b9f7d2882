//! The hash that chains a record to the one before it. Pure.
//!
//! It covers every column, each with its length before it, so that no text can pass for two columns,
//! and the hash of the record before: whoever changes one changes all that follow.

use std::fmt::Write as _;

use aws_lc_rs::digest::{Context, SHA256};

use super::Line;

/// SHA-256.
pub type Hash = [u8; 32];

/// What the first record of all is chained to.
pub(super) const BEGINNING: Hash = [0; 32];

/// A column that is not there, as a length: no text is as long.
const ABSENT: u64 = u64::MAX;

/// The hash of record number `id`, which follows one with the hash `before`.
pub(super) fn hash(before: &Hash, id: i64, line: &Line) -> Hash {
    let Line { at, kind, session, person, key, source, container, detail } = line;
    let mut context = Context::new(&SHA256);
    context.update(before);
    context.update(&id.to_be_bytes());
    context.update(&at.to_be_bytes());
    let session = session.map(|number| number.to_string());
    let columns = [Some(kind), session.as_ref(), person.as_ref(), key.as_ref()];
    let more = [source.as_ref(), container.as_ref(), Some(detail)];
    for column in columns.into_iter().chain(more) {
        let length = column.map_or(ABSENT, |text| text.len() as u64);
        context.update(&length.to_be_bytes());
        context.update(column.map_or(&[], |text| text.as_bytes()));
    }
    let mut hash = BEGINNING;
    hash.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

/// A hash as people read it.
#[must_use]
pub fn hexadecimal(hash: &Hash) -> String {
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            at: 1,
            kind: "login".to_owned(),
            session: None,
            person: Some("ab".to_owned()),
            key: Some("c".to_owned()),
            source: None,
            container: Some(String::new()),
            detail: "{}".to_owned(),
        }
    }

    #[test]
    fn whatever_changes_changes_the_hash() {
        let text = |text: &str| Some(text.to_owned());
        let other = [
            line(),
            Line { at: 2, ..line() },
            Line { kind: "logins".to_owned(), ..line() },
            Line { session: Some(0), ..line() },
            // The same letters in other columns.
            Line { person: text("a"), key: text("bc"), ..line() },
            Line { person: text("abc"), key: text(""), ..line() },
            Line { person: text("abc"), key: None, ..line() },
            Line { source: text(""), ..line() },
            Line { container: None, ..line() },
            Line { detail: "{} ".to_owned(), ..line() },
        ];
        let mut hashes: Vec<_> = other.iter().map(|line| hash(&BEGINNING, 1, line)).collect();
        hashes.push(hash(&BEGINNING, 2, &line()));
        hashes.push(hash(&hashes[0].clone(), 1, &line()));
        let count = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
        assert_eq!(hexadecimal(&[0xab; 32]), "ab".repeat(32));
    }
}
