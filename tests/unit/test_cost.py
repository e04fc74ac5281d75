"""The model of costs: lines that add up, grow with what they stand for, and cost nothing where nothing is."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pollbridge.cost import Item, Setup, items, total
from pollbridge.cost.assumed import POLLERS, STEADY_CHANGES, TICKS
from pollbridge.cost.sweeps import Followed
from pollbridge.prices import PRICES, InvalidPrices, read
from pollbridge.vendors.answer import Limits

PACE = Limits(per_second=10, per_minute=300, concurrency=20)
SETUP = Setup(
    [
        Followed("mentionlab", {}, replace(PACE, per_minute=120), scopes=1, by_update=True),
        Followed("oration", {}, PACE),
        Followed("scale", {}, PACE, scopes=2),
    ],
    {"team": "slack", "service": "webhook"},
    alarms=30,
    dashboards=1,
    secrets=5,
)
EMPTY = Setup([])
WATCHES = (0, 1, 10, 1_000, 1_001, 10_000, 1_000_000)


def line(setup: Setup, service: str, what: str) -> Item:
    [found] = [item for item in items(setup) if (item.service, item.what) == (service, what)]
    return found


@pytest.mark.parametrize("watches", WATCHES)
def test_the_total_is_the_sum_of_quantities_times_prices(watches: int) -> None:
    lines = items(SETUP.at(watches, 2))

    assert total(lines) == pytest.approx(sum(each.quantity * each.price.usd for each in lines))


@settings(max_examples=15)
@given(
    st.integers(0, 10**7),
    st.integers(0, 10**7),
    st.floats(0, 100),
    st.sampled_from([{}, {(1, 0): 3, (15, 7): 40}, {(2, 1): 0.5}]),
)
def test_no_line_gets_cheaper_with_more_jobs(one: int, other: int, changes: float, slots: dict) -> None:
    fewer, more = sorted((one, other))
    setup = replace(SETUP, connections=[replace(each, slots=slots) for each in SETUP.connections])
    lines = zip(items(setup.at(fewer, changes)), items(setup.at(more, changes)), strict=True)

    assert [(a.service, a.what) for a, b in lines if b.usd < a.usd * (1 - 1e-9) - 1e-9] == []


def test_no_line_gets_cheaper_with_more_changes() -> None:
    setups = [SETUP.at(500, changes) for changes in (0, 0.001, 1, 50, 1440)]
    lines = [items(setup) for setup in setups]

    assert all(b.usd >= a.usd - 1e-12 for one, next_ in pairwise(lines) for a, b in zip(one, next_, strict=True))


def test_every_deployment_has_the_same_lines() -> None:
    names = [[(each.service, each.what) for each in items(setup)] for setup in (EMPTY, SETUP, SETUP.at(9, 9))]

    assert names[0] == names[1] == names[2]
    assert len(set(names[0])) == len(names[0])


def test_all_quantities_are_numbers_from_0_on() -> None:
    for setup in (EMPTY, SETUP, SETUP.at(0, 0), SETUP.at(10**8, 1440), SETUP.quiet.quiet):
        assert all(0 <= each.quantity < float("inf") for each in items(setup))


def test_what_follows_nothing_and_hears_of_nothing_pays_for_its_fixtures_only() -> None:
    told = {(each.service, each.what) for each in items(SETUP.quiet) if each.usd > 0.3}

    assert told == {
        ("SQS", "empty receives"),
        ("Secrets Manager", "secrets"),
        ("CloudWatch", "alarms"),
        ("CloudWatch", "metrics"),
        ("CloudWatch", "dashboards"),
        ("X-Ray", "traces"),
    }


def test_a_minute_of_each_connection_is_a_tick_and_two_writes() -> None:
    oration = Setup([Followed("oration", {}, PACE)])

    assert line(oration, "DynamoDB", "writes of sweeps").quantity == 2 * TICKS
    assert line(oration, "Secrets Manager", "reads by sweeps").quantity == 0


def test_each_queue_is_asked_fifteen_times_a_minute_though_it_is_empty() -> None:
    receives = line(SETUP.quiet, "SQS", "empty receives")

    assert receives.quantity == (2 + 1) * POLLERS * 3 * TICKS


def test_a_job_on_the_slowest_rung_is_polled_four_times_an_hour() -> None:
    assert Followed("oration", {(15, 3): 10}, PACE).polls == pytest.approx(10 * TICKS / 15)


def test_a_list_ordered_by_update_stands_for_the_polls_of_its_jobs() -> None:
    slots = {(1, 0): 50.0}
    singly = Followed("mentionlab", slots, PACE)
    listed = Followed("mentionlab", slots, PACE, scopes=1, by_update=True)

    assert (singly.requests, listed.polls) == (50 * TICKS, 0)
    assert listed.requests == pytest.approx(TICKS, rel=0.1)


def test_pauses_that_the_limits_ask_for_are_billed() -> None:
    slots = {(1, 0): 200.0}
    slow = Followed("oration", slots, replace(PACE, per_second=10))
    fast = Followed("oration", slots, replace(PACE, per_second=1_000))

    assert slow.seconds(0) == pytest.approx(TICKS * 20, rel=0.05)
    assert fast.seconds(0) < slow.seconds(0) / 5


def test_no_sweep_is_billed_for_longer_than_it_can_last() -> None:
    assert Followed("oration", {(1, 0): 1e6}, PACE).seconds(0) <= 55 * TICKS


def test_metrics_are_paid_for_by_the_hours_in_which_they_are_written() -> None:
    quiet, seldom, often = (line(SETUP.at(watches, 24), "CloudWatch", "metrics").quantity for watches in (0, 1, 500))

    assert quiet == 3
    assert quiet < seldom < often
    assert often == pytest.approx(3 + 2 + 3 + 1 + 2, abs=0.01)


def test_followed_jobs_keep_their_ages_when_they_are_more() -> None:
    more = Followed("oration", {(1, 0): 1, (15, 7): 3}, PACE).at(400)

    assert more.slots == {(1, 0): 100, (15, 7): 300}


def test_every_line_says_where_its_price_is_from_and_what_it_rests_on() -> None:
    assert all(each.why and each.price.source and each.price.unit for each in items(SETUP))


def prices(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    return file


def test_a_file_replaces_the_prices_it_names(tmp_path: Path) -> None:
    own = read(prices(tmp_path, "secret = 1\nlog_gb = 0.25\n"))

    assert (own["secret"].usd, own["log_gb"].usd, own["alarm"]) == (1.0, 0.25, PRICES["alarm"])
    assert total(items(SETUP, own)) == pytest.approx(total(items(SETUP)) + 5 * 0.6, abs=0.2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("secrets = 1", "secrets is no price"),
        ('secret = "1"', "secret wants a number"),
        ("secret = true", "secret wants a number"),
        ("secret = -1", "secret wants a number"),
        ("secret = nan", "secret wants a number"),
        ("secret = inf", "secret wants a number"),
        ("secret =", "is not valid TOML"),
        ("[secret]", "secret wants a number"),
    ],
)
def test_a_mistake_in_a_file_of_prices_is_one_line_that_names_it(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InvalidPrices) as refused:
        read(prices(tmp_path, text))

    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_of_prices_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidPrices, match="cannot be read"):
        read(tmp_path / "nothing.toml")


DOCUMENT = (Path(__file__).parents[2] / "docs" / "cost.md").read_text("utf-8")
EXAMPLE = Setup(
    [
        Followed("mentionlab", {}, replace(PACE, per_minute=120), scopes=1, by_update=True),
        Followed("oration", {}, PACE),
        *(Followed(name, {}, PACE, scopes=1) for name in ("scale", "mintlify")),
    ],
    {"team": "slack", "service": "webhook", "other": "webhook"},
    alarms=37,
    dashboards=1,
    secrets=7,
)
COLUMNS = [EXAMPLE, *(EXAMPLE.at(watches, STEADY_CHANGES) for watches in (100, 1_000, 10_000))]


def told() -> dict[tuple[str, str], list[float]]:
    """The rows of the document's example, by service and what."""
    found = re.findall(r"^\| ([^|]*) \| ([^|]*) \|((?: \**[\d.]+\** \|){4})$", DOCUMENT, re.MULTILINE)
    return {(name.strip(" *"), what): [float(n) for n in re.findall(r"[\d.]+", cells)] for name, what, cells in found}


