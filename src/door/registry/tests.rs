//! Who is let in beside whom, who is ended, and who watches.

use super::*;

#[test]
fn places_before_authentication_are_limited_and_given_back() {
    let registry = Registry::default();
    let a: IpAddr = "192.0.2.1".parse().unwrap();
    let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
    let b: IpAddr = "2001:db8::1".parse().unwrap();
    let neighbour: IpAddr = "2001:db8::ffff:2".parse().unwrap();
    let mut held: Vec<_> = (0..2).map(|_| registry.start(a, 2, 5).unwrap()).collect();
    assert!(registry.start(mapped, 2, 5).err() == Some(Crowded::Source(a)), "per source");
    held.extend([b, neighbour].map(|s| registry.start(s, 2, 5).unwrap()));
    assert!(registry.start(b, 2, 5).is_err(), "one /64 is one source");
    held.push(registry.start("192.0.2.9".parse().unwrap(), 2, 5).unwrap());
    let crowded = registry.start("192.0.2.8".parse().unwrap(), 2, 5).err();
    assert!(crowded == Some(Crowded::All), "in all");
    held.clear();
    assert_eq!(registry.connections(), 0);
    assert!(registry.lock().starting.is_empty());
    assert!(registry.start(a, 2, 5).is_ok());
}

fn session(id: u64, container: &str, account: &str, key: u8) -> Session {
    let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    blob.extend_from_slice(&[key; 32]);
    Session {
        id,
        since: Timestamp::UNIX_EPOCH,
        person: "p".into(),
        source: "192.0.2.1:1".parse().unwrap(),
        target: "t".into(),
        containers: vec![container.parse().unwrap()],
        account: Some(account.parse().unwrap()),
        key: PublicKey::from_blob(&blob).ok(),
        certificate: None,
    }
}

#[test]
fn one_person_has_so_many_sessions_and_leaves_those_of_others_alone() {
    let registry = Registry::default();
    let enter = |key, certificate: Option<&str>| {
        let session = session(registry.number(), "box", "alice", key);
        let certificate = certificate.map(str::to_owned);
        registry.enter(Session { certificate, ..session }, 2)
    };
    let mut hers: Vec<_> = (0..2).map(|_| enter(1, None).unwrap()).collect();
    assert!(enter(1, None).is_none());
    assert!(enter(2, None).is_some());
    hers.pop();
    hers.push(enter(1, None).unwrap());
    assert_eq!(registry.sessions().len(), 2);
    // A certificate names its person, with whatever key it is for.
    let certified = [(1, "bob"), (3, "bob"), (4, "bob"), (4, "carol")];
    let entered = certified.map(|(key, id)| enter(key, Some(id)));
    assert_eq!(entered.map(|entry| entry.is_some()), [true, true, false, true]);
}

#[tokio::test]
async fn exactly_those_meant_are_ended_also_while_they_log_in() {
    let registry = Registry::default();
    let enter = |container, account, key| {
        registry.enter(session(registry.number(), container, account, key), 100).unwrap()
    };
    let hers = enter("alice", "alice", 1);
    let bobs = enter("alice", "bob", 2);
    let phone = enter("alice", "bob", 3);
    let elsewhere = enter("carol", "bob", 2);
    let on_its_way = registry.number();
    let told = |entry: &Entry| entry.end.sentence.get().map(ToString::to_string);
    let alice: ContainerName = "alice".parse().unwrap();
    let of_phone = Whose::Key(session(0, "a", "a", 3).key.unwrap());
    assert_eq!(registry.end(&alice, &of_phone, "key"), 1);
    assert_eq!(told(&phone).as_deref(), Some("key"));
    assert_eq!(registry.end(&alice, &Whose::Account("bob".parse().unwrap()), "bob"), 2);
    assert_eq!([&hers, &bobs, &elsewhere].map(told), [None, Some("bob".to_owned()), None]);
    let late = registry.enter(session(on_its_way, "alice", "bob", 2), 100).unwrap();
    let new = enter("alice", "bob", 2);
    assert_eq!([&late, &new].map(told), [Some("bob".to_owned()), None]);
    assert_eq!(registry.end(&alice, &Whose::All, "all"), 5);
    assert_eq!(told(&elsewhere), None);
    for _ in 0..2 * MAX_ENDINGS {
        let _ = registry.end(&alice, &Whose::All, "again");
    }
    assert_eq!(registry.lock().endings.len(), MAX_ENDINGS);
}

#[tokio::test]
async fn one_is_ended_by_its_number_and_numbers_go_on() {
    let registry = Registry::after(41);
    let [first, second] = [(); 2]
        .map(|()| registry.enter(session(registry.number(), "alice", "alice", 1), 9).unwrap());
    assert!(registry.end_one(42, "out") && !registry.end_one(41, "out"));
    assert_eq!(&*first.ended().await, "out");
    second.open();
    let known: Vec<_> = registry.sessions().into_iter().map(|(s, open)| (s.id, open)).collect();
    assert_eq!(known, [(42, false), (43, true)]);
    drop(first);
    assert!(!registry.end_one(42, "out") && second.end.sentence.get().is_none());
}

#[tokio::test]
async fn everybody_hears_the_farewell_even_who_comes_late() {
    let registry = Registry::default();
    let mut starting = registry.start("192.0.2.1".parse().unwrap(), 1, 1).unwrap();
    let session = |id| session(id, "alice", "alice", 1);
    let first = registry.enter(session(registry.number()), 100).unwrap();
    assert_eq!(*registry.count().borrow(), 1);
    registry.end_all("bye");
    let late = registry.enter(session(registry.number()), 100).unwrap();
    assert_eq!((&*first.ended().await, &*late.ended().await), ("bye", "bye"));
    assert_eq!(&*starting.ended().await, "bye");
    assert_eq!((registry.sessions().len(), registry.connections()), (2, 3));
    drop((first, late));
    assert_eq!(*registry.count().borrow(), 0);
}

#[tokio::test]
async fn a_session_is_called_by_those_who_watch_and_by_who_ends_it() {
    let registry = Registry::default();
    let entry = registry.enter(session(registry.number(), "alice", "alice", 1), 9).unwrap();
    assert!(registry.watch(2, None, "ops".to_owned()).is_none());
    let watch = registry.watch(1, None, "ops".to_owned()).unwrap();
    // Whoever waits for the end alone loses nobody.
    let ended = tokio::time::timeout(std::time::Duration::ZERO, entry.ended());
    assert!(ended.await.is_err());
    let Call::Watchers(new) = entry.called().await else { panic!("nobody ended it") };
    assert_eq!(new.len(), 1);
    drop(watch);
    let Call::Watchers(none) = entry.called().await else { panic!("nobody ended it") };
    assert_eq!(none.len(), 0);
    let _watch = registry.watch(1, None, "ops".to_owned());
    assert!(registry.end_one(1, "out"));
    let Call::End(sentence) = entry.called().await else { panic!("it was ended") };
    assert_eq!(&*sentence, "out");
}
