//! What passes, what is replaced, and in which order replies come.

use super::*;
use crate::wire::signature::{SkPolicy, verify};

fn intercept() -> Intercept {
    let identity = Identity::generate_ed25519().unwrap();
    let own = OwnName {
        names: vec!["alice".into(), "alice-container".into()],
        address: "10.0.3.9".into(),
    };
    Intercept::new([identity].into(), [7; 32], Some(own))
}

fn open(kind: &str, host: &str) -> Vec<u8> {
    let mut out = vec![message::CHANNEL_OPEN];
    out.put_string(kind.as_bytes());
    out.extend_from_slice(&[1; 12]);
    out.put_string(host.as_bytes());
    out.put_uint32(80);
    out.put_string(b"127.0.0.1");
    out.put_uint32(1);
    out
}

#[test]
fn the_containers_own_name_means_its_address() {
    let mut intercept = intercept();
    let expected = Verdict::Replace(open("direct-tcpip", "10.0.3.9"));
    for host in ["alice", "Alice", "alice-container"] {
        assert_eq!(intercept.from_client(&open("direct-tcpip", host)), Ok(expected.clone()));
    }
    for (kind, host) in
        [("direct-tcpip", "localhost"), ("direct-tcpip", "bob"), ("session", "alice")]
    {
        assert_eq!(intercept.from_client(&open(kind, host)), Ok(Verdict::Forward));
    }
    let cut = open("direct-tcpip", "alice");
    for end in 1..30 {
        assert!(intercept.from_client(&cut[..end]).is_err());
    }
}

#[test]
fn the_containers_host_keys_stay_behind() {
    let mut intercept = intercept();
    assert_eq!(intercept.from_upstream(&request(HOSTKEYS, false)), Ok(Verdict::Drop));
    let renamed = Verdict::Replace(request(UNKNOWN, true));
    assert_eq!(intercept.from_upstream(&request(HOSTKEYS, true)), Ok(renamed));
    let keepalive = request(b"keepalive@openssh.com", true);
    assert_eq!(intercept.from_upstream(&keepalive), Ok(Verdict::Forward));
}

#[test]
fn a_proof_takes_its_own_place_among_the_replies() {
    let mut intercept = intercept();
    let key = intercept.identities[0].public_key().clone();
    let mut prove = request(HOSTKEYS_PROVE, true);
    prove.put_string(key.blob());
    let forward = request(b"tcpip-forward", true);
    assert_eq!(intercept.from_client(&forward), Ok(Verdict::Forward));
    let renamed = Verdict::Replace(request(UNKNOWN, true));
    assert_eq!(intercept.from_client(&prove), Ok(renamed));
    assert_eq!(intercept.from_client(&forward), Ok(Verdict::Forward));
    let success = [message::REQUEST_SUCCESS];
    assert_eq!(intercept.from_upstream(&success), Ok(Verdict::Forward));
    let Ok(Verdict::Replace(proof)) = intercept.from_upstream(&[message::REQUEST_FAILURE]) else {
        panic!("no proof")
    };
    let mut r = Reader::new(&proof[1..]);
    let mut signed = Vec::new();
    signed.put_string(HOSTKEYS_PROVE);
    signed.put_string(&[7; 32]);
    signed.put_string(key.blob());
    let signature = r.string().unwrap();
    assert!(verify(&key, "ssh-ed25519", &signed, signature, SkPolicy::default()).is_ok());
    assert_eq!(intercept.from_upstream(&success), Ok(Verdict::Forward));
}

#[test]
fn an_rsa_key_is_proved_with_the_algorithm_of_the_key_exchange() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/rsa");
    let file = std::fs::read_to_string(path).unwrap();
    let file = ssh_key::PrivateKey::from_openssh(file).unwrap();
    for (agreed, expected) in [
        (Some("rsa-sha2-256"), "rsa-sha2-256"),
        (Some("rsa-sha2-512"), "rsa-sha2-512"),
        (Some("ssh-ed25519"), "rsa-sha2-512"),
        (None, "rsa-sha2-512"),
    ] {
        let identity = Identity::from_private_key(&file).unwrap();
        let key = identity.public_key().clone();
        let intercept = Intercept::new([identity].into(), [7; 32], None);
        let mut intercept = intercept.with_host_key_algorithm(agreed);
        let mut prove = request(HOSTKEYS_PROVE, true);
        prove.put_string(key.blob());
        intercept.from_client(&prove).unwrap();
        let answer = intercept.from_upstream(&[message::REQUEST_FAILURE]);
        let Ok(Verdict::Replace(proof)) = answer else { panic!("no proof") };
        let mut proof = Reader::new(&proof[1..]);
        let mut signature = Reader::new(proof.string().unwrap());
        assert_eq!(signature.text(), Ok(expected));
    }
}

#[test]
fn a_proof_for_a_foreign_key_is_left_refused() {
    let mut intercept = intercept();
    let mut prove = request(HOSTKEYS_PROVE, true);
    prove.put_string(b"not a key of ours");
    assert!(intercept.from_client(&prove).is_ok());
    let refusal = [message::REQUEST_FAILURE];
    assert_eq!(intercept.from_upstream(&refusal), Ok(Verdict::Forward));
}

