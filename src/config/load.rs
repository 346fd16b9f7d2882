//! From files to [`Config`].

use std::{
    fs::{self, File},
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
};

use super::{
    Config, Problem, Problems, Stacks,
    problem::Fault,
    read,
    source::{At, Sink, Sources, Told},
    tree::{self, Table, Value},
};
use crate::model::text::printable;

/// Largest file, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Most files beside the main one.
const MAX_FILES: usize = 1000;

/// Exit status of `config check` for a configuration that is not valid (`EX_CONFIG`, sysexits.h).
const EX_CONFIG: u8 = 78;

/// Reads the file at `path` and `conf.d/*.toml` beside it, in the order of their names.
///
/// # Errors
/// Everything that is wrong, in all files.
pub fn load(path: &Path) -> Result<Config, Problems> {
    load_with(path, None)
}

/// The same, as if the file of `extra` had that text; it is one of `conf.d`.
///
/// # Errors
/// Everything that is wrong, in all files.
pub fn load_with(path: &Path, extra: Option<(&Path, &str)>) -> Result<Config, Problems> {
    let directory = path.parent().unwrap_or(Path::new(""));
    // Absolute, for the paths outlive a change of the working directory.
    let base = std::path::absolute(directory.join(".")).unwrap_or_else(|_| directory.to_owned());
    Files::of(path, extra).config(&base).map_err(Problems)
}

/// Where a backend of that name is written: the file's name as problems have it, and the line.
/// `None`: nowhere, or nobody can tell, for a file is broken.
#[must_use]
pub fn place_of_backend(path: &Path, name: &str) -> Option<(String, usize)> {
    Files::of(path, None).place_of_backend(name)
}

/// Reads one file's `text`; `file` is its name in problems, and relative paths begin at `base`.
///
/// # Errors
/// Everything that is wrong, in file order.
pub fn parse(text: &str, file: &str, base: &Path) -> Result<Config, Vec<Problem>> {
    let mut files = Files::default();
    files.add(file.to_owned(), text.to_owned());
    files.config(base)
}

/// Loads `path` and the stacks that it means, and says on `out` what came of it. The exit status: 0 valid, 78 not.
pub fn check(path: &Path, out: &mut dyn Write) -> u8 {
    let checked = load(path).and_then(|config| Stacks::load(&config.stacks).check());
    let (verdict, status) = match checked {
        Ok(()) => (format!("{}: ok", name_of(path)), 0),
        Err(problems) => (problems.to_string(), EX_CONFIG),
    };
    // Whoever closed the pipe still gets the answer as exit status.
    let _ = writeln!(out, "{verdict}");
    status
}

/// Files as they are read, merged into one tree.
#[derive(Default)]
struct Files {
    sources: Sources,
    sink: Sink,
    tree: Table,
}

impl Files {
    /// The main file and those of `conf.d` beside it.
    fn of(path: &Path, extra: Option<(&Path, &str)>) -> Self {
        let mut files = Self::default();
        files.read(path);
        let directory = path.parent().unwrap_or(Path::new(""));
        files.read_directory(&directory.join("conf.d"), extra);
        files
    }

    fn place_of_backend(&self, name: &str) -> Option<(String, usize)> {
        let Value::Array(backends) = &self.tree.get("backend")?.node.value else { return None };
        let node = backends.iter().find_map(|backend| {
            let Value::Table(table) = &backend.value else { return None };
            let node = &table.get("name")?.node;
            matches!(&node.value, Value::String(text) if text == name).then_some(node)
        })?;
        Some(self.sources.place(node.at))
    }

    fn read(&mut self, path: &Path) {
        match read_limited(path) {
            Ok(text) => self.add(name_of(path), text),
            Err(fault) => self.unreadable(path, fault),
        }
    }

    fn read_directory(&mut self, directory: &Path, extra: Option<(&Path, &str)>) {
        let found = match toml_files(directory) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            found => found,
        };
        let found = found.map(|mut paths| {
            if let Some((path, _)) = extra.filter(|(path, _)| !paths.iter().any(|p| p == path)) {
                paths.push(path.to_owned());
                paths.sort();
            }
            paths
        });
        match found {
            Ok(paths) if paths.len() > MAX_FILES => {
                let fault = Fault::new(format!("{} files, the limit is {MAX_FILES}", paths.len()));
                self.unreadable(directory, fault);
            }
            Ok(paths) => {
                for path in &paths {
                    match extra.filter(|(p, _)| p == path) {
                        Some((_, text)) => self.add(name_of(path), text.to_owned()),
                        None => self.read(path),
                    }
                }
            }
            Err(e) => self.unreadable(directory, Fault::new(format!("cannot be read: {e}"))),
        }
    }

    fn add(&mut self, name: String, text: String) {
        let file = self.sources.next();
        let table = tree::parse(&text, file, &self.sink);
        self.sources.add(name, Some(text));
        if let Some(table) = table {
            tree::merge(&mut self.tree, table, "", &self.sources, &self.sink);
        }
    }

    fn unreadable(&mut self, path: &Path, fault: Fault) {
        let file = self.sources.next();
        self.sources.add(name_of(path), None);
        self.sink.add(At { file, offset: 0 }, "", fault);
        self.sink.mark_partial();
    }

    fn config(self, base: &Path) -> Result<Config, Vec<Problem>> {
        let Self { sources, sink, tree } = self;
        let config = read::config(&tree, base, &sources, &sink);
        match config {
            Ok(config) if sink.is_empty() => Ok(config),
            Ok(_) | Err(Told) => Err(sources.resolve(sink)),
        }
    }
}

pub(super) fn toml_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let paths: io::Result<Vec<_>> = fs::read_dir(directory)?.map(|e| Ok(e?.path())).collect();
    let mut paths = paths?;
    let hidden = |p: &Path| p.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
    paths.retain(|p| p.extension().is_some_and(|e| e == "toml") && !hidden(p));
    paths.sort();
    Ok(paths)
}

pub(super) fn read_limited(path: &Path) -> Result<String, Fault> {
    let mut bytes = Vec::new();
    let file = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    file.map_err(|e| {
        if e.kind() != io::ErrorKind::NotFound {
            return Fault::new(format!("cannot be read: {e}"));
        }
        Fault::new("there is no such file")
            .hint("name another with --config, or copy config/sentinel.toml there to begin with")
    })?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Fault::new(format!("larger than {MAX_FILE} bytes")));
    }
    String::from_utf8(bytes).map_err(|e| {
        let valid = e.utf8_error().valid_up_to();
        let line = e.as_bytes().iter().take(valid).filter(|b| **b == b'\n').count() + 1;
        Fault::new(format!("line {line} is not UTF-8")).hint("save the file as UTF-8")
    })
}

pub(super) fn name_of(path: &Path) -> String {
    printable(&path.display().to_string(), 300)
}
