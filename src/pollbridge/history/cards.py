"""Slack cards: where a job's message stands in a channel, and which version of the job it shows."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from pollbridge.history.entries import expiry
from pollbridge.history.ledger import Claimed
from pollbridge.history.table import Item, LostRace, Table, number, setting
from pollbridge.model.instant import sortable

KEEP = timedelta(days=90)
"""After so long without news a job gets a new card."""


@dataclass(frozen=True, slots=True)
class Card:
    """A message that is updated in place."""

    target: str
    """The channel as the secret named it when the card was posted."""
    channel: str
    """Slack's id of that channel, which an update wants."""
    ts: str
    version: int
    """Of the job, as the card shows it."""


def card_of(item: Item) -> Card | None:
    if "ts" not in item:
        return None
    return Card(item["target"]["S"], item["channel"]["S"], item["ts"]["S"], number(item, "version"))


@dataclass(frozen=True, slots=True)
class Cards:
    """The cards of one destination. Whoever changes one in Slack holds its claim, so it never goes backwards."""

    table: Table
    destination: str
    lease: timedelta

    def claim(self, pk: str, now: datetime) -> tuple[Card | None, str]:
        """Take the card up, posted or not. Returns it, and the token for `release`. Raises Claimed while it is held."""
        token = uuid.uuid4().hex
        mine = {"S": token}
        claim = setting(
            pk,
            self._sk,
            when="attribute_not_exists(claimed_until) OR claimed_until <= :now",
            set_={"claim": mine, "claimed_until": {"S": sortable(now + self.lease)}, "expires_at": expiry(now, KEEP)},
            values={":now": {"S": sortable(now)}},
        )
        try:
            return card_of(self.table.update(claim, ReturnValues="ALL_NEW")), token
        except LostRace as race:
            # The SDK asked twice because the first answer was lost: then the claim that is in the way is this one.
            if race.item and race.item.get("claim") == mine:
                return card_of(race.item), token
            raise Claimed from None

    def keep(self, pk: str, card: Card) -> None:
        """Remember where the card stands and what it shows; the claim is held on."""
        shown = {
            "target": {"S": card.target},
            "channel": {"S": card.channel},
            "ts": {"S": card.ts},
            "version": {"N": str(card.version)},
        }
        self.table.update(setting(pk, self._sk, when="attribute_exists(PK)", set_=shown, values={}))

    def release(self, pk: str, token: str) -> None:
        """Give this claim back. Raises LostRace where it is no longer there, so that another's stays."""
        held = {":held": {"S": token}}
        self.table.update(
            setting(pk, self._sk, when="claim = :held", set_={}, remove=("claim", "claimed_until"), values=held)
        )

    @property
    def _sk(self) -> str:
        return f"CARD#{self.destination}"
