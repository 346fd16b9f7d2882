//! `[record]`.

use std::time::Duration;

use super::{Record, Recorded, good, minimal, parse};
use crate::{
    config::{changes, needs_restart},
    model::size::Size,
};
use std::path::Path;

fn size(text: &str) -> Size {
    text.parse().unwrap()
}

#[test]
fn every_key_about_recordings_is_read_and_has_a_default() {
    let defaults = Record {
        sessions: Recorded::Off,
        path: "/var/lib/containarium/recordings".into(),
        input: false,
        tell_watched: true,
        max_size: size("100MB"),
        max_total: size("5GB"),
        retention: Duration::from_secs(30 * 86_400),
    };
    assert_eq!(good(&minimal()).record, defaults);
    let text = "[record]\nsessions = 'collaborators'\npath = 'r'\ninput = true\ntell_watched = false\n\
                max_size = '64KiB'\nmax_total = '1MiB'\nretention = '1d'\n";
    let all = Record {
        sessions: Recorded::Collaborators,
        path: "/etc/containarium/r".into(),
        input: true,
        tell_watched: false,
        max_size: size("64KiB"),
        max_total: size("1MiB"),
        retention: Duration::from_secs(86_400),
    };
    let (before, after) = (good(&minimal()), good(&(minimal() + text)));
    assert_eq!(after.record, all);
    assert_eq!(changes(&before, &after), ["record"]);
    assert_eq!(needs_restart(&before, &after), ["record.path"]);
    let moved = good(&format!("state_dir = '/s'\n{}", minimal()));
    assert_eq!(needs_restart(&before, &moved), ["state_dir"]);
}

#[test]
fn mistakes_about_recordings_are_told() {
    for (line, message) in [
        ("sessions = 'all'", "\"all\""),
        ("sessions = true", "string"),
        ("max_size = '1kB'", "too small"),
        ("max_total = '1000kB'", "too small"),
        ("max_size = 5", "quotes"),
        ("retention = '1h'", "1h"),
        ("input = 'yes'", "true or false"),
        ("tell_watched = 'yes'", "true or false"),
    ] {
        let text = format!("{}[record]\n{line}\n", minimal());
        let problems = parse(&text, "f", Path::new("/")).unwrap_err();
        let shown = format!("{} {:?}", problems[0].message, problems[0].hints);
        assert!(problems.len() == 1 && shown.contains(message), "{line}: {problems:?}");
    }
}
