//! How work is shown while it goes on: numbered steps, on a terminal with a spinner and times.
//! Pure: time is an argument.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::fleet::job::{Entry, Event};

/// How often the spinner turns, in milliseconds.
pub(super) const TURN_MS: u64 = 120;

/// ASCII, for every font and locale.
const SPINNER: [char; 4] = ['|', '/', '-', '\\'];

/// Goes to the beginning of the line and clears it (ECMA-48: CR, EL).
const ANEW: &str = "\r\x1b[K";

/// How steps are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Not at all.
    Silent,
    /// A line each.
    Plain,
    /// A line each, which moves while the step goes on.
    Moving,
}

/// What is shown now.
#[derive(Debug)]
pub(super) struct Progress {
    style: Style,
    current: Option<(String, Timestamp)>,
    turns: usize,
}

impl Progress {
    pub(super) fn new(style: Style) -> Self {
        Self { style, current: None, turns: 0 }
    }

    /// What to write for an entry.
    pub(super) fn entry(&mut self, entry: &Entry) -> String {
        if self.style == Style::Silent {
            return String::new();
        }
        let mut out = String::new();
        match &entry.event {
            Event::Step { number, of, title } => {
                out.push_str(&self.finish(entry.at));
                let line = format!("[{number}/{of}] {title}");
                match self.style {
                    Style::Moving => {
                        let _ = write!(out, "{line}");
                        self.current = Some((line, entry.at));
                    }
                    Style::Plain | Style::Silent => out = format!("{line}\n"),
                }
            }
            Event::Output(line) => self.between(&mut out, &format!("  | {line}\n")),
            Event::Note(text) => self.between(&mut out, &format!("note: {text}\n")),
            Event::Ended(_) => out.push_str(&self.finish(entry.at)),
        }
        out
    }

    /// What to write when the spinner turns.
    pub(super) fn turn(&mut self, now: Timestamp) -> String {
        self.turns = self.turns.wrapping_add(1);
        let spinner = SPINNER.get(self.turns % SPINNER.len()).copied().unwrap_or(' ');
        match &self.current {
            Some((line, since)) => format!("{ANEW}{line}  {spinner} {}", seconds(now, *since)),
            None => String::new(),
        }
    }

    /// Ends the line of the current step with the time that it took.
    fn finish(&mut self, now: Timestamp) -> String {
        match self.current.take() {
            Some((line, since)) => format!("{ANEW}{line}  {}\n", seconds(now, since)),
            None => String::new(),
        }
    }

    /// A line that comes while a step goes on.
    fn between(&self, out: &mut String, text: &str) {
        match &self.current {
            Some((line, _)) => *out = format!("{ANEW}{text}{line}"),
            None => out.push_str(text),
        }
    }
}

fn seconds(now: Timestamp, since: Timestamp) -> String {
    let tenths = now.duration_since(since).as_millis().max(0) / 100;
    format!("{}.{}s", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + millis).unwrap()
    }

    fn step(number: usize, at: Timestamp) -> Entry {
        Entry { at, event: Event::Step { number, of: 2, title: format!("step {number}") } }
    }

    fn run(style: Style) -> String {
        let mut progress = Progress::new(style);
        let mut out = progress.entry(&step(1, at(0)));
        out += &progress.entry(&Entry { at: at(100), event: Event::Output("hello".into()) });
        out += &progress.turn(at(1200));
        out += &progress.entry(&step(2, at(1500)));
        out += &progress.entry(&Entry { at: at(1700), event: Event::Ended(Ok(())) });
        out
    }

    #[test]
    fn plain_is_a_line_a_step_and_a_terminal_sees_it_move() {
        assert_eq!(run(Style::Plain), "[1/2] step 1\n  | hello\n[2/2] step 2\n");
        assert_eq!(run(Style::Silent), "");
        let moving = "[1/2] step 1\r\x1b[K  | hello\n[1/2] step 1\r\x1b[K[1/2] step 1  / 1.2s\
            \r\x1b[K[1/2] step 1  1.5s\n[2/2] step 2\r\x1b[K[2/2] step 2  0.2s\n";
        assert_eq!(run(Style::Moving), moving);
    }
}
