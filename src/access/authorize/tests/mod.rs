//! Who may go where: keys, certificates, options and roles against small inventories.

mod node;

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::{
    model::{
        container::{Collaborator, Status},
        inventory::{Backend, Presence},
    },
    wire::{
        certificate::{Parameters, issue},
        identity::Identity,
    },
};

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const NOW: u64 = 1_000;
const ADMIN: u8 = 100;

fn key(n: u8) -> PublicKey {
    let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    blob.extend_from_slice(&[n; 32]);
    let bare = PublicKey::from_blob(&blob).unwrap();
    PublicKey::from_line(&format!("{} person {n}", bare.to_line())).unwrap()
}

fn line(n: u8) -> AuthorizedKey {
    AuthorizedKey { key: key(n), options: KeyOptions::default() }
}

fn with(n: u8, options: KeyOptions) -> AuthorizedKey {
    AuthorizedKey { key: key(n), options }
}

fn from(list: &str) -> KeyOptions {
    KeyOptions { from: Some(list.to_owned()), ..KeyOptions::default() }
}

fn container(name: &str, owner: (&str, &[u8]), others: &[(&str, &[u8])]) -> Container {
    let lines = |keys: &[u8]| keys.iter().copied().map(line).collect::<Vec<_>>();
    Container {
        name: name.parse().unwrap(),
        backend: "b1".parse().unwrap(),
        pool: "default".parse().unwrap(),
        owner: owner.0.parse().unwrap(),
        keys: lines(owner.1),
        collaborators: others
            .iter()
            .map(|(login, keys)| Collaborator {
                login: login.parse().unwrap(),
                keys: lines(keys),
                sudo: false,
                container_runtime: false,
            })
            .collect(),
        host_keys: Vec::new(),
        status: Status::Running,
        addresses: Vec::new(),
        hold: false,
        config: std::collections::BTreeMap::new(),
        problems: Vec::new(),
    }
}

fn backend(name: &str, containers: Vec<Container>) -> Arc<Backend> {
    Arc::new(Backend {
        name: name.parse().unwrap(),
        pool: "default".parse().unwrap(),
        presence: Presence::Unknown,
        refreshed: None,
        version: None,
        cpus: None,
        memory: None,
        disk: None,
        drained: false,
        unfinished: Vec::new(),
        containers: containers.into_iter().map(Arc::new).collect(),
    })
}

struct World {
    admin: config::Admin,
    routes: Vec<Arc<Route>>,
    cas: Vec<PublicKey>,
    backends: Vec<Arc<config::Backend>>,
    inventory: Inventory,
}

impl World {
    fn new(containers: Vec<Container>) -> Self {
        let route = Route {
            login: "git".parse().unwrap(),
            user: "git".into(),
            address: "192.0.2.3:22".into(),
            host_key: key(200),
            keys: vec![line(1)],
            identity: None,
        };
        Self {
            admin: config::Admin {
                login: "admin".parse().unwrap(),
                keys: vec![line(ADMIN)],
                user_ca_keys: Vec::new(),
            },
            routes: vec![Arc::new(route)],
            cas: Vec::new(),
            backends: Vec::new(),
            inventory: Inventory::new(vec![backend("b1", containers)]),
        }
    }

    fn ask(&self, login: &[u8], proof: &Proof<'_>) -> Result<Permit, Reason> {
        let policy = Policy {
            admin: &self.admin,
            routes: &self.routes,
            backends: &self.backends,
            user_ca_keys: &self.cas,
            inventory: &self.inventory,
        };
        let intent = Intent::parse(login, &self.admin.login, &self.routes);
        let decided = authorize(&policy, proof, &intent);
        assert_eq!(could_accept(&policy, proof, &intent), decided.is_ok());
        decided.map_err(|d| d.reason)
    }

    fn by_key(&self, login: &str, n: u8) -> Result<Permit, Reason> {
        self.by_key_and_file(login, n, &[])
    }

