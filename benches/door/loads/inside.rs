//! What somebody can do who is in.

use std::path::Path;

use super::{
    Load,
    stage::{Program, Stage, Target},
};
use crate::{
    channels::{CHANNELS, CLOSED, COMMANDS, REFUSED},
    report::Bound::AtMost,
    scene::resident_kib,
};

/// MiB that memory may have grown by when everything is over.
const MORE: f64 = 2.0;

/// L11: channels by the hundred thousand.
pub(super) fn channels(stage: &Stage) -> Load {
    let loads = [
        (REFUSED, 1_000_000, "channels that were refused"),
        (CLOSED, 100_000, "sessions that were opened and closed"),
        (COMMANDS, 100_000, "commands"),
    ];
    let found = loads.map(|(what, count, title)| {
        eprintln!("{count} {title}");
        let target = Target::start(stage, 6, &[]);
        let key = stage.scene.dir.join("admin");
        let mib = memory_after(&target, &key, (what, count));
        (format!("growth by {count} {title}, MiB: at most {MORE}"), mib, AtMost(MORE))
    });
    Load { title: "channels", limited: stage.memory.is_some(), found: found.into() }
}

/// MiB by which the sentinel grew after the first tenth.
fn memory_after(target: &Target, key: &Path, (what, count): (&str, u32)) -> f64 {
    let mut program = Program::start(CHANNELS, &[&target.door, key.to_str().unwrap()]);
    let mut resident = |count: u32| {
        let line = format!("{what} {count}");
        program.say(&line);
        assert_eq!(program.line(), line);
        resident_kib(target.sentinel.pid())
    };
    let (before, after) = (resident(count / 10), resident(count - count / 10));
    assert_eq!(program.rest(), "");
    (after - before) / 1024.0
}
