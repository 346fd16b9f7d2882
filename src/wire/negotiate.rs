//! KEXINIT: what both sides offer and what follows from it (RFC 4253, section 7.1).

use aws_lc_rs::rand;

use super::{
    cipher::{Cipher, Mac, Suite},
    codec::{Reader, Write},
    error::Error,
    kex::KexAlgorithm,
    message,
};

/// Asks for `EXT_INFO` (RFC 8308, section 2.1); sent by clients in the first KEXINIT.
const EXT_INFO_C: &str = "ext-info-c";
/// Strict key exchange (OpenSSH PROTOCOL, "strict key exchange extension"), client and server form.
const STRICT: [&str; 2] = ["kex-strict-c-v00@openssh.com", "kex-strict-s-v00@openssh.com"];

/// Which side of a connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It connected.
    Client,
    /// It was connected to.
    Server,
}

/// The algorithms of one side, in its order of preference.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Key exchange methods.
    pub kex: Vec<&'static str>,
    /// Host key algorithms.
    pub host_key: Vec<&'static str>,
    /// Ciphers, both directions.
    pub cipher: Vec<&'static str>,
    /// MACs, both directions.
    pub mac: Vec<&'static str>,
}

const KEX: [&str; 3] =
    ["mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org"];

/// Encrypt-then-MAC, and `hmac-sha2-256`, than which paramiko, dropbear and libssh2 before 1.11
/// ask for nothing better with AES-CTR. No client is known that needs `hmac-sha2-512`.
const MAC: [&str; 3] =
    ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256"];

/// The MACs that an sshd behind the door may be configured to insist on.
const UPSTREAM_MAC: [&str; 4] = [MAC[0], MAC[1], MAC[2], "hmac-sha2-512"];

impl Offer {
    /// What the door offers: the client's order decides, so ours is only information.
    #[must_use]
    pub fn front(host_key: Vec<&'static str>) -> Self {
        let cipher = vec![
            "chacha20-poly1305@openssh.com",
            "aes128-gcm@openssh.com",
            "aes256-gcm@openssh.com",
            "aes128-ctr",
            "aes192-ctr",
            "aes256-ctr",
        ];
        Self { kex: KEX.into(), host_key, cipher, mac: MAC.into() }
    }

    /// What the door asks of an sshd behind it. Post-quantum exchange comes first here too; the
    /// cipher is the cheapest there is (`docs/benchmarks.md`).
    #[must_use]
    pub fn upstream(host_key: Vec<&'static str>) -> Self {
        let cipher = vec![
            "aes128-gcm@openssh.com",
            "aes256-gcm@openssh.com",
            "chacha20-poly1305@openssh.com",
            "aes128-ctr",
            "aes256-ctr",
        ];
        Self { kex: KEX.into(), host_key, cipher, mac: UPSTREAM_MAC.into() }
    }

    /// The KEXINIT payload of this offer. `first`: it opens the connection, so the extension
    /// markers belong in it.
    ///
    /// # Errors
    /// No random bytes are to be had.
    pub fn kexinit(&self, side: Side, first: bool) -> Result<Vec<u8>, Error> {
        let mut cookie = [0; 16];
        rand::fill(&mut cookie).map_err(|_| Error::Crypto)?;
        let mut kex = self.kex.clone();
        if first {
            match side {
                Side::Client => kex.extend([EXT_INFO_C, STRICT[0]]),
                Side::Server => kex.push(STRICT[1]),
            }
        }
        let mut out = vec![message::KEXINIT];
        out.extend_from_slice(&cookie);
        let none = vec!["none"];
        let lists =
            [&kex, &self.host_key, &self.cipher, &self.cipher, &self.mac, &self.mac, &none, &none];
        for list in lists {
            out.put_string(list.join(",").as_bytes());
        }
        out.put_string(b"");
        out.put_string(b"");
        out.put_boolean(false);
        out.put_uint32(0);
        Ok(out)
    }
}

/// A parsed KEXINIT.
#[derive(Debug)]
pub struct KexInit<'a> {
    lists: [&'a str; 8],
    /// A guessed key exchange packet follows.
    pub first_kex_packet_follows: bool,
}

impl<'a> KexInit<'a> {
    /// Parses a payload, message number included.
    ///
    /// # Errors
    /// It is malformed.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(payload);
        r.bytes(17)?;
        let mut lists = [""; 8];
        for list in &mut lists {
            *list = r.text()?;
        }
        r.string()?;
        r.string()?;
        let first_kex_packet_follows = r.boolean()?;
        r.uint32()?;
        r.end()?;
        Ok(Self { lists, first_kex_packet_follows })
    }

    fn list(&self, index: usize) -> impl Iterator<Item = &'a str> + use<'a> {
        self.lists[index].split(',').filter(|name| !name.is_empty())
    }

    /// Whether the side that sent this asks for strict key exchange.
    #[must_use]
    pub fn strict(&self, side: Side) -> bool {
        let marker = STRICT[usize::from(side == Side::Server)];
        self.list(0).any(|name| name == marker)
    }

    /// Whether a client asks for `EXT_INFO`.
    #[must_use]
    pub fn wants_ext_info(&self) -> bool {
        self.list(0).any(|name| name == EXT_INFO_C)
    }
}

