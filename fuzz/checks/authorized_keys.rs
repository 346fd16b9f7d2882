//! Files of `authorized_keys`: each line alone, and all together.

use std::net::IpAddr;

use containarium::model::authorized_keys::{self, AuthorizedKey, KeyOptions, MAX_LINE, MAX_LINES};

use super::shown;

/// Longest reason for a refusal, in characters: fixed words and at most 40 of the line's own.
const MAX_REASON: usize = 100;

/// Reads `input` as a key file.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (keys, refused) = authorized_keys::parse(&text);
    let mut expected = (keys.iter(), refused.iter());
    for (number, line) in (1..=MAX_LINES).zip(text.lines()) {
        // A line means the same alone as among others: a bad one hides and widens nothing.
        let (key, refusal) = authorized_keys::parse(line);
        assert!(key.len() + refusal.len() <= 1, "one line, two meanings");
        if let Some(key) = key.first() {
            assert_eq!(expected.0.next(), Some(key));
            check_key(line, key);
        }
        if let Some(refusal) = refusal.first() {
            let among = expected.1.next().unwrap();
            assert_eq!((among.line, &among.reason), (number, &refusal.reason));
            shown::assert_harmless(&refusal.reason, MAX_REASON);
        }
        if key.is_empty() && refusal.is_empty() {
            let line = line.trim_matches([' ', '\t', '\r']);
            assert!(line.is_empty() || line.starts_with('#'), "{line:?} was passed over");
        }
    }
    assert_eq!(expected.0.next(), None, "a key from nowhere");
    // One more refusal says that there are more lines.
    assert!(expected.1.count() <= 1);
}

fn check_key(line: &str, key: &AuthorizedKey) {
    assert!(line.trim_matches([' ', '\t', '\r']).len() <= MAX_LINE);
    let key_line = key.key.to_line();
    let data = key_line.split_once(' ').unwrap().1;
    let at = line.find(key.key.algorithm()).unwrap();
    let padded = data.trim_end_matches('=');
    assert!(line.contains(padded), "a key that the line does not have");
    let prefix = line[..at].trim_matches([' ', '\t', '\r']);
    check_options(&prefix.to_ascii_lowercase(), &key.options);
    for source in ["192.0.2.7", "::1", "::ffff:10.0.0.1", "2001:db8::7"] {
        let source: IpAddr = source.parse().unwrap();
        let allowed = key.options.allows_source(source);
        assert!(allowed || key.options.from.is_some());
        assert_eq!(allowed, key.options.allows_source(source.to_canonical()));
    }
    let valid = [0, 1, 1_767_225_600, u64::MAX].map(|now| key.options.valid_at(now));
    assert!(valid.is_sorted_by(|a, b| a >= b), "valid again after its end");
    assert_eq!(valid[3], key.options.expires.is_none());
}

/// What restricts came from a word in the line, and no word that restricts was lost.
fn check_options(words: &str, options: &KeyOptions) {
    for (set, word) in [
        (options.command.is_some(), "command="),
        (options.from.is_some(), "from="),
        (options.expires.is_some(), "expiry-time="),
    ] {
        assert!(!set || words.contains(word), "an option from nowhere");
    }
    // Inside of quotes commas and words mean nothing.
    if !words.contains('"') {
        let mut expected = KeyOptions::default();
        words.split(',').for_each(|word| apply(&mut expected, word));
        assert_eq!(*options, expected, "{words}");
    }
}

/// A flag as sshd(8) describes it; the last one wins.
fn apply(options: &mut KeyOptions, word: &str) {
    let (name, withheld) = word.strip_prefix("no-").map_or((word, false), |name| (name, true));
    let KeyOptions {
        no_port_forwarding: port,
        no_agent_forwarding: agent,
        no_x11_forwarding: x11,
        no_pty: pty,
        no_user_rc: user_rc,
        ..
    } = options;
    match name {
        "port-forwarding" => *port = withheld,
        "agent-forwarding" => *agent = withheld,
        "x11-forwarding" => *x11 = withheld,
        "pty" => *pty = withheld,
        "user-rc" => *user_rc = withheld,
        "restrict" => {
            for flag in [port, agent, x11, pty, user_rc] {
                *flag = true;
            }
        }
        "verify-required" => options.verify_required = true,
        "touch-required" => options.no_touch_required = withheld,
        _ => {}
    }
}
