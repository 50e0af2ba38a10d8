"""The contract, G1 to G11, against the sandbox: a day, a shutdown, a mute server, a cut at every byte.

`test_session.py` looks at each rule by itself against a scripted exchange. Here the whole is put under load and faults
against an exchange that keeps books, so that "exactly once" can be read off its side.
"""

from __future__ import annotations

import base64
import io
import logging
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio import sandbox as faults
from bintrio._protocol.rate_limits import LocalLedger
from bintrio._protocol.rotation import LONGEST_BACKOFF
from bintrio.requests import Depth, OpenOrdersStatus, OrderPlace
from bintrio.sandbox import Sandbox, open_sandbox

from .peer import ed25519_key

pytestmark = pytest.mark.usefixtures("both_streams")


@asynccontextmanager
async def open_pair(
    *, key: bintrio.Key | None = None, limits: faults.Limits | None = None, **options: Any
) -> AsyncGenerator[tuple[bintrio.Session, Sandbox]]:
    """A logged-on session on a sandbox in memory, with a book to trade against."""
    async with open_sandbox(listen=False, limits=limits) as sandbox:
        sandbox.quote("BTCUSDT", Decimal(50_000), Decimal(50_001), Decimal(10))
        async with bintrio.open_session(
            sandbox.memory_endpoint, connect=sandbox.connect, key=key or sandbox.key, **options
        ) as session:
            yield session, sandbox


GENEROUS = faults.Limits(weight=10**9, orders_per_10_seconds=10**9, orders_per_day=10**9, connections=10**9)


def limit_order(price: int = 40_000) -> OrderPlace:
    return OrderPlace(symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=price, quantity="0.001")


# G1, G7: lost answers


@pytest.mark.untraced
async def test_g1_g7_cut_at_every_byte_of_an_answer_the_order_is_found(autojump_clock: MockClock) -> None:
    async with open_pair(limits=GENEROUS) as (session, sandbox):
        position, cuts = 0, 0
        while True:
            sandbox.inject(faults.CutReplyAt("order.place", position=position))
            before = trio.current_time()
            try:
                placed: Any = await session.send(limit_order())
            except bintrio.OutcomeUnknown as unknown:
                cuts += 1
                delay = trio.current_time() - before
                placed = await session.confirm(unknown)
                assert (delay, placed.client_order_id, placed.status) == (0, unknown.client_order_id, "NEW")  # noqa: PT017
                await session.order_cancel(symbol="BTCUSDT", order_id=placed.order_id)
            else:
                break
            position += 1
        assert position == cuts > 400, "the whole frame came in the end, and every cut before was noticed"
        assert sandbox.received["order.place"] == len(sandbox.orders) == cuts + 1


@pytest.mark.untraced
async def test_g1_g7_cut_at_every_byte_of_an_answer_a_read_is_repeated(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, sandbox):
        for position in range(150):
            sandbox.inject(faults.CutReplyAt("depth", position=position))
            book = await session.depth(symbol="BTCUSDT", limit=1)
            assert book.bids[0].price == 50_000
            await trio.sleep(31)  # a connection that lasted is replaced without a pause
        assert sandbox.received["depth"] == 300
        assert session.counters.losses == 150


@pytest.mark.parametrize("executed", [True, False], ids=["executed", "not executed"])
@pytest.mark.parametrize("kind", [faults.Disconnect, faults.ServerError, faults.Timeout])
async def test_g1_g7_confirm_finds_the_truth(
    autojump_clock: MockClock,
    kind: type[faults.Disconnect | faults.ServerError | faults.Timeout],
    executed: bool,
) -> None:
    async with open_pair() as (session, sandbox):
        sandbox.inject(kind("order.place", executed=executed))
        with pytest.raises(bintrio.OutcomeUnknown) as caught:
            await session.send(limit_order())
        found = await session.confirm(caught.value)
        assert (found is not None) is executed
        assert len(sandbox.orders) == executed
        assert sandbox.received["order.place"] == 1


@pytest.mark.parametrize(
    "fault",
    [
        faults.DropReply("order.place"),
        faults.HalfOpen("order.place"),
        faults.Garbage("order.place", data="{"),
        faults.Garbage("order.place", data=b"\x00"),
        faults.UnknownIdReply("order.place"),
        faults.LateReply("order.place", seconds=20),
    ],
    ids=["dropped", "half-open", "garbage", "binary", "unknown id", "late"],
)
async def test_g1_an_answer_that_never_comes_is_an_unknown_outcome(
    autojump_clock: MockClock, fault: faults.Fault
) -> None:
    async with open_pair() as (session, sandbox):
        sandbox.inject(fault)
        with pytest.raises(bintrio.OutcomeUnknown) as caught:
            await session.send(limit_order())
        assert trio.current_time() == 15
        found = await session.confirm(caught.value)
        assert (found is None) is (len(sandbox.orders) == 0)
        assert sandbox.received["order.place"] <= 1


