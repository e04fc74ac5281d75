"""MentionLab: https://docs.mentionlab.io (jobs, and the executions they are made of)."""

from typing import Annotated, Any

from pydantic import Field

from pollbridge.model.job import Count, JobKey, Progress, Snapshot, State
from pollbridge.vendors.answer import (
    Answer,
    Identifier,
    Kind,
    Limits,
    Listing,
    Moment,
    Object,
    Page,
    Request,
    Seen,
    Status,
    Vendor,
    lower_uuid,
    named,
    read,
    segment,
    states,
)
from pollbridge.vendors.listing import page_of, read_list

# https://docs.mentionlab.io/api-reference/jobs/get-a-job-by-id
JOB_STATES = {
    "pending": State.PENDING,
    "processing": State.RUNNING,
    "completed": State.SUCCEEDED,
    "partial_failed": State.PARTIALLY_FAILED,
    "failed": State.FAILED,
}

# A run says `success` where a job says `completed`; the vendor's own example of a run has no status at all.
EXECUTION_STATES = {
    "pending": State.PENDING,
    "retrying": State.RETRYING,
    "success": State.SUCCEEDED,
    "failed": State.FAILED,
}


class JobAnswer(Answer):
    id: Identifier = None
    status: Status = None
    total: Count = Field(None, alias="totalExecutions")
    pending: Count = Field(None, alias="pendingExecutions")
    retrying: Count = Field(None, alias="retryingExecutions")
    success: Count = Field(None, alias="successExecutions")
    failed: Count = Field(None, alias="failedExecutions")
    created_at: Moment = Field(None, alias="createdAt")
    updated_at: Moment = Field(None, alias="updatedAt")

    @property
    def progress(self) -> Progress | None:
        counts = (self.total, self.pending, self.retrying, self.success, self.failed)
        if all(count is None for count in counts):
            return None
        # `totalExecutions` is the sum of the other four, so none is ever cancelled.
        return Progress(
            total=self.total,
            succeeded=self.success,
            failed=self.failed,
            pending=self.pending,
            retrying=self.retrying,
            cancelled=0,
        )


class ExecutionAnswer(Answer):
    id: Identifier = Field(None, alias="jobExecutionId")
    status: Status = None
    initiated_at: Moment = Field(None, alias="initiatedAt")
    created_at: Moment = Field(None, alias="createdAt")


class PageAnswer(Answer):
    current: Count = Field(None, alias="currentPage")
    total: Count = Field(None, alias="totalPages")


class ListAnswer(Answer):
    page: Annotated[PageAnswer | None, Object] = None
    results: list[Any]


def request_job(key: JobKey) -> Request:
    return Request(f"/api/jobs/{segment(key.id)}", {"x-project-id": key.scope})


def request_execution(key: JobKey) -> Request:
    # With `v1`, unlike the jobs' path.
    return Request(f"/api/v1/job-executions/{segment(key.id)}", {"x-project-id": key.scope})


def request_list(scope: str, page: str | None) -> Request:
    # https://docs.mentionlab.io/api-reference/jobs/list-jobs: pages from 1, of at most 100
    return Request(
        f"/api/jobs/list?limit=100&page={page or 1}",
        {"x-project-id": scope, "Content-Type": "application/json"},
        "POST",
        b'{"sort":[{"field":"updatedAt","direction":"DESC"}]}',
    )


def parse_job(body: bytes) -> Seen:
    job = read(JobAnswer, body)
    return Seen(
        named(job.id, "id"),
        Snapshot(
            state=states(JOB_STATES, job.status),
            vendor_status=job.status,
            progress=job.progress,
            created_at=job.created_at,
            updated_at=job.updated_at,
        ),
    )


def parse_execution(body: bytes) -> Seen:
    run = read(ExecutionAnswer, body)
    return Seen(
        named(run.id, "jobExecutionId"),
        Snapshot(
            state=states(EXECUTION_STATES, run.status),
            vendor_status=run.status,
            created_at=run.created_at,
            started_at=run.initiated_at,
        ),
    )


def parse_list(body: bytes, page: str | None) -> Page:
    answer = read_list(ListAnswer, body)
    told, asked = answer.page or PageAnswer(), int(page or 1)
    # A page that holds jobs and is beyond the total, or is counted in another way than ours, may not be the last.
    last = not answer.results or (asked >= (told.current or asked) == told.total)
    return page_of(answer.results, parse_job, None if last else str(asked + 1))


MENTIONLAB = Vendor(
    name="mentionlab",
    base_url="https://api.mentionlab.io",
    # Two documents disagree; this is the stricter of each (https://docs.mentionlab.io/developers/rate-limits).
    limits=Limits(per_second=10, per_minute=120, concurrency=20),
    kinds={
        "job": Kind(
            request_job,
            parse_job,
            lower_uuid,
            listing=Listing(request_list, parse_list, by_update=True),
        ),
        "execution": Kind(request_execution, parse_execution, lower_uuid),
    },
    headers=("x-api-key", "x-organisation-id"),
)
