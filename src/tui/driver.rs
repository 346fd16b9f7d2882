//! The one task of somebody's screen: it waits for what happens, lets [`update`] decide, does what
//! follows, and draws when the terminal took the last frame.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    choices::{self, Choices},
    draw::draw,
    facts::{Reader, Sources},
    input::{Decoder, Input},
    pace::{ASK, Pace},
    state::{Facts, State, Words, WorkId},
    surface::{LEAVE, Surface},
    theme::Look,
    update::{Action, Event, enter, update, wanted},
};
use crate::{
    clock::timestamp,
    command::{
        self,
        context::Context,
        terminal::{Feed, Piece, Pty, Size, Terminal},
    },
    fleet::usage::Usage,
    health::Health,
    model::{inventory::Inventory, text::printable},
};

/// How often the time is told, sessions are counted, and what is looked at is asked for again.
const TICK: Duration = Duration::from_secs(1);
const ASK_AGAIN: u64 = 5;

/// Between two readings of a fleet that changes all the time, at least; four times what the last one
/// took, so that keys find the task free; at most.
const SETTLE: Duration = Duration::from_millis(100);
const SETTLE_MOST: Duration = Duration::from_millis(500);

/// What tasks have said and nobody has read yet.
const EVENTS: usize = 64;

/// How long the last answers of a terminal are waited for when it is left: what comes later is taken for
/// something that was typed.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Longest line of work, in characters.
const MAX_STEP: usize = 400;

/// Somebody's screen.
struct Screen<'a> {
    context: &'a Context,
    state: State,
    reader: Reader,
    /// Names of stacks: each is a file, which is read now and then.
    stacks: Vec<String>,
    surface: Surface,
    decoder: Decoder,
    pace: Pace,
    /// What its clock counts from.
    begun: Instant,
    tasks: JoinSet<()>,
    events: mpsc::Sender<Event>,
    stops: Vec<(WorkId, CancellationToken)>,
    asked: Vec<Words>,
    /// What is to be done before anything else happens.
    due: Vec<Action>,
    waits: Waits,
}

/// What a screen waits for.
struct Waits {
    told: mpsc::Receiver<Event>,
    size: watch::Receiver<Size>,
    inventory: watch::Receiver<Arc<Inventory>>,
    health: watch::Receiver<Arc<Health>>,
    ledger: watch::Receiver<i64>,
    /// It is read at each tick; that it is held has it measured.
    usage: watch::Receiver<Arc<Usage>>,
    tick: Interval,
    ticks: u64,
    /// Something has to be drawn.
    dirty: bool,
    /// The ledger has a record that was not asked for yet.
    recorded: bool,
    /// When the fleet is looked at again.
    news: Option<Instant>,
    settle: Duration,
    /// When the start of a sequence is a key by itself.
    escape: Option<Instant>,
}

/// Why a screen is drawn no more.
enum End {
    Left,
    Lent(Words),
}

/// Serves a screen until somebody leaves; it begins with the page of `container`, if there is one. What
/// has to be written at its end is the answer.
pub async fn run(
    context: &Context,
    terminal: &mut Terminal,
    look: Look,
    container: Option<&str>,
) -> String {
    let Some(Pty { size, .. }) = terminal.pty().cloned() else { return String::new() };
    let mut screen = Screen::new(context, size, look);
    screen.learn(true);
    if let Some(name) = container {
        screen.due = enter(&mut screen.state, name);
    }
    loop {
        terminal.make_raw();
        let wished = terminal.interrupted().clone();
        let (input, output) = terminal.split();
        // Nobody but the sentinel, or a signal of the client's, wants that on a raw terminal.
        let end = wished.run_until_cancelled(screen.serve(input, output)).await;
        screen.last_words(input).await;
        match end.unwrap_or(End::Left) {
            End::Left => return LEAVE.to_owned(),
            End::Lent(words) => screen.lend(words, terminal).await,
        }
    }
}

impl<'a> Screen<'a> {
    fn new(context: &'a Context, size: watch::Receiver<Size>, look: Look) -> Self {
        let (events, told) = mpsc::channel(EVENTS);
        let first = *size.borrow();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let waits = Waits {
            told,
            size,
            inventory: context.inventory.clone(),
            health: context.health.clone(),
            ledger: context.ledger.head(),
            usage: context.fleet.usage(),
            tick,
            ticks: 0,
            dirty: true,
            recorded: false,
            news: None,
            settle: SETTLE,
            escape: None,
        };
        Self {
            context,
            state: State::new(first, look, timestamp()),
            reader: Reader::default(),
            stacks: stacks(context),
            surface: Surface::new(first),
            decoder: Decoder::default(),
            pace: Pace::default(),
            begun: now(),
            tasks: JoinSet::new(),
            events,
            stops: Vec::new(),
            asked: Vec::new(),
            due: Vec::new(),
            waits,
        }
    }

