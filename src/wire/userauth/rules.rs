//! What RFC 4252 asks, one test a rule. `docs/conformance.md` names them.

use std::time::Instant;

use super::{
    tests::{ask, carry, pair, request, service},
    *,
};

/// A client, a server that granted the service, and its side of authentication.
fn granted() -> (Transport, Transport, ServerAuth, Instant) {
    let (mut client, mut server, now) = pair();
    let mut auth = ServerAuth::default();
    ask(&mut client, &mut server, now, &service("ssh-userauth"));
    assert_eq!(auth.on_packet(&mut server), Ok(Request::Answered));
    assert_eq!(heard(&mut client, &mut server, now).len(), 1);
    (client, server, auth, now)
}

/// What the server sent, packet by packet.
fn heard(client: &mut Transport, server: &mut Transport, now: Instant) -> Vec<Vec<u8>> {
    carry(server, client);
    let mut packets = Vec::new();
    while let Some(packet) = client.next(now).unwrap() {
        packets.push(packet.to_vec());
        client.consume();
    }
    packets
}

/// The fields of a `publickey` request behind the method's name.
fn key_fields(signed: u8, algorithm: &[u8], key: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut out = vec![signed];
    out.put_string(algorithm);
    out.put_string(key);
    out.extend_from_slice(rest);
    out
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_string(bytes);
    out
}

fn publickey(user: &str, fields: &[u8]) -> Vec<u8> {
    request(user, "ssh-connection", "publickey", fields)
}

const FAILURE: &[u8] = b"\x33\0\0\0\x09publickey\0";

#[test]
fn the_service_is_granted_as_often_as_asked_and_no_other_is() {
    let (mut client, mut server, mut auth, now) = granted();
    for _ in 0..5 {
        ask(&mut client, &mut server, now, &service("ssh-userauth"));
        assert_eq!(auth.on_packet(&mut server), Ok(Request::Answered));
        let accept = [&[message::SERVICE_ACCEPT][..], &string(b"ssh-userauth")].concat();
        assert_eq!(heard(&mut client, &mut server, now), [accept]);
    }
    for other in ["ssh-connection", "ssh-userauth ", "SSH-USERAUTH", ""] {
        ask(&mut client, &mut server, now, &service(other));
        assert_eq!(auth.on_packet(&mut server), Err(Error::Service), "{other}");
        server.consume();
    }
    for bad in [&[message::SERVICE_REQUEST][..], &[&service("ssh-userauth")[..], &[0]].concat()] {
        ask(&mut client, &mut server, now, bad);
        assert_eq!(auth.on_packet(&mut server), Err(Error::Malformed));
    }
}

#[test]
fn every_failure_names_the_one_method_and_no_partial_success() {
    let (mut client, mut server, mut auth, now) = granted();
    let signed = key_fields(1, b"ssh-ed25519", b"key", &string(b"signature"));
    for request in [
        request("a", "ssh-connection", "none", b""),
        request("a", "ssh-connection", "password", b"\0\0\0\0\x01p"),
        request("a", "ssh-connection", "keyboard-interactive", b""),
        request("a", "ssh-other", "publickey", &signed),
        request("a", "", "publickey", &signed),
        publickey("a", &key_fields(0, b"\xff\xfe", b"key", b"")),
    ] {
        ask(&mut client, &mut server, now, &request);
        assert_eq!(auth.on_packet(&mut server), Ok(Request::Answered));
        assert_eq!(heard(&mut client, &mut server, now), [FAILURE]);
    }
}

#[test]
fn requests_sent_without_waiting_are_answered_each_and_in_order() {
    let (mut client, mut server, mut auth, now) = granted();
    let query = publickey("a", &key_fields(0, b"ssh-ed25519", b"key", b""));
    let none = request("a", "ssh-connection", "none", b"");
    for packet in [&none, &query, &none, &none] {
        client.send(&[packet]).unwrap();
    }
    carry(&mut client, &mut server);
    for _ in 0..4 {
        server.next(now).unwrap();
        if let Request::Query(attempt) = auth.on_packet(&mut server).unwrap() {
            ServerAuth::accept_query(&mut server, &attempt).unwrap();
        }
    }
    let numbers: Vec<_> = heard(&mut client, &mut server, now).iter().map(|p| p[0]).collect();
    assert_eq!(numbers, [51, 60, 51, 51]);
}

