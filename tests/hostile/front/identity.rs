//! Who somebody is: the key that signed this request, on this connection, and nothing else.

use containarium::wire::{codec::Reader, identity::Identity, message};
use num_bigint::BigUint;

use crate::{
    fixture::{Evil, Sentinel, admin, member},
    peer::{Answer, Payload, Peer, Signed, signed},
};

fn stranger() -> Identity {
    Identity::generate_ed25519().unwrap()
}

/// Asserts that the last login in the log is this person's, by this key.
#[track_caller]
fn assert_logged(sentinel: &Sentinel, person: &str, key: &Identity) {
    let log = sentinel.log();
    let line = log.lines().rfind(|l| l.contains(": login session=")).expect("a login");
    let named = line.contains(&format!("person=\"{person}\""));
    assert!(named && line.contains(&key.public_key().fingerprint()), "{line}");
}

/// The key id of the certificate with which the sentinel logs in to the far side, and whether it
/// forces a command.
fn shown_to(far: &mut Peer, host_key: &Identity) -> (String, bool) {
    far.greet("SSH-2.0-evil");
    far.shake_hands(host_key);
    far.next_number(message::SERVICE_REQUEST);
    far.send(&Payload::new(message::SERVICE_ACCEPT).string("ssh-userauth").0);
    let request = far.next_number(message::USERAUTH_REQUEST);
    let text = String::from_utf8_lossy(&request).into_owned();
    let id = text.split("person=").nth(1).unwrap().split('\0').next().unwrap().to_owned();
    far.send(&[message::USERAUTH_SUCCESS]);
    (id, text.contains("force-command"))
}

/// CVE-2024-45337 and its like: what was offered, or offered last, decides nothing. The log, the
/// far side and the restrictions in force name the key that signed.
#[test]
fn the_key_that_signed_is_who_it_is_and_what_it_may() {
    let evil = Evil::listen();
    let (free, forced) = (stranger(), stranger());
    let lines = format!(
        "\"{} free\", \"command=\\\"true\\\" {} forced\", ",
        free.public_key().to_line(),
        forced.public_key().to_line()
    );
    let section =
        evil.section().replace("authorized_keys = [", &format!("authorized_keys = [{lines}"));
    let sentinel = Sentinel::start(&section);
    for (offered, signer, person) in
        [(&free, &forced, "forced"), (&forced, &free, "free"), (&free, &free, "free")]
    {
        let shown = std::thread::scope(|scope| {
            let far = scope.spawn(|| shown_to(&mut evil.accept(), &evil.host_key));
            let mut peer = sentinel.serviced();
            for key in [signer, offered] {
                let query = signed(&peer, "evil", key).query();
                assert_eq!(peer.ask(&query), Answer::PkOk);
            }
            assert_eq!(peer.try_log_in("evil", signer), Answer::Success);
            far.join().unwrap()
        });
        assert!(shown.0.starts_with(person), "{shown:?}");
        assert_eq!(shown.1, person == "forced");
        assert_logged(&sentinel, person, signer);
    }
    // A stranger's signature after a good offer is worth nothing, and the other way round it is
    // the good key that counts.
    let mut peer = sentinel.serviced();
    let query = signed(&peer, "admin", admin()).query();
    assert_eq!(peer.ask(&query), Answer::PkOk);
    assert_eq!(peer.try_log_in("admin", &stranger()), Answer::Failure);
    let query = signed(&peer, "admin", &stranger()).query();
    assert_eq!(peer.ask(&query), Answer::Failure);
    assert_eq!(peer.try_log_in("admin", admin()), Answer::Success);
    assert_logged(&sentinel, "ops", admin());
}

/// CVE-2026-46705: a change of the login name carries nothing over, however often it changes.
#[test]
fn nothing_is_carried_from_one_login_name_to_another() {
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    let before = sentinel.logins();
    let mut peer = sentinel.serviced();
    for (offered_as, key, then_as) in [("evil", member(), "admin"), ("admin", admin(), "evil")] {
        let query = signed(&peer, offered_as, key).query();
        assert_eq!(peer.ask(&query), Answer::PkOk);
        assert_eq!(peer.try_log_in(then_as, key), Answer::Failure);
    }
    for number in 0..50 {
        let (user, key) = if number % 2 == 0 { ("evil", member()) } else { ("admin", admin()) };
        let query = signed(&peer, user, key).query();
        assert_eq!(peer.ask(&query), Answer::PkOk);
        let query = signed(&peer, format!("nobody-{number}"), member()).query();
        assert_eq!(peer.ask(&query), Answer::Failure);
    }
    assert_eq!(peer.try_log_in("nobody-49", member()), Answer::Failure);
    assert_eq!(sentinel.logins(), before);
}

