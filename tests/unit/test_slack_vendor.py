"""The messages about a vendor that brings no answers, or brings them again; and about a disabled destination."""

from __future__ import annotations

import pytest

from pollbridge.model.event import Cause, Changes, Trouble
from pollbridge.notifying.notice import Notice
from pollbridge.notifying.slack.message import message
from tests.kit.events import event, notice, recovered, unreachable
from tests.unit.slack_words import disabled, header, summary, texts


def test_an_outage_is_told_at_a_glance() -> None:
    shown = message(notice(unreachable()))

    assert shown["text"] == (
        "🔌 mentionlab doesn't answer: HTTP 503, since 12:31 UTC (its jobs are not looked at until it answers again)"
    )
    assert list(texts(shown["blocks"])) == [
        "🔌 mentionlab doesn't answer: HTTP 503, since 12:31 UTC",
        "Its jobs are not looked at until it answers again. What changes meanwhile is told then.",
        "seen 2026-06-08 12:33 UTC, version 1",
    ]


@pytest.mark.parametrize(
    ("reason", "error", "text"),
    [
        (
            Trouble.UNAUTHORIZED,
            "HTTP 401",
            "🔑 mentionlab refuses the key: HTTP 401, since 12:31 UTC (check the secret)",
        ),
        (
            Trouble.FORBIDDEN,
            "HTTP 403",
            "🔑 mentionlab denies access: HTTP 403, since 12:31 UTC (check what the key may read)",
        ),
        (
            Trouble.NO_CREDENTIALS,
            "secret s is missing",
            "🔑 mentionlab can't be asked: secret s is missing, since 12:31 UTC (store the secret)",
        ),
    ],
)
def test_trouble_with_a_key_is_told_with_its_remedy(reason: Trouble, error: str, text: str) -> None:
    shown = message(notice(unreachable(reason=reason, error=error)))

    assert shown["text"] == text
    assert summary(shown).splitlines()[0] == f"*{text[text.index('(') + 1 : -1]}*"


def test_trouble_of_one_scope_is_told_of_that_scope_only() -> None:
    shown = message(notice(unreachable(scope="6650c1a9", reason=Trouble.UNAUTHORIZED, error="HTTP 401")))

    assert header(shown) == "🔑 mentionlab refuses the key for scope 6650c1a9: HTTP 401, since 12:31 UTC"
    assert summary(shown).splitlines()[1].startswith("The scope's jobs are not looked at")
    assert shown["blocks"][-1]["elements"][0]["text"] == "scope 6650c1a9"


def test_an_outage_of_yesterday_has_its_date() -> None:
    shown = message(notice(unreachable(since="2026-06-07T23:58:00Z")))

    assert header(shown).endswith(", since 2026-06-07 23:58 UTC")


def test_an_error_too_long_for_the_headline_is_told_below() -> None:
    shown = message(notice(unreachable(error="x" * 140)))

    assert header(shown).endswith("xxx…, since 12:31 UTC")
    assert shown["blocks"][2]["text"] == {"type": "plain_text", "text": "x" * 140, "emoji": False}


def test_a_recovery_is_told_with_how_long_and_what_changed() -> None:
    shown = message(notice(recovered()))

    assert shown["text"] == (
        "✅ mentionlab answers again after 1 h 12 min (14 jobs changed meanwhile: 12 succeeded, 2 failed)"
    )
    assert list(texts(shown["blocks"])) == [
        "✅ mentionlab answers again after 1 h 12 min",
        "*14 jobs changed meanwhile*\n12 succeeded · *2 failed*",
        "\n".join([*(f"mentionlab/job/p/{n}" for n in range(1, 11)), "… and 4 more"]),
        "HTTP 503, since 12:31 UTC",
        "seen 2026-06-08 13:43 UTC, version 2",
    ]


def test_of_many_jobs_that_changed_ten_are_named_and_all_are_counted() -> None:
    shown = message(notice(recovered(changes=Changes(total=1200, jobs=("m/job/p/1",) * 20))))

    assert shown["blocks"][2]["text"]["text"].splitlines() == ["m/job/p/1"] * 10 + ["… and 1,190 more"]


def test_a_recovery_after_which_nothing_is_new_says_so() -> None:
    shown = message(notice(recovered(scope="p", changes=Changes())))

    assert shown["text"] == "✅ mentionlab answers again for scope p after 1 h 12 min (no job changed meanwhile)"
    assert [block["type"] for block in shown["blocks"]] == ["header", "section", "context"]


@pytest.mark.parametrize(
    ("seconds", "span"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (135, "2 min 15 s"),
        (3600, "1 h"),
        (86_399, "23 h 59 min"),
        (90_000, "1 d 1 h"),
        (86_460, "1 d"),
    ],
)
def test_a_duration_is_told_in_its_largest_unit_and_the_next(seconds: int, span: str) -> None:
    assert header(message(notice(recovered(duration_seconds=seconds)))).endswith(f" after {span}")


def test_the_sample_of_an_outage_is_told() -> None:
    [record] = event("slack_notifier", "unreachable")["Records"]

    assert header(message(Notice.read(record["body"]))) == "🔌 mentionlab doesn't answer: HTTP 503, since 12:31 UTC"


def test_a_destination_told_nothing_more_is_told_of_with_the_way_to_get_it_back() -> None:
    shown = message(disabled())
    commands = "pollbridge enable docs_team\npollbridge recover --to docs_team --since 2026-06-07T00:31:00Z"

    assert shown["text"] == (
        "🔇 docsˍteam is told nothing any more, since 12:31 UTC (it says that it is gone for good)"
    )
    assert list(texts(shown["blocks"])) == [
        "🔇 docs_team is told nothing any more, since 12:31 UTC",
        "*It says that it is gone for good.* What would have been sent to it is kept.",
        "Error: HTTP 410",
        f"To get it back, mend the webhook receiver, and then:\n```{commands}```",
        "destination docs_team, webhook",
        "told 2026-06-08 12:31 UTC, version 1",
    ]


@pytest.mark.parametrize(
    ("cause", "why"),
    [
        (Cause.GONE, "*It says that it is gone for good.*"),
        (Cause.REFUSED, "*Slack refuses for good what is sent to it.*"),
        (Cause.FAILING, "*For five days nothing has reached it.*"),
    ],
)
def test_of_a_destination_is_told_why_it_is_disabled(cause: Cause, why: str) -> None:
    assert summary(message(disabled(reason=cause))).startswith(why)


def test_no_name_of_a_destination_ends_the_block_of_its_commands() -> None:
    shown = message(disabled(destination="a```*b*<!here>"))

    assert shown["blocks"][3]["text"]["text"].count("```") == 2
    assert "<" not in shown["blocks"][3]["text"]["text"]
