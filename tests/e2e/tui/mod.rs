//! The screen of administrators, as they meet it: real keys on a real terminal.

mod container;
mod guard;
mod hang;
mod hostile;
mod leave;
mod putty;
mod screen;
mod size;
mod words;

use crate::harness::quiet_delete;

/// Removes a container wherever it is.
fn remove(name: &str) {
    for backend in ["b1", "b2"] {
        quiet_delete(backend, &[name]);
    }
}