    /// Reads what the terminal still answers before somebody else does.
    async fn last_words(&mut self, input: &mut mpsc::Receiver<Bytes>) {
        let end = now() + LAST_WORDS;
        while self.pace.is_waiting()
            && let Ok(Some(bytes)) = timeout_at(end, input.recv()).await
        {
            let inputs = bytes.iter().filter_map(|byte| self.decoder.feed(*byte));
            for _ in inputs.filter(|input| *input == Input::Ready) {
                self.pace.on_answer(self.begun.elapsed());
            }
        }
        self.pace = Pace::default();
    }

    async fn serve(
        &mut self,
        input: &mut mpsc::Receiver<Bytes>,
        output: &mpsc::Sender<Piece>,
    ) -> End {
        loop {
            for action in std::mem::take(&mut self.due) {
                if let Some(end) = self.act(action) {
                    return end;
                }
            }
            let may_draw = self.waits.dirty && self.pace.is_open(self.begun.elapsed());
            let waits = &mut self.waits;
            self.due = tokio::select! {
                biased;
                bytes = input.recv() => match bytes {
                    Some(bytes) => self.typed(&bytes),
                    None => return End::Left,
                },
                () = until(waits.escape) => {
                    waits.escape = None;
                    let input = self.decoder.give_up();
                    input.map_or_else(Vec::new, |input| self.hear(input))
                }
                Ok(()) = waits.size.changed() => {
                    let size = *waits.size.borrow_and_update();
                    self.surface.resize(size);
                    self.happen(Event::Size(size))
                }
                Some(event) = waits.told.recv() => self.happen(event),
                // All places free: the last frame was taken. Before news, so that a key is seen at once
                // while a fleet changes all the time.
                free = output.reserve_many(output.max_capacity()), if may_draw => {
                    let Ok(mut free) = free else { return End::Left };
                    waits.dirty = false;
                    let state = &self.state;
                    let mut frame = self.surface.frame(|buffer| draw(state, buffer));
                    if let (false, Some(place)) = (frame.is_empty(), free.next()) {
                        if self.pace.send(frame.len(), self.begun.elapsed()) {
                            frame.push_str(ASK);
                        }
                        place.send(Piece::Stdout(frame.into()));
                    }
                    Vec::new()
                }
                () = until(waits.news) => {
                    waits.news = None;
                    let begun = now();
                    self.learn(true);
                    self.waits.settle = (begun.elapsed() * 4).clamp(SETTLE, SETTLE_MOST);
                    Vec::new()
                }
                Ok(()) = waits.inventory.changed() => {
                    waits.inventory.mark_unchanged();
                    waits.news = waits.news.or_else(|| Some(now() + waits.settle));
                    Vec::new()
                }
                Ok(()) = waits.health.changed() => {
                    waits.health.mark_unchanged();
                    waits.news = waits.news.or_else(|| Some(now() + waits.settle));
                    Vec::new()
                }
                Ok(()) = waits.ledger.changed() => {
                    waits.ledger.mark_unchanged();
                    waits.recorded = true;
                    Vec::new()
                }
                _ = waits.tick.tick() => self.tick(),
                Some(_) = self.tasks.join_next() => Vec::new(),
            };
        }
    }

    /// A second went by.
    fn tick(&mut self) -> Vec<Action> {
        self.waits.ticks += 1;
        let is_time = self.waits.ticks.is_multiple_of(ASK_AGAIN);
        let is_asked = is_time || std::mem::take(&mut self.waits.recorded);
        if is_time {
            self.stacks = stacks(self.context);
        }
        self.learn(is_time);
        let is_moving = self.is_moving();
        let was_dirty = self.waits.dirty;
        let mut actions = self.happen(Event::Tick(timestamp()));
        self.waits.dirty = was_dirty || is_moving;
        if is_asked {
            actions.extend(wanted(&self.state).into_iter().map(Action::Ask));
        }
        actions
    }

    /// Leaves the terminal to a command.
    async fn lend(&mut self, words: Words, terminal: &mut Terminal) {
        terminal.put(LEAVE).await;
        let result = command::answer(&words, &self.fresh(), terminal).await;
        self.surface = Surface::new(*self.waits.size.borrow_and_update());
        self.state.size = *self.waits.size.borrow();
        self.due = self.happen(Event::Returned(words, result.map(Arc::new)));
        self.learn(true);
    }

    fn typed(&mut self, bytes: &[u8]) -> Vec<Action> {
        let inputs: Vec<Input> = bytes.iter().filter_map(|byte| self.decoder.feed(*byte)).collect();
        self.waits.escape = self.decoder.patience().map(|time| now() + time);
        inputs.into_iter().flat_map(|input| self.hear(input)).collect()
    }

    fn hear(&mut self, input: Input) -> Vec<Action> {
        if input == Input::Ready {
            self.pace.on_answer(self.begun.elapsed());
            return Vec::new();
        }
        self.happen(Event::Input(input))
    }

    fn happen(&mut self, event: Event) -> Vec<Action> {
        match &event {
            Event::Answered(words, _) => self.asked.retain(|asked| asked != words),
            Event::Ended(id, _) => self.stops.retain(|(other, _)| other != id),
            Event::Input(_)
            | Event::Size(_)
            | Event::Tick(_)
            | Event::Facts(_)
            | Event::Said(..)
            | Event::Returned(..) => {}
        }
        self.waits.dirty = true;
        update(&mut self.state, event)
    }

