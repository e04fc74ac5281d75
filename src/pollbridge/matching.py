"""EventBridge's event patterns: whether one matches an event and why, and whether EventBridge would take it.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html, and where it is silent
Event Ruler, which EventBridge runs: https://github.com/aws/event-ruler.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from pollbridge.operators import OPERATORS, is_scalar, same, wrong

OR = "$or"

RESERVED = frozenset(
    {
        *OPERATORS,
        *("=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case"),
        *("date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range"),
        *("ip-address-in-range", "ip-address-not-in-range"),
    }
)
"""Names that no field inside `$or` may have (Event Ruler, Constants.java)."""

COMBINATIONS = 1000
"""The product of the lengths of all `$or` that EventBridge takes (its guide, "Or matching")."""

DEPTH = 100
"""Levels of nesting. No limit of AWS: nothing that pollbridge tells is deeper than six."""

Alternative = dict[str, Sequence[Any]]
"""Dotted field → the values wanted of it; every field must be met."""


@dataclass(frozen=True, slots=True)
class Match:
    """The pattern matches."""

    met: Mapping[str, tuple[Any, ...]]
    """Each field that the pattern asks for, with those of the event's values that it wants."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The pattern does not match: the first field that is not met, in the branch of `$or` that got furthest."""

    field: str
    """Dotted, from the top of the event; several, separated by commas, when each is met, but in different elements
    of an array."""
    found: tuple[Any, ...]
    """The event's values: several for an array, none when the field is absent."""
    wanted: tuple[Any, ...]
    """The pattern's values; those of all branches that got as far."""

    def __str__(self) -> str:
        if not self.wanted:
            return f"{_short(self.field)} are not met by one element"
        found = f"is {', '.join(map(_json, self.found))}" if self.found else "is absent"
        return f"{_short(self.field)} {found}; wanted {', '.join(map(_word, self.wanted))}"


def told(match: Match) -> str:
    """Why it matches, in a line: the values, behind their fields; of the detail-type the value is enough."""
    return ", ".join(
        f"{'' if field == 'detail-type' else _short(field) + ' '}{', '.join(map(_word, values)) or 'absent'}"
        for field, values in match.met.items()
        if field != "source"
    )


