"""Mintlify: https://mintlify.com/docs/api/agent/get-agent-job (agent jobs, v1 and v2)."""

from typing import Annotated, Any

from pydantic import Field

from pollbridge.model.job import Child, Children, JobKey, Snapshot, State
from pollbridge.vendors.answer import (
    Answer,
    Flag,
    Identifier,
    Kind,
    Limits,
    Listing,
    Moment,
    Objects,
    Page,
    Prose,
    Request,
    Seen,
    Status,
    String,
    Vendor,
    link,
    named,
    read,
    segment,
    states,
)
from pollbridge.vendors.listing import page_of, read_list

# v1 has no status: these are its reasons (`haultReason`) once `haulted` is true. All spellings are the vendor's.
HAULT_REASONS = {
    "completed": State.SUCCEEDED,
    "error": State.FAILED,
    "github_missconfigured": State.FAILED,
    "interrupted": State.CANCELLED,
}

# "`processing` indicates the job is still running", whatever `haulted` says.
STILL_RUNNING = "processing"

AGENT_V2_STATES = {
    "active": State.RUNNING,
    "completed": State.SUCCEEDED,
    "failed": State.FAILED,
    "archived": State.ARCHIVED,
}


TAKE = 100
"""Jobs on a page of the list: the most the vendor gives. Unasked it gives 12."""


class TodoAnswer(Answer):
    id: Identifier = None
    status: Status = None
    content: String = None


class AgentV1Answer(Answer):
    id: Identifier = Field(None, alias="sessionId")
    haulted: Flag = False
    reason: Status = Field(None, alias="haultReason")
    pull_request: String = Field(None, alias="pullRequestLink")
    message: Prose = Field(None, alias="messageToUser")
    title: String = None
    todos: Annotated[tuple[TodoAnswer, ...], Objects] = ()
    created_at: Moment = Field(None, alias="createdAt")

    @property
    def state(self) -> State:
        if not self.haulted or self.reason == STILL_RUNNING:
            return State.RUNNING
        # Halted for a reason we don't know, or for none: it has stopped, and nobody says how it ended.
        return HAULT_REASONS.get(self.reason or "", State.HALTED)


class ListAnswer(Answer):
    sessions: list[Any] = Field(alias="allSessions")


class AgentV2Answer(Answer):
    id: Identifier = None
    status: Status = None
    pull_request: String = Field(None, alias="prLink")
    created_at: Moment = Field(None, alias="createdAt")
    archived_at: Moment = Field(None, alias="archivedAt")


def request_v1(key: JobKey) -> Request:
    return Request(f"/v1/agent/{segment(key.scope)}/job/{segment(key.id)}", {})


def request_list_v1(scope: str, skip: str | None) -> Request:
    # https://www.mintlify.com/docs/api/agent/get-all-jobs
    return Request(f"/v1/agent/{segment(scope)}/jobs?skip={skip or 0}&take={TAKE}", {})


def request_v2(key: JobKey) -> Request:
    return Request(f"/v2/agent/{segment(key.scope)}/job/{segment(key.id)}", {})


def parse_v1(body: bytes) -> Seen:
    job = read(AgentV1Answer, body)
    return Seen(
        named(job.id, "sessionId"),
        Snapshot(
            state=job.state,
            vendor_status=job.reason,
            name=job.title,
            links=link("pull_request", job.pull_request),
            message=job.message,
            created_at=job.created_at,
            children=Children.of([Child(id=todo.id, status=todo.status, title=todo.content) for todo in job.todos]),
        ),
    )


def parse_list_v1(body: bytes, skip: str | None) -> Page:
    sessions = read_list(ListAnswer, body).sessions
    # No total and no cursor, and a page may be shorter than asked for: only an empty one is surely the last.
    return page_of(sessions, parse_v1, str(int(skip or 0) + len(sessions)) if sessions else None)


def parse_v2(body: bytes) -> Seen:
    job = read(AgentV2Answer, body)
    state = states(AGENT_V2_STATES, job.status)
    return Seen(
        named(job.id, "id"),
        Snapshot(
            state=state,
            vendor_status=job.status,
            links=link("pull_request", job.pull_request),
            created_at=job.created_at,
            state_since=job.archived_at if state is State.ARCHIVED else None,
        ),
    )


MINTLIFY = Vendor(
    name="mintlify",
    base_url="https://api.mintlify.com",
    # No limit is documented for reading; this is ours.
    limits=Limits(per_second=10, per_minute=300, concurrency=20),
    kinds={
        "agent-v1": Kind(request_v1, parse_v1, listing=Listing(request_list_v1, parse_list_v1)),
        "agent-v2": Kind(request_v2, parse_v2),
    },
    headers=("Authorization",),
)
