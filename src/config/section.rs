//! A typed reader of one table. It knows which keys were asked for, so that what is left over is a
//! mistake, and it goes on after a mistake, so that all of them are reported at once.

use std::collections::BTreeMap;

use super::{
    problem::Fault,
    source::{At, Sink, Told},
    tree::{Entry, Node, Table, Value, join, shown},
};

/// Longest unknown key for which a similar known one is sought: the comparison is quadratic.
const MAX_COMPARED: usize = 64;

/// What came of reading one value.
pub(super) type Read<T> = Result<T, Fault>;

static EMPTY: Table = Table::new();

/// One table, while it is read.
pub(super) struct Section<'t> {
    sink: &'t Sink,
    path: String,
    at: At,
    table: &'t Table,
    known: Vec<&'static str>,
    refused: Vec<&'static str>,
}

impl<'t> Section<'t> {
    /// The whole of a configuration.
    pub(super) fn root(table: &'t Table, sink: &'t Sink) -> Self {
        Self {
            sink,
            path: String::new(),
            at: At::default(),
            table,
            known: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// A value, or `default` when the key is not there.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl Fn(&Node) -> Read<T>,
    ) -> Result<T, Told> {
        self.maybe(key, read).map(|value| value.unwrap_or(default))
    }

    /// A value; when the key is not there, what `default` would mean if it were written.
    pub(super) fn or_written<T>(
        &mut self,
        key: &'static str,
        default: &str,
        read: impl Fn(&Node) -> Read<T>,
    ) -> Result<T, Told> {
        if let Some(value) = self.maybe(key, &read)? {
            return Ok(value);
        }
        let node = Node { at: self.at, value: Value::String(default.to_owned()) };
        self.read(&self.path_of(key), &node, read)
    }

    /// A value that has to be there; `example` is shown when it is not.
    pub(super) fn need<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl Fn(&Node) -> Read<T>,
    ) -> Result<T, Told> {
        self.maybe(key, read)?.ok_or_else(|| {
            let hint = format!("for instance `{example}`");
            self.missing(key, Fault::new("missing").hint(hint))
        })
    }

