//! What the door changes in packets that pass: sequences from both sides, against a model of what
//! each side must see.

use std::collections::VecDeque;

use containarium::{
    door::{
        intercept::{Intercept, OwnName, Verdict},
        observe::Observed,
    },
    wire::{
        codec::{Reader, Write},
        identity::Identity,
        signature::{SkPolicy, verify},
    },
};

use super::{
    choices::Choices,
    keys::{self, HOST},
    shown,
};

const SESSION: [u8; 32] = [7; 32];
const PROVE: &str = "hostkeys-prove-00@openssh.com";
const ANNOUNCE: &str = "hostkeys-00@openssh.com";
const ADDRESS: &str = "10.0.3.9";

/// Most packets of one input.
const MAX_PACKETS: usize = 64;

/// Reads `input` as packets from client and container.
pub fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    let own =
        OwnName { names: vec!["alice".into(), "alice-container".into()], address: ADDRESS.into() };
    let own = choices.flag().then_some(own);
    let named = own.is_some();
    let mut intercept = Intercept::new(HOST.clone(), SESSION, own);
    let (mut observed, mut model) = (Observed::default(), Model::default());
    for _ in 0..MAX_PACKETS {
        if choices.is_empty() {
            break;
        }
        let from_client = choices.flag();
        let packet = packet(&mut choices);
        let verdict = if from_client {
            observed.from_client(&packet);
            intercept.from_client(&packet)
        } else {
            observed.from_upstream(&packet);
            intercept.from_upstream(&packet)
        };
        shown::assert_harmless(&observed.last, 200);
        let Ok(verdict) = verdict else {
            // An error ends the connection. What may pass is never an error if it is well formed.
            assert!(matches!(packet.first(), None | Some(0..=80 | 90)), "refused: {packet:?}");
            return;
        };
        if let Verdict::Replace(other) = &verdict {
            assert!(other.len() <= packet.len() + 4096, "grows without measure");
        }
        if from_client {
            model.on_client(&packet, &verdict, named);
        } else {
            model.on_upstream(&packet, &verdict);
        }
    }
}

/// What is owed to the client, in order.
#[derive(Default)]
struct Model {
    /// For each reply: the host keys to prove, if the request was for that and is ours to answer.
    owed: VecDeque<Option<Vec<Vec<u8>>>>,
}

impl Model {
    fn on_client(&mut self, packet: &[u8], verdict: &Verdict, named: bool) {
        match packet[0] {
            50 => assert_eq!(*verdict, Verdict::Drop),
            80 => self.on_request(packet, verdict),
            90 => {
                let expected = redirected(packet).filter(|_| named);
                let expected = expected.map_or(Verdict::Forward, Verdict::Replace);
                assert_eq!(*verdict, expected);
            }
            _ => assert_eq!(*verdict, Verdict::Forward),
        }
    }

    fn on_request(&mut self, packet: &[u8], verdict: &Verdict) {
        let (name, wants_reply, rest) = request(packet).unwrap();
        let prove = name == PROVE.as_bytes();
        // A request that wants a reply must travel: replies are matched by order.
        match verdict {
            Verdict::Forward => assert!(!prove),
            Verdict::Replace(other) => {
                let (other, other_wants, _) = request(other).unwrap();
                assert!(prove && other_wants == wants_reply && other != name);
            }
            Verdict::Drop => panic!("a request was dropped"),
        }
        if wants_reply {
            let waiting = self.owed.iter().any(Option::is_some);
            let blobs = if prove && !waiting { ours(rest) } else { None };
            self.owed.push_back(blobs);
        }
    }

    fn on_upstream(&mut self, packet: &[u8], verdict: &Verdict) {
        match (packet[0], verdict) {
            (80, verdict) => {
                let (name, wants_reply, _) = request(packet).unwrap();
                let announces = name == ANNOUNCE.as_bytes();
                match verdict {
                    Verdict::Forward => assert!(!announces, "the container's host keys got out"),
                    Verdict::Drop => assert!(announces && !wants_reply),
                    Verdict::Replace(other) => {
                        let (other, wants_reply, rest) = request(other).unwrap();
                        assert!(announces && wants_reply && other != name && rest.is_empty());
                    }
                }
            }
            (81 | 82, verdict) => match (self.owed.pop_front().flatten(), verdict) {
                (None, verdict) => assert_eq!(*verdict, Verdict::Forward),
                (Some(blobs), Verdict::Replace(proof)) => assert_proof(&blobs, proof),
                (Some(_), verdict) => panic!("no proof: {verdict:?}"),
            },
            (_, verdict) => assert_eq!(*verdict, Verdict::Forward),
        }
    }
}

