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
    /// On a page that is only read: a host, a command's answer, work under way.
    Page,
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
    /// It is among the few that are always shown.
    pub hint: bool,
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
    Binding { shown, keys, intent, what, hint: false }
}

/// One that is always shown.
const fn hint(
    shown: &'static str,
    keys: &'static [Key],
    intent: Intent,
    what: &'static str,
) -> Binding {
    Binding { shown, keys, intent, what, hint: true }
}

const ANYWHERE: &[Binding] = &[
    hint("?", &[char('?'), on(Code::F(1))], Intent::Help, "keys"),
    hint(":", &[char(':')], Intent::Command, "command"),
    bind("1-5", &[], Intent::Show(Tab::Containers), "go to a screen"),
    bind("Tab", &[on(Code::Tab)], Intent::Turn(1), "next screen"),
    bind("Shift-Tab", &[on(Code::BackTab)], Intent::Turn(-1), "screen before"),
    bind("w", &[char('w')], Intent::Works, "work under way"),
    bind("Ctrl-L", &[ctrl('l')], Intent::Redraw, "draw anew"),
    bind(
        "Esc",
        &[on(Code::Esc), on(Code::Left), char('h'), on(Code::Backspace)],
        Intent::Back,
        "back",
    ),
    hint("q", &[char('q'), ctrl('c')], Intent::Leave, "leave"),
];

const MOVING: &[Binding] = &[
    bind("Up k", &[on(Code::Up), char('k'), ctrl('p')], Intent::Go(Move::By(-1)), "up"),
    bind("Down j", &[on(Code::Down), char('j'), ctrl('n')], Intent::Go(Move::By(1)), "down"),
    bind("PgUp", &[on(Code::PageUp), ctrl('b'), ctrl('u')], Intent::Page(-1), "a page up"),
    bind("PgDn", &[on(Code::PageDown), ctrl('f'), ctrl('d')], Intent::Page(1), "a page down"),
    bind("Home g", &[on(Code::Home), char('g')], Intent::Go(Move::First), "to the first"),
    bind("End G", &[on(Code::End), char('G')], Intent::Go(Move::Last), "to the last"),
];

const LISTS: &[Binding] = &[
    hint("Enter", &[on(Code::Enter), on(Code::Right), char('l')], Intent::Open, "open"),
    hint("/", &[char('/')], Intent::Filter, "filter"),
    bind("s", &[char('s')], Intent::Sort, "sort by the next column"),
    bind("S", &[char('S')], Intent::Reverse, "sort the other way round"),
];

const CONTAINERS: &[Binding] = &[
    hint("c", &[char('c'), on(Code::Insert)], Intent::Do(Deed::Create), "create"),
    bind("v", &[char('v')], Intent::Group, "group by host, owner"),
    bind("Space", &[char(' ')], Intent::Mark, "mark"),
    bind("*", &[char('*'), ctrl('a')], Intent::MarkAll, "mark all"),
];

const CONTAINER: &[Binding] = &[
    hint("r", &[char('r')], Intent::Do(Deed::Resize), "resize"),
    hint("e", &[char('e')], Intent::Do(Deed::Shell), "shell"),
    bind("u", &[char('u')], Intent::Do(Deed::Start), "start"),
    bind("o", &[char('o')], Intent::Do(Deed::Stop), "stop"),
    bind("R", &[char('R')], Intent::Do(Deed::Restart), "restart"),
    hint("d", &[char('d'), on(Code::Delete)], Intent::Do(Deed::Delete), "delete"),
    bind("a", &[char('a')], Intent::Do(Deed::AddCollaborator), "add a collaborator"),
    bind("A", &[char('A')], Intent::Do(Deed::RemoveCollaborator), "remove a collaborator"),
    bind("n", &[char('n')], Intent::Do(Deed::AddKey), "add a key"),
    bind("N", &[char('N')], Intent::Do(Deed::RemoveKey), "remove a key"),
];

const HOSTS: &[Binding] = &[
    hint("d", &[char('d')], Intent::Do(Deed::Drain), "drain"),
    hint("u", &[char('u')], Intent::Do(Deed::Resume), "resume"),
];

const PAGE: &[Binding] = &[bind("x", &[char('x')], Intent::Halt, "stop the work that is shown")];

const SESSIONS: &[Binding] = &[
    hint("x", &[char('x'), on(Code::Delete)], Intent::Do(Deed::Kill), "end"),
    hint("p", &[char('p')], Intent::Do(Deed::Watch), "watch, play"),
];

const GUARD: &[Binding] = &[
    hint("x", &[char('x'), on(Code::Delete)], Intent::Do(Deed::Lift), "lift"),
    hint("y", &[char('y')], Intent::Do(Deed::Why), "why"),
];

/// The table of a place, what is special there first.
pub fn bindings(place: Place) -> impl Iterator<Item = &'static Binding> {
    let parts: &[&'static [Binding]] = match place {
        Place::Tab(Tab::Containers) => &[CONTAINERS, CONTAINER, LISTS, MOVING, ANYWHERE],
        Place::Tab(Tab::Hosts) => &[HOSTS, LISTS, MOVING, ANYWHERE],
        Place::Tab(Tab::Sessions) => &[SESSIONS, LISTS, MOVING, ANYWHERE],
        Place::Tab(Tab::Guard) => &[GUARD, LISTS, MOVING, ANYWHERE],
        Place::Tab(Tab::Ledger) => &[LISTS, MOVING, ANYWHERE],
        Place::Container => &[CONTAINER, MOVING, ANYWHERE],
        Place::Page => &[PAGE, MOVING, ANYWHERE],
    };
    parts.iter().copied().flatten()
}

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
        Tab::ALL.into_iter().map(Place::Tab).chain([Place::Container, Place::Page])
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