    /// A value, if the key is there.
    pub(super) fn maybe<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&Node) -> Read<T>,
    ) -> Result<Option<T>, Told> {
        let Some(node) = self.node(key) else { return Ok(None) };
        self.read(&self.path_of(key), node, read).map(Some)
    }

    /// A list of values, if the key is there.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&Node) -> Read<T>,
    ) -> Result<Option<Vec<T>>, Told> {
        let Some(node) = self.node(key) else { return Ok(None) };
        let path = self.path_of(key);
        let Value::Array(items) = &node.value else {
            let fault = expected("a list", node);
            let item = if let Value::String(s) = &node.value { shown(s) } else { "…".to_owned() };
            let hint = format!("write `{key} = [\"{item}\"]`");
            return Err(self.sink.add(node.at, path, fault.hint(hint)));
        };
        let item = |(i, node): (usize, _)| self.read(&format!("{path}[{i}]"), node, &read);
        // Two passes: the mistakes of all items are wanted, not only the first.
        let values: Vec<_> = items.iter().enumerate().map(item).collect();
        values.into_iter().collect::<Result<_, _>>().map(Some)
    }

    /// The table under `key`; an empty one when it is not there.
    pub(super) fn section(&mut self, key: &'static str) -> Result<Self, Told> {
        let (at, table) = match self.entry(key) {
            None => (self.at, &EMPTY),
            Some(Entry { at, node: Node { value: Value::Table(table), .. } }) => (*at, table),
            Some(Entry { at, node }) => {
                let fault = expected("a section", node);
                let fault = fault.hint(format!("write `[{key}]`"));
                return Err(self.sink.add(*at, self.path_of(key), fault));
            }
        };
        Ok(self.child(self.path_of(key), at, table))
    }

    /// The tables under `key`, of which there may be `max`.
    pub(super) fn sections(&mut self, key: &'static str, max: usize) -> Vec<Self> {
        let Some(Entry { at, node }) = self.entry(key) else { return Vec::new() };
        let Value::Array(items) = &node.value else {
            let hint = format!("each entry begins with `[[{key}]]`, in double brackets");
            let fault = expected("a list of sections", node);
            self.sink.add(*at, self.path_of(key), fault.hint(hint));
            return Vec::new();
        };
        if items.len() > max {
            let fault = Fault::new(format!("{} entries, the limit is {max}", items.len()));
            self.sink.add(*at, self.path_of(key), fault);
        }
        let mut sections = Vec::new();
        for (i, item) in items.iter().enumerate().take(max) {
            let path = format!("{}[{i}]", self.path_of(key));
            if let Value::Table(table) = &item.value {
                sections.push(self.child(path, item.at, table));
            } else {
                self.sink.add(item.at, path, expected("a section", item));
            }
        }
        sections
    }

    /// Every entry of the section, whatever its key: the section has no keys of its own.
    pub(super) fn entries<T>(
        mut self,
        max: usize,
        read: impl Fn(&str, &Node) -> Read<T>,
    ) -> Result<BTreeMap<String, T>, Told> {
        if self.table.len() > max {
            let fault = Fault::new(format!("{} entries, the limit is {max}", self.table.len()));
            return Err(self.sink.add(self.at, std::mem::take(&mut self.path), fault));
        }
        let entry = |(key, entry): (&String, &Entry)| {
            let read = |node: &Node| read(key, node);
            Ok((key.clone(), self.read(&self.path_of(key), &entry.node, read)?))
        };
        // Two passes: the mistakes of all entries are wanted, not only the first.
        let entries: Vec<_> = self.table.iter().map(entry).collect();
        entries.into_iter().collect()
    }

    /// Reports a key that only a later release understands.
    pub(super) fn refuse(&mut self, key: &'static str) {
        self.refused.push(key);
        if let Some(at) = self.table.get(key).map(|e| e.at) {
            let hint = format!("remove `{key}`; it is refused so that nobody relies on it in vain");
            let fault = Fault::new(format!("this version does not have `{key}` yet")).hint(hint);
            self.sink.add(at, self.path_of(key), fault);
        }
    }

    /// Reports a mistake at the value of `key`, or at the section when it is not there.
    pub(super) fn fault(&self, key: &str, fault: Fault) -> Told {
        self.sink.add(self.place(key), self.path_of(key), fault)
    }

    /// Reports that something is missing in this section.
    pub(super) fn missing(&self, key: &str, fault: Fault) -> Told {
        self.sink.missing(self.at, self.path_of(key), fault)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether the value of `key` is a list.
    pub(super) fn is_list(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|e| matches!(e.node.value, Value::Array(_)))
    }

    /// Where the value of `key` stands, or the section when it is not there.
    pub(super) fn place(&self, key: &str) -> At {
        self.table.get(key).map_or(self.at, |e| e.node.at)
    }

    /// Reports the keys that nobody asked for. `elsewhere` knows where else a key would be right.
    pub(super) fn finish(self, elsewhere: impl Fn(&str) -> Option<&'static str>) {
        let asked_for = |key: &str| self.known.contains(&key) || self.refused.contains(&key);
        for (key, entry) in self.table.iter().filter(|(key, _)| !asked_for(key)) {
            let hint = match (elsewhere(key), self.similar(key)) {
                (_, Some(known)) => format!("did you mean `{known}`?"),
                (Some(path), None) => format!("did you mean `{path}`?"),
                (None, None) => format!("the keys here are {}", self.known.join(", ")),
            };
            self.sink.add(entry.at, join(&self.path, key), Fault::new("unknown key").hint(hint));
        }
    }

    fn similar(&self, key: &str) -> Option<&'static str> {
        similar(key, self.known.iter().copied())
    }

    fn read<T>(&self, path: &str, node: &Node, read: impl Fn(&Node) -> Read<T>) -> Result<T, Told> {
        read(node).map_err(|fault| self.sink.add(node.at, path, fault))
    }

    fn entry(&mut self, key: &'static str) -> Option<&'t Entry> {
        self.known.push(key);
        self.table.get(key)
    }

    fn node(&mut self, key: &'static str) -> Option<&'t Node> {
        self.entry(key).map(|e| &e.node)
    }

    fn child(&self, path: String, at: At, table: &'t Table) -> Self {
        Self { sink: self.sink, path, at, table, known: Vec::new(), refused: Vec::new() }
    }

    fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }
}

/// The candidate that `word` was probably meant to be.
pub(super) fn similar(
    word: &str,
    candidates: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    if word.len() > MAX_COMPARED {
        return None;
    }
    let word = word.to_lowercase().replace('-', "_");
    let distance = |c: &str| strsim::damerau_levenshtein(&word, c);
    let (distance, best) = candidates.map(|c| (distance(c), c)).min()?;
    // A third of the letters may be wrong: enough for slips, too little for another word.
    (distance <= 1.max(best.len().min(word.len()) / 3)).then_some(best)
}

/// What to say about a value of the wrong kind.
pub(super) fn expected(what: &str, node: &Node) -> Fault {
    Fault::new(format!("expected {what}, found {}", node.value.kind()))
}
