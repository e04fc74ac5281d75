"""Slack, through an incoming webhook or a bot.

An incoming webhook gets a post for each event: it can neither be changed nor answered. A bot keeps one card per job,
which it updates in place, and adds a reply below it for every change.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from pollbridge.history.cards import Card, Cards
from pollbridge.history.ledger import Claimed
from pollbridge.history.table import LostRace
from pollbridge.notifying.http import Poster
from pollbridge.notifying.notice import DeliveryError, Notice, NotYet, Receipt
from pollbridge.notifying.slack.api import JSON, NO_PREVIEWS, Api, Posted
from pollbridge.notifying.slack.bursts import Bursts
from pollbridge.notifying.slack.errors import NoCard, of_webhook
from pollbridge.notifying.slack.message import card, listing, message, reply
from pollbridge.secrets import SlackSecret, UnusableSecret

CARD_IS_TAKEN = timedelta(seconds=3)
"""Until another invocation is done with a job's card."""


@dataclass(frozen=True, slots=True)
class SlackNotifier:
    """Speaks to one channel. `secret` is read afresh at every attempt."""

    poster: Poster
    secret: Callable[[], SlackSecret]
    cards: Cards
    bursts: Bursts
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    receiver_deduplicates: bool = False

    def gather(self, notice: Notice, age: timedelta, tries: int) -> Sequence[Notice]:
        """With an incoming webhook, all that a sweep with much news found; a card has room for each job's own."""
        with suppress(UnusableSecret):
            if self.secret().webhook_url:
                return self.bursts.around(notice, age, tries)
        return [notice]

    def deliver(self, notices: Sequence[Notice]) -> Receipt:
        try:
            secret = self.secret()
        except UnusableSecret as error:
            raise DeliveryError(str(error)) from None
        if secret.webhook_url:
            return self._post(secret.webhook_url, notices)
        [notice] = notices
        api = Api(self.poster, secret)
        if notice.about == "job":
            self._show(api, notice)
        else:
            api.post(message(notice))
        return Receipt(200)

    def _post(self, url: str, notices: Sequence[Notice]) -> Receipt:
        told = message(notices[0]) if len(notices) == 1 else listing(notices)
        body = json.dumps({**told, **NO_PREVIEWS}, ensure_ascii=False).encode()
        answer = self.poster.post(url, body, {"Content-Type": JSON})
        if answer.status != 200:
            raise of_webhook(answer)
        return Receipt(answer.status)

    def _show(self, api: Api, notice: Notice) -> None:
        """Bring the job's card up to date, and add the change to its thread."""
        try:
            standing, claim = self.cards.claim(notice.pk, self.now())
        except Claimed:
            raise NotYet(CARD_IS_TAKEN) from None
        try:
            shown = self._card(api, notice, standing)
            self._reply(api, notice, shown)
        finally:
            # What is told is told: a claim that can't be given back runs out by itself.
            with suppress(BotoCoreError, ClientError, LostRace):
                self.cards.release(notice.pk, claim)

    def _card(self, api: Api, notice: Notice, standing: Card | None) -> Card:
        """The card as it stands now: an older version than it shows changes nothing.

        The version that it shows is written once more: below a card that somebody deleted nobody would see the reply.
        """
        if standing and standing.target == api.secret.channel:
            if notice.version < standing.version:
                return standing
            with suppress(NoCard):
                api.update(Posted(standing.channel, standing.ts), card(notice))
                return self._kept(notice, replace(standing, version=notice.version))
        return self._new_card(api, notice)

    def _reply(self, api: Api, notice: Notice, shown: Card) -> None:
        try:
            api.post(reply(notice), thread=Posted(shown.channel, shown.ts))
        except NoCard:
            # The thread is closed: what is new stands on a card of its own, and what is old is news to nobody.
            if notice.version >= shown.version:
                self._new_card(api, notice)

    def _new_card(self, api: Api, notice: Notice) -> Card:
        posted = api.post(card(notice))
        assert api.secret.channel, "a bot's secret names its channel"
        return self._kept(notice, Card(api.secret.channel, posted.channel, posted.ts, notice.version))

    def _kept(self, notice: Notice, card: Card) -> Card:
        self.cards.keep(notice.pk, card)
        return card
