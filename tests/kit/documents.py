"""Documents as a reader works through them: their fenced blocks, and what invisible comments before a block say of it.

<!-- setup: … -->     what the document presupposes; runs before the block, in its language (else the shell)
<!-- meanwhile: … --> a shell command that runs beside the block
<!-- until: … -->     the block ends by Ctrl-C once it has printed this
<!-- exit: 10 -->     what the command exits with that doesn't exit with 0
<!-- any order -->    what is printed may come in another order of lines
<!-- file: … -->      the block is this file, in the reader's folder
<!-- needs: … -->     what no test has: the block isn't run
<!-- not run: … -->   another reason why it isn't
"""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SHELLS = ("sh", "bash", "console")
PROGRAMS = ("python", "js")
SHOWN = ("json", "mermaid", "text", "toml", "yaml")
"""Languages that nobody runs."""

TESTED = (
    *sorted(ROOT.glob("examples/**/*.py")),
    *sorted(ROOT.glob("examples/**/*.mjs")),
    ROOT / "tests" / "unit" / "fictional_vendor.py",
)
"""Programs that other tests run: a block that is a part of one of them need not be run again."""

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- (?P<name>[a-z ]+?)(?::\s(?P<said>.*?))?\s-->", re.DOTALL)
MARKS = re.compile(r"(?:<!--(?:(?!-->).)*-->\s*)+\Z", re.DOTALL)
NAMES = frozenset({"setup", "meanwhile", "until", "exit", "any order", "file", "needs", "not run"})


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. `line` is that of its first line within the fence, counted from 1."""

    document: str
    line: int
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def excused(self) -> str | None:
        """Why it isn't run: `needs …`, or the reason it gives. None: it is."""
        if needs := self.marks.get("needs"):
            return f"needs {needs}"
        return self.marks.get("not run")

    @property
    def runs(self) -> bool:
        """Whether a test of documents runs it."""
        return self.language in SHELLS + PROGRAMS and self.excused is None and not self.tested

    @property
    def tested(self) -> bool:
        """Whether it is a part of a program that other tests run."""
        if self.language not in PROGRAMS:
            return False
        shown = self.text.rstrip("\n").split("\n")
        programs = [path.read_text("utf-8").split("\n") for path in TESTED]
        return any(
            shown == _dedented(lines[start : start + len(shown)])
            for lines in programs
            for start in range(len(lines) - len(shown) + 1)
        )

    def steps(self) -> Iterator[Step]:
        """What its reader types. A block of a shell is one step, and says nothing of what is printed."""
        if self.language != "console":
            yield Step(self.document, self.line, self.text, None)
            return
        yield from _typed(self)


@dataclass(frozen=True, slots=True)
class Step:
    """What is run at once, and what is printed then; None where the document doesn't say."""

    document: str
    line: int
    script: str
    printed: str | None

    @property
    def where(self) -> str:
        return f"{self.document}:{self.line}"


def calls(script: str) -> Iterator[list[str]]:
    """The words behind `pollbridge`, wherever the script calls it."""
    lines = re.sub(r"\\\n", " ", script).splitlines()
    for line in lines:
        for words in re.findall(r"(?<![\w/.-])pollbridge +([^|;&)]+)", re.split(r" <<|(?:^|\s)#", line)[0]):
            yield words.replace('"', "").split()


def documents() -> list[Path]:
    """All documents whose blocks are run, the README last: it ends what runs."""
    found = [ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("examples/**/*.md"))]
    return [*found, ROOT / "README.md"]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, root: Path = ROOT) -> list[Block]:
    """The fenced blocks of a document, in order. Raises ValueError for a mark that says nothing known."""
    return list(read(str(path.relative_to(root)), path.read_text("utf-8")))


def read(document: str, text: str) -> Iterator[Block]:
    """As `blocks`, from a text."""
    end = 0
    for fence in FENCE.finditer(text):
        line = text.count("\n", 0, fence.start("text")) + 1
        before = MARKS.search(text[end : fence.start()].rstrip() + " ")
        marks = dict(_marks(f"{document}:{line}", before[0] if before else ""))
        end = fence.end()
        yield Block(document, line, fence["language"], textwrap.dedent(fence["text"]), marks)


