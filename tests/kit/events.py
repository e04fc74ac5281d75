"""The sample events of `events/`, one file per case, in the shapes of AWS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "events"


def event(function: str, case: str) -> dict[str, Any]:
    sample: dict[str, Any] = json.loads((FOLDER / function / f"{case}.json").read_bytes())
    return sample


def cases() -> list[tuple[str, str]]:
    """Each function with each of its samples."""
    return sorted((path.parent.name, path.stem) for path in FOLDER.glob("*/*.json") if path.parent.name != "schemas")
