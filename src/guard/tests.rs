//! The guard as the door meets it, with the timers' clock.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{advance, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::*;
use crate::{
    audit::Ledger,
    command::testing,
    config::Config,
    store::ledger::{Filter, Reader},
    web::Web,
    webhook::Sender,
};

const HOUR: Duration = Duration::from_secs(3600);

fn bad() -> IpAddr {
    "192.0.2.7".parse().unwrap()
}

fn config(change: impl Fn(&mut Config)) -> watch::Receiver<Arc<Config>> {
    let mut config = Config::clone(&testing::config().borrow());
    change(&mut config);
    watch::channel(Arc::new(config)).1
}

fn knock(guard: &Guard) -> Knock {
    guard.admit(bad(), 0, 128).expect("it is let in")
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_one_failure_whatever_it_did() {
    let guard = Guard::new(config(|_| {}), None);
    let failures = || guard.account(bad()).failures;
    let mut agent = knock(&guard);
    agent.asked();
    (0..12).for_each(|_| agent.refused());
    assert_eq!(agent.counts(), "failure");
    drop(agent);
    assert_eq!(failures(), 1, "twelve wrong keys");
    let mut agent = knock(&guard);
    agent.asked();
    (0..11).for_each(|_| agent.refused());
    agent.offered();
    agent.succeeded();
    assert_eq!(failures(), 0, "the twelfth is right, and forgives the other");
    let mut cancelled = knock(&guard);
    cancelled.asked();
    cancelled.offered();
    assert_eq!(cancelled.counts(), "bare");
    drop(cancelled);
    drop(knock(&guard));
    let mut ended = knock(&guard);
    ended.refused();
    ended.excuse();
    drop(ended);
    assert_eq!((failures(), guard.account(bad()).bare), (0, 2));
    let mut nobody = knock(&guard);
    nobody.asked();
    drop(nobody);
    assert_eq!(failures(), 1, "`none` is a method");
}

#[tokio::test(start_paused = true)]
async fn a_ban_is_told_once_holds_its_time_and_spares_who_has_a_key() {
    let guard = Guard::new(config(|c| c.guard.max_failures = 1), None);
    let mut beside = knock(&guard);
    knock(&guard).refused();
    assert_eq!(guard.summary().bans, 1);
    beside.refused();
    assert_eq!((beside.is_banned(), beside.counts()), (false, "no"), "it was let in before");
    drop(beside);
    let mut first = knock(&guard);
    let told = first.notice().unwrap();
    let id = guard.entries()[0].id.to_string();
    assert!(first.is_banned() && told.contains(&id), "{told}");
    assert!(told.starts_with("192.0.2.7 is banned until 2"), "{told}");
    assert!(told.contains(" UTC, for 1 failed login; quote "), "{told}");
    assert_eq!((first.notice(), knock(&guard).notice()), (None, None));
    first.refused();
    assert_eq!(first.counts(), "no");
    first.succeeded();
    assert_eq!(guard.summary().bans, 1, "the others there are banned still");
    let dropped = (0..100).filter(|_| guard.admit(bad(), 0, 128).is_none()).count();
    assert_eq!((dropped, guard.summary().refused), (93, 93));
    advance(HOUR).await;
    assert!(!knock(&guard).is_banned());
}

#[tokio::test]
async fn every_ban_is_recorded_though_people_are_told_of_ten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.db");
    let (ledger, writer) = Ledger::start(path.clone(), || HOUR).unwrap();
    let config = config(|c| c.guard.max_failures = 1);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let webhooks = Sender::start(config.clone(), Web::new(), ledger, &tasks, stop.clone());
    let guard = Guard::new(config, Some(webhooks));
    for last in 1..=25 {
        guard.admit([192, 0, 2, last].into(), 0, 128).expect("it is let in").refused();
    }
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    writer.close();
    let bans = Filter { kinds: vec!["ban".to_owned()], ..Filter::default() };
    let bans = Reader::open(&path).unwrap().oldest(&bans, 100).unwrap();
    assert_eq!(bans.len(), 25, "{bans:?}");
    assert!(bans[24].line.detail.contains("192.0.2.25"), "{:?}", bans[24]);
}

#[tokio::test(start_paused = true)]
async fn a_flood_drops_strangers_before_known_people() {
    let guard = Guard::new(config(|_| {}), None);
    let known: IpAddr = "192.0.2.9".parse().unwrap();
    guard.admit(known, 0, 128).unwrap().succeeded();
    assert!(guard.admit(bad(), 120, 128).is_none());
    assert!(guard.admit(known, 120, 128).is_some());
}

#[tokio::test(start_paused = true)]
async fn bans_outlive_a_restart_and_a_clock_that_is_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bans.json");
    let (config, stop) = (config(|c| c.guard.max_failures = 1), CancellationToken::new());
    let mut keeping = JoinSet::new();
    let guard = Guard::load(&path, config.clone(), None);
    keeping.spawn(guard.clone().keep(path.clone(), stop.clone()));
    knock(&guard).refused();
    let network = crate::model::source::Network::parse("198.51.100.0/24").unwrap();
    guard.decree(network, None, "ops").unwrap();
    // It is written without any need for an orderly end.
    for _ in 0..1000 {
        if path.exists() {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    assert!(path.exists());
    stop.cancel();
    keeping.join_all().await;
    let ids = |guard: &Guard| guard.entries().iter().map(|e| e.id).collect::<Vec<_>>();
    let again = Guard::load(&path, config.clone(), None);
    assert_eq!((ids(&again), again.summary().bans), (ids(&guard), 2));
    let left = again.entries()[0].left.unwrap();
    assert!(left <= HOUR && left > HOUR / 2, "{left:?}");
    // As if the clock had stood ten days later when it was written.
    let text = std::fs::read_to_string(&path).unwrap();
    let mut bans: Vec<crate::store::bans::Kept> = serde_json::from_str(&text).unwrap();
    for ban in &mut bans {
        ban.since += 240 * jiff::ToSpan::hours(1);
        ban.until = ban.until.map(|until| until + 240 * jiff::ToSpan::hours(1));
    }
    crate::store::bans::Bans(bans).save(&path).unwrap();
    let back = Guard::load(&path, config, None);
    assert_eq!(back.summary().bans, 2);
    let left = back.entries()[0].left.unwrap();
    assert!(left <= HOUR, "no longer than it was: {left:?}");
}
