//! Editors that live in the container and show themselves on the laptop.

use super::{prints_once, run};
use crate::harness::with_newest_clients;

/// What `remote_editor.py` prints.
const SAYS: &str = "running Linux x86_64 started end\n\
    long True short 20 long True\n\
    running Linux x86_64 found end same True True True\n\
    other True 20\n\
    running Linux x86_64 found end same True True 20\n\
    end 0\nshell 0\nshell 0\n";

fn script(host: &str, port: u16) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/clients");
    format!("python3 {folder}/remote_editor.py {host} {port} | sed 's/aarch64/x86_64/'")
}

#[test]
fn a_remote_editor_finds_its_server_again() {
    prints_once(&script("alice", 8331), SAYS);
}

#[test]
fn a_remote_editor_finds_its_server_again_with_the_newest_openssh() {
    let run = with_newest_clients(|| run(&script("bob", 8333)));
    assert_eq!((run.stdout.as_str(), run.status), (SAYS, 0), "{run:?}");
}
