"""`doctor`: what about a deployment needs a person, each finding with what to do."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Any

import click

from pollbridge.aws import client
from pollbridge.cli.deployment import find
from pollbridge.cli.doctor.alarms import ALARMS
from pollbridge.cli.doctor.credentials import SECRETS
from pollbridge.cli.doctor.deployed import CONFIGURATION, FUNCTIONS, STORAGE
from pollbridge.cli.doctor.destinations import DESTINATIONS, QUEUES
from pollbridge.cli.doctor.finding import Finding, Level, Look, Question, Subject, plural
from pollbridge.cli.doctor.history import HISTORY
from pollbridge.cli.doctor.routes import ROUTES
from pollbridge.cli.doctor.schedules import SCHEDULES
from pollbridge.cli.doctor.vendors import VENDORS
from pollbridge.cli.output import plain, print_json

SUBJECTS: tuple[Subject, ...] = (
    CONFIGURATION,
    STORAGE,
    FUNCTIONS,
    SCHEDULES,
    ROUTES,
    SECRETS,
    VENDORS,
    DESTINATIONS,
    QUEUES,
    HISTORY,
    ALARMS,
)

EXITS = {Level.BAD: 1, Level.UNKNOWN: 3}
"""What it exits with, the first that was found. 2 is wrong use, as everywhere."""

AT_ONCE = 16
"""Questions that are asked side by side."""

MARKS = {
    Level.OK: ("ok", "green"),
    Level.WARN: (" !", "yellow"),
    Level.BAD: ("!!", "red"),
    Level.UNKNOWN: ("??", "yellow"),
}


@click.command()
@click.option("--offline", is_flag=True, help="Leave the vendors alone.")
@click.option("--verbose", is_flag=True, help="Print also what is as it should be, one by one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(offline: bool, verbose: bool, as_json: bool) -> None:
    """Look for what needs a person. Exit 1 when something does, else 3 when something could not be looked at.

    It changes nothing. Each vendor is asked one question a scope, five at most, within its limits.
    """
    look = Look(find(), Clients(), datetime.now(UTC), offline)
    found: list[Finding] = []
    shown = Shown(verbose)
    for subject, findings in looked_at(look):
        found += findings
        if not as_json:
            shown.show(subject, findings)
    if as_json:
        print_json([_json(finding) for finding in found])
    else:
        click.echo(_sum(found))
    levels = {finding.level for finding in found}
    for level, code in EXITS.items():
        if level in levels:
            raise SystemExit(code)


class Clients:
    """AWS's clients, one for a service: making them is slow, and no thing for two threads at once."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __call__(self, service: str) -> Any:
        with self._lock:
            if service not in self._made:
                self._made[service] = client(service)
            return self._made[service]


def looked_at(look: Look) -> Iterator[tuple[Subject, list[Finding]]]:
    """What was found of each subject, in their order, as soon as it is known."""
    asked = [(subject, list(subject.questions(look))) for subject in SUBJECTS]
    answers = iter(_answers([question for _, questions in asked for question in questions]))
    for subject, questions in asked:
        yield subject, [finding for _ in questions for finding in next(answers).result()]


def _answers(questions: Sequence[Question]) -> list[Future[list[Finding]]]:
    """The answers to be.

    The threads are no pool's: that would keep an interrupted command until the last of them ends.
    """
    waiting = SimpleQueue[tuple[Question, Future[list[Finding]]]]()
    answers = []
    for question in questions:
        answers.append(Future[list[Finding]]())
        waiting.put((question, answers[-1]))

    def work() -> None:
        while True:
            try:
                question, answer = waiting.get_nowait()
            except Empty:
                return
            answer.set_result(question.answer())

    for _ in range(min(AT_ONCE, len(questions))):
        threading.Thread(target=work, daemon=True).start()
    return answers


def _json(finding: Finding) -> dict[str, Any]:
    told = asdict(finding) | {"ok": finding.level is Level.OK}
    del told["notable"]
    return told


@dataclass(slots=True)
class Shown:
    """What was printed so far."""

    verbose: bool
    told: set[str] = field(default_factory=set)
    """What to do about what could not be looked at: it is mostly the same, and worth one line."""

    def show(self, subject: Subject, findings: Sequence[Finding]) -> None:
        """What is wrong or notable, line by line; one line for all where nothing is."""
        worth = [each for each in findings if self.verbose or each.notable or each.level is not Level.OK]
        if not worth:
            count = len({finding.about for finding in findings})
            click.echo(f"{_mark(Level.OK)}  {subject.title}: {subject.green.format(n=count)}")
        lines = ((each, [each.about]) for each in worth) if self.verbose else _alike(worth)
        for first, abouts in lines:
            click.echo(f"{_mark(first.level)}  {plain(', '.join(abouts))}: {plain(first.says)}")
            if first.do and first.do not in self.told:
                click.echo(f"      {plain(first.do)}")
            if first.do and first.level is Level.UNKNOWN:
                self.told.add(first.do)


def _alike(findings: Sequence[Finding]) -> Iterator[tuple[Finding, list[str]]]:
    """Those that say the same, and want the same done, told once."""
    groups: dict[tuple[str, str | None, Level], tuple[Finding, list[str]]] = {}
    for finding in findings:
        _, abouts = groups.setdefault((finding.says, finding.do, finding.level), (finding, []))
        if finding.about not in abouts:
            abouts.append(finding.about)
    yield from groups.values()


def _mark(level: Level) -> str:
    text, colour = MARKS[level]
    return click.style(text, fg=colour)


def _sum(found: Sequence[Finding]) -> str:
    """How many findings of each level want something, as one line."""
    lines = [finding for finding, _ in _alike(found)]
    wants = {Level.BAD: "to mend", Level.WARN: "to know of", Level.UNKNOWN: "that could not be looked at"}
    counts = {level: sum(finding.level is level for finding in lines) for level in wants}
    told = [f"{plural(counts[level], 'thing')} {wants[level]}" for level in wants if counts[level]]
    return ", ".join(told) if told else "Nothing needs a person."
