"""Whether the schedules are on, and whether sweeps really come."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from pollbridge.cli.doctor.finding import GONE, Finding, Look, Question, Subject, bad, gone, last, note, warn
from pollbridge.cli.output import local_time
from pollbridge.history.connections import ConnectionHead
from pollbridge.model.instant import from_minute, iso

RECENT = timedelta(minutes=5)
"""A sweep comes every minute."""

KEPT = "{Name:Name,ScheduleExpression:ScheduleExpression,FlexibleTimeWindow:FlexibleTimeWindow,Target:Target}"


def _questions(look: Look) -> Iterator[Question]:
    schedules = {f"schedule of {name}": (name, each) for name, each in look.parts.get("schedules", {}).items()}
    if not look.parts.get("scheduled", True):
        yield Question("schedule", "schedules", lambda: [note("schedule", "schedules", OFF)])
    for about, (connection, name) in schedules.items():
        function = look.parts["pollers"][connection]
        yield Question("schedule", about, partial(_schedule, look, about, name, function))
        yield Question("ticks", f"connection {connection}", partial(_ticks, look, connection, name))
    if name := look.parts.get("auditor_schedule"):
        about = "schedule of the auditor"
        yield Question("schedule", about, partial(_schedule, look, about, name, look.parts["auditor"]))


OFF = "off, as it was deployed; sweep by hand: pollbridge local tick"


def _schedule(look: Look, about: str, name: str, function: str) -> Iterator[Finding]:
    try:
        told = look.client("scheduler").get_schedule(Name=name)
    except ClientError as error:
        if not gone(error):
            raise
        yield bad("schedule", about, f"is gone: there is no schedule {name}", GONE)
        return
    invoked = last(told["Target"]["Arn"])
    if invoked != function:
        yield bad("schedule", about, f"invokes {invoked} instead of {function}", GONE)
    elif told["State"] != "ENABLED" and look.parts.get("scheduled"):
        yield bad("schedule", about, "is disabled: nobody sweeps", _enabling(name))
    elif told["State"] != "ENABLED":
        yield Finding("schedule", about, "is off, as it was deployed")
    else:
        yield Finding("schedule", about, f"is on, {told['ScheduleExpression']}")


def _enabling(name: str) -> str:
    """UpdateSchedule wants the whole of it: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html."""
    kept = f"$(aws scheduler get-schedule --name {name} --query '{KEPT}' --output json)"
    return f'aws scheduler update-schedule --state ENABLED --cli-input-json "{kept}"'


def _ticks(look: Look, connection: str, schedule: str) -> Iterator[Finding]:
    about, head = f"connection {connection}", look.deployment.connections.get(connection)
    completed = None if head.completed is None else from_minute(head.completed)
    begun = None if head.tick is None else from_minute(head.tick)
    told = f"the last complete sweep stands for {local_time(iso(completed))}" if completed else "no sweep was completed"
    scheduled = look.parts.get("scheduled")
    # Sweeps made by hand have the time of their ticks.
    now = look.now if scheduled or begun is None else begun
    if (begun is None and not scheduled) or (completed and now - completed <= RECENT):
        yield Finding("ticks", about, told)
    elif begun is None and _is_new(look, schedule):
        says = "was not swept yet; its schedule is younger than five minutes"
        yield warn("ticks", about, says, "wait for the first minute, and ask again")
    elif begun and now - begun <= RECENT and (why := _excuse(head, now)):
        yield warn("ticks", about, f"is swept, and {told}: {why}", "pollbridge doctor says below how the vendor is")
    elif begun and now - begun <= RECENT:
        do = _log(look, look.parts["pollers"][connection])
        yield bad("ticks", about, f"sweeps begin, and are not completed; {told}", do)
    else:
        when = f"since {local_time(iso(begun))}" if begun else "ever"
        do = _log(look, look.parts["pollers"][connection])
        yield bad("ticks", about, f"was not swept {when}: its poller dies, or is not invoked", do)


def _is_new(look: Look, schedule: str) -> bool:
    modified = look.client("scheduler").get_schedule(Name=schedule).get("LastModificationDate")
    return bool(modified and look.now - modified <= RECENT)


def _excuse(head: ConnectionHead, now: datetime) -> str | None:
    """Why sweeps may rightly not be completed: the vendor's trouble, and not the schedule's."""
    if head.health.connection:
        return f"nothing is answered ({head.health.connection.error})"
    if head.waits_until and head.waits_until > now:
        return f"the vendor asked to be left alone until {local_time(iso(head.waits_until))}"
    return "more is due than the limits let through" if head.round else None


def _log(look: Look, function: str) -> str:
    told: dict[str, Any] = look.client("lambda").get_function_configuration(FunctionName=function)
    group = told.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{function}"
    return f"aws logs tail {group} --since 1h"


SCHEDULES = Subject("schedules", "all fire", _questions)