# G2: whose answer


async def test_g2_repeated_and_reordered_answers_reach_their_own_calls(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, sandbox):
        sandbox.inject(faults.DuplicateReply("order.place", times=5))
        sandbox.inject(faults.Reorder("order.place", count=20))
        placed: dict[int, Any] = {}

        async def place(number: int) -> None:
            placed[number] = await session.send(limit_order(30_000 + number))

        async with trio.open_nursery() as nursery:
            for number in range(25):
                nursery.start_soon(place, number)
        assert {number: order.price for number, order in placed.items()} == {n: 30_000 + n for n in range(25)}
        assert session.counters.dropped_replies == 5


async def test_g2_a_revoked_key_ends_what_waits_with_the_reason(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, sandbox):
        sandbox.revoke(sandbox.key.api_key)
        with pytest.raises(bintrio.OutcomeUnknown) as caught:
            await session.send(limit_order())
        assert isinstance(caught.value.__cause__, bintrio.Unauthorized)
        with pytest.raises(bintrio.NotSent) as later:
            await session.ping()
        assert isinstance(later.value.__cause__, bintrio.Unauthorized)
        assert not sandbox.orders


# G3, G4, G5: lifetimes


async def test_g3_pings_are_answered_whatever_a_subscriber_does(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, sandbox), session.user_data(buffer=3):
        for _ in range(100):
            sandbox.deposit("USDT", Decimal(1))
        await trio.sleep(3600)
        assert session.counters.losses == 0
        assert sandbox.connections == 1


async def test_g4_a_server_that_pings_no_more_is_replaced_and_reads_go_on(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, sandbox):
        sandbox.inject(faults.MutePings())
        await trio.sleep(81)
        assert session.counters.losses == 1
        await session.depth(symbol="BTCUSDT")
        await trio.sleep(3600)
        assert session.counters.losses == 1


async def test_g4_a_half_open_connection_is_replaced(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, sandbox):
        await trio.sleep(50)
        sandbox.inject(faults.HalfOpen())
        with pytest.raises(bintrio.OutcomeUnknown):
            await session.depth(symbol="BTCUSDT")
        await trio.sleep(50)
        assert session.counters.losses == 1
        await session.depth(symbol="BTCUSDT")


async def deposits(events: bintrio.Subscriber, received: list[Decimal]) -> None:
    async for event in events:
        assert not isinstance(event, bintrio.Gap)
        if isinstance(event, bintrio.BalanceUpdate):
            received.append(event.delta)


@pytest.mark.untraced
@pytest.mark.plain_streams("days of pings, and few calls")
async def test_g5_three_days_with_events_and_calls_lose_nothing_and_double_nothing(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, sandbox), session.user_data() as events, trio.open_nursery() as nursery:
        received: list[Decimal] = []
        nursery.start_soon(deposits, events, received)
        for number in range(3 * 24 * 6):
            sandbox.deposit("USDT", Decimal(number + 1))
            await session.ping()
            await trio.sleep(600)
        assert received == [Decimal(number + 1) for number in range(3 * 24 * 6)]
        assert session.counters.connections == 4
        assert session.counters.losses == 0
        nursery.cancel_scope.cancel()


