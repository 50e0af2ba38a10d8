"""Spans and metrics, as the SDK's exporters in memory have them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

import pytest
import trio
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider, SpanKind, StatusCode, Tracer
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio import observing, otel
from bintrio.otel import OpenTelemetry
from tests.peer import LIMITS, START, ed25519_key, open_pair
from tests.sessions import BUY, HMAC, deltas, in_background

pytestmark = pytest.mark.usefixtures("both_streams")

SERVER = {"server.address": "exchange.test", "server.port": 443}


class World(NamedTuple):
    """An observer and what it exports."""

    telemetry: OpenTelemetry
    tracer: Tracer
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def metrics(self) -> dict[str, Any]:
        data = self.reader.get_metrics_data()
        found = [] if data is None else [scope for each in data.resource_metrics for scope in each.scope_metrics]
        return {metric.name: metric for scope in found for metric in scope.metrics}

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """The attributes of each point of a metric, and its value: of a histogram, the count and the sum."""
        metric = self.metrics().get(name)
        points: list[Any] = [] if metric is None else list(metric.data.data_points)
        return [
            (
                {key: value for key, value in point.attributes.items() if key != "bintrio.session"},
                point.value if hasattr(point, "value") else (point.count, point.sum),
            )
            for point in points
        ]


def _each(call: observing.CallEnded) -> bool:
    """As `otel.every_call`, but a function of its user's: it is to see all that is known of a call."""
    assert isinstance(call, observing.CallEnded)
    return True


@pytest.fixture(params=[otel.every_call, _each], ids=["outlines", "facts"])
def world(request: pytest.FixtureRequest) -> Generator[World]:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    spans, meters = TracerProvider(), MeterProvider([reader])
    spans.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry = OpenTelemetry(tracer_provider=spans, meter_provider=meters, span_for=request.param)
    yield World(telemetry, spans.get_tracer("test"), exporter, reader)
    spans.shutdown()
    meters.shutdown()


# Calls


async def test_g13_a_call_is_a_client_span_in_that_of_its_caller(autojump_clock: MockClock, world: World) -> None:
    async with (
        open_pair(observer=world.telemetry, name="bot") as (session, exchange),
        trio.open_nursery() as nursery,
    ):
        peer = exchange.peers[0]

        async def call() -> None:
            with world.tracer.start_as_current_span("decide"):
                await session.ping()

        nursery.start_soon(call)
        request = await peer.next()
        await trio.sleep(0.25)
        await peer.answer(request, rateLimits=[{**LIMITS[0], "count": 7}])
    (span,), (parent,) = world.spans("ping"), world.spans("decide")
    assert span.kind is SpanKind.CLIENT
    assert span.parent is not None
    assert parent.context is not None
    assert span.parent.span_id == parent.context.span_id
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {}) == {
        "rpc.system.name": "binance",
        "rpc.method": "ping",
        "rpc.response.status_code": "200",
        "bintrio.session": "bot",
        "bintrio.connection": 1,
        **SERVER,
    }
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == 250_000_000
    assert span.instrumentation_scope is not None
    assert (span.instrumentation_scope.name, span.instrumentation_scope.version) == ("bintrio", bintrio.__version__)


async def test_g13_the_span_of_a_call_says_whom_it_is_for(autojump_clock: MockClock, world: World) -> None:
    other = bintrio.HmacKey("other-key", "other-secret")
    async with open_pair(observer=world.telemetry, key=HMAC) as (session, exchange):
        exchange.script["ping"] = lambda _peer: {}
        await session.ping()
        await session.using(other).ping()
    accounts = [dict(span.attributes or {})["bintrio.account"] for span in world.spans("ping")]
    assert accounts == [f"{HMAC.api_key[:4]}…", "othe…"]
    # There may be many accounts, and a metric has a series for each set of attributes.
    assert all("bintrio.account" not in attributes for attributes, _ in world.points("rpc.client.call.duration"))


