"""A cloud as Compute Engine documents it, with one instance, which is a host of the lab.

usage: cloud.py PORT CALLS LAB NETWORK HOST: listens on the loopback, writes each call and its status to the file
CALLS, and powers HOST on with the lab's script when its instance is started. The first token is
refused, then there are too many requests, then the server fails.
"""

import http.server
import json
import subprocess
import sys
import threading

PORT, CALLS, LAB, NETWORK, HOST = int(sys.argv[1]), *sys.argv[2:6]
INSTANCE = "/compute/v1/projects/p/zones/z/instances/b3"
OPERATIONS = "/compute/v1/projects/p/zones/z/operations/"
state = {"status": "TERMINATED", "done": False, "faults": [401, 429, 503], "tokens": 0}


def start():
    # The lab's script works in the network of the machine, not in that of the sentinel.
    command = ["nsenter", f"--net={NETWORK}", LAB, "revive", HOST]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    state.update(status="RUNNING", done=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, value, headers=()):
        body = json.dumps(value).encode()
        with open(CALLS, "a", encoding="utf-8") as calls:
            calls.write(f"{self.command} {self.path} {self.said} {status}\n")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, text in headers:
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, reason, headers=()):
        error = {"code": status, "message": reason, "errors": [{"reason": reason}]}
        self.answer(status, {"error": error}, headers)

    def do_GET(self):
        self.said = ""
        path = self.path.split("?")[0]
        if path.startswith("/computeMetadata/v1/"):
            state["tokens"] += 1
            token = f"T0P-SECRET-{state['tokens']}"
            return self.answer(200, {"access_token": token, "expires_in": 3599})
        if self.is_faulty():
            return None
        if path == INSTANCE:
            return self.answer(200, {"status": state["status"]})
        if path.startswith(OPERATIONS):
            done = "DONE" if state["done"] else "RUNNING"
            return self.answer(200, {"name": "operation-1", "status": done})
        return self.refuse(404, "notFound")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.said = ""
        if self.path == "/hook":
            self.said = body.decode()
            return self.answer(200, {})
        if self.path == INSTANCE + "/start" and state["status"] == "TERMINATED":
            state["status"] = "STAGING"
            threading.Thread(target=start, daemon=True).start()
            return self.answer(200, {"name": "operation-1", "status": "PENDING"})
        return self.refuse(404, "notFound")

    def is_faulty(self):
        if self.headers.get("Authorization") != f"Bearer T0P-SECRET-{state['tokens']}":
            self.refuse(401, "authError")
            return True
        if not state["faults"]:
            return False
        status = state["faults"].pop(0)
        self.refuse(status, "rateLimitExceeded", [("Retry-After", "1")])
        return True

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
with open(CALLS, "a", encoding="utf-8") as listening:
    listening.write("listening\n")
server.serve_forever()
