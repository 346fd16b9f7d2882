//! The page that the sentinel itself serves on the public ports while no backend can: over HTTP and
//! HTTPS, from memory alone, with bounds on time and number for slow and hostile clients.

mod render;
mod server;

pub use self::{
    render::Outage,
    server::{PageError, Site, serve},
};
