"""What the simulated vendors know, and the secrets that fit them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence

from pollbridge.aws import client
from pollbridge.local.place import State
from pollbridge.local.receivers import FAILURES, RECEIVERS
from pollbridge.local.running import control
from pollbridge.local.stories import FINISHED, FOUND, SCOPES, STORIES, Stories
from pollbridge.model.job import JobKey

HEADERS = {
    "mentionlab": {"x-api-key": "ml_live_simulated"},
    "oration": {"Authorization": "Bearer simulated", "x-api-key": "simulated"},
    "scale": {"x-api-key": "simulated", "x-selected-account-id": "acct_simulated"},
    "mintlify": {"Authorization": "Bearer mint_simulated"},
}


def story_keys() -> list[JobKey]:
    """The jobs that are watched: one per kind."""
    return [_key(kind) for kind in STORIES]


def finished_keys() -> list[JobKey]:
    """The jobs that were over before anybody looked."""
    return [_key(kind, "finished") for kind in FINISHED]


def found_keys() -> list[JobKey]:
    """The jobs that nobody registers, once they have come up."""
    return [_key(kind, "found") for kind in FOUND]


def seed(state: State) -> list[str]:
    """Tell the vendors their stories, the receivers their secret, and the deployment its keys. Twice is fine."""
    _tell(state, finished_keys(), FINISHED)
    _tell(state, story_keys(), STORIES)
    held = {**HEADERS, **{name: _agree(state, name, receiver.path) for name, receiver in RECEIVERS.items()}}
    steps = [{"status": status} for status in FAILURES]
    control(state, "inbox", "PUT", f"faults/{RECEIVERS['flaky'].path}", {"steps": steps})
    _store(state, {f"pollbridge/{name}": secret for name, secret in held.items()})
    return [str(key) for key in story_keys()]


def come_up(state: State) -> None:
    """Jobs that nobody registered appear in the vendors' lists."""
    _tell(state, found_keys(), FOUND)


def go_down(state: State, vendor: str) -> None:
    """The vendor answers 503 to everything."""
    control(state, "vendors", "POST", "outage", {"vendor": vendor, "fault": {"status": 503}})


def come_back(state: State, vendor: str) -> None:
    """The vendor answers again."""
    control(state, "vendors", "POST", "outage", {"vendor": vendor, "fault": None})


def _agree(state: State, name: str, path: str) -> dict[str, str]:
    """Tell a receiver what it will know its messages by. Returns the destination's secret."""
    url = f"http://127.0.0.1:{state.ports['inbox']}/{path}"
    if path.startswith("webhook/"):
        signing_secret = f"whsec_{base64.b64encode(os.urandom(32)).decode()}"
        control(state, "inbox", "PUT", f"webhooks/{name}", {"signing_secret": signing_secret})
        return {"url": url, "signing_secret": signing_secret}
    if path.startswith("slack-api/"):
        bot = {"bot_token": f"xoxb-simulated-{os.urandom(16).hex()}", "channel": f"#{name}"}
        control(state, "inbox", "PUT", path, bot)
        return {**bot, "api_url": url}
    return {"webhook_url": url}


def _tell(state: State, keys: Sequence[JobKey], stories: Stories) -> None:
    for key, steps in zip(keys, stories.values(), strict=True):
        control(state, "vendors", "PUT", f"jobs/{key}", {"steps": list(steps)})


def _store(state: State, secrets: Mapping[str, Mapping[str, str]]) -> None:
    os.environ.update(state.environment())
    manager = client("secretsmanager")
    for name, held in secrets.items():
        try:
            manager.create_secret(Name=name, SecretString=json.dumps(held))
        except manager.exceptions.ResourceExistsException:
            manager.put_secret_value(SecretId=name, SecretString=json.dumps(held))


def _key(kind: str, part: str = "") -> JobKey:
    vendor, _, name = kind.partition("/")
    digest = hashlib.sha256(f"{kind}{part}".encode()).hexdigest()
    uuid = f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
    return JobKey(vendor, name, SCOPES[vendor], uuid)
