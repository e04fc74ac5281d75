"""Whether the vendors answer: as the sweeps recorded it, and when they are asked one cheap question now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from pollbridge.cli.doctor.finding import Finding, Look, Question, Subject, bad, note, plural, refused_by_aws, warn
from pollbridge.cli.output import local_time
from pollbridge.config import Connection
from pollbridge.history.connections import ConnectionHead
from pollbridge.history.heads import by_state, job_key
from pollbridge.model.event import Trouble
from pollbridge.model.health import Ailment
from pollbridge.model.instant import iso
from pollbridge.model.job import InvalidJobKey, JobKey, State
from pollbridge.vendors.answer import NoAnswer, Request

if TYPE_CHECKING:
    from pollbridge.polling.client import Refused

SCOPES = 5
"""Scopes of a connection that are asked; each costs the vendor a request."""

PATIENCE = 10.0
"""Seconds for all questions of a connection, waiting for its limits included."""

NEWEST = 5
"""Jobs of each state among which one to ask about is looked for."""


@dataclass(frozen=True, slots=True)
class Try:
    """A question that the scope's key has to be accepted for."""

    scope: str
    request: Request
    read: Callable[[bytes], object]
    """Raises NoAnswer."""
    job: JobKey | None = None
    """None where it is the scope's list that is asked for."""


def _questions(look: Look) -> Iterator[Question]:
    for name in look.configuration.vendors:
        yield Question("health", f"connection {name}", partial(_recorded, look, name))
        if not look.offline:
            yield Question("vendor", f"connection {name}", partial(_asked, look, name))
    if look.offline:
        told = note("vendor", "vendors", "not asked: --offline")
        yield Question("vendor", "vendors", lambda: [told])


def _recorded(look: Look, name: str) -> Iterator[Finding]:
    head = look.deployment.connections.get(name)
    ailments = [(None, head.health.connection), *head.health.scopes.items()]
    for scope, ailment in ailments:
        if ailment:
            yield _ailing(look.configuration.vendors[name], name, scope, ailment)
    if not any(ailment for _, ailment in ailments):
        yield Finding("health", f"connection {name}", "the sweeps have no trouble with it")


def _ailing(connection: Connection, name: str, scope: str | None, ailment: Ailment) -> Finding:
    about = f"connection {name}" + (f", scope {scope}" if scope else "")
    since = local_time(ailment.since)
    if ailment.back is not None:
        return note("health", about, f"answers again; it did not since {since} ({ailment.error})")
    says = f"{ailment.reason.replace('_', ' ')} since {since}: {ailment.error}"
    make = bad if ailment.told else warn
    return make("health", about, says, _remedy(connection, scope, ailment.reason))


def _remedy(connection: Connection, scope: str | None, reason: Trouble) -> str:
    secret = connection.scope_secrets.get(scope, connection.secret) if scope else connection.secret
    if reason is Trouble.FORBIDDEN:
        return f"have the key of {secret} granted this scope, or name another secret in scope_secrets"
    if reason is Trouble.UNREACHABLE:
        return "nothing while the vendor is down, it is told when it is over; if it is not down, look at base_url"
    return f"pollbridge secret set {secret}"


def _asked(look: Look, name: str) -> Iterator[Finding]:
    about, head = f"connection {name}", look.deployment.connections.get(name)
    if head.waits_until and head.waits_until > look.now:
        until = local_time(iso(head.waits_until))
        yield note("vendor", about, f"not asked: the vendor wants to be left alone until {until}")
        return
    tries, left = _tries(look, name)
    if not tries:
        yield note("vendor", about, "not asked: there is no list to read and no job to ask for yet")
        return
    for question, error in zip(tries, asyncio.run(_ask(look, name, head, tries)), strict=True):
        yield _answered(look.configuration.vendors[name], name, question, error)
    if left:
        yield note("vendor", about, f"{plural(left, 'scope')} more not asked")


def _tries(look: Look, name: str) -> tuple[list[Try], int]:
    """What to ask, a question for each scope; and how many scopes are left out."""
    connection, known = look.configuration.vendors[name], _known(look, name)
    named = dict.fromkeys((*connection.scopes, *connection.scope_secrets))
    wanted = list(named or dict.fromkeys(job.scope for job in known))
    # Another secret is worth more than another scope of the same one.
    firsts = {connection.scope_secrets.get(scope, connection.secret): scope for scope in reversed(wanted)}
    order = list(dict.fromkeys((*reversed(firsts.values()), *wanted)))
    found = [each for scope in order if (each := _try(connection, scope, known))]
    return found[:SCOPES], max(0, len(found) - SCOPES)


def _try(connection: Connection, scope: str, known: list[JobKey]) -> Try | None:
    kinds = connection.vendor.kinds
    job = next((job for job in known if job.scope == scope and job.kind in kinds), None)
    listing = next((kind.listing for kind in kinds.values() if kind.listing), None)
    if listing and (scope in connection.scopes or not job):
        return Try(scope, listing.request(scope, None), lambda body: listing.parse(body, None))
    if job:
        return Try(scope, kinds[job.kind].request(job), partial(kinds[job.kind].answer, job), job)
    return None


