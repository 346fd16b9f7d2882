//! An sshd that lets nobody in, or everybody, in ways that no sshd has.

use std::thread;

use containarium::wire::{
    message,
    negotiate::{Offer, Side},
};

use crate::{
    fixture::{Evil, Sentinel, member},
    peer::{Answer, Payload, Peer},
};

/// The stages of a login at which an sshd can say something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Nothing,
    Ident,
    Kexinit,
    Established,
    Accepted,
}

const STAGES: [Stage; 5] =
    [Stage::Nothing, Stage::Ident, Stage::Kexinit, Stage::Established, Stage::Accepted];

/// Brings an sshd's side of a login to a stage.
fn bring(far: &mut Peer, evil: &Evil, stage: Stage) {
    match stage {
        Stage::Nothing => {}
        Stage::Ident => far.greet("SSH-2.0-evil"),
        Stage::Kexinit => {
            far.greet("SSH-2.0-evil");
            let own = Offer::front(vec!["ssh-ed25519"]).kexinit(Side::Server, true).unwrap();
            far.kexinits(Side::Server, &own);
        }
        Stage::Established | Stage::Accepted => {
            far.greet("SSH-2.0-evil");
            far.shake_hands(&evil.host_key);
            if stage == Stage::Accepted {
                far.next_number(message::SERVICE_REQUEST);
                far.send(&Payload::new(message::SERVICE_ACCEPT).string("ssh-userauth").0);
            }
        }
    }
}

/// Has an sshd say `payloads` at a stage, and returns what the person is told.
fn said(evil: &Evil, sentinel: &Sentinel, stage: Stage, payloads: &[Vec<u8>]) -> String {
    let told = evil.apology(sentinel, |mut far| {
        bring(&mut far, evil, stage);
        for payload in payloads {
            far.send(payload);
        }
        far.rx.skip_to_end();
    });
    assert!([Some(75), Some(69)].contains(&told.status), "{told:?}");
    assert!(told.err.starts_with("error: evil "), "{told:?}");
    told.err
}

/// 311f6cf of russh, CVE-2026-55199 and others: what no sshd says at that point ends the login with
/// one sentence for the person; nothing that it claims is counted or kept.
#[test]
fn whatever_an_sshd_says_instead_the_person_hears_one_sentence() {
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    let before = sentinel.forget_peak();
    let all = u32::MAX;
    let prompts = Payload::new(60).string("").string("").string("").uint32(all).0;
    let claims = Payload::new(message::EXT_INFO).uint32(all).string("a").string("b").0;
    let mut surprises = vec![
        vec![prompts],
        vec![claims],
        vec![Payload::new(message::EXT_INFO).uint32(0).0; 3],
        vec![Payload::new(message::USERAUTH_BANNER).string("\u{1b}]52;c;x\u{7}").string("").0; 65],
        vec![Payload::new(message::USERAUTH_PK_OK).string("ssh-ed25519").string("x").0],
        vec![Payload::session(0, 1, 1)],
        vec![Payload::global("hostkeys-00@openssh.com", true)],
        vec![Payload::new(message::USERAUTH_REQUEST).string("root").string("x").string("none").0],
        vec![Payload::new(message::SERVICE_REQUEST).string("ssh-userauth").0],
        vec![Payload::new(message::KEX_ECDH_REPLY).string("x").string("y").string("z").0],
        vec![vec![message::NEWKEYS]],
        vec![vec![message::KEXINIT]],
        vec![vec![message::DISCONNECT]],
        vec![Payload::new(message::DISCONNECT).uint32(all).uint32(all).0],
        vec![vec![255; 100]],
    ];
    surprises.extend((61..=66).map(|number| vec![vec![number]]));
    for payloads in &surprises {
        for stage in [Stage::Ident, Stage::Kexinit, Stage::Established, Stage::Accepted] {
            said(&evil, &sentinel, stage, payloads);
        }
    }
    // In, before anything was accepted; and refused.
    said(&evil, &sentinel, Stage::Established, &[vec![message::USERAUTH_SUCCESS]]);
    let failure = Payload::new(message::USERAUTH_FAILURE).string("password").boolean(true).0;
    let told = said(&evil, &sentinel, Stage::Accepted, &[failure]);
    assert!(told.contains("does not accept the sentinel's key"), "{told}");
    sentinel.assert_peak(before, 1024);
}