async def test_g13_a_program_says_which_calls_have_spans_when_it_knows_how_they_went(
    autojump_clock: MockClock, world: World
) -> None:
    spans, meters = TracerProvider(), MeterProvider([reader := InMemoryMetricReader()])
    spans.add_span_processor(SimpleSpanProcessor(world.exporter))
    telemetry = OpenTelemetry(
        tracer_provider=spans, meter_provider=meters, span_for=lambda call: call.error is not None
    )
    async with open_pair(observer=telemetry) as (session, exchange):
        exchange.script["ping"] = lambda _peer: {}
        await session.ping()
        exchange.script["ping"] = lambda _peer: {"status": 403, "error": {"code": -1, "msg": "WAF"}}
        with pytest.raises(bintrio.Rejected):
            await session.ping()
    assert [dict(span.attributes or {})["error.type"] for span in world.spans("ping")] == ["-1"]
    metrics = World(telemetry, world.tracer, world.exporter, reader).points("rpc.client.call.duration")
    assert sum(value[0] for attributes, value in metrics if attributes["rpc.method"] == "ping") == 2


async def test_g13_calls_have_spans_in_a_trace_and_where_they_fail_or_are_slow(
    autojump_clock: MockClock, world: World
) -> None:
    spans = TracerProvider()
    spans.add_span_processor(SimpleSpanProcessor(world.exporter))
    telemetry = OpenTelemetry(tracer_provider=spans, meter_provider=MeterProvider())

    def spans_of_calls() -> list[str]:
        found = [span.name for span in world.exporter.get_finished_spans() if span.kind is SpanKind.CLIENT]
        found = [name for name in found if name != "bintrio.connection"]
        world.exporter.clear()
        return found

    with world.tracer.start_as_current_span("start the bot"):
        async with open_pair(observer=telemetry, key=ed25519_key()) as (session, exchange):
            exchange.script["ping"] = lambda _peer: {}
            assert spans_of_calls() == []  # what the session does by itself is in no trace of its user's
            await session.ping()
            assert spans_of_calls() == ["ping"]
            token = attach(Context())
            await session.ping()
            assert spans_of_calls() == []
            exchange.delay = otel.SLOW
            await session.ping()
            assert spans_of_calls() == ["ping"]
            exchange.script["ping"] = lambda _peer: {"status": 403, "error": {"code": -1, "msg": "WAF"}}
            exchange.delay = 0
            with pytest.raises(bintrio.Rejected):
                await session.ping()
            assert spans_of_calls() == ["ping"]
            detach(token)
    unsampled = TracerProvider(sampler=ALWAYS_OFF).get_tracer("test")
    async with open_pair(observer=telemetry) as (session, exchange):
        exchange.script["ping"] = lambda _peer: {}
        with unsampled.start_as_current_span("decide"):
            await session.ping()
        assert spans_of_calls() == []


def test_what_is_no_function_says_of_no_call_that_it_has_a_span() -> None:
    wrong: Any = 0.1
    with pytest.raises(bintrio.InvalidRequest, match="span_for must be a function, not") as caught:
        OpenTelemetry(span_for=wrong)
    assert caught.value.field == "span_for"


