//! What holds for any fleet, any size and whatever is pressed.

use std::num::{NonZero, NonZeroU16};

use proptest::prelude::*;

use super::*;
use crate::{
    command::{
        failure::{Failure, Kind},
        report::{Field, Part, Report, Table},
    },
    fleet::usage::{POINTS, Point, Use},
    model::{image::ImageName, text::printable},
    tui::{
        choices::Host,
        facts::About,
        input::{Act, Mouse},
        keymap::Tab,
        layout::{columns, widths},
        shared::Shared,
        state::Dialogue,
        surface::LEAVE,
        table::{Need, Row, Value},
        theme::Role,
        uses::Used,
    },
};

/// Text as strangers choose it: what steers terminals, what is wide, what cannot be seen.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z0-9.-]{1,20}",
        1 => Just(String::new()),
        1 => Just("\x1b[2J\x1b]0;title\x07\x1bP+q\x1b\\".to_owned()),
        1 => Just("\u{202e}olleh\u{2066}\u{200b}\u{feff}\u{9b}31m\r\n\t\u{0}".to_owned()),
        1 => Just("日本語コンテナ🦀👩‍👩‍👧e\u{301}\u{301}ﷺ".to_owned()),
        1 => Just("x".repeat(10_000)),
        1 => Just("漢".repeat(3_400)),
        // But for what we draw with ourselves.
        1 => "[^\u{2500}-\u{25ff}]{0,30}",
    ]
}

/// A cell as facts make it, or as nobody should: not made printable.
fn value() -> impl Strategy<Value = Value> {
    let share = prop::option::of(-1.0_f32..2.0);
    let texts = (hostile(), prop::option::of(hostile()));
    (texts, share, 0..9_usize, any::<bool>()).prop_map(|((text, short), share, role, is_clean)| {
        let text = if is_clean { printable(&text, 100) } else { text };
        let value = Value { short, ..Value::new(text, Role::ALL[role]) };
        share.map_or(value.clone(), |share| value.share(share))
    })
}

/// A row; some have fewer cells than there are columns.
fn row(cells: usize) -> impl Strategy<Value = Row> {
    (hostile(), prop::collection::vec(value(), cells.saturating_sub(2)..=cells))
        .prop_map(|(id, cells)| Row::new(id, cells))
}

fn rows(tab: Tab) -> impl Strategy<Value = Shared<Row>> {
    prop::collection::vec(row(columns(tab).len()), 0..12).prop_map(Shared::from)
}

fn hosts() -> impl Strategy<Value = Vec<Host>> {
    let share = prop::option::of((any::<u64>(), any::<u64>()));
    let host = (hostile(), prop::option::of(any::<u64>()), share, prop::option::of(hostile()));
    let host = host.prop_map(|(name, cpus, memory, obstacle)| Host {
        name,
        cpus,
        memory,
        disk: memory,
        obstacle,
    });
    prop::collection::vec(host, 0..4)
}

/// What is known of containers beyond their rows; percents beyond a hundred, too.
fn about(containers: &[Arc<Row>], sessions: &[Arc<Row>], limit: &str) -> Shared<About> {
    let sessions: Vec<_> = sessions.iter().map(|row| row.id.clone()).collect();
    let point = |i: usize| Point { cpu: u8::try_from(i * 9).ok(), memory: u8::MAX };
    let last = Use {
        cpu: Some(u8::MAX),
        memory: Some((u64::MAX, 0)),
        disk: Some((1, None)),
        history: (0..POINTS).map(point).collect(),
    };
    let limits = [Some(limit.to_owned()), None, Some(limit.to_owned())];
    let used = Used { last: Some(Arc::new(last)), is_old: false, limits };
    let about = |row: &Arc<Row>| About {
        name: row.id.clone(),
        used: used.clone(),
        sessions: sessions.clone(),
    };
    containers.iter().map(|row| Arc::new(about(row))).collect()
}

fn facts() -> impl Strategy<Value = Facts> {
    let rows = (
        rows(Tab::Containers),
        rows(Tab::Hosts),
        rows(Tab::Sessions),
        rows(Tab::Guard),
        rows(Tab::Ledger),
    );
    let rest = (
        hostile(),
        hostile(),
        prop::collection::vec(hostile(), 0..3),
        prop::collection::vec(hostile(), 0..30),
        hosts(),
    );
    (rows, rest).prop_map(|((c, h, s, g, l), (sentinel, image, alarms, stacks, hosts))| Facts {
        about: about(&c, &s, &image),
        sentinel,
        person: image.clone(),
        alarms,
        rows: Tab::ALL.into_iter().zip([c, h, s, g, l]).collect(),
        choices: Choices {
            image,
            systems: stacks.clone(),
            stacks,
            emptiest: hosts.first().map(|host| host.name.clone()),
            hosts,
            ..Choices::default()
        },
    })
}

