//! Everything that a screen is drawn from. Pure.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{
    facts::About,
    keymap::{Deed, Place, Tab},
    line::Line,
    shared::Shared,
    table::{Row, Table},
    theme::{Look, Role},
};
use crate::command::{failure::Failure, report::Report, terminal::Size};

/// What is known of the fleet at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Whom one talks to.
    pub sentinel: String,
    /// Who is here.
    pub person: String,
    /// What is wrong, a sentence each.
    pub alarms: Vec<String>,
    /// The rows of each screen, as far as they are known without asking.
    pub rows: BTreeMap<Tab, Shared<Row>>,
    /// What is known of each container beyond its row.
    pub about: Shared<About>,
    /// What there is to choose from when a container is made.
    pub choices: super::choices::Choices,
}

/// A question to the sentinel, in the words of a command that changes nothing.
pub type Words = Vec<String>;

/// The number of a piece of work, in the order in which they were begun.
pub type WorkId = u64;

/// A screen that stands above the one that one came from.
#[derive(Debug, Clone, PartialEq)]
pub enum Page {
    /// A container, by name.
    Container(String, Answer),
    /// What a command said.
    Answer(Words, Answer),
    /// Work, under way or done.
    Work(WorkId),
    /// All of it.
    Works,
    /// What keys mean where one came from.
    Help(Place),
    /// A row of a list, in full, as it was.
    Row(Tab, Row),
}

impl Page {
    /// The host that this page is about.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Answer(words, _) => match words.as_slice() {
                [noun, verb, name] if noun == "backend" && verb == "info" => Some(name),
                _ => None,
            },
            Self::Container(..) | Self::Work(_) | Self::Works | Self::Help(_) | Self::Row(..) => {
                None
            }
        }
    }
}

/// What a question led to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// What was said last; nothing yet.
    pub said: Option<Result<Arc<Report>, Failure>>,
    /// What the ledger says of the same, on a page that shows it.
    pub ledger: Option<Result<Arc<Report>, Failure>>,
    /// First line on the screen.
    pub top: usize,
}

/// A command that changes something, from its beginning.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// Which one.
    pub id: WorkId,
    /// As it would be typed.
    pub line: String,
    /// Somebody typed it, and wants to read what it says.
    pub typed: bool,
    /// What it said meanwhile, and when: printable lines.
    pub steps: Vec<(Timestamp, String)>,
    /// Since when.
    pub since: Timestamp,
    /// How it ended.
    pub end: Option<Ended>,
}

/// The end of work.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// What came of it.
    pub result: Result<Arc<Report>, Failure>,
}

/// What is asked before something is done, above everything else.
#[derive(Debug, Clone, PartialEq)]
pub enum Dialogue {
    /// Whether it is to be done to these.
    Confirm(Confirm),
    /// Fields to fill in.
    Form(super::form::Form),
}

/// A question that is answered with yes or no, or by typing a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirm {
    /// What would be done.
    pub deed: Deed,
    /// To which.
    pub ids: Vec<String>,
    /// What has to be typed, and what was, for what cannot be undone.
    pub name: Option<(String, Line)>,
}

/// A line at the bottom that is being typed.
#[derive(Debug, Clone, PartialEq)]
pub enum Prompt {
    /// Words that rows have to have, and what they were before.
    Filter(Line, String),
    /// A command, and how far back one went in those before.
    Command(Line, usize),
}

/// A remark at the bottom.
#[derive(Debug, Clone, PartialEq)]
pub struct Remark {
    /// What is said.
    pub text: String,
    /// What it means.
    pub role: Role,
    /// Until when it is shown.
    pub until: Timestamp,
}

/// Rows that the sentinel is asked for at first: some screens full.
pub const USUAL: usize = 200;

