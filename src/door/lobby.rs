//! Connections whose clients have not said a word yet, in the order in which they came, and which of
//! them makes room when places are short. What a connection holds is the caller's business.
//!
//! A client that means it speaks at once, so whoever has been silent for longest is the least loss.
//! Nobody makes room who has spoken, or whom the configuration allows.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::registry::Crowded;
use crate::guard::Standing;

/// The silent connections, each with a `T`.
pub(super) struct Lobby<T>(Mutex<Lists<T>>);

struct Lists<T> {
    next: u64,
    silent: HashMap<u64, Silent<T>>,
    /// Strangers' numbers, of whom one makes room for anybody.
    strangers: BTreeSet<u64>,
    /// Those of each source that is not allowed, of whom one makes room for another of it.
    of_source: BTreeSet<(IpAddr, u64)>,
}

struct Silent<T> {
    source: IpAddr,
    held: T,
}

impl<T> Lists<T> {
    fn oldest(&self, crowded: &Crowded) -> Option<u64> {
        match *crowded {
            Crowded::All => self.strangers.first().copied(),
            Crowded::Source(source) => {
                let numbers = self.of_source.range((source, 0)..=(source, u64::MAX));
                numbers.map(|(_, number)| *number).next()
            }
        }
    }

    /// It makes no room any more.
    fn unlist(&mut self, number: u64) {
        if let Some(silent) = self.silent.get(&number) {
            self.of_source.remove(&(silent.source, number));
        }
        self.strangers.remove(&number);
    }
}

impl<T> Default for Lobby<T> {
    fn default() -> Self {
        Self(Mutex::new(Lists {
            next: 0,
            silent: HashMap::new(),
            strangers: BTreeSet::new(),
            of_source: BTreeSet::new(),
        }))
    }
}

impl<T> Lobby<T> {
    /// One comes from `source`, as [`Starting`](super::registry::Starting) names it; its number.
    pub(super) fn enter(&self, source: IpAddr, standing: Standing, held: T) -> u64 {
        let mut lists = self.lock();
        let number = lists.next;
        lists.next += 1;
        lists.silent.insert(number, Silent { source, held });
        match standing {
            Standing::Allowed => {}
            Standing::Known => drop(lists.of_source.insert((source, number))),
            Standing::Stranger => {
                lists.of_source.insert((source, number));
                lists.strangers.insert(number);
            }
        }
        number
    }

    /// It is silent no more. `None`: it had to make room.
    pub(super) fn leave(&self, number: u64) -> Option<T> {
        let mut lists = self.lock();
        lists.unlist(number);
        lists.silent.remove(&number).map(|silent| silent.held)
    }

    /// Takes out the one that has been silent for longest among those that make room. Whether one
    /// has spoken just now is asked once of each.
    pub(super) fn make_room(
        &self,
        crowded: &Crowded,
        has_spoken: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let mut lists = self.lock();
        while let Some(number) = lists.oldest(crowded) {
            lists.unlist(number);
            if !lists.silent.get(&number).is_some_and(|silent| has_spoken(&silent.held)) {
                return lists.silent.remove(&number).map(|silent| silent.held);
            }
        }
        None
    }

    /// How many are silent.
    pub(super) fn len(&self) -> usize {
        self.lock().silent.len()
    }

    fn lock(&self) -> MutexGuard<'_, Lists<T>> {
        // A panic between two statements here leaves a connection that makes no room.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use proptest::prelude::*;
    use tokio::time::advance;

    use super::*;
    use crate::{
        clock,
        command::testing,
        door::{
            accept::room,
            registry::{Registry, Starting},
        },
        guard::{Guard, Knock},
    };

    const PLACES: usize = 128;
    const PER_SOURCE: usize = 32;

    /// A door without sockets.
    struct Door {
        guard: Guard,
        registry: Registry,
        lobby: Lobby<Held>,
        /// Who has spoken and not logged in.
        spoken: Vec<Held>,
        /// Those of them whose word was not heard yet.
        unheard: Vec<u64>,
    }

    struct Held {
        id: u64,
        knock: Knock,
        starting: Starting,
    }