    /// Something on the screen moves by itself.
    fn is_moving(&self) -> bool {
        self.state.remark.is_some() || self.state.works.iter().any(|work| work.end.is_none())
    }

    /// Reads what is known; what takes longer only if `all` is wanted.
    fn learn(&mut self, all: bool) {
        let context = self.fresh();
        let (inventory, health) = (context.snapshot(), Arc::clone(&context.health.borrow()));
        let usage = Arc::clone(&self.waits.usage.borrow());
        let (sessions, bans) = ((context.sessions.live)(), context.guard.entries());
        let sources = Sources {
            inventory: &inventory,
            usage: &usage,
            health: &health,
            sessions: &sessions,
            bans: &bans,
            now: context.now,
        };
        let known = &self.state.facts;
        let (alarms, choices) = if all {
            let alarms = command::alarms(&context);
            let alarms = alarms.iter().map(|alarm| printable(alarm, MAX_STEP)).collect();
            (alarms, choices(&context, &inventory, self.stacks.clone()))
        } else {
            (known.alarms.clone(), known.choices.clone())
        };
        let (rows, about) = self.reader.read(&sources, self.state.look);
        let facts = Facts {
            sentinel: printable(&context.door().host, MAX_STEP),
            person: printable(&context.principal.name, MAX_STEP),
            alarms,
            rows,
            about,
            choices,
        };
        if facts != *self.state.facts {
            let actions = self.happen(Event::Facts(Arc::new(facts)));
            self.due.extend(actions);
        }
    }

    /// Does it; the end of the screen, if that is what it is.
    fn act(&mut self, action: Action) -> Option<End> {
        match action {
            Action::Leave => return Some(End::Left),
            Action::Lend(words) => return Some(End::Lent(words)),
            Action::Redraw => self.surface.resize(self.state.size),
            Action::Ask(words) => self.ask(words),
            Action::Run(id, words) => self.work(id, words),
            Action::Stop(id) => {
                self.stops.iter().filter(|(other, _)| *other == id).for_each(|(_, s)| s.cancel());
            }
        }
        None
    }

    /// One question at a time of each kind.
    fn ask(&mut self, words: Words) {
        if self.asked.contains(&words) {
            return;
        }
        self.asked.push(words.clone());
        let (context, events) = (self.fresh(), self.events.clone());
        self.tasks.spawn(async move {
            let mut terminal = Terminal::unattended();
            let result = command::answer(&words, &context, &mut terminal).await.map(Arc::new);
            // Nobody is there any more: nobody wants to know.
            let _ = events.send(Event::Answered(words, result)).await;
        });
    }

    fn work(&mut self, id: WorkId, words: Words) {
        let (mut terminal, feed) = Terminal::pair(None);
        self.stops.push((id, feed.interrupted.clone()));
        let (context, events) = (self.fresh(), self.events.clone());
        self.tasks.spawn(async move {
            let run = async move {
                let result = command::answer(&words, &context, &mut terminal).await;
                drop(terminal);
                result
            };
            let (result, ()) = tokio::join!(run, follow(id, feed, &events));
            let _ = events.send(Event::Ended(id, result.map(Arc::new))).await;
        });
    }

    fn fresh(&self) -> Context {
        Context { now: timestamp(), ..self.context.clone() }
    }
}

/// Passes on what work says, a line at a time.
async fn follow(id: WorkId, mut feed: Feed, events: &mpsc::Sender<Event>) {
    let mut open = String::new();
    while let Some(Piece::Stdout(bytes) | Piece::Stderr(bytes)) = feed.output.recv().await {
        open.push_str(&String::from_utf8_lossy(&bytes));
        while let Some((line, rest)) = open.split_once('\n') {
            let said = Event::Said(id, printable(line, MAX_STEP));
            open = rest.to_owned();
            if events.send(said).await.is_err() {
                return;
            }
        }
    }
    if !open.is_empty() {
        let _ = events.send(Event::Said(id, printable(&open, MAX_STEP))).await;
    }
}

fn stacks(context: &Context) -> Vec<String> {
    context.stacks().iter().map(|stack| stack.name.to_string()).collect()
}

fn choices(context: &Context, inventory: &Inventory, stacks: Vec<String>) -> Choices {
    let (hosts, emptiest) = choices::hosts(inventory);
    let config = context.config.borrow();
    let create = &config.create;
    let shown = |limit: Option<String>| limit.unwrap_or_else(|| "no limit".to_owned());
    Choices {
        image: create.image.to_string(),
        systems: create.os_types.keys().cloned().collect(),
        stacks,
        limits: [
            shown(create.cpu.map(|limit| limit.to_string())),
            shown(create.memory.map(|size| size.to_string())),
            create.disk.to_string(),
        ],
        hosts,
        emptiest,
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[expect(clippy::disallowed_methods, reason = "driver of the screen")]
fn now() -> Instant {
    Instant::now()
}