BOUNDARIES = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""As "Semantic conventions for RPC metrics" gives them."""


async def test_g13_the_duration_of_calls_goes_by_the_conventions(autojump_clock: MockClock, world: World) -> None:
    async with open_pair(observer=world.telemetry) as (session, exchange), trio.open_nursery() as nursery:
        peer = exchange.peers[0]
        for _ in range(3):
            in_background(nursery, session.ping)
            request = await peer.next()
            await trio.sleep(0.25)
            await peer.answer(request)
        await wait_all_tasks_blocked()
        metric = world.metrics()["rpc.client.call.duration"]
        assert (metric.unit, metric.data.data_points[0].explicit_bounds) == ("s", BOUNDARIES)
        common = {"rpc.system.name": "binance", "rpc.response.status_code": "200", **SERVER}
        points = world.points("rpc.client.call.duration")
    assert ({**common, "rpc.method": "ping"}, (3, 0.75)) in points
    # What the session does by itself counts, as it costs as much.
    assert {attributes["rpc.method"] for attributes, _ in points} == {"ping", "time", "exchangeInfo"}


async def test_attributes_that_are_not_ours_are_named_as_the_conventions_name_them(
    autojump_clock: MockClock, world: World
) -> None:
    # Semantic conventions for RPC, 1.44: client spans, and the client's metrics.
    conventions = {
        *("rpc.system.name", "rpc.method", "rpc.method_original", "rpc.response.status_code"),
        *("error.type", "server.address", "server.port"),
    }
    async with open_pair(observer=world.telemetry) as (session, _):
        with pytest.raises(bintrio.InvalidRequest):
            await session.send(BUY)
        with trio.move_on_after(1):
            await session.request("coffee.price")
    used = {name for span in world.exporter.get_finished_spans() for name in span.attributes or {}}
    used |= {name for metric in world.metrics() for attributes, _ in world.points(metric) for name in attributes}
    assert {name for name in used if not name.startswith("bintrio.")} == conventions


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        ((400, -2010, "Order would immediately match and take."), "-2010", "-2010"),
        ((403, -1, "WAF"), "-1", "-1"),
        ((504, -1007, "Timeout waiting for response."), "504", "OutcomeUnknown"),
        (None, None, "Cancelled"),
    ],
)
async def test_g13_a_call_that_failed_says_how(
    autojump_clock: MockClock, world: World, answer: tuple[int, int, str] | None, status: str | None, error: str
) -> None:
    async with (
        open_pair(observer=world.telemetry, key=HMAC) as (session, exchange),
        trio.open_nursery() as nursery,
    ):
        outcome = in_background(nursery, lambda: session.send(BUY))
        request = await exchange.peers[0].next()
        if answer is None:
            nursery.cancel_scope.cancel()
        else:
            await exchange.peers[0].refuse(request, *answer)
    (span,) = world.spans("order.place")
    attributes = dict(span.attributes or {})
    assert (attributes.get("rpc.response.status_code"), attributes["error.type"]) == (status, error)
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == ("it was cancelled" if answer is None else str(outcome.error))
    (point,) = [p for p, _ in world.points("rpc.client.call.duration") if p["rpc.method"] == "order.place"]
    assert point == {key: value for key, value in attributes.items() if not key.startswith("bintrio.")}


async def test_a_method_that_nobody_knows_makes_no_names(autojump_clock: MockClock, world: World) -> None:
    async with open_pair(observer=world.telemetry) as (session, _):
        for number in range(3):
            with trio.move_on_after(1):
                await session.request(f"coffee.{number}")
    spans = world.spans("binance")
    named = [dict(span.attributes or {})["rpc.method_original"] for span in spans]
    assert named == [
        "coffee.0",
        "coffee.1",
        "coffee.2",
    ]
    points = [point for point, _ in world.points("rpc.client.call.duration") if point["rpc.method"] == "_OTHER"]
    assert len(points) == 1
    assert "rpc.method_original" not in points[0]


async def test_what_the_session_does_by_itself_is_no_part_of_what_its_user_did(
    autojump_clock: MockClock, world: World
) -> None:
    with world.tracer.start_as_current_span("start the bot"):
        async with open_pair(observer=world.telemetry, key=ed25519_key()):
            pass
    for name in ("time", "session.logon", "bintrio.connection"):
        assert world.spans(name)
        assert all(span.parent is None for span in world.spans(name))


async def test_a_call_without_a_connection_has_none(autojump_clock: MockClock, world: World) -> None:
    async with open_pair(observer=world.telemetry) as (session, _):
        with pytest.raises(bintrio.InvalidRequest):
            await session.send(BUY)
    (span,) = world.spans("order.place")
    assert not {"bintrio.connection", "server.address", "rpc.response.status_code"} & set(span.attributes or {})


async def test_sets_of_attributes_do_not_pile_up(
    autojump_clock: MockClock, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otel, "_MOST", 3)
    async with open_pair(observer=world.telemetry) as (session, exchange), trio.open_nursery() as nursery:
        peer = exchange.peers[0]
        for number in range(10):
            in_background(nursery, session.ping)
            await peer.refuse(await peer.next(), 400, -5000 - number, "new")
    errors = [(span.attributes or {}).get("error.type") for span in world.spans("ping")]
    assert errors == [str(-5000 - number) for number in range(10)]


async def test_g13_waits_are_told_by_what_for(autojump_clock: MockClock, world: World) -> None:
    async with open_pair(observer=world.telemetry) as (session, exchange), trio.open_nursery() as nursery:
        in_background(nursery, session.ping)
        exchange.delay = 0.5
        await exchange.peers[0].next()
        await exchange.peers[0].cut()
        peer = await exchange.peer(1)
        await peer.answer(await peer.next())
    assert world.points("bintrio.call.wait.duration") == [({"bintrio.awaited": "connection"}, (1, pytest.approx(0.5)))]


# Connections


async def test_g13_a_connection_is_a_span_and_counted(autojump_clock: MockClock, world: World) -> None:
    async with open_pair(observer=world.telemetry, name="bot") as (session, exchange):
        await session.rotate()
        await trio.sleep(1)
        assert world.points("bintrio.connection.count") == [({}, 1)]
        await exchange.peers[1].event(None, e="serverShutdown", E=START)
        await trio.sleep(1)
        exchange.refuse_with = [ConnectionRefusedError(111, "Connection refused")]
        await exchange.peers[2].cut()
        with trio.fail_after(60):
            while len(world.spans("bintrio.connection")) < 4:  # noqa: ASYNC110  # under a virtual clock, polling is free
                await trio.sleep(0.1)
        assert world.points("bintrio.connection.count") == [({}, 0)]
        exchange.refuse_with = []
        await trio.sleep(10)
    assert world.points("bintrio.connection.count") == [({}, 0)]
    assert world.points("bintrio.connection.losses") == [({"error.type": "WireClosed"}, 1)]
    swaps = world.points("bintrio.connection.swap.duration")
    causes = {point["bintrio.swap.cause"]: value[0] for point, value in swaps}
    assert causes == {"start": 1, "request": 1, "notice": 1, "lost": 1}
    setups = {point.get("error.type"): value[0] for point, value in world.points("bintrio.connection.setup.duration")}
    assert setups == {None: 4, "ConnectionRefusedError": 1}
    spans = {dict(span.attributes or {})["bintrio.connection"]: span for span in world.spans("bintrio.connection")}
    assert {number: span.status.status_code.name for number, span in spans.items()} == {
        1: "UNSET",
        2: "UNSET",
        3: "ERROR",
        4: "ERROR",
        5: "UNSET",
    }
    assert [event.name for event in spans[2].events] == ["ready", "in use", "due"]
    assert dict(spans[4].attributes or {}) == {
        "bintrio.session": "bot",
        "bintrio.connection": 4,
        "bintrio.cause": "connection refused",
        "error.type": "ConnectionRefusedError",
        **SERVER,
    }


async def test_facts_of_connections_that_it_did_not_see_open_harm_nothing(world: World) -> None:
    """It may be given to a session by another observer, which leaves some out."""
    world.telemetry(observing.ConnectionReady(connection=9, address="h:1", seconds=1.0, is_logged_on=True))
    world.telemetry(observing.ConnectionRetired(connection=9, address="h:1", seconds=1, in_flight=0, cause="x"))
    world.telemetry(observing.SessionStarted(endpoint="x"))
    assert world.points("bintrio.connection.count") == [({}, 0)]


# Limits, time, user data


async def test_g13_limits_and_the_clock_are_as_they_were_last_told(autojump_clock: MockClock, world: World) -> None:
    async with open_pair(observer=world.telemetry) as (session, exchange), trio.open_nursery() as nursery:
        peer = exchange.peers[0]
        for count in (7, 9):
            in_background(nursery, session.ping)
            counted = [{**LIMITS[0], "count": count}, {**LIMITS[1], "count": 2}, LIMITS[2]]
            await peer.answer(await peer.next(), rateLimits=counted)
        in_background(nursery, session.ping)
        await peer.answer(await peer.next())
        await wait_all_tasks_blocked()
        weight = {"bintrio.limit": "REQUEST_WEIGHT", "bintrio.window": "1 MINUTE"}
        orders = {"bintrio.limit": "ORDERS", "bintrio.window": "10 SECOND"}
        connections = {"bintrio.limit": "CONNECTIONS", "bintrio.window": "5 MINUTE"}
        assert world.points("bintrio.limit.used") == [(weight, 9), (orders, 2)]
        assert world.points("bintrio.limit.max") == [(weight, 6000), (orders, 50), (connections, 300)]
        assert world.points("bintrio.clock.offset")[0][1] == pytest.approx(session.clock_offset, abs=60)
        assert world.points("bintrio.clock.round_trip") == [({}, 0)]
    assert world.points("bintrio.limit.used") == world.points("bintrio.clock.offset") == []


async def test_g13_what_went_wrong_is_counted(autojump_clock: MockClock, world: World) -> None:
    key = ed25519_key()
    async with open_pair(observer=world.telemetry, key=key) as (session, exchange):
        peer = exchange.peers[0]
        with trio.move_on_after(1):
            await session.send(BUY)
        late = await peer.next()
        await peer.answer(late)
        await peer.answer(late)
        await peer.send("{")
        await peer.event(77, e="balanceUpdate", E=START, a="BTC", d="1", T=START)
        async with session.user_data(buffer=1), session.user_data() as events:
            await peer.balance(1)
            await peer.balance(2)
            assert await deltas(events, 2) == [1, 2]
            await peer.cut()
            assert isinstance(await anext(events), bintrio.Gap)
        await exchange.peers[1].refuse({"id": 5}, 429, -1003, "slow", data={"retryAfter": START + 60_000})
        await wait_all_tasks_blocked()
    account = {"bintrio.account": "ed25…"}
    assert world.points("bintrio.outcomes.kept") == [({}, 1)]
    causes = {point["bintrio.cause"]: value for point, value in world.points("bintrio.answers.dropped")}
    assert causes == {"late": 1, "repeated": 1, "unknown": 1}
    assert world.points("bintrio.messages.dropped") == [({}, 1)]
    assert world.points("bintrio.events.unclaimed") == [({}, 1)]
    assert world.points("bintrio.subscriber.overflows") == [(account, 1)]
    assert world.points("bintrio.events.gaps") == [(account, 1)]
    assert world.points("bintrio.holds") == [({"bintrio.status": 429, "bintrio.scope": "everything"}, 1)]


async def test_g13_how_full_the_buffer_of_a_subscriber_is(autojump_clock: MockClock, world: World) -> None:
    async with open_pair(observer=world.telemetry, key=ed25519_key()) as (session, exchange):
        async with session.user_data(buffer=50) as events:
            world.telemetry.watch(events, "ledger")
            for number in range(3):
                await exchange.peers[0].balance(number)
            await wait_all_tasks_blocked()
            named = {"bintrio.subscriber": "ledger"}
            assert world.points("bintrio.subscriber.buffer.used") == [(named, 3)]
            assert world.points("bintrio.subscriber.buffer.limit") == [(named, 50)]
        del events
    assert world.points("bintrio.subscriber.buffer.used") == []


async def test_a_class_that_is_made_of_it_is_told_of_each_call(autojump_clock: MockClock) -> None:
    heard: list[str] = []

    class Noting(OpenTelemetry):
        def __call__(self, fact: observing.Fact) -> None:
            super().__call__(fact)
            heard.append(type(fact).__name__)

    async with open_pair(observer=Noting()):
        pass
    assert "CallEnded" in heard


async def test_what_it_raises_over_the_end_of_a_call_is_counted_and_logged_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = OpenTelemetry()

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    vars(telemetry)["take_outline"] = fail
    async with open_pair(observer=telemetry) as (session, exchange):
        exchange.script["ping"] = lambda _peer: {}
        before = session.counters.observer_failures
        await session.ping()
        assert session.counters.observer_failures == before + 1
    logged = [vars(record)["fact"] for record in caplog.records if record.name == "bintrio.observer"]
    assert logged == ["CallEnded"]


async def test_without_providers_it_goes_to_those_of_the_program(autojump_clock: MockClock) -> None:
    """Which do nothing as long as nobody has set any."""
    async with open_pair(observer=OpenTelemetry()) as (session, _):
        assert session.counters.observer_failures == 0


async def test_who_wants_metrics_only_pays_for_no_spans(autojump_clock: MockClock) -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    telemetry = OpenTelemetry(tracer_provider=NoOpTracerProvider(), meter_provider=meters)
    async with open_pair(observer=telemetry) as (session, exchange), trio.open_nursery() as nursery:
        in_background(nursery, session.ping)
        await exchange.peers[0].answer(await exchange.peers[0].next())
    world = World(telemetry, NoOpTracerProvider().get_tracer("test"), InMemorySpanExporter(), reader)
    assert "ping" in {point["rpc.method"] for point, _ in world.points("rpc.client.call.duration")}
    assert session.counters.observer_failures == 0
    meters.shutdown()
