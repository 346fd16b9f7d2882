//! One field of a form.

use std::collections::BTreeSet;

use super::{Amount, Words};
use crate::tui::{
    input::{Code, Key},
    line::Line,
};

/// What a text is refused for.
pub type Check = fn(&str) -> Result<Hint, String>;

/// What is said of content that will do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Hint {
    /// Nothing.
    #[default]
    None,
    /// What it means.
    Good(String),
    /// What may surprise.
    Careful(String),
}

/// One field.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name.
    pub label: &'static str,
    /// What may stand there.
    pub help: String,
    /// What it is when nothing is said, where that can be told.
    pub usual: String,
    /// How it stands in the command; none: it is a word by itself.
    pub option: Option<&'static str>,
    /// What stands there.
    pub content: Content,
    /// Why it cannot be so together with what stands in another.
    pub against: Option<&'static str>,
}

/// What stands in a field.
#[derive(Debug, Clone)]
pub enum Content {
    /// Text that is typed or pasted.
    Text {
        /// What was typed.
        line: Line,
        /// What it has to be.
        check: Check,
        /// It may stay empty.
        optional: bool,
    },
    /// So much of something.
    Amount(Amount),
    /// One of these.
    One {
        /// What can be chosen.
        options: Vec<Choice>,
        /// Which it is.
        at: usize,
    },
    /// One of these as long as nothing is typed, which comes before them.
    Combo {
        /// What was typed.
        line: Line,
        /// What it has to be.
        check: Check,
        /// What can be chosen.
        options: Vec<Choice>,
        /// Which it is.
        at: usize,
    },
    /// Any of these.
    Any {
        /// What can be chosen.
        options: Vec<String>,
        /// Where one is among them.
        at: usize,
        /// Those that were.
        chosen: BTreeSet<usize>,
    },
    /// Yes or no; the command says it only if it is yes.
    Flag(bool),
}

/// Something that can be chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// What the command says for it; nothing where that is usual.
    pub word: String,
    /// What is shown for it.
    pub shown: String,
    /// What is to be known of it: printable.
    pub note: String,
    /// It cannot be had, for what the note says.
    pub refused: bool,
    /// It may not be had, for what the note says.
    pub doubtful: bool,
}

impl Choice {
    /// What is shown for itself.
    pub fn new(word: impl Into<String>) -> Self {
        let word = word.into();
        Self { shown: word.clone(), word, ..Self::default() }
    }

    /// What stands for saying nothing.
    pub fn usual(shown: impl Into<String>) -> Self {
        Self { shown: shown.into(), ..Self::default() }
    }

    /// Whether it can be had.
    fn check(&self) -> Result<Hint, String> {
        match self {
            Self { refused: true, note, .. } => Err(note.clone()),
            Self { doubtful: true, note, .. } => Ok(Hint::Careful(note.clone())),
            Self { refused: false, doubtful: false, .. } => Ok(Hint::None),
        }
    }

    /// What is said of it where it was typed, so that its note is not seen beside it.
    fn noted(&self, hint: Hint) -> Hint {
        match hint {
            Hint::None if !self.note.is_empty() => Hint::Good(self.note.clone()),
            hint @ (Hint::None | Hint::Good(_) | Hint::Careful(_)) => hint,
        }
    }
}

impl Field {
    /// What is said of its content, or what is wrong with it.
    ///
    /// # Errors
    /// It is not what it has to be.
    pub fn check(&self) -> Result<Hint, String> {
        if let Some(against) = self.against {
            return Err(against.to_owned());
        }
        match &self.content {
            Content::Text { line, optional: true, .. } if line.text().is_empty() => Ok(Hint::None),
            Content::Text { line, .. } if line.text().is_empty() => {
                Err(format!("{} is needed", self.label))
            }
            Content::Text { line, check, .. } => check(line.text()),
            Content::Amount(amount) => amount.check(),
            Content::Combo { line, check, options, .. } if !line.text().is_empty() => {
                let hint = check(line.text())?;
                match options.iter().find(|option| option.word == line.text()) {
                    Some(known) => known.check().map(|careful| known.noted(careful)),
                    None => Ok(hint),
                }
            }
            Content::One { options, at } | Content::Combo { options, at, .. } => {
                options.get(*at).map_or(Ok(Hint::None), Choice::check)
            }
            Content::Any { .. } | Content::Flag(_) => Ok(Hint::None),
        }
    }

    /// What it says by itself: what is typed, or the one that is chosen; nothing where that is usual.
    pub(super) fn said(&self) -> Option<&str> {
        let said = match &self.content {
            Content::Text { line, .. } | Content::Amount(Amount { line, .. }) => line.text(),
            Content::Combo { line, .. } if !line.text().is_empty() => line.text(),
            Content::One { options, at } | Content::Combo { options, at, .. } => {
                options.get(*at).map_or("", |option| option.word.as_str())
            }
            Content::Any { .. } | Content::Flag(_) => "",
        };
        Some(said).filter(|said| !said.is_empty())
    }

    pub(super) fn words(&self) -> Words {
        let said = |value: &str| match self.option {
            // In one word, so that a value cannot be taken for an option.
            Some(option) => format!("--{option}={value}"),
            None => value.to_owned(),
        };
        match &self.content {
            Content::Text { .. }
            | Content::Amount(_)
            | Content::One { .. }
            | Content::Combo { .. } => self.said().map(said).into_iter().collect(),
            Content::Any { options, chosen, .. } => {
                chosen.iter().filter_map(|i| options.get(*i)).map(|o| said(o)).collect()
            }
            Content::Flag(true) => self.option.map(|o| format!("--{o}")).into_iter().collect(),
            Content::Flag(false) => Vec::new(),
        }
    }
}

