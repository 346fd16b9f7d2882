//! Where a new container goes: to the emptiest backend of its pool, by free memory and disk. Pure:
//! what is known of the backends, and what is on its way to them, are arguments.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::{
    container::Container,
    cpu::CpuLimit,
    inventory::{Backend, Inventory, Presence},
    name::{BackendName, PoolName},
    size::Size,
};

/// What a new container will use, in bytes, until it is measured: a system with its daemons.
const NEW_MEMORY: u64 = 256 << 20;
const NEW_DISK: u64 = 1 << 30;

/// A disk with less than this free, in bytes, is full: an image and some packages need as much.
const MIN_DISK: u64 = 2 << 30;

/// What is asked of the place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// This backend and no other.
    pub backend: Option<BackendName>,
    /// One of this pool.
    pub pool: Option<PoolName>,
    /// It has these processors.
    pub cpu: Option<CpuLimit>,
    /// It has so much memory installed.
    pub memory: Option<Size>,
    /// Its disk has so much in all.
    pub disk: Option<Size>,
}

/// Why there is no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// The sentinel has no backends.
    #[error("there are no backends")]
    None,
    /// There is no backend of that name.
    #[error("no backend named \"{0}\"")]
    NoBackend(BackendName),
    /// There is no backend in that pool.
    #[error("no backend is in pool \"{0}\"")]
    NoPool(PoolName),
    /// The backend is in another pool.
    #[error("backend {0} is in pool {1}")]
    OtherPool(BackendName, PoolName),
    /// No backend that is meant can be used now; each with its reason.
    #[error("no backend can take it: {0}")]
    Unavailable(String),
    /// No backend that is meant has as many processors; the most that one has.
    #[error("{wanted} processors are more than there are: {name} has {has}")]
    Cpu {
        /// How many were asked for.
        wanted: u64,
        /// The backend that has the most.
        name: BackendName,
        /// How many it has.
        has: u64,
    },
    /// No backend that is meant has as much memory.
    #[error("{wanted} of memory are more than there is: {name} has {has} bytes")]
    Memory {
        /// How much was asked for.
        wanted: Size,
        /// The backend that has the most.
        name: BackendName,
        /// How much it has, in bytes.
        has: u64,
    },
    /// No backend that is meant has as large a disk.
    #[error("a disk of {wanted} is larger than any: that of {name} has {has} bytes")]
    Disk {
        /// How much was asked for.
        wanted: Size,
        /// The backend that has the most.
        name: BackendName,
        /// How much it has, in bytes.
        has: u64,
    },
}

/// The backends that can take it, the emptiest first; never an empty list. `pending` counts the
/// containers that are on their way to each.
///
/// # Errors
/// None can.
pub fn place(
    inventory: &Inventory,
    pending: &BTreeMap<BackendName, u64>,
    wish: &Wish,
) -> Result<Vec<BackendName>, PlacementError> {
    let meant = meant(inventory, wish)?;
    let (ready, refused): (Vec<_>, Vec<_>) =
        meant.into_iter().map(|b| (b, obstacle(b, wish))).partition(|(_, why)| why.is_none());
    let ready: Vec<_> = ready.into_iter().map(|(backend, _)| backend).collect();
    if ready.is_empty() {
        let reasons =
            refused.into_iter().filter_map(|(b, why)| Some(format!("{} {}", b.name, why?)));
        return Err(PlacementError::Unavailable(reasons.collect::<Vec<_>>().join(", ")));
    }
    let mut large = large_enough(ready, wish)?;
    // A stable sort: of equals the first in the configuration.
    large.sort_by_key(|b| std::cmp::Reverse(room(b, pending.get(&b.name).copied().unwrap_or(0))));
    Ok(large.into_iter().map(|b| b.name.clone()).collect())
}

/// The backends that the words mean, whatever state they are in.
fn meant<'a>(inventory: &'a Inventory, wish: &Wish) -> Result<Vec<&'a Backend>, PlacementError> {
    let all = || inventory.backends.iter().map(|b| &**b);
    if let Some(name) = &wish.backend {
        let found = all().find(|b| b.name == *name);
        let backend = found.ok_or_else(|| PlacementError::NoBackend(name.clone()))?;
        return match &wish.pool {
            Some(pool) if *pool != backend.pool => {
                Err(PlacementError::OtherPool(name.clone(), backend.pool.clone()))
            }
            Some(_) | None => Ok(vec![backend]),
        };
    }
    let meant: Vec<_> =
        all().filter(|b| wish.pool.as_ref().is_none_or(|pool| *pool == b.pool)).collect();
    match (&wish.pool, meant.is_empty()) {
        (Some(pool), true) => Err(PlacementError::NoPool(pool.clone())),
        (None, true) => Err(PlacementError::None),
        (_, false) => Ok(meant),
    }
}

