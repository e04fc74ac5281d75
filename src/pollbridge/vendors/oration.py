"""Oration: https://docs.oration.ai (asynchronous workspace jobs)."""

from pydantic import Field

from pollbridge.model.job import JobKey, Snapshot, State
from pollbridge.vendors.answer import (
    Answer,
    Identifier,
    Kind,
    Limits,
    Moment,
    Prose,
    Request,
    Seen,
    Status,
    String,
    Vendor,
    lower_uuid,
    named,
    read,
    segment,
    states,
)

# https://docs.oration.ai, "Get job status by ID"
JOB_STATES = {
    "created": State.PENDING,
    "queued": State.PENDING,
    "active": State.RUNNING,
    "retrying": State.RETRYING,
    "success": State.SUCCEEDED,
    "failed": State.FAILED,
}


class JobAnswer(Answer):
    id: Identifier = None
    status: Status = None
    name: String = None
    error: Prose = None
    created_at: Moment = Field(None, alias="createdAt")
    updated_at: Moment = Field(None, alias="updatedAt")


def request_job(key: JobKey) -> Request:
    return Request(f"/jobs/{segment(key.id)}", {"x-workspace-slug": key.scope})


def parse_job(body: bytes) -> Seen:
    job = read(JobAnswer, body)
    return Seen(
        named(job.id, "id"),
        Snapshot(
            state=states(JOB_STATES, job.status),
            vendor_status=job.status,
            name=job.name,
            error=job.error,
            created_at=job.created_at,
            updated_at=job.updated_at,
            # "Timestamp when the job status last changed."
            state_since=job.updated_at,
        ),
    )


ORATION = Vendor(
    name="oration",
    base_url="https://www.oration.ai/api/v2",
    # No limit is documented; this is ours.
    limits=Limits(per_second=10, per_minute=300, concurrency=20),
    kinds={"job": Kind(request_job, parse_job, lower_uuid)},
    # The endpoint's page asks for the first two; other pages of the vendor use either alone.
    headers=("Authorization", "x-api-key", "x-workspace-id"),
)