impl Content {
    #[expect(clippy::wildcard_enum_match_arm, reason = "other keys mean nothing here")]
    pub(super) fn press(&mut self, key: Key) {
        let step = match key.code {
            Code::Left => Some(false),
            Code::Right | Code::Char(' ') => Some(true),
            _ => None,
        };
        match (self, step, key.code) {
            (Self::Combo { line, options, at, .. }, Some(forward), _) if line.text().is_empty() => {
                *at = turn(*at, options.len(), forward);
            }
            (Self::Text { line, .. } | Self::Combo { line, .. }, ..) => drop(line.press(key)),
            (Self::Amount(amount), _, Code::Left) => amount.step(false),
            (Self::Amount(amount), _, Code::Right) => amount.step(true),
            (Self::Amount(amount), ..) => drop(amount.line.press(key)),
            (Self::Flag(on), Some(_), _) => *on = !*on,
            (Self::One { options, at }, Some(forward), _) => {
                *at = turn(*at, options.len(), forward);
            }
            (Self::One { options, at }, None, Code::Char(c)) => {
                let names: Vec<_> = options.iter().map(|option| option.shown.as_str()).collect();
                *at = next(&names, *at, c);
            }
            (Self::Any { at, chosen, .. }, _, Code::Char(' ')) => toggle(chosen, *at),
            (Self::Any { options, at, .. }, Some(forward), _) => {
                *at = turn(*at, options.len(), forward);
            }
            (Self::Any { options, at, .. }, None, Code::Char(c)) => {
                let names: Vec<_> = options.iter().map(String::as_str).collect();
                *at = next(&names, *at, c);
            }
            (Self::Flag(_) | Self::One { .. } | Self::Any { .. }, None, _) => {}
        }
    }

    pub(super) fn paste(&mut self, text: &str) {
        if let Some(line) = self.line_mut() {
            line.paste(text);
        }
    }

    /// A click on this cell of so many; `again`: one was there already.
    pub(super) fn click(&mut self, cell: u16, room: u16, again: bool) {
        match self {
            Self::Flag(on) => *on = !*on,
            Self::One { options, at } if again => *at = turn(*at, options.len(), true),
            // What is typed is not changed by a click.
            Self::Combo { line, options, at, .. } if again && line.text().is_empty() => {
                *at = turn(*at, options.len(), true);
            }
            Self::Any { options, at, chosen } => {
                let pieces = pieces(options, *at, room);
                let hit = pieces.iter().find(|(_, from, to)| (*from..*to).contains(&cell));
                if let Some((i, ..)) = hit {
                    *at = *i;
                    toggle(chosen, *i);
                }
            }
            Self::Amount(amount) => amount.click(cell, room),
            Self::Text { .. } | Self::One { .. } | Self::Combo { .. } => {}
        }
    }

    /// What is typed in it.
    pub(super) fn line_mut(&mut self) -> Option<&mut Line> {
        match self {
            Self::Text { line, .. }
            | Self::Combo { line, .. }
            | Self::Amount(Amount { line, .. }) => Some(line),
            Self::One { .. } | Self::Any { .. } | Self::Flag(_) => None,
        }
    }
}

/// Cells of the mark before an option of many: `[x]`.
pub(super) const MARK: u16 = 3;

/// The options that there is room for around the one at `at`, with their first cell and the one behind
/// the last. Two cells at each side stay free for a sign that there are more.
#[must_use]
pub fn pieces(options: &[String], at: usize, room: u16) -> Vec<(usize, u16, u16)> {
    let width = |option: &String| {
        let cells = unicode_width::UnicodeWidthStr::width(option.as_str());
        u16::try_from(cells).unwrap_or(u16::MAX).saturating_add(MARK)
    };
    let (left, right) = (2, room.saturating_sub(2));
    let mut first = at.min(options.len().saturating_sub(1));
    let mut used = options.get(first).map_or(0, width);
    // As many before it as there is room for, so that little moves.
    while let Some(before) = first.checked_sub(1) {
        used = used.saturating_add(width(&options[before]) + 1);
        if left + used > right {
            break;
        }
        first = before;
    }
    let mut x = left;
    let mut pieces = Vec::new();
    for (i, option) in options.iter().enumerate().skip(first) {
        let end = x.saturating_add(width(option)).min(right);
        if x >= end || (end - x < width(option) && i > at) {
            break;
        }
        pieces.push((i, x, end));
        x = end + 1;
    }
    pieces
}

fn toggle(chosen: &mut BTreeSet<usize>, at: usize) {
    if !chosen.remove(&at) {
        chosen.insert(at);
    }
}

fn turn(at: usize, count: usize, forward: bool) -> usize {
    let count = count.max(1);
    if forward { (at + 1) % count } else { (at + count - 1) % count }
}

/// The next that begins with this letter.
fn next(names: &[&str], at: usize, letter: char) -> usize {
    let begins =
        |i: &usize| names[*i].chars().next().is_some_and(|c| c.eq_ignore_ascii_case(&letter));
    let all = (0..names.len()).map(|i| (at + 1 + i) % names.len().max(1));
    all.into_iter().find(begins).unwrap_or(at)
}