@pytest.mark.untraced
@pytest.mark.parametrize("kind", ["Ed25519", "HMAC"])
async def test_g5_shutdowns_and_rotations_under_load_cost_nothing(autojump_clock: MockClock, kind: str) -> None:
    """Some thousand orders and an event for each, through ten changes of connection."""
    async with open_sandbox(listen=False, limits=GENEROUS) as sandbox:
        key = sandbox.key if kind == "Ed25519" else sandbox.hmac_key
        received: list[int] = []
        placed: list[int] = []

        async def listen(events: bintrio.Subscriber) -> None:
            async for event in events:
                assert not isinstance(event, bintrio.Gap)
                if isinstance(event, bintrio.ExecutionReport):
                    received.append(event.order_id)

        async def place(session: bintrio.Session, until: trio.Event) -> None:
            while not until.is_set():
                placed.append((await session.send(limit_order(30_000 + len(placed)))).order_id)
                await trio.sleep(0.5)

        async with (
            bintrio.open_session(sandbox.memory_endpoint, connect=sandbox.connect, key=key) as session,
            session.user_data() as events,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(listen, events)
            async with trio.open_nursery() as orders:
                is_over = trio.Event()
                for _ in range(10):
                    orders.start_soon(place, session, is_over)
                for _ in range(5):
                    await session.rotate()
                    await trio.sleep(LONGEST_BACKOFF + 1)  # a connection that is shut down sooner is not trusted
                    sandbox.announce_shutdown(after=5)
                    await trio.sleep(1)
                is_over.set()
            await trio.sleep(10)
            nursery.cancel_scope.cancel()
        assert len(placed) == len(set(placed)) > 3000
        assert sorted(received) == sorted(placed)
        assert session.counters.losses == 0
        assert session.counters.connections >= 10


async def test_g5_a_gap_is_told_when_a_connection_is_cut(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, sandbox), session.user_data() as events:
        await trio.sleep(30)
        sandbox.disconnect()
        await trio.sleep(10)
        gap = await anext(events)
        assert isinstance(gap, bintrio.Gap)
        assert gap.start <= gap.end <= sandbox.now()
        sandbox.deposit("USDT", Decimal(7))
        assert isinstance(await anext(events), bintrio.BalanceUpdate)


# G6: cancelling


@pytest.mark.parametrize("method", ["depth", "order.place"])
async def test_g6_a_caller_cancelled_at_any_tick_leaves_the_connection_whole(
    autojump_clock: MockClock, method: str
) -> None:
    async with open_pair(limits=GENEROUS) as (session, sandbox):
        request: bintrio.Request[Any] = limit_order() if method == "order.place" else Depth(symbol="BTCUSDT")
        is_answered: list[bool] = []
        for ticks in range(60):
            async with trio.open_nursery() as nursery:
                answered = False

                async def call() -> None:
                    nonlocal answered
                    await session.send(request)
                    answered = True

                nursery.start_soon(call)
                for _ in range(ticks):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            is_answered.append(answered)
            assert (await session.depth(symbol="BTCUSDT", limit=1)).asks
        assert not is_answered[0]
        assert is_answered[-1]
        await trio.sleep(1)
        assert session.connection is not None
        assert session.connection.in_flight == 0
        assert session.counters.connections == 1
        if method == "order.place":
            assert len(sandbox.orders) == sandbox.received["order.place"] < 60


# G8: budgets


async def test_g8_budgets_are_kept_before_the_exchange_has_to_say_so(autojump_clock: MockClock) -> None:
    async with open_pair(request_timeout=600) as (session, sandbox), trio.open_nursery() as nursery:
        for number in range(300):
            nursery.start_soon(session.send, limit_order(30_000 + number))
        for _ in range(150):
            nursery.start_soon(session.send, OpenOrdersStatus())
    # 150 calls of weight 80 are two full minutes; 300 orders are six windows of 10 s. Any 429 would have been raised.
    assert len(sandbox.orders) == 300
    assert 110 <= trio.current_time() <= 200


@pytest.mark.parametrize("fault", [faults.TooManyRequests("ping", retry_after=8), faults.IpBan("ping", retry_after=8)])
async def test_g8_nothing_goes_out_before_retry_after(autojump_clock: MockClock, fault: faults.Fault) -> None:
    async with open_pair() as (session, sandbox):
        sandbox.inject(fault)
        with pytest.raises(bintrio.RateLimited) as caught:
            await session.ping()
        assert caught.value.retry_at == sandbox.now() + 8_000
        before = sum(sandbox.received.values())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.ping)
            await trio.sleep(7.9)
            assert sum(sandbox.received.values()) == before
        assert 8 <= trio.current_time() <= 14


# G9: secrets


SECRET = "a-secret-that-nobody-may-see"


def secretive_key(sandbox: Sandbox) -> bintrio.HmacKey:
    return bintrio.HmacKey(sandbox.hmac_key.api_key, SECRET)


