//! What keys mean, said once: what is done and what help shows come from the same table. Pure.

use super::{
    input::{Code, Key},
    table::Move,
};

/// A screen that can be gone to from everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tab {
    /// The containers.
    Containers,
    /// The hosts.
    Hosts,
    /// Sessions.
    Sessions,
    /// Who is banned, and why.
    Guard,
    /// What happened.
    Ledger,
}

impl Tab {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 5] =
        [Self::Containers, Self::Hosts, Self::Sessions, Self::Guard, Self::Ledger];

    /// Its name.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Containers => "Containers",
            Self::Hosts => "Hosts",
            Self::Sessions => "Sessions",
            Self::Guard => "Guard",
            Self::Ledger => "Ledger",
        }
    }
}

/// Where a key is pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// On one of the screens.
    Tab(Tab),
    /// On the page of a container.
    Container,
    /// On the page of a host.
    Host,
    /// On a page that is only read: a command's answer, work that ended, the keys.
    Page,
    /// On the page of work under way.
    Work,
    /// Where all of it is listed.
    Works,
}

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Move.
    Go(Move),
    /// Move so many pages; upwards below zero.
    Page(isize),
    /// Look at what one is at.
    Open,
    /// Back to where one came from.
    Back,
    /// Leave.
    Leave,
    /// See the keys.
    Help,
    /// To a screen.
    Show(Tab),
    /// To the next screen, or the one before.
    Turn(isize),
    /// Choose rows by words.
    Filter,
    /// Type a command.
    Command,
    /// Sort by the next column.
    Sort,
    /// Sort the other way round.
    Reverse,
    /// Keep rows together by the next thing.
    Group,
    /// Follow what comes, or stay with what one is at.
    Follow,
    /// Mark a row.
    Mark,
    /// Mark all rows.
    MarkAll,
    /// Draw everything anew.
    Redraw,
    /// See what work is under way and what came of it.
    Works,
    /// Ask work to stop.
    Halt,
    /// See what work on a container said.
    Logs,
    /// Do something.
    Do(Deed),
}

/// What can be done to what one is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Make a container.
    Create,
    /// A shell inside.
    Shell,
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Start it anew.
    Restart,
    /// Give it more or less.
    Resize,
    /// Remove it.
    Delete,
    /// Let somebody else in.
    AddCollaborator,
    /// And no more.
    RemoveCollaborator,
    /// Add a key of the owner.
    AddKey,
    /// Take one away.
    RemoveKey,
    /// Nothing new on this host.
    Drain,
    /// Use it again.
    Resume,
    /// End a session.
    Kill,
    /// Look on at a session, or at what was recorded of it.
    Watch,
    /// End a ban.
    Lift,
    /// Say why.
    Why,
}

impl Deed {
    /// What is done, before a name.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Shell => "Enter",
            Self::Start => "Start",
            Self::Stop => "Stop",
            Self::Restart => "Restart",
            Self::Resize => "Resize",
            Self::Delete => "Delete",
            Self::AddCollaborator => "Let somebody in to",
            Self::RemoveCollaborator => "Let somebody in no more to",
            Self::AddKey => "Add a key to",
            Self::RemoveKey => "Take a key from",
            Self::Drain => "Drain",
            Self::Resume => "Resume",
            Self::Kill => "End session",
            Self::Watch => "Watch",
            Self::Lift => "Lift the ban of",
            Self::Why => "Why is banned",
        }
    }

    /// The same on a button.
    #[must_use]
    pub fn button(self) -> &'static str {
        match self {
            Self::Kill => "End",
            Self::Lift => "Lift",
            Self::Create
            | Self::Shell
            | Self::Start
            | Self::Stop
            | Self::Restart
            | Self::Resize
            | Self::Delete
            | Self::AddCollaborator
            | Self::RemoveCollaborator
            | Self::AddKey
            | Self::RemoveKey
            | Self::Drain
            | Self::Resume
            | Self::Watch
            | Self::Why => self.verb(),
        }
    }

    /// What follows, in a sentence, where it is asked for.
    #[must_use]
    pub fn consequence(self) -> &'static str {
        match self {
            Self::Delete => "Files and snapshots are gone for good.",
            Self::Stop => "Sessions end; the next login starts it again.",
            Self::Restart => "Sessions end.",
            Self::Kill => "The person is told so.",
            Self::Lift => "Logins from there are tried again at once.",
            Self::Create
            | Self::Shell
            | Self::Start
            | Self::Resize
            | Self::AddCollaborator
            | Self::RemoveCollaborator
            | Self::AddKey
            | Self::RemoveKey
            | Self::Drain
            | Self::Resume
            | Self::Watch
            | Self::Why => "",
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// The keys, as they are shown.
    pub shown: &'static str,
    keys: &'static [Key],
    /// What they mean.
    pub intent: Intent,
    /// What that is, in a word or two.
    pub what: &'static str,
    /// How much it is worth to be shown at the bottom, where there is not room for all: the lowest
    /// first. `None`: never.
    pub hint: Option<u8>,
}

