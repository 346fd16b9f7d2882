//! What the documents ask of a transport, one test a rule. `docs/conformance.md` names them.

use super::{
    tests::{CIPHERS, METHODS, Pair},
    *,
};

/// Client and server, as [`Pair`] counts them.
const CLIENT: usize = 0;
const SERVER: usize = 1;

fn pair() -> Pair {
    Pair::new(CIPHERS[0], METHODS[0], RekeyLimits::default(), 4096)
}

/// Begins anew with a KEXINIT that offers `kex` and `follow` (what the side sends right behind it).
fn begin(side: &mut Transport, kex: Vec<&'static str>, guess: bool, follow: &[&[u8]]) {
    let offer = Offer { kex, ..side.params.offer.clone() };
    let mut kexinit = offer.kexinit(side.side(), true).unwrap();
    // Before the last field, four reserved bytes, stands whether a guess follows.
    let at = kexinit.len() - 5;
    kexinit[at] = u8::from(guess);
    side.output = Buffer::default();
    side.writer = PacketWriter::new();
    side.output.extend(side.params.ident.as_bytes());
    side.output.extend(b"\r\n");
    side.writer.seal(&[&kexinit], &mut side.output).unwrap();
    for packet in follow {
        side.writer.seal(&[packet], &mut side.output).unwrap();
    }
    side.exchange.as_mut().unwrap().own_kexinit = kexinit;
}

#[test]
fn a_wrong_guess_is_skipped_whatever_its_number() {
    let other = vec!["diffie-hellman-group-exchange-sha256", METHODS[0]];
    for number in 30..=49 {
        for (guesses, other_side) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
            let mut pair = pair();
            let guess = [number, 1, 2, 3];
            begin(&mut pair.sides[guesses], other.clone(), true, &[&guess]);
            pair.settle().unwrap();
            assert!(pair.sides[other_side].is_open(), "{number}");
        }
    }
    // One packet is skipped, not two.
    let mut pair = pair();
    begin(&mut pair.sides[CLIENT], other, true, &[&[34, 0], &[34, 0]]);
    assert!(pair.settle().is_err());
}

#[test]
fn a_right_guess_is_used() {
    let mut pair = pair();
    begin(&mut pair.sides[CLIENT], vec![METHODS[0]], true, &[]);
    pair.settle().unwrap();
    assert!(pair.sides[SERVER].is_open());
}
