//! How things look: a style for each meaning, out of the terminal's own palette, and the characters
//! that pictures are drawn with. Pure.

use ratatui::style::{Color, Modifier, Style};

/// What a terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Colours are wanted.
    pub colour: bool,
    /// Only ASCII can be shown.
    pub ascii: bool,
}

/// Terminals, by the beginning of their `TERM`, whose fonts lack blocks and lines.
const PLAIN_FONTS: [&str; 4] = ["linux", "vt", "ansi", "cons25"];
/// Terminals without colours, by the beginning of their `TERM`.
const MONOCHROME: [&str; 2] = ["vt1", "vt2"];
/// Terminals on which nothing can be drawn.
const PAPER: [&str; 4] = ["", "dumb", "unknown", "emacs"];

/// What a piece of the screen means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What is read.
    Text,
    /// What may be overlooked.
    Faint,
    /// Headings.
    Title,
    /// What one is at.
    Selected,
    /// What was marked for an action.
    Marked,
    /// A key that does something.
    Key,
    /// As it should be.
    Good,
    /// Not as it should be, and nobody has to act yet.
    Warning,
    /// Wrong.
    Bad,
}

impl Role {
    /// That of a record of the ledger, by its kind.
    #[must_use]
    pub fn of_record(kind: &str) -> Self {
        if matches!(kind, "refused" | "ban") { Self::Warning } else { Self::Text }
    }

    /// All of them.
    #[cfg(test)]
    pub(super) const ALL: [Self; 9] = [
        Self::Text,
        Self::Faint,
        Self::Title,
        Self::Selected,
        Self::Marked,
        Self::Key,
        Self::Good,
        Self::Warning,
        Self::Bad,
    ];
}