/// Name, whether a reply is wanted, and the rest of a global request.
fn request(packet: &[u8]) -> Option<(&[u8], bool, &[u8])> {
    let mut r = Reader::new(packet.get(1..)?);
    Some((r.string().ok()?, r.boolean().ok()?, r.rest()))
}

/// The host keys that a request for proofs lists, if all are ours and not too many.
fn ours(list: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut r = Reader::new(list);
    let mut blobs = Vec::new();
    while !r.rest().is_empty() {
        let blob = r.string().ok()?;
        HOST.iter().find(|identity| identity.public_key().blob() == blob)?;
        blobs.push(blob.to_vec());
    }
    (blobs.len() <= 16).then_some(blobs)
}

fn assert_proof(blobs: &[Vec<u8>], proof: &[u8]) {
    assert_eq!(proof[0], 81);
    let mut r = Reader::new(&proof[1..]);
    for blob in blobs {
        let mut signed = Vec::new();
        signed.put_string(PROVE.as_bytes());
        signed.put_string(&SESSION);
        signed.put_string(blob);
        let key = HOST.iter().map(Identity::public_key).find(|key| key.blob() == blob).unwrap();
        let signature = r.string().unwrap();
        assert!(verify(key, key.algorithm(), &signed, signature, SkPolicy::default()).is_ok());
    }
    assert!(r.rest().is_empty());
}

/// A `direct-tcpip` to the container's own name, with the address in its place.
fn redirected(packet: &[u8]) -> Option<Vec<u8>> {
    let mut r = Reader::new(packet.get(1..)?);
    if r.string().ok()? != b"direct-tcpip" {
        return None;
    }
    r.bytes(12).ok()?;
    let head = packet.len() - r.rest().len();
    let host = r.string().ok()?.to_ascii_lowercase();
    if host != b"alice" && host != b"alice-container" {
        return None;
    }
    let mut out = packet[..head].to_vec();
    out.put_string(ADDRESS.as_bytes());
    out.extend_from_slice(r.rest());
    Some(out)
}

fn packet(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match choices.byte() % 8 {
        0 => {
            out.push(80);
            out.put_string(choices.one(&[PROVE, ANNOUNCE, "keepalive@openssh.com", ""]).as_bytes());
            out.put_boolean(choices.byte() < 192);
            for _ in 0..choices.one(&[1, 2, 0, 16, 17]) {
                let key = match choices.byte() {
                    0..200 => &HOST[choices.below(2)],
                    _ => &keys::OTHER,
                };
                out.put_string(key.public_key().blob());
            }
        }
        1 => out.push(81),
        2 => out.push(82),
        3 => {
            out.push(90);
            out.put_string(choices.one(&["direct-tcpip", "session", "x11\x1b[2J"]).as_bytes());
            out.extend_from_slice(&[1; 12]);
            let hosts = ["alice", "Alice", "alice-container", "localhost", "alice.", ""];
            out.put_string(choices.one(&hosts).as_bytes());
            out.put_uint32(80);
            out.put_string(b"127.0.0.1");
            out.put_uint32(1);
        }
        4 => {
            out.push(98);
            out.put_uint32(0);
            out.put_string(choices.one(&["exec", "shell", "subsystem", "env"]).as_bytes());
            out.put_boolean(choices.flag());
            out.put_string(choices.bytes());
        }
        5 => {
            out.push(94);
            out.put_uint32(0);
            out.put_string(choices.bytes());
        }
        6 => out.push(50),
        _ => out.extend_from_slice(choices.bytes()),
    }
    if choices.byte() > 200 {
        choices.mutate(&mut out);
    }
    out
}
