"""What programs that use asyncssh do, each thing told in a line."""

import asyncio
import os

import asyncssh

DOOR, DIR, TMP, KNOWN = (os.environ[name] for name in ("DOOR", "DIR", "TMP", "KNOWN"))
KINDS = ("rsa-3072", "ecdsa-256", "ecdsa-384", "ecdsa-521", "ed25519-256")


def connect(user="alice", key="alice", known=KNOWN, **more):
    return asyncssh.connect(DOOR, username=user, client_keys=[f"{DIR}/{key}"], known_hosts=known,
                            agent_path=None, config=None, **more)


async def commands(connection):
    run = await connection.run("cat; echo err >&2; exit 42", input="in\n")
    print("command", run.exit_status, repr(run.stdout), repr(run.stderr))
    run = await connection.run("stty size; exit 5", term_type="xterm", term_size=(100, 40))
    print("terminal", run.exit_status, repr(run.stdout))
    run = await connection.run("kill -KILL $$")
    print("signal", run.exit_signal[0])


async def files(connection):
    there = (await connection.run("mktemp -d")).stdout.strip()
    async with connection.start_sftp_client() as sftp:
        await sftp.put(f"{TMP}/a", f"{there}/a")
        await sftp.get(f"{there}/a", f"{TMP}/b")
        await sftp.remove(f"{there}/a")
    await asyncssh.scp(f"{TMP}/b", (connection, f"{there}/c"))
    await asyncssh.scp((connection, f"{there}/c"), f"{TMP}/c")
    same = [open(f"{TMP}/{name}", "rb").read() == open(f"{TMP}/a", "rb").read() for name in "bc"]
    print("files", same)
    await connection.run(f"rm -r {there}")


async def forwards(connection):
    listener = await connection.forward_local_port("127.0.0.1", 0, "localhost", 22)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.get_port())
    print("forward", await reader.read(8))
    writer.close()
    async with connection.connect_ssh("alice", username="alice", client_keys=[f"{DIR}/alice"],
                                      known_hosts=None, config=None, agent_path=None) as inner:
        print("jump", repr((await inner.run("hostname")).stdout))


async def keys():
    for kind in KINDS:
        async with connect("kinds", f"rosa-{kind}") as connection:
            print(kind, repr((await connection.run("id -un")).stdout))


async def refusals():
    for what, options in (
        ("person", {"key": "mallory"}),
        ("door", {"known": f"{TMP}/wrong"}),
    ):
        try:
            await connect(**options)
            print(what, "accepted")
        except asyncssh.Error as error:
            print(what, type(error).__name__)


async def main():
    async with connect(rekey_bytes=1 << 18, keepalive_interval=0.2) as connection:
        await commands(connection)
        await files(connection)
        await forwards(connection)
    await keys()
    await refusals()


asyncio.run(main())