fn size() -> impl Strategy<Value = Size> {
    let usual =
        prop::sample::select(&[(80, 24), (40, 8), (120, 40), (200, 60), (1, 1), (500, 500)][..]);
    prop_oneof![4 => usual, 2 => (30..120_u16, 5..30_u16), 1 => (1..501_u16, 1..501_u16)]
        .prop_map(|(columns, rows)| Size { columns, rows })
}

fn key() -> impl Strategy<Value = Key> {
    let named = prop::sample::select(
        &[
            Code::Enter,
            Code::Tab,
            Code::BackTab,
            Code::Backspace,
            Code::Esc,
            Code::Up,
            Code::Down,
            Code::Left,
            Code::Right,
            Code::Home,
            Code::End,
            Code::PageUp,
            Code::PageDown,
            Code::Insert,
            Code::Delete,
            Code::F(1),
        ][..],
    );
    let letter = prop::char::range(' ', '~').prop_map(Code::Char);
    let code = prop_oneof![5 => named, 6 => letter, 1 => Just(Code::Char('漢'))];
    (code, prop::bool::weighted(0.1), prop::bool::weighted(0.05))
        .prop_map(|(code, ctrl, alt)| Key { code, ctrl, alt })
}

fn input() -> impl Strategy<Value = Input> {
    let act = prop::sample::select(
        &[Act::Press, Act::Press, Act::Release, Act::Drag, Act::WheelUp, Act::WheelDown][..],
    );
    let mouse = (act, prop_oneof![0..90_u16, any::<u16>()], prop_oneof![0..30_u16, any::<u16>()]);
    prop_oneof![
        8 => key().prop_map(Input::Key),
        3 => mouse.prop_map(|(act, column, row)| Input::Mouse(Mouse { act, column, row })),
        1 => hostile().prop_map(Input::Paste),
    ]
}

/// What the sentinel says when it is asked.
fn said() -> impl Strategy<Value = Result<Arc<Report>, Failure>> {
    let words = prop::collection::vec(hostile(), 0..4);
    (words, any::<bool>(), any::<u64>(), any::<bool>()).prop_map(|(words, is_well, n, records)| {
        let first = words.first().cloned().unwrap_or_default();
        if !is_well {
            return Err(Failure::new(Kind::Failed, first.clone()).hint(first));
        }
        let table = Table { columns: &["A", "B"], rows: vec![vec![first.clone(), first.clone()]] };
        let fields = vec![Field { label: "Name", values: words.clone() }];
        let json = serde_json::json!({
            "cpu": first, "memory": first, "disk": "1GiB", "backend": first,
            "live": {"memory_bytes": n, "disk_bytes": n},
            "keys": [{"fingerprint": first}], "collaborators": first,
            "default": {"image": words.last(), "backends": words},
            "images": words.iter().map(|word| serde_json::json!({
                "image": word, "os": first, "description": first, "size_bytes": n, "backends": [first],
            })).collect::<Vec<_>>(),
            "systems": [{"name": first, "image": first, "backends": words}],
            "silent": [{"backend": words.last()}],
        });
        let record = serde_json::json!([{
            "id": n, "at": first, "source": first, "key": first,
            "detail": {"login": first, "client": first, "attempts": n, first.clone(): first},
        }]);
        let json = if records { record } else { json };
        let report = Report { json, names: vec![first.clone()], ..Report::default() };
        let report = report.part(Part::Table(table)).part(Part::Fields(fields));
        Ok(Arc::new(report.part(Part::Text(words.join("\n"))).note(first)))
    })
}

#[derive(Debug, Clone)]
enum Step {
    Event(Event),
    /// Everything that is due is answered.
    Answer(Result<Arc<Report>, Failure>),
    Draw,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => input().prop_map(|input| Step::Event(Event::Input(input))),
        1 => size().prop_map(|size| Step::Event(Event::Size(size))),
        1 => facts().prop_map(|facts| Step::Event(Event::Facts(Arc::new(facts)))),
        1 => (0..20_i64).prop_map(|s| {
            Step::Event(Event::Tick(fleet::now() + jiff::SignedDuration::from_secs(s)))
        }),
        1 => (1..4_u64, hostile()).prop_map(|(id, said)| Step::Event(Event::Said(id, said))),
        1 => (1..4_u64, said()).prop_map(|(id, said)| Step::Event(Event::Ended(id, said))),
        3 => said().prop_map(Step::Answer),
        4 => Just(Step::Draw),
    ]
}

