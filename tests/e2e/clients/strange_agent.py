"""Passes an agent on, with keys in front of its own that no server knows what to do with. It
signs with them, too, after a fashion.

usage: strange_agent.py SOCKET [malformed]     (the agent is that of $SSH_AUTH_SOCK)
"""

import os
import socket
import struct
import sys
import threading

REQUEST_IDENTITIES, IDENTITIES_ANSWER, SIGN_REQUEST, SIGN_RESPONSE = 11, 12, 13, 14


def string(data):
    return struct.pack(">I", len(data)) + data


POINT = bytes(range(32))
STRANGE = [
    string(b"ssh-nonsense") + POINT,
    string(b"sk-ssh-ed25519@openssh.com") + string(POINT) + string(b"ssh:"),
    string(b"ssh-dss") + string(b"\1" * 128) + string(b"\1" * 20) + string(b"\2") + string(b"\1" * 128),
    string(b"ssh-rsa") + string(b"\1\0\1") + string(b"\1" * 2048),
    string(b"ssh-mldsa44-ed25519") + string(bytes(1344)),
]
# OpenSSH leaves an agent alone that has one of these.
MALFORMED = [
    b"",
    b"\0\0\0\xff",
    string(b"ssh-ed25519") + string(POINT[:31]),
    string(b"ssh-ed25519-cert-v01@openssh.com") + string(POINT) + string(POINT),
]
KEYS = STRANGE + (MALFORMED if sys.argv[2:] == ["malformed"] else [])


def read(connection):
    head = connection.recv(4, socket.MSG_WAITALL)
    return connection.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL) if head else b""


def serve(client):
    agent = socket.socket(socket.AF_UNIX)
    agent.connect(os.environ["SSH_AUTH_SOCK"])
    while request := read(client):
        if request[0] == SIGN_REQUEST and any(request[1:].startswith(string(key)) for key in KEYS):
            client.sendall(string(bytes([SIGN_RESPONSE]) + string(string(b"ssh-nonsense") + POINT)))
            continue
        agent.sendall(string(request))
        answer = read(agent)
        if request[0] == REQUEST_IDENTITIES and answer[0] == IDENTITIES_ANSWER:
            count = struct.unpack(">I", answer[1:5])[0] + len(KEYS)
            keys = b"".join(string(key) + string(b"strange") for key in KEYS)
            answer = bytes([IDENTITIES_ANSWER]) + struct.pack(">I", count) + keys + answer[5:]
        client.sendall(string(answer))


listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
while True:
    threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()
