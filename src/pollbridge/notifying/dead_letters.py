"""A destination's dead letters: looking at them without keeping them, and deleting the right ones."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from pollbridge.history.timeline import Told
from pollbridge.notifying.notice import Notice

GLANCE = 120
"""Seconds for which a dead letter that is looked at stays invisible, at the longest."""

LISTEN = 1
"""Seconds until there is nothing more: asked without waiting, SQS looks at some of its servers only.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html"""

TEN = 10
"""Messages that one call to SQS can be about."""

ROUNDS = 3
"""Times that SQS is asked by `hold_near`."""

HOLD = 30
"""Seconds for which what `hold_near` holds stays invisible where it could be neither deleted nor put back."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    message_id: str
    """The same however often it is received; each failure of an event is a message of its own."""
    receipt: str
    """Of this time that it was received: SQS deletes by it."""
    told: Told | None
    """The event in it, if there is one."""

    def is_about(self, event_id: str) -> bool:
        return self.told is not None and self.told.event_id == event_id


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Whoever sends events again looks before that, and deletes afterwards only what was there then."""

    sqs: Any
    url: str

    def all(self) -> list[DeadLetter]:
        """All of them. They can be received again at once."""
        with self._received() as letters:
            return [*letters.values()]

    def delete(self, message_ids: Collection[str]) -> int:
        """Find these again and delete them. Returns how many were deleted."""
        deleted = 0
        if not message_ids:
            return deleted
        with self._received() as letters:
            for few in _tens(letter for letter in letters.values() if letter.message_id in message_ids):
                entries = [{"Id": str(n), "ReceiptHandle": letter.receipt} for n, letter in enumerate(few)]
                answer = self.sqs.delete_message_batch(QueueUrl=self.url, Entries=entries)
                for one in answer["Successful"]:
                    del letters[few[int(one["Id"])].message_id]
                    deleted += 1
        return deleted

    @contextmanager
    def _received(self) -> Iterator[dict[str, DeadLetter]]:
        """All, by their message id. What is still in the dictionary at the end, however that comes, is put back."""
        letters: dict[str, DeadLetter] = {}
        try:
            while True:
                before = len(letters)
                letters |= {letter.message_id: letter for letter in self._receive(GLANCE, LISTEN)}
                if len(letters) == before:
                    break
            yield letters
        finally:
            for few in _tens(letters.values()):
                entries = [
                    {"Id": str(n), "ReceiptHandle": letter.receipt, "VisibilityTimeout": 0}
                    for n, letter in enumerate(few)
                ]
                self.sqs.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)

    # For whoever is waited for. Each change is a call of its own: AWS allows a batch to whoever may do it singly, the
    # emulator does not.
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html

    def hold_near(self, event_id: str) -> list[str]:
        """The receipts of an event's letters among the few that SQS has at hand.

        They stay invisible until `delete_held` or `put_back`; all others can be received again at once.
        """
        letters, held = list[DeadLetter](), list[str]()
        try:
            for _ in range(ROUNDS):
                letters += self._receive(HOLD, 0)
            held = [letter.receipt for letter in letters if letter.is_about(event_id)]
        finally:
            self.put_back(letter.receipt for letter in letters if letter.receipt not in held)
        return held

    def delete_held(self, receipts: Iterable[str]) -> None:
        for receipt in receipts:
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=receipt)

    def put_back(self, receipts: Iterable[str]) -> None:
        for receipt in receipts:
            self.sqs.change_message_visibility(QueueUrl=self.url, ReceiptHandle=receipt, VisibilityTimeout=0)

    def _receive(self, invisible: int, listen: int) -> list[DeadLetter]:
        answer = self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=TEN, VisibilityTimeout=invisible, WaitTimeSeconds=listen
        )
        return [_letter(message) for message in answer.get("Messages", ())]


def _letter(message: Mapping[str, Any]) -> DeadLetter:
    try:
        notice = Notice.read(message["Body"])
        told = Told(notice.pk, notice.event_id, notice.detail_type, json.dumps(notice.detail, ensure_ascii=False))
    except ValueError:
        told = None
    return DeadLetter(message["MessageId"], message["ReceiptHandle"], told)


T = TypeVar("T")


def _tens(every: Iterable[T]) -> Iterator[list[T]]:
    """In tens. All are read before the first: the caller may change what they are read from."""
    remaining = iter([*every])
    while few := list(itertools.islice(remaining, TEN)):
        yield few
