//! Conversations of `scp -O`.

use super::*;

#[test]
fn scp_puts_files_and_trees() {
    let found = files(
        "scp -rpt /tmp",
        &[
            sink("\0"),
            source("T1700000000 0 1700000000 0\n"),
            sink("\0"),
            source("C0644 5 a name\n"),
            sink("\0"),
            source("C0644\0"),
            sink("\0"),
            source("D0755 0 tree\n"),
            sink("\0"),
            source("C0644 0 empty\n"),
            sink("\0"),
            source("\0"),
            sink("\0"),
            source("D0755 0 locked\n"),
            sink("\x01scp: locked: Permission denied\n"),
            source("C0600 3 refused\n"),
            sink("\x01scp: refused: Permission denied\n"),
            source("C0600 3 full\n"),
            sink("\0"),
            source("abc\0"),
            sink("\x01scp: full: No space left\n"),
            source("E\n"),
            sink("\0"),
            source("C0600 100 cut\n"),
            sink("\0"),
            source("abc"),
        ],
    );
    let expected = [
        "put a name 5",
        "put tree/empty 0",
        "put tree/refused 0/3 refused",
        "put tree/full 3 part",
        "put cut 3/100 part",
    ];
    assert_eq!(shown(&found), expected);
    assert_eq!((found.put, found.got, found.bytes), (4, 0, (11, 0)));
    assert!(!found.unfollowed, "{found:?}");
}

#[test]
fn scp_gets_files_also_for_those_who_leave_without_a_word() {
    let found = files(
        "/usr/bin/scp -v -f -- a b c",
        &[
            source("\0"),
            sink("\x01scp: a: No such file or directory\n"),
            sink("C0644 3 b\n"),
            source("\0"),
            sink("abc\x01scp: b: Input/output error\n"),
            source("\0"),
            sink("C0644 3 c\n"),
            source("\0"),
            sink("abc\0"),
        ],
    );
    assert_eq!(shown(&found), ["get b 3 part", "get c 3"]);
    assert_eq!((found.put, found.got, found.bytes), (0, 2, (0, 6)));
}

#[test]
fn a_source_that_does_not_wait_is_followed_as_far_as_its_meaning_is_clear() {
    let all = source("T1 0 1 0\nC0644 2 a\nxy\0C0644 1 b\nz\0");
    let found = files("scp -t .", &[all.clone(), sink("\0\0\0\0\0\0")]);
    assert_eq!(shown(&found), ["put a 2", "put b 1"]);
    // What would the sink read after a refusal?
    let found = files("scp -t .", &[all, sink("\0\0\x01no\n")]);
    assert_eq!(shown(&found), ["put a 2 refused", "put b 1 part"]);
    assert!(found.unfollowed, "{found:?}");
}

#[test]
fn what_is_no_scp_is_not_followed_and_says_so() {
    let cases = [
        "Welcome!\n".to_owned(),
        "E\n".to_owned(),
        "C0644 x a\n".to_owned(),
        "C0644 -1 a\n".to_owned(),
        "C0644\n".to_owned(),
        "\n".to_owned(),
        format!("C0644 1 {}\n", "x".repeat(5000)),
        "D0755 0 folder\n".repeat(20),
        "C0644 1 a\nxy".to_owned(),
    ];
    for text in cases {
        let found = files("scp -t .", &[sink("\0"), source(&text)]);
        assert!(found.unfollowed, "{text}: {found:?}");
    }
    let deep: Vec<_> = (0..100)
        .flat_map(|_| [source(&format!("D0755 0 {}\n", "x".repeat(99))), sink("\0")])
        .collect();
    assert!(files("scp -t .", &deep).unfollowed);
}
