//! Fields that are filled in, and the command that they become. Pure.

mod amount;
mod field;
#[cfg(test)]
mod tests;

pub use self::{
    amount::{Amount, SLIDER, Unit, slider},
    field::{Check, Choice, Content, Field, Hint, pieces},
};
use super::{
    input::{Code, Key},
    keymap::Deed,
    state::Words,
};
use crate::command::key_arg::is_private;

/// Fields, and where one is.
#[derive(Debug, Clone)]
pub struct Form {
    /// What it is for.
    pub title: String,
    /// What the button says.
    pub button: &'static str,
    /// What it does, and to which container, if it is about one.
    pub about: Option<(Deed, String)>,
    /// The command's first words.
    pub command: Words,
    /// The fields.
    pub fields: Vec<Field>,
    /// The one that one is at; behind the last: the button.
    pub at: usize,
    /// One wanted to go on, and is told what is missing.
    pub insisted: bool,
    /// Why the last thing that was pasted was not taken.
    pub refused: Option<&'static str>,
}

/// What a key did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is not done yet.
    Stay,
    /// It is given up.
    Cancel,
    /// This is to be run.
    Run(Words),
}

const PRIVATE: &str = "that is a private key: it stays with you alone; paste the .pub file";
const LINES: &str = "that is more than one line; one at a time, please";

impl Form {
    /// With these fields and nothing filled in. The command's words come first.
    #[must_use]
    pub fn new(title: String, button: &'static str, command: Words, fields: Vec<Field>) -> Self {
        let (about, refused) = (None, None);
        Self { title, button, about, command, fields, at: 0, insisted: false, refused }
    }

    /// Takes a key.
    #[expect(clippy::wildcard_enum_match_arm, reason = "other keys are the field's")]
    pub fn press(&mut self, key: Key) -> Step {
        let is_plain = !key.ctrl && !key.alt;
        let writes =
            matches!(key.code, Code::Enter) || matches!(key.code, Code::Char(_) if is_plain);
        if self.refused == Some(PRIVATE) && writes {
            // A terminal without brackets around pastes types the rest of it.
            return Step::Stay;
        }
        self.refused = None;
        match key.code {
            Code::Esc => return Step::Cancel,
            Code::Char('s') if key.ctrl => return self.submit(),
            Code::Enter if self.at >= self.fields.len() => return self.submit(),
            Code::Tab | Code::Down | Code::Enter => self.at = (self.at + 1).min(self.fields.len()),
            Code::BackTab | Code::Up => self.at = self.at.saturating_sub(1),
            Code::Char(' ') if is_plain && self.at >= self.fields.len() => return self.submit(),
            _ => {
                if let Some(field) = self.fields.get_mut(self.at) {
                    field.content.press(key);
                    self.refuse_secrets();
                }
            }
        }
        Step::Stay
    }

    /// Takes what was pasted, where it is one line, and no secret.
    pub fn paste(&mut self, text: &str) {
        self.refused = match text {
            text if is_private(text) => Some(PRIVATE),
            text if text.trim().lines().count() > 1 => Some(LINES),
            _ => None,
        };
        if self.refused.is_none()
            && let Some(field) = self.fields.get_mut(self.at)
        {
            field.content.paste(text);
            self.refuse_secrets();
        }
    }

    /// A click on a field, or on the button behind the last; `inside` says at which of how many cells of
    /// its content.
    pub fn click(&mut self, at: usize, inside: Option<(u16, u16)>) -> Step {
        self.refused = None;
        let is_again = std::mem::replace(&mut self.at, at.min(self.fields.len())) == at;
        let Some(field) = self.fields.get_mut(at) else { return self.submit() };
        if let Some((cell, room)) = inside {
            field.content.click(cell, room, is_again);
        }
        Step::Stay
    }

    /// The command as far as it can be said.
    #[must_use]
    pub fn words(&self) -> Words {
        let mut words = self.command.clone();
        for field in &self.fields {
            words.extend(field.words());
        }
        words
    }

    /// What the field of this option says; nothing where that is usual.
    #[must_use]
    pub fn said(&self, option: &str) -> Option<&str> {
        self.field(option)?.said()
    }

    fn field(&self, option: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.option == Some(option))
    }

    /// The field of this option, to be told something.
    pub fn field_mut(&mut self, option: &str) -> Option<&mut Field> {
        self.fields.iter_mut().find(|field| field.option == Some(option))
    }

    /// What is wrong with the whole, while each field is right.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        let is_about_amounts = self.about.as_ref().is_some_and(|(deed, _)| *deed == Deed::Resize);
        let is_given = |field: &Field| matches!(&field.content, Content::Amount(amount) if !amount.line.text().is_empty());
        let changes = self.fields.iter().any(is_given);
        (is_about_amounts && !changes).then_some("nothing is changed yet")
    }

    /// Runs it, or goes to the first field that is wrong.
    fn submit(&mut self) -> Step {
        self.insisted = true;
        let wrong = self.fields.iter().position(|field| field.check().is_err());
        match (wrong, self.problem()) {
            (Some(wrong), _) => self.at = wrong,
            (None, Some(_)) => self.at = self.fields.len(),
            (None, None) => return Step::Run(self.words()),
        }
        Step::Stay
    }

    fn refuse_secrets(&mut self) {
        if let Some(line) = self.fields.get_mut(self.at).and_then(|field| field.content.line_mut())
            && is_private(line.text())
        {
            *line = super::line::Line::default();
            self.refused = Some(PRIVATE);
        }
    }
}

impl PartialEq for Form {
    fn eq(&self, other: &Self) -> bool {
        (&self.title, self.words(), self.at) == (&other.title, other.words(), other.at)
    }
}
