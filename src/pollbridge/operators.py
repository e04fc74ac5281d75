"""The operators of EventBridge's event patterns: what each may be written with, and which values it lets through.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html, and where it is silent
Event Ruler, which EventBridge runs: https://github.com/aws/event-ruler.
"""

from __future__ import annotations

import ipaddress
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LARGEST = 5e9
"""Of the numbers that are compared: "between -5.0e9 and +5.0e9 inclusive" (the guide, "Numeric matching")."""

_INVERTIBLE = ("prefix", "suffix", "equals-ignore-case", "wildcard")
"""What `anything-but` may hold."""


@dataclass(frozen=True, slots=True)
class Operator:
    wrong: Callable[[Any], str | None]
    """What EventBridge refuses in the operand."""
    holds: Callable[[Any, Any], bool]
    """Whether the operand lets the value through."""


def wrong(expression: Mapping[str, Any]) -> str | None:
    """What EventBridge refuses in a table of one operator, in a line; None when it takes it."""
    if len(expression) != 1:
        return f"a table holds one operator, not {len(expression)}"
    [(name, operand)] = expression.items()
    if name not in OPERATORS:
        return f"{name!r} is no operator: {', '.join(name for name in OPERATORS if name != 'exactly')}"
    found = OPERATORS[name].wrong(operand)
    return found and f"{name} {found}"


def is_scalar(value: Any) -> bool:
    """Whether the value is a text, number, boolean or null of JSON."""
    return value is None or isinstance(value, str | bool | int) or _is_number(value)