/// Everything.
#[derive(Debug, Clone)]
pub struct State {
    /// How large the terminal is.
    pub size: Size,
    /// What it can show.
    pub look: Look,
    /// The time.
    pub now: Timestamp,
    /// What is known.
    pub facts: Arc<Facts>,
    /// The screen below all pages.
    pub tab: Tab,
    /// The list of each screen.
    pub tables: BTreeMap<Tab, Table>,
    /// Rows that the sentinel was asked for, behind those of [`Facts`].
    pub told: BTreeMap<Tab, Vec<Arc<Row>>>,
    /// How many of them there are at most, where that is more than [`USUAL`].
    pub limits: BTreeMap<Tab, usize>,
    /// The images that hosts have, as far as somebody asked.
    pub images: super::images::Images,
    /// What stands above it, the one that is seen last.
    pub pages: Vec<Page>,
    /// Where one is on a page that is no answer: its first line on the screen, or the chosen piece of
    /// work. `None`: where it begins, and at the end of work.
    pub at: Option<usize>,
    /// What is asked.
    pub dialogue: Option<Dialogue>,
    /// What is being typed at the bottom.
    pub prompt: Option<Prompt>,
    /// Commands that were typed, the newest last.
    pub typed: Vec<String>,
    /// Work, the newest last.
    pub works: Vec<Work>,
    /// What is said at the bottom.
    pub remark: Option<Remark>,
}

/// The list of a screen, before anything is known.
fn list(tab: Tab) -> Table {
    match tab {
        Tab::Guard | Tab::Ledger => Table::newest_first(),
        Tab::Containers | Tab::Hosts | Tab::Sessions => Table::default(),
    }
}

impl Facts {
    /// What is known of a container beyond its row.
    #[must_use]
    pub fn about(&self, name: &str) -> Option<&About> {
        self.about.iter().find(|about| about.name == name).map(Arc::as_ref)
    }
}

impl State {
    /// At the beginning.
    #[must_use]
    pub fn new(size: Size, look: Look, now: Timestamp) -> Self {
        Self {
            size,
            look,
            now,
            facts: Arc::default(),
            tab: Tab::Containers,
            tables: Tab::ALL.into_iter().map(|tab| (tab, list(tab))).collect(),
            told: BTreeMap::new(),
            limits: BTreeMap::new(),
            images: super::images::Images::default(),
            pages: Vec::new(),
            at: None,
            dialogue: None,
            prompt: None,
            typed: Vec::new(),
            works: Vec::new(),
            remark: None,
        }
    }

    /// Where keys are pressed.
    #[must_use]
    pub fn place(&self) -> Place {
        match self.pages.last() {
            None => Place::Tab(self.tab),
            Some(Page::Container(..)) => Place::Container,
            Some(Page::Work(id)) if self.work(*id).is_some_and(|work| work.end.is_none()) => {
                Place::Work
            }
            Some(Page::Works) => Place::Works,
            Some(page) if page.host().is_some() => Place::Host,
            Some(Page::Work(_) | Page::Answer(..) | Page::Help(_) | Page::Row(..)) => Place::Page,
        }
    }

    /// The list that is seen; `None`: a page stands above it.
    #[must_use]
    pub fn table(&self) -> Option<&Table> {
        self.pages.is_empty().then(|| self.tables.get(&self.tab)).flatten()
    }

    /// The same, to move in.
    pub fn table_mut(&mut self) -> Option<&mut Table> {
        if self.pages.is_empty() { self.tables.get_mut(&self.tab) } else { None }
    }

    /// How many rows the sentinel was asked for at most, the newest of a list.
    #[must_use]
    pub fn limit(&self, tab: Tab) -> usize {
        self.limits.get(&tab).copied().unwrap_or(USUAL)
    }

    /// Whether there may be older rows than those that were told.
    #[must_use]
    pub fn has_older(&self, tab: Tab) -> bool {
        self.told.get(&tab).is_some_and(|told| told.len() >= self.limit(tab))
    }

    /// Work by its number.
    #[must_use]
    pub fn work(&self, id: WorkId) -> Option<&Work> {
        self.works.iter().find(|work| work.id == id)
    }
}