/// A small generator of arbitrary numbers (Knuth's constants): the same sequences in every run.
struct Arbitrary(u64);

impl Arbitrary {
    fn below(&mut self, limit: u64) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % limit).unwrap()
    }
}

/// Any sequence of offers, good and bad signatures under any names: each answer is what that request
/// alone deserves.
#[test]
fn the_order_of_offers_and_signatures_changes_no_answer() {
    // Nobody listens there: whoever is in hears an apology.
    let sentinel = Evil::listen().sentinel();
    let unknown = stranger();
    let keys = [admin(), member(), &unknown];
    let users = ["admin", "evil", "whoever"];
    // Rows: keys; columns: users.
    let permits = [[true, false, true], [false, true, false], [false, false, false]];
    let sequence = |seed: u64| {
        let mut arbitrary = Arbitrary(seed);
        let mut peer = sentinel.serviced();
        for _ in 0..6 {
            let (key, user, act) = (arbitrary.below(3), arbitrary.below(3), arbitrary.below(4));
            let request = signed(&peer, users[user], keys[key]);
            let wrong = Signed { session_id: vec![7; 32], ..request.clone() };
            let payload = match act {
                0 | 1 => request.query(),
                2 => wrong.payload(keys[key]),
                _ => request.payload(keys[key]),
            };
            let expected = match (permits[key][user], act) {
                (true, 0 | 1) => Answer::PkOk,
                (true, 3) => Answer::Success,
                _ => Answer::Failure,
            };
            assert_eq!(peer.ask(&payload), expected, "{act} with {key} as {}", users[user]);
            if expected == Answer::Success {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        for lane in 0..8 {
            scope.spawn(move || (0..8).for_each(|n| sequence(lane * 1000 + n)));
        }
    });
}

/// A signature counts for its own session, user, service, algorithm and key (RFC 4252, section 7).
#[test]
fn a_signature_of_anything_else_is_refused() {
    let sentinel = Sentinel::start("");
    let other = sentinel.established().session_id.unwrap().to_vec();
    let unknown = stranger();
    let changes: [(&str, &dyn Fn(&mut Signed)); 10] = [
        ("another session", &|s| s.session_id.clone_from(&other)),
        ("no session", &|s| s.session_id.clear()),
        ("another user in the signed data", &|s| s.signed_user = b"root".to_vec()),
        ("another user in the request", &|s| s.user = b"whoever".to_vec()),
        ("another service in the signed data", &|s| s.signed_service = "ssh-userauth".into()),
        ("another service in the request", &|s| s.service = "ssh-userauth".into()),
        ("another algorithm in the signed data", &|s| s.signed_algorithm = "ssh-rsa".into()),
        ("another algorithm in the request", &|s| s.algorithm = "ecdsa-sha2-nistp256".into()),
        ("another key in the signed data", &|s| {
            s.signed_key = unknown.public_key().blob().to_vec();
        }),
        ("what a query would be", &|s| s.signed_flag = false),
    ];
    for (what, change) in changes {
        let mut peer = sentinel.serviced();
        let mut request = signed(&peer, "admin", admin());
        change(&mut request);
        assert_eq!(peer.ask(&request.payload(admin())), Answer::Failure, "{what}");
        assert_eq!(peer.try_log_in("admin", admin()), Answer::Success, "{what}");
    }
    // A request that was good on one connection is worth nothing on another.
    let mut first = sentinel.serviced();
    let replayed = signed(&first, "admin", admin()).payload(admin());
    assert_eq!(sentinel.serviced().ask(&replayed), Answer::Failure);
    assert_eq!(first.ask(&replayed), Answer::Success);
}

/// Signature blobs that name another algorithm than the request, or that are right but for what a
/// lenient verifier overlooks.
#[test]
fn a_signature_that_is_nearly_right_is_refused() {
    let sentinel = Sentinel::start("");
    let forged = |change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let mut peer = sentinel.serviced();
        let (request, data) = signed(&peer, "admin", admin()).parts();
        let blob = admin().sign("ssh-ed25519", &data).unwrap();
        let mut r = Reader::new(&blob);
        r.string().unwrap();
        let changed = change(r.string().unwrap().to_vec());
        peer.ask(&Payload(request).string(changed).0)
    };
    let blob = |name: &str, signature: &[u8]| Payload(Vec::new()).string(name).string(signature).0;
    assert_eq!(forged(&|s| blob("ssh-ed25519", &s)), Answer::Success, "the good one");
    for (what, change) in [
        (
            "another algorithm's name",
            &(|s: Vec<u8>| blob("ssh-rsa", &s)) as &dyn Fn(Vec<u8>) -> Vec<u8>,
        ),
        ("no name", &|s| blob("", &s)),
        ("one byte more", &|s| blob("ssh-ed25519", &[&s[..], &[0]].concat())),
        ("one byte less", &|s| blob("ssh-ed25519", &s[1..])),
        ("something behind it", &|s| [blob("ssh-ed25519", &s), vec![0]].concat()),
        ("nothing", &|_| Vec::new()),
        ("zeros", &|s| blob("ssh-ed25519", &vec![0; s.len()])),
        // S + L verifies the same equation (RFC 8032, section 5.1.7, forbids it).
        ("a second form of it", &|s| blob("ssh-ed25519", &with_order_added(&s))),
        ("a bit", &|mut s| {
            s[40] ^= 1;
            blob("ssh-ed25519", &s)
        }),
    ] {
        assert_eq!(forged(change), Answer::Failure, "{what}");
    }
}

