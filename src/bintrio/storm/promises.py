"""What a client promises beside its calls, in a world: limits, holds, pings, gaps, secrets, and what is left over.

As in `truth`, each function says what it found in sentences, none if all was as it should be.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from .._client.carrier import ALREADY_SUBSCRIBED
from .._client.feeds import OUTAGE
from .._protocol.clock import DOUBT
from .._protocol.succession import Gap
from ..api._base import catalogue
from ..api.user_data import UserDataStreamUnsubscribe
from ..observing import (
    CallEnded,
    ClockMeasured,
    EventsMissed,
    MessageSent,
    PingAnswered,
    SessionStarted,
    Subscribed,
    Unsubscribed,
)
from ..sandbox import Link, Way
from ..sandbox.server.calls import Call
from ..sandbox.server.faults import MutePings
from ..sandbox.weather import Fail, Jump, Relink
from .conduct import has_clock_doubted
from .evidence import Evidence
from .plan import Plan
from .program import Deed, is_unknown

# Limits


def of_limits(evidence: Evidence) -> Iterator[str]:
    """The exchange has not had to say that a limit is exceeded, unless it was made to."""
    # A clock that jumps moves the windows under the client.
    if has_jumped(evidence.plan):
        return
    for call in evidence.witness.calls:
        # A fault may say 429 without any limit exceeded.
        if call.fault is None and call.answer is not None and call.answer.status == 429:
            yield f"the exchange had to refuse {call.incoming.method} at {call.time}: {call.answer.error} (G8)"
    for attempt in evidence.witness.attempts:
        if attempt.fault is None and attempt.status == 429:
            yield f"the exchange had to refuse a handshake at {attempt.time} (G8)"


def has_jumped(plan: Plan) -> bool:
    """Whether the exchange's clock is adjusted in a world."""
    return any(isinstance(step.act, Jump) for step in plan.steps)


class _Held(NamedTuple):
    """A time in milliseconds in which nothing may come, or no order."""

    begin: int
    end: int
    orders_only: bool = False


def of_holds(evidence: Evidence) -> Iterator[str]:
    """Nothing left after the client had been told to wait: no message, and no handshake."""
    holds = [*_holds(evidence)]
    for what, time, has_orders in _came(evidence) if holds else ():
        if any(hold.begin < time < hold.end and (has_orders or not hold.orders_only) for hold in holds):
            yield f"{what} came to the exchange at {time} during a hold (G8)"


def _holds(evidence: Evidence) -> Iterator[_Held]:
    if any(isinstance(step.act, Jump) and step.act.seconds < 0 for step in evidence.plan.steps):
        return  # a hold ends by local time, so by a clock that was set back it seems to end too soon
    # What had left before may arrive a little later.
    under_way = max(_latencies(evidence.plan))
    for now, text in evidence.refusals:
        yield from _said_to_wait(now + under_way, text)
    # What refused a handshake is no message; and what the client made of a refusal is to hold, too.
    for now, fact in evidence.holds:
        yield _Held(now + under_way + 1, now + int(fact.seconds * 1000) - 1, fact.scope == "orders")


def _came(evidence: Evidence) -> Iterator[tuple[str, int, bool]]:
    """What came to the exchange, when, in milliseconds, and whether it costs orders."""
    for attempt in evidence.witness.attempts:
        yield "a handshake", attempt.time // 1000, False
    for call in evidence.witness.calls:
        request = catalogue.get(call.incoming.method)
        yield call.incoming.method, call.time // 1000, request is not None and request.api.orders > 0


