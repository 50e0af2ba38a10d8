"""OpenTelemetry: an observer that makes spans and metrics of what a session tells. Needs ``bintrio[otel]``.

    telemetry = OpenTelemetry()
    async with bintrio.open_session(bintrio.TESTNET, name="bot-1", observer=telemetry) as session:
        ...

Calls go by the semantic conventions for RPC, version 1.44: a client span, named by its method, and
``rpc.client.call.duration``. What they have no word for begins with ``bintrio.``. The page
``docs/how-to/opentelemetry.md`` lists everything.

One observer does for all sessions of a program, each with a name of its own. It is told at once and does not block, so
it needs no `observing.buffered`, which would take its spans from their parents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from time import time_ns
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from opentelemetry.context import Context, get_current
from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, MeterProvider, Observation, get_meter
from opentelemetry.trace import (
    NoOpTracer,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    TracerProvider,
    get_current_span,
    get_tracer,
)

from . import observing as facts
from ._client.observation import Outline
from ._client.subscriptions import Subscriber
from ._text import shown
from ._version import __version__
from .api._base import catalogue
from .api._values import RateLimit
from .errors import InvalidRequest
from .observing import Fact

__all__ = ["OpenTelemetry", "every_call", "worth_a_span"]

SYSTEM: Final = "binance"
"""``rpc.system.name``: its protocol is its own, and looks like JSON-RPC from afar only."""

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Boundaries of the buckets, as the conventions have them for calls."""

SLOW: Final = 1.0
"""Seconds from which a call is slow, and so has a span in any case."""

_SCHEMA: Final = "https://opentelemetry.io/schemas/1.44.0"

# Sets of attributes that are kept: there are fewer, unless the exchange makes up codes.
_MOST: Final = 10_000

Attributes = dict[str, Any]


def worth_a_span(call: facts.CallEnded) -> bool:
    """Whether a call is part of a trace of its caller's that is recorded, or failed, or took a second or longer."""
    if call.error is not None or call.at - call.started_at >= SLOW:
        return True
    # The session's own tasks began within whatever span it was opened in.
    if call.is_own:
        return False
    # Where there is no context at all, the SDK need not look for a span.
    context = get_current()
    return bool(context) and get_current_span(context).is_recording()


def every_call(call: facts.CallEnded) -> bool:
    """Every call has a span. One that is part of no trace is then a trace of its own."""
    return True


