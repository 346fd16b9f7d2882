//! KEXINIT messages: any bytes, and lists put together from names known and unknown.

use containarium::wire::{
    cipher::Cipher,
    codec::{Reader, Write},
    error::Error,
    kex::KexAlgorithm,
    negotiate::{Algorithms, KexInit, Offer, Side, negotiate},
};

use super::choices::Choices;

const NAMES: [&[&str]; 4] = [
    &[
        "mlkem768x25519-sha256",
        "curve25519-sha256",
        "curve25519-sha256@libssh.org",
        "diffie-hellman-group14-sha1",
        "ext-info-c",
        "kex-strict-c-v00@openssh.com",
        "kex-strict-s-v00@openssh.com",
        "",
    ],
    &["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256", "ssh-rsa", "ecdsa-sha2-nistp256", ""],
    &[
        "chacha20-poly1305@openssh.com",
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
        "3des-cbc",
        "none",
    ],
    &[
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-512",
        "hmac-sha1",
        "none",
        "",
    ],
];

/// Reads `input` as a KEXINIT of a stranger, client or server, who meets ours.
pub fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    let ours_is_server = choices.flag();
    let payload = if choices.flag() { assembled(&mut choices) } else { choices.rest().to_vec() };
    let keys = vec!["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"];
    let (offer, side) = if ours_is_server {
        (Offer::front(keys), Side::Server)
    } else {
        (Offer::upstream(keys), Side::Client)
    };
    let own = offer.kexinit(side, true).unwrap();
    let parsed = KexInit::parse(&payload);
    let lists = lists(&payload);
    assert_eq!(parsed.is_ok(), lists.is_some(), "read by one, not by the other");
    let (Ok(theirs), Some(their_lists)) = (parsed, lists) else { return };
    let (ours, our_lists) = (KexInit::parse(&own).unwrap(), self::lists(&own).unwrap());
    let marks = |mark: &str| has(&their_lists[0], mark);
    assert_eq!(theirs.strict(Side::Client), marks("kex-strict-c-v00@openssh.com"));
    assert_eq!(theirs.strict(Side::Server), marks("kex-strict-s-v00@openssh.com"));
    assert_eq!(theirs.wants_ext_info(), marks("ext-info-c"));
    let (client, server) = if ours_is_server { (&theirs, &ours) } else { (&ours, &theirs) };
    let found = negotiate(client, server);
    let (client, server) =
        if ours_is_server { (&their_lists, &our_lists) } else { (&our_lists, &their_lists) };
    compare(found, client, server);
}

type Lists = [String; 8];

/// RFC 4253, section 7.1: the first of the client's that the server has.
fn compare(found: Result<Algorithms, Error>, client: &Lists, server: &Lists) {
    let common = |index: usize| {
        let method = |name: &str| index > 0 || KexAlgorithm::from_name(name).is_some();
        let mut names = client[index].split(',').filter(|name| !name.is_empty() && method(name));
        names.find(|name| has(&server[index], name))
    };
    let ciphers = [2, 3].map(|index| common(index).and_then(Cipher::from_name));
    let macs = [2, 3].map(|index| match ciphers[index - 2] {
        Some(cipher) if cipher.is_aead() => Some(None),
        _ => common(index + 2).map(Some),
    });
    let fine = common(0).is_some()
        && common(1).is_some()
        && ciphers.iter().all(Option::is_some)
        && macs.iter().all(Option::is_some)
        && common(6).is_some()
        && common(7).is_some();
    assert_eq!(found.is_ok(), fine, "{client:?} {server:?} {found:?}");
    let Ok(found) = found else { return };
    assert_eq!(Some(found.kex), common(0).and_then(KexAlgorithm::from_name));
    assert_eq!(Some(found.host_key.as_str()), common(1));
    assert_eq!([Some(found.up.cipher), Some(found.down.cipher)], ciphers);
    for suite in [found.up, found.down] {
        assert_eq!(suite.mac.is_none(), suite.cipher.is_aead());
    }
    let first = |list: &str| list.split(',').find(|name| !name.is_empty()).map(str::to_owned);
    let right = [0, 1].iter().all(|i| first(&client[*i]) == first(&server[*i]));
    assert_eq!(found.guess_wrong, !right, "which packet to skip");
}

fn has(list: &str, name: &str) -> bool {
    list.split(',').any(|other| other == name)
}

/// The lists of a KEXINIT, read a second time.
fn lists(payload: &[u8]) -> Option<Lists> {
    let mut r = Reader::new(payload.get(17..)?);
    let mut lists = Lists::default();
    for list in &mut lists {
        list.push_str(r.text().ok()?);
    }
    r.string().ok()?;
    r.string().ok()?;
    r.bytes(5).ok()?;
    r.rest().is_empty().then_some(lists)
}

fn assembled(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut payload = vec![20];
    payload.extend_from_slice(&[7; 16]);
    for names in [0, 1, 2, 2, 3, 3].map(|index: usize| NAMES[index]) {
        let count = choices.below(6);
        let list: Vec<_> = (0..count).map(|_| choices.one(names)).collect();
        payload.put_string(list.join(",").as_bytes());
    }
    for _ in 0..2 {
        payload.put_string(choices.one(&["none", "zlib,none", "zlib@openssh.com", ""]).as_bytes());
    }
    payload.put_string(b"");
    payload.put_string(choices.bytes());
    payload.put_boolean(choices.flag());
    payload.put_uint32(0);
    if choices.flag() {
        choices.mutate(&mut payload);
    }
    payload
}
