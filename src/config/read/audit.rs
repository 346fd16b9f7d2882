//! `[audit]`.

use std::{path::Path, time::Duration};

use super::super::{
    Audit,
    path::path,
    section::Section,
    source::Told,
    value::{boolean, duration},
};

/// In seconds.
const DAY: u64 = 86_400;

pub(super) fn audit(
    mut section: Section<'_>,
    base: &Path,
    state_dir: &Path,
) -> Result<Audit, Told> {
    let file = section.or("path", state_dir.join("audit.db"), path(base));
    let default = Duration::from_secs(90 * DAY);
    let retention = section.or("retention", default, duration(DAY, 3650 * DAY));
    let strict = section.or("strict", false, boolean);
    let commands = section.or("commands", true, boolean);
    let files = section.or("files", true, boolean);
    section.finish(|_| None);
    Ok(Audit {
        path: file?,
        retention: retention?,
        strict: strict?,
        commands: commands?,
        files: files?,
    })
}