/// An Ed25519 signature with the group's order added to its second half.
fn with_order_added(signature: &[u8]) -> Vec<u8> {
    let order = (BigUint::from(1_u8) << 252_u32)
        + "27742317777372353535851937790883648493".parse::<BigUint>().unwrap();
    let mut second = (BigUint::from_bytes_le(&signature[32..]) + order).to_bytes_le();
    second.resize(32, 0);
    [&signature[..32], &second].concat()
}

/// Wrong signatures under a key that is right are cut off, and so are requests of any kind.
#[test]
fn wrong_signatures_and_requests_are_counted() {
    let sentinel = Sentinel::start("");
    let tries = |request: &dyn Fn(&Peer) -> Vec<u8>| {
        let mut peer = sentinel.serviced();
        let payload = request(&peer);
        (0..1000).take_while(|_| peer.ask(&payload) == Answer::Failure).count()
    };
    let wrong = |peer: &Peer| {
        let request = signed(peer, "admin", admin());
        Signed { session_id: vec![7; 32], ..request }.payload(admin())
    };
    // OpenSSH's MaxAuthTries.
    assert_eq!(tries(&wrong), 6);
    // All requests on one connection; that for the service was the first.
    let unknown = stranger();
    assert_eq!(tries(&|peer| signed(peer, "admin", &unknown).payload(&unknown)), 127);
    let none = Payload::new(message::USERAUTH_REQUEST).string("admin");
    let none = none.string("ssh-connection").string("none").0;
    assert_eq!(tries(&|_| none.clone()), 127);
    assert!(sentinel.log().contains("too many authentication failures"));
}

/// Whatever is wrong, and whatever method is asked for, the answer is the same bytes: one FAILURE
/// that names `publickey`. Bodies of other methods are not even looked at (CVE-2026-42189).
#[test]
fn every_refusal_is_the_same_message() {
    let sentinel = Evil::listen().sentinel();
    let expected = Payload::new(message::USERAUTH_FAILURE).string("publickey").boolean(false).0;
    let mut peer = sentinel.serviced();
    let unknown = stranger();
    let long = vec![b'a'; 30_000];
    let names: [&[u8]; 9] =
        [b"admin", b"evil", b"nobody", b"", b"\0", b"a\nb", b"\xff\xfe", b"../x", &long];
    for name in names {
        let request = signed(&peer, name, &unknown);
        for payload in [request.query(), request.payload(&unknown)] {
            peer.send(&payload);
            assert_eq!(peer.next().as_ref(), Some(&expected), "{name:?}");
        }
    }
    let user = Payload::new(message::USERAUTH_REQUEST).string("admin").string("ssh-connection");
    let huge = [0xff; 64];
    let bodies: [&[u8]; 4] = [b"", b"\0", &[0xff, 0xff, 0xff, 0xff], &huge];
    for method in [
        "none",
        "password",
        "keyboard-interactive",
        "hostbased",
        "gssapi-with-mic",
        "",
        "publickex",
    ] {
        for body in bodies {
            peer.send(&user.clone().string(method).bytes(body).0);
            assert_eq!(peer.next().as_ref(), Some(&expected), "{method}");
        }
    }
    assert_eq!(peer.try_log_in("admin", admin()), Answer::Success);
}