#[test]
fn a_query_is_answered_with_what_was_asked_byte_by_byte() {
    let (mut client, mut server, mut auth, now) = granted();
    for (algorithm, key) in [
        ("ssh-ed25519", &b"any bytes \x00\xff"[..]),
        ("rsa-sha2-512-cert-v01@openssh.com", &[7; 3000]),
        ("caf\u{e9}", b""),
        ("", b"x"),
    ] {
        let fields = key_fields(0, algorithm.as_bytes(), key, b"");
        ask(&mut client, &mut server, now, &publickey("a", &fields));
        let Ok(Request::Query(attempt)) = auth.on_packet(&mut server) else { panic!("no query") };
        ServerAuth::accept_query(&mut server, &attempt).unwrap();
        let expected = [&[message::USERAUTH_PK_OK], &fields[1..]].concat();
        assert_eq!(heard(&mut client, &mut server, now), [expected]);
    }
}

#[test]
fn success_and_banner_have_the_form_that_is_asked_for() {
    let (mut client, mut server, _, now) = granted();
    ServerAuth::banner(&mut server, "one\r\ntwo \u{e9}\r\n").unwrap();
    ServerAuth::succeed(&mut server).unwrap();
    let banner = [
        &[message::USERAUTH_BANNER][..],
        &string("one\r\ntwo \u{e9}\r\n".as_bytes()),
        &string(b""),
    ];
    assert_eq!(heard(&mut client, &mut server, now), [banner.concat(), vec![52]]);
}

#[test]
fn each_request_stands_for_itself() {
    let (mut client, mut server, mut auth, now) = granted();
    for (user, key) in [(&b"alice"[..], b"A"), (b"bob", b"B"), (b"\xff\0 \x1b", b"C"), (b"", b"D")]
    {
        for signed in [0, 1, 0xff] {
            let signature = if signed == 0 { Vec::new() } else { string(b"S") };
            let mut packet = vec![message::USERAUTH_REQUEST];
            for part in [user, b"ssh-connection", b"publickey"] {
                packet.put_string(part);
            }
            packet.extend_from_slice(&key_fields(signed, b"ssh-ed25519", key, &signature));
            ask(&mut client, &mut server, now, &packet);
            let attempt =
                Attempt { user: user.to_vec(), algorithm: "ssh-ed25519".into(), key: key.to_vec() };
            let expected = if signed == 0 {
                Request::Query(attempt)
            } else {
                // Session identifier and request up to the signature, every byte as it was sent.
                let mut message = string(server.session_id().unwrap());
                message.extend_from_slice(&packet[..packet.len() - 5]);
                Request::Signed { attempt, message, signature: b"S".to_vec() }
            };
            assert_eq!(auth.on_packet(&mut server), Ok(expected));
        }
    }
}

#[test]
fn a_request_with_missing_or_trailing_bytes_is_malformed() {
    for (signed, rest) in [(0, Vec::new()), (1, string(b"S"))] {
        let whole = publickey("a", &key_fields(signed, b"ssh-ed25519", b"key", &rest));
        let longer = [&whole[..], &[0]].concat();
        let cut = (1..whole.len()).map(|end| &whole[..end]);
        for bad in cut.chain([&longer[..]]) {
            let (mut client, mut server, mut auth, now) = granted();
            ask(&mut client, &mut server, now, bad);
            let result = auth.on_packet(&mut server);
            assert_eq!(result, Err(Error::Malformed), "{} bytes", bad.len());
        }
    }
}

