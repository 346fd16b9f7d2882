//! Sessions on a container that goes away end with a sentence, and not when TCP gives up.

use super::{assert_done, console, people, session_during};
use crate::harness::{Guest, world};

#[test]
fn who_stops_restarts_or_deletes_says_so_to_the_people_on_it() {
    let [_] = people(["enna"]);
    let _guest = Guest::new(&world().sentinel, "b2", "ending", "enna");
    for (command, said) in [
        ("restart ending --force", "ending is being restarted; log in again in a moment"),
        ("stop ending --force", "ending is being stopped by an administrator"),
        ("delete ending --force", "ending is being deleted by an administrator"),
    ] {
        let typed = format!("ssh -F $CFG sentinel {command}");
        let ended = session_during("enna", "ending", &typed);
        assert_eq!(ended.status, 255, "{command}: {ended:?}");
        assert!(ended.stderr.contains(said), "{command}: {ended:?}");
        if command.starts_with("stop") {
            assert_done(&console("start ending"));
        }
    }
}
