"""What the model of costs takes for given: how we are deployed, what was measured of our code, what AWS does."""

from __future__ import annotations

import math

from pollbridge.model.cadence import RUNGS

HOURS = 730
"""Of a month, as AWS's calculator counts them."""

DAYS = HOURS / 24
TICKS = HOURS * 60
CYCLE = math.lcm(*RUNGS)
"""Minutes after which the calendar repeats itself."""

# As the functions are deployed; tests/infra/test_costs.py holds these to the template.

GIGABYTES = {"poller": 0.5, "publisher": 0.25, "registrar": 0.25, "auditor": 0.25, "notifier": 0.25}
TIMEOUT = 55
"""Seconds after which a sweep is over."""

# What is assumed of the world outside.

CPUS_PER_GB = 1024 / 1769
"""https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html: one CPU at 1,769 MB."""

VENDOR_LATENCY = 0.2
"""Seconds a vendor takes for an answer; receivers are taken to be as fast."""

AWS_LATENCY = 0.005
"""Seconds AWS takes for an answer."""

POLLERS, LONG_POLL = 5, 20
"""Lambda asks each queue with five long polls at once, of 20 s each, whether anything comes or not. It would make do
with two where nothing does, but not beside a maximum concurrency, which ours have:
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html. Some 15 empty receives a minute and queue were
seen by others: https://github.com/getlift/lift/issues/132."""

TRACED_PER_SECOND, TRACED_BEYOND = 1, 0.05
"""Requests per second of which X-Ray keeps a trace, and the share of those beyond."""

POLL_BYTES, POST_BYTES, HANDSHAKE_BYTES = 700, 5_000, 1_500
"""That leave AWS: a request with its headers, an event's POST, and a new TLS connection."""

RUNG = 10
"""Times a month that an alarm begins, and ends."""

# What was measured of our code: bench/simulate.py, bench/http_clients.py and bench/cold_start.py, November 2026.

GET_CPU, CALL_CPU, ROW_CPU = 0.28e-3, 2.8e-3, 0.015e-3
"""CPU seconds, of one whole CPU: a request to a vendor, a call to AWS, a row of the due index."""

LOOK_CPU, CHANGE_CPU, TICK_CPU, HANDSHAKE_CPU = 0.065e-3, 2e-3, 5e-3, 2.5e-3
"""Of our own: a look at a due job, a recorded change, a sweep with nothing to do, a TLS handshake."""

COLD_START = 1.0
"""Seconds until a function that slept has begun."""

AWAKE = 10
"""Minutes after which an idle function has to begin anew."""

ROW_BYTES = 180
"""Of a job in the due index."""

PAGE = 100
"""Entries of a page of a vendor's list."""

UNIT_READ = 4096
"""Bytes: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html"""

CHANGE_WRITES, CHANGE_READS = 16.3, 1.0
"""Units of a recorded change with what follows it: raw answer, head, entry, indexes, moves, the mark, registrations."""

DELIVERY_WRITES = {"slack": 5.0, "webhook": 2.0}
DELIVERY_READS = {"slack": 4.5, "webhook": 3.0}
"""Units of a delivery; Slack's are the dearer of a webhook's and a bot's."""

DELIVERY_SECRETS = {"slack": 2, "webhook": 1}
"""How often a delivery reads its secret."""

JOBS_PER_CHANGE = 0.25
"""New jobs for each change, each registered by an event."""

LOG_BYTES = {"poller": 1_300, "publisher": 1_000, "registrar": 800, "auditor": 1_000, "notifier": 1_000}
"""Of an invocation's lines, Lambda's own included."""

CHANGE_LOG_BYTES = 600
"""Of the lines that tell of a change on its way."""

HEAD_KB, HEAD_INDEXED_KB = 0.7, 0.9
ENTRY_KB, ENTRY_INDEXED_KB = 1.2, 1.2
RAW_KB, DELIVERY_KB = 0.6, 0.5
"""Kept in the table, and beside it in indexes; DynamoDB counts 100 bytes more for each item."""

DELIVERIES_KEPT = 60
"""Days."""

STEADY = {1: 0.01, 2: 0.02, 5: 0.04, 15: 0.93}
"""Share of the followed jobs that are looked at so many minutes apart, where jobs are followed for a day past their
end: the simulation's."""

STEADY_CHANGES = 2.06
"""Changes a day of each followed job, there."""
