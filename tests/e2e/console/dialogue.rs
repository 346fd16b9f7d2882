//! A conversation on a pseudo-terminal: what is waited for, and what is typed then.

use crate::harness::{Run, world};

/// Runs `$RUN` on a terminal of 40 rows and 100 columns. `$STEPS` is a list of pairs: when the first
/// has come (after the one before), the second is typed, or done if it begins with `resize `, `run ` (a script
/// on the client's host) or `kill ` (a signal for whoever has the terminal).
/// Prints what came; ends as it ends.
const DRIVER: &str = r#"
import fcntl, json, os, pty, select, signal, struct, subprocess, sys, termios, time
def resize(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
pid, fd = pty.fork()
if pid == 0:
    resize(0, 40, 100)
    # Whoever runs the tests in the background ignores them, and so would all that they start.
    for ignored in signal.SIGINT, signal.SIGQUIT:
        signal.signal(ignored, signal.SIG_DFL)
    os.execvp("bash", ["bash", "-c", os.environ["RUN"]])
steps, out, seen = json.loads(os.environ["STEPS"]), b"", 0
end = time.monotonic() + 240
while True:
    if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
        sys.stdout.buffer.write(out)
        sys.exit(f"waited too long for {steps[:1]}")
    try:
        data = os.read(fd, 65536)
    except OSError:
        break
    if not data:
        break
    out += data
    while steps and (at := out.find(steps[0][0].encode(), seen)) >= 0:
        seen = at + len(steps[0][0].encode())
        act = steps.pop(0)[1]
        if act.startswith("resize "):
            resize(fd, *map(int, act.split()[1:]))
        elif act.startswith("run "):
            subprocess.run(["bash", "-c", act[4:]], check=True)
        elif act.startswith("kill "):
            os.killpg(os.tcgetpgrp(fd), getattr(signal, "SIG" + act.split()[1]))
        else:
            os.write(fd, act.encode())
sys.stdout.buffer.write(out)
sys.stdout.flush()
if steps:
    print(f"never came: {steps[0]}", file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// Runs a command line on a terminal of the client's host, and answers what it says.
pub fn dialogue(run: &str, steps: &[(&str, &str)]) -> Run {
    let steps = serde_json::to_string(steps).unwrap();
    let [run, steps] = [run, &steps].map(|text| format!("'{}'", text.replace('\'', r"'\''")));
    world().client(&format!(
        "export RUN={run} STEPS={steps}\npython3 - <<'DRIVER'\n{DRIVER}\nDRIVER\n"
    ))
}
