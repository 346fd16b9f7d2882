//! People who are in, against the console: the one place where this program itself knows channels.

mod channel;
mod flood;
