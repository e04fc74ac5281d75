"""A sentence or two: who heard of a job's last change, who didn't, and why."""

from __future__ import annotations

from collections.abc import Iterator

from pollbridge.model.job import clip
from pollbridge.story.arrivals import QUIET, Arrival, Outcome
from pollbridge.story.job import Story
from pollbridge.story.polls import When

REASON_LIMIT = 160
"""Bytes of one reason: what a `match` wants can be as long as it likes, and so can a vendor's error."""

ENDS = frozenset({"unwatched", "expired"})
"""After these nothing newer is told; that a job is over and settled is no news."""

HIDES = frozenset(
    {"stopped", "behind", "unreachable", "unauthorized", "forbidden", "no_credentials", "waits", "poll_failed"}
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
        yield f"Nobody {'heard' if last.change.silent else 'has heard'} of {name}: {last.remark.says}."
    elif not last.arrivals:
        yield f"Nobody heard of {name}: no destination is configured."
    else:
        yield f"{_who(last.arrivals, name, story.when)}."


def _who(arrivals: tuple[Arrival, ...], name: str, when: When) -> str:
    heard = [each for each in arrivals if each.outcome is Outcome.DELIVERED]
    others = [each for each in arrivals if each.outcome is not Outcome.DELIVERED]
    if not heard:
        return f"Nobody has heard of {name}: {'; '.join(f'{each.name}: {_reason(each)}' for each in others)}"
    took = [f"{each.name}{{}}{f' at {when(each.heard_at)}' if each.heard_at else ''}" for each in heard]
    first, *more = took
    told = ", ".join([first.format(f" heard of {name}"), *(each.format("") for each in more)])
    return "; ".join([told, *map(_not, others)])


def _not(arrival: Arrival) -> str:
    later = {Outcome.PENDING, Outcome.QUEUED, Outcome.UNPUBLISHED}
    return f"{arrival.name} {'has not yet' if arrival.outcome in later else 'did not'}: {_reason(arrival)}"


def _reason(arrival: Arrival) -> str:
    return clip(arrival.says.removeprefix("no: ").removeprefix("not yet: "), REASON_LIMIT)


def _of_earlier_ones(story: Story) -> Iterator[str]:
    """Those among the changes that are told which went wrong."""
    for told in story.changes[:-1]:
        if told.remark and not told.change.silent:
            yield f"v{told.version} is {told.remark.says}."
            continue
        wrong = [each for each in told.arrivals if each.outcome not in QUIET]
        if wrong and not told.remark:
            names = ", ".join(f"{each.name} ({each.outcome.replace('_', ' ')})" for each in wrong)
            yield f"v{told.version} has not reached {names}."


def _of_newer_ones(story: Story) -> Iterator[str]:
    if not story.changes:
        return
    for remark in story.remarks:
        if remark.about in ENDS | HIDES:
            what = "Nothing newer is told" if remark.about in ENDS else "Newer news may be missing"
            yield f"{what}: {clip(remark.says, REASON_LIMIT)}."
            return