def _said_to_wait(now: int, text: str) -> Iterator[_Held]:
    answer = json.loads(text)
    error = answer.get("error", {})
    until = error.get("data", {}).get("retryAfter")
    # -1015 holds back only what costs orders.
    if answer.get("status") in {418, 429} and until is not None and error.get("code") != _TOO_MANY_ORDERS:
        # One millisecond less at each end, since both are rounded.
        yield _Held(now + 1, (until // 1000 if until > _MICROSECONDS else until) - 1)


def _latencies(plan: Plan) -> Iterator[int]:
    """Milliseconds that the ways to the exchange take, at most."""
    return (_latency(link.up) for link in _links(plan))


def _links(plan: Plan) -> Sequence[Link]:
    return (plan.terms.link, *(step.act.link for step in plan.steps if isinstance(step.act, Relink)))


def _latency(way: Way) -> int:
    # On a narrow way, messages wait for those before them.
    return math.ceil((way.latency + way.jitter) * 1000) + (0 if way.bandwidth is None else 1_000)


_TOO_MANY_ORDERS: Final = -1015
_MICROSECONDS: Final = 10**14


# Connections

LATE: Final = 0.01
"""Seconds that a pong may take: it is written before anything else is done."""


def of_pings(evidence: Evidence) -> Iterator[str]:
    """Every ping was answered, and at once."""
    # Where the way to the exchange falls silent, pongs are lost with all else, and what is written waits.
    if any(isinstance(step.act, Relink) and step.act.link.up.silent_at is not None for step in evidence.plan.steps):
        return
    yield from (f"a connection was lost: {loss} (G3)" for loss in evidence.losses if "pong timeout" in loss)
    for fact in evidence.told(PingAnswered):
        if fact.seconds > LATE:
            yield f"a ping on connection {fact.connection} was answered after {fact.seconds:g} s (G3)"


def of_calm(evidence: Evidence) -> Iterator[str]:
    """Where nothing goes wrong, nothing is lost and nothing is unknown."""
    if not evidence.plan.is_calm:
        return
    yield from (f"a connection was lost although nothing went wrong: {loss} (G5)" for loss in evidence.losses)
    hurried = [*_hurried(evidence)]
    for deed in evidence.program.deeds.values():
        if is_unknown(deed.error) and deed not in hurried and not deed.error.reason.endswith(_CLOSED):
            yield f"{deed} came to {deed.error!r} although nothing went wrong (G5)"
    for heard in evidence.program.heard:
        yield from (f"{event!r} although nothing went wrong (G5)" for event in heard.events if isinstance(event, Gap))


def _hurried(evidence: Evidence) -> Iterator[Deed]:
    """The calls for which a link may have taken longer than they had."""
    longest = max(_latency(link.up) + _latency(link.down) for link in _links(evidence.plan)) / 1000
    left = {(fact.method, fact.started_at): fact.queued_at for fact in evidence.told(CallEnded)}
    for deed in evidence.program.deeds.values():
        left_at = left.get((deed.request.api.name, deed.began))
        if deed.act.within is not None or _is_late(deed, left_at or deed.began, longest):
            yield deed


def _is_late(deed: Deed, left_at: float, longest: float) -> bool:
    """Whether a call had to wait for room, and then had less time left than the way there and back takes.

    If that was so by all the round trips that the session knew, `conduct` says so. But a link may have become slower
    since the last one, which nobody can know before the next answer.
    """
    return left_at > deed.began and deed.began + deed.timeout < left_at + longest


# By the program itself, while the call was in flight.
_CLOSED: Final = "the session was closed"


# Gaps

# The session, the connection, and the exchange's number.
_Subscription: TypeAlias = tuple[str, int, int]

LOSS: Final = 150.0
"""Seconds before a loss of which it is not known whether all has come: a connection may have been silent from one ping
to the next and a minute more until that was noticed, and owe what happened a minute before."""

ROUGH: Final = 0.5
"""Seconds by which a gap may be wider than what is missing, besides what the exchange's time may be wrong by."""

INSTANT: Final = 0.01
"""Seconds of a gap that is told where, by trio's clock, one connection left as the next one came. Dates are rounded."""


class _Cover(NamedTuple):
    """A time, by trio's clock, of which a subscription brought everything."""

    begin: float
    end: float


def of_gaps(evidence: Evidence) -> Iterator[str]:
    """There is a gap only where something may be missing, and it is no wider than that."""
    # However the exchange's clock was adjusted, this side knows what came first.
    for gap in evidence.told(EventsMissed):
        if gap.end < gap.begin:
            yield f"{gap!r}: it ends before it begins (G5)"
    # The dates of a gap are the exchange's.
    if has_jumped(evidence.plan):
        return
    covers, sessions = _covers(evidence), dict[str, _Listening]()
    for fact in evidence.facts:
        if isinstance(fact, SessionStarted):
            sessions[fact.session] = _Listening(fact.at)
        elif isinstance(fact, ClockMeasured):
            sessions[fact.session].note_measurement(fact)
        elif isinstance(fact, CallEnded) and has_clock_doubted(fact):
            sessions[fact.session].refused_at = fact.at
        elif isinstance(fact, EventsMissed):
            yield from _of_missed(fact, evidence, covers[fact.account], sessions[fact.session])


class _Listening:
    """What a session knows of the exchange's time.

    Attributes:
        since: when it began, by trio's clock.
        refused_at: when the exchange refused a timestamp of it, while the time was not measured since; else infinite.
    """

    def __init__(self, since: float) -> None:
        self.since: Final = since
        self.refused_at = math.inf
        self._round_trips: list[float] = []

    def note_measurement(self, fact: ClockMeasured) -> None:
        """The time was measured."""
        self._round_trips.append(fact.round_trip)
        # One that was under way, and was here in that moment, is taken in before what was known is forgotten.
        if fact.at > self.refused_at or not fact.round_trip:
            self.refused_at = math.inf

    @property
    def error(self) -> float:
        """Seconds by which dates may be wrong: the quickest question tells the time, the slowest may hide a step."""
        known = min(self._round_trips, default=0.0) + max(self._round_trips, default=0.0)
        # A timestamp was refused, so the exchange's clock shows another time than all that was measured. What it shows
        # nobody can know before the next answer, and a gap is told at once.
        return known if self.refused_at == math.inf else known + DOUBT / 1e6


def _of_missed(gap: EventsMissed, evidence: Evidence, covers: Sequence[_Cover], listening: _Listening) -> Iterator[str]:
    unit = 1_000 if evidence.plan.terms.time_unit == "us" else 1
    begin, end = ((date / unit - evidence.began) / 1000 for date in (gap.begin, gap.end))
    # Whatever came after the gap was told, was not known then.
    known = sorted(cover for cover in covers if cover.begin <= gap.at)
    # Nobody listened before the session began, so nobody missed anything.
    heard = [_Cover(-math.inf, listening.since), *known]
    yield from (f"{gap!r}: {said} (G5)" for said in _of_gap(begin, end, heard, ROUGH + listening.error))


def _of_gap(begin: float, end: float, covers: Sequence[_Cover], rough: float) -> Iterator[str]:
    missing = [*_holes(begin, end, covers)]
    if not missing and end - begin > INSTANT:
        yield "all of that was brought"
    if missing and (missing[0][0] - begin > rough or end - missing[-1][1] > rough):
        yield f"only what happened from {missing[0][0]:.3f} s to {missing[-1][1]:.3f} s may be missing"


def _holes(begin: float, end: float, covers: Iterable[_Cover]) -> Iterator[tuple[float, float]]:
    """The parts of a time that nothing covers."""
    covered = begin
    for cover in covers:
        if covered < min(cover.begin, end):
            yield covered, min(cover.begin, end)
        covered = max(covered, cover.end)
    if covered < end:
        yield covered, end


def _covers(evidence: Evidence) -> defaultdict[str, list[_Cover]]:
    """By account, the times of which a subscription brought everything, as far as the client can know."""
    covers = defaultdict[str, list[_Cover]](list)
    open_since, asked = dict[_Subscription, Subscribed](), dict[_Subscription, float]()
    for fact in evidence.facts:
        if isinstance(fact, MessageSent) and UserDataStreamUnsubscribe.api.name in fact.text:
            number = json.loads(fact.text)["params"]["subscriptionId"]
            # The first time counts: from then on the exchange may bring nothing.
            asked.setdefault((fact.session, fact.connection, number), fact.at)
        elif isinstance(fact, Subscribed):
            subscription = fact.session, fact.connection, fact.subscription
            open_since[subscription] = fact
            # The exchange may give a number again.
            asked.pop(subscription, None)
        elif isinstance(fact, Unsubscribed):
            subscription = fact.session, fact.connection, fact.subscription
            begin = open_since.pop(subscription).at
            # One that was lost had brought all up to some time before; one that left in order, up to the question.
            end = asked[subscription] if fact.cause is None else max(begin, fact.at - LOSS)
            covers[fact.account].append(_Cover(begin, end))
    for fact in open_since.values():
        covers[fact.account].append(_Cover(fact.at, math.inf))
    return covers


def of_certainty(evidence: Evidence) -> Iterator[str]:
    """No account says that it is current while nothing brings its events, but for as long as a loss may be over."""
    carried = [*_subscriptions(evidence)]
    for look in (look for book in evidence.program.books.books for look in book.looks if look.as_of is None):
        until = max((cover.end for cover in carried if cover.begin <= look.time), default=-math.inf)
        if until + OUTAGE + INSTANT < look.time:
            yield f"an account was current at {look.time:g}, and nothing has brought its events since {until:g} (G5)"


def _subscriptions(evidence: Evidence) -> Iterator[_Cover]:
    """From when until when there was each."""
    since = dict[_Subscription, float]()
    for fact in evidence.facts:
        if isinstance(fact, Subscribed):
            since[fact.session, fact.connection, fact.subscription] = fact.at
        elif isinstance(fact, Unsubscribed):
            yield _Cover(since.pop((fact.session, fact.connection, fact.subscription)), fact.at)
    yield from (_Cover(begin, math.inf) for begin in since.values())


def of_listeners(evidence: Evidence) -> Iterator[str]:
    """Nobody who listens is told that the exchange brings the events already: a session finds a way out of that."""
    # A fault may say so of a connection on which it is not so.
    if any(call.fault is not None and _code_of(call) == ALREADY_SUBSCRIBED for call in evidence.witness.calls):
        return
    for error in evidence.program.refused:
        if error.code == ALREADY_SUBSCRIBED:
            yield f"somebody who listens was told {error!r} (G5)"


def _code_of(call: Call) -> object:
    return None if call.answer is None or call.answer.error is None else call.answer.error.get("code")


# Secrets

# What may be a signature: the shortest one is longer than that, and hardly anything else in quotation marks is.
_MAY_BE_SIGNATURE: Final = re.compile(r'[^"]{40,}')


def of_secrets(evidence: Evidence) -> Iterator[str]:
    """Nothing that the client said has a key in it, or a signature."""
    said = evidence.said
    yield from (f"the {name} was shown (G9)" for name, secret in evidence.secrets.items() if secret in said)
    # There are as many signatures as calls, and hardly anything else is as long as they are.
    long = "\n".join(_MAY_BE_SIGNATURE.findall(said))
    for call in evidence.witness.calls:
        signature = call.incoming.params.get("signature")
        if signature is not None and str(signature)[:40] in long:
            yield f"the signature of {call.incoming.method} at {call.time} was shown (G9)"


# What is left over


def of_remains(evidence: Evidence) -> Iterator[str]:
    """Nothing is left over when all has come to rest, and no more is counted than the exchange counts."""
    remains, program = evidence.remains, evidence.program
    yield from (f"{count} {what} were left over (G6)" for what, count in _left_over(evidence) if count)
    undecided = {confirmed.number for confirmed in program.confirmed if confirmed.error is not None}
    for number in set(remains.unresolved) - undecided:
        yield f"{program.deeds.get(number)} was kept although it is known what became of it (G1)"
    for limit, (ours, theirs) in remains.used.items():
        # The exchange counts an order no more once it has filled; the client learns that with the next order's answer.
        if ours < theirs or (ours > theirs and not limit.startswith("ORDERS")):
            yield f"{ours} of {limit} were used up by the client's count, and {theirs} by the exchange's (G8)"


def _left_over(evidence: Evidence) -> Iterator[tuple[str, int]]:
    remains = evidence.remains
    yield "calls in flight", remains.in_flight
    yield "bytes that wait to be written", remains.backlog
    yield "tasks", remains.tasks
    # On a way that fell silent, only pings tell the exchange that a client has gone.
    if not _is_mute(evidence.plan):
        yield "connections", remains.connections


def _is_mute(plan: Plan) -> bool:
    """Whether the exchange may not ping, on some connection."""
    return any(isinstance(step.act, Fail) and isinstance(step.act.fault, MutePings) for step in plan.steps)


ALL: Final[Sequence[Callable[[Evidence], Iterator[str]]]] = (
    *(of_limits, of_holds, of_pings, of_calm, of_gaps, of_certainty, of_listeners, of_secrets, of_remains),
)
