"""A document's reader notices what is not as the document says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.reader import reader

FENCE = "```"


def troubles(folder: Path, *blocks: str, **instead: str) -> list[str]:
    """What a reader of these blocks tells; each begins with its marks and its language."""
    folder.mkdir(exist_ok=True)
    document = folder / "there.md"
    document.write_text("\n".join(block.replace("«", FENCE).replace("»", FENCE) for block in blocks), "utf-8")
    with reader(folder / "reader", {"GREETING": "hello"}, instead, root=folder) as somebody:
        return list(somebody.work_through(document))


def test_what_one_block_sets_the_next_one_finds(tmp_path: Path) -> None:
    told = troubles(
        tmp_path, "«sh\nname=world\ncd /\n»", "«console\n$ echo $GREETING $name in $PWD\nhello world in /\n»"
    )

    assert told == []


def test_a_command_that_fails_is_named_with_its_line_and_the_output(tmp_path: Path) -> None:
    [told] = troubles(tmp_path, "«sh\necho so far\ngrep x /dev/null | cat\necho further\n»")

    assert told.startswith("there.md:2: ended with an error:\n    3: grep x /dev/null")
    assert "so far\n    further" in told


def test_another_output_is_shown_beside_what_was_expected(tmp_path: Path) -> None:
    [told] = troubles(tmp_path, "«console\n$ echo one\none\n$ echo two\nthree\n»")

    assert told.startswith("there.md:4: prints something else")
    assert told.endswith("the command:\n    echo two\n  the document:\n    three\n  the output:\n    two")


def test_a_command_may_fail_as_it_is_said_to(tmp_path: Path) -> None:
    said = "<!-- exit: 10 -->\n«sh\n(exit {})\n»"

    assert troubles(tmp_path / "1", said.format(10)) == []
    assert "# 11" in troubles(tmp_path / "2", said.format(11))[0]
    assert "was to exit with 10" in troubles(tmp_path / "3", said.format(0))[0]


def test_the_exit_code_is_the_next_commands_to_ask_for(tmp_path: Path) -> None:
    assert troubles(tmp_path, "<!-- exit: 3 -->\n«console\n$ (exit 3)\n$ echo $?\n3\n»") == []


def test_what_goes_on_for_ever_is_interrupted_once_it_has_said_enough(tmp_path: Path) -> None:
    told = troubles(
        tmp_path, "<!-- until: ready -->\n«sh\npython -c 'import time; print(\"ready\", flush=True); time.sleep(99)'\n»"
    )

    assert told == []


def test_what_never_says_it_is_told(tmp_path: Path) -> None:
    [told] = troubles(tmp_path, "<!-- until: ready -->\n«sh\necho almost\n»")

    assert "ended without having printed 'ready'" in told


def test_a_setup_runs_first_and_what_it_prints_is_not_the_documents(tmp_path: Path) -> None:
    assert troubles(tmp_path, "<!-- setup: echo one | tee there -->\n«console\n$ cat there\none\n»") == []


def test_a_block_may_be_a_file(tmp_path: Path) -> None:
    assert troubles(tmp_path, "<!-- file: a.toml -->\n«toml\na = 1\n»", "«console\n$ cat a.toml\na = 1\n»") == []


def test_a_program_has_its_setup_before_it(tmp_path: Path) -> None:
    said = "<!-- setup: name = 'world' -->\n«python\nassert name == '{}'\n»"

    assert troubles(tmp_path / "1", said.format("world")) == []
    assert "AssertionError" in troubles(tmp_path / "2", said.format("moon"))[0]


def test_an_address_elsewhere_is_never_asked(tmp_path: Path) -> None:
    curl = "«sh\necho http://there.example/x\n»"

    assert "leads to http://there.example/x" in troubles(tmp_path / "1", curl)[0]
    assert troubles(tmp_path / "2", curl, **{"http://there.example": "http://127.0.0.1:1"}) == []


@pytest.mark.parametrize("name", ["AWS_PROFILE", "HTTPS_PROXY", "POLLBRIDGE_STACK"])
def test_nothing_leads_a_reader_elsewhere(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "elsewhere")

    assert troubles(tmp_path, f"«console\n$ echo ${{{name}-nothing}}\nnothing\n»") == []