async def test_g9_no_secret_is_told_by_log_repr_error_or_traceback(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even by a traceback that shows every local variable."""
    caplog.set_level(logging.DEBUG)
    told = io.StringIO()
    async with open_sandbox(listen=False) as sandbox:
        private = _private_bytes(sandbox.key)
        for key in (sandbox.key, secretive_key(sandbox)):
            sandbox.inject(faults.Disconnect("order.place"))
            try:
                async with (
                    bintrio.open_session(sandbox.memory_endpoint, connect=sandbox.connect, key=key) as session,
                    session.user_data() as events,
                ):
                    print(repr(session), repr(key), repr(events), vars(session), file=told)
                    await session.send(limit_order())
            except bintrio.BintrioError as error:
                captured = traceback.TracebackException.from_exception(error, capture_locals=True)
                print(repr(error), vars(error), *captured.format(), file=told)
    said = told.getvalue() + caplog.text
    assert "HmacKey(api_key='" in said
    assert "OutcomeUnknown" in said
    assert "InvalidSignature" in said
    assert SECRET not in said
    for text in private:
        assert text not in said.replace(repr(private), "")


def _private_bytes(key: bintrio.Ed25519Key) -> tuple[str, ...]:
    """The private key in the forms in which it could be told."""
    signer: Any = key._signer
    found = [cell.cell_contents for cell in signer.__closure__ if hasattr(cell.cell_contents, "private_bytes_raw")]
    raw: bytes = found[0].private_bytes_raw()
    return raw.hex(), repr(raw), base64.b64encode(raw).decode()


# G10: what is new


async def test_g10_values_that_are_new_can_be_sent_and_are_refused_by_the_exchange_only(
    autojump_clock: MockClock,
) -> None:
    async with open_pair() as (session, _):
        request = OrderPlace(symbol="BTCUSDT", side="BUY", type="ICEBERG_OF_TOMORROW", quantity=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with pytest.raises(bintrio.Rejected) as caught:
            await session.send(request)
        assert caught.value.code == -1116


# Real sockets


# G11: others


async def test_g11_whoever_does_not_read_fails_or_goes_is_alone_with_it(autojump_clock: MockClock) -> None:
    """Four subscribers and two sessions: one does not read, one fails, one session ends, and the rest hear it all."""
    shared = LocalLedger()
    heard: list[int] = []

    async def listen(session: bintrio.Session, task_status: trio.TaskStatus[None]) -> None:
        async with session.user_data() as events:
            task_status.started()
            async for event in events:
                if isinstance(event, bintrio.ExecutionReport):
                    heard.append(event.order_id)

    async def fail(session: bintrio.Session, task_status: trio.TaskStatus[None]) -> None:
        with suppress(ZeroDivisionError):
            async with session.user_data() as events:
                task_status.started()
                await anext(events)
                raise ZeroDivisionError

    async with open_pair(ledger=shared) as (session, sandbox), trio.open_nursery() as nursery:
        async with (
            bintrio.open_session(
                sandbox.memory_endpoint, connect=sandbox.connect, key=sandbox.key, ledger=shared
            ) as other,
            session.user_data(buffer=1) as unread,
        ):
            await nursery.start(listen, session)
            await nursery.start(fail, session)
            await nursery.start(fail, other)
            placed = [(await session.send(limit_order())).order_id for _ in range(3)]
            await trio.sleep(1)
            assert heard == placed
            assert isinstance(await anext(unread), bintrio.ExecutionReport)
            with pytest.raises(bintrio.SubscriberTooSlow):
                await anext(unread)
        placed.append((await session.send(limit_order())).order_id)
        await trio.sleep(1)
        assert heard == placed
        assert session.counters.losses == 0
        nursery.cancel_scope.cancel()


async def test_a_few_hundred_calls_over_tcp_and_a_rotation_in_the_middle() -> None:
    async with open_sandbox() as sandbox, bintrio.open_session(sandbox.endpoint, key=sandbox.key) as session:
        results: list[bintrio.OrderBook] = []

        async def call() -> None:
            results.append(await session.depth(symbol="BTCUSDT", limit=5))

        async with trio.open_nursery() as nursery:
            for _ in range(300):
                nursery.start_soon(call)
            await session.rotate()
        assert len(results) == 300
        assert session.counters.connections == 2


async def test_tls_with_a_certificate_that_verifies_and_without() -> None:
    async with open_sandbox(tls=True) as sandbox:
        async with bintrio.open_session(sandbox.endpoint, key=sandbox.key, ssl_context=sandbox.ssl_context) as session:
            await session.ping()
        with pytest.raises(bintrio.ConnectionFailed, match="CERTIFICATE_VERIFY_FAILED"):
            async with bintrio.open_session(sandbox.endpoint, key=sandbox.key):
                raise AssertionError


@pytest.mark.parametrize("status", [403, 429, 500, 503])
async def test_an_http_status_instead_of_a_handshake_is_told(autojump_clock: MockClock, status: int) -> None:
    async with open_sandbox(listen=False, faults=[faults.HandshakeStatus(status=status)]) as sandbox:
        error = bintrio.RateLimited if status == 429 else bintrio.ConnectionFailed
        with pytest.raises(error, match=f"HTTP {status}"):
            async with bintrio.open_session(sandbox.memory_endpoint, connect=sandbox.connect):
                raise AssertionError


async def test_nobody_listens() -> None:
    async with open_sandbox() as sandbox:
        endpoint = sandbox.endpoint
    with pytest.raises(bintrio.ConnectionFailed):
        async with bintrio.open_session(endpoint, key=ed25519_key()):
            raise AssertionError
