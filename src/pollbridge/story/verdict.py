"""A sentence or two: who heard of a job's last change, who didn't, and why."""

from __future__ import annotations

from collections.abc import Iterator

from pollbridge.model.job import clip
from pollbridge.story.arrivals import QUIET, Arrival, Outcome
from pollbridge.story.job import Story
from pollbridge.story.polls import When

REASON_LIMIT = 160
"""Bytes of one reason: what a `match` wants can be as long as it likes, and so can a vendor's error."""

ENDS = frozenset({"unwatched", "expired", "unconfigured"})
"""After these nothing newer is told; that a job is over and settled is no news."""

HIDES = frozenset(
    {
        *("stopped", "behind", "waits", "poll_failed", "failing"),
        *("unreachable", "unauthorized", "forbidden", "no_credentials"),
    }
)
"""What may have happened since is not known."""


def verdict(story: Story) -> str:
    """Who heard of the last of the changes and who didn't, why, and what keeps newer news away."""
    return " ".join([*_of_the_last(story), *_of_earlier_ones(story), *_of_newer_ones(story)])


def _of_the_last(story: Story) -> Iterator[str]:
    if not story.changes:
        why = f": {clip(story.remarks[0].says, REASON_LIMIT)}" if story.remarks else ": nothing was recorded of it"
        yield f"There is nothing to hear of yet{why}."
        return
    last = story.changes[-1]
    name = f"v{last.version}"
    if last.remark:
        yield f"Nobody {'was told' if last.change.silent else 'has heard'} of {name}: {last.remark.says}."
    elif not last.arrivals:
        yield f"Nobody heard of {name}: no destination is configured."
    else:
        yield f"{_who(last.arrivals, name, story.when)}."


def _who(arrivals: tuple[Arrival, ...], name: str, when: When) -> str:
    parts: list[str] = []
    others: dict[tuple[str, str], list[str]] = {}
    for each in arrivals:
        if each.outcome is Outcome.DELIVERED:
            parts.append(f"{each.name}{'' if parts else f' heard of {name}'}{_at(each, when)}")
        else:
            others.setdefault((_has_not(each), _reason(each)), []).append(each.name)
    first = ", ".join(parts) or f"Nobody has heard of {name}"
    return "; ".join([first, *(f"{_and(names)} {has_not}: {why}" for (has_not, why), names in others.items())])


def _at(arrival: Arrival, when: When) -> str:
    return f" at {when(arrival.heard_at)}" if arrival.heard_at else ""


def _has_not(arrival: Arrival) -> str:
    if arrival.outcome is Outcome.MAYBE_QUEUED:
        return "did not so far"
    return "not yet" if arrival.outcome in {Outcome.PENDING, Outcome.QUEUED, Outcome.UNPUBLISHED} else "did not"


def _reason(arrival: Arrival) -> str:
    told = arrival.says
    for prefix in ("no: ", "not yet: ", "not attempted: "):
        told = told.removeprefix(prefix)
    if arrival.outcome is Outcome.QUEUED:
        # How many wait in each queue would keep those apart that wait for the same.
        told = told.partition(": about")[0].replace("not taken up yet", "it was not taken up")
    if arrival.outcome is Outcome.MAYBE_QUEUED:
        told = told.removeprefix("today ").partition(" (about")[0]
    return clip(told, REASON_LIMIT)


def _and(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _of_earlier_ones(story: Story) -> Iterator[str]:
    """Those among the changes before the last that went wrong."""
    wrong: dict[str, list[str]] = {}
    for told in story.changes[:-1]:
        missing = [each.name for each in told.arrivals if each.outcome not in QUIET]
        if told.remark and not told.change.silent:
            wrong.setdefault(f"not published: {told.remark.says}", []).append(f"v{told.version}")
        elif missing:
            wrong.setdefault(f"not with {_and(missing)}", []).append(f"v{told.version}")
    for what, versions in wrong.items():
        yield f"{_and(versions)} {'is' if len(versions) == 1 else 'are'} {what}."


def _of_newer_ones(story: Story) -> Iterator[str]:
    if not story.changes:
        return
    for remark in story.remarks:
        if remark.about in ENDS | HIDES:
            what = "Nothing newer is told" if remark.about in ENDS else "Newer news may be missing"
            yield f"{what}: {clip(remark.says, REASON_LIMIT)}."
            return
