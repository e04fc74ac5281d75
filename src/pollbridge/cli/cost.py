"""`cost`: what this deployment costs a month, and what it would cost following more jobs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pollbridge.cli.output import columns, fail, plain, print_json

if TYPE_CHECKING:
    from pollbridge.cli.counting import Found
    from pollbridge.cost import Item
    from pollbridge.prices import Prices

MARKS = (1_000, 10_000)
"""Followed jobs that are reckoned unless told, besides ten times as many as there are."""

FEW = 100
"""Followed jobs of which nothing can be told about more of them: other columns then assume what is usual."""

CENT = 0.005


@click.command()
@click.option("--watches", multiple=True, type=click.IntRange(0, 10**8), metavar="N", help="What N followed jobs cost.")
@click.option(
    "--changes-per-day",
    "changes",
    type=click.FloatRange(0, 1440),
    metavar="C",
    help="Changes of each job.",
)
@click.option("--prices", "file", type=click.Path(path_type=Path), metavar="FILE", help="TOML with prices of your own.")
@click.option("--why", is_flag=True, help="Say of each line what it rests on.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cost(watches: tuple[int, ...], changes: float | None, file: Path | None, why: bool, as_json: bool) -> None:
    """Estimate what this deployment costs a month, now and following N jobs.

    An estimate from list prices without free tiers; docs/cost.md states the model.
    """
    if changes is not None and math.isnan(changes):
        raise click.BadParameter("nan is no number of changes", param_hint="--changes-per-day")
    from pollbridge.cli.counting import look_at
    from pollbridge.cli.deployment import find

    prices = _prices(file)
    found = look_at(find())
    estimate = Estimate(found, prices, changes, watches)
    if as_json:
        print_json(estimate.json())
        return
    _show(estimate, file)
    if why:
        _explain(estimate)


def _prices(file: Path | None) -> Prices:
    from pollbridge.prices import PRICES, InvalidPrices, read

    try:
        return read(file) if file else PRICES
    except InvalidPrices as error:
        fail(str(error))


class Estimate:
    """The lines for a deployment as it is, and for other numbers of followed jobs."""

    def __init__(self, found: Found, prices: Prices, changes: float | None, marks: Sequence[int]) -> None:
        from pollbridge.cost import items
        from pollbridge.cost.assumed import STEADY_CHANGES

        setup = found.setup
        self.found, self.prices = found, prices
        self.told = changes is not None
        self.usual = setup.watches < FEW
        """What is followed now says nothing about other numbers."""
        own = STEADY_CHANGES if self.usual else setup.changes / setup.watches
        self.each = own if changes is None else changes
        self.now = replace(setup, changes=setup.watches * self.each) if self.told else setup
        sample = setup.quiet if self.usual else setup
        self.setups = {mark: sample.at(mark, self.each) for mark in marks or self._marks(setup.watches)}
        self.lines: list[Item] = items(self.now, prices)
        self.others = {mark: items(there, prices) for mark, there in self.setups.items()}
        self.quiet = items(setup.quiet, prices)

    @staticmethod
    def _marks(watches: float) -> list[int]:
        return sorted({mark for mark in (int(10 * watches), *MARKS) if mark > watches})

    @property
    def notes(self) -> list[str]:
        """What the figures don't say by themselves."""
        from pollbridge.prices import REGION

        found = self.found
        told = []
        if found.region != REGION:
            told.append(
                f"this deployment is in {found.region}; the prices are {REGION}'s: bring your own with --prices"
            )
        if not found.scheduled:
            told.append("its schedules are off; reckoned as if they were on")
        return told + list(self._too_fast())

    def _too_fast(self) -> Iterator[str]:
        """Whose limits let through less than a column asks for, and from which column on."""
        noted = set()
        for mark, setup in sorted([(int(self.now.watches), self.now), *self.setups.items()], key=itemgetter(0)):
            for each in setup.connections:
                wanted, most = each.busiest, each.pace.per_minute
                if wanted > most and each.name not in noted:
                    noted.add(each.name)
                    yield (
                        f"at {mark:,} in all, {each.name} wants {wanted:,.0f} requests in a minute and is allowed"
                        f" {most:,.0f}: it would fall behind; reckoned as if it did not"
                    )

    def json(self) -> dict[str, Any]:
        from pollbridge.cost import total
        from pollbridge.prices import AS_OF, CURRENCY, REGION

        lines = zip(self.lines, *self.others.values(), strict=True)
        return {
            "region": REGION,
            "prices_as_of": AS_OF,
            "currency": CURRENCY,
            "inputs": self._inputs(),
            "items": [
                {
                    "service": now.service,
                    "what": now.what,
                    "quantity": round(now.quantity, 6),
                    "unit": now.price.unit,
                    "price": now.price.usd,
                    "usd": round(now.usd, 6),
                    "why": now.why,
                    "source": now.price.source,
                    "at": {
                        str(mark): {"quantity": round(line.quantity, 6), "usd": round(line.usd, 6)}
                        for mark, line in zip(self.others, others, strict=True)
                    },
                }
                for now, *others in lines
            ],
            "total": round(total(self.lines), 6),
            "fixed": round(total(self.quiet), 6),
            "at": {str(mark): round(total(there), 6) for mark, there in self.others.items()},
            "notes": self.notes,
        }

    def _inputs(self) -> dict[str, Any]:
        from pollbridge.cost import assumed

        now = self.now
        named = ("VENDOR_LATENCY", "AWS_LATENCY", "POLLERS", "LONG_POLL", "JOBS_PER_CHANGE", "HOURS")
        return {
            "stack": self.found.stack,
            "region": self.found.region,
            "scheduled": self.found.scheduled,
            "connections": {each.name: {"watches": each.watches, "polls": each.polls} for each in now.connections},
            "destinations": dict(now.destinations),
            "watches": now.watches,
            "polls": now.polls,
            "changes_per_day": now.changes,
            "changes_per_day_each": self.each,
            "changes_counted_over_days": None if self.told else self.found.days,
            "alarms": now.alarms,
            "dashboards": now.dashboards,
            "secrets": now.secrets,
            "stored_gb": self.found.stored_gb,
            "assumed": {
                **{name.lower(): getattr(assumed, name) for name in named},
                "usual_jobs": self.usual,
                "deliveries_per_change": len(now.destinations),
            },
        }