/// The terminal of somebody who is not to be trusted with what she is shown.
struct Judge {
    screen: vt100::Parser,
}

impl Judge {
    /// Takes a frame; says what is not to be in it.
    fn take(&mut self, frame: &str) -> Result<(), String> {
        let mut rest = frame;
        while let Some(at) = rest.find(|c: char| c.is_control()) {
            rest = &rest[at..];
            let Some(sequence) = rest.strip_prefix("\x1b[") else {
                return Err(format!("{:?} in {frame:?}", &rest[..1]));
            };
            let end = sequence.find(|c: char| !matches!(c, '0'..='9' | ';' | '?'));
            let known = end.map(|end| (&sequence[..end], &sequence[end..=end]));
            match known {
                Some((numbers, "H" | "C" | "J" | "m")) if !numbers.contains('?') => {}
                Some(("?1049" | "?7" | "?1002" | "?1006" | "?2004" | "?25", "h" | "l")) => {}
                other => return Err(format!("{other:?} in {frame:?}")),
            }
            rest = sequence;
        }
        self.screen.process(frame.as_bytes());
        Ok(())
    }

    /// The first line that is seen otherwise than it was drawn, of those without characters that
    /// terminals do not agree on.
    fn differs(&self, person: &Person) -> Option<(String, String)> {
        let mut buffer = Buffer::empty(person.surface.area());
        draw(&person.state, &mut buffer);
        let width = buffer.area.width;
        let seen = self.screen.screen().rows(0, width);
        let is_plain =
            |line: &String| line.chars().all(|c| matches!(c, ' '..='~' | '\u{2500}'..='\u{25ff}'));
        let drawn = lines(&buffer).into_iter();
        let drawn = drawn.zip(seen.map(|line| line.trim_end().to_owned()));
        drawn.filter(|(drawn, _)| is_plain(drawn)).find(|(drawn, seen)| drawn != seen)
    }
}

impl Person {
    /// In the form for a new container, at the field for an image, which is told some.
    fn at_image(&mut self, images: Result<Arc<Report>, Failure>) {
        self.keys("c");
        self.take(Step::Answer(images));
        self.keys("\t\t\t\t\t");
    }

    fn resize(&mut self, size: Size) {
        self.surface.resize(size);
        self.see(Event::Size(size));
    }

    fn frame(&mut self) -> String {
        let state = &self.state;
        self.surface.frame(|buffer| draw(state, buffer))
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Event(Event::Size(size)) => self.resize(size),
            Step::Event(event) => self.see(event),
            Step::Answer(said) => {
                for action in std::mem::take(&mut self.due) {
                    if let Action::Ask(words) = action {
                        self.see(Event::Answered(words, said.clone()));
                    }
                }
            }
            Step::Draw => {}
        }
    }
}

