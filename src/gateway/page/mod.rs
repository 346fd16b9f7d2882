//! The page that the sentinel itself serves on the public ports while no backend can: over HTTP and
//! HTTPS, from memory alone, with bounds on time and number for slow and hostile clients.

mod crowd;
mod outage;
mod render;
mod server;
mod tls;

pub use self::{
    outage::{Effort, Known, Member, Outage},
    server::{Listener, PageError, Site},
    tls::Tls,
};