    fn by_key_and_file(
        &self,
        login: &str,
        n: u8,
        file: &[AuthorizedKey],
    ) -> Result<Permit, Reason> {
        let key = key(n);
        self.ask(login.as_bytes(), &proof(Credential::Key(&key), file))
    }

    fn by_certificate(&self, login: &str, blob: &[u8]) -> Result<Permit, Reason> {
        let certificate = Certificate::parse(blob).unwrap();
        self.ask(login.as_bytes(), &proof(Credential::Certificate(&certificate), &[]))
    }
}

fn proof<'a>(credential: Credential<'a>, file_keys: &'a [AuthorizedKey]) -> Proof<'a> {
    Proof { credential, source: HOME, now_unix: NOW, file_keys }
}

/// A target in one word: `alice+bob`, `console`, `?a,b` for a choice, `@git` for a route.
fn shown(permit: Result<Permit, Reason>) -> String {
    match permit.map(|p| p.target) {
        Ok(Target::Container { container, account }) => format!("{}+{account}", container.name),
        Ok(Target::Console) => "console".to_owned(),
        Ok(Target::Choice(names)) => {
            let names: Vec<_> = names.iter().map(ContainerName::as_str).collect();
            format!("?{}", names.join(","))
        }
        Ok(Target::Route(route)) => format!("@{}", route.login),
        Ok(Target::Tunnel(backend)) => format!("tunnel {}", backend.name),
        Err(_) => "no".to_owned(),
    }
}

/// alice's (key 1) with bob (key 2) in it; bob's own; carol's (key 3) alone.
fn small() -> World {
    World::new(vec![
        container("alice", ("alice", &[1]), &[("bob", &[2])]),
        container("bob", ("bob", &[2]), &[]),
        container("carol", ("carol", &[3]), &[]),
    ])
}

#[test]
fn the_table_of_the_interface() {
    let world = small();
    for (login, n, expected) in [
        ("alice", 1, "alice+alice"),
        ("alice", 2, "alice+bob"),
        ("alice", 3, "no"),
        ("alice", ADMIN, "no"),
        ("alice+bob", 2, "alice+bob"),
        ("alice+bob", 1, "alice+bob"),
        ("alice+alice", 1, "alice+alice"),
        ("alice+alice", 2, "no"),
        ("alice+carol", 1, "no"),
        ("alice+root", 1, "no"),
        ("alice+bob", 3, "no"),
        ("alice+bob", ADMIN, "no"),
        ("admin", ADMIN, "console"),
        ("admin", 1, "no"),
        ("git", 1, "@git"),
        ("git", 2, "no"),
        ("git", ADMIN, "no"),
        ("nobody", ADMIN, "console"),
        ("nobody", 1, "alice+alice"),
        ("nobody", 2, "?alice,bob"),
        ("nobody", 3, "carol+carol"),
        ("nobody", 9, "no"),
        ("root", ADMIN, "console"),
        ("Alice", 3, "carol+carol"),
        ("nobody+bob", 3, "carol+carol"),
    ] {
        assert_eq!(shown(world.by_key(login, n)), expected, "{login} with key {n}");
    }
}

/// I-20: a key that is an administrator's and listed in a container is both, each by its name.
#[test]
fn an_admin_key_is_a_container_key_only_where_it_is_listed() {
    let world = World::new(vec![container("alice", ("alice", &[1, ADMIN]), &[])]);
    let inside = world.by_key("alice", ADMIN).unwrap();
    assert_eq!(inside.principal().role, Role::Member);
    assert_eq!(shown(Ok(inside)), "alice+alice");
    let console = world.by_key("other", ADMIN).unwrap();
    assert_eq!((console.principal().role, shown(Ok(console))), (Role::Admin, "console".to_owned()));
}

