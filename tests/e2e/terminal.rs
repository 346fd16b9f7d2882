//! Terminals: sizes, modes, types. The client runs on a pseudo-terminal of its own.

use crate::harness::{Run, world};

/// Runs `$RUN` on a terminal of 40 rows and 100 columns, which gets 50 and 132 when it has said
/// "ready". Prints what it wrote; ends as it ends.
const TERMINAL: &str = r#"
import fcntl, os, pty, struct, sys, termios
def resize(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
pid, fd = pty.fork()
if pid == 0:
    resize(0, 40, 100)
    os.execvp("bash", ["bash", "-c", os.environ["RUN"]])
out, waiting = b"", True
while True:
    try:
        data = os.read(fd, 65536)
    except OSError:
        break
    if not data:
        break
    out += data
    if waiting and b"ready" in out:
        waiting = False
        resize(fd, 50, 132)
sys.stdout.buffer.write(out)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// The same on a terminal through the door and directly.
fn on_terminal(run: &str) -> Run {
    let script = format!("export RUN={}\npython3 - <<'EOF'\n{TERMINAL}\nEOF", quoted(run));
    world().alike(&script)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[test]
pub fn a_terminal_has_its_size_and_follows_it() {
    let run = on_terminal(
        r#"ssh -F $CFG -tt box '
            stty size
            trap "stty size; exit 7" WINCH
            echo ready
            sleep 1000 & wait'"#,
    );
    assert_eq!(run.stdout, "40 100\r\nready\r\n50 132\r\n", "{run:?}");
    assert_eq!(run.status, 7);
}

#[test]
pub fn terminal_modes_arrive() {
    let run = on_terminal("stty intr ^X -ixon -echoe ocrnl; ssh -F $CFG -tt box 'stty -a'");
    for mode in ["intr = ^X", "-ixon", "-echoe", " ocrnl", "rows 40; columns 100"] {
        assert!(run.stdout.contains(mode), "{mode}: {run:?}");
    }
}

#[test]
pub fn keys_reach_the_job_as_signals() {
    let script = r"
        mkfifo $TMP/keys
        exec 3<>$TMP/keys
        ssh -F $CFG -tt box 'trap : INT; echo ready; sleep 1000; echo over $?; read x; echo [$x]' <&3 >$TMP/out &
        until grep -qs ready $TMP/out; do sleep 0.02; done
        printf '\x03' >&3
        until grep -qs over $TMP/out; do sleep 0.02; done
        printf 'words\n' >&3
        wait $!
        echo $?
        tr -d '\r' <$TMP/out | tail -1";
    world().same(script, "0\n[words]\n", 0);
}

#[test]
fn odd_terminal_types_arrive() {
    let long = "x".repeat(5000);
    for term in ["xterm-256color", "no such/terminal;$(id)", r"\x1b[31m", r"\xff\xfe", &long] {
        let script = format!(
            r#"export TERM=$'{term}'
            printf %s "$TERM" >$TMP/here
            ssh -F $CFG -tt box 'stty -opost; printf %s "$TERM"' | cmp - $TMP/here && echo equal"#
        );
        world().same(&script, "equal\n", 0);
    }
    let run = world().alike("TERM= ssh -F $CFG -tt box 'echo [$TERM]'");
    assert_eq!(run.status, 0, "{run:?}");
    let run = world().alike("env -u TERM ssh -F $CFG -tt box 'echo [$TERM]'");
    assert_eq!(run.status, 0, "{run:?}");
}

#[test]
pub fn a_terminal_without_a_command_is_a_login_shell() {
    let script = r"echo 'shopt -q login_shell && echo login; tty | cut -c1-8; exit 5' |
        ssh -F $CFG -tt box | tr -d '\r' | grep -cE '(login|/dev/pts)$'; echo ${PIPESTATUS[1]}";
    world().same(script, "2\n5\n", 0);
}
