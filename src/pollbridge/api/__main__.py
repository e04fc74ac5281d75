"""Write `docs/openapi.json` below the working directory, or check it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pollbridge.api.document import text

FILE = Path("docs/openapi.json")


def main(arguments: Sequence[str]) -> int:
    if arguments != ["--check"]:
        FILE.write_text(text(), "utf-8")
        return 0
    if FILE.is_file() and FILE.read_text("utf-8") == text():
        return 0
    sys.stderr.write(f"not the routes': {FILE}; run `python -m pollbridge.api`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
