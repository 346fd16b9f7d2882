//! What a reload cannot change.

use super::Config;

/// Keys that differ between the `running` configuration and the `next` one and take effect only at
/// a restart: sockets that are bound, directories that are open.
#[must_use]
pub fn needs_restart(running: &Config, next: &Config) -> Vec<&'static str> {
    let listens = |config: &Config| {
        config.maintenance.as_ref().map_or((None, None), |page| (page.http, page.https))
    };
    let (page, next_page) = (listens(running), listens(next));
    let differs = [
        ("state_dir", running.state_dir != next.state_dir),
        ("control_socket", running.control_socket != next.control_socket),
        ("ssh.listen", running.ssh.listen != next.ssh.listen),
        ("ssh.host_keys", running.ssh.host_keys != next.ssh.host_keys),
        ("maintenance.http", page.0 != next_page.0),
        ("maintenance.https", page.1 != next_page.1),
        ("log.format", running.log.format != next.log.format),
    ];
    differs.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
}