#[test]
fn everything_else_of_the_connection_protocol_passes_unchanged() {
    let mut intercept = intercept();
    for name in [
        "tcpip-forward",
        "cancel-tcpip-forward",
        "streamlocal-forward@openssh.com",
        "cancel-streamlocal-forward@openssh.com",
        "no-more-sessions@openssh.com",
        "keepalive@openssh.com",
        "hostkeys-00@openssh.com ",
        "what comes next",
    ] {
        for want_reply in [false, true] {
            let packet = request(name.as_bytes(), want_reply);
            assert_eq!(intercept.from_client(&packet), Ok(Verdict::Forward), "{name}");
            assert_eq!(intercept.from_upstream(&packet), Ok(Verdict::Forward), "{name}");
        }
    }
    for kind in [
        "session",
        "x11",
        "forwarded-tcpip",
        "direct-streamlocal@openssh.com",
        "forwarded-streamlocal@openssh.com",
        "auth-agent@openssh.com",
        "tun@openssh.com",
        "what comes next",
    ] {
        let packet = open(kind, "alice");
        assert_eq!(intercept.from_client(&packet), Ok(Verdict::Forward), "{kind}");
        assert_eq!(intercept.from_upstream(&packet), Ok(Verdict::Forward), "{kind}");
    }
    // Channels and what is said on them (pty-req, env, signal, break, exit-status, EOF and all
    // others), replies, and numbers that nobody knows yet are not even looked at.
    let looked_at = [message::GLOBAL_REQUEST, message::CHANNEL_OPEN];
    for number in (80..=255).filter(|number| !looked_at.contains(number)) {
        for packet in [&[number][..], &[number, 0xff, 0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(intercept.from_client(packet), Ok(Verdict::Forward), "{number}");
            assert_eq!(intercept.from_upstream(packet), Ok(Verdict::Forward), "{number}");
        }
    }
}

#[test]
fn a_request_that_cannot_be_read_ends_the_connection() {
    let whole = request(b"keepalive@openssh.com", true);
    for end in 1..whole.len() {
        assert!(intercept().from_client(&whole[..end]).is_err(), "{end}");
        assert!(intercept().from_upstream(&whole[..end]).is_err(), "{end}");
    }
}

#[test]
fn the_announcement_wants_no_reply_and_names_every_key() {
    let intercept = intercept();
    let announcement = intercept.announcement();
    let mut r = Reader::new(&announcement);
    assert_eq!(r.byte(), Ok(message::GLOBAL_REQUEST));
    assert_eq!((r.string(), r.boolean()), (Ok(HOSTKEYS), Ok(false)));
    assert_eq!(r.string(), Ok(intercept.identities[0].public_key().blob()));
    assert_eq!(r.end(), Ok(()));
}

#[test]
fn no_proof_without_a_reply_none_for_too_many_and_one_at_a_time() {
    let mut intercept = intercept();
    let key = intercept.identities[0].public_key().clone();
    let prove = |want_reply: bool, times: usize| {
        let mut packet = request(HOSTKEYS_PROVE, want_reply);
        (0..times).for_each(|_| packet.put_string(key.blob()));
        packet
    };
    let renamed = |want_reply| Ok(Verdict::Replace(request(UNKNOWN, want_reply)));
    assert_eq!(intercept.from_client(&prove(false, 1)), renamed(false));
    assert_eq!(intercept.from_client(&prove(true, MAX_PROOFS + 1)), renamed(true));
    assert_eq!(intercept.from_client(&prove(true, 1)), renamed(true));
    assert_eq!(intercept.from_client(&prove(true, 1)), renamed(true));
    let refusal = [message::REQUEST_FAILURE];
    assert_eq!(intercept.from_upstream(&refusal), Ok(Verdict::Forward), "too many keys");
    assert!(matches!(intercept.from_upstream(&refusal), Ok(Verdict::Replace(_))));
    assert_eq!(intercept.from_upstream(&refusal), Ok(Verdict::Forward), "one was due already");
    // Replies that nobody asked for change nothing.
    assert_eq!(intercept.from_upstream(&refusal), Ok(Verdict::Forward));
    assert_eq!(intercept.from_client(&prove(true, 1)), renamed(true));
    assert!(matches!(intercept.from_upstream(&refusal), Ok(Verdict::Replace(_))));
}

#[test]
fn the_refused_name_is_one_that_a_program_may_define_for_itself() {
    let name = std::str::from_utf8(UNKNOWN).unwrap();
    assert!(name.len() <= 64 && name.bytes().all(|b| b.is_ascii_graphic() && b != b','));
    let (local, domain) = name.split_once('@').unwrap();
    assert!(!local.is_empty() && !domain.contains('@') && domain.contains('.'));
}

#[test]
fn authentication_messages_are_over() {
    let mut intercept = intercept();
    assert_eq!(intercept.from_client(&[50, 1, 2]), Ok(Verdict::Drop));
    for number in [5, 6, 51, 52, 53, 60, 79] {
        assert!(intercept.from_client(&[number]).is_err());
        assert!(intercept.from_upstream(&[number]).is_err());
    }
    assert!(intercept.from_upstream(&[50]).is_err());
}
