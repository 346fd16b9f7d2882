//! Rust source as the rules see it: without comments, strings and tests, as tokens and paths.

use std::{fs, io, path::Path};

/// One file.
pub(crate) struct Source {
    /// Path below the directory that was read, with `/`.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// The text with comments, literals and test items blanked; lines are kept.
    pub(crate) code: String,
    test_modules: Vec<String>,
}

/// A token and its line, from 1.
pub(crate) type Token = (usize, Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Word(String),
    /// `::`
    Separator,
    Mark(char),
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (code, test_modules) = without_tests(&blank(text));
        Self { path: path.to_owned(), text: text.to_owned(), code, test_modules }
    }

    /// Module path: `config/read/door.rs` is `[config, read, door]`.
    pub(crate) fn module(&self) -> Vec<&str> {
        let path = self.path.trim_end_matches(".rs");
        let path = path.strip_suffix("/mod").unwrap_or(path);
        path.split('/').filter(|part| *part != "lib").collect()
    }

    /// Every path in the code, `use` trees expanded, with its line.
    pub(crate) fn paths(&self) -> Vec<(usize, Vec<String>)> {
        let tokens = tokens(&self.code);
        let (mut at, mut found) = (0, Vec::new());
        while at < tokens.len() {
            at = path(&tokens, at, &[], &mut found).max(at + 1);
        }
        found
    }
}

/// Every Rust file below `directory` of this package, files of test modules with empty `code`.
pub(crate) fn read_tree(directory: &str) -> io::Result<Vec<Source>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let (mut files, mut pending) = (Vec::new(), vec![root.clone()]);
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let relative = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy();
                files.push(Source::new(&relative, &fs::read_to_string(&path)?));
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(without_test_files(files))
}

/// Empties the code of the files that a `#[cfg(test)] mod name;` names.
pub(crate) fn without_test_files(mut files: Vec<Source>) -> Vec<Source> {
    let tests: Vec<Vec<String>> = files
        .iter()
        .flat_map(|f| f.test_modules.iter().map(|name| [f.module(), vec![name]].concat()))
        .map(|module| module.into_iter().map(str::to_owned).collect())
        .collect();
    for file in &mut files {
        if tests.iter().any(|test| {
            file.module().starts_with(&test.iter().map(String::as_str).collect::<Vec<_>>())
        }) {
            file.code.clear();
        }
    }
    files
}

/// The code's words and marks.
pub(crate) fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (line, text) in code.lines().enumerate() {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let (kind, len) = if word > 0 {
                (Some(Kind::Word(rest[..word].to_owned())), word)
            } else if rest.starts_with("::") {
                (Some(Kind::Separator), 2)
            } else if first.is_whitespace() {
                (None, first.len_utf8())
            } else {
                (Some(Kind::Mark(first)), first.len_utf8())
            };
            tokens.extend(kind.map(|kind| (line + 1, kind)));
            rest = &rest[len..];
        }
    }
    tokens
}

/// Reads a path or `use` tree at `at`; the index behind it.
fn path(
    tokens: &[Token],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let mut segments = prefix.to_vec();
    let line = tokens.get(at).map_or(0, |(line, _)| *line);
    loop {
        match tokens.get(at).map(|(_, kind)| kind) {
            Some(Kind::Word(word)) => segments.push(word.clone()),
            Some(Kind::Mark('{')) if !segments.is_empty() => {
                return group(tokens, at + 1, &segments, found);
            }
            _ => break,
        }
        at += 1;
        if tokens.get(at).map(|(_, kind)| kind) != Some(&Kind::Separator) {
            break;
        }
        at += 1;
    }
    if segments.len() > prefix.len() {
        found.push((line, segments));
    }
    at
}

/// Reads the inside of `{…}` in a `use` tree; the index behind it.
fn group(
    tokens: &[Token],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    while let Some((_, kind)) = tokens.get(at) {
        at = match kind {
            Kind::Mark('}') => return at + 1,
            Kind::Word(word) if word == "as" => at + 2,
            Kind::Word(_) => path(tokens, at, prefix, found),
            Kind::Mark(_) | Kind::Separator => at + 1,
        };
    }
    at
}

/// Blanks comments and literals.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let len = skipped(&chars, at);
        if len == 0 {
            out.push(chars[at]);
            at += 1;
        } else {
            let end = (at + len).min(chars.len());
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Length of the comment or literal that begins at `at`, or 0.
fn skipped(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let word_before = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match rest {
        ['/', '/', ..] => rest.iter().take_while(|c| **c != '\n').count(),
        ['/', '*', ..] => block_comment(rest),
        ['"', ..] => quoted(rest, '"'),
        ['r', '"' | '#', ..] if !word_before || chars[at - 1] == 'b' => raw_string(rest),
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => quoted(rest, '\''),
        _ => 0,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[char], end: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != end {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_string(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let mut at = 2 + hashes;
    while at < rest.len() {
        let close = rest[at] == '"' && rest[at + 1..].iter().take(hashes).all(|c| *c == '#');
        at += 1;
        if close {
            return at + hashes;
        }
    }
    at
}

/// Blanks the items behind `#[cfg(test)]`; also the names of test modules in files of their own.
fn without_tests(code: &str) -> (String, Vec<String>) {
    const MARK: &str = "#[cfg(test)]";
    let (mut code, mut modules) = (code.to_owned(), Vec::new());
    while let Some(start) = code.find(MARK) {
        let end = start + MARK.len() + item_length(&code[start + MARK.len()..]);
        let item = &code[start + MARK.len()..end];
        let words: Vec<_> = item.trim_end_matches(';').split_whitespace().collect();
        if let (Some(name), true) = (words.last(), words.contains(&"mod") && item.ends_with(';')) {
            modules.push((*name).to_owned());
        }
        let blanked: String =
            code[start..end].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        code.replace_range(start..end, &blanked);
    }
    (code, modules)
}

/// Length of the item at the start of `code`: to its `;`, or to the end of its braces.
fn item_length(code: &str) -> usize {
    let mut depth = 0_i32;
    for (i, c) in code.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth <= 0 && matches!(c, ';' | '}') {
            return i + 1;
        }
    }
    code.len()
}
