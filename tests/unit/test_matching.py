"""EventBridge's patterns: what they match, why they don't, and which ones EventBridge refuses.

The second opinion is moto's. Where it differs, AWS's guide (or Event Ruler, which EventBridge runs) decides, and the
case stands in MOTO_ERRS.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pollbridge.matching import Match, Mismatch, judge, mismatch, mistake, told
from tests.kit.envelopes import moto_matches


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    assert mistake(pattern) is None
    return mismatch(pattern, event) is None


# What matches: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html

VALUES: list[tuple[Any, list[Any], list[Any]]] = [
    # want, values that it lets through, values that it doesn't
    ("a", ["a", ["b", "a"]], ["A", "aa", "", 1, None, [], ["b"]]),
    ("1", ["1"], [1]),
    ("", [""], [None, " "]),
    (1, [1, 1.0, [2, 1]], ["1", True, 2]),
    (0, [0, 0.0], [False, None, ""]),
    (301.8, [301.8, 3.018e2], [301]),
    (123456789012, [123456789012], [123456789013]),
    (True, [True], [False, 1, "true"]),
    (False, [False], [0, None]),
    (None, [None], ["", 0, False, "null"]),
    ({"exactly": "a"}, ["a"], ["A"]),
    ({"prefix": "ab"}, ["ab", "abc", ["x", "ab"]], ["a", "Ab", "cab", 1, None]),
    ({"prefix": "1"}, ["12"], [12]),
    ({"prefix": ""}, ["", "a"], [1, None]),
    ({"prefix": "a.c"}, ["a.cd"], ["abc"]),
    ({"prefix": {"equals-ignore-case": "aB"}}, ["abc", "AB", "Ab\n"], ["ba", 1]),
    ({"suffix": ".png"}, [".png", "a.png"], ["a.PNG", "a.png "]),
    ({"suffix": {"equals-ignore-case": ".pNg"}}, ["a.PNG", "\n.png"], ["apng", "a.png\n"]),
    ({"equals-ignore-case": "AlICe"}, ["alice", "ALICE"], ["alic", "alice ", 1]),
    ({"equals-ignore-case": "straße"}, ["STRASSE", "straße"], ["stra\u1e9ee"]),
    ({"wildcard": "dir/*.png"}, ["dir/a.png", "dir/.png", "dir/a/b.png"], ["dir/a.jpg", "a/dir/a.png", "dir.png", 1]),
    ({"wildcard": "*"}, ["", "a", "a\nb"], [1, None]),
    ({"wildcard": "a*a"}, ["aa", "aba"], ["a"]),
    ({"wildcard": "a*b*c"}, ["abc", "a1b2c", "abbc"], ["acb", "ab"]),
    ({"wildcard": r"a\**"}, ["a*", "a*b"], ["ab"]),
    ({"wildcard": r"a\\*"}, ["a\\", "a\\b"], ["ab", "a*"]),
    ({"wildcard": "a?[b]"}, ["a?[b]"], ["axb"]),
    ({"wildcard": "plain"}, ["plain"], ["plains"]),
    ({"anything-but": "a"}, ["b", "", 1, None, ["a", "b"]], ["a", [], ["a", "a"]]),
    ({"anything-but": ["a", "b"]}, ["c", 1], ["a", "b"]),
    ({"anything-but": 1}, [2, "1", True], [1, 1.0]),
    ({"anything-but": [1, 2]}, [3, "a"], [1, 2.0]),
    ({"anything-but": {"prefix": "a"}}, ["b", 1, ""], ["a", "ab"]),
    ({"anything-but": {"prefix": ["a", "b"]}}, ["c"], ["ab", "ba"]),
    ({"anything-but": {"suffix": "a"}}, ["ab"], ["ba"]),
    ({"anything-but": {"suffix": ["a", "b"]}}, ["c"], ["ba", "ab"]),
    ({"anything-but": {"equals-ignore-case": "aB"}}, ["abc"], ["ab", "AB"]),
    ({"anything-but": {"equals-ignore-case": ["a", "b"]}}, ["c"], ["A", "B"]),
    ({"anything-but": {"wildcard": "*/lib/*"}}, ["lib/a"], ["/lib/", "a/lib/b"]),
    ({"anything-but": {"wildcard": ["*/lib/*", "*/bin/*"]}}, ["a"], ["/bin/", "/lib/"]),
    ({"numeric": ["=", 5]}, [5, 5.0], [4, "5", None, True]),
    ({"numeric": ["<", 1]}, [0, -1, 0.5], [1, "0", False, None]),
    ({"numeric": ["<=", 1]}, [1], [1.5]),
    ({"numeric": [">", 1]}, [1.5], [1, True]),
    ({"numeric": [">=", -1.5]}, [-1.5], [-2]),
    ({"numeric": [">", 0, "<=", 5]}, [1, 5, [9, 3]], [0, 6, [0, 6]]),
    ({"exists": True}, ["a", 0, None, ""], [{}, [], {"b": 1}]),
    ({"exists": False}, [{}, [], {"b": 1}], ["a", 0, None, ""]),
    ({"cidr": "10.0.0.0/24"}, ["10.0.0.0", "10.0.0.255", "010.0.0.1"], ["10.0.1.0", "::a00:1", "10.0.0", 167772161]),
    ({"cidr": "10.0.0.7/24"}, ["10.0.0.1"], ["10.0.1.1"]),
    ({"cidr": "2001:db8::/32"}, ["2001:db8::1", "2001:DB8:ffff::"], ["2001:db9::", "10.0.0.1", "2001:db8::1%eth0"]),
    ({"cidr": "0.0.0.0/0"}, ["8.8.8.8"], ["8.8.8.256", "::1", "a.b.c.d", None]),
]


@pytest.mark.parametrize(("want", "through", "_"), VALUES, ids=[str(want) for want, _, _ in VALUES])
def test_a_value_that_is_wanted_matches(want: Any, through: list[Any], _: Any) -> None:
    assert [matches({"a": [want]}, {"a": value}) for value in through] == [True] * len(through)


@pytest.mark.parametrize(("want", "_", "not_through"), VALUES, ids=[str(want) for want, _, _ in VALUES])
def test_a_value_that_is_not_wanted_does_not_match(want: Any, _: Any, not_through: list[Any]) -> None:
    assert [matches({"a": [want]}, {"a": value}) for value in not_through] == [False] * len(not_through)


@pytest.mark.parametrize("want", [want for want, _, _ in VALUES], ids=str)
def test_an_absent_field_matches_nothing_but_its_absence(want: Any) -> None:
    assert matches({"a": [want]}, {"b": "a"}) is (want == {"exists": False})
    assert matches({"b": {"a": [want]}}, {"b": "a"}) is (want == {"exists": False})


PATTERNS: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    # all fields, any value
    ({"a": [1], "b": [1, 2]}, {"a": 1, "b": 2}, True),
    ({"a": [1], "b": [1, 2]}, {"a": 1, "b": 3}, False),
    ({"a": ["x", {"prefix": "y"}, {"exists": False}]}, {}, True),
    ({"a": ["x", {"prefix": "y"}, {"exists": False}]}, {"a": "z"}, False),
    # nested fields, and dots in names
    ({"a": {"b": {"c": [1]}}}, {"a": {"b": {"c": 1, "d": 2}}}, True),
    ({"a": {"b": [1]}}, {"a": 1}, False),
    ({"a": {"b": [1]}}, {"a.b": 1}, True),
    ({"a.b": [1]}, {"a": {"b": 1}}, True),
    # arrays: any element, nested ones too, but one and the same element for all fields
    ({"a": [1]}, {"a": [[2], [[1]]]}, True),
    ({"a": {"b": [1]}}, {"a": [{"b": 2}, {"b": 1}]}, True),
    ({"a": {"b": [1], "c": [2]}}, {"a": [{"b": 1, "c": 2}]}, True),
    ({"a": {"b": [1], "c": [2]}}, {"a": [{"b": 1}, {"c": 2}]}, False),
    ({"a": {"b": [1], "c": [2]}}, {"a": [{"b": 1, "c": 3}, {"b": 1, "c": 2}]}, True),
    ({"a": {"b": [1]}, "c": {"b": [2]}}, {"a": [{"b": 1}, {"b": 3}], "c": [{"b": 3}, {"b": 2}]}, True),
    ({"a": {"b": [1], "c": [{"exists": False}]}}, {"a": [{"b": 1}, {"c": 2}]}, True),
    ({"a": {"b": [1], "c": [{"exists": False}]}}, {"a": [{"b": 1, "c": 2}, {"b": 3}]}, False),
    ({"a": {"c": [2], "b": [{"exists": False}]}}, {"a": [{"b": 1}, {"c": 2}]}, False),
    ({"a": {"b": [{"exists": False}]}}, {"a": [{"b": 1}, {"c": 2}]}, False),
    # $or, at any level
    ({"$or": [{"a": [1]}, {"b": [1]}]}, {"b": 1}, True),
    ({"$or": [{"a": [1]}, {"b": [1]}]}, {"b": 2}, False),
    ({"c": [1], "$or": [{"a": [1]}, {"b": [1]}]}, {"b": 1}, False),
    ({"x": {"$or": [{"a": [1]}, {"b": {"c": [1]}}]}}, {"x": {"b": {"c": 1}}}, True),
    ({"$or": [{"a": [1], "$or": [{"b": [1]}, {"c": [1]}]}, {"d": [1]}]}, {"a": 1, "c": 1}, True),
    ({"$or": [{"a": [1], "$or": [{"b": [1]}, {"c": [1]}]}, {"d": [1]}]}, {"a": 1, "d": 2}, False),
    ({"$or": [{"a": [1]}, {"b": [1]}], "x": {"$or": [{"a": [1]}, {"b": [1]}]}}, {"a": 1, "x": {"b": 1}}, True),
    ({"$or": [{"a": [1]}, {"b": [1]}], "x": {"$or": [{"a": [1]}, {"b": [1]}]}}, {"a": 1}, False),
]


@pytest.mark.parametrize(("pattern", "event", "matching"), PATTERNS)
def test_a_pattern_matches_as_the_guide_says(pattern: dict[str, Any], event: dict[str, Any], matching: bool) -> None:
    assert matches(pattern, event) is matching


# moto's opinion

MOTO_ERRS: dict[str, tuple[Any, Any]] = {
    "moto takes true for 1": ([1], True),
    "moto does not look into arrays of arrays": (["a"], [["a"]]),
    "moto finds a value in an empty array": ([{"exists": True}], []),
    "moto finds a value in an empty object": ([{"exists": True}], {}),
    "moto compares booleans as numbers": ([{"numeric": [">", 0]}], True),
    "moto lets no asterisk stand for a line break": ([{"wildcard": "a*b"}], "a\nb"),
    "moto refuses an address block that begins inside": ([{"cidr": "10.0.0.7/24"}], "10.0.0.1"),
    "moto takes the number of an address for it": ([{"cidr": "10.0.0.0/24"}], 167772161),
    "moto does not take SS for ß": ([{"equals-ignore-case": "ß"}], "SS"),
    "moto excludes nothing from an object": ([{"anything-but": ["a"]}], {}),
}
"""Each with a pattern's values and an event's value."""


@pytest.mark.parametrize("values", MOTO_ERRS.values(), ids=MOTO_ERRS)
def test_where_moto_errs_it_still_does(values: tuple[list[Any], Any]) -> None:
    """Should one fail, moto was mended: take the case out, and out of what the property leaves aside."""
    wanted, value = values

    assert matches({"a": wanted}, {"a": value}) is not moto_matches({"a": wanted}, {"a": value})


TEXT = st.text(alphabet="abA*", max_size=3)
NUMBER = st.sampled_from([-1, 2, 2.5, 3])
SOME_TEXT = st.text(alphabet="abA", min_size=1, max_size=2)
SCALAR = st.one_of(TEXT, NUMBER, st.booleans(), st.none())
WILDCARD = st.sampled_from(["*", "a*", "*b", "a*b", r"\**", "*a*b*", r"a\\*"])

EXPRESSION = st.one_of(
    st.fixed_dictionaries({"prefix": TEXT | st.fixed_dictionaries({"equals-ignore-case": TEXT})}),
    st.fixed_dictionaries({"suffix": TEXT | st.fixed_dictionaries({"equals-ignore-case": TEXT})}),
    st.fixed_dictionaries({"equals-ignore-case": TEXT}),
    st.fixed_dictionaries({"wildcard": WILDCARD}),
    st.fixed_dictionaries({"exists": st.booleans()}),
    st.fixed_dictionaries({"cidr": st.sampled_from(["10.0.0.0/24", "::/64"])}),
    st.fixed_dictionaries({"numeric": st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), NUMBER).map(list)}),
    st.fixed_dictionaries({"numeric": st.sampled_from([[">", -1, "<", 3], [">=", 2, "<=", 2.5]])}),
    st.fixed_dictionaries(
        {
            "anything-but": st.one_of(
                TEXT,
                NUMBER,
                st.lists(TEXT, min_size=1, max_size=2),
                st.lists(NUMBER, min_size=1, max_size=2),
                st.fixed_dictionaries({"prefix": SOME_TEXT | st.lists(SOME_TEXT, min_size=1, max_size=2)}),
                st.fixed_dictionaries({"suffix": SOME_TEXT | st.lists(SOME_TEXT, min_size=1, max_size=2)}),
                st.fixed_dictionaries({"equals-ignore-case": TEXT | st.lists(TEXT, min_size=1, max_size=2)}),
                st.fixed_dictionaries({"wildcard": WILDCARD | st.lists(WILDCARD, min_size=1, max_size=2)}),
            )
        }
    ),
)
# Numbers that Python takes for booleans stay away: see MOTO_ERRS.
WANTED = st.lists(SCALAR | EXPRESSION, min_size=1, max_size=2)
ADDRESS = st.sampled_from(["10.0.0.1", "10.0.1.1", "::1", "1::"])
VALUE = st.one_of(TEXT, NUMBER, st.none(), ADDRESS, st.lists(TEXT | NUMBER, min_size=1, max_size=2))


def _level(field: str, inner: st.SearchStrategy[Any], below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A pattern whose fields have names of this level alone, so that no path is named twice."""
    plain = st.dictionaries(st.sampled_from([f"{field}1", f"{field}2"]), inner | below, min_size=1, max_size=2)
    branch = st.dictionaries(st.sampled_from([f"{field}3", f"{field}4"]), inner, min_size=1, max_size=2)
    alternatives = st.lists(branch, min_size=2, max_size=3).map(lambda branches: {"$or": branches})
    return st.builds(lambda one, other: {**one, **other}, plain, st.just({}) | alternatives)


