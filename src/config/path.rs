//! Paths of files. A relative one begins at the directory of the main configuration file.

use std::path::{Path, PathBuf};

use super::{
    problem::Fault,
    section::Read,
    tree::{Node, shown},
    value::text,
};
use crate::model::text::printable;

/// Longest path of a unix socket, in bytes (unix(7): `sun_path` has 108, one for the end).
const MAX_SOCKET: usize = 107;

/// A path.
pub(super) fn path(base: &Path) -> impl Fn(&Node) -> Read<PathBuf> {
    move |node| Ok(base.join(check(text(node)?)?))
}

/// Path of a file that has to be there.
pub(super) fn file(base: &Path) -> impl Fn(&Node) -> Read<PathBuf> {
    move |node| {
        let path = path(base)(node)?;
        let shown = printable(&path.display().to_string(), 300);
        match path.metadata() {
            Ok(metadata) if metadata.is_file() => Ok(path),
            Ok(_) => Err(Fault::new(format!("{shown} is not a file"))),
            Err(e) => Err(Fault::new(format!("{shown} cannot be read: {e}"))
                .hint("relative paths begin at the directory of the main configuration file")),
        }
    }
}

/// Path of a unix socket on this machine.
pub(super) fn socket(base: &Path) -> impl Fn(&Node) -> Read<PathBuf> {
    move |node| {
        let path = path(base)(node)?;
        check_socket(path.as_os_str().len())?;
        Ok(path)
    }
}

/// Path of a unix socket on a backend.
pub(super) fn remote_socket(node: &Node) -> Read<PathBuf> {
    let text = check(text(node)?)?;
    check_socket(text.len())?;
    whole(text, "for instance \"/var/lib/incus/unix.socket\"")
}

/// Path of a file or folder on another machine.
pub(super) fn remote(node: &Node) -> Read<PathBuf> {
    let text = check(text(node)?)?;
    if text.chars().any(char::is_control) {
        return Err(Fault::new(format!("\"{}\" has control characters in it", shown(text)))
            .hint("write the path on one line"));
    }
    whole(text, "for instance \"/etc/ssl/site.crt\"")
}

fn whole(text: &str, hint: &str) -> Read<PathBuf> {
    if text.starts_with('/') {
        return Ok(PathBuf::from(text));
    }
    Err(Fault::new(format!("\"{}\" is not a whole path", shown(text))).hint(hint))
}

fn check(text: &str) -> Read<&str> {
    if text.is_empty() || text.contains('\0') {
        return Err(Fault::new(format!("\"{}\" is not a path", shown(text))));
    }
    if text.starts_with('~') || text.starts_with('$') {
        return Err(Fault::new(format!(
            "\"{}\": `~` and variables mean nothing here",
            shown(text)
        ))
        .hint("write the whole path, from \"/\""));
    }
    Ok(text)
}

fn check_socket(len: usize) -> Read<()> {
    if len <= MAX_SOCKET {
        return Ok(());
    }
    Err(Fault::new(format!("{len} bytes are too long for the path of a unix socket"))
        .hint(format!("the kernel allows {MAX_SOCKET}")))
}
