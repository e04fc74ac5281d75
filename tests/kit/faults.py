"""What goes wrong between us and AWS: a client around a real one that fails when told, and keeps count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from threading import RLock
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

WRITES = ("put_item", "update_item", "transact_write_items")


class Crash(BaseException):
    """The function is gone: no `except Exception` of ours sees it."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it was made; `number` counts all calls of the client from 1."""

    number: int
    operation: str
    arguments: dict[str, Any]

    def touches(self, text: str) -> bool:
        """Whether this name stands anywhere in the call."""
        return text in repr(self.arguments)


@dataclass(frozen=True, slots=True)
class Fault:
    """Raise instead of the call, or after it: then it happened and the answer is lost."""

    error: BaseException
    after: bool = False


@dataclass
class Faulty:
    """A client in front of a client. `plan` says for each call what goes wrong, if anything. One call at a time."""

    client: Any
    plan: Callable[[Call], Fault | None] = lambda _: None
    calls: list[Call] = field(default_factory=list)
    lock: RLock = field(default_factory=RLock)

    def __getattr__(self, operation: str) -> Any:
        return partial(self._call, operation)

    def _call(self, operation: str, **arguments: Any) -> Any:
        with self.lock:
            call = Call(len(self.calls) + 1, operation, arguments)
            self.calls.append(call)
            fault = self.plan(call)
            if fault and not fault.after:
                raise fault.error
            answer = getattr(self.client, operation)(**arguments)
            if fault:
                raise fault.error
            return answer

    @property
    def counts(self) -> Counter[str]:
        return Counter(call.operation for call in self.calls)

    def of(self, operation: str) -> list[dict[str, Any]]:
        return [call.arguments for call in self.calls if call.operation == operation]

    def writes(self, to: str) -> list[Call]:
        """The writes in which that name stands."""
        return [call for call in self.calls if call.operation in WRITES and call.touches(to)]


def throttle(operation: str = "UpdateItem") -> ClientError:
    error = {"Code": "ProvisionedThroughputExceededException", "Message": "The level of throughput was exceeded"}
    return ClientError({"Error": error}, operation)


def conflict() -> ClientError:
    """Another transaction is at work on one of the items."""
    error = {"Code": "TransactionCanceledException", "Message": "Transaction cancelled"}
    reasons = [{"Code": "TransactionConflict"}, {"Code": "None"}]
    return ClientError({"Error": error, "CancellationReasons": reasons}, "TransactWriteItems")


def lost() -> ReadTimeoutError:
    """The answer never came, and the SDK has given up."""
    return ReadTimeoutError(endpoint_url="https://aws.test")