def _show(estimate: Estimate, file: Path | None) -> None:
    from pollbridge.cost import total
    from pollbridge.prices import AS_OF, REGION

    click.echo(f"What {plain(estimate.found.stack)} costs a month, in US dollars. An estimate, no bill: docs/cost.md")
    own = f", and those of {plain(str(file))}" if file else ""
    click.echo(f"List prices of {REGION} as of {AS_OF}, without free tiers{own}\n")
    titles = ["NOW", *(f"AT {mark:,}" for mark in estimate.others)]
    every = [estimate.lines, *estimate.others.values()]
    rows, rest = [], [0.0] * len(every)
    for same in zip(*every, strict=True):
        if any(line.usd >= CENT for line in same):
            rows.append([same[0].service, same[0].what, *(_money(line.usd) for line in same)])
        else:
            rest = [sum_ + line.usd for sum_, line in zip(rest, same, strict=True)]
    rows.append(["", "everything else", *map(_money, rest)])
    rows.append(["total", "", *(_money(total(lines)) for lines in every)])
    rows.append(["", "of it, following nothing", *(_money(total(estimate.quiet)) for _ in every)])
    rows.append(["", "per 1,000 followed jobs", *_marginal(estimate)])
    widths = [max(map(len, column)) for column in zip(*(row[2:] for row in rows), titles, strict=False)]
    _table(["SERVICE", "WHAT", *titles], rows, widths)
    click.echo(f"\n{_heard(estimate)}")
    for note in estimate.notes:
        click.echo(f"note: {plain(note)}")


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[int]) -> None:
    def right(row: Sequence[str]) -> list[str]:
        return [*row[:2], *(f"{cell:>{room}}" for cell, room in zip(row[2:], widths, strict=True))]

    columns(right(titles), [right(row) for row in rows], shrink=("WHAT", "SERVICE"))


def _marginal(estimate: Estimate) -> Iterator[str]:
    from pollbridge.cost import total

    fixed = total(estimate.quiet)
    # Of a few jobs it would be the metrics alone, which are the same for more of them.
    for watches, lines in chain([(estimate.now.watches, estimate.lines)], estimate.others.items()):
        yield _money((total(lines) - fixed) / watches * 1_000) if watches >= FEW else "-"


def _money(usd: float) -> str:
    return "<0.01" if 0 < usd < CENT else f"{usd:,.2f}"


def _heard(estimate: Estimate) -> str:
    """What was found, and what was assumed for want of it."""
    found, now = estimate.found, estimate.now
    heard = (
        f"Found: {_many(len(now.connections), 'connection')}, {_many(len(now.destinations), 'destination')},"
        f" {_many(now.secrets, 'secret')}, {_many(now.alarms, 'alarm')}, {_many(now.dashboards, 'dashboard')}.\n"
        f"Followed: {_many(round(now.watches), 'job')}, polled {now.polls:,.0f} times a month."
    )
    counted = f"Changes: {now.changes:,.1f} a day, counted over {found.days:.1f} days."
    if estimate.told:
        counted = f"Changes: {estimate.each:g} a day of each job, as told."
    assumed = "Assumed: every destination hears of every change"
    if estimate.usual:
        each = "" if estimate.told else f", and {estimate.each:g} changes a day of each"
        assumed += f"; in other columns, jobs of all ages{each}"
    return "\n".join([heard, counted, f"{assumed}.", "--why says what each line rests on."])


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _explain(estimate: Estimate) -> None:
    click.echo("\nEach line as it is now: quantity, unit, price, and what it rests on")
    for line in estimate.lines:
        click.echo(
            f"{line.service}, {line.what}: {line.quantity:,.10g} × {line.price.usd:.10g}"
            f" per {line.price.unit} = {line.usd:,.4f}"
        )
        click.echo(f"    {line.why}; price: {line.price.source}")
