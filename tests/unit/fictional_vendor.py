"""Acme: https://acme.example/docs. It doesn't exist; it shows what adding a vendor takes."""

from pydantic import Field

from pollbridge.model.job import JobKey, Snapshot, State
from pollbridge.vendors.answer import (
    Answer,
    Identifier,
    Kind,
    Limits,
    Request,
    Seen,
    Status,
    Vendor,
    named,
    read,
    segment,
    states,
)

RENDER_STATES = {
    "cooking": State.RUNNING,
    "done": State.SUCCEEDED,
    "burnt": State.FAILED,
}


class RenderAnswer(Answer):
    id: Identifier = Field(None, alias="renderId")
    status: Status = Field(None, alias="phase")


def request_render(key: JobKey) -> Request:
    return Request(f"/kitchens/{segment(key.scope)}/renders/{segment(key.id)}", {})


def parse_render(body: bytes) -> Seen:
    render = read(RenderAnswer, body)
    return Seen(
        named(render.id, "renderId"),
        Snapshot(state=states(RENDER_STATES, render.status), vendor_status=render.status),
    )


ACME = Vendor(
    name="acme",
    base_url="https://api.acme.example",
    limits=Limits(per_second=1, per_minute=30, concurrency=2),
    kinds={"render": Kind(request_render, parse_render)},
    headers=("Authorization",),
)