impl Binding {
    /// The key to press for it.
    #[must_use]
    pub fn first(&self) -> Option<Key> {
        self.keys.first().copied()
    }
}

const fn char(c: char) -> Key {
    Key { code: Code::Char(c), ctrl: false, alt: false }
}

const fn ctrl(c: char) -> Key {
    Key { code: Code::Char(c), ctrl: true, alt: false }
}

const fn on(code: Code) -> Key {
    Key { code, ctrl: false, alt: false }
}

const fn bind(
    shown: &'static str,
    keys: &'static [Key],
    intent: Intent,
    what: &'static str,
) -> Binding {
    Binding { shown, keys, intent, what, hint: None }
}

/// One that is shown at the bottom.
const fn hint(
    rank: u8,
    shown: &'static str,
    keys: &'static [Key],
    intent: Intent,
    what: &'static str,
) -> Binding {
    Binding { shown, keys, intent, what, hint: Some(rank) }
}

/// Leaves even while something is typed or asked, where `q` is a letter.
pub const LEAVES_ALWAYS: Key = ctrl('c');

const ANYWHERE: &[Binding] = &[
    bind("1-5", &[], Intent::Show(Tab::Containers), "go to a screen"),
    bind("Tab", &[on(Code::Tab)], Intent::Turn(1), "next screen"),
    bind("S-Tab", &[on(Code::BackTab)], Intent::Turn(-1), "screen before"),
    bind("w", &[char('w')], Intent::Works, "work under way"),
    hint(6, ":", &[char(':')], Intent::Command, "command"),
    bind("Ctrl-L", &[ctrl('l')], Intent::Redraw, "draw anew"),
    hint(0, "?", &[char('?'), on(Code::F(1))], Intent::Help, "help"),
    hint(
        1,
        "Esc",
        &[on(Code::Esc), on(Code::Left), char('h'), on(Code::Backspace)],
        Intent::Back,
        "back",
    ),
    hint(0, "q", &[char('q'), LEAVES_ALWAYS], Intent::Leave, "leave"),
];

const MOVING: &[Binding] = &[
    bind("Up k", &[on(Code::Up), char('k'), ctrl('p')], Intent::Go(Move::By(-1)), "up"),
    bind("Down j", &[on(Code::Down), char('j'), ctrl('n')], Intent::Go(Move::By(1)), "down"),
    bind("PgUp", &[on(Code::PageUp), ctrl('b'), ctrl('u')], Intent::Page(-1), "a page up"),
    bind("PgDn", &[on(Code::PageDown), ctrl('f'), ctrl('d')], Intent::Page(1), "a page down"),
    bind("Home g", &[on(Code::Home), char('g')], Intent::Go(Move::First), "to the first"),
    bind("End G", &[on(Code::End), char('G')], Intent::Go(Move::Last), "to the last"),
];

const OPEN: Binding =
    hint(1, "Enter", &[on(Code::Enter), on(Code::Right), char('l')], Intent::Open, "open");

const LISTS: &[Binding] = &[
    OPEN,
    hint(4, "/", &[char('/')], Intent::Filter, "filter"),
    bind("s", &[char('s')], Intent::Sort, "sort by next column"),
    bind("S", &[char('S')], Intent::Reverse, "sort the other way"),
];

const CONTAINERS: &[Binding] = &[
    hint(2, "c", &[char('c'), on(Code::Insert)], Intent::Do(Deed::Create), "create"),
    bind("v", &[char('v')], Intent::Group, "group: host, owner"),
    bind("Space", &[char(' ')], Intent::Mark, "mark"),
    bind("*", &[char('*'), ctrl('a')], Intent::MarkAll, "mark all"),
];

const CONTAINER: &[Binding] = &[
    hint(3, "r", &[char('r')], Intent::Do(Deed::Resize), "resize"),
    hint(3, "d", &[char('d'), on(Code::Delete)], Intent::Do(Deed::Delete), "delete"),
    hint(5, "e", &[char('e')], Intent::Do(Deed::Shell), "shell"),
    hint(7, "u", &[char('u')], Intent::Do(Deed::Start), "start"),
    hint(7, "o", &[char('o')], Intent::Do(Deed::Stop), "stop"),
    bind("R", &[char('R')], Intent::Do(Deed::Restart), "restart"),
    hint(8, "a", &[char('a')], Intent::Do(Deed::AddCollaborator), "add collaborator"),
    bind("A", &[char('A')], Intent::Do(Deed::RemoveCollaborator), "remove collaborator"),
    hint(9, "n", &[char('n')], Intent::Do(Deed::AddKey), "add key"),
    bind("N", &[char('N')], Intent::Do(Deed::RemoveKey), "remove key"),
    bind("L", &[char('L')], Intent::Logs, "logs"),
];

