//! The rules about `src`: each takes all files and returns one line for each violation.

use std::collections::BTreeMap;

use crate::source::{Kind, Source, tokens};

/// One rule.
pub(crate) type Rule = fn(&[Source], &Modules) -> Vec<String>;

/// Most lines of a file.
const MAX_LINES: usize = 500;

/// `main.rs` has fewer lines than this.
const MAIN_LINES: usize = 80;

/// Paths that pure code does not use, by their beginning.
const IMPURE: [&str; 18] = [
    "tokio",
    "tokio_util",
    "russh",
    "hyper",
    "hyper_util",
    "socket2",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::os::unix::net",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
];

/// Clocks that pure code does not read, by the end of the path.
const CLOCKS: [[&str; 2]; 4] =
    [["Instant", "now"], ["SystemTime", "now"], ["Timestamp", "now"], ["Zoned", "now"]];

/// The modules and their order, from the table in `lib.rs`.
pub(crate) struct Modules {
    ranks: BTreeMap<String, usize>,
    pure: Vec<String>,
}

impl Modules {
    pub(crate) fn of(files: &[Source]) -> Self {
        let text = files.iter().find(|f| f.path == "lib.rs").map_or("", |f| &f.text);
        let (mut ranks, mut pure) = (BTreeMap::new(), Vec::new());
        for row in text.lines().filter_map(|line| line.strip_prefix("//! | [`")) {
            let Some((name, what)) = row.split_once("`] |") else { continue };
            if what.trim_start().starts_with("pure:") {
                pure.push(name.to_owned());
            }
            ranks.insert(name.to_owned(), ranks.len());
        }
        Self { ranks, pure }
    }

    pub(crate) fn rank(&self, module: &str) -> Option<usize> {
        match module {
            "main" => Some(self.ranks.len()),
            _ => self.ranks.get(module).copied(),
        }
    }
}

/// A module uses those above it in the table, never those below.
pub(crate) fn order(files: &[Source], modules: &Modules) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|f| f.path != "lib.rs") {
        let module = file.module();
        let Some(rank) = modules.rank(module[0]) else {
            found.push(format!("{}: `{}` is not in the table of lib.rs", file.path, module[0]));
            continue;
        };
        for (line, path) in file.paths() {
            let Some(target) = top_level(&path, &module) else { continue };
            match modules.rank(target) {
                Some(other) if other < rank || target == module[0] => {}
                Some(_) => found.push(format!("{}:{line}: uses `{target}`", file.path)),
                None => found.push(format!("{}:{line}: `{target}` has no place", file.path)),
            }
        }
    }
    found.dedup();
    found
}

/// The top-level module that a path in `module` leads to, if it leads out of the module.
fn top_level<'p>(path: &'p [String], module: &[&str]) -> Option<&'p str> {
    let supers = path.iter().take_while(|segment| *segment == "super").count();
    let first = path.first().map_or("", String::as_str);
    let at = match first {
        "crate" | "containarium" => 1,
        "super" if supers >= module.len() => supers,
        _ => return None,
    };
    path.get(at).map(String::as_str)
}

/// Pure modules have no async, clock, file or socket.
pub(crate) fn purity(files: &[Source], modules: &Modules) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        if !modules.pure.iter().any(|pure| file.module().first() == Some(&pure.as_str())) {
            continue;
        }
        for (line, path) in file.paths() {
            let text = path.join("::");
            let begins = |with: &str| text == with || text.starts_with(&format!("{with}::"));
            let clock = CLOCKS.iter().any(|clock| path.ends_with(&clock.map(str::to_owned)));
            let keyword = text == "async" || text == "await";
            if clock || keyword || IMPURE.iter().any(|impure| begins(impure)) {
                found.push(format!("{}:{line}: `{text}`", file.path));
            }
        }
    }
    found
}

/// No file is longer than the limit.
pub(crate) fn length(files: &[Source], _: &Modules) -> Vec<String> {
    let lines = files.iter().map(|f| (&f.path, f.text.lines().count()));
    let long = lines.filter(|(_, count)| *count > MAX_LINES);
    long.map(|(path, count)| format!("{path}: {count} lines")).collect()
}

/// Every module says first what it is.
pub(crate) fn documentation(files: &[Source], _: &Modules) -> Vec<String> {
    let silent = files.iter().filter(|f| !f.text.starts_with("//! "));
    silent.map(|f| format!("{}: does not begin with `//! `", f.path)).collect()
}

/// `main.rs` only hands over.
pub(crate) fn main_length(files: &[Source], _: &Modules) -> Vec<String> {
    let main = files.iter().filter(|f| f.path == "main.rs");
    let long = main.filter(|f| f.text.lines().count() >= MAIN_LINES);
    long.map(|f| format!("{}: {} lines", f.path, f.text.lines().count())).collect()
}

/// What is not a test has no way to panic on purpose.
pub(crate) fn panics(files: &[Source], _: &Modules) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let tokens = tokens(&file.code);
        let call = |at: usize| {
            let [before, (line, Kind::Word(word)), after] = tokens.get(at..at + 3)? else {
                return None;
            };
            let method = matches!(before.1, Kind::Mark('.') | Kind::Separator);
            let unwraps = method && matches!(word.as_str(), "unwrap" | "expect");
            let macros = matches!(word.as_str(), "panic" | "todo" | "unimplemented");
            let called =
                after.1 == Kind::Mark('(') && unwraps || after.1 == Kind::Mark('!') && macros;
            called.then(|| format!("{}:{line}: `{word}`", file.path))
        };
        found.extend((0..tokens.len()).filter_map(call));
    }
    found
}
