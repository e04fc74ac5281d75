"""`pollbridge.toml`: what it says by default, and the one line that each mistake in it is told in."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from pollbridge.config import Configuration, DetailType, InvalidConfig, bundled, check, load
from pollbridge.model.change import Reason
from pollbridge.model.event import detail_type
from pollbridge.routing import CONNECTION_TYPES, DESTINATION_TYPES, JOB_TYPES
from pollbridge.vendors import VENDORS
from pollbridge.vendors.answer import Vendor

FULL = """
[vendors.mentionlab]
secret = "pollbridge/mentionlab"
scopes = ["p1", "p2"]
scope_secrets = {p2 = "pollbridge/mentionlab-b"}
cadence = {fresh = "30m", settle = "2d", discovery = "90s"}
limits = {per_second = 2.5, per_minute = 60, concurrency = 4}

[vendors.labs]
type = "oration"
base_url = "http://127.0.0.1:8080/prefix/"
secret = "pollbridge/labs"
allow_private = true

[destinations.docs-team]
type = "slack"
secret = "pollbridge/docs-team"
match = {connection = ["labs"], state = ["failed"], detail_type = ["Job Lost"], labels = {team = ["docs"]}}

[destinations.service]
type = "webhook"
secret = "pollbridge/service"
enabled = false
headers = {x-team = "docs"}
match = {pattern = {detail = {version = [{numeric = [">", 1]}]}}}

[history]
retain = "100d"
raw = "12h"

[alarms]
email = "oncall@example.com"