const HOSTS: &[Binding] = &[
    hint(2, "d", &[char('d')], Intent::Do(Deed::Drain), "drain"),
    hint(2, "u", &[char('u')], Intent::Do(Deed::Resume), "resume"),
];

const WORK: &[Binding] = &[hint(2, "x", &[char('x')], Intent::Halt, "stop it")];

const WORKS: &[Binding] = &[OPEN];

const SESSIONS: &[Binding] = &[
    hint(2, "x", &[char('x'), on(Code::Delete)], Intent::Do(Deed::Kill), "end"),
    hint(2, "p", &[char('p')], Intent::Do(Deed::Watch), "watch, play"),
];

const GUARD: &[Binding] = &[
    hint(2, "x", &[char('x'), on(Code::Delete)], Intent::Do(Deed::Lift), "lift"),
    hint(2, "y", &[char('y')], Intent::Do(Deed::Why), "why"),
];

const FOLLOW: &[Binding] = &[hint(5, "f", &[char('f')], Intent::Follow, "follow")];

/// Keys that belong together, and what they are for.
pub type Group = (&'static str, &'static [Binding]);

const LIST: Group = ("this list", LISTS);
const MOVE: Group = ("moving", MOVING);
const ALWAYS: Group = ("everywhere", ANYWHERE);
const ONE: Group = ("a container", CONTAINER);
const HOST: Group = ("a host", HOSTS);
const NEWEST: Group = ("the newest", FOLLOW);

/// The keys of a place, what is special there first.
#[must_use]
pub fn groups(place: Place) -> &'static [Group] {
    match place {
        Place::Tab(Tab::Containers) => &[LIST, ("containers", CONTAINERS), MOVE, ONE, ALWAYS],
        Place::Tab(Tab::Hosts) => &[LIST, HOST, MOVE, ALWAYS],
        Place::Tab(Tab::Sessions) => &[LIST, ("a session", SESSIONS), MOVE, ALWAYS],
        Place::Tab(Tab::Guard) => &[LIST, ("a source", GUARD), NEWEST, MOVE, ALWAYS],
        Place::Tab(Tab::Ledger) => &[LIST, NEWEST, MOVE, ALWAYS],
        Place::Container => &[ONE, MOVE, ALWAYS],
        Place::Host => &[HOST, MOVE, ALWAYS],
        Place::Page => &[MOVE, ALWAYS],
        Place::Work => &[("this work", WORK), MOVE, ALWAYS],
        Place::Works => &[("work", WORKS), MOVE, ALWAYS],
    }
}

/// The same without their groups.
pub fn bindings(place: Place) -> impl Iterator<Item = &'static Binding> {
    groups(place).iter().flat_map(|(_, bindings)| *bindings)
}

/// A key that is shown at the bottom: as it is written, what it does, and itself.
pub type Shown = (&'static str, &'static str, Option<Key>);

/// Those shown while a filter is typed.
pub const FILTERING: &[Shown] =
    &[("Enter", "keep", Some(on(Code::Enter))), ("Esc", "as before", Some(on(Code::Esc)))];

/// Those shown while a command is typed.
pub const COMMANDING: &[Shown] = &[
    ("Enter", "run", Some(on(Code::Enter))),
    ("Tab", "complete", Some(on(Code::Tab))),
    ("Up", "earlier ones", Some(on(Code::Up))),
    ("Esc", "give up", Some(on(Code::Esc))),
];

/// What a key means at a place.
#[must_use]
pub fn intent(place: Place, key: Key) -> Option<Intent> {
    if let Key { code: Code::Char(digit @ '1'..='5'), ctrl: false, alt: false } = key {
        let at = usize::try_from(u32::from(digit) - u32::from('1')).ok()?;
        return Tab::ALL.get(at).map(|tab| Intent::Show(*tab));
    }
    bindings(place).find(|binding| binding.keys.contains(&key)).map(|binding| binding.intent)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn places() -> impl Iterator<Item = Place> {
        let pages = [Place::Container, Place::Host, Place::Page, Place::Work, Place::Works];
        Tab::ALL.into_iter().map(Place::Tab).chain(pages)
    }

    #[test]
    fn no_key_means_two_things_at_one_place() {
        for place in places() {
            let mut seen = HashSet::new();
            for key in bindings(place).flat_map(|binding| binding.keys) {
                assert!(seen.insert(key), "{key:?} at {place:?}");
            }
        }
    }

    #[test]
    fn leaving_going_back_help_and_commands_work_everywhere() {
        for place in places() {
            for (key, meaning) in [
                (char('q'), Intent::Leave),
                (ctrl('c'), Intent::Leave),
                (on(Code::Esc), Intent::Back),
                (char('?'), Intent::Help),
                (char(':'), Intent::Command),
                (char('3'), Intent::Show(Tab::Sessions)),
            ] {
                assert_eq!(intent(place, key), Some(meaning), "{key:?} at {place:?}");
            }
        }
        assert_eq!(intent(Place::Page, char('9')), None);
    }
}