def _known(look: Look, name: str) -> list[JobKey]:
    """Some of the newest jobs, those first that go on."""
    found = []
    for state in sorted(State, key=lambda state: state.terminal):
        items = look.deployment.table.query(
            "connection_state = :state",
            {":state": by_state(name, state)},
            index="by_state",
            ScanIndexForward=False,
            Limit=NEWEST,
        )
        for item in islice(items, NEWEST):
            try:
                key = job_key(item["PK"]["S"])
            except InvalidJobKey:
                continue
            if "lost" not in item:
                found.append(key)
    return found


async def _ask(look: Look, name: str, head: ConnectionHead, tries: list[Try]) -> list[Exception | None]:
    """What came of each; None where it was answered. Goes by the connection's limits, as a sweep does."""
    from pollbridge.polling.asking import Asker, Keys
    from pollbridge.polling.limits import Pace
    from pollbridge.polling.poller import Poller, wall_clock

    deployment = look.deployment
    connection = look.configuration.vendors[name]
    poller = Poller.of(name, look.configuration, deployment.table, look.client("secretsmanager"))
    until = time.monotonic() + PATIENCE
    async with poller.client() as client:
        pace = Pace.after(head.sent, connection.pace, wall_clock, asyncio.sleep)
        asker = Asker(client.fetch, pace, wall_clock, lambda: until - time.monotonic(), client.rests_until)
        keys = Keys(connection, poller.sweep_.headers)
        return await asyncio.gather(*(_one(asker, keys, question) for question in tries))


async def _one(asker: Any, keys: Any, question: Try) -> Exception | None:
    from pollbridge.polling.asking import Stopped
    from pollbridge.polling.client import NoCredentials, PollError

    try:
        headers = await keys.of(question.scope)
    except NoCredentials as error:
        # Whether these credentials may read a secret says nothing of whether the poller may.
        if refusal := refused_by_aws(error):
            raise refusal from None
        return error
    try:
        reply = await asker.ask(question.request, headers)
        question.read(reply.body)
    except (PollError, Stopped, NoAnswer) as error:
        return error
    return None


def _answered(connection: Connection, name: str, question: Try, error: Exception | None) -> Finding:
    from pollbridge.polling.asking import Stopped
    from pollbridge.polling.client import NoCredentials, Refused

    about = f"connection {name}, scope {question.scope}"
    secret = connection.scope_secrets.get(question.scope, connection.secret)
    if error is None:
        return Finding("vendor", about, f"accepts the key of {secret}")
    if isinstance(error, Stopped):
        return note("vendor", about, "not asked: the limits leave no room right now")
    if isinstance(error, NoCredentials):
        # What is wrong with the secret's members names no secret; that it cannot be read does.
        says = str(error) if str(error).startswith("secret ") else f"its secret {secret} {error}"
        return bad("vendor", about, f"cannot be asked: {says}", f"pollbridge secret set {secret}")
    if isinstance(error, Refused):
        return _refused(about, question, error, secret)
    return _useless(about, question, error)


_BASE_URL = "look at base_url in pollbridge.toml"
_AGAIN = f"ask again; if it stays and the vendor is not down, {_BASE_URL}"


def _useless(about: str, question: Try, error: Exception) -> Finding:
    from pollbridge.polling.client import BadAnswer

    if isinstance(error, NoAnswer | BadAnswer):
        what = f"about {question.job}" if question.job else "for its list"
        return bad("vendor", about, f"asked {what}, it answers 200 and nothing of use: {error}", _BASE_URL)
    return bad("vendor", about, f"does not answer from here: {error}", _AGAIN)


def _refused(about: str, question: Try, error: Refused, secret: str) -> Finding:
    status = error.status
    if status == 404:
        return _unknown(about, question)
    if status == 429:
        return warn("vendor", about, "throttles (HTTP 429)", "ask again in a while; if it stays, lower its limits")
    says, do = f"refuses the question (HTTP {status})", _BASE_URL
    if status == 401:
        says, do = f"does not accept the key of {secret} (HTTP 401)", f"pollbridge secret set {secret}"
    elif status == 403:
        says = f"the key of {secret} lacks a permission (HTTP 403)"
        do = "have the permission granted, or name another secret in scope_secrets"
    elif status >= 500:
        says, do = f"is out of order (HTTP {status})", _AGAIN
    return bad("vendor", about, says, do)


def _unknown(about: str, question: Try) -> Finding:
    if not question.job:
        says = "is not known to the vendor (HTTP 404)"
        return bad("vendor", about, says, "look at base_url and scopes in pollbridge.toml")
    says = f"does not know {question.job} (HTTP 404): deleted there, or asked for at the wrong place"
    return warn("vendor", about, says, f"ask the vendor for it by hand; if it is there, {_BASE_URL}")


VENDORS = Subject("vendors", "answer, and accept the keys", _questions)