/// I-13: five people, twenty containers, every spelling.
#[test]
fn nobody_reaches_what_was_not_granted() {
    const KEYS: [u8; 5] = [0, 1, 2, 3, 4];
    let people = ["anna", "ben", "cleo", "dan", "eve"];
    let grants = |person: usize, n: usize| match n % 5 {
        owner if owner == person => Some(people[person]),
        owner if n.is_multiple_of(2) && (owner + 1) % 5 == person => Some(people[person]),
        _ => None,
    };
    let name = |n: usize| format!("c{n}");
    let containers = (0..20).map(|n| {
        let owner = n % 5;
        let other = (owner + 1) % 5;
        let others = [(people[other], &[KEYS[other]][..])];
        let others = if n % 2 == 0 { &others[..] } else { &[] };
        container(&name(n), (people[owner], &[KEYS[owner]]), others)
    });
    let world = World::new(containers.collect());
    for person in 0..6 {
        let own: Vec<_> = (0..20).filter(|n| grants(person, *n).is_some()).map(name).collect();
        for n in 0..20 {
            let permit = world.by_key(&name(n), u8::try_from(person).unwrap());
            let expected = grants(person, n).map(|account| format!("c{n}+{account}"));
            assert_eq!(shown(permit), expected.unwrap_or("no".to_owned()), "{person} {n}");
            for login in [
                name(n).to_uppercase(),
                format!("{} ", name(n)),
                format!("{}\0", name(n)),
                format!("default/{}", name(n)),
                format!("{}-container", name(n)),
                format!("{}:{}", name(n), people[n % 5]),
                format!("с{n}"),
                String::new(),
                name(n).repeat(1400),
            ] {
                let permit = world.by_key(&login, u8::try_from(person).unwrap());
                match permit.map(|p| p.target) {
                    Ok(Target::Choice(names)) => {
                        assert!(names.iter().all(|c| own.contains(&c.to_string())));
                    }
                    Ok(other) => panic!("{login:?} led {person} to {other:?}"),
                    Err(reason) => assert_eq!((reason, own.len()), (Reason::UnknownKey, 0)),
                }
            }
        }
    }
}

#[test]
fn a_removed_key_opens_nothing() {
    let mut world = small();
    assert!(world.by_key("carol", 3).is_ok());
    world.inventory =
        Inventory::new(vec![backend("b1", vec![container("carol", ("carol", &[4]), &[])])]);
    assert_eq!(world.by_key("carol", 3), Err(Reason::UnknownKey));
    assert_eq!(world.by_key("other", 3), Err(Reason::UnknownKey));
    world.admin.keys.clear();
    assert_eq!(world.by_key("admin", ADMIN), Err(Reason::UnknownKey));
}

/// A second container of the same name must not add its keys to the first.
#[test]
fn a_duplicate_name_grants_nothing() {
    let mut world = small();
    world.inventory = Inventory::new(vec![
        backend("b1", vec![container("alice", ("alice", &[1]), &[])]),
        backend("b2", vec![container("alice", ("mallory", &[9]), &[])]),
    ]);
    assert_eq!(shown(world.by_key("alice", 1)), "alice+alice");
    assert_eq!(world.by_key("alice", 9), Err(Reason::UnknownKey));
    assert_eq!(world.by_key("other", 9), Err(Reason::UnknownKey));
}

#[test]
fn keys_of_the_accounts_own_file_open_that_account_alone() {
    let world = small();
    let file = [line(7)];
    let ask = |login| shown(world.by_key_and_file(login, 7, &file));
    assert_eq!(ask("alice"), "alice+alice");
    assert_eq!(ask("alice+bob"), "alice+bob");
    for login in ["alice+carol", "admin", "git", "nobody"] {
        assert_eq!(ask(login), "no", "{login}");
    }
    // What she calls herself in there is not what the log calls her.
    let permit = world.by_key_and_file("alice", 7, &file).unwrap();
    assert_eq!(permit.principal().name, "alice");
    assert_eq!(world.by_key("alice", 1).unwrap().principal().name, "person 1");
}

