//! `[guard]`.

use std::{path::Path, time::Duration};

use super::{Guard, good, minimal, parse};
use crate::model::source::Network;

#[test]
fn every_key_of_the_guard_is_read_and_has_a_default() {
    let defaults = Guard {
        max_failures: 3,
        window: Duration::from_secs(600),
        ban: Duration::from_secs(3600),
        allow: Vec::new(),
        rate_per_source: 10,
        rate: 100,
        kernel: false,
    };
    assert_eq!(good(&minimal()).guard, defaults);
    assert_eq!(good(&(minimal() + "[guard]\n")).guard, defaults);
    let text = "[guard]\nmax_failures = 10\nwindow = '24h'\nban = '1s'\nrate_per_source = 1\n\
                rate = 100000\nkernel = true\nallow = ['192.0.2.0/24', '2001:db8::1', '::ffff:198.51.100.7']\n";
    let allow = ["192.0.2.0/24", "2001:db8::1", "198.51.100.7"];
    let expected = Guard {
        max_failures: 10,
        window: Duration::from_secs(24 * 3600),
        ban: Duration::from_secs(1),
        allow: allow.map(|text| Network::parse(text).unwrap()).to_vec(),
        rate_per_source: 1,
        rate: 100_000,
        kernel: true,
    };
    assert_eq!(good(&(minimal() + text)).guard, expected);
    assert_eq!(10, crate::guard::book::MAX_FAILURES, "what is read fits in the book");
}

/// A section, the key that is wrong in it, and a part of the hint. An entry of `allow` that does not
/// parse is never passed over.
#[test]
fn each_mistake_in_the_guard_is_told_with_a_way_out() {
    let many = format!("allow = [{}]", "'192.0.2.1',".repeat(257));
    for (line, key, hint) in [
        ("max_failures = 0", "guard.max_failures", "from 1 to 10"),
        ("max_failures = 11", "guard.max_failures", "from 1 to 10"),
        ("max_failures = '3'", "guard.max_failures", "from 1 to 10"),
        ("window = 10", "guard.window", "did you mean \"10s\"?"),
        ("window = '0s'", "guard.window", "from \"1s\" to \"24h\""),
        ("ban = '2 days'", "guard.ban", "did you mean \"2d\"?"),
        ("ban = '25h'", "guard.ban", "from \"1s\" to \"24h\""),
        ("allow = '192.0.2.1'", "guard.allow", "write `allow = [\"192.0.2.1\"]`"),
        ("allow = ['192.0.2.1', 'office']", "guard.allow[1]", "like \"192.0.2.0/24\""),
        ("allow = ['192.0.2.7/24']", "guard.allow[0]", "did you mean \"192.0.2.0/24\"?"),
        ("allow = ['2001:db8::1/32']", "guard.allow[0]", "did you mean \"2001:db8::/32\"?"),
        ("allow = ['192.0.2.0/33']", "guard.allow[0]", "like \"192.0.2.0/24\""),
        ("allow = ['10.*']", "guard.allow[0]", "like \"192.0.2.0/24\""),
        ("allow = ['']", "guard.allow[0]", "like \"192.0.2.0/24\""),
        (&many, "guard.allow", "write wider networks"),
        ("rate = 0", "guard.rate", "from 1 to 100000"),
        ("rate_per_source = -1", "guard.rate_per_source", "from 1 to 100000"),
        ("kernel = 'true'", "guard.kernel", "write true without quotes"),
        ("maxfailures = 3", "guard.maxfailures", "did you mean `max_failures`?"),
        ("max_startups = 3", "guard.max_startups", "did you mean `ssh.max_startups`?"),
    ] {
        let text = format!("{}[guard]\n{line}\n", minimal());
        let Err(problems) = parse(&text, "sentinel.toml", Path::new("/nonexistent")) else {
            panic!("accepted: {line}");
        };
        let found = problems.iter().find(|p| p.key == key);
        let problem = found.unwrap_or_else(|| panic!("{line}: {problems:?}"));
        assert_eq!((problem.line, problems.len()), (3, 1), "{line}: {problem}");
        assert!(problem.hints.join("\n").contains(hint), "{line}: {problem}");
    }
    let misplaced = format!("allow = ['192.0.2.1']\n{}", minimal());
    let problems = parse(&misplaced, "f", Path::new("/")).unwrap_err();
    assert!(problems[0].hints[0].contains("guard.allow"), "{problems:?}");
}