/// CVE-2026-46702 (a compressed packet that unpacks without end), and whatever else is not spoken:
/// an sshd that has nothing in common is told so, and the person, too.
#[test]
fn an_sshd_cannot_ask_for_what_is_not_spoken() {
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    let lists = |at: usize, value: &str| {
        let mut payload = Payload::new(message::KEXINIT).bytes(&[7; 16]);
        let aead = "aes128-gcm@openssh.com";
        let own = ["curve25519-sha256", "ssh-ed25519", aead, aead, "", "", "none", "none", "", ""];
        for (number, list) in own.into_iter().enumerate() {
            payload = payload.string(if number == at { value } else { list });
        }
        payload.boolean(false).uint32(0).0
    };
    for (at, value, what) in [
        (0, "diffie-hellman-group14-sha1", "key exchange"),
        (0, "kex-strict-s-v00@openssh.com,ext-info-s", "key exchange"),
        (1, "ssh-rsa", "host key"),
        (1, "ssh-dss,null", "host key"),
        (2, "none", "cipher"),
        (3, "3des-cbc,arcfour", "cipher"),
        (6, "zlib,zlib@openssh.com", "compression"),
        (7, "zlib@openssh.com", "compression"),
    ] {
        let told = said(&evil, &sentinel, Stage::Ident, &[lists(at, value)]);
        assert!(told.contains(&format!("no common {what} algorithm")), "{value}: {told}");
    }
    // Many names are many, and no more.
    let many = "x,".repeat(15_000);
    for at in 0..10 {
        said(&evil, &sentinel, Stage::Ident, &[lists(at, &many), vec![9]]);
    }
    for end in [1, 16, 17, 20, 40, 100] {
        said(&evil, &sentinel, Stage::Ident, &[lists(99, "")[..end].to_vec()]);
    }
}

/// An sshd that talks for ever without saying anything, and one that says nothing, at every stage:
/// the person is told within the time that one way may take.
#[test]
fn an_sshd_that_never_decides_is_left() {
    let sshds: Vec<(Evil, Stage, bool)> = STAGES
        .into_iter()
        .flat_map(|stage| [false, true].map(|talks| (Evil::listen(), stage, talks)))
        .collect();
    let sections: Vec<String> = sshds
        .iter()
        .enumerate()
        .map(|(n, (evil, ..))| evil.section().replace("\"evil\"", &format!("\"evil-{n}\"")))
        .collect();
    let sentinel = Sentinel::start(&sections.concat());
    let before = sentinel.forget_peak();
    // All at once: each of them takes as long as it may.
    thread::scope(|scope| {
        for (n, (evil, stage, talks)) in sshds.iter().enumerate() {
            let sentinel = &sentinel;
            scope.spawn(move || {
                let mut near = sentinel.serviced();
                let told = match near.try_log_in(&format!("evil-{n}"), member()) {
                    Answer::Success => near.run("true"),
                    other => panic!("{other:?}"),
                };
                assert_eq!(told.status, Some(75), "{stage:?} {talks}: {told:?}");
            });
            scope.spawn(move || {
                let mut far = evil.accept();
                bring(&mut far, evil, *stage);
                if *talks {
                    let debug = Payload::new(message::DEBUG).boolean(true).string("x");
                    let debug = debug.string("").0;
                    far.tx.flood(1_000_000, |_| debug.clone());
                }
                far.rx.skip_to_end();
            });
        }
    });
    // Some 200 KiB for each of them, most of it the apologies.
    sentinel.assert_peak(before, 10 * 200);
}