    fn address(n: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + n).to_be_bytes())
    }

    impl Door {
        fn new(allow: &[&str]) -> Self {
            let mut config = crate::config::Config::clone(&testing::config().borrow());
            let parse = |n: &&str| crate::model::source::Network::parse(n).unwrap();
            config.guard.allow = allow.iter().map(parse).collect();
            let config = tokio::sync::watch::channel(config.into()).1;
            Self {
                guard: Guard::new(config, None),
                registry: Registry::default(),
                lobby: Lobby::default(),
                spoken: Vec::new(),
                unheard: Vec::new(),
            }
        }

        /// Somebody connects: her number in the lobby.
        fn connect(&mut self, id: u64, source: IpAddr) -> Option<u64> {
            let spoken = self.registry.starting() - self.lobby.len();
            let mut knock = self.guard.admit(source, spoken, PLACES)?;
            let limits = (PER_SOURCE, knock.places(PLACES));
            let has_spoken = |held: &Held| self.unheard.contains(&held.id);
            let found = room(&self.registry, &self.lobby, source, limits, has_spoken, drop);
            let Some(starting) = found else {
                knock.excuse();
                return None;
            };
            let (source, standing) = (starting.source(), knock.standing());
            Some(self.lobby.enter(source, standing, Held { id, knock, starting }))
        }

        /// Her word is heard.
        fn speak(&mut self, number: u64) -> bool {
            let Some(mut held) = self.lobby.leave(number) else { return false };
            self.unheard.retain(|id| *id != held.id);
            let served = held.knock.is_served(true);
            if served {
                self.spoken.push(held);
            }
            served
        }
    }

    #[test]
    fn who_has_been_silent_for_longest_makes_room_unless_she_has_just_spoken() {
        let lobby = Lobby::default();
        let (a, b) = (address(1), address(2));
        lobby.enter(a, Standing::Allowed, "allowed");
        lobby.enter(a, Standing::Known, "known");
        lobby.enter(b, Standing::Stranger, "first");
        let second = lobby.enter(a, Standing::Stranger, "second");
        lobby.enter(b, Standing::Stranger, "third");
        assert_eq!(lobby.make_room(&Crowded::All, |held| *held == "first"), Some("second"));
        assert_eq!(lobby.leave(second), None);
        assert_eq!(lobby.make_room(&Crowded::Source(a), |_| false), Some("known"));
        assert_eq!(lobby.make_room(&Crowded::Source(a), |_| false), None, "who is allowed stays");
        assert_eq!(lobby.make_room(&Crowded::All, |_| false), Some("third"));
        assert_eq!(lobby.make_room(&Crowded::All, |_| false), None);
        assert_eq!(lobby.len(), 2);
        let lists = lobby.lock();
        assert!(lists.strangers.is_empty() && lists.of_source.is_empty());
    }

    /// L2 in virtual time: 2000 a second from 10,000 addresses, for half a minute, and none speaks.
    #[tokio::test(start_paused = true)]
    async fn a_flood_of_the_silent_keeps_nobody_out_who_speaks() {
        let mut door = Door::new(&[]);
        let (begin, mut tries, mut in_time) = (clock::now(), 0, 0);
        for n in 0..60_000_u32 {
            door.connect(u64::from(n), address(n % 10_000));
            assert!(door.registry.starting() <= PLACES);
            // A new person a second, whose word is there a hundredth of a second after she is.
            if n % 2000 == 1000 {
                tries += 1;
                let number = door.connect(u64::MAX, address(20_000 + n)).expect("a place");
                for n in 0..20 {
                    door.connect(u64::from(n), address(n * 7));
                    advance(Duration::from_micros(500)).await;
                }
                in_time += u32::from(door.speak(number));
                door.spoken.clear();
            }
            advance(Duration::from_micros(500)).await;
        }
        assert!(clock::now() - begin >= Duration::from_secs(30));
        assert_eq!((tries, in_time), (30, 30));
        // Those who are known have their places besides.
        let known = address(1 << 20);
        door.guard.admit(known, 0, PLACES).unwrap().succeeded();
        assert_eq!(door.registry.starting(), PLACES - PLACES / 8);
        assert!(door.connect(0, known).is_some());
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Connect(u32),
        /// Her word is in the kernel, or heard.
        Say(usize),
        Hear(usize),
        LogIn(usize),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            12 => (0..40_u32).prop_map(Step::Connect),
            1 => (0..200_usize).prop_map(Step::Say),
            1 => (0..200_usize).prop_map(Step::Hear),
            1 => (0..100_usize).prop_map(Step::LogIn),
            6 => (0..400_u64).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever happens: so many in all, so many of each source, and only strangers who are
        /// silent make room for others.
        #[test]
        fn the_bounds_hold_and_only_the_silent_make_room(
            steps in prop::collection::vec(step(), 1..1500),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                // The first eight are allowed.
                let mut door = Door::new(&["10.0.0.0/29"]);
                let mut in_lobby: BTreeMap<u64, (u64, u32)> = BTreeMap::new();
                for (id, step) in steps.into_iter().enumerate() {
                    let id = u64::try_from(id).unwrap();
                    let nth = |n: usize, all: &BTreeMap<u64, (u64, u32)>| {
                        all.keys().nth(n % all.len().max(1)).copied()
                    };
                    match step {
                        Step::Connect(who) => {
                            let silent = in_lobby.clone();
                            let number = door.connect(id, address(who));
                            in_lobby.retain(|number, _| door.lobby.lock().silent.contains_key(number));
                            for (number, (id, who)) in silent {
                                let gone = !in_lobby.contains_key(&number);
                                prop_assert!(!gone || (who >= 8 && !door.unheard.contains(&id)));
                            }
                            if let Some(number) = number {
                                in_lobby.insert(number, (id, who));
                            }
                        }
                        Step::Say(n) => {
                            if let Some(number) = nth(n, &in_lobby) {
                                door.unheard.push(in_lobby[&number].0);
                            }
                        }
                        Step::Hear(n) => {
                            if let Some(number) = nth(n, &in_lobby) {
                                in_lobby.remove(&number);
                                door.speak(number);
                            }
                        }
                        Step::LogIn(n) => {
                            if !door.spoken.is_empty() {
                                let at = n % door.spoken.len();
                                door.spoken.swap_remove(at).knock.succeeded();
                            }
                        }
                        Step::Wait(millis) => advance(Duration::from_millis(millis)).await,
                    }
                    prop_assert!(door.registry.starting() <= PLACES);
                    prop_assert_eq!(door.registry.starting(), door.lobby.len() + door.spoken.len());
                    for who in 0..40 {
                        let lists = door.lobby.lock();
                        let silent = lists.silent.values().filter(|s| s.source == address(who));
                        let all = silent.count()
                            + door.spoken.iter().filter(|h| h.starting.source() == address(who)).count();
                        prop_assert!(all <= PER_SOURCE);
                    }
                }
                Ok(())
            })?;
        }
    }
}
