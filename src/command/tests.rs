//! The grammar as a whole: rights, words that are none, and quoting.

use clap::CommandFactory;

use super::{
    testing::{admin, context, execute, execute_line, member},
    *,
};

#[test]
fn grammar_is_sound() {
    Grammar::command().debug_assert();
}

#[test]
fn each_command_needs_its_right_and_members_get_no_more() {
    let table = [
        ("create alice --ssh-key x", Right::Administer),
        ("adopt alice-container --owner alice --ssh-key x", Right::Administer),
        ("list", Right::See),
        ("info alice", Right::See),
        ("start alice", Right::Administer),
        ("stop alice", Right::Administer),
        ("restart alice", Right::Administer),
        ("delete alice", Right::Administer),
        ("export alice", Right::See),
        ("shell alice", Right::Administer),
        ("resize alice --cpu 1", Right::Administer),
        ("image list", Right::Administer),
        ("stack list", Right::Administer),
        ("key list alice", Right::Administer),
        ("collaborator list alice", Right::Administer),
        ("logs alice", Right::Administer),
        ("backend list", Right::Administer),
        ("session list", Right::Administer),
        ("audit", Right::Administer),
        ("status", Right::Administer),
        ("ban list", Right::Administer),
        ("reload", Right::Administer),
        ("whoami", Right::Enter),
        ("version", Right::Enter),
        ("help", Right::Enter),
        ("completion bash", Right::Enter),
    ];
    let subcommands = Grammar::command().get_subcommands().count();
    assert_eq!(table.len(), subcommands, "the table names every command");
    for (line, right) in table {
        let words = shlex::split(line).unwrap();
        let command = Grammar::try_parse_from(&words).unwrap().command;
        assert_eq!(command.needs(), right, "{line}");
        let member = execute(&words, &context(member("alice")));
        assert_eq!(member.status == 77, right == Right::Administer, "{line}: {member:?}");
        assert_ne!(execute(&words, &context(admin())).status, 77, "{line}");
    }
}

#[test]
fn unknown_words_are_usage_with_a_suggestion() {
    let outcome = execute_line(b"whoam", &context(admin()));
    assert_eq!(outcome.status, 2);
    assert_eq!(outcome.stdout, "");
    assert_eq!(
        outcome.stderr,
        "error: unrecognized subcommand 'whoam'\nhint: a similar subcommand exists: 'whoami'\n"
    );
    for line in ["list --stat running", "list --state up", "info", "", "info a b", "--json -q list"]
    {
        let outcome = execute_line(line.as_bytes(), &context(admin()));
        assert_eq!(outcome.status, 2, "{line}: {outcome:?}");
        let (errors, hints) = (outcome.stderr.matches("error: "), outcome.stderr.matches("hint: "));
        if !line.contains("--json") {
            assert_eq!((errors.count(), hints.count()), (1, 1), "{line}: {}", outcome.stderr);
            assert_eq!(outcome.stderr.lines().count(), 2, "{line}: {}", outcome.stderr);
        }
    }
    let json = execute_line(b"lst --json", &context(admin()));
    assert!(json.stdout.starts_with("{\"error\":{\"code\":\"usage\""), "{}", json.stdout);
    assert_eq!((json.stderr.as_str(), json.status), ("", 2));
}

#[test]
fn exec_lines_split_as_a_shell_splits() {
    let quoted = execute_line(b"'li''st' \"--back\"end=spot-1 -q", &context(admin()));
    assert_eq!((quoted.stdout.as_str(), quoted.status), ("alice\nbob\n", 0));
    for line in [&b"info 'alice"[..], b"info \"", b"info \xff"] {
        assert_eq!(execute_line(line, &context(admin())).status, 2);
    }
    let nasty = execute_line(b"\"\x1b[2J\"", &context(admin()));
    assert!(!nasty.stderr.contains('\x1b'), "{}", nasty.stderr);
}
