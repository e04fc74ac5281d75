"""One webhook as it arrives at a receiver, for the documents' snippets that verify one."""

from __future__ import annotations

import json
import os

from pollbridge.notifying.notice import Notice
from tests.kit import events
from tests.kit.stranger import stranger
from tests.kit.verifying import deliver


def posted() -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a webhook, signed just now with the environment's WEBHOOK_SECRET."""
    [record] = events.event("webhook_notifier", "changed")["Records"]
    with stranger() as receiver:
        webhook = deliver(receiver, Notice.read(record["body"]), {"signing_secret": os.environ["WEBHOOK_SECRET"]})
    return webhook.body, dict(webhook.headers)


if __name__ == "__main__":
    body, headers = posted()
    print(json.dumps({"body": body.decode(), "headers": headers}))
