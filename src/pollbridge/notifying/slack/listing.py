"""What Slack shows of many changes at once: one message that lists them, the worst first."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pollbridge.model.change import Reason
from pollbridge.model.job import State
from pollbridge.notifying.slack.blocks import (
    ADDRESSES_LIMIT,
    HEADER_LIMIT,
    SECTION_LIMIT,
    Block,
    button,
    context,
    header,
    mrkdwn,
    opens,
    plain,
    posted,
    section,
)
from pollbridge.notifying.slack.text import fit, length, moment, short
from pollbridge.notifying.slack.words import (
    COUNTED,
    EXPIRED,
    LOST,
    connection,
    counts,
    expired,
    is_test,
    name,
    steps,
    update,
)

MESSAGE_LIMIT = 11_000
"""Bytes of JSON. Slack counts a whole message somehow and publishes no number; from about 13,000 on it answers
msg_blocks_too_long: https://github.com/slackapi/bolt-js/issues/2509 and …/2867."""

NAME_LIMIT = 60
ERROR_LIMIT = 80
BUTTONS = 20
"""Characters, and lines with a button: ours. Each of those is a block; with a title and a section for each of the
groups there are fewer than the 50 that a message may have: https://docs.slack.dev/reference/block-kit/blocks."""

GROUPS = {
    State.FAILED: ("🔴", "failed"),
    State.PARTIALLY_FAILED: ("🟠", "partly failed"),
    "lost": (LOST, "lost"),
    State.HALTED: ("🟣", "halted"),
    State.CANCELLED: ("⚫", "cancelled"),
    State.UNKNOWN: ("❔", "unknown"),
    "expired": (EXPIRED, "no longer followed"),
    State.RETRYING: ("🟡", "being retried"),
    State.PENDING: ("⚪", "waiting"),
    State.RUNNING: ("🔵", "running"),
    State.SUCCEEDED: ("🟢", "succeeded"),
    State.ARCHIVED: ("🗄️", "archived"),
}
"""The worst first."""

RANKS = {group: rank for rank, group in enumerate(GROUPS)}


@dataclass(frozen=True, slots=True)
class Row:
    """A change in a line, escaped, with the link to show beside it."""

    group: str
    text: str
    link: Mapping[str, str] | None


def listing(events: Sequence[Mapping[str, Any]], others: Sequence[str] = ()) -> dict[str, Any]:
    """Of what connection, how many came to which state, a line for each, and how many there was no room for.

    `others`: the headlines of what is not about a job.
    """
    names = Counter(map(name, events))
    rows = sorted((_row(event, names) for event in events), key=_rank)
    told = fit(f"{GROUPS[rows[0].group][0]} {_who(events)} · {_how_many(events)}: {_tally(rows)}", HEADER_LIMIT)
    head = [header(told), *([section(plain("\n".join(others)))] if others else [])]
    foot = context(_when(events))
    blocks, shown = _lines(rows, size([*head, foot]))
    more = [section(plain(_more(events, rows[shown:])))] if rows[shown:] else []
    return posted(told, *head, *blocks, *more, foot)


def size(blocks: list[Block]) -> int:
    """Bytes of JSON."""
    return len(json.dumps(blocks, ensure_ascii=False, separators=(",", ":")).encode())


def _lines(rows: Sequence[Row], taken: int) -> tuple[list[Block], int]:
    """As many of the first rows as there is room for, and their number."""
    blocks: list[Block] = []
    group, counted = None, Counter(row.group for row in rows)
    for shown, row in enumerate(rows):
        titled = [] if row.group == group else [_title(row.group, counted[row.group])]
        grown = _with(blocks, titled, row)
        if size(grown) + taken > MESSAGE_LIMIT:
            return blocks, shown
        blocks, group = grown, row.group
    return blocks, len(rows)


