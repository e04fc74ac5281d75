"""Scale GenAI Platform, Dex: https://docs.gp.scale.com (document jobs of a project)."""

from typing import Annotated, Any

from pydantic import AliasChoices, Field

from pollbridge.model.job import Child, Children, Count, JobKey, Progress, Snapshot, State
from pollbridge.vendors.answer import (
    Answer,
    Identifier,
    Kind,
    Limits,
    Listing,
    Moment,
    Object,
    Objects,
    Page,
    Prose,
    Request,
    Seen,
    Status,
    String,
    Vendor,
    named,
    read,
    segment,
    states,
)
from pollbridge.vendors.listing import page_of, read_list

# https://docs.gp.scale.com, "Get Job"
JOB_STATES = {
    "pending": State.PENDING,
    "running": State.RUNNING,
    "succeeded": State.SUCCEEDED,
    "partially_succeeded": State.PARTIALLY_FAILED,
    "failed": State.FAILED,
    "cancelled": State.CANCELLED,
}


class ChildAnswer(Answer):
    id: Identifier = Field(None, alias="job_id")
    status: Status = None
    error: Prose = None


class ProgressAnswer(Answer):
    total: Count = None
    succeeded: Count = None
    failed: Count = None
    cancelled: Count = None
    pending: Count = None
    child_jobs: Annotated[tuple[ChildAnswer, ...], Objects] = ()


class JobAnswer(Answer):
    id: Identifier = None
    status: Status = None
    operation: String = None
    error: Prose = None
    progress: Annotated[ProgressAnswer | None, Object] = None
    created_at: Moment = None
    started_at: Moment = None
    completed_at: Moment = None


class ListAnswer(Answer):
    # https://docs.gp.scale.com/reference/dex/jobs/list-jobs has `items` and `next_token`, in a copy that seems older
    # than that of "Get Job". The other names are guesses; `continuation_token` is what requests call the token.
    items: list[Any] = Field(validation_alias=AliasChoices("items", "data", "jobs"))
    next: Identifier = Field(None, validation_alias=AliasChoices("next_token", "continuation_token"))


def request_job(key: JobKey) -> Request:
    return Request(f"/v1/projects/{segment(key.scope)}/jobs/{segment(key.id)}", {})


def request_list(scope: str, token: str | None) -> Request:
    rest = f"&continuation_token={segment(token)}" if token else ""
    return Request(f"/v1/projects/{segment(scope)}/jobs?page_size=100{rest}", {})


def parse_job(body: bytes) -> Seen:
    job = read(JobAnswer, body)
    counts: dict[str, Any] = job.progress.model_dump(exclude={"child_jobs"}) if job.progress else {}
    children = job.progress.child_jobs if job.progress else []
    state = states(JOB_STATES, job.status)
    return Seen(
        named(job.id, "id"),
        Snapshot(
            state=state,
            vendor_status=job.status,
            name=job.operation,
            progress=Progress(**counts) if any(count is not None for count in counts.values()) else None,
            error=job.error,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.completed_at,
            state_since=job.started_at if state is State.RUNNING else job.completed_at if state.terminal else None,
            children=Children.of([Child(id=child.id, status=child.status, title=child.error) for child in children]),
        ),
    )


def parse_list(body: bytes, _token: str | None) -> Page:
    # "PaginatedItems or list of" entities, says the page of a sibling, "List Extractions".
    answer = read_list(ListAnswer, body, bare="items")
    return page_of(answer.items, parse_job, answer.next)


SCALE = Vendor(
    name="scale",
    base_url="https://dex.sgp.scale.com",
    # No limit is documented; this is ours.
    limits=Limits(per_second=10, per_minute=300, concurrency=20),
    kinds={"job": Kind(request_job, parse_job, listing=Listing(request_list, parse_list))},
    headers=("x-api-key", "x-selected-account-id"),
)