SCALAR_PATTERN = _level("b", WANTED, WANTED)
PATTERN = _level("a", WANTED, SCALAR_PATTERN)
INNER = st.dictionaries(st.sampled_from(["b1", "b2", "b3", "b4"]), VALUE, min_size=1)
EVENT = st.dictionaries(st.sampled_from(["a1", "a2", "a3", "a4"]), VALUE | INNER)


@pytest.mark.long
@settings(max_examples=600, deadline=None)
@given(pattern=PATTERN, event=EVENT)
def test_moto_agrees(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    assert matches(pattern, event) is moto_matches(pattern, event)


@settings(deadline=None)
@given(pattern=PATTERN, event=EVENT)
def test_a_match_names_what_the_event_has_and_a_mismatch_what_it_lacks(
    pattern: dict[str, Any], event: dict[str, Any]
) -> None:
    match judge(pattern, event):
        case Match(met):
            assert all(matches({field: [*values]}, {field: [*values]}) for field, values in met.items() if values)
        case Mismatch(field, found, wanted):
            assert not matches({field: [*wanted]}, {field: [*found]})


# Why


@pytest.mark.parametrize(
    ("pattern", "event", "why"),
    [
        ({"a": ["x"]}, {"a": "y"}, 'a is "y"; wanted x'),
        ({"detail": {"to": {"state": ["failed", "halted"]}}}, {}, "to.state is absent; wanted failed, halted"),
        ({"a": [None, True, "true", "1", 1]}, {"a": ["x", 2]}, 'a is "x", 2; wanted null, true, "true", "1", 1'),
        ({"a": [{"numeric": [">", 1]}]}, {"a": 1}, 'a is 1; wanted {"numeric": [">", 1]}'),
        ({"a": [1], "b": [2]}, {"a": 2, "b": 3}, "a is 2; wanted 1"),
        ({"a": {"b": [1], "c": [2]}}, {"a": [{"b": 1}, {"c": 2}]}, "a.b, a.c are not met by one element"),
        # the branch that got furthest
        ({"$or": [{"a": [1], "b": [1]}, {"a": [2], "c": [1]}]}, {"a": 2, "c": 5}, "c is 5; wanted 1"),
        # what all branches want that got as far
        ({"$or": [{"a": [1, 2], "b": [1]}, {"a": [2, 3], "c": [1]}]}, {"a": 5}, "a is 5; wanted 1, 2, 3"),
    ],
)
def test_a_mismatch_says_what_is_and_what_is_wanted(pattern: dict[str, Any], event: dict[str, Any], why: str) -> None:
    assert str(mismatch(pattern, event)) == why


def test_a_match_says_which_values_are_wanted_ones() -> None:
    pattern = {"source": ["s"], "detail-type": ["T"], "detail": {"a": [{"prefix": "x"}], "b": [{"exists": False}]}}
    verdict = judge(pattern, {"source": "s", "detail-type": "T", "detail": {"a": ["x1", "y", "x2"]}})

    assert isinstance(verdict, Match)
    assert told(verdict) == "T, a x1, x2, b absent"


# What EventBridge refuses

REFUSED: list[tuple[Any, str]] = [
    ({"a": "b"}, "a wants a list that holds something, or a table"),
    ({"a": []}, "a wants a list that holds something"),
    ({"a": {}}, "a is empty, or no table"),
    ({"a": None}, "a wants a list"),
    ({"a": [["b"]]}, "a: ['b'] is no text, number"),
    ({"a": [float("inf")]}, "a: inf is no text, number"),
    ({"a": [{}]}, "a: a table holds one operator, not 0"),
    ({"a": [{"prefix": "b", "suffix": "c"}]}, "a: a table holds one operator, not 2"),
    ({"a": {"b": [{"starts": "c"}]}}, "a.b: 'starts' is no operator: prefix, suffix"),
    ({"a": [{"prefix": 1}]}, "a: prefix wants a text"),
    ({"a": [{"prefix": ["b"]}]}, "a: prefix wants a text"),
    ({"a": [{"prefix": {"wildcard": "b*"}}]}, "a: prefix wants a text"),
    ({"a": [{"prefix": {"equals-ignore-case": 1}}]}, "a: prefix wants a text"),
    ({"a": [{"suffix": None}]}, "a: suffix wants a text"),
    ({"a": [{"equals-ignore-case": ["b"]}]}, "a: equals-ignore-case wants a text"),
    ({"a": [{"exactly": 1}]}, "a: exactly wants a text"),
    ({"a": [{"exists": "true"}]}, "a: exists wants true or false"),
    ({"a": [{"exists": 1}]}, "a: exists wants true or false"),
    ({"a": [{"wildcard": ["b*"]}]}, "a: wildcard wants a text"),
    ({"a": [{"wildcard": "b**"}]}, "a: wildcard 'b**' holds consecutive asterisks"),
    ({"a": [{"wildcard": r"\***"}]}, "holds consecutive asterisks"),
    ({"a": [{"wildcard": r"b\c"}]}, "holds a backslash that escapes neither"),
    ({"a": [{"wildcard": "b\\"}]}, "holds a backslash that escapes neither"),
    ({"a": [{"cidr": "10.0.0.0"}]}, "a: cidr wants an address and the bits"),
    ({"a": [{"cidr": "10.0.0.0/x"}]}, "a: cidr wants an address and the bits"),
    ({"a": [{"cidr": "10.0.0.0/1/2"}]}, "a: cidr wants an address and the bits"),
    ({"a": [{"cidr": 10}]}, "a: cidr wants an address and the bits"),
    ({"a": [{"cidr": "10.0.0.256/8"}]}, "a: cidr '10.0.0.256/8' begins with no address"),
    ({"a": [{"cidr": "host/8"}]}, "a: cidr 'host/8' begins with no address"),
    ({"a": [{"cidr": "10.0.0.1/32"}]}, "a: cidr '10.0.0.1/32' has a mask of 32 bits or more"),
    ({"a": [{"cidr": "::1/128"}]}, "a: cidr '::1/128' has a mask of 128 bits or more"),
    ({"a": [{"numeric": 1}]}, "a: numeric wants a comparison and a number"),
    ({"a": [{"numeric": []}]}, "a: numeric wants a comparison and a number"),
    ({"a": [{"numeric": [">", 1, "<"]}]}, "a: numeric wants a comparison and a number"),
    ({"a": [{"numeric": [">", 1, "<", 3, "<", 2]}]}, "a: numeric wants a comparison and a number"),
    ({"a": [{"numeric": ["!=", 1]}]}, "a: numeric knows no comparison '!='"),
    ({"a": [{"numeric": [1, ">"]}]}, "a: numeric knows no comparison 1"),
    ({"a": [{"numeric": [">", "1"]}]}, "a: numeric wants a number, not '1'"),
    ({"a": [{"numeric": [">", True]}]}, "a: numeric wants a number, not True"),
    ({"a": [{"numeric": ["<", 1, ">", 0]}]}, "a: numeric wants the lower bound of a range first"),
    ({"a": [{"numeric": ["=", 1, "<", 2]}]}, "a: numeric wants the lower bound of a range first"),
    ({"a": [{"numeric": [">", 2, "<", 2]}]}, "a: numeric wants a lower bound below the upper one"),
    ({"a": [{"numeric": [">", 5000000001]}]}, "a: numeric compares numbers up to 5 billion"),
    ({"a": [{"anything-but": []}]}, "a: anything-but wants something to leave out"),
    ({"a": [{"anything-but": ["b", 1]}]}, "a: anything-but wants texts alone or numbers alone"),
    ({"a": [{"anything-but": None}]}, "a: anything-but wants texts alone or numbers alone"),
    ({"a": [{"anything-but": [True]}]}, "a: anything-but wants texts alone or numbers alone"),
    (
        {"a": [{"anything-but": {"numeric": ["=", 1]}}]},
        "a: anything-but wants texts alone or numbers alone, or a table",
    ),
    ({"a": [{"anything-but": {"prefix": "b", "suffix": "c"}}]}, "a: anything-but wants texts alone"),
    ({"a": [{"anything-but": {"prefix": 1}}]}, "a: anything-but wants a text, or several, for prefix"),
    ({"a": [{"anything-but": {"prefix": []}}]}, "a: anything-but wants a text, or several, for prefix"),
    ({"a": [{"anything-but": {"prefix": ""}}]}, "a: anything-but wants no empty prefix"),
    ({"a": [{"anything-but": {"suffix": ["b", ""]}}]}, "a: anything-but wants no empty suffix"),
    ({"a": [{"anything-but": {"wildcard": "b**"}}]}, "a: anything-but wildcard 'b**' holds consecutive"),
    ({"a": [{"anything-but": {"equals-ignore-case": [1]}}]}, "a: anything-but wants a text, or several"),
    ({"a": [{"anything-but": 6e9}]}, "a: anything-but compares numbers up to 5 billion"),
    ({"$or": {"a": [1]}}, "$or wants a list of two tables or more"),
    ({"x": {"$or": [{"a": [1]}]}}, "x.$or wants a list of two tables or more"),
    ({"$or": [{"a": [1]}, {}]}, "it is empty, or no table"),
    ({"$or": [{"a": [1]}, 1]}, "it is empty, or no table"),
    ({"$or": [{"a": [1]}, {"b": {"prefix": ["x"]}}]}, "b.prefix is a name that EventBridge reserves inside $or"),
    ({"a": [1], "$or": [{"a": [2]}, {"b": [3]}]}, "a is named twice"),
    ({"$or": [{"a": [2]}, {"b": [3]}], "a": [1]}, "a is named twice"),
    ({"x": {"a": [1], "$or": [{"b": [1]}, {"$or": [{"a": [2]}, {"c": [3]}]}]}}, "x.a is named twice"),
    ({"x": {"a": [1]}, "x.a": [1]}, "x.a is named twice"),
    ({}, "it is empty"),
]


@pytest.mark.parametrize(("pattern", "why"), REFUSED, ids=[str(pattern) for pattern, _ in REFUSED])
def test_what_eventbridge_refuses_is_a_line_that_names_it(pattern: Any, why: str) -> None:
    found = mistake(pattern)

    assert found is not None
    assert why in found
    assert len(found.splitlines()) == 1


@pytest.mark.parametrize(
    "pattern",
    [
        {"a": {"prefix": ["x"]}},
        {"a": [{"wildcard": r"\*\**"}]},
        {"a": [{"wildcard": r"\\*"}]},
        {"a": [{"cidr": "10.0.0.0/31"}]},
        {"a": [{"cidr": "::/0"}]},
        {"a": [{"numeric": [">=", -5e9, "<=", 5e9]}]},
        {"a": [9999999999]},
        {"$or": [{"a": [1]}, {"a": [2]}]},
        {"x": {"$or": [{"a": [1]}, {"b": [1]}]}, "y": {"$or": [{"a": [1]}, {"b": [1]}]}},
    ],
)
def test_what_eventbridge_takes_is_no_mistake(pattern: dict[str, Any]) -> None:
    assert mistake(pattern) is None


AT_THE_LIMIT, BEYOND = (-5e9, 5e9, 4_999_999_999.5), (-5_000_000_001, 5_000_000_000.5, -5_000_000_000.5, 1e300)
"""Numbers that EventBridge compares, and such that it doesn't."""


@pytest.mark.parametrize("number", AT_THE_LIMIT)
def test_numbers_of_up_to_five_billion_are_compared(number: float) -> None:
    for operand in ({"numeric": ["=", number]}, {"anything-but": number}, {"anything-but": [0, number]}):
        assert mistake({"a": [operand]}) is None
    assert mismatch({"a": [{"numeric": ["=", number]}]}, {"a": number}) is None


@pytest.mark.parametrize("number", BEYOND)
def test_numbers_beyond_five_billion_are_refused_in_patterns_and_match_nothing(number: float) -> None:
    for operand in ({"numeric": ["=", number]}, {"anything-but": number}, {"anything-but": [0, number]}):
        assert "compares numbers up to 5 billion" in str(mistake({"a": [operand]}))
    for sign in ("<", ">"):
        assert mismatch({"a": [{"numeric": [sign, 0]}]}, {"a": number})


def ors(count: int) -> dict[str, Any]:
    """So many fields with two branches each."""
    return {f"f{number}": {"$or": [{"a": [1]}, {"b": [1]}]} for number in range(count)}


def one_of(count: int) -> dict[str, Any]:
    return {"$or": [{f"f{number}": [1]} for number in range(count)]}


def test_a_thousand_combinations_are_the_limit() -> None:
    assert mistake({name: one_of(10) for name in "abc"}) is None
    assert mistake({"a": one_of(7), "b": one_of(11), "c": one_of(13)}) is not None
    assert mistake(ors(9)) is None
    assert mistake(ors(10)) == "its $or make 1024 combinations; EventBridge takes 1000"


def test_a_pattern_with_endless_combinations_is_refused_at_once() -> None:
    begun = time.monotonic()

    assert "combinations" in str(mistake(ors(300)))
    assert time.monotonic() - begun < 1


def nested(levels: int, inside: Any) -> Any:
    for _ in range(levels):
        inside = {"a": inside}
    return inside


def test_a_pattern_nested_without_end_is_refused() -> None:
    assert mistake(nested(100, ["x"])) is None
    assert mistake(nested(101, ["x"])) == "it is nested more than 100 levels deep"
    assert mistake(nested(100_000, ["x"])) == "it is nested more than 100 levels deep"


def test_an_event_nested_without_end_is_judged() -> None:
    assert not matches({"a": [1]}, nested(50_000, 1))


def test_a_wildcard_takes_no_longer_than_the_value_is_long() -> None:
    begun = time.monotonic()

    assert not matches({"a": [{"wildcard": "*a" * 200 + "*b"}]}, {"a": "a" * 20_000})
    assert time.monotonic() - begun < 1


@pytest.mark.long
@given(st.recursive(st.one_of(SCALAR, EXPRESSION), lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)))
def test_whatever_a_file_says_is_taken_or_refused_in_a_line(value: Any) -> None:
    found = mistake({"a": value, "b": [{"anything-but": value}], "$or": value})

    assert found is None or "\n" not in found
