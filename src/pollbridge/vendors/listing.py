"""Reading a page of a vendor's list: entry by entry, so that one that cannot be read costs no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from pollbridge.vendors.answer import A, Listed, NoAnswer, Page, Seen, no_answer


def read_list(model: type[A], body: bytes, *, bare: str | None = None) -> A:
    """The page as the vendor's model, its entries as they came. Raises NoAnswer in one line that shows none of it.

    `bare` names the field that an array with nothing around it stands for, where a vendor sends one.
    """
    try:
        # pydantic's own parser would refuse the page for one entry nested over 200 deep or cut within an emoji.
        page = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise NoAnswer("not a list in JSON that can be read") from None
    if bare and isinstance(page, list):
        page = {bare: page}
    try:
        return model.model_validate(page)
    except ValidationError as error:
        raise no_answer(error) from None


def page_of(entries: list[Any], parse: Callable[[bytes], Seen], next_token: str | None) -> Page:
    """The page with those entries, each read as if it were the answer for its job."""
    jobs = []
    for entry in entries:
        try:
            body = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
            seen = parse(body)
        except (NoAnswer, RecursionError):
            continue
        jobs.append(Listed(seen.id, seen.snapshot, body))
    return Page(tuple(jobs), next_token, unreadable=len(entries) - len(jobs))
