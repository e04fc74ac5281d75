"""What a command costs before and beyond its work, over `python -c pass` and over botocore alone.

Run `.venv/bin/python -m bench.startup`. Fresh interpreters in alternating rounds, against a stub of AWS on loopback
that answers at once; medians of CPU and of wall clock. `botocore` is the floor of what asks AWS: one client of
DynamoDB, and one call. Then the modules from outside the standard library that each command loads.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from pollbridge import config

ROUNDS = 7
JOBS = 20

BARE = "python -c pass"
FLOOR = "botocore"

ASKING = (
    "import botocore.session as s; c = s.get_session().create_client('dynamodb'); "
    "c.query(TableName='t', KeyConditionExpression='PK = :p', ExpressionAttributeValues={':p': {'S': 'x'}})"
)
COMMAND = "import sys; sys.argv[0] = 'pollbridge'; from pollbridge.cli import main; main()"
KEY = "oration/job/acme/0"

BASES: Mapping[str, Sequence[str]] = {
    BARE: ("-c", "pass"),
    "python -c 'import click'": ("-c", "import click"),
    FLOOR: ("-c", ASKING),
}
COMMANDS: Mapping[str, Sequence[str]] = {
    "pollbridge --version": ("--version",),
    "pollbridge --help": ("--help",),
    "pollbridge jobs --help": ("jobs", "--help"),
    "pollbridge parse": ("parse", KEY, "-"),
    "pollbridge jobs": ("jobs",),
    "pollbridge jobs --json": ("jobs", "--json"),
    "pollbridge show": ("show", KEY),
    "pollbridge history": ("history", KEY),
}

ANSWERED = Path(__file__).resolve().parents[1] / "tests" / "unit" / "samples" / "oration-job.json"
ANSWER = ANSWERED.read_bytes()
NOW = "2026-06-08T12:00:00.000Z"


class Aws(BaseHTTPRequestHandler):
    """CloudFormation's and DynamoDB's answers to `jobs`, `show` and `history`: twenty jobs, one change each."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for headers and body: else the second waits for the first's acknowledgement

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        answer = TARGETS[target](json.loads(body)) if target else describe(body)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0" if target else "text/xml")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


def describe(body: bytes) -> bytes:
    assert parse_qs(body.decode())["Action"] == ["DescribeStackResource"]
    vendors = {name: {"secret": name} for name in ("oration", "mentionlab", "scale", "mintlify")}
    destinations = {name: {"type": "webhook", "secret": name} for name in ("service", "other")}
    configured = config.check({"vendors": vendors, "destinations": destinations}, "bench").model_dump(mode="json")
    told = {"pollbridge": {"format": 1, "table": "t", "bus": "b", "config": configured, "destinations": {}}}
    return (
        "<DescribeStackResourceResponse><DescribeStackResourceResult><StackResourceDetail><Metadata>"
        f"{escape(json.dumps(told))}"
        "</Metadata></StackResourceDetail></DescribeStackResourceResult></DescribeStackResourceResponse>"
    ).encode()


def query(asked: Mapping[str, object]) -> bytes:
    values = json.dumps(asked["ExpressionAttributeValues"])
    if asked.get("IndexName") == "by_state":
        items = [head(number) for number in range(JOBS)] if "oration#running" in values else []
    else:
        items = [entry()] if "JOB#" in values else []
    return json.dumps({"Items": items, "Count": len(items)}).encode()


def get_item(asked: Mapping[str, Mapping[str, Mapping[str, str]]]) -> bytes:
    return json.dumps({"Item": head(0)} if asked["Key"]["PK"]["S"] == f"JOB#{KEY}" else {}).encode()


def batch_get_item(asked: Mapping[str, Mapping[str, Mapping[str, Sequence[object]]]]) -> bytes:
    items = [head(number) for number in range(len(asked["RequestItems"]["t"]["Keys"]))]
    return json.dumps({"Responses": {"t": items}, "UnprocessedKeys": {}}).encode()


TARGETS: Mapping[str, Callable[..., bytes]] = {"BatchGetItem": batch_get_item, "GetItem": get_item, "Query": query}


def head(number: int) -> dict[str, object]:
    progress = {"total": 10, "succeeded": 4}
    return {
        "PK": {"S": f"JOB#oration/job/acme/{number}"},
        "SK": {"S": "HEAD"},
        "incarnation": {"S": "i"},
        "version": {"N": "1"},
        "snapshot": {"S": json.dumps({"state": "running", "vendor_status": "active", "progress": progress})},
        "connection_state": {"S": "oration#running"},
        "changed_at": {"S": NOW},
        "observed_at": {"S": NOW},
        "registered_at": {"S": NOW},
        "due_slot": {"S": "oration#0#1m#0"},
        "due_row": {"S": "1 1780920000.000 1780920000.000 29682000 0 h running||4|0|| -"},
    }


def entry() -> dict[str, object]:
    event = {
        **dict.fromkeys(("from", "progress", "error", "last_seen_at")),
        "reasons": ["first_seen"],
        "to": {"state": "running"},
        "links": [],
        "observed_at": NOW,
    }
    told = {"PK": f"JOB#{KEY}", "SK": "V#0000000001", "event_id": "e", "detail_type": "Job First Seen"}
    told |= {"event": json.dumps(event), "observed_at": NOW}
    return {name: {"S": value} for name, value in told.items()} | {"version": {"N": "1"}}


@contextmanager
def stub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Aws) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def cost(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """CPU and wall clock of a fresh interpreter, in milliseconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], env=environment, input=ANSWER, capture_output=True, check=False)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr.decode()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu * 1000, wall * 1000


def modules(arguments: Sequence[str], environment: Mapping[str, str]) -> set[str]:
    """Packages from outside the standard library that a command loads, and rooms of ours."""
    code = f"import atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); {COMMAND}"
    words = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(words, env=environment, input=ANSWER, capture_output=True, check=True)
    names = done.stderr.decode().splitlines()[-1].split()
    ours = {".".join(name.split(".")[:2]) for name in names if name.startswith("pollbridge.")}
    others = {name.split(".")[0] for name in names} - sys.stdlib_module_names
    return ours | {name for name in others if not name.startswith("_") and name != "pollbridge"}


def main() -> None:
    runs = {**BASES, **{name: ("-c", COMMAND, *words) for name, words in COMMANDS.items()}}
    with stub() as endpoint, tempfile.TemporaryDirectory() as cache:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AWS", "POLL"))},
            "PYTHONPYCACHEPREFIX": cache,  # a user's are written at the first run, wherever this runs
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "t",
            "AWS_SECRET_ACCESS_KEY": "t",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        costs: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        for round_ in range(ROUNDS + 1):
            for name, arguments in runs.items():
                measured = cost(arguments, environment)
                if round_:  # the first compiles
                    costs[name].append(measured)
        medians = {name: tuple(map(statistics.median, zip(*measured, strict=True))) for name, measured in costs.items()}
        print(f"{'':<26} {'CPU ms':>8} {'wall ms':>8} {'× pass':>8} {'× botocore':>11}   (of CPU; wall in brackets)")
        for name, (cpu, wall) in medians.items():
            over = [f"{cpu / medians[base][0]:.1f} ({wall / medians[base][1]:.1f})" for base in (BARE, FLOOR)]
            print(f"{name:<26} {cpu:8.0f} {wall:8.0f} {over[0]:>11} {over[1]:>11}")
        for name, words in COMMANDS.items():
            print(f"\n{name} loads {', '.join(sorted(modules(words, environment)))}")


if __name__ == "__main__":
    main()
