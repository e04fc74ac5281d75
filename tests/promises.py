"""`make promises`: every promise of docs/promises.md with the tests that show it, and whether they passed."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest

PROMISES = Path(__file__).resolve().parents[1] / "docs" / "promises.md"


class Ledger:
    """Notes which promise each test shows, and how it ended."""

    def __init__(self) -> None:
        self.shown_by: dict[int, set[str]] = defaultdict(set)
        self.failed: set[str] = set()
        self.ran: set[str] = set()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for marker in item.iter_markers("promise"):
                self.shown_by[marker.args[0]].add(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.ran.add(report.nodeid)
        if report.failed:
            self.failed.add(report.nodeid)

    def line(self, number: int, text: str) -> str:
        tests = self.shown_by[number]
        if not tests:
            return f"{number:>3}  -        no test yet   {text}"
        passed = len([test for test in tests if test in self.ran and test not in self.failed])
        return f"{number:>3}  {'passed' if passed == len(tests) else 'FAILED'}  {passed:>4} of {len(tests):<4} {text}"


def promises(text: str) -> dict[int, str]:
    """The numbered promises, each as far as its first sentence."""
    return {int(number): words for number, words in re.findall(r"^(\d+)\. (.+?)(?:[.:;]|$)", text, re.MULTILINE)}


def main(arguments: list[str]) -> int:
    ledger = Ledger()
    code = pytest.main(["-q", "--no-header", "-m", "promise", *arguments], plugins=[ledger])
    for number, text in promises(PROMISES.read_text("utf-8")).items():
        print(ledger.line(number, text[:90]))
    shown = len([number for number in ledger.shown_by if ledger.shown_by[number]])
    print(f"{shown} promises have a test; {len(ledger.failed)} tests failed")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