def mismatch(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> Mismatch | None:
    """Why the event does not match; None when it does. The pattern is one that EventBridge takes."""
    verdict = judge(pattern, event)
    return verdict if isinstance(verdict, Mismatch) else None


def judge(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> Match | Mismatch:
    """Whether the event matches, and why. The pattern is one that EventBridge takes."""
    leaves: dict[str, list[_Leaf]] = {}
    for leaf in _leaves(event):
        leaves.setdefault(leaf.field, []).append(leaf)
    furthest, so_far = -1, Mismatch("", (), ())
    for alternative in _alternatives(pattern):
        unmet = [field for field, wanted in alternative.items() if not _met(wanted, leaves.get(field, ()))]
        if not unmet and _in_one_element(alternative, leaves):
            return Match({field: _taken(wanted, leaves.get(field, ())) for field, wanted in alternative.items()})
        if not unmet:
            reached, here = len(alternative), Mismatch(_arrays(alternative, leaves), (), ())
        else:
            field = unmet[0]
            found = tuple(leaf.value for leaf in leaves.get(field, ()))
            reached, here = list(alternative).index(field), Mismatch(field, found, tuple(alternative[field]))
        if reached > furthest:
            furthest, so_far = reached, here
        elif reached == furthest and here.field == so_far.field:
            more = (value for value in here.wanted if not any(same(value, known) for known in so_far.wanted))
            so_far = Mismatch(so_far.field, so_far.found, (*so_far.wanted, *more))
    return so_far


def mistake(pattern: Mapping[str, Any]) -> str | None:
    """What EventBridge would refuse, in a line that names the field; None when it takes the pattern.

    Also refused: a field named both inside and beside `$or`. EventBridge lets the one that is written later
    replace the other (Event Ruler, JsonRuleCompiler), and nothing keeps a template's fields in order.
    """
    found = next(_mistakes(pattern, "", inside_or=False, depth=1), None)
    if found is not None:
        return found
    combinations = _combinations(pattern)
    if combinations > COMBINATIONS:
        return f"its {OR} make {combinations} combinations; EventBridge takes {COMBINATIONS}"
    twice = next(_twice(pattern), None)
    return f"{twice} is named twice, and EventBridge would look at one of them only" if twice else None


# Reading a pattern


def _alternatives(pattern: Mapping[str, Any]) -> list[Alternative]:
    """The pattern without `$or`: one alternative for each combination of branches."""
    return _extended([{}], pattern, "")


def _extended(alternatives: list[Alternative], pattern: Mapping[str, Any], path: str) -> list[Alternative]:
    for name, inner in pattern.items():
        if name == OR:
            alternatives = [new for branch in inner for new in _extended(alternatives, branch, path)]
        elif isinstance(inner, Mapping):
            alternatives = _extended(alternatives, inner, f"{path}{name}.")
        else:
            alternatives = [{**known, f"{path}{name}": inner} for known in alternatives]
    return alternatives


def _mistakes(pattern: Any, path: str, *, inside_or: bool, depth: int) -> Iterator[str]:
    if not isinstance(pattern, Mapping) or not pattern:
        yield f"{path.rstrip('.') or 'it'} is empty, or no table of fields"
        return
    if depth > DEPTH:
        yield f"it is nested more than {DEPTH} levels deep"
        return
    for name, inner in pattern.items():
        field = f"{path}{name}"
        if name == OR:
            if not isinstance(inner, list | tuple) or len(inner) < 2:
                yield f"{field} wants a list of two tables or more"
            else:
                for branch in inner:
                    yield from _mistakes(branch, path, inside_or=True, depth=depth + 1)
        elif inside_or and name in RESERVED:
            yield f"{field} is a name that EventBridge reserves inside {OR}"
        elif isinstance(inner, Mapping):
            yield from _mistakes(inner, f"{field}.", inside_or=inside_or, depth=depth + 1)
        else:
            yield from _wrong_values(field, inner)


def _wrong_values(field: str, values: Any) -> Iterator[str]:
    if not isinstance(values, list | tuple) or not values:
        yield f"{field} wants a list that holds something, or a table"
        return
    for value in values:
        if isinstance(value, Mapping):
            if found := wrong(value):
                yield f"{field}: {found}"
        elif not is_scalar(value):
            yield f"{field}: {value!r} is no text, number, boolean, null or table of one operator"


def _combinations(pattern: Mapping[str, Any]) -> int:
    product = 1
    for name, inner in pattern.items():
        for branch in inner if name == OR else ():
            product *= _combinations(branch)
        if name == OR:
            product *= len(inner)
        elif isinstance(inner, Mapping):
            product *= _combinations(inner)
    return product


def _twice(pattern: Mapping[str, Any]) -> Iterator[str]:
    """Fields that a combination of branches would name twice."""

    def named(pattern: Mapping[str, Any], path: str) -> Iterator[set[str]]:
        """The fields of each part of the pattern; those of the branches of one `$or` are one part."""
        for name, inner in pattern.items():
            if name == OR:
                yield set().union(*(part for branch in inner for part in named(branch, path)))
            elif isinstance(inner, Mapping):
                yield from named(inner, f"{path}{name}.")
            else:
                yield {f"{path}{name}"}

    def look(pattern: Mapping[str, Any], path: str) -> Iterator[str]:
        for name, inner in pattern.items():
            for branch in inner if name == OR else ():
                seen: set[str] = set()
                for part in named(branch, path):
                    yield from sorted(seen & part)
                    seen |= part
                yield from look(branch, path)
            if isinstance(inner, Mapping):
                yield from look(inner, f"{path}{name}.")

    yield from look({OR: [pattern]}, "")


# Reading an event


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A value of the event that is no object and no array."""

    field: str
    value: Any
    place: Mapping[int, int]
    """Array → which of its elements the value lies in."""


def _leaves(event: Any) -> Iterator[_Leaf]:
    arrays = count()
    stack: list[tuple[str, Any, dict[int, int]]] = [("", event, {})]
    while stack:
        path, node, place = stack.pop()
        if isinstance(node, Mapping):
            named = [(f"{path}.{name}" if path else str(name), inner, place) for name, inner in node.items()]
            stack.extend(reversed(named))
        elif isinstance(node, list | tuple):
            array = next(arrays)
            # A plain element belongs to its field alone, so two fields never meet in it.
            stack.extend(
                (path, inner, {**place, array: index} if isinstance(inner, Mapping | list | tuple) else place)
                for index, inner in reversed(list(enumerate(node)))
            )
        else:
            yield _Leaf(path, node, place)


# Comparing


def _met(wanted: Sequence[Any], leaves: Sequence[_Leaf]) -> bool:
    """Whether a field can be met at all. One that lies in an array may be absent from an element of it."""
    if _absence_is_fine(wanted) and (not leaves or any(leaf.place for leaf in leaves)):
        return True
    return any(_accepts(wanted, leaf.value) for leaf in leaves)


def _taken(wanted: Sequence[Any], leaves: Sequence[_Leaf]) -> tuple[Any, ...]:
    return tuple(leaf.value for leaf in leaves if _accepts(wanted, leaf.value))


def _accepts(wanted: Sequence[Any], value: Any) -> bool:
    return any(_holds(want, value) for want in wanted)


def _holds(want: Any, value: Any) -> bool:
    if not isinstance(want, Mapping):
        return same(want, value)
    [(name, operand)] = want.items()
    return OPERATORS[name].holds(operand, value)


def _absence_is_fine(wanted: Sequence[Any]) -> bool:
    return any(isinstance(want, Mapping) and want.get("exists") is False for want in wanted)


def _in_one_element(alternative: Alternative, leaves: Mapping[str, Sequence[_Leaf]]) -> bool:
    """Whether no two fields are met in different elements of one array: EventBridge refuses such a match.

    Fields are met in the order of their names, and one is absent if none of the elements chosen so far has it
    (Event Ruler, ACFinder and NameState).
    """

    def fits(fields: Sequence[str], place: Mapping[int, int]) -> bool:
        if not fields:
            return True
        first, *rest = fields
        wanted, beside = alternative[first], _beside(leaves.get(first, ()), place)
        places = [leaf.place for leaf in beside if _accepts(wanted, leaf.value)]
        if not beside and _absence_is_fine(wanted):
            places.append({})
        return any(fits(rest, {**place, **here}) for here in places)

    return fits(sorted(alternative), {})


def _beside(leaves: Sequence[_Leaf], place: Mapping[int, int]) -> list[_Leaf]:
    return [leaf for leaf in leaves if all(place.get(array, index) == index for array, index in leaf.place.items())]


def _arrays(alternative: Alternative, leaves: Mapping[str, Sequence[_Leaf]]) -> str:
    return ", ".join(field for field in alternative if any(leaf.place for leaf in leaves.get(field, ())))


# Telling


def _short(field: str) -> str:
    return ", ".join(name.removeprefix("detail.") for name in field.split(", "))


def _word(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[^\W\d_][\w .-]*", value) and value not in {"true", "false", "null"}:
        return value
    return _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