class OpenTelemetry:
    """An observer for `open_session`.

    Args:
        tracer_provider: makes spans; None for the program's.
        meter_provider: makes metrics; None for the program's.
        span_for: says of which calls to make spans: it is asked when a call is over, and knows how that went. By
            default `worth_a_span`; `every_call` for all. Metrics have every call in any case.

    Raises:
        InvalidRequest: span_for is no function.

    Attributes:
        fact_kinds: the facts that it makes something of.
        take_outline: what a session gives only what is needed here of a call, instead of `CallEnded`; None for nothing.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        span_for: Callable[[facts.CallEnded], bool] = worth_a_span,
    ) -> None:
        if not callable(span_for):
            raise InvalidRequest(f"span_for must be a function, not {shown(span_for)}", field="span_for")
        tracer = get_tracer("bintrio", __version__, tracer_provider, _SCHEMA)
        meter = get_meter("bintrio", __version__, meter_provider, _SCHEMA)
        # Weakly: to be watched must not keep a subscriber, and its buffer, alive.
        self._subscribers: WeakKeyDictionary[Subscriber, str] = WeakKeyDictionary()
        limits = _Limits(meter)
        parts = (_Calls(tracer, meter, limits, span_for), _Connections(tracer, meter), limits, _Counts(meter))
        self._seen = {kind: see for part in parts for kind, see in part.seen.items()}
        self.fact_kinds: Final[Set[type[Fact]]] = self._seen.keys()
        # A function or a class of the user's is to see all that is known of a call.
        is_ours = span_for in (worth_a_span, every_call) and type(self).__call__ is OpenTelemetry.__call__
        self.take_outline: Final = parts[0].outline if is_ours else None
        meter.create_observable_gauge(
            "bintrio.subscriber.buffer.used",
            [lambda _: self._fill(lambda events: events.waiting)],
            "{event}",
            "Events that wait for a subscriber.",
        )
        meter.create_observable_gauge(
            "bintrio.subscriber.buffer.limit",
            [lambda _: self._fill(lambda events: events.buffer)],
            "{event}",
            "Events that may wait for a subscriber before it is cut off.",
        )

    def __call__(self, fact: Fact) -> None:
        """Make of a fact what there is to make of it."""
        # Another observer may pass on facts that nothing is made of.
        if (kind := type(fact)) in self._seen:
            self._seen[kind](fact)

    def watch(self, events: Subscriber, name: str) -> None:
        """Show how full the buffer of a subscriber is, as ``bintrio.subscriber.buffer.used``, as long as it is there.

        Args:
            events: what `Session.user_data` gave.
            name: what it is called, as ``bintrio.subscriber``.
        """
        self._subscribers[events] = name

    def _fill(self, of: Callable[[Subscriber], int]) -> Iterable[Observation]:
        return [Observation(of(events), {"bintrio.subscriber": name}) for events, name in self._subscribers.items()]


class _Calls:
    """Spans of calls, and how long calls take and wait.

    A span is made when its call is over, with the time at which that began: nothing is made twice, a sampler knows how
    the call went, and its parent is the same, since that is found by the caller's task.
    """

    def __init__(
        self, tracer: Tracer, meter: Meter, limits: _Limits, span_for: Callable[[facts.CallEnded], bool]
    ) -> None:
        self.seen: Mapping[type[Fact], Callable[[Any], object]] = {
            facts.CallEnded: self._end,
            facts.CallWaited: self._wait,
        }
        self._limits = limits
        # A program with metrics alone pays nothing for spans.
        self._tracer = None if isinstance(tracer, NoOpTracer) else tracer
        self._span_for = span_for
        self._outcomes: dict[tuple[Any, ...], Attributes] = {}
        self._duration = _seconds(meter, "rpc.client.call.duration", "How long calls take.")
        self._waited = _seconds(meter, "bintrio.call.wait.duration", "How long calls wait before they are sent.")

    def outline(self, call: Outline) -> None:
        """A call is over; how most end is found here in fewer steps."""
        envelope, teller, fact = call.envelope, call.teller, cast(facts.CallEnded, call)
        if call.error is not None or envelope is None or teller is None:
            self._end(fact)
            return
        if envelope.rate_limits:
            self._limits.latest[call.observation.name] = envelope.rate_limits
        self._record(fact, (call.method, teller.here["address"], envelope.status))

    def _end(self, fact: facts.CallEnded) -> None:
        if fact.limits:  # answers may come without counts; the last known ones stay
            self._limits.latest[fact.session] = fact.limits
        self._record(fact, (fact.method, fact.address, fact.status, fact.code, fact.error))

    def _record(self, fact: facts.CallEnded, alike: tuple[Any, ...]) -> None:
        outcome = self._outcomes.get(alike)
        # Built once for calls that went alike.
        if outcome is None:
            outcome = self._keep(alike, _outcome(fact))
        self._duration.record(fact.at - fact.started_at, outcome)
        # Before the SDK is asked: one that samples has done half of its work by then.
        if self._tracer is not None and self._span_for(fact):
            _make_span(self._tracer, fact, outcome)

    def _keep(self, alike: tuple[Any, ...], outcome: Attributes) -> Attributes:
        # Begun anew: an exchange that makes up codes must not fill the memory.
        if len(self._outcomes) >= _MOST:
            self._outcomes.clear()
        self._outcomes[alike] = outcome
        return outcome

    def _wait(self, fact: facts.CallWaited) -> None:
        self._waited.record(fact.seconds, {"bintrio.awaited": fact.awaited, "bintrio.session": fact.session})


class _Connections:
    """A span for each connection, from its opening to its end; how many there are, and what becomes of them."""

    def __init__(self, tracer: Tracer, meter: Meter) -> None:
        self.seen: Mapping[type[Fact], Callable[[Any], object]] = {
            facts.ConnectionOpening: self._open,
            facts.ConnectionReady: self._ready,
            facts.ConnectionNotReady: self._fail,
            facts.ConnectionLost: self._lose,
            facts.ConnectionRetired: self._retire,
            facts.ConnectionDue: self._note,
            facts.Swapped: self._swap,
        }
        self._tracer = tracer
        self._spans: dict[tuple[str, int], Span] = {}
        said = "Connections that are ready."
        self._count = meter.create_up_down_counter("bintrio.connection.count", "{connection}", said)
        self._setup = _seconds(meter, "bintrio.connection.setup.duration", "How long connections take to be ready.")
        self._swapped = _seconds(meter, "bintrio.connection.swap.duration", "From the need of another one to its use.")
        said = "Connections that ended, and this side had not asked for it."
        self._losses = meter.create_counter("bintrio.connection.losses", "{connection}", said)

    def _open(self, fact: facts.ConnectionOpening) -> None:
        attributes = {**_server(fact.address), "bintrio.session": fact.session, "bintrio.connection": fact.connection}
        # It outlives whatever its user was doing when it was opened.
        self._spans[fact.session, fact.connection] = self._tracer.start_span(
            "bintrio.connection", Context(), kind=SpanKind.CLIENT, attributes=attributes
        )

    def _ready(self, fact: facts.ConnectionReady) -> None:
        self._count.add(1, {"bintrio.session": fact.session})
        self._setup.record(fact.seconds, _server(fact.address))
        self._add_event(fact, "ready", {})

    def _fail(self, fact: facts.ConnectionNotReady) -> None:
        self._setup.record(fact.seconds, {**_server(fact.address), "error.type": fact.error})
        self._end(fact, fact.error, fact.cause)

    def _lose(self, fact: facts.ConnectionLost) -> None:
        self._count.add(-1, {"bintrio.session": fact.session})
        self._losses.add(1, {"bintrio.session": fact.session, "error.type": fact.error})
        self._end(fact, fact.error, fact.cause)

    def _retire(self, fact: facts.ConnectionRetired) -> None:
        self._count.add(-1, {"bintrio.session": fact.session})
        self._end(fact, None, fact.cause)

    def _note(self, fact: facts.ConnectionDue) -> None:
        self._add_event(fact, "due", {"bintrio.cause": fact.cause})

    def _swap(self, fact: facts.Swapped) -> None:
        self._swapped.record(fact.seconds, {"bintrio.swap.cause": fact.cause, "bintrio.session": fact.session})
        self._add_event(fact, "in use", {"bintrio.swap.cause": fact.cause})

    def _add_event(self, fact: facts.AboutConnection, name: str, attributes: Attributes) -> None:
        span = self._spans.get((fact.session, fact.connection))
        if span is not None:
            span.add_event(name, attributes)

    def _end(self, fact: facts.AboutConnection, error: str | None, cause: str) -> None:
        span = self._spans.pop((fact.session, fact.connection), None)
        # It was opened before this observer was there.
        if span is None:
            return
        span.set_attribute("bintrio.cause", cause)
        if error is not None:
            span.set_attribute("error.type", error)
            span.set_status(Status(StatusCode.ERROR, cause))
        span.end()


class _Limits:
    """What is used of the exchange's limits, as answers count it, and the clock: as they were last told.

    Attributes:
        latest: of each session, what the latest answer said that had counts.
    """

    def __init__(self, meter: Meter) -> None:
        self.seen: Mapping[type[Fact], Callable[[Any], object]] = {
            facts.ClockMeasured: self._measure,
            facts.SessionEnded: self._forget,
        }
        self.latest: dict[str, tuple[RateLimit, ...]] = {}
        self._clocks: dict[str, facts.ClockMeasured] = {}
        for name, unit, see, said in (
            ("bintrio.limit.used", "1", self._used, "What is used of a limit, in its window."),
            ("bintrio.limit.max", "1", self._most, "The most that may be used of a limit in its window."),
            ("bintrio.clock.offset", "s", self._offset, "The exchange's clock minus this machine's."),
            ("bintrio.clock.round_trip", "s", self._round_trip, "Between a question for the time and its answer."),
        ):
            meter.create_observable_gauge(name, [see], unit, said)

    def _measure(self, fact: facts.ClockMeasured) -> None:
        self._clocks[fact.session] = fact

    def _forget(self, fact: facts.SessionEnded) -> None:
        # A session that is over has neither limits nor a clock to be shown.
        self.latest.pop(fact.session, None)
        self._clocks.pop(fact.session, None)

    def _used(self, _: CallbackOptions) -> Iterable[Observation]:
        # An answer may name a limit without its count.
        return [Observation(limit.count, named) for limit, named in self._all() if limit.count is not None]

    def _most(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(limit.limit, named) for limit, named in self._all()]

    def _all(self) -> Iterable[tuple[RateLimit, Attributes]]:
        # Another thread collects: what is looked at is a copy.
        for session, limits in list(self.latest.items()):
            for limit in limits:
                window = f"{limit.interval_num} {limit.interval}"
                named = {"bintrio.session": session, "bintrio.limit": str(limit.rate_limit_type)}
                yield limit, {**named, "bintrio.window": window}

    def _offset(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(fact.offset, {"bintrio.session": name}) for name, fact in list(self._clocks.items())]

    def _round_trip(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(fact.round_trip, {"bintrio.session": name}) for name, fact in list(self._clocks.items())]


class _Counts:
    """What is only counted."""

    def __init__(self, meter: Meter) -> None:
        def count(name: str, unit: str, said: str, *fields: str) -> Callable[[Any], object]:
            return _counting(meter.create_counter(name, unit, said), fields)

        self.seen: Mapping[type[Fact], Callable[[Any], object]] = {
            facts.AnswerDropped: count("bintrio.answers.dropped", "{answer}", "Answers nobody waits for.", "cause"),
            facts.MessageDropped: count("bintrio.messages.dropped", "{message}", "Messages that cannot be read."),
            facts.EventUnclaimed: count("bintrio.events.unclaimed", "{event}", "Events nobody listens to."),
            facts.EventsMissed: count("bintrio.events.gaps", "{gap}", "Times that may lack events.", "account"),
            facts.SubscriberOverflowed: count(
                "bintrio.subscriber.overflows", "{subscriber}", "Subscribers that were too slow.", "account"
            ),
            facts.HoldBegan: count("bintrio.holds", "{hold}", "429 and 418 that held back.", "status", "scope"),
            facts.OutcomeKept: count("bintrio.outcomes.kept", "{call}", "Trading calls cancelled after they left."),
        }


def _counting(counter: Counter, fields: tuple[str, ...]) -> Callable[[Any], object]:
    def see(fact: Fact) -> None:
        named = {f"bintrio.{field}": getattr(fact, field) for field in fields}
        counter.add(1, {"bintrio.session": fact.session, **named})

    return see


def _seconds(meter: Meter, name: str, said: str) -> Histogram:
    return meter.create_histogram(name, "s", said, explicit_bucket_boundaries_advisory=SECONDS)


def _server(address: str | None) -> Attributes:
    # A call that was not sent knows no server.
    if address is None:
        return {}
    host, _, port = address.rpartition(":")
    return {"server.address": host, "server.port": int(port)}


def _make_span(tracer: Tracer, fact: facts.CallEnded, outcome: Attributes) -> None:
    attributes = {**outcome, "bintrio.session": fact.session}
    # Without a key there is no account.
    if fact.account is not None:
        attributes["bintrio.account"] = fact.account
    # A call that was not sent has no connection.
    if fact.connection is not None:
        attributes["bintrio.connection"] = fact.connection
    name = fact.method
    if fact.method not in catalogue:  # what anybody may make up is none to group by
        name, attributes["rpc.method_original"] = SYSTEM, fact.method
    # What a session does by itself is no part of what its user was doing when it was opened.
    context = Context() if fact.is_own else None
    now = time_ns()
    began = now - round((fact.at - fact.started_at) * 1e9)
    span = tracer.start_span(name, context, SpanKind.CLIENT, attributes, start_time=began)
    # Only a failure has a status: the conventions leave that of a success unset.
    if fact.error is not None:
        span.set_status(Status(StatusCode.ERROR, fact.cause))
    span.end(now)


def _outcome(fact: facts.CallEnded) -> Attributes:
    """How a call ended, as the conventions have it: by the exchange's code, if it gave one, else by our error."""
    method = fact.method if fact.method in catalogue else "_OTHER"
    attributes = {"rpc.system.name": SYSTEM, "rpc.method": method, **_server(fact.address)}
    # If the exchange gave no code, the status of its answer says how it went.
    code = fact.code if fact.code is not None else fact.status
    if code is not None:
        attributes["rpc.response.status_code"] = str(code)
    if fact.error is not None:
        attributes["error.type"] = fact.error if fact.code is None else str(fact.code)
    return attributes
