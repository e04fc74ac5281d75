"""The demo's jobs: for every kind a life worth hearing about, in the JSON that the control API takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def _counted(status: str, minute: int, *, pending: int, retrying: int, success: int, failed: int) -> dict[str, Any]:
    return {
        "body": {
            "status": status,
            "pendingExecutions": pending,
            "retryingExecutions": retrying,
            "successExecutions": success,
            "failedExecutions": failed,
            "updatedAt": f"2026-06-08T12:{minute:02}:00.000Z",
        }
    }


def _batch(status: str, children: Mapping[str, str], *, finished: bool = False) -> dict[str, Any]:
    counts = {word: list(children.values()).count(word) for word in ("succeeded", "failed", "cancelled", "pending")}
    return {
        "body": {
            "status": status,
            "source_id": "file_5c0e",
            "started_at": "2026-06-08T12:00:02.118000Z",
            "completed_at": "2026-06-08T12:09:41Z" if finished else None,
            "result": {"parse_results": counts["succeeded"]} if finished else None,
            "progress": {
                "total": len(children),
                **counts,
                "child_jobs": [
                    {
                        "source_document_id": f"file_{name}",
                        "job_id": f"job_{name}",
                        "status": word,
                        "parse_result_id": f"pres_{name}" if word == "succeeded" else None,
                        "error": "The document is encrypted." if word == "failed" else None,
                    }
                    for name, word in children.items()
                ],
            },
            "history": [
                {
                    "step": "parse",
                    "timestamp": "2026-06-08T12:00:02.118000Z",
                    "duration_ms": 578882 if finished else None,
                    "status": "completed" if finished else "started",
                    "details": {},
                }
            ],
        }
    }


def _todos(*statuses: str) -> list[dict[str, str]]:
    contents = ("Read the retry code", "Write the page", "Link it from the overview")
    return [
        {"content": content, "status": status, "priority": "high" if number == 1 else "medium", "id": str(number)}
        for number, (content, status) in enumerate(zip(contents, statuses, strict=True), 1)
    ]


SCOPES = {
    "mentionlab": "01234567-89ab-cdef-0123-456789abcdef",
    "oration": "acme",
    "scale": "proj_docs",
    "mintlify": "acme-docs",
}
"""Where the demo's jobs live, by vendor."""

Stories = Mapping[str, Sequence[Mapping[str, Any]]]
"""`<vendor>/<kind>` → its steps."""

STORIES: Stories = {
    "mentionlab/job": (
        _counted("pending", 0, pending=100, retrying=0, success=0, failed=0),
        _counted("processing", 10, pending=58, retrying=2, success=40, failed=0),
        _counted("processing", 30, pending=10, retrying=2, success=80, failed=8),
        _counted("partial_failed", 42, pending=0, retrying=0, success=92, failed=8),
    ),
    "mentionlab/execution": (
        {"body": {}},
        {"body": {"status": "retrying", "executionNumber": 2}},
        {"body": {"status": "retrying", "executionNumber": 3}},
        {"body": {"status": "success", "executionNumber": 3}},
    ),
    "oration/job": (
        {"body": {}},
        {"body": {"status": "active", "updatedAt": "2026-04-01T10:17:05.000Z"}},
        {"fault": {"status": 500}},
        {
            "body": {
                "status": "failed",
                "updatedAt": "2026-04-01T10:18:42.000Z",
                "error": "Row 17: phoneNumber is not a valid E.164 number",
            }
        },
    ),
    "scale/job": (
        {"body": {}},
        _batch("running", {"a": "pending", "b": "pending", "c": "pending", "d": "pending"}),
        _batch("running", {"a": "succeeded", "b": "succeeded", "c": "pending", "d": "pending"}),
        _batch("running", {"a": "succeeded", "b": "succeeded", "c": "failed", "d": "pending"}),
        _batch(
            "partially_succeeded",
            {"a": "succeeded", "b": "succeeded", "c": "failed", "d": "succeeded"},
            finished=True,
        ),
    ),
    "mintlify/agent-v1": (
        {"body": {"todos": _todos("in_progress", "pending", "pending")}},
        {"body": {"todos": _todos("completed", "in_progress", "pending"), "branch": "mintlify/retries"}},
        {
            "body": {
                "haulted": True,
                "haultReason": "completed",
                "branch": "mintlify/retries",
                "pullRequestLink": "https://github.com/acme/docs/pull/128",
                "messageToUser": "The page is written and linked from the overview.",
                "todos": _todos("completed", "completed", "completed"),
            }
        },
    ),
    "mintlify/agent-v2": (
        {"body": {}},
        {"body": {"source": {"repository": "acme/docs", "ref": "mintlify/quickstart"}}},
        {"fault": {"content": "empty"}},
        {
            "body": {
                "status": "completed",
                "source": {"repository": "acme/docs", "ref": "mintlify/quickstart"},
                "prLink": "https://github.com/acme/docs/pull/129",
            }
        },
    ),
}
"""One job per kind, each of which is watched: all end terminal, and two meet an error of the vendor on the way."""

FINISHED: Stories = {
    "mentionlab/job": (_counted("completed", 0, pending=0, retrying=0, success=100, failed=0),),
    "scale/job": (_batch("succeeded", {"a": "succeeded", "b": "succeeded"}, finished=True),),
    "mintlify/agent-v1": ({"body": {"haulted": True, "haultReason": "completed", "todos": []}},),
}
"""Jobs that were over before anybody looked: they stand in the vendors' lists."""

FOUND: Stories = {
    "mentionlab/job": (
        _counted("processing", 44, pending=80, retrying=0, success=20, failed=0),
        _counted("processing", 46, pending=45, retrying=5, success=50, failed=0),
        _counted("processing", 48, pending=10, retrying=0, success=90, failed=0),
        _counted("completed", 50, pending=0, retrying=0, success=100, failed=0),
    ),
    "scale/job": (
        _batch("running", {"e": "succeeded", "f": "pending"}),
        _batch("succeeded", {"e": "succeeded", "f": "succeeded"}, finished=True),
    ),
}
"""Jobs that nobody registers: they come up in the vendors' lists, and live on from there."""
