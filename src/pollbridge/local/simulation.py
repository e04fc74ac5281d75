"""What the simulated vendors know, and the secrets that fit them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import Any

from pollbridge.aws import client
from pollbridge.local.place import State
from pollbridge.local.running import control
from pollbridge.local.stories import STORIES
from pollbridge.model.job import JobKey

SCOPES = {
    "mentionlab": "01234567-89ab-cdef-0123-456789abcdef",
    "oration": "acme",
    "scale": "proj_docs",
    "mintlify": "acme-docs",
}

HEADERS = {
    "mentionlab": {"x-api-key": "ml_live_simulated"},
    "oration": {"Authorization": "Bearer simulated", "x-api-key": "simulated"},
    "scale": {"x-api-key": "simulated", "x-selected-account-id": "acct_simulated"},
    "mintlify": {"Authorization": "Bearer mint_simulated"},
}


def story_keys() -> list[JobKey]:
    """The demo's jobs: one per kind."""
    return [_key(kind) for kind in STORIES]


def seed(state: State) -> list[str]:
    """Tell the vendors their stories, the receivers their secret, and the deployment its keys. Twice is fine."""
    for kind, steps in STORIES.items():
        key = _key(kind)
        control(state, "vendors", "PUT", f"jobs/{key}", {"steps": list(steps)})
    signing_secret = f"whsec_{base64.b64encode(os.urandom(32)).decode()}"
    control(state, "inbox", "PUT", "webhooks/service", {"signing_secret": signing_secret})
    inbox = f"http://127.0.0.1:{state.ports['inbox']}"
    secrets: dict[str, dict[str, Any]] = {f"pollbridge/{name}": dict(held) for name, held in HEADERS.items()}
    secrets["pollbridge/team"] = {"webhook_url": f"{inbox}/slack/team"}
    secrets["pollbridge/service"] = {"url": f"{inbox}/webhook/service", "signing_secret": signing_secret}
    _store(state, secrets)
    return [str(key) for key in story_keys()]


def _store(state: State, secrets: dict[str, dict[str, Any]]) -> None:
    os.environ.update(state.environment())
    manager = client("secretsmanager")
    for name, held in secrets.items():
        try:
            manager.create_secret(Name=name, SecretString=json.dumps(held))
        except manager.exceptions.ResourceExistsException:
            manager.put_secret_value(SecretId=name, SecretString=json.dumps(held))


def _key(kind: str) -> JobKey:
    vendor, _, name = kind.partition("/")
    digest = hashlib.sha256(kind.encode()).hexdigest()
    uuid = f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
    return JobKey(vendor, name, SCOPES[vendor], uuid)