def test_the_documents_example_is_what_the_model_says() -> None:
    every = [items(each) for each in COLUMNS]
    lines = {(same[0].service, same[0].what): [each.usd for each in same] for same in zip(*every, strict=True)}
    others = [line for name, line in lines.items() if name not in told()]
    sums = {("total", ""): map(total, every), ("", "all other lines"): map(sum, zip(*others, strict=True))}

    assert len(told()) > 15
    for name, cells in told().items():
        assert cells == pytest.approx([*(sums if name in sums else lines)[name]], abs=0.0051), name


@pytest.mark.parametrize(("per_second", "way"), [(10, "default limits"), (1_000, "limits that don't bind")])
def test_the_documents_price_of_a_poll_is_what_the_model_says(per_second: float, way: str) -> None:
    connections = [replace(each, pace=replace(each.pace, per_second=per_second)) for each in EXAMPLE.connections]
    many = replace(EXAMPLE, connections=connections).at(10_000, 0)
    poll = (total(items(many)) - total(items(EXAMPLE))) / many.polls

    assert f"| pollbridge, 10,000 jobs, {way} | {poll * 1e6:.2f} |" in DOCUMENT


def test_the_document_compares_with_what_the_table_prices() -> None:
    assert f"(3 transitions) | {3 * PRICES['state_transition'].usd * 1e6:.2f} |" in DOCUMENT
