//! Public keys: inline, and in files of the `authorized_keys` form.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use super::{
    problem::Fault,
    section::Read,
    tree::{Node, shown},
    value::text,
};
use crate::model::{
    authorized_keys::{self, AuthorizedKey},
    key::{ALGORITHMS, KeyError, PublicKey},
    text::printable,
};

/// Largest file of keys, in bytes; the model reads only its first lines and says so.
const MAX_FILE: u64 = 1024 * 1024;

/// Longest reason for a refusal that is shown, in characters.
const MAX_REASON: usize = 200;

/// What every form of private key file has in its first line.
const PRIVATE: &str = "PRIVATE KEY";

const FORM: &str = "a key is written like \"ssh-ed25519 AAAA… alice@laptop\"";

/// A public key without options.
pub(super) fn public_key(node: &Node) -> Read<PublicKey> {
    let text = text(node)?;
    PublicKey::from_line(text).map_err(|why| key_fault(text, why))
}

/// One line of an `authorized_keys` file.
pub(super) fn authorized_key(node: &Node) -> Read<AuthorizedKey> {
    let text = text(node)?;
    if text.trim().contains('\n') {
        return Err(Fault::new("more than one line").hint("write one string for each key"));
    }
    let (mut keys, mut refused) = parse(text);
    match (refused.pop(), keys.pop()) {
        (Some((_, fault)), _) => Err(fault),
        (None, Some(key)) => Ok(key),
        (None, None) => Err(key_fault(text, KeyError::Line)),
    }
}

/// The keys of a file in the `authorized_keys` form. A line that is refused is a mistake like any
/// other, so that nobody waits at the door for a key that was never read.
pub(super) fn authorized_keys_file(path: &Path) -> Result<Vec<AuthorizedKey>, Vec<Fault>> {
    let shown_path = printable(&path.display().to_string(), 300);
    let text = read_limited(path).map_err(|e| {
        let fault = Fault::new(format!("{shown_path} cannot be read: {e}"));
        vec![fault.hint("relative paths begin at the directory of the main configuration file")]
    })?;
    let (keys, refused) = parse(&text);
    if !refused.is_empty() {
        let place = |line, fault: Fault| Fault {
            message: format!("line {line} of {shown_path}: {}", fault.message),
            ..fault
        };
        return Err(refused.into_iter().map(|(line, fault)| place(line, fault)).collect());
    }
    if keys.is_empty() {
        return Err(vec![Fault::new(format!("{shown_path} has no key in it")).hint(FORM)]);
    }
    Ok(keys)
}

/// The keys of `text`, and the numbers of the lines that were refused, with the reason.
fn parse(text: &str) -> (Vec<AuthorizedKey>, Vec<(usize, Fault)>) {
    let (keys, refused) = authorized_keys::parse(text);
    let lines: Vec<_> = text.lines().collect();
    let fault = |r: authorized_keys::Refused| {
        let line = lines.get(r.line.saturating_sub(1)).copied().unwrap_or("");
        (r.line, line_fault(line, &printable(&r.reason, MAX_REASON)))
    };
    (keys, refused.into_iter().map(fault).collect())
}

fn line_fault(line: &str, reason: &str) -> Fault {
    let why = PublicKey::from_line(line).err().unwrap_or(KeyError::Line);
    let has_options = line.split_whitespace().skip(1).any(|word| ALGORITHMS.contains(&word));
    if has_options && why == KeyError::Line {
        return Fault::new(reason).hint("options are those of sshd(8), in front of the key's type");
    }
    let fault = key_fault(line, why);
    // A private key is told as such, everything else in the words of the one who refused it.
    if line.contains(PRIVATE) { fault } else { Fault { message: reason.to_owned(), ..fault } }
}

fn read_limited(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("larger than {MAX_FILE} bytes")));
    }
    Ok(text)
}

fn key_fault(text: &str, why: KeyError) -> Fault {
    let text = text.trim();
    if text.contains(PRIVATE) {
        return Fault::new("this is a private key")
            .hint("give the public key (the file that ends in .pub), and replace this one");
    }
    let fault = Fault::new(why.to_string());
    if text.starts_with(['/', '~', '.']) || !text.contains(' ') && text.contains(".pub") {
        return fault.hint("give the key itself, not the name of its file");
    }
    let mut words = text.split_whitespace();
    let (first, second) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    if ALGORITHMS.contains(&second) && why == KeyError::Line {
        return fault.hint(format!("leave out \"{}\", a key begins with its type", shown(first)));
    }
    match why {
        KeyError::Line => fault.hint(FORM),
        KeyError::Blob => fault.hint("the key was cut or changed on its way here; copy it again"),
        KeyError::Unsupported | KeyError::RsaSize => {
            fault.hint("make another with `ssh-keygen -t ed25519`")
        }
    }
}