/// What two KEXINITs agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Algorithms {
    /// The key exchange.
    pub kex: KexAlgorithm,
    /// The host key algorithm.
    pub host_key: String,
    /// Client to server.
    pub up: Suite,
    /// Server to client.
    pub down: Suite,
    /// The guessed packets that the two sides may have sent are to be skipped.
    pub guess_wrong: bool,
}

/// Chooses the algorithms: the first of the client's that the server has, too.
///
/// # Errors
/// There is none in common.
pub fn negotiate(client: &KexInit<'_>, server: &KexInit<'_>) -> Result<Algorithms, Error> {
    let common = |index: usize, what: &'static str| {
        let found = client.list(index).find(|c| server.list(index).any(|s| s == *c));
        found.ok_or(Error::NoCommon(what))
    };
    let is_method = |name: &&str| KexAlgorithm::from_name(name).is_some();
    // Markers such as ext-info-c are in the list but are no methods.
    let kex_name = client
        .list(0)
        .filter(is_method)
        .find(|c| server.list(0).any(|s| s == *c))
        .ok_or(Error::NoCommon("key exchange"))?;
    let kex = KexAlgorithm::from_name(kex_name).ok_or(Error::NoCommon("key exchange"))?;
    let host_key = common(1, "host key")?.to_owned();
    let suite = |index: usize| {
        let cipher =
            Cipher::from_name(common(index, "cipher")?).ok_or(Error::NoCommon("cipher"))?;
        let mac = if cipher.is_aead() {
            None
        } else {
            Some(Mac::from_name(common(index + 2, "MAC")?).ok_or(Error::NoCommon("MAC"))?)
        };
        Ok::<_, Error>(Suite { cipher, mac })
    };
    let (up, down) = (suite(2)?, suite(3)?);
    common(6, "compression")?;
    common(7, "compression")?;
    let guess_wrong = client.list(0).next() != server.list(0).next()
        || client.list(1).next() != server.list(1).next();
    Ok(Algorithms { kex, host_key, up, down, guess_wrong })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offer() -> Offer {
        Offer::front(vec!["ssh-ed25519", "rsa-sha2-512"])
    }

    #[test]
    fn the_clients_order_decides() {
        let server = offer().kexinit(Side::Server, true).unwrap();
        let client = Offer {
            kex: vec!["sntrup761x25519-sha512", "curve25519-sha256", "mlkem768x25519-sha256"],
            host_key: vec!["rsa-sha2-512", "ssh-ed25519"],
            cipher: vec!["aes256-ctr", "aes128-gcm@openssh.com"],
            mac: vec!["umac-64@openssh.com", "hmac-sha2-512", "hmac-sha2-256"],
        }
        .kexinit(Side::Client, true)
        .unwrap();
        let (client, server) = (KexInit::parse(&client).unwrap(), KexInit::parse(&server).unwrap());
        let agreed = negotiate(&client, &server).unwrap();
        assert_eq!(agreed.kex, KexAlgorithm::Curve25519);
        assert_eq!(agreed.host_key, "rsa-sha2-512");
        assert_eq!(agreed.up.cipher, Cipher::Aes256Ctr);
        assert_eq!(agreed.down.mac, Mac::from_name("hmac-sha2-256"));
        assert!(agreed.guess_wrong);
        assert!(client.strict(Side::Client) && server.strict(Side::Server));
        assert!(!client.strict(Side::Server) && client.wants_ext_info());
    }

    #[test]
    fn markers_are_never_chosen_and_nothing_in_common_is_an_error() {
        let server = offer().kexinit(Side::Server, true).unwrap();
        for (kex, cipher, what) in [
            ("ext-info-c", "aes256-ctr", "key exchange"),
            ("kex-strict-s-v00@openssh.com", "aes256-ctr", "key exchange"),
            ("diffie-hellman-group14-sha1", "aes256-ctr", "key exchange"),
            ("curve25519-sha256", "3des-cbc", "cipher"),
        ] {
            let client = Offer { kex: vec![kex], cipher: vec![cipher], ..offer() };
            let client = client.kexinit(Side::Client, true).unwrap();
            let (c, s) = (KexInit::parse(&client).unwrap(), KexInit::parse(&server).unwrap());
            assert_eq!(negotiate(&c, &s), Err(Error::NoCommon(what)), "{kex}");
        }
    }

    #[test]
    fn our_kexinit_has_the_form_that_rfc_4253_asks_for() {
        let host_key = crate::wire::signature::SERVER_SIG_ALGS.to_vec();
        for side in [Side::Client, Side::Server] {
            for first in [true, false] {
                for offer in [Offer::front(host_key.clone()), Offer::upstream(host_key.clone())] {
                    let (a, b) =
                        (offer.kexinit(side, first).unwrap(), offer.kexinit(side, first).unwrap());
                    assert_ne!(a[1..17], b[1..17], "the cookie is random");
                    assert_eq!(a[17..], b[17..]);
                    // No languages, no guess, and zero for what is reserved.
                    assert!(a.ends_with(&[0; 4 + 4 + 1 + 4]));
                    let kexinit = KexInit::parse(&a).unwrap();
                    assert_eq!(kexinit.strict(side), first, "markers are for the first one");
                    assert_eq!(kexinit.wants_ext_info(), first && side == Side::Client);
                    assert_eq!(kexinit.lists[6..], ["none"; 2]);
                    for name in kexinit.lists.iter().flat_map(|list| list.split(',')) {
                        assert!(is_name(name), "{name}");
                    }
                    assert!(kexinit.lists.iter().all(|list| !list.contains("sha1")));
                }
            }
        }
    }

    /// Whether RFC 4251, section 6, allows this name.
    fn is_name(name: &str) -> bool {
        let (local, domain) = name.split_once('@').unwrap_or((name, "x.y"));
        let printable = name.bytes().all(|b| b.is_ascii_graphic() && b != b',');
        printable && !local.is_empty() && name.len() <= 64 && domain.split('.').count() > 1
    }

    /// A KEXINIT with these lists.
    fn lists(lists: [&[u8]; 8]) -> Vec<u8> {
        let mut out = vec![message::KEXINIT];
        out.extend_from_slice(&[0; 16]);
        for list in lists {
            out.put_string(list);
        }
        out.extend_from_slice(&[0; 13]);
        out
    }

    #[test]
    fn names_that_are_none_are_passed_over_and_never_chosen() {
        let server = offer().kexinit(Side::Server, false).unwrap();
        let server = KexInit::parse(&server).unwrap();
        let long = [b'x'; 65];
        let kex = [b",,curve25519-sha256 ,Curve25519-SHA256,", &long[..], b",curve25519-sha256,"];
        let kex = kex.concat();
        let client = lists([
            &kex,
            b"ssh-ed25519\0,,ssh-ed25519",
            b"aes128-ctr\n,aes256-ctr",
            b"aes256-ctr",
            b"hmac-sha2-256",
            b",hmac-sha2-512-etm@openssh.com",
            b"none",
            b"zlib,none",
        ]);
        let agreed = negotiate(&KexInit::parse(&client).unwrap(), &server).unwrap();
        assert_eq!(agreed.kex, KexAlgorithm::Curve25519);
        assert_eq!(agreed.host_key, "ssh-ed25519");
        assert_eq!(agreed.up.cipher, Cipher::Aes256Ctr);
        // The two directions are chosen each by itself.
        assert_eq!(agreed.up.mac, Mac::from_name("hmac-sha2-256"));
        assert_eq!(agreed.down.mac, Mac::from_name("hmac-sha2-512-etm@openssh.com"));
        for index in 0..8 {
            for bad in [&b"\xff"[..], b"", b"zlib", &long] {
                let mut parts: [&[u8]; 8] = [
                    b"curve25519-sha256",
                    b"ssh-ed25519",
                    b"aes128-ctr",
                    b"aes128-ctr",
                    b"hmac-sha2-256",
                    b"hmac-sha2-256",
                    b"none",
                    b"none",
                ];
                parts[index] = bad;
                let client = lists(parts);
                let agreed = KexInit::parse(&client).and_then(|c| negotiate(&c, &server));
                assert!(agreed.is_err(), "{index} {bad:?}");
            }
        }
    }

    #[test]
    fn a_cipher_that_authenticates_needs_no_mac_in_common() {
        let server = offer().kexinit(Side::Server, false).unwrap();
        let server = KexInit::parse(&server).unwrap();
        for cipher in ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr"] {
            let client = Offer { cipher: vec![cipher], mac: vec!["hmac-sha1"], ..offer() };
            let client = client.kexinit(Side::Client, false).unwrap();
            let agreed = negotiate(&KexInit::parse(&client).unwrap(), &server);
            assert_eq!(agreed.is_ok(), cipher != "aes128-ctr", "{cipher}");
        }
    }

    #[test]
    fn a_guess_is_right_if_both_prefer_the_same_method_and_host_key() {
        let server = offer().kexinit(Side::Server, false).unwrap();
        let server = KexInit::parse(&server).unwrap();
        for (kex, host_key, wrong) in [
            (KEX[0], "ssh-ed25519", false),
            (KEX[1], "ssh-ed25519", true),
            (KEX[0], "rsa-sha2-512", true),
        ] {
            let client = Offer { kex: vec![kex], host_key: vec![host_key], ..offer() };
            let client = client.kexinit(Side::Client, true).unwrap();
            let agreed = negotiate(&KexInit::parse(&client).unwrap(), &server).unwrap();
            assert_eq!(agreed.guess_wrong, wrong, "{kex} {host_key}");
        }
    }

    #[test]
    fn a_kexinit_cut_anywhere_is_refused() {
        let whole = offer().kexinit(Side::Server, true).unwrap();
        for end in 0..whole.len() {
            assert!(KexInit::parse(&whole[..end]).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused(bytes: Vec<u8>) {
            let _ = KexInit::parse(&bytes);
        }
    }
}
