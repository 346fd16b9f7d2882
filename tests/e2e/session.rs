//! Commands through the door as directly: statuses, streams, environment, subsystems.

use crate::harness::world;

#[test]
pub fn exit_statuses_arrive() {
    for status in [0, 1, 42, 255] {
        world().same(&format!("ssh -F $CFG box 'exit {status}'"), "", status);
    }
}

#[test]
pub fn death_by_a_signal_is_told_as_such() {
    let script = r"
        ssh -F $CFG -v -E $TMP/log box 'kill -KILL $$'
        status=$?
        grep -o 'rtype exit-[a-z]*' $TMP/log
        exit $status";
    world().same(script, "rtype exit-signal\n", 255);
}

#[test]
pub fn output_and_errors_stay_apart() {
    let run = world().alike("ssh -F $CFG box 'echo out; echo err >&2; exit 3'");
    assert_eq!((run.stdout.as_str(), run.stderr.as_str(), run.status), ("out\n", "err\n", 3));
}

#[test]
fn much_on_stderr_arrives_before_the_exit() {
    let script = r#"
        ssh -F $CFG box 'head -c 1M /dev/zero | tr "\0" x >&2; exit 3' 2>$TMP/errors
        echo $?
        tr -d x <$TMP/errors
        stat -c %s $TMP/errors"#;
    world().same(script, "3\n1048576\n", 0);
}

#[test]
pub fn the_end_of_input_arrives_and_output_goes_on() {
    world().same("printf 'b\\na\\n' | ssh -F $CFG box 'sort; echo still'", "a\nb\nstill\n", 0);
    let script = r"
        seq 300000 | sha256sum
        seq 300000 | ssh -F $CFG box 'file=$(mktemp); cat >$file; sha256sum <$file; rm $file'";
    let run = world().alike(script);
    let (here, there) = run.stdout.split_once('\n').unwrap();
    assert_eq!(here, there.trim_end(), "{run:?}");
}

#[test]
pub fn input_goes_on_after_the_end_of_output() {
    let script = r"
        file=$(ssh -F $CFG box mktemp)
        {
            # Written only once the reader has seen the end of the output.
            until [ -e $TMP/ended ]; do sleep 0.02; done
            head -c 5M /dev/zero
        } | ssh -F $CFG box 'exec >&- 2>&-; wc -c >'$file | { cat; touch $TMP/ended; }
        ssh -F $CFG box cat $file
        ssh -F $CFG box rm $file";
    world().same(script, "5242880\n", 0);
}

#[test]
fn empty_input_is_empty() {
    world().same("ssh -F $CFG box 'wc -c' </dev/null", "0\n", 0);
    world().same("echo x | ssh -F $CFG -n box 'wc -c'", "0\n", 0);
    world().same("ssh -F $CFG box 'wc -c' <&-", "0\n", 0);
}

#[test]
pub fn a_reader_that_leaves_ends_the_writer() {
    let script = r"
        ssh -F $CFG box 'yes; echo ended >&2' | head -1
        echo ${PIPESTATUS[@]}";
    let run = world().alike(script);
    assert!(run.stdout.starts_with("y\n"), "{run:?}");
    world().same("yes | ssh -F $CFG box 'head -1'", "y\n", 0);
}

#[test]
pub fn the_environment_passes_as_sshd_allows() {
    let script = r"
        export LC_WORDS='a  b' LC_BYTES=$'\xff\xfe\x01' LC_EMPTY= OTHER=no
        ssh -F $CFG -o 'SendEnv LC_WORDS LC_BYTES LC_EMPTY OTHER' -o 'SetEnv LC_SET=x=y' box '
            echo [$LC_WORDS] [$LC_SET] [$OTHER] [${LC_EMPTY-unset}]
            printenv LC_BYTES | od -An -tx1'";
    world().same(script, "[a b] [x=y] [] []\n ff fe 01 0a\n", 0);
}

#[test]
fn what_the_sentinel_adds_is_not_seen_inside() {
    let script = "ssh -F $CFG box 'env | cut -d= -f1 | sort | xargs; id; pwd; echo $0; umask'";
    let run = world().alike(script);
    assert!(run.stdout.contains("(alice)") && run.stdout.contains("/home/alice"), "{run:?}");
}

#[test]
pub fn subsystems_start_or_are_refused() {
    // SSH_FXP_INIT, version 3; the answer is SSH_FXP_VERSION 3.
    let script = r"
        {
            printf '\0\0\0\5\1\0\0\0\3'
            until [ -s $TMP/answer ]; do sleep 0.02; done
        } | ssh -F $CFG -s box sftp >$TMP/answer
        echo $?
        tail -c +5 $TMP/answer | head -c 5 | od -An -tx1";
    world().same(script, "0\n 02 00 00 00 03\n", 0);
    let run = world().alike("ssh -F $CFG -s box nowhere");
    assert_eq!((run.stdout.as_str(), run.status), ("", 255));
    assert!(run.stderr.contains("subsystem request failed"), "{run:?}");
}

#[test]
pub fn bytes_of_a_command_arrive_as_they_are() {
    let script = r"ssh -F $CFG box $'printf %s \'\xff\xc3\n*\' | od -An -tx1'";
    world().same(script, " ff c3 0a 2a\n", 0);
    let script = r#"ssh -F $CFG box ": $(head -c 100000 /dev/zero | tr '\0' x); echo done""#;
    world().same(script, "done\n", 0);
}

#[test]
pub fn compression_may_be_asked_for() {
    world().same("ssh -F $CFG -C box 'echo asked'", "asked\n", 0);
}
