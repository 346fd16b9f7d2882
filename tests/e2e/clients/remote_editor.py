"""What VS Code's Remote-SSH does: a shell that gets a script on its input and says by markers how
far it is, a server in the container that outlives the connection, and everything else through the
SOCKS forward of that shell.

usage: remote_editor.py HOST PORT     (of two ports from PORT on that are free here)
"""

import os
import signal
import socket
import struct
import subprocess
import sys
import threading

HOST, PORT = sys.argv[1], int(sys.argv[2])
MARK = "1b9ff3a6c9e4"

# It says who it is once, then returns every line. A small Python has no more than this.
SERVER = r"""
import os, socket, threading
def answer(client):
    file = client.makefile("rwb")
    file.write(b"%d\n" % os.getpid())
    file.flush()
    for line in file:
        file.write(line)
        file.flush()
server = socket.create_server(("127.0.0.1", 0))
with open("port.new", "w") as file:
    file.write(str(server.getsockname()[1]))
os.rename("port.new", "port")
while True:
    threading.Thread(target=answer, args=server.accept()[:1], daemon=True).start()
"""

INSTALL = f"""
echo "{MARK}: running"
uname -sm
mkdir -p ~/.editor-server && cd ~/.editor-server
if [ -s pid ] && kill -0 "$(cat pid)" 2>/dev/null; then
    echo "{MARK}: found"
else
    cat >server.py <<'PY'
{SERVER}
PY
    rm -f port
    setsid nohup python3 server.py >log 2>&1 </dev/null &
    echo $! >pid
    for i in {{1..400}}; do [ -s port ] && break; sleep 0.05; done
    echo "{MARK}: started"
fi
echo "listeningOn==$(cat port)=="
echo "{MARK}: end"
"""


class Shell:
    """`ssh -T -D PORT HOST bash` with the script on its input, which stays open."""

    def __init__(self, port):
        self.port = port
        self.ssh = subprocess.Popen(
            ["ssh", "-v", "-T", "-F", os.environ["CFG"], "-D", str(port), "-o", "ConnectTimeout=15",
             "-o", "ExitOnForwardFailure=yes", HOST, "bash"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.ssh.stdin.write(INSTALL)
        self.ssh.stdin.flush()
        self.said = []
        for line in self.ssh.stdout:
            if line.startswith("listeningOn=="):
                self.server = int(line.split("==")[1])
            else:
                self.said.append(line.strip().replace(MARK + ": ", ""))
            if line == f"{MARK}: end\n":
                return
        sys.exit(f"{self.said}: the shell ended")

    def connect(self):
        """A connection to the server through the forward, and the server's process id."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        client.sendall(b"\5\1\0")
        assert client.recv(2, socket.MSG_WAITALL) == b"\5\0"
        name = b"127.0.0.1"
        client.sendall(b"\5\1\0\3" + bytes([len(name)]) + name + struct.pack(">H", self.server))
        assert client.recv(10, socket.MSG_WAITALL)[:2] == b"\5\0"
        file = client.makefile("rwb")
        return file, int(file.readline())


def exchange(file, size):
    line = b"x" * size + b"\n"
    file.write(line)
    file.flush()
    return file.readline() == line


def many(shell):
    """Short connections at the same time as each other; how many were answered in full."""
    answered = []

    def one():
        file, _ = shell.connect()
        answered.append(exchange(file, 100_000))
        file.close()

    threads = [threading.Thread(target=one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(answered)


first = Shell(PORT)
print(*first.said)
long, server = first.connect()
print("long", exchange(long, 10), "short", many(first), "long", exchange(long, 1_000_000))

second = Shell(PORT + 1)
other, same = second.connect()
print(*second.said, "same", same == server, exchange(other, 10), exchange(long, 10))

# The network is gone, or the lid is closed: nobody says goodbye.
first.ssh.send_signal(signal.SIGKILL)
first.ssh.wait()
print("other", exchange(other, 10), many(second))
third = Shell(PORT)
again, same = third.connect()
print(*third.said, "same", same == server, exchange(again, 10), many(third))

# A shell ends when nothing of it is in use.
other.close()
again.close()
run = ["ssh", "-F", os.environ["CFG"], HOST, f"kill {server}; rm -r .editor-server"]
print("end", subprocess.run(run, check=False).returncode)
for shell in (second, third):
    shell.ssh.stdin.close()
    print("shell", shell.ssh.wait())