[api]
enabled = true
"""


def connection(**fields: Any) -> dict[str, Any]:
    return {"vendors": {"mentionlab": {"secret": "s", **fields}}}


def destination(type: str = "webhook", **fields: Any) -> dict[str, Any]:
    return {**connection(), "destinations": {"team": {"type": type, "secret": "d", **fields}}}


def match(**fields: Any) -> dict[str, Any]:
    return destination(match=fields)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pollbridge.toml"
    path.write_text(text, "utf-8")
    return path


# What it says


@pytest.mark.parametrize(
    ("vendor", "base_url"),
    [
        ("mentionlab", "https://api.mentionlab.io"),
        ("oration", "https://www.oration.ai/api/v2"),
        ("scale", "https://dex.sgp.scale.com"),
        ("mintlify", "https://api.mintlify.com"),
    ],
)
def test_every_vendor_has_a_base_url(vendor: str, base_url: str) -> None:
    configured = check({"vendors": {vendor: {"secret": "s"}}}, "here").vendors[vendor]

    assert (configured.type, configured.base_url) == (vendor, base_url)


def test_a_connection_may_have_any_name_if_it_has_a_type() -> None:
    labs = check({"vendors": {"labs": {"type": "oration", "secret": "s"}}}, "here").vendors["labs"]

    assert labs.vendor.name == "oration"
    assert labs.base_url == "https://www.oration.ai/api/v2"


def test_what_is_left_out_has_the_documented_defaults() -> None:
    configuration = check(destination("slack"), "here")
    mentionlab, team = configuration.vendors["mentionlab"], configuration.destinations["team"]

    assert mentionlab.cadence.fresh == timedelta(minutes=15)
    assert (mentionlab.cadence.settle, mentionlab.cadence.discovery) == (timedelta(hours=24), timedelta(minutes=5))
    assert (mentionlab.scopes, mentionlab.allow_private, team.enabled) == ((), False, True)
    assert (configuration.history.retain, configuration.history.raw) == (timedelta(days=400), timedelta(days=30))
    assert not configuration.api.enabled


def test_a_slash_at_the_end_of_a_base_url_is_dropped() -> None:
    assert (
        check(connection(base_url="https://x.test/api/"), "here").vendors["mentionlab"].base_url == "https://x.test/api"
    )


def test_plain_http_needs_allow_private() -> None:
    assert (
        check(connection(base_url="http://x.test", allow_private=True), "here").vendors["mentionlab"].base_url
        == "http://x.test"
    )
    with pytest.raises(InvalidConfig, match="plain http"):
        check(connection(base_url="http://x.test"), "here")


def test_the_vendors_limit_counts_where_none_is_set() -> None:
    assert check(connection(), "here").vendors["mentionlab"].pace.concurrency == 20
    assert check(connection(limits={"concurrency": 3}), "here").vendors["mentionlab"].pace.concurrency == 3


def test_a_connection_has_a_secret_and_those_of_its_scopes(tmp_path: Path) -> None:
    configuration = load(written(tmp_path, FULL))

    assert configuration.vendors["mentionlab"].secrets == ("pollbridge/mentionlab", "pollbridge/mentionlab-b")
    assert set(configuration.secrets) == {
        *("pollbridge/mentionlab", "pollbridge/mentionlab-b", "pollbridge/labs"),
        *("pollbridge/docs-team", "pollbridge/service"),
    }


def test_a_scope_has_its_own_secret_whether_it_is_swept_or_not() -> None:
    """`scopes` does not limit what may be watched, so a scope that is not in it may need a key of its own."""
    own = check(connection(scopes=["p"], scope_secrets={"p": "a", "q": "b"}), "here").vendors["mentionlab"]

    assert own.scope_secrets == {"p": "a", "q": "b"}
    assert own.secrets == ("s", "a", "b")


def test_two_connections_of_one_type_have_addresses_and_secrets_of_their_own() -> None:
    a = {"type": "mentionlab", "base_url": "https://a.test", "secret": "a", "scope_secrets": {"p": "shared"}}
    b = {"type": "mentionlab", "base_url": "https://b.test", "secret": "b", "scope_secrets": {"p": "shared"}}
    configured = check({"vendors": {"mentionlab-a": a, "mentionlab-b": b}}, "here").vendors

    assert [(c.vendor.name, c.base_url, c.secrets) for c in configured.values()] == [
        ("mentionlab", "https://a.test", ("a", "shared")),
        ("mentionlab", "https://b.test", ("b", "shared")),
    ]


def test_a_configuration_survives_its_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = load(written(tmp_path, FULL))
    monkeypatch.setenv("POLLBRIDGE_CONFIG", str(tmp_path / "bundled.json"))
    (tmp_path / "bundled.json").write_text(configuration.model_dump_json())

    assert bundled() == configuration
    assert Configuration.model_validate(configuration.model_dump(mode="json")) == configuration


def test_the_projects_own_file_is_valid() -> None:
    own = load(Path(__file__).parents[2] / "pollbridge.toml")

    assert set(own.vendors) == {"mentionlab", "oration", "scale", "mintlify"}


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("24h", 86400), ("400d", 34560000)])
def test_durations_have_a_unit(text: str, seconds: int) -> None:
    assert check({**connection(), "history": {"retain": text}}, "here").history.retain == timedelta(seconds=seconds)


def test_detail_types_are_those_that_are_routed_and_made() -> None:
    assert set(get_args(DetailType)) == {*JOB_TYPES, *CONNECTION_TYPES, *DESTINATION_TYPES}
    assert {detail_type((reason,)) for reason in Reason} == set(JOB_TYPES)


# Mistakes

MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({}, "vendors: is missing"),
    ({"vendors": {}}, "no connection: add a [vendors.<name>] table"),
    ({"vendors": 5}, "vendors: wants a table"),
    ({"vendors": [{"secret": "s"}]}, "vendors: wants a table"),
    ({"vendors": {"mentionlab": "s"}}, "vendors.mentionlab: wants a table"),
    ({**connection(), "destinations": True}, "destinations: wants a table"),
    ({**connection(), "vendor": {}}, "vendor: is no key pollbridge knows"),
    ({**connection(), "a\nb": {}}, "a b: is no key pollbridge knows"),
    ({"vendors": {"my lab": {"secret": "s"}}}, "vendors.my lab: a name is at most 40 letters, digits"),
    ({"vendors": {"x" * 41: {"secret": "s"}}}, "a name is at most 40 letters, digits"),
    ({"vendors": {"labs": {"secret": "s"}}}, "vendors.labs: unknown vendor 'labs': type is one of mentionlab, oration"),
    ({"vendors": {"mentionlab": {}}}, "vendors.mentionlab.secret: is missing"),
    (connection(secret=""), "vendors.mentionlab.secret: is empty"),
    (connection(secret=5), "vendors.mentionlab.secret: wants a text"),
    (connection(scope="p"), "vendors.mentionlab.scope: is no key pollbridge knows"),
    (connection(scopes="p"), "vendors.mentionlab.scopes: wants a list"),
    (connection(scopes=[""]), "vendors.mentionlab.scopes.0: is empty"),
    (connection(scopes=["p\r\n"]), "vendors.mentionlab.scopes: 'p\\r\\n' opens no job key: its scope holds a control"),
    (
        connection(scopes=["p", "\x7f"]),
        "vendors.mentionlab.scopes: '\\x7f' opens no job key: its scope holds a control",
    ),
    (connection(scopes=["."]), "vendors.mentionlab.scopes: '.' opens no job key: its scope is '.', which cannot name"),
    (connection(scopes=["x" * 2_049]), "x…' opens no job key: its scope is longer than 960 bytes"),
    (connection(scopes=["x" * 950]), "x…' opens no job key: it is longer than 960 bytes"),
    (connection(scopes=["é" * 170]), "é…' opens no job key: its scope is longer than 960 bytes, percent-encoded"),
    (connection(scope_secrets={"p\0": "s"}), "vendors.mentionlab.scope_secrets: 'p\\x00' opens no job key: its scope"),
    (connection(scope_secrets={"x" * 2_049: "s"}), "vendors.mentionlab.scope_secrets: 'xxx"),
    (connection(scope_secrets="s"), "vendors.mentionlab.scope_secrets: wants a table"),
    (connection(scope_secrets=["p"]), "vendors.mentionlab.scope_secrets: wants a table"),
    (connection(scope_secrets={"": "s"}), "vendors.mentionlab.scope_secrets."),
    (connection(scope_secrets={"p": ""}), "vendors.mentionlab.scope_secrets.p: is empty"),
    (connection(scope_secrets={"p": 5}), "vendors.mentionlab.scope_secrets.p: wants a text"),
    (connection(scope_secrets={"p": "a b"}), "vendors.mentionlab.scope_secrets.p: is neither a name"),
    (connection(scope_secrets={"p": "*"}), "vendors.mentionlab.scope_secrets.p: is neither a name"),
    ({**destination(), **connection(scope_secrets={"p": "d"})}, "secret 'd' would have to serve a connection and"),
    (connection(base_url="api.x.test"), "vendors.mentionlab: base_url 'api.x.test' is no http(s) address"),
    (connection(base_url="https://u:p@x.test"), "is no http(s) address without query, fragment or user"),
    (connection(base_url="https://x.test?a=1"), "is no http(s) address without query, fragment or user"),
    (connection(base_url="ftp://x.test"), "is no http(s) address"),
    (connection(base_url="http://x.test"), "base_url is plain http, which would show your key"),
    (connection(cadence={"fresh": "15"}), "vendors.mentionlab.cadence.fresh: wants a duration"),
    (connection(cadence={"fresh": 15}), "vendors.mentionlab.cadence.fresh: wants a duration"),
    (connection(cadence={"fresh": "0m"}), "vendors.mentionlab.cadence.fresh: wants a duration"),
    (connection(limits={"per_second": 0}), "vendors.mentionlab.limits.per_second: "),
    (connection(limits={"per_second": float("inf")}), "vendors.mentionlab.limits.per_second: "),
    (connection(limits={"concurrency": 0}), "vendors.mentionlab.limits.concurrency: "),
    (connection(limits={"per_hour": 5}), "vendors.mentionlab.limits.per_hour: is no key pollbridge knows"),
    (destination("sms"), "destinations.team.type: Input should be 'slack' or 'webhook'"),
    ({**connection(), "destinations": {"team": {"type": "slack"}}}, "destinations.team.secret: is missing"),
    (destination("slack", headers={"x-a": "b"}), "destinations.team: headers are for webhooks only"),
    (destination(headers={"Host": "x"}), "destinations.team: headers may not set Host"),
    (destination(headers={"Content-Length": "1"}), "headers may not set Content-Length"),
    (destination(headers={"content-type": "x"}), "headers may not set content-type"),
    (destination(headers={"Webhook-Id": "x"}), "headers may not set Webhook-Id"),
    (destination(headers={"x-a": "b\r\nx-c: d"}), "destinations.team.headers.x-a: "),
    (destination(headers={"x-a": "b\n"}), "destinations.team.headers.x-a: "),
    (destination(headers={"x a": "b"}), "destinations.team.headers.x a"),
    (connection(secret="*"), "vendors.mentionlab.secret: is neither a name"),
    (destination(secret="s"), "secret 's' would have to serve a connection and webhook"),
    ({**connection(), "history": {"retain": "9999d"}}, "history.retain: is longer than ten years"),
    (match(pattern={"detail": {"a": "b"}}), "destinations.team.match.pattern: detail.a wants a list that holds"),
    (match(pattern={"detail": {"a": [{"prefx": "b"}]}}), "match.pattern: detail.a: 'prefx' is no operator: prefix, "),
    (match(pattern={"detail": {"a": [{"numeric": [">"]}]}}), "match.pattern: detail.a: numeric wants a comparison"),
    (match(pattern={"detail": {"a": [date(2026, 6, 8)]}}), "match.pattern: detail.a: datetime.date(2026, 6, 8) is no"),
    (match(pattern={"detail": {"a": [float("nan")]}}), "match.pattern: detail.a: nan is no text, number"),
    (match(pattern={"$or": [{"source": ["a"]}, {"id": ["b"]}]}), "match.pattern: source is named twice"),
    (match(pattern={"id": ["x" * 2048]}), "destinations.team.match.pattern: makes a pattern of 2083 characters"),
    (match(labels={"prefix": ["a"]}), "destinations.team.match: detail.job.labels.prefix is a name that EventBridge"),
    (match(scope=["x" * 2048]), "destinations.team.match: makes a pattern of "),
    (match(vendors=["mentionlab"]), "destinations.team.match.vendors: is no key pollbridge knows"),
    (match(vendor=["mentionlabs"]), "destinations.team.match: vendor 'mentionlabs' is none of mentionlab, "),
    (match(connection=["oration"]), "destinations.team.match: connection 'oration' is none of mentionlab"),
    (match(kind=["jobs"]), "destinations.team.match: kind 'jobs' is none of job, execution, "),
    (match(state=["succeded"]), "destinations.team.match.state.0: "),
    (match(state="failed"), "destinations.team.match.state: wants a list"),
    (match(state=[]), "destinations.team.match.state: is empty"),
    (match(reasons=["changed"]), "destinations.team.match.reasons.0: "),
    (match(detail_type=["job.state_changed"]), "destinations.team.match.detail_type.0: "),
    (match(labels={"team": []}), "destinations.team.match.labels.team: is empty"),
    (match(pattern={"detail": {}}, state=["failed"]), "destinations.team.match: pattern stands alone"),
    ({**connection(), "history": {"retain": "1y"}}, "history.retain: wants a duration"),
    ({**connection(), "alarms": {"email": "oncall"}}, "alarms.email: "),
    ({**connection(), "alarms": {"topic_arn": "arn:aws:sqs:eu-west-1:123456789012:q"}}, "alarms.topic_arn: "),
    (
        {**connection(), "alarms": {"email": "a@b.c", "topic_arn": "arn:aws:sns:eu-west-1:123456789012:t"}},
        "alarms: set email or topic_arn, not both",
    ),
    ({**connection(), "api": {"enable": True}}, "api.enable: is no key pollbridge knows"),
]


@pytest.mark.parametrize(("values", "mistake"), MISTAKES, ids=[mistake[:50] for _, mistake in MISTAKES])
def test_a_mistake_is_one_line_that_names_it(values: dict[str, Any], mistake: str) -> None:
    with pytest.raises(InvalidConfig) as error:
        check(values, "pollbridge.toml")

    assert str(error.value).startswith("pollbridge.toml: ")
    assert mistake in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 300


@pytest.mark.promise(46)
@pytest.mark.parametrize("name", ["HOST", "content-length", "Transfer-Encoding", "connection", "webhook-signature"])
def test_reserved_headers_are_refused_in_any_case(name: str) -> None:
    with pytest.raises(InvalidConfig, match="headers may not set"):
        check(destination(headers={name: "x"}), "here")


def test_further_mistakes_are_counted() -> None:
    with pytest.raises(InvalidConfig, match=r"\(and 1 more\)$"):
        check(connection(a=1, b=2), "here")


@pytest.mark.parametrize(
    ("content", "mistake"),
    [
        (b"[vendors", "is not valid TOML"),
        (b"[vendors]\nx = 1\nx = 2", "is not valid TOML"),
        (b"\xff", "cannot be read"),
        (b"", "vendors: is missing"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes, mistake: str) -> None:
    path = tmp_path / "pollbridge.toml"
    path.write_bytes(content)

    with pytest.raises(InvalidConfig, match=mistake) as error:
        load(path)
    assert str(error.value).startswith(f"{path}: ")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="there is no such file"):
        load(tmp_path / "nowhere.toml")
    with pytest.raises(InvalidConfig, match="cannot be read"):
        load(tmp_path)


UPPER = "0B9F6C1E-6D0F-4D6E-9D1A-2F7F1B9C3E55"


def test_a_scope_has_one_spelling_whichever_way_the_file_writes_it() -> None:
    told = {"secret": "s", "scopes": [UPPER], "scope_secrets": {UPPER: "own"}}
    connection = check({"vendors": {"mentionlab": told}}, "here").vendors["mentionlab"]

    assert connection.scopes == (UPPER.lower(),)
    assert connection.scope_secrets == {UPPER.lower(): "own"}


def test_a_scope_cannot_have_two_secrets_by_being_spelt_twice() -> None:
    told = {"secret": "s", "scope_secrets": {UPPER: "own", UPPER.lower(): "other"}}

    with pytest.raises(InvalidConfig, match="names a scope twice"):
        check({"vendors": {"mentionlab": told}}, "here")


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=lambda vendor: vendor.name)
def test_all_kinds_of_a_vendor_spell_scopes_alike(vendor: Vendor) -> None:
    assert vendor.scope(UPPER) in {UPPER, UPPER.lower()}
