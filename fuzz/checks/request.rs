//! Messages that a client may send before it is let in: right ones, wrong ones, changed ones.

use std::sync::Arc;

use containarium::wire::{
    codec::Write,
    identity::Identity,
    message::{SERVICE_REQUEST, USERAUTH_REQUEST},
};

use super::{choices::Choices, keys};

/// A message.
pub struct Made {
    /// As it is sent.
    pub bytes: Vec<u8>,
    /// What it would be with a right signature, and by whom.
    genuine: Option<(Vec<u8>, Arc<Identity>)>,
    /// It is a well-formed request of a kind that a client may send at this time.
    pub is_proper: bool,
    /// The login name.
    pub user: &'static str,
    /// A certificate is shown instead of the key.
    pub certified: bool,
    /// It is bound to the first host key.
    pub bound: bool,
}

impl Made {
    /// Who truly signed it, as it is, for the session and the key that it names. Two changes may
    /// have made good what each of them broke.
    pub fn signed_by(&self) -> Option<&Arc<Identity>> {
        let (bytes, signer) = self.genuine.as_ref()?;
        (*bytes == self.bytes).then_some(signer)
    }
}

/// A certificate that may be shown instead of a key, and the key that it is for.
pub type Certified = (Arc<Identity>, Vec<u8>);

/// Login names.
pub const USERS: [&str; 8] =
    ["alice", "ops", "alice+alice", "alice+root", "git", "nobody", "", "al\u{202e}ice\x1b[2J"];

/// Any message.
pub fn any(choices: &mut Choices<'_>, session: &[u8; 32], certificates: &[Certified]) -> Made {
    let mut made = match choices.byte() % 8 {
        0 | 1 => proper(service(choices)),
        2..=4 => by_key(choices, session, certificates),
        5 => by_other_method(choices),
        _ => {
            let mut bytes = vec![choices.byte()];
            bytes.extend_from_slice(choices.bytes());
            Made { is_proper: false, ..proper(bytes) }
        }
    };
    if choices.byte() > 192 && choices.mutate(&mut made.bytes) {
        made.is_proper = false;
    }
    made
}

fn proper(bytes: Vec<u8>) -> Made {
    Made { bytes, genuine: None, is_proper: true, user: "", certified: false, bound: false }
}

/// A request for a service; the right one, most of the time.
fn service(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut out = vec![SERVICE_REQUEST];
    let name = match choices.byte() {
        0..250 => "ssh-userauth",
        _ => choices.one(&["ssh-connection", "", "ssh-userauth\0"]),
    };
    out.put_string(name.as_bytes());
    out
}

/// A `publickey` request: a query, or signed by one of the keys.
fn by_key(choices: &mut Choices<'_>, session: &[u8; 32], certificates: &[Certified]) -> Made {
    let user = choices.one(&USERS);
    let signer = match choices.byte() % 8 {
        0..=3 => &keys::USER,
        4 => &keys::OTHER,
        _ => &keys::EVERY[choices.below(keys::EVERY.len())],
    };
    let algorithm = choices.one(signer.algorithms());
    let (mut name, mut shown, mut certified) =
        (algorithm.to_owned(), signer.public_key().blob(), false);
    let mut holder = signer;
    if !certificates.is_empty() && choices.byte() % 4 == 1 {
        let (of, blob) = &certificates[choices.below(certificates.len())];
        (name, shown, certified) = ("ssh-ed25519-cert-v01@openssh.com".into(), blob, true);
        holder = of;
    }
    let (is_signed, bound) = (choices.flag(), choices.byte() % 8 == 1);
    let mut bytes = vec![USERAUTH_REQUEST];
    bytes.put_string(user.as_bytes());
    bytes.put_string(b"ssh-connection");
    let method = if bound { "publickey-hostbound-v00@openssh.com" } else { "publickey" };
    bytes.put_string(method.as_bytes());
    bytes.put_boolean(is_signed);
    bytes.put_string(name.as_bytes());
    bytes.put_string(shown);
    if bound {
        bytes.put_string(keys::first().public_key().blob());
    }
    let mut made = Made { user, certified, bound, ..proper(bytes) };
    if is_signed {
        sign(choices, session, (holder, algorithm), &mut made);
    }
    made
}

/// Appends a signature, which is right only if it is by the key shown, for this session.
fn sign(
    choices: &mut Choices<'_>,
    session: &[u8; 32],
    (holder, algorithm): (&Arc<Identity>, &'static str),
    made: &mut Made,
) {
    let unsigned = std::mem::take(&mut made.bytes);
    let signed = |signer: &Identity, session: &[u8; 32]| {
        let fits = signer.algorithms().contains(&algorithm);
        let algorithm = if fits { algorithm } else { signer.algorithms()[0] };
        let mut message = Vec::new();
        message.put_string(session);
        message.extend_from_slice(&unsigned);
        signer.sign(algorithm, &message).unwrap()
    };
    let with = |signature: &[u8]| {
        let mut bytes = unsigned.clone();
        bytes.put_string(signature);
        bytes
    };
    let mut signature = signed(holder, session);
    made.genuine = Some((with(&signature), Arc::clone(holder)));
    match choices.byte() {
        0..=200 => {}
        201 => {
            let mut other = *session;
            other[choices.below(32)] ^= 1;
            signature = signed(holder, &other);
        }
        202 => signature = signed(&keys::OTHER, session),
        _ => _ = choices.mutate(&mut signature),
    }
    made.bytes = with(&signature);
}

/// Methods that do not exist here, whatever is in them.
fn by_other_method(choices: &mut Choices<'_>) -> Made {
    let methods = ["none", "password", "keyboard-interactive", "hostbased", "gssapi-with-mic", ""];
    let user = choices.one(&USERS);
    let mut bytes = vec![USERAUTH_REQUEST];
    bytes.put_string(user.as_bytes());
    bytes.put_string(choices.one(&["ssh-connection", "ssh-connection", "ssh-other"]).as_bytes());
    bytes.put_string(choices.one(&methods).as_bytes());
    bytes.extend_from_slice(choices.bytes());
    Made { user, ..proper(bytes) }
}
