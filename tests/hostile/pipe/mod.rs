//! Both ends of a session, once it runs: what either says reaches the other or ends the session, and
//! nothing of it stays in between.

mod early;
mod flood;
mod passage;
mod sshd;
