"""Whether all that was recorded is published, whether every followed job is looked at, and whose polls fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import islice

from pollbridge.cli.doctor.finding import Finding, Look, Question, Subject, bad, note, plural, warn
from pollbridge.history.heads import DueRow, job_key
from pollbridge.history.publication import Publication
from pollbridge.history.table import Item
from pollbridge.model.cadence import Slot
from pollbridge.publishing.auditor import GRACE, TRIES

ENTRIES = 100
"""Unpublished entries that are looked at, the oldest ones."""

ROWS = 50_000
"""Followed jobs that are looked at, some seven megabytes; the auditor looks at all of them in a day."""

NAMED = 5
"""Jobs that are named; the others are counted."""

ABOUT = "followed jobs"

JOBS_FAILING = "jq -r '.[] | select(.failing) | .job.key'"


def _questions(look: Look) -> Iterator[Question]:
    yield Question("unpublished", "recorded changes", partial(_unpublished, look))
    yield Question("orphans", ABOUT, partial(_followed, look))


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


def _followed(look: Look) -> Iterator[Finding]:
    """One reading of the calendar is for both: those that no sweep looks at, and those whose polls fail."""
    connections, orphans, failing, rows = look.configuration.vendors, list[Item](), list[Item](), 0
    for row in islice(look.deployment.table.scan("due", segment=0, of=1), ROWS):
        rows += 1
        if not _is_read(row["due_slot"]["S"], connections):
            orphans.append(row)
        elif "due_row" in row and DueRow.read(row["due_row"]["S"]).failing:
            failing.append(row)
    yield from _orphans(orphans, connections)
    yield from _failing(look, failing)
    if rows == ROWS:
        yield note("orphans", ABOUT, f"only the first {ROWS:,} were looked at; the auditor looks at all within a day")
        return
    if not orphans:
        yield Finding("orphans", ABOUT, "each is looked at by a sweep")
    if not failing:
        yield Finding("failing_polls", ABOUT, "of none three polls in a row failed")


def _orphans(rows: Sequence[Item], connections: object) -> Iterator[Finding]:
    for row in rows[:NAMED]:
        yield _orphan(row["PK"]["S"].removeprefix("JOB#"), row["due_slot"]["S"], connections)
    if len(rows) > NAMED:
        says = f"{plural(len(rows) - NAMED, 'job')} more that nobody looks at"
        yield bad("orphans", ABOUT, says, "the auditor's log names them")


def _failing(look: Look, rows: Sequence[Item]) -> Iterator[Finding]:
    for key in (job_key(row["PK"]["S"]) for row in rows[:NAMED]):
        head = look.deployment.heads.get(key)
        # The index may lag behind a job that is answered again.
        if head and head.failing:
            says = f"three or more polls in a row failed: {head.failing}"
            do = "ask the vendor; pollbridge explain KEY says since when, pollbridge unwatch KEY lets a job go"
            yield warn("failing_polls", f"job {key}", says, do)
    if len(rows) > NAMED:
        says = f"{plural(len(rows) - NAMED, 'job')} more of which three or more polls in a row failed"
        yield warn("failing_polls", ABOUT, says, f"pollbridge jobs --limit {ROWS} --json | {JOBS_FAILING}")


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