impl Look {
    /// That of a client by its `TERM` and what it set in its environment; `None`: it only prints.
    ///
    /// `NO_COLOR` is that of no-color.org. A locale that is not told is taken for UTF-8.
    #[must_use]
    pub fn of(term: &str, variables: &[(String, String)]) -> Option<Self> {
        if PAPER.contains(&term) {
            return None;
        }
        let begins = |names: &[&str]| names.iter().any(|name| term.starts_with(name));
        let value = |name: &str| {
            let set = variables.iter().rev().find(|(n, _)| n == name);
            set.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
        };
        // The order of locale(7).
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(value);
        let is_utf8 = locale.is_none_or(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        Some(Self {
            colour: value("NO_COLOR").is_none() && !begins(&MONOCHROME),
            ascii: !is_utf8 || begins(&PLAIN_FONTS),
        })
    }

    /// How a meaning is shown. Where there is no colour, each is told apart by something else or by
    /// the words themselves.
    #[must_use]
    pub fn style(self, role: Role) -> Style {
        let style = Style::new();
        let coloured = |colour| if self.colour { style.fg(colour) } else { style };
        match role {
            Role::Text => style,
            Role::Faint => style.add_modifier(Modifier::DIM),
            Role::Title => style.add_modifier(Modifier::BOLD),
            Role::Selected => style.add_modifier(Modifier::REVERSED),
            Role::Marked => coloured(Color::Magenta).add_modifier(Modifier::BOLD),
            Role::Key => coloured(Color::Cyan).add_modifier(Modifier::BOLD),
            Role::Good => coloured(Color::Green),
            Role::Warning => coloured(Color::Yellow).add_modifier(Modifier::BOLD),
            Role::Bad => coloured(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    /// The characters to draw with.
    #[must_use]
    pub fn glyphs(self) -> &'static Glyphs {
        if self.ascii { &ASCII } else { &UNICODE }
    }
}

/// Characters that pictures are made of. Each is one cell wide.
#[derive(Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// Horizontal, vertical, and the corners from top left, clockwise.
    pub frame: [&'static str; 6],
    /// Parts of a bar, from empty to full.
    pub bar: &'static [&'static str],
    /// A part that is given, and not in use.
    pub given: &'static str,
    /// Heights of a line of history, from lowest to highest.
    pub heights: &'static [&'static str],
    /// It runs, or answers.
    pub on: &'static str,
    /// It does not.
    pub off: &'static str,
    /// It is on its way from one to the other.
    pub between: &'static str,
    /// It is not well.
    pub wrong: &'static str,
    /// The row that one is at.
    pub here: &'static str,
    /// A row that was marked.
    pub mark: &'static str,
    /// Sorted upwards and downwards.
    pub sorted: [&'static str; 2],
    /// There is more than is shown.
    pub more: &'static str,
    /// There is more to the left, and to the right.
    pub beyond: [&'static str; 2],
    /// From one page to the one above it.
    pub then: &'static str,
    /// What turns while work is under way.
    pub turning: &'static [&'static str],
}

impl Glyphs {
    /// A part of a bar that is all there.
    #[must_use]
    pub fn full(&self) -> &'static str {
        self.bar.last().copied().unwrap_or("#")
    }
}

const UNICODE: Glyphs = Glyphs {
    frame: ["─", "│", "╭", "╮", "╯", "╰"],
    bar: &["·", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"],
    given: "▒",
    heights: &["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    on: "●",
    off: "○",
    between: "◐",
    wrong: "▲",
    here: "▸",
    mark: "✓",
    sorted: ["↑", "↓"],
    more: "…",
    beyond: ["‹", "›"],
    then: "›",
    turning: &["◐", "◓", "◑", "◒"],
};

const ASCII: Glyphs = Glyphs {
    frame: ["-", "|", "+", "+", "+", "+"],
    bar: &[".", "#"],
    given: "=",
    heights: &["_", ".", "-", "=", "#"],
    on: "*",
    off: "o",
    between: "~",
    wrong: "!",
    here: ">",
    mark: "x",
    sorted: ["^", "v"],
    // That of nano and of Emacs, for a line that is longer.
    more: "$",
    beyond: ["<", ">"],
    then: ">",
    turning: &["|", "/", "-", "\\"],
};

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    fn look(term: &str, variables: &[(&str, &str)]) -> (bool, bool) {
        let variables: Vec<_> =
            variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let Look { colour, ascii } = Look::of(term, &variables).unwrap();
        (colour, ascii)
    }

    #[test]
    fn terminal_and_environment_say_what_can_be_shown() {
        assert_eq!(look("xterm-256color", &[]), (true, false));
        assert_eq!(look("xterm", &[("LANG", "de_DE.UTF-8")]), (true, false));
        assert_eq!(look("xterm", &[("LANG", "C")]), (true, true));
        assert_eq!(look("xterm", &[("LANG", "C"), ("LC_ALL", "C.utf8")]), (true, false));
        assert_eq!(look("xterm", &[("LC_ALL", ""), ("LC_CTYPE", "de_DE@euro")]), (true, true));
        assert_eq!(look("xterm", &[("NO_COLOR", "1")]), (false, false));
        assert_eq!(look("xterm", &[("NO_COLOR", "")]), (true, false));
        assert_eq!(look("linux", &[("LANG", "C.UTF-8")]), (true, true));
        assert_eq!(look("vt220", &[]), (false, true));
        assert_eq!((Look::of("dumb", &[]), Look::of("", &[])), (None, None));
    }

    #[test]
    fn every_glyph_is_one_cell_and_ascii_is_ascii() {
        for glyphs in [&UNICODE, &ASCII] {
            let Glyphs { frame, bar, heights, on, off, between, wrong, here, mark, .. } = glyphs;
            let single =
                [on, off, between, wrong, here, mark, &glyphs.more, &glyphs.then, &glyphs.given];
            let all = frame.iter().chain(*bar).chain(*heights).chain(single);
            for glyph in all.chain(&glyphs.sorted).chain(&glyphs.beyond).chain(glyphs.turning) {
                assert_eq!(glyph.width(), 1, "{glyph}");
                assert!(glyphs == &UNICODE || glyph.is_ascii(), "{glyph}");
            }
        }
    }

    #[test]
    fn no_sign_has_two_meanings() {
        for Glyphs { on, off, between, wrong, here, mark, more, sorted, .. } in [&UNICODE, &ASCII] {
            let signs = [on, off, between, wrong, here, mark, more, &sorted[0], &sorted[1]];
            let different: std::collections::HashSet<_> = signs.iter().collect();
            assert_eq!(different.len(), signs.len(), "{signs:?}");
        }
    }

    #[test]
    fn without_colours_none_is_used() {
        let plain = Look { colour: false, ascii: false };
        for role in Role::ALL {
            assert_eq!((plain.style(role).fg, plain.style(role).bg), (None, None), "{role:?}");
        }
    }
}
