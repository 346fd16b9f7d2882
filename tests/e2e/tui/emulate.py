"""Runs $RUN on a terminal of $COLUMNS_ROWS and does $STEPS, a list of pairs: when the first is seen (as
pyte draws it; behind "!": is not seen any more), the second is typed. Prints what is seen at the end, and what came that is neither text
nor one of the sequences that a screen may write. Ends as $RUN ends."""

import fcntl, json, os, pty, re, select, signal, struct, sys, termios, time

import pyte, pyte.modes

KNOWN = re.compile(
    rb"\x1b\[\?(?:1049|7|1002|1006|2004|25)[hl]"  # what is set at the beginning and taken back
    rb"|\x1b\[(?:\d+;\d+H|\d+C|2J|[\d;]*m)"
    rb"|\x1b\[5n"  # whether all was taken, which a terminal answers
    rb"|\r\n"
)
# Unicode's other ways to change what is seen: C1 controls, bidi and zero width.
HURTS = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")

columns, rows = map(int, os.environ["SIZE"].split("x"))
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    for ignored in signal.SIGINT, signal.SIGQUIT:
        signal.signal(ignored, signal.SIG_DFL)
    os.execvp("bash", ["bash", "-c", os.environ["RUN"]])

screen = pyte.Screen(columns, rows)
screen.write_process_input = lambda answer: os.write(fd, answer.encode())
stream = pyte.ByteStream(screen)
steps, out = json.loads(os.environ["STEPS"]), b""
end = time.monotonic() + 240


def seen():
    return "\n".join(line.rstrip() for line in screen.display)


def is_time(what):
    return what[1:] not in seen() if what.startswith("!") else what in seen()


def report():
    print(seen())
    rest = KNOWN.sub(b"", out).decode(errors="replace")
    for found in HURTS.finditer(rest):
        around = rest[max(0, found.start() - 20) : found.end() + 20]
        print(f"HURTS: {around!r}")
    for mode, name in (pyte.modes.DECTCEM, "cursor shown"), (pyte.modes.DECAWM, "lines wrapped"):
        print(name if mode in screen.mode else f"not: {name}")


last = ""
while True:
    if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
        report()
        sys.exit(f"waited too long for {steps[:1]}")
    try:
        data = os.read(fd, 65536)
    except OSError:
        break
    if not data:
        break
    out += data
    stream.feed(data)
    while steps and is_time(steps[0][0]):
        print(seen())
        os.write(fd, steps.pop(0)[1].encode())
report()
if steps:
    print(f"never seen: {steps[0]}", file=sys.stderr)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
