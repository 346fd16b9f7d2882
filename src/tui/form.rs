//! Fields that are filled in, and the command that they become. Pure.

use std::collections::BTreeSet;

use super::{
    input::{Code, Key},
    line::Line,
    state::Words,
};

/// What a text is refused for.
pub type Check = fn(&str) -> Result<Hint, String>;

/// What is said of a text that is right; often nothing.
pub type Hint = String;

/// One field.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name.
    pub label: &'static str,
    /// What may stand there.
    pub help: String,
    /// How it stands in the command; none: it is a word by itself.
    pub option: Option<&'static str>,
    /// What stands there.
    pub content: Content,
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
    /// One of these; the first stands for what is usual, and is not said.
    One {
        /// What can be chosen.
        options: Vec<String>,
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

/// Fields, and where one is.
#[derive(Debug, Clone)]
pub struct Form {
    /// What it is for.
    pub title: String,
    /// The command's first words.
    pub command: Words,
    /// The fields.
    pub fields: Vec<Field>,
    /// The one that one is at; behind the last: the button.
    pub at: usize,
    /// One wanted to go on, and is told what is missing.
    pub insisted: bool,
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

impl Form {
    /// Takes a key.
    #[expect(clippy::wildcard_enum_match_arm, reason = "other keys are the field's")]
    pub fn press(&mut self, key: Key) -> Step {
        let is_plain = !key.ctrl && !key.alt;
        match key.code {
            Code::Esc => return Step::Cancel,
            Code::Char('c') if key.ctrl => return Step::Cancel,
            Code::Char('s') if key.ctrl => return self.submit(),
            Code::Enter if self.at >= self.fields.len() => return self.submit(),
            Code::Tab | Code::Down | Code::Enter => self.at = (self.at + 1).min(self.fields.len()),
            Code::BackTab | Code::Up => self.at = self.at.saturating_sub(1),
            Code::Char(' ') if is_plain && self.at >= self.fields.len() => return self.submit(),
            _ => {
                if let Some(field) = self.fields.get_mut(self.at) {
                    field.content.press(key);
                }
            }
        }
        Step::Stay
    }

    /// Takes what was pasted.
    pub fn paste(&mut self, text: &str) {
        if let Some(Field { content: Content::Text { line, .. }, .. }) =
            self.fields.get_mut(self.at)
        {
            line.paste(text);
        }
    }

    /// A click on a field, or on the button behind the last.
    pub fn click(&mut self, at: usize) -> Step {
        let is_button = at >= self.fields.len();
        let again = std::mem::replace(&mut self.at, at.min(self.fields.len())) == at;
        if is_button {
            return self.submit();
        }
        if let Some(field) = self.fields.get_mut(at).filter(|_| again) {
            field.content.press(Key { code: Code::Char(' '), ctrl: false, alt: false });
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

    /// Runs it, or goes to the first field that is wrong.
    fn submit(&mut self) -> Step {
        self.insisted = true;
        match self.fields.iter().position(|field| field.check().is_err()) {
            Some(wrong) => {
                self.at = wrong;
                Step::Stay
            }
            None => Step::Run(self.words()),
        }
    }
}

impl PartialEq for Form {
    fn eq(&self, other: &Self) -> bool {
        (&self.title, self.words(), self.at) == (&other.title, other.words(), other.at)
    }
}

impl Field {
    /// What is said of its content, or what is wrong with it.
    ///
    /// # Errors
    /// It is not what it has to be.
    pub fn check(&self) -> Result<Hint, String> {
        match &self.content {
            Content::Text { line, optional: true, .. } if line.text().is_empty() => {
                Ok(String::new())
            }
            Content::Text { line, .. } if line.text().is_empty() => {
                Err(format!("{} is needed", self.label))
            }
            Content::Text { line, check, .. } => check(line.text()),
            Content::One { .. } | Content::Any { .. } | Content::Flag(_) => Ok(String::new()),
        }
    }

    fn words(&self) -> Words {
        let said = |value: &str| match self.option {
            // In one word, so that a value cannot be taken for an option.
            Some(option) => format!("--{option}={value}"),
            None => value.to_owned(),
        };
        match &self.content {
            Content::Text { line, .. } if line.text().is_empty() => Vec::new(),
            Content::Text { line, .. } => vec![said(line.text())],
            Content::One { at: 0, .. } | Content::Flag(false) => Vec::new(),
            Content::One { options, at } => options.get(*at).map(|o| said(o)).into_iter().collect(),
            Content::Any { options, chosen, .. } => {
                chosen.iter().filter_map(|i| options.get(*i)).map(|o| said(o)).collect()
            }
            Content::Flag(true) => self.option.map(|o| format!("--{o}")).into_iter().collect(),
        }
    }
}

impl Content {
    #[expect(clippy::wildcard_enum_match_arm, reason = "other keys mean nothing here")]
    fn press(&mut self, key: Key) {
        let step = match key.code {
            Code::Left => Some(false),
            Code::Right | Code::Char(' ') => Some(true),
            _ => None,
        };
        match (self, step) {
            (Self::Text { line, .. }, _) => drop(line.press(key)),
            (Self::Flag(on), Some(_)) => *on = !*on,
            (Self::One { options, at }, Some(forward)) => *at = turn(*at, options.len(), forward),
            (Self::Any { at, chosen, .. }, Some(true)) if key.code == Code::Char(' ') => {
                if !chosen.remove(at) {
                    chosen.insert(*at);
                }
            }
            (Self::Any { options, at, .. }, Some(forward)) => {
                *at = turn(*at, options.len(), forward);
            }
            (Self::Flag(_) | Self::One { .. } | Self::Any { .. }, None) => {}
        }
    }
}

fn turn(at: usize, count: usize, forward: bool) -> usize {
    let count = count.max(1);
    if forward { (at + 1) % count } else { (at + count - 1) % count }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(form: &mut Form, code: Code) -> Step {
        form.press(Key { code, ctrl: false, alt: false })
    }

    fn form() -> Form {
        let name = |text: &str| match text.parse::<crate::model::name::ContainerName>() {
            Ok(_) => Ok(String::new()),
            Err(error) => Err(error.to_string()),
        };
        let text = |check, optional| Content::Text { line: Line::default(), check, optional };
        let options = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        let field = |label, option, content| Field { label, help: String::new(), option, content };
        let any =
            Content::Any { options: options(&["docker", "rust"]), at: 0, chosen: BTreeSet::new() };
        Form {
            title: "Create a container".to_owned(),
            command: vec!["create".to_owned()],
            fields: vec![
                field("Name", None, text(name, false)),
                field("Disk", Some("disk"), text(|_| Ok(String::new()), true)),
                field(
                    "Host",
                    Some("backend"),
                    Content::One { options: options(&["emptiest", "h1"]), at: 0 },
                ),
                field("Stacks", Some("stack"), any),
                field("Podman", Some("podman"), Content::Flag(false)),
            ],
            at: 0,
            insisted: false,
        }
    }

    #[test]
    fn what_is_filled_in_becomes_a_command() {
        let mut form = form();
        "bob".chars().for_each(|c| drop(press(&mut form, Code::Char(c))));
        press(&mut form, Code::Tab);
        form.paste("--force\n");
        for code in [Code::Down, Code::Right, Code::Enter, Code::Char(' '), Code::Right] {
            press(&mut form, code);
        }
        for code in [Code::Char(' '), Code::Tab, Code::Char(' '), Code::Tab] {
            assert_eq!(press(&mut form, code), Step::Stay);
        }
        let words = [
            "create",
            "bob",
            "--disk=--force",
            "--backend=h1",
            "--stack=docker",
            "--stack=rust",
            "--podman",
        ];
        assert_eq!(press(&mut form, Code::Enter), Step::Run(words.map(str::to_owned).to_vec()));
    }

    #[test]
    fn what_is_wrong_is_gone_to_and_said() {
        let mut form = form();
        assert_eq!((form.click(5), form.at), (Step::Stay, 0));
        assert_eq!(form.fields[0].check(), Err("Name is needed".to_owned()));
        form.paste("Bob;");
        assert!(form.fields[0].check().is_err());
        assert_eq!((form.click(9), form.at, form.insisted), (Step::Stay, 0, true));
        assert_eq!(press(&mut form, Code::Esc), Step::Cancel);
    }

    #[test]
    fn clicks_go_to_a_field_and_turn_it() {
        let mut form = form();
        assert_eq!((form.click(4), form.at), (Step::Stay, 4));
        form.click(4);
        assert_eq!(form.words(), ["create", "--podman"]);
        form.click(2);
        for _ in 0..3 {
            press(&mut form, Code::Left);
        }
        assert_eq!(form.words(), ["create", "--backend=h1", "--podman"]);
    }
}