#[test]
fn the_first_line_that_allows_wins() {
    let mut alice = container("alice", ("alice", &[]), &[("bob", &[])]);
    let forced = KeyOptions { command: Some("ls".into()), ..from("192.0.2.0/24") };
    let expired = KeyOptions { expires: Some(1_000), ..KeyOptions::default() };
    alice.keys = vec![
        with(1, from("10.0.0.0/8")),
        with(1, expired.clone()),
        with(1, forced.clone()),
        line(1),
        with(2, expired),
        with(3, from("10.0.0.0/8")),
    ];
    alice.collaborators[0].keys = vec![line(2)];
    let world = World::new(vec![alice]);
    assert_eq!(*world.by_key("alice", 1).unwrap().restrictions(), forced);
    assert_eq!(shown(world.by_key("alice", 2)), "alice+bob");
    assert_eq!(world.by_key("alice", 3), Err(Reason::Restricted));
    assert_eq!(world.by_key("other", 3), Err(Reason::Restricted));
}

#[test]
fn restrictions_add_up_while_a_container_is_chosen() {
    let mut containers = vec![
        container("a", ("a", &[]), &[]),
        container("b", ("b", &[]), &[]),
        container("c", ("c", &[]), &[]),
    ];
    let no_touch = KeyOptions { no_touch_required: true, ..KeyOptions::default() };
    containers[0].keys = vec![with(1, KeyOptions { no_pty: true, ..no_touch.clone() })];
    containers[1].keys = vec![with(1, KeyOptions { command: Some("x".into()), ..no_touch })];
    let two = World::new(containers[..2].to_vec()).by_key("other", 1).unwrap();
    assert!(two.restrictions().no_pty && two.restrictions().command.is_none());
    assert!(!two.sk_policy().touch_required);
    containers[2].keys = vec![line(1)];
    let three = World::new(containers).by_key("other", 1).unwrap();
    assert!(three.sk_policy().touch_required);
}

#[test]
fn certificates_open_what_they_name_and_no_more() {
    let (user_ca, admin_ca) =
        (Identity::generate_ed25519().unwrap(), Identity::generate_ed25519().unwrap());
    let subject = Identity::generate_ed25519().unwrap();
    let mut world = small();
    world.cas = vec![user_ca.public_key().clone()];
    world.admin.user_ca_keys = vec![admin_ca.public_key().clone()];
    let restrictions = KeyOptions { no_pty: true, ..KeyOptions::default() };
    let certify = |ca: &Identity, principals: &[&str]| {
        let parameters = Parameters {
            serial: 1,
            key_id: "alice\u{1b}[2J",
            principals,
            valid_after: 0,
            valid_before: NOW + 1,
            restrictions: &restrictions,
        };
        issue(ca, subject.public_key(), &parameters).unwrap()
    };
    let names = ["alice", "alice+bob", "alice+carol", "admin", "git", "nobody"];
    let all = certify(&user_ca, &names);
    for (login, expected) in [
        ("alice", "alice+alice"),
        ("alice+bob", "alice+bob"),
        ("alice+carol", "no"),
        ("bob", "no"),
        ("admin", "no"),
        ("git", "no"),
        ("nobody", "no"),
        ("Alice", "no"),
    ] {
        assert_eq!(shown(world.by_certificate(login, &all)), expected, "{login}");
    }
    let admin = certify(&admin_ca, &names);
    assert_eq!(shown(world.by_certificate("admin", &admin)), "console");
    for login in ["alice", "alice+bob", "git", "nobody"] {
        assert_eq!(shown(world.by_certificate(login, &admin)), "no", "{login}");
    }
    assert_eq!(shown(world.by_certificate("alice+bob", &certify(&user_ca, &["alice"]))), "no");
    assert_eq!(shown(world.by_certificate("alice", &certify(&user_ca, &["alice,bob"]))), "no");

    let permit = world.by_certificate("alice", &all).unwrap();
    assert!(permit.restrictions().no_pty);
    assert_eq!(permit.principal().key.as_ref(), Some(subject.public_key()));
    assert_eq!(permit.principal().name, "alice\\u{1b}[2J");
    assert_eq!(permit.principal().certificate.as_deref(), Some("alice\\u{1b}[2J"));
    // A key in a certificate is not the key itself, wherever it is listed.
    world
        .admin
        .keys
        .push(AuthorizedKey { key: subject.public_key().clone(), options: KeyOptions::default() });
    assert_eq!(shown(world.by_certificate("nobody", &all)), "no");
    assert_eq!(shown(world.by_certificate("admin", &all)), "no");
}