fn look() -> impl Strategy<Value = Look> {
    (any::<bool>(), any::<bool>()).prop_map(|(colour, ascii)| Look { colour, ascii })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Nothing panics, nothing hurts, and what was drawn is what is seen.
    #[test]
    fn whatever_happens_is_drawn_and_harmless(
        look in look(), first in size(), facts in facts(), images in prop::option::of(said()),
        steps in prop::collection::vec(step(), 0..30),
    ) {
        let mut person = Person::new(first, look);
        person.see(Event::Facts(Arc::new(facts)));
        if let Some(images) = images {
            person.at_image(images);
        }
        let mut judge = Judge { screen: vt100::Parser::new(NonZeroU16::MIN, NonZeroU16::MIN, 0) };
        for step in std::iter::once(Step::Draw).chain(steps) {
            person.take(step);
            let Size { columns, rows } = person.state.size;
            let [columns, rows] = [columns, rows].map(|n| NonZero::new(n).unwrap());
            if judge.screen.screen().size() != (rows, columns) {
                judge.screen.screen_mut().set_size(rows, columns);
            }
            let frame = person.frame();
            prop_assert_eq!(judge.take(&frame), Ok(()));
            prop_assert_eq!(judge.differs(&person), None);
            if look.ascii {
                let art = frame.chars().find(|c| ('\u{2500}'..='\u{25ff}').contains(c));
                prop_assert_eq!(art, None, "{:?}", frame);
            }
        }
        judge.screen.process(LEAVE.as_bytes());
        let left = judge.screen.screen();
        prop_assert!(!left.alternate_screen() && !left.hide_cursor() && !left.bracketed_paste());
    }

    /// Ctrl-C leaves from everywhere; Esc leads back to the first screen, and from there `q` leaves.
    #[test]
    fn one_cannot_get_lost(
        first in size(), facts in facts(), steps in prop::collection::vec(step(), 0..30),
    ) {
        let mut person = Person::new(first, UNICODE);
        person.see(Event::Facts(Arc::new(facts)));
        for step in steps {
            person.take(step);
        }
        let leaves = Key { code: Code::Char('c'), ctrl: true, alt: false };
        let mut state = person.state.clone();
        let due = update(&mut state, Event::Input(Input::Key(leaves)));
        prop_assert_eq!(&due, &[Action::Leave]);
        let depth = person.state.pages.len();
        // A question, a line that is typed, each page, marks, a filter, and the screen.
        for _ in 0..depth + 5 {
            person.press(Code::Esc);
        }
        let State { tab, pages, dialogue, prompt, .. } = &person.state;
        prop_assert_eq!((*tab, pages.len()), (Tab::Containers, 0));
        prop_assert!(dialogue.is_none() && prompt.is_none());
        person.keys("q");
        prop_assert_eq!(&person.due, &[Action::Leave]);
    }
}

proptest! {
    /// Whatever hosts say of images, the field gives the command one image at most, whole and in a word
    /// of its own.
    #[test]
    fn an_image_that_is_chosen_is_one_that_the_command_takes(
        facts in facts(), told in prop::collection::vec(said(), 1..4),
        keys in prop::collection::vec(key(), 0..12),
    ) {
        let mut person = Person::new(SMALL, UNICODE);
        person.see(Event::Facts(Arc::new(facts)));
        for images in told {
            person.press(Code::Esc);
            person.at_image(images);
            for key in &keys {
                person.see(Event::Input(Input::Key(*key)));
            }
            let Some(Dialogue::Form(form)) = &person.state.dialogue else { continue };
            let words = form.words();
            let given: Vec<_> = words.iter().filter_map(|w| w.strip_prefix("--image=")).collect();
            prop_assert!(given.len() <= 1, "{:?}", words);
            let field = form.fields.iter().find(|field| field.option == Some("image"));
            let is_right = field.is_some_and(|field| field.check().is_ok());
            for image in given.into_iter().filter(|_| is_right) {
                prop_assert!(image.parse::<ImageName>().is_ok(), "{:?}", image);
                prop_assert!(!words.iter().any(|word| word.starts_with("--os-type")), "{:?}", words);
            }
        }
    }

    /// Columns stand one after the other, however much room there is and whatever is in them.
    #[test]
    fn columns_neither_overlap_nor_leave_the_screen(
        tab in prop::sample::select(&Tab::ALL[..]), width in 40..520_u16,
        needs in prop::collection::vec((any::<u16>(), any::<u16>(), any::<bool>()), 0..12),
    ) {
        let need = |(text, short, bar)| Need { text, short, bar };
        let needs: Vec<_> = needs.into_iter().map(need).collect();
        let mut free = 0;
        let placed = widths(columns(tab), width, &needs);
        prop_assert!(placed[0].is_some(), "the name is always seen");
        for (x, cells) in placed.into_iter().flatten() {
            prop_assert!(x >= free && x + cells <= width && cells > 0, "{} {} {}", free, x, cells);
            free = x + cells + 1;
        }
    }
}

#[test]
fn of_many_containers_only_those_in_sight_are_drawn_and_moving_writes_little() {
    let mut person = Person::new(SMALL, UNICODE);
    let facts = Facts { rows: fleet::rows(2000), ..Facts::default() };
    person.see(Event::Facts(Arc::new(facts)));
    let all = person.frame();
    assert!(all.len() < 8 * 1024, "{} bytes", all.len());
    person.keys("j");
    let moved = person.frame();
    assert!(moved.len() < 700, "{} bytes: {moved:?}", moved.len());
    assert_eq!(person.frame(), "");
    person.keys("G");
    assert!(person.reads("box-1999"));
}
