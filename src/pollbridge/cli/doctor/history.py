"""Whether all that was recorded is published, and whether somebody looks at every followed job."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import islice

from pollbridge.cli.doctor.finding import Finding, Look, Question, Subject, bad, note, plural
from pollbridge.history.publication import Publication
from pollbridge.model.cadence import Slot
from pollbridge.publishing.auditor import GRACE, TRIES

ENTRIES = 100
"""Unpublished entries that are looked at, the oldest ones."""

ROWS = 50_000
"""Followed jobs that are looked at, some seven megabytes; the auditor looks at all of them in a day."""

NAMED = 5
"""Jobs that are named; the others are counted."""


def _questions(look: Look) -> Iterator[Question]:
    yield Question("unpublished", "recorded changes", partial(_unpublished, look))
    yield Question("orphans", "followed jobs", partial(_orphans, look))


def _unpublished(look: Look) -> Iterator[Finding]:
    about = "recorded changes"
    waiting = list(islice(Publication(look.deployment.table).unpublished(look.now - GRACE), ENTRIES))
    poison = [entry for entry in waiting if entry.republished >= TRIES]
    if not waiting:
        yield Finding("unpublished", about, "all published")
    if len(waiting) > len(poison):
        count = plural(len(waiting) - len(poison), "change") + (" or more" if len(waiting) == ENTRIES else "")
        minutes, first = GRACE // timedelta(minutes=1), _subject(waiting[0].pk)
        says = f"{count} unpublished for over {minutes} minutes, first of {first}; the publisher's log says why"
        do = f"aws lambda invoke --function-name {look.parts.get('auditor', '…')} /dev/stdout"
        yield bad("unpublished", about, says, do)
    if poison:
        says = (
            f"{plural(len(poison), 'change')} given up after {TRIES} republications, first of {_subject(poison[0].pk)}"
        )
        do = "the auditor's log says why; docs/operating.md tells the query that finds them"
        yield bad("poison", about, says, do)


def _subject(pk: str) -> str:
    kind, _, name = pk.partition("#")
    return name if kind == "JOB" else f"{kind.lower()} {name}"


def _orphans(look: Look) -> Iterator[Finding]:
    connections, told, rows = look.configuration.vendors, 0, 0
    for row in islice(look.deployment.table.scan("due", segment=0, of=1), ROWS):
        rows += 1
        slot, key = row["due_slot"]["S"], row["PK"]["S"].removeprefix("JOB#")
        if _is_read(slot, connections):
            continue
        told += 1
        if told <= NAMED:
            yield _orphan(key, slot, connections)
    if told > NAMED:
        says = f"{plural(told - NAMED, 'job')} more that nobody looks at"
        yield bad("orphans", "followed jobs", says, "the auditor's log names them")
    if rows == ROWS:
        says = f"only the first {ROWS:,} were looked at; the auditor looks at all within a day"
        yield note("orphans", "followed jobs", says)
    elif not told:
        yield Finding("orphans", "followed jobs", "each is looked at by a sweep")


def _is_read(slot: str, connections: object) -> bool:
    try:
        return Slot.read(slot).connection in connections  # type: ignore[operator]
    except ValueError:
        return False


def _orphan(key: str, slot: str, connections: object) -> Finding:
    if key.partition("/")[0] in connections:  # type: ignore[operator]
        return bad("orphans", f"job {key}", f"stands in {slot!r}, where no sweep looks", f"pollbridge watch {key}")
    says = "is followed by nobody: its connection is not configured any more"
    do = f"configure the connection again and deploy, to follow it or to: pollbridge unwatch {key}"
    return bad("orphans", f"job {key}", says, do)


HISTORY = Subject("history", "all is published, and every followed job is looked at", _questions)
