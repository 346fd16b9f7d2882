//! An sshd behind the door against the half that logs in to it.

mod backend;
mod host_key;
mod login;
mod openssh;