#[test]
fn a_host_bound_signature_covers_the_host_key_of_this_connection() {
    let (mut client, mut server, mut auth, now) = granted();
    let host = server.host_key().unwrap().blob().to_vec();
    let ask_bound = |client: &mut Transport, server: &mut Transport, host: &[u8]| {
        let rest = [string(host), string(b"S")].concat();
        let fields = key_fields(1, b"ssh-ed25519", b"key", &rest);
        let method = "publickey-hostbound-v00@openssh.com";
        let packet = request("a", "ssh-connection", method, &fields);
        ask(client, server, now, &packet);
        packet
    };
    let packet = ask_bound(&mut client, &mut server, &host);
    let Ok(Request::Signed { message, .. }) = auth.on_packet(&mut server) else {
        panic!("not signed")
    };
    assert!(message.ends_with(&packet[..packet.len() - 5]));
    ask_bound(&mut client, &mut server, &host[1..]);
    assert!(matches!(auth.on_packet(&mut server), Err(Error::Protocol(_))));
    let (mut client, mut server, mut auth, now) = granted();
    let unbound = request(
        "a",
        "ssh-connection",
        "publickey-hostbound-v00@openssh.com",
        &key_fields(0, b"ssh-ed25519", b"key", b""),
    );
    ask(&mut client, &mut server, now, &unbound);
    assert_eq!(auth.on_packet(&mut server), Err(Error::Malformed));
}

/// Starts the client's half and lets the server say `answers`.
fn progress(answers: &[Vec<u8>]) -> Result<Progress, Error> {
    let (mut client, mut server, now) = pair();
    let mut auth = ClientAuth::start(&mut client, "a", Credential::None).unwrap();
    for answer in answers {
        server.send(&[answer]).unwrap();
    }
    carry(&mut server, &mut client);
    let mut last = Ok(Progress::Waiting);
    for _ in answers {
        client.next(now).unwrap();
        last = auth.on_packet(&mut client);
        if last != Ok(Progress::Waiting) {
            break;
        }
    }
    last
}

#[test]
fn the_client_half_takes_partial_success_as_a_refusal() {
    let accept = [&[message::SERVICE_ACCEPT][..], &string(b"ssh-userauth")].concat();
    let failure = |partial: u8| {
        [&[message::USERAUTH_FAILURE][..], &string(b"publickey,password"), &[partial]].concat()
    };
    for partial in [0, 1] {
        let answers = [accept.clone(), failure(partial)];
        assert_eq!(progress(&answers), Ok(Progress::Refused));
    }
    let banner = [&[message::USERAUTH_BANNER][..], &string(b"hi"), &string(b"en")].concat();
    let polite = [accept.clone(), banner.clone(), banner.clone(), vec![52]];
    assert_eq!(progress(&polite), Ok(Progress::Success));
    assert!(progress(&vec![banner; 65]).is_err(), "banners without end");
    // Only granted: neither the other service nor an answer before the grant.
    let other = [&[message::SERVICE_ACCEPT][..], &string(b"ssh-connection")].concat();
    assert!(progress(&[other]).is_err());
    assert!(progress(&[vec![52]]).is_err());
    assert!(progress(&[accept.clone(), accept]).is_err());
}

#[test]
fn the_client_half_signs_with_what_the_server_takes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/rsa");
    let file = ssh_key::PrivateKey::from_openssh(std::fs::read_to_string(path).unwrap()).unwrap();
    let rsa = Identity::from_private_key(&file).unwrap();
    for (taken, expected) in [
        (None, "rsa-sha2-512"),
        (Some("ssh-ed25519,rsa-sha2-256"), "rsa-sha2-256"),
        (Some("rsa-sha2-256,rsa-sha2-512"), "rsa-sha2-512"),
        (Some("ssh-rsa"), "rsa-sha2-512"),
        (Some(""), "rsa-sha2-512"),
    ] {
        assert_eq!(choose(&rsa, taken), expected, "{taken:?}");
    }
}
