"""Job keys: the printable names of jobs, and what cannot be one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollbridge.model.job import KEY_LIMIT, InvalidJobKey, JobKey

PARTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda part: part not in {".", ".."}
)


@given(st.builds(JobKey, PARTS, PARTS, PARTS, PARTS))
def test_a_printed_key_reads_back_as_itself(key: JobKey) -> None:
    assert JobKey.parse(str(key)) == key


@given(st.builds(JobKey, PARTS, PARTS, PARTS, PARTS))
def test_a_printed_key_is_plain_ascii_of_four_parts(key: JobKey) -> None:
    assert str(key).isascii()
    assert str(key).isprintable()
    assert str(key).count("/") == 3


@given(st.text())
def test_any_text_is_a_key_or_named_as_none(text: str) -> None:
    try:
        key = JobKey.parse(text)
    except InvalidJobKey as error:
        assert str(error).startswith(("it", "'", '"'))
    else:
        assert JobKey.parse(str(key)) == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("mentionlab/job/p/1", JobKey("mentionlab", "job", "p", "1")),
        ("scale/job/a%2Fb/c%20d", JobKey("scale", "job", "a/b", "c d")),
        ("scale/job/a%2fb/%C3%A9", JobKey("scale", "job", "a/b", "é")),
        ("scale/job/p/a+b", JobKey("scale", "job", "p", "a+b")),
        ("scale/job/p/100%25", JobKey("scale", "job", "p", "100%")),
        ("scale/job/.../é", JobKey("scale", "job", "...", "é")),
    ],
)
def test_parts_are_percent_decoded(text: str, key: JobKey) -> None:
    assert JobKey.parse(text) == key


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "it has 1 part, not the four"),
        ("mentionlab/job/1", "it has 3 parts, not the four"),
        ("mentionlab/job/p/1/", "it has 5 parts, not the four"),
        ("/job/p/1", "its connection is ''"),
        ("mentionlab//p/1", "its kind is ''"),
        ("mentionlab/job//1", "its scope is ''"),
        ("mentionlab/job/p/", "its id is ''"),
        ("mentionlab/job/../1", "its scope is '..'"),
        ("mentionlab/job/p/%2E", "its id is '.'"),
        ("mentionlab/job/p/1%", "'1%' holds a % that starts no percent-encoded byte"),
        ("mentionlab/job/p/%zz", "'%zz' holds a % that starts no percent-encoded byte"),
        ("mentionlab/job/p/%FF", "'%FF' does not decode to UTF-8"),
        ("mentionlab/job/p/\udcff", "not valid UTF-8"),
        ("mentionlab/job/p/" + "x" * KEY_LIMIT, "it is longer than 960 bytes"),
        ("mentionlab/job/p/" + "é" * 180, "its id is longer than 960 bytes"),
        ("mentionlab/job/p/" + "x" * 2_049, "its id is longer than 960 bytes"),
        ("mentionlab/job/" + "x" * 2_049 + "/1", "its scope is longer than 960 bytes"),
    ],
)
def test_a_wrong_key_is_told_what_is_wrong_with_it(text: str, mistake: str) -> None:
    with pytest.raises(InvalidJobKey) as error:
        JobKey.parse(text)

    assert mistake in str(error.value)


def test_a_key_may_be_as_long_as_the_limit() -> None:
    prefix = "mentionlab/job/p/"

    assert len(str(JobKey.parse(prefix + "x" * (KEY_LIMIT - len(prefix))))) == KEY_LIMIT


@pytest.mark.parametrize("character", [chr(code) for code in [*range(0x20), 0x7F]], ids=ascii)
def test_no_request_can_carry_a_control_character(character: str) -> None:
    with pytest.raises(InvalidJobKey, match="its scope holds a control character"):
        JobKey("scale", "job", f"p{character}", "1").askable()
    with pytest.raises(InvalidJobKey, match="its id holds a control character"):
        JobKey("scale", "job", "p", f"{character}1").askable()


@pytest.mark.parametrize("part", ["a b", "é", "a/b", "%0D%0A", "日本", "\u00a0"])
def test_a_request_can_carry_anything_else(part: str) -> None:
    key = JobKey("scale", "job", part, part)

    assert key.askable() == key
