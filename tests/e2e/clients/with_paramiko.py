"""What programs that use paramiko do, each thing told in a line."""

import hashlib
import logging
import os
import threading
import warnings

warnings.simplefilter("ignore")

import paramiko

DOOR, DIR, TMP, KNOWN = (os.environ[name] for name in ("DOOR", "DIR", "TMP", "KNOWN"))
KINDS = ("rsa-3072", "ecdsa-256", "ecdsa-384", "ecdsa-521", "ed25519-256")


class KeyExchanges(logging.Handler):
    """Counts key exchanges by what paramiko logs."""

    count = 0

    def emit(self, record):
        KeyExchanges.count += record.getMessage().startswith("Switch to new keys")


logging.getLogger("paramiko").setLevel(logging.DEBUG)
logging.getLogger("paramiko").addHandler(KeyExchanges())
logging.getLogger("paramiko").propagate = False


def connect(user="alice", key="alice", known=KNOWN):
    client = paramiko.SSHClient()
    client.load_host_keys(known)
    client.connect(
        DOOR,
        username=user,
        key_filename=os.path.join(DIR, key),
        allow_agent=False,
        look_for_keys=False,
        timeout=20,
    )
    return client


def command(client, line, data=b""):
    stdin, stdout, stderr = client.exec_command(line)
    stdin.write(data)
    stdin.channel.shutdown_write()
    out, err = stdout.read(), stderr.read()
    return stdout.channel.recv_exit_status(), out, err


def commands(client):
    print("command", *command(client, "cat; echo err >&2; exit 42", b"in\n"))
    channel = client.invoke_shell(term="xterm", width=100, height=40)
    channel.sendall(b"stty size; exit 5\n")
    text = channel.makefile("rb").read()
    print("shell", channel.recv_exit_status(), b"40 100" in text)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def files(client):
    transport = client.get_transport()
    _, there, _ = command(client, "mktemp -d")
    there = there.decode().strip()
    sftp = client.open_sftp()
    transport.packetizer.REKEY_BYTES = 1 << 18
    before = KeyExchanges.count
    sftp.put(f"{TMP}/a", f"{there}/a")
    sftp.get(f"{there}/a", f"{TMP}/b")
    print("sftp", digest(f"{TMP}/a") == digest(f"{TMP}/b"), KeyExchanges.count - before > 3)

    transport.packetizer.REKEY_BYTES = 1 << 40
    before = KeyExchanges.count
    copy = threading.Thread(target=sftp.put, args=(f"{TMP}/a", f"{there}/c"))
    copy.start()
    for _ in range(5):
        transport.renegotiate_keys()
        # It returns before the transport lets data pass again. An exchange begun in between would be
        # followed by data, which RFC 4253 (section 7.1) forbids and the door refuses.
        transport.clear_to_send.wait(60)
    copy.join()
    sftp.get(f"{there}/c", f"{TMP}/c")
    print("asked", digest(f"{TMP}/a") == digest(f"{TMP}/c"), KeyExchanges.count - before > 4)
    sftp.remove(f"{there}/a")
    sftp.remove(f"{there}/c")
    sftp.rmdir(there)


def forwards(client):
    transport = client.get_transport()
    origin = ("127.0.0.1", 1)
    print("forward", transport.open_channel("direct-tcpip", ("localhost", 22), origin).recv(8))

    port = transport.request_port_forward("127.0.0.1", 0)
    threading.Thread(target=lambda: transport.accept(20).sendall(b"client\n")).start()
    print("back", command(client, f"head -n 1 </dev/tcp/127.0.0.1/{port}")[1])
    transport.cancel_port_forward("127.0.0.1", port)

    inner = paramiko.SSHClient()
    inner.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    hop = transport.open_channel("direct-tcpip", ("alice", 22), origin)
    inner.connect("alice", username="alice", key_filename=f"{DIR}/alice", sock=hop,
                  allow_agent=False, look_for_keys=False)
    print("jump", *command(inner, "hostname"))
    inner.close()


def keys():
    for kind in KINDS:
        try:
            client = connect("kinds", f"rosa-{kind}")
            print(kind, command(client, "id -un")[1])
            client.close()
        except (paramiko.SSHException, ValueError):
            # A version goes on to take the file for a DSA key.
            print(kind, "refused")


def refusals():
    for what, options in (
        ("person", {"key": "mallory"}),
        ("door", {"known": f"{TMP}/wrong"}),
    ):
        try:
            connect(**options)
            print(what, "accepted")
        except paramiko.SSHException as error:
            print(what, type(error).__name__)


client = connect()
client.get_transport().set_keepalive(1)
commands(client)
files(client)
forwards(client)
client.close()
keys()
refusals()
