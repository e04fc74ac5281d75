"""What Slack shows, made of Block Kit: https://docs.slack.dev/block-kit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pollbridge.model.event import RECOVERED
from pollbridge.notifying.notice import Notice
from pollbridge.notifying.slack import destination, job, vendor
from pollbridge.notifying.slack import listing as many


def message(notice: Notice) -> dict[str, Any]:
    """The message about a job, a vendor or a destination. Its `text` is for notifications."""
    match notice.about:
        case "job":
            return job.message(notice.detail)
        case "vendor":
            recovered = notice.detail_type == RECOVERED
            return vendor.recovered(notice.detail) if recovered else vendor.unreachable(notice.detail)
    return destination.disabled(notice.detail)


def card(notice: Notice) -> dict[str, Any]:
    """A job's card, which is updated in place: how the job stands with this event. `text` and `blocks`."""
    return job.card(notice.detail) if notice.about == "job" else message(notice)


def reply(notice: Notice) -> dict[str, Any]:
    """What a change adds to the thread below the job's card. `text` and `blocks`."""
    return job.reply(notice.detail) if notice.about == "job" else message(notice)


def listing(notices: Sequence[Notice]) -> dict[str, Any]:
    """One message about many changes, found in one sweep: at least one of them is a job's. `text` and `blocks`."""
    jobs = [notice.detail for notice in notices if notice.about == "job"]
    others = [message(notice)["blocks"][0]["text"]["text"] for notice in notices if notice.about != "job"]
    return many.listing(jobs, others)