/// The rules again, in the fewest words, over strings.
fn reference(world: &World, login: &str, n: u8) -> String {
    let listed = |lines: &[AuthorizedKey]| lines.iter().any(|l| l.key == key(n));
    let grant = |yes: bool, what: String| if yes { what } else { "no".to_owned() };
    let accounts = |c: &Container| {
        let mut accounts = Vec::new();
        accounts.extend(listed(&c.keys).then(|| c.owner.to_string()));
        let others = c.collaborators.iter().filter(|o| listed(&o.keys));
        accounts.extend(others.map(|o| o.login.to_string()));
        accounts
    };
    if login == "admin" {
        return grant(n == ADMIN, "console".to_owned());
    }
    if login == "git" {
        return grant(n == 1, "@git".to_owned());
    }
    let (name, typed) = login.split_once('+').map_or((login, None), |(a, b)| (a, Some(b)));
    let all: Vec<_> = world.inventory.containers().collect();
    // An account that cannot exist makes it any other name.
    let is_form = typed.is_none_or(|typed| typed.parse::<Account>().is_ok());
    if let Some(c) = all.iter().find(|c| c.name.as_str() == name && is_form) {
        let mine = accounts(c);
        let Some(typed) = typed else {
            return mine.first().map_or("no".to_owned(), |a| format!("{name}+{a}"));
        };
        let exists =
            c.owner.as_str() == typed || c.collaborators.iter().any(|o| o.login.as_str() == typed);
        let allowed = exists && (listed(&c.keys) || mine.iter().any(|a| a == typed));
        return grant(allowed, format!("{name}+{typed}"));
    }
    let mine: Vec<_> = all.iter().filter(|c| !accounts(c).is_empty()).collect();
    match mine.as_slice() {
        _ if n == ADMIN => "console".to_owned(),
        [] => "no".to_owned(),
        [c] => format!("{}+{}", c.name, accounts(c)[0]),
        several => {
            let names: Vec<_> = several.iter().map(|c| c.name.as_str()).collect();
            format!("?{}", names.join(","))
        }
    }
}

fn any_container() -> impl Strategy<Value = Container> {
    let keys = || prop::collection::vec(prop::sample::select(vec![1, 2, 3, ADMIN]), 0..3);
    let name = || prop::sample::select(vec!["a", "b", "c", "git"]);
    (name(), keys(), keys(), keys())
        .prop_map(|(name, own, x, y)| container(name, ("o", &own), &[("x", &x), ("y", &y)]))
}

proptest! {
    #[test]
    fn every_decision_is_the_references(
        containers in prop::collection::vec(any_container(), 0..5),
        login in prop_oneof!["(admin|git|a|b|c|d|A)(\\+(o|x|y|z|))?", "\\PC{0,8}"],
        n in prop::sample::select(vec![1, 2, 3, 4, ADMIN]),
    ) {
        let world = World::new(containers);
        prop_assert_eq!(shown(world.by_key(&login, n)), reference(&world, &login, n));
    }

    #[test]
    fn every_login_is_decided(login: Vec<u8>, n in 1u8..5) {
        let key = key(n);
        let _ = small().ask(&login, &proof(Credential::Key(&key), &[]));
    }
}