def _with(blocks: list[Block], titled: list[Block], row: Row) -> list[Block]:
    """A row with a button has a section of its own; those without share one."""
    if row.link and opens(row.link) and _has_room_for(row.link, blocks):
        return [*blocks, *titled, section(plain(row.text)) | {"accessory": button(row.link)}]
    text = f"{row.text} · has a {row.link['rel'].replace('_', ' ')}" if row.link else row.text
    last = blocks[-1]["text"] if blocks and not titled else None
    if last and last["type"] == "plain_text" and "accessory" not in blocks[-1]:
        joined = f"{last['text']}\n{text}"
        if length(joined) <= SECTION_LIMIT:
            return [*blocks[:-1], section(plain(joined))]
    return [*blocks, *titled, section(plain(text))]


def _has_room_for(link: Mapping[str, str], blocks: list[Block]) -> bool:
    addresses = [block["accessory"]["url"] for block in blocks if "accessory" in block]
    return len(addresses) < BUTTONS and sum(map(length, [*addresses, link["href"]])) <= ADDRESSES_LIMIT


def _row(event: Mapping[str, Any], names: Mapping[str, int]) -> Row:
    job, named = event["job"], name(event)
    called = short(named, NAME_LIMIT)
    if names[named] > 1:
        called = f"{called} ({short(job['id'], NAME_LIMIT)})"
    told = [called, steps(event), ", ".join(counts(event["progress"] or {}, *COUNTED))]
    if {Reason.LINK_ADDED, Reason.ERROR_CHANGED}.intersection(event["reasons"]) and "→" not in told[1]:
        told.append(update(event) or "")
    if event["to"]["state"] == State.UNKNOWN and event["to"]["vendor_status"]:
        told.append(f"says “{short(event['to']['vendor_status'], ERROR_LIMIT)}”")
    told.append(short(event["error"] or "", ERROR_LIMIT))
    links = [link for link in event["links"] if link["rel"] == "pull_request"]
    test = "test: " if is_test(event) else ""
    return Row(_group(event), f"• {test}{' · '.join(filter(None, told))}", links[0] if links else None)


def _group(event: Mapping[str, Any]) -> str:
    if event["to"]["lost"]:
        return "lost"
    return "expired" if expired(event) else State(event["to"]["state"])


def _rank(row: Row) -> tuple[int, bool]:
    return RANKS[row.group], row.link is None


def _title(group: str, count: int) -> Block:
    face, called = GROUPS[group]
    return section(mrkdwn(f"{face} *{count:,} {called}*"))


def _tally(rows: Sequence[Row]) -> str:
    counted = Counter(row.group for row in rows)
    return ", ".join(f"{counted[group]:,} {called}" for group, (_, called) in GROUPS.items() if counted[group])


def _who(events: Sequence[Mapping[str, Any]]) -> str:
    names = sorted({connection(event) for event in events})
    return names[0] if len(names) == 1 else f"{len(names)} connections"


def _how_many(events: Sequence[Mapping[str, Any]]) -> str:
    jobs = len({event["job"]["key"] for event in events})
    if jobs < len(events):
        return f"{len(events):,} changes of {jobs:,} job{'' if jobs == 1 else 's'}"
    return f"{jobs:,} job{'' if jobs == 1 else 's'} changed"


def _when(events: Sequence[Mapping[str, Any]]) -> str:
    first, last = (moment(pick(event["observed_at"] for event in events)) for pick in (min, max))
    return f"seen {first}" if first == last else f"seen {first} to {last}"


def _more(events: Sequence[Mapping[str, Any]], rest: Sequence[Row]) -> str:
    since = min(event["observed_at"] for event in events)[:16] + ":00Z"
    vendors = sorted({connection(event) for event in events})
    vendor = f" --vendor {vendors[0]}" if len(vendors) == 1 else ""
    return (
        f"… and {len(rest):,} more: {_tally(rest)}\n"
        f"To see them all: pollbridge jobs{vendor} --since {since} --limit {len(events)}"
    )
