"""What simulated jobs say: the documented body of every kind, the script a job lives, and the demo's stories.

Pure: what a job says depends only on how often it was asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field

from pollbridge.local.faults import Fault
from pollbridge.local.serving import Control

Body = dict[str, Any]


class Step(Control):
    """One answer of a job: a state, as what differs from the documented body, or a fault, or a state behind a fault."""

    body: Body | None = None
    without: tuple[str, ...] = ()
    """Documented fields that this state doesn't have."""
    fault: Fault | None = None

    @property
    def tells(self) -> bool:
        return self.body is not None or bool(self.without) or self.fault is None


class Script(Control):
    """The life of a job, a step per look at it."""

    steps: Annotated[list[Step], Field(min_length=1)]


class Life:
    """A script being lived. Each look takes the next step; the last state stays, its fault doesn't."""

    def __init__(self, script: Script, documented: Body) -> None:
        self._ahead = deque(script.steps)
        self._state = Step()
        self._documented = documented

    def tell(self) -> tuple[Body, Fault | None]:
        """The answer to one request and the fault it suffers. A fault without a state leaves the state as it was."""
        if not self._ahead:
            return self._body(self._state), None
        step = self._ahead.popleft()
        if step.tells:
            self._state = step
        return self._body(self._state), step.fault

    def show(self) -> Body:
        """How a list tells it: a look like any other, but that a job's faults don't befall its list."""
        while self._ahead:
            step = self._ahead.popleft()
            if step.tells:
                self._state = step
                break
        return self._body(self._state)

    @property
    def present(self) -> Body:
        """The state that the next proper answer tells. No look: it moves nothing on."""
        return self._body(next((step for step in self._ahead if step.tells), self._state))

    def _body(self, step: Step) -> Body:
        told = self._documented | (step.body or {})
        return {field: value for field, value in told.items() if field not in step.without}


def _mentionlab_job(scope: str, id: str) -> Body:
    return {
        "id": id,
        "project": scope,
        "totalExecutions": 100,
        "pendingExecutions": 100,
        "retryingExecutions": 0,
        "successExecutions": 0,
        "failedExecutions": 0,
        "status": "pending",
        "createdAt": "2026-06-08T12:00:00.000Z",
        "updatedAt": "2026-06-08T12:00:00.000Z",
        "createdBy": {
            "firstName": "Jane",
            "lastName": "Doe",
            "email": "jane.doe@example.com",
            "id": "01234567-89ab-cdef-0123-456789abcdef",
        },
    }


def _mentionlab_execution(_scope: str, id: str) -> Body:
    return {
        "jobExecutionId": id,
        "aiResponseId": "a8d2e4f0-1b3c-4d5e-9f8a-7c6b5a4d3e2f",
        "jobId": "d9c8b7a6-5f4e-4d3c-9b2a-1e0f9d8c7b6a",
        "initiatedAt": "2026-06-08T10:15:30.000Z",
        "createdAt": "2026-06-08T10:15:31.000Z",
        "model": "gpt-4o",
        # The vendor's page requires it and its example lacks it: `without` plays the example.
        "status": "pending",
        "executionNumber": 1,
        "hasSources": True,
        "hasShopping": False,
        "sources": [{"domain": "reddit.com", "url": "https://reddit.com/r/crm/..."}],
        "entities": [
            {
                "displayKey": "550e8400-e29b-41d4-a716-446655440000",
                "displayName": "Acme Corp",
                "isPrimary": True,
                "sentimentScore": 72.3,
            }
        ],
        "queryId": "c2b4d6e8-0a1f-4c3d-8e7b-6a5f4d3c2b1a",
        "country": "US",
        "language": "en",
    }


def _oration_job(_scope: str, id: str) -> Body:
    return {
        "id": id,
        "createdAt": "2026-04-01T10:16:00.000Z",
        "updatedAt": "2026-04-01T10:16:00.000Z",
        "jobProviderId": "b9eb98d0-2445-46a3-8107-4fcf243f85e4",
        "name": "customer.createBatch",
        "status": "created",
        "error": None,
        "workspaceId": "6f8c7d9d-34e2-4f42-9f5d-8f3c5b16a6af",
    }


def _scale_job(scope: str, id: str) -> Body:
    return {
        "id": id,
        "project_id": scope,
        "operation": "batch_parse",
        "status": "pending",
        "created_at": "2026-06-08T12:00:00Z",
        "object": "job",
        "source_id": None,
        "correlation_id": None,
        "started_at": None,
        "completed_at": None,
        "result": None,
        "progress": None,
        "error": None,
        "history": [],
    }


def _mintlify_agent_v1(_scope: str, id: str) -> Body:
    return {
        "sessionId": id,
        "subdomain": "acme",
        "branch": None,
        "haulted": False,
        "haultReason": "processing",
        "pullRequestLink": "",
        "messageToUser": "",
        "todos": [],
        "userId": "user_4f1c",
        "title": "Document the retry behaviour",
        "createdAt": "2026-06-08T12:00:00.000Z",
    }


def _mintlify_agent_v2(_scope: str, id: str) -> Body:
    return {
        "id": id,
        "status": "active",
        "source": {"repository": "acme/docs", "ref": None},
        "model": "sonnet",
        "prLink": None,
        "createdAt": "2026-06-08T12:00:00.000Z",
        "archivedAt": None,
    }


DOCUMENTED: Mapping[str, Callable[[str, str], Body]] = {
    "mentionlab/job": _mentionlab_job,
    "mentionlab/execution": _mentionlab_execution,
    "oration/job": _oration_job,
    "scale/job": _scale_job,
    "mintlify/agent-v1": _mintlify_agent_v1,
    "mintlify/agent-v2": _mintlify_agent_v2,
}
"""`<vendor>/<kind>` → the body of a job that has just begun, with every documented field, from its scope and id."""
