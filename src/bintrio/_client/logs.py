"""The logs: which facts make a line, where, at what level and in what words.

    bintrio.connection   connections that come, go, are replaced or cannot be had
    bintrio.limits       what holds the session back, and limits that are not known
    bintrio.calls        calls of unknown outcome, and what came in that belongs to none
    bintrio.events       user data: subscriptions, interruptions, gaps, subscribers that are too slow
    bintrio.account      accounts that are followed, and what the exchange does not tell of them
    bintrio.clock        measurements of the exchange's clock
    bintrio.observer     an observer that fails

WARNING is for what costs something or asks to be looked at, INFO for what goes as it should and happens a few times a
day, DEBUG for the rest. A record has the session's name and the fields of its fact as attributes (``extra``).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import cache
from logging import DEBUG, INFO, WARNING
from typing import Any, Final, NamedTuple

import msgspec

from .._protocol import facts
from .._protocol.facts import Fact
from .._protocol.facts_of_accounts import (
    AccountNotCurrent,
    BalancesNotCertain,
    FillsNotTold,
    OrderDenied,
    OrderUnclear,
    OutcomeNotFound,
)
from .._protocol.facts_of_calls import OutcomeKept, QuestionPassedOver


def _is_notable(fact: facts.MessageDropped | facts.AnswerDropped | facts.EventUnclaimed) -> bool:
    """The first few, and then each tenth, hundredth, and so on: a broken exchange may send nothing else."""
    return fact.number < 10 or math.log10(fact.number).is_integer()


def _always(_fact: Any) -> bool:
    return True


@cache
def _logger_of(area: str) -> logging.Logger:
    # To look for it takes a lock, each time.
    return logging.getLogger(f"bintrio.{area}")


class Line(NamedTuple):
    """How one kind of fact is logged: with that logger of ours and level, in words made of its fields."""

    area: str
    level: int
    words: str
    is_wanted: Callable[[Any], bool] = _always

    @property
    def logger(self) -> logging.Logger:
        """Where it goes."""
        return _logger_of(self.area)

    @property
    def is_heard(self) -> bool:
        """Whether anybody reads that."""
        return self.logger.isEnabledFor(self.level)

    def write(self, fact: Fact) -> None:
        """Log a fact. Its fields are attributes of the record, its kind is ``fact``."""
        # Asked before the words are made, which costs more than most facts.
        if self.is_heard and self.is_wanted(fact):
            words = f"{fact.session}: {self.words.format(fact)}"
            self.logger.log(self.level, words, extra={"fact": type(fact).__name__, **msgspec.structs.asdict(fact)})


LINES: Final[dict[object, Line]] = {
    facts.SessionStarted: Line("connection", INFO, "the session to {0.endpoint} begins"),
    facts.SessionEnded: Line("connection", INFO, "the session is over"),
    facts.ConnectionOpening: Line("connection", DEBUG, "connection {0.connection} to {0.address} is being opened"),
    facts.ConnectionReady: Line("connection", INFO, "connection {0.connection} is ready, after {0.seconds:.3f} s"),
    facts.ConnectionNotReady: Line(
        "connection", INFO, "connection {0.connection} did not become ready, in {0.seconds:.3f} s: {0.cause}"
    ),
    facts.ConnectionDue: Line("connection", WARNING, "connection {0.connection} is to be replaced: {0.cause}"),
    facts.ConnectionLost: Line("connection", WARNING, "connection {0.connection} was lost: {0.cause}"),
    facts.ConnectionRetired: Line("connection", INFO, "connection {0.connection} has ended: {0.cause}"),
    facts.Swapped: Line("connection", INFO, "connection {0.connection} is in use ({0.cause}), after {0.seconds:.3f} s"),
    facts.NoConnection: Line("connection", WARNING, "no other connection yet: {0.cause}"),
    facts.PingAnswered: Line("connection", DEBUG, "connection {0.connection}: a ping was answered"),
    OutcomeKept: Line("calls", WARNING, "{0.cause}; session.unresolved has it"),
    QuestionPassedOver: Line("calls", WARNING, "what became of a call is told without {0.method}: {0.cause}"),
    facts.AnswerDropped: Line(
        "calls",
        DEBUG,
        "connection {0.connection}: nobody waits for answer {0.id!r}, which is {0.cause}, number {0.number}",
        _is_notable,
    ),
    facts.MessageDropped: Line(
        "calls",
        WARNING,
        "connection {0.connection}: a message was dropped, number {0.number}: {0.cause}",
        _is_notable,
    ),
    facts.EventUnclaimed: Line(
        "events",
        DEBUG,
        "connection {0.connection}: nobody listens to subscription {0.subscription}, {0.event}, number {0.number}",
        _is_notable,
    ),
    facts.Subscribed: Line("events", INFO, "connection {0.connection} brings the events of {0.account}"),
    facts.Unsubscribed: Line("events", INFO, "connection {0.connection} brings the events of {0.account} no more"),
    facts.NotSubscribed: Line("events", WARNING, "the events of {0.account} cannot be had: {0.cause}"),
    facts.EventsInterrupted: Line("events", WARNING, "nothing brings the events of {0.account}: {0.cause}"),
    facts.EventsMissed: Line(
        "events", WARNING, "events of {0.account} may be missing, from {0.begin} to {0.end}: {0.cause}"
    ),
    facts.SubscriberOverflowed: Line(
        "events", WARNING, "a subscriber to {0.account} is cut off: more than {0.buffer} events waited"
    ),
    AccountNotCurrent: Line(
        "account", WARNING, "{0.account} stands as of {0.as_of}: {0.cause}; asking again in {0.seconds:.4g} s"
    ),
    BalancesNotCertain: Line(
        "account",
        WARNING,
        "{0.account}: the balances of {0.assets} are not certain: {0.cause}; asking again in {0.seconds:.4g} s",
    ),
    OrderDenied: Line("account", WARNING, "{0.account}: the exchange shows no {0.name} any more: {0.cause}"),
    OrderUnclear: Line(
        "account", WARNING, "{0.account}: how order {0.order_id} of {0.symbol} stands is not told: {0.cause}"
    ),
    FillsNotTold: Line(
        "account",
        WARNING,
        "{0.account}: the exchange does not tell the fills of order {0.order_id} of {0.symbol}: {0.cause}{0.again}",
    ),
    OutcomeNotFound: Line(
        "account",
        WARNING,
        "{0.account}: what became of a call, {0.method}: {0.cause}; asking again in {0.seconds:.4g} s",
    ),
    facts.HoldBegan: Line(
        "limits",
        WARNING,
        "{0.source}: {0.status} {0.code} {0.reason:.200}: {0.scope} is held back for {0.seconds:.3f} s",
    ),
    facts.HoldDoubted: Line("limits", WARNING, "connection {0.connection}: {0.cause}"),
    facts.LimitsUnknown: Line("limits", WARNING, "the limits are not known, and are learned from answers: {0.cause}"),
    facts.ClockMeasured: Line(
        "clock", DEBUG, "the clock is {0.offset:+.6f} s ahead of ours, round trip {0.round_trip:.6f} s"
    ),
    facts.ClockDoubted: Line("clock", WARNING, "connection {0.connection}: {0.cause}"),
}
"""What is logged. Each call is not: an observer is told."""