def _marks(where: str, text: str) -> Iterator[tuple[str, str]]:
    for comment in re.findall(r"<!--.*?-->", text, re.DOTALL):
        mark = MARK.fullmatch(comment)
        if not mark or mark["name"] not in NAMES:
            raise ValueError(f"{where}: {comment!r} is no mark; there are {', '.join(sorted(NAMES))}")
        yield mark["name"], textwrap.dedent(mark["said"] or "").strip()


def _typed(block: Block) -> Iterator[Step]:
    """The commands behind `$ `, each with what stands below it. A `\\` or a line with `> ` continues one."""
    command: list[str] = []
    printed: list[str] = []
    began = 0
    for number, line in enumerate(block.text.split("\n"), block.line):
        if line.startswith("$ "):
            if command:
                yield Step(block.document, began, "\n".join(command) + "\n", "\n".join(printed))
            command, printed, began = [line[2:]], [], number
        elif not command:
            if line.strip():
                raise ValueError(f"{block.document}:{number}: a console begins with `$ `, not with {line!r}")
        elif not printed and (command[-1].endswith("\\") or line.startswith("> ")):
            command.append(line.removeprefix("> "))
        else:
            printed.append(line)
    if command:
        yield Step(block.document, began, "\n".join(command) + "\n", "\n".join(printed))


def _dedented(lines: list[str]) -> list[str]:
    return textwrap.dedent("\n".join(lines)).split("\n")


ZONE = r"(?:Z|[+-]\d\d:?\d\d|[A-Z][A-Za-z]{2,4}|[+-]\d\d)"
CHANGING = [
    (re.compile(rf"\b\d{{4}}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?: ?{ZONE}(?!\w))?"), "<time>"),
    (re.compile(rf"(?<![\d:])\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?![\d:])(?: {ZONE}(?!\w))?"), "<clock>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "<day>"),
    # An id within a job key is the document's own; one alone, an event's, is another every time.
    (re.compile(r"(?<![/\w-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"(?<=127\.0\.0\.1:)\d+"), "<port>"),
    (re.compile(r"(?<=process )\d+"), "<id>"),
    (re.compile(r"\b\d+(?:\.\d+)? ?(?:ms|s|min|h|d|seconds?|minutes?|hours?|days?)\b"), "<duration>"),
    (re.compile(r'("(?:latency_ms|pid|port)": )\d+'), r"\1<number>"),
    (re.compile(r"[─━═-]{3,}"), "---"),
    (re.compile(r"[ \t]+"), " "),
]
"""What differs from run to run, and what stands for it when two outputs are compared."""

GAP = re.compile(r"\[…[^\]…]*\]|…")
"""What stands for anything: `…`, `[…]` and `[… 5 lines left out]`."""


def normalised(text: str) -> list[str]:
    """The lines without what differs from run to run, and without blank ones."""
    for pattern, stands in CHANGING:
        text = pattern.sub(stands, text)
    return [line.strip() for line in text.splitlines() if line.strip()]


def agrees(printed: str, output: str, *, any_order: bool = False) -> bool:
    """Whether the output is what the document prints.

    A gap stands for anything on its line, for any number of lines where it is alone on one, and within JSON for
    anything at all. How JSON is broken into lines doesn't matter.
    """
    lines, told = normalised(printed), normalised(output)
    if _is_json(output):
        return bool(re.fullmatch(_pattern(_squeezed(lines)), _squeezed(told), re.DOTALL))
    if any_order:
        gap = any(GAP.fullmatch(line) for line in lines)
        return _matched([line for line in lines if not GAP.fullmatch(line)], told, all_of_them=not gap)
    pattern = "".join(r"(?:.*\n)*?" if GAP.fullmatch(line) else _pattern(line) + r"\n" for line in lines)
    return bool(re.fullmatch(pattern, "".join(f"{line}\n" for line in told)))


def _pattern(line: str) -> str:
    return ".*".join(map(re.escape, GAP.split(line)))


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), (dict, list))
    except ValueError:
        return False


def _squeezed(lines: list[str]) -> str:
    return re.sub(r" ?([\[\]{},:…]) ?", r"\1", " ".join(lines))


def _matched(lines: list[str], told: list[str], *, all_of_them: bool) -> bool:
    left = Counter(told)
    for line in lines:
        pattern = re.compile(_pattern(line))
        found = next((one for one in left if left[one] and pattern.fullmatch(one)), None)
        if found is None:
            return False
        left[found] -= 1
    return not all_of_them or not +left