/// Why nothing can be placed on a backend now. One that is named takes what its disk takes.
fn obstacle(backend: &Backend, wish: &Wish) -> Option<String> {
    match &backend.presence {
        Presence::Up { .. } => {}
        Presence::Unknown => return Some("has not been heard of yet".to_owned()),
        Presence::Away { reason, .. } => return Some(format!("is away ({reason})")),
    }
    if backend.drained {
        return Some("is drained".to_owned());
    }
    let full = backend.disk.is_some_and(|disk| free(disk) < MIN_DISK);
    (full && wish.backend.is_none()).then(|| "has no disk left".to_owned())
}

fn large_enough<'a>(
    ready: Vec<&'a Backend>,
    wish: &Wish,
) -> Result<Vec<&'a Backend>, PlacementError> {
    let needed = wish.cpu.map_or(0, CpuLimit::needed);
    // What is not known yet is no reason to refuse.
    let enough = |b: &&Backend| b.cpus.is_none_or(|has| needed <= has);
    let (large, small): (Vec<_>, Vec<_>) = ready.into_iter().partition(enough);
    if let (true, Some(most)) = (large.is_empty(), small.iter().max_by_key(|b| b.cpus)) {
        let (name, has) = (most.name.clone(), most.cpus.unwrap_or(0));
        return Err(PlacementError::Cpu { wanted: needed, name, has });
    }
    let large = with_at_least(large, wish.memory, |b| b.memory)
        .map_err(|(wanted, name, has)| PlacementError::Memory { wanted, name, has })?;
    with_at_least(large, wish.disk, |b| b.disk)
        .map_err(|(wanted, name, has)| PlacementError::Disk { wanted, name, has })
}

/// The backends that have so much in all; else which one has the most, and how much.
fn with_at_least(
    backends: Vec<&Backend>,
    wanted: Option<Size>,
    space: impl Fn(&Backend) -> Option<(u64, u64)>,
) -> Result<Vec<&Backend>, (Size, BackendName, u64)> {
    let Some(wanted) = wanted else { return Ok(backends) };
    let total = |b: &Backend| space(b).map(|(_, total)| total);
    let enough = |b: &&Backend| total(b).is_none_or(|total| wanted.bytes() <= total);
    let (large, small): (Vec<_>, Vec<_>) = backends.into_iter().partition(enough);
    match (large.is_empty(), small.iter().max_by_key(|b| total(b))) {
        (true, Some(most)) => Err((wanted, most.name.clone(), total(most).unwrap_or(0))),
        (true, None) | (false, _) => Ok(large),
    }
}

/// How empty a backend is: the smaller of its free shares of memory and disk, in thousandths, and
/// then how few containers it has. What is not known counts as half full.
fn room(backend: &Backend, pending: u64) -> (u64, std::cmp::Reverse<u64>) {
    // What was made since memory and disk were read is not in the numbers yet.
    let unmeasured = backend.containers.iter().filter(|c| is_new(c, backend.refreshed)).count();
    let coming = pending.saturating_add(unmeasured as u64);
    let share = |space: Option<(u64, u64)>, each: u64| {
        let Some(space) = space.filter(|(_, total)| *total > 0) else { return 500 };
        let free = free(space).saturating_sub(coming.saturating_mul(each));
        u64::try_from(u128::from(free) * 1000 / u128::from(space.1)).unwrap_or(1000)
    };
    let share = share(backend.memory, NEW_MEMORY).min(share(backend.disk, NEW_DISK));
    (share, std::cmp::Reverse(backend.containers.len() as u64 + pending))
}

fn is_new(container: &Container, refreshed: Option<Timestamp>) -> bool {
    let created = container.label("created-at").and_then(|at| at.parse::<Timestamp>().ok());
    created.is_some_and(|created| refreshed.is_none_or(|refreshed| created > refreshed))
}

