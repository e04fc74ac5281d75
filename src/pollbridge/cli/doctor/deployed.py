"""Whether what was deployed is there, and on: configuration, table, bus, functions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from botocore.exceptions import ClientError

from pollbridge import __version__
from pollbridge.cli.doctor.finding import GONE, Finding, Look, Question, Subject, bad, gone, warn

PARTS = ("scheduled", "schedules", "auditor_schedule", "mappings", "failures", "alarm_topic")
"""What a deployment of this release tells its commands."""

INDEXES = ("due", "by_state", "timeline", "unpublished")


def _configuration(look: Look) -> Iterator[Question]:
    yield Question("configuration", "configuration", partial(_release, look))
    yield Question("allow_private", "addresses", partial(private_addresses, look))


def _release(look: Look) -> Iterator[Finding]:
    about = f"deployment {look.deployment.stack}"
    missing = [name for name in PARTS if name not in look.parts]
    version = look.parts.get("version", __version__)
    if missing:
        says = f"an older release deployed it: there is no telling about {', '.join(missing)}"
        yield warn("configuration", about, says, "deploy again: npx cdk deploy")
    elif version != __version__:
        says = f"release {version} deployed it, and this is {__version__}"
        yield warn("configuration", about, says, "use one release for both: update pollbridge, then npx cdk deploy")
    else:
        yield Finding("configuration", about, "is deployed, and its configuration can be read")


def private_addresses(look: Look) -> Iterator[Finding]:
    """Whoever may reach what is not public: it is meant for tests, and seldom for more."""
    owners = {f"connection {name}": owner.allow_private for name, owner in look.configuration.vendors.items()}
    owners |= {f"destination {name}": owner.allow_private for name, owner in look.configuration.destinations.items()}
    admitted = [about for about, private in owners.items() if private]
    for about in admitted:
        says = "may reach private addresses, and speak plain http"
        yield warn("allow_private", about, says, "unless that is meant: take allow_private out, and deploy")
    if not admitted:
        yield Finding("allow_private", "addresses", "only public ones are dialled")


def _storage(look: Look) -> Iterator[Question]:
    table, bus = look.deployment.table.name, look.deployment.bus
    yield Question("table", f"table {table}", partial(_table, look, table))
    yield Question("backups", f"table {table}", partial(_backups, look, table))
    yield Question("expiry", f"table {table}", partial(_expiry, look, table))
    yield Question("bus", f"bus {bus}", partial(_bus, look, bus))


def _table(look: Look, name: str) -> Iterator[Finding]:
    about = f"table {name}"
    try:
        table = look.client("dynamodb").describe_table(TableName=name)["Table"]
    except ClientError as error:
        if not gone(error):
            raise
        says = "is gone, and with it all that was ever seen"
        yield bad("table", about, says, f"aws dynamodb list-backups --table-name {name} --backup-type ALL; then {GONE}")
        return
    active = {index["IndexName"] for index in table.get("GlobalSecondaryIndexes", ()) if _is_active(index)}
    if table["TableStatus"] not in {"ACTIVE", "UPDATING"}:
        says = f"is {table['TableStatus']}, not ACTIVE"
        yield bad("table", about, says, f"aws dynamodb describe-table --table-name {name}")
    elif missing := [index for index in INDEXES if index not in active]:
        says = f"lacks {', '.join(missing)} among its indexes, or they are still being built"
        yield bad("table", about, says, f"aws dynamodb describe-table --table-name {name}; then {GONE}")
    else:
        yield Finding("table", about, "is there")
    stream = table.get("StreamSpecification", {})
    if stream.get("StreamEnabled") and stream.get("StreamViewType") == "NEW_IMAGE":
        yield Finding("stream", about, "has its stream on")
    else:
        wanted = "StreamEnabled=true,StreamViewType=NEW_IMAGE"
        do = f"aws dynamodb update-table --table-name {name} --stream-specification {wanted}; then {GONE}"
        yield bad("stream", about, "has its stream off: nothing new is published but by the hourly audit", do)


def _is_active(index: dict[str, str]) -> bool:
    # moto leaves the status out.
    return index.get("IndexStatus", "ACTIVE") in {"ACTIVE", "UPDATING"}


def _backups(look: Look, name: str) -> Iterator[Finding]:
    told = look.client("dynamodb").describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    if told.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") == "ENABLED":
        yield Finding("backups", f"table {name}", "can be brought back to any moment of the last weeks")
        return
    wanted = "PointInTimeRecoveryEnabled=true"
    do = f"aws dynamodb update-continuous-backups --table-name {name} --point-in-time-recovery-specification {wanted}"
    yield warn("backups", f"table {name}", "has point-in-time recovery off: what is deleted is lost", do)


def _expiry(look: Look, name: str) -> Iterator[Finding]:
    told = look.client("dynamodb").describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if told.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"}:
        yield Finding("expiry", f"table {name}", "forgets what is older than [history] says")
        return
    wanted = "Enabled=true,AttributeName=expires_at"
    do = f"aws dynamodb update-time-to-live --table-name {name} --time-to-live-specification {wanted}"
    yield warn("expiry", f"table {name}", "never forgets: its time to live is off", do)


def _bus(look: Look, name: str) -> Iterator[Finding]:
    try:
        look.client("events").describe_event_bus(Name=name)
    except ClientError as error:
        if not gone(error):
            raise
        # PutEvents answers success for a bus that does not exist.
        says = "is gone: what is published is heard by nobody, and counts as published"
        yield bad("bus", f"bus {name}", says, f"aws events create-event-bus --name {name}; then {GONE}")
    else:
        yield Finding("bus", f"bus {name}", "is there")


def functions(look: Look) -> dict[str, str]:
    """The deployed functions, by what they are."""
    parts = look.parts
    told = {f"poller of {name}": function for name, function in parts.get("pollers", {}).items()}
    told |= {f"notifier of {name}": part["function"] for name, part in parts["destinations"].items()}
    told |= {name: parts[name] for name in ("publisher", "registrar", "auditor") if name in parts}
    return told | ({"API": parts["api"]["function"]} if parts.get("api") else {})


def _functions(look: Look) -> Iterator[Question]:
    for about, name in functions(look).items():
        yield Question("function", about, partial(_function, look, about, name))
    if api := look.parts.get("api"):
        yield Question("url", "API", partial(_url, look, api["function"]))


def _function(look: Look, about: str, name: str) -> Iterator[Finding]:
    lambda_ = look.client("lambda")
    try:
        told = lambda_.get_function_configuration(FunctionName=name)
    except ClientError as error:
        if not gone(error):
            raise
        yield bad("function", about, f"is gone: there is no function {name}", GONE)
        return
    reserved = lambda_.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
    if told.get("State") == "Failed" or told.get("LastUpdateStatus") == "Failed":
        why = told.get("StateReason") or told.get("LastUpdateStatusReason") or "AWS does not say why"
        yield bad("function", about, f"cannot run: {why}", f"aws lambda get-function --function-name {name}")
    elif reserved == 0:
        says = "is throttled to nothing: its reserved concurrency is 0"
        yield bad("function", about, says, f"aws lambda delete-function-concurrency --function-name {name}")
    else:
        yield Finding("function", about, "can run")


def _url(look: Look, function: str) -> Iterator[Finding]:
    try:
        told = look.client("lambda").get_function_url_config(FunctionName=function)
    except ClientError as error:
        if not gone(error):
            raise
        yield bad("url", "API", "its URL is gone: nobody reaches it", GONE)
        return
    if told["AuthType"] != "AWS_IAM":
        says = f"its URL asks nobody who they are: its AuthType is {told['AuthType']}"
        do = f"aws lambda update-function-url-config --function-name {function} --auth-type AWS_IAM"
        yield bad("url", "API", says, do)
    else:
        yield Finding("url", "API", "its URL takes signed requests only")


CONFIGURATION = Subject(
    "configuration", "is deployed and can be read; only public addresses are dialled", _configuration
)
STORAGE = Subject("table and bus", "are there, with stream, backups and expiry on", _storage)
FUNCTIONS = Subject("functions", "all {n} can run", _functions)
