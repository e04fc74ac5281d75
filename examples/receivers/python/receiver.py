"""Receives pollbridge's webhooks: `pip install standardwebhooks`, `WEBHOOK_SECRET=whsec_… python receiver.py`."""

import contextlib
import os
import queue
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

WEBHOOK = Webhook(os.environ["WEBHOOK_SECRET"])
RETIRED = os.environ.get("RETIRED") == "1"
BODY_LIMIT = 64 * 1024  # bytes; pollbridge sends 20 KB at most
REMEMBERED = 10_000

# A service has tables for these: what ends with the program is gone, because what was answered 2xx isn't sent again.
todo = queue.Queue(maxsize=1_000)  # INSERT the event before you answer
worked = {}  # webhook-id → True; INSERT it in the transaction that does the work
versions = {}  # job key → the newest version; UPDATE jobs SET … WHERE key = ? AND version < ?


class Receiver(BaseHTTPRequestHandler):
    timeout = 10  # seconds that a sender may be silent

    def do_POST(self):
        self.send_response(self.answer())
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            return 411
        if len(length) > 9 or int(length) > BODY_LIMIT:
            return 413
        body = self.rfile.read(int(length))  # the bytes as they came: JSON that was parsed isn't what was signed
        try:
            event = WEBHOOK.verify(body, dict(self.headers))
        except (WebhookVerificationError, ValueError):  # ValueError: no UTF-8, or nothing like a signature
            return 401
        if RETIRED:
            return 410  # pollbridge disables the destination, and sends no more
        try:
            todo.put_nowait((self.headers["webhook-id"], event))
        except queue.Full:
            return 503  # pollbridge sends it again
        return 202  # at once: pollbridge waits 10 seconds, and the work may take longer


def work():
    while True:
        event_id, event = todo.get()
        try:
            if event_id not in worked:  # the same event may come more than once
                take(event)
                remember(worked, event_id, True)
        except Exception:
            traceback.print_exc()


def take(event):
    """Your service's work. Let pass what it doesn't know: there may be new types."""
    kind, data = event["type"], event["data"]
    if not kind.startswith("job."):
        print("passed", kind, flush=True)
    elif data["version"] <= versions.get(data["job"]["key"], 0):  # it must not overwrite what is newer
        print("late", data["job"]["key"], data["version"], flush=True)
    else:
        remember(versions, data["job"]["key"], data["version"])
        print("job", data["job"]["key"], data["version"], data["to"]["state"], flush=True)


def remember(memory, key, value):
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > REMEMBERED:
        del memory[next(iter(memory))]  # the oldest


if __name__ == "__main__":
    threading.Thread(target=work, daemon=True).start()
    address = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8080"))
    with ThreadingHTTPServer(address, Receiver) as server, contextlib.suppress(KeyboardInterrupt):
        print("listening on http://{}:{}".format(*server.server_address), flush=True)
        server.serve_forever()