def same(one: Any, other: Any) -> bool:
    """Equality as JSON has it: true is not 1, "1" is not 1, 1.0 is 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# Texts


def _no_text(operand: Any) -> str | None:
    return None if isinstance(operand, str) else "wants a text"


def _no_affix(operand: Any) -> str | None:
    if isinstance(operand, Mapping):
        folded = list(operand) == ["equals-ignore-case"] and isinstance(operand["equals-ignore-case"], str)
        return None if folded else 'wants a text, or {"equals-ignore-case" = a text}'
    return _no_text(operand)


def _affix(operand: Any, *, at_end: bool) -> re.Pattern[str]:
    text = _either_case(operand["equals-ignore-case"]) if isinstance(operand, Mapping) else re.escape(operand)
    return re.compile(f"(?s:.*){text}" if at_end else f"{text}(?s:.*)")


def _either_case(text: str) -> str:
    """Each character in either case of it, taken alone: ß is ß or SS (Event Ruler, EqualsIgnoreCaseParser)."""
    return "".join(f"(?:{re.escape(one.lower())}|{re.escape(one.upper())})" for one in text)


def _starts(operand: Any, value: Any) -> bool:
    return isinstance(value, str) and bool(_affix(operand, at_end=False).fullmatch(value))


def _ends(operand: Any, value: Any) -> bool:
    return isinstance(value, str) and bool(_affix(operand, at_end=True).fullmatch(value))


def _equals_ignoring_case(operand: str, value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(_either_case(operand), value))


def _no_wildcard(operand: Any) -> str | None:
    if not isinstance(operand, str):
        return "wants a text"
    plain = re.sub(r"\\[*\\]", "", operand)
    if "\\" in plain:
        return f"{operand!r} holds a backslash that escapes neither an asterisk nor a backslash"
    if "**" in re.sub(r"\\[*\\]", "-", operand):
        return f"{operand!r} holds consecutive asterisks"
    return None


def _fits_wildcard(operand: str, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    texts = [""]
    for piece in re.findall(r"\\[*\\]|.", operand, re.DOTALL):
        if piece == "*":
            texts.append("")
        else:
            texts[-1] += piece[-1]
    # Taking each text where it first occurs is enough, and never goes back.
    first, *rest = texts
    if not rest:
        return value == first
    *between, last = rest
    at = len(first)
    for text in between:
        found = value.find(text, at)
        if found < 0:
            return False
        at = found + len(text)
    return value.startswith(first) and value.endswith(last) and len(value) - len(last) >= at


# Numbers

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _no_threshold(value: Any) -> str | None:
    if not _is_number(value):
        return f"wants a number, not {value!r}"
    return None if abs(value) <= LARGEST else f"compares numbers up to 5 billion, not {value!r}"


def _no_range(operand: Any) -> str | None:
    if not isinstance(operand, list | tuple) or len(operand) not in {2, 4}:
        return 'wants a comparison and a number, such as [">", 0], or two of them, such as [">", 0, "<=", 5]'
    signs, numbers = operand[::2], operand[1::2]
    for sign in signs:
        if not isinstance(sign, str) or sign not in _COMPARE:
            return f"knows no comparison {sign!r}: it is one of {', '.join(_COMPARE)}"
    for number in numbers:
        if found := _no_threshold(number):
            return found
    if len(operand) == 2:
        return None
    if signs[0] not in {">", ">="} or signs[1] not in {"<", "<="}:
        return "wants the lower bound of a range first: > or >=, then < or <="
    return None if numbers[0] < numbers[1] else "wants a lower bound below the upper one"


def _in_range(operand: Sequence[Any], value: Any) -> bool:
    if _no_threshold(value):
        return False
    return all(_COMPARE[sign](value, number) for sign, number in zip(operand[::2], operand[1::2], strict=True))


# Addresses

_IPV4 = re.compile(r"[0-9]+(\.[0-9]+){3}")
_IPV6 = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*")


def _address(text: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if not isinstance(text, str):
        return None
    if _IPV4.fullmatch(text):
        # 010 is ten, as Java reads it; Python refuses it.
        text = ".".join(part.lstrip("0") or "0" for part in text.split("."))
    elif not _IPV6.fullmatch(text):
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _no_block(operand: Any) -> str | None:
    address, slash, bits = operand.partition("/") if isinstance(operand, str) else ("", "", "")
    if not slash or not re.fullmatch(r"[0-9]{1,3}", bits):
        return 'wants an address and the bits of its mask, such as "10.0.0.0/24"'
    known = _address(address)
    if known is None:
        return f"{operand!r} begins with no address"
    # A mask that is one whole address is refused (Event Ruler, CIDR.java).
    return None if int(bits) < known.max_prefixlen else f"{operand!r} has a mask of {known.max_prefixlen} bits or more"


def _in_block(operand: str, value: Any) -> bool:
    address, _, bits = operand.partition("/")
    first, asked = _address(address), _address(value)
    if first is None or asked is None or first.version != asked.version:
        return False
    rest = first.max_prefixlen - int(bits)
    return int(first) >> rest == int(asked) >> rest


# Presence and exclusion


def _no_boolean(operand: Any) -> str | None:
    return None if isinstance(operand, bool) else "wants true or false"


def _not_excludable(operand: Any) -> str | None:
    if isinstance(operand, Mapping):
        return _not_invertible(operand)
    values = operand if isinstance(operand, list | tuple) else [operand]
    if not values:
        return "wants something to leave out"
    if all(isinstance(value, str) for value in values):
        return None
    if any(not _is_number(value) for value in values):
        return f"wants texts alone or numbers alone, or a table of one of {', '.join(_INVERTIBLE)}"
    return next(filter(None, map(_no_threshold, values)), None)


def _not_invertible(operand: Mapping[str, Any]) -> str | None:
    if len(operand) != 1 or (name := next(iter(operand))) not in _INVERTIBLE:
        return f"wants texts alone or numbers alone, or a table of one of {', '.join(_INVERTIBLE)}"
    values = operand[name] if isinstance(operand[name], list | tuple) else [operand[name]]
    if not values or not all(isinstance(value, str) for value in values):
        return f"wants a text, or several, for {name}"
    if name in {"prefix", "suffix"} and "" in values:
        return f"wants no empty {name}"
    found = next(filter(None, map(_no_wildcard, values)), None) if name == "wildcard" else None
    return found and f"{name} {found}"


def _anything_but(operand: Any, value: Any) -> bool:
    if isinstance(operand, Mapping):
        [(name, inner)] = operand.items()
        texts = inner if isinstance(inner, list | tuple) else [inner]
        return not any(OPERATORS[name].holds(text, value) for text in texts)
    return not any(same(left_out, value) for left_out in (operand if isinstance(operand, list | tuple) else [operand]))


OPERATORS: dict[str, Operator] = {
    "prefix": Operator(_no_affix, _starts),
    "suffix": Operator(_no_affix, _ends),
    "equals-ignore-case": Operator(_no_text, _equals_ignoring_case),
    "wildcard": Operator(_no_wildcard, _fits_wildcard),
    "anything-but": Operator(_not_excludable, _anything_but),
    "numeric": Operator(_no_range, _in_range),
    "exists": Operator(_no_boolean, lambda operand, _: bool(operand)),
    "cidr": Operator(_no_block, _in_block),
    # The undocumented spelling of a plain text (Event Ruler, Constants.java).
    "exactly": Operator(_no_text, same),
}