fn free((used, total): (u64, u64)) -> u64 {
    total.saturating_sub(used)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fleet::tests::container;

    const GIB: u64 = 1 << 30;

    /// A backend of 4 processors, 16 GiB of memory and 100 GiB of disk, of which so much is used.
    fn backend(name: &str, memory: u64, disk: u64) -> Backend {
        Backend {
            name: name.parse().unwrap(),
            pool: "default".parse().unwrap(),
            presence: Presence::Up { since: at(0) },
            refreshed: Some(at(0)),
            version: None,
            cpus: Some(4),
            memory: Some((memory * GIB, 16 * GIB)),
            disk: Some((disk * GIB, 100 * GIB)),
            drained: false,
            unfinished: Vec::new(),
            containers: Vec::new(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn placed(backends: &[Backend], wish: &Wish) -> Result<Vec<String>, PlacementError> {
        placed_with(backends, &BTreeMap::new(), wish)
    }

    fn placed_with(
        backends: &[Backend],
        pending: &BTreeMap<BackendName, u64>,
        wish: &Wish,
    ) -> Result<Vec<String>, PlacementError> {
        let inventory = Inventory::new(backends.iter().cloned().map(Arc::new).collect());
        place(&inventory, pending, wish)
            .map(|names| names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_emptiest_comes_first_by_what_is_scarcest() {
        let backends = [backend("a", 8, 10), backend("b", 2, 90), backend("c", 4, 20)];
        assert_eq!(placed(&backends, &Wish::default()).unwrap(), ["c", "a", "b"]);
        let unknown = Backend { memory: None, disk: None, ..backend("d", 0, 0) };
        let backends = [backend("full", 15, 10), unknown, backend("empty", 1, 1)];
        assert_eq!(placed(&backends, &Wish::default()).unwrap(), ["empty", "d", "full"]);
    }

    #[test]
    fn twenty_at_once_are_spread() {
        let backends = [backend("a", 2, 10), backend("b", 2, 10)];
        let mut pending = BTreeMap::new();
        for _ in 0..20 {
            let first = placed_with(&backends, &pending, &Wish::default()).unwrap().swap_remove(0);
            *pending.entry(first.parse().unwrap()).or_insert(0) += 1;
        }
        assert_eq!(pending.values().copied().collect::<Vec<_>>(), [10, 10]);
    }

    #[test]
    fn what_was_made_since_the_last_measurement_counts() {
        let mut busy = backend("a", 2, 10);
        for i in 0..8 {
            let mut new = container(&format!("c{i}"), "a");
            let label = "user.containarium.created-at".to_owned();
            new.config.insert(label, at(i).to_string());
            busy.containers.push(Arc::new(new));
        }
        let backends = [busy.clone(), backend("b", 3, 10)];
        assert_eq!(placed(&backends, &Wish::default()).unwrap(), ["b", "a"]);
        busy.refreshed = Some(at(60));
        let backends = [busy, backend("b", 3, 10)];
        assert_eq!(placed(&backends, &Wish::default()).unwrap(), ["a", "b"]);
    }

    #[test]
    fn what_is_away_drained_or_full_takes_nothing_and_says_so() {
        let away = Presence::Away { since: at(0), reason: "no route".to_owned() };
        let away = Backend { presence: away, ..backend("a", 0, 0) };
        let drained = Backend { drained: true, ..backend("b", 0, 0) };
        let full = backend("c", 0, 99);
        let all = [away, drained, full.clone(), backend("d", 15, 90)];
        assert_eq!(placed(&all, &Wish::default()).unwrap(), ["d"]);
        let why = placed(&all[..3], &Wish::default()).unwrap_err().to_string();
        let expected = "no backend can take it: a is away (no route), b is drained, \
                        c has no disk left";
        assert_eq!(why, expected);
        let on = |name: &str| Wish { backend: Some(name.parse().unwrap()), ..Wish::default() };
        assert_eq!(placed(&all, &on("c")).unwrap(), ["c"], "whoever names it may know better");
        assert!(placed(&all, &on("b")).is_err());
    }

    #[test]
    fn backend_and_pool_are_those_that_are_named() {
        let gpu = Backend { pool: "gpu".parse().unwrap(), ..backend("g", 15, 90) };
        let all = [backend("a", 0, 0), gpu];
        let wish = |backend: Option<&str>, pool: Option<&str>| Wish {
            backend: backend.map(|b| b.parse().unwrap()),
            pool: pool.map(|p| p.parse().unwrap()),
            ..Wish::default()
        };
        assert_eq!(placed(&all, &wish(None, Some("gpu"))).unwrap(), ["g"]);
        assert_eq!(placed(&all, &wish(Some("g"), Some("gpu"))).unwrap(), ["g"]);
        for (asked, why) in [
            (wish(Some("g"), Some("default")), "backend g is in pool gpu"),
            (wish(Some("x"), None), "no backend named \"x\""),
            (wish(None, Some("x")), "no backend is in pool \"x\""),
        ] {
            assert_eq!(placed(&all, &asked).unwrap_err().to_string(), why);
        }
        assert_eq!(placed(&[], &Wish::default()), Err(PlacementError::None));
    }

    #[test]
    fn more_than_a_host_has_is_refused_with_the_number() {
        let large = Backend { cpus: Some(8), ..backend("b", 15, 90) };
        let all = [backend("a", 0, 0), large];
        let cpu = |text: &str| Wish { cpu: Some(text.parse().unwrap()), ..Wish::default() };
        assert_eq!(placed(&all, &cpu("4")).unwrap(), ["a", "b"]);
        assert_eq!(placed(&all, &cpu("0-7")).unwrap(), ["b"]);
        let why = placed(&all, &cpu("8-8")).unwrap_err().to_string();
        assert_eq!(why, "9 processors are more than there are: b has 8");
        let memory = |text: &str| Wish { memory: Some(text.parse().unwrap()), ..Wish::default() };
        assert_eq!(placed(&all, &memory("16GiB")).unwrap(), ["a", "b"]);
        assert!(matches!(placed(&all, &memory("17GiB")), Err(PlacementError::Memory { .. })));
        let disk = |text: &str| Wish { disk: Some(text.parse().unwrap()), ..Wish::default() };
        assert_eq!(placed(&all, &disk("100GiB")).unwrap(), ["a", "b"]);
        assert!(matches!(placed(&all, &disk("101GiB")), Err(PlacementError::Disk { .. })));
        let unknown = [Backend { cpus: None, memory: None, ..backend("a", 0, 0) }];
        assert_eq!(placed(&unknown, &cpu("99")).unwrap(), ["a"]);
    }
}
