"""What programs that use libssh do, each thing told in a line."""

import os

from pylibsshext.errors import LibsshSessionException
from pylibsshext.session import Session

DOOR, DIR, TMP = (os.environ[name] for name in ("DOOR", "DIR", "TMP"))
KINDS = ("rsa-3072", "ecdsa-256", "ecdsa-384", "ecdsa-521", "ed25519-256")


def connect(user="alice", key="alice", known=os.environ["KNOWN"]):
    session = Session()
    with open(f"{DIR}/{key}", "rb") as file:
        private = file.read()
    session.connect(host=DOOR, user=user, private_key=private, look_for_keys=False,
                    knownhosts=known)
    return session


def command(session, line):
    channel = session.new_channel()
    run = channel.exec_command(line)
    channel.close()
    return run.returncode, run.stdout, run.stderr


def files(session):
    there = command(session, "mktemp -d")[1].decode().strip()
    for way in ("sftp", "scp"):
        copier = session.sftp() if way == "sftp" else session.scp()
        copier.put(f"{TMP}/a", f"{there}/{way}")
        copier.get(f"{there}/{way}", f"{TMP}/b")
        with open(f"{TMP}/a", "rb") as a, open(f"{TMP}/b", "rb") as b:
            print(way, a.read() == b.read())
    command(session, f"rm -r {there}")


session = connect()
print("command", *command(session, "echo out; echo err >&2; exit 42"))
files(session)
session.close()
for kind in KINDS:
    print(kind, command(connect("kinds", f"rosa-{kind}"), "id -un")[1])
for what, options in (("person", {"key": "mallory"}), ("door", {"known": f"{TMP}/wrong"})):
    try:
        connect(**options)
        print(what, "accepted")
    except LibsshSessionException as error:
        print(what, str(error).split(":")[0])
