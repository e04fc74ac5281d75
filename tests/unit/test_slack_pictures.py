"""The pictures in the documents are of the messages that are posted."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from docs.slack.draw import FOLDER, WIDTH, pictures
from docs.slack.samples import PICTURES
from pollbridge.local.slack import objection

DRAWN = pictures()
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_what_would_be_drawn_today(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == DRAWN[name], "`make pictures` draws them anew"


def test_every_picture_is_shown_once_and_no_other_is_kept() -> None:
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (FOLDER / "README.md").read_text("utf-8"))

    assert sorted(shown) == sorted(DRAWN) == sorted(path.name for path in FOLDER.glob("*.svg"))


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_well_formed_and_has_a_title(name: str) -> None:
    picture = ET.fromstring(DRAWN[name])  # noqa: S314 our own

    assert picture.tag == f"{SVG}svg"
    assert picture.findtext(f"{SVG}title")
    assert all(0 <= float(text.get("x", "")) < WIDTH for text in picture.iter(f"{SVG}text"))


@pytest.mark.parametrize("name", PICTURES)
def test_slack_would_take_what_is_drawn(name: str) -> None:
    assert [objection(shown) for shown, _, _ in PICTURES[name]()] == [None] * len(PICTURES[name]())
