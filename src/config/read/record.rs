//! `[record]`.

use std::{path::Path, time::Duration};

use super::super::{
    Record, Recorded,
    path::path,
    problem::Fault,
    section::{Read, Section},
    source::Told,
    tree::Node,
    value::{boolean, choice, duration, parsed},
};
use crate::model::size::Size;

/// In seconds.
const DAY: u64 = 86_400;

/// The smallest limits, in bytes: a screen that is drawn a few times, and a few such recordings.
const MIN_SIZE: u64 = 64 << 10;
const MIN_TOTAL: u64 = 1 << 20;

pub(super) fn record(
    mut section: Section<'_>,
    base: &Path,
    state_dir: &Path,
) -> Result<Record, Told> {
    let choices = [
        ("off", Recorded::Off),
        ("labelled", Recorded::Labelled),
        ("collaborators", Recorded::Collaborators),
    ];
    let sessions = section.or("sessions", Recorded::Off, choice(&choices));
    let folder = section.or("path", state_dir.join("recordings"), path(base));
    let input = section.or("input", false, boolean);
    let tell_watched = section.or("tell_watched", true, boolean);
    let max_size = section.or_written("max_size", "100MB", size(MIN_SIZE));
    let max_total = section.or_written("max_total", "5GB", size(MIN_TOTAL));
    let retention =
        section.or("retention", Duration::from_secs(30 * DAY), duration(DAY, 3650 * DAY));
    section.finish(|_| None);
    Ok(Record {
        sessions: sessions?,
        path: folder?,
        input: input?,
        tell_watched: tell_watched?,
        max_size: max_size?,
        max_total: max_total?,
        retention: retention?,
    })
}

/// A size that is at least so many bytes.
fn size(min: u64) -> impl Fn(&Node) -> Read<Size> {
    move |node| {
        let size = parsed::<Size>("\"100MB\" or \"1GiB\"")(node)?;
        if size.bytes() >= min {
            return Ok(size);
        }
        Err(Fault::new("too small").hint(format!("at least {} KiB", min >> 10)))
    }
}
