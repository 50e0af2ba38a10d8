"""An account that follows a sandbox: handles, changes, losses, answers that do not fit, cancelled callers."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any, Final

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio import requests
from bintrio._client.observation import Teller
from bintrio._protocol.rotation import FIRST_BACKOFF
from bintrio.account import Certainty, HoldingChanged, LiveAccount, LiveOrder, NotShown, OrderChanged
from bintrio.account.asking import QUERY_DELAY_SECONDS
from bintrio.account.live import open_account
from bintrio.api._base import Request
from bintrio.api._missing import incomplete
from bintrio.endpoints import TimeUnit
from bintrio.errors import (
    BintrioError,
    InvalidRequest,
    NotSent,
    OutcomeUnknown,
    Rejected,
    SubscriberTooSlow,
    Unauthorized,
    UnknownOrder,
    UnknownSymbol,
)
from bintrio.sandbox import (
    Disconnect,
    DropReply,
    EventsFirst,
    LateReply,
    Sandbox,
    ServerError,
    SlowHandshake,
    open_sandbox,
)

D = Decimal
BUY: Final[dict[str, Any]] = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "time_in_force": "GTC",
    "price": 100,
    "quantity": 2,
}
OCO: Final[dict[str, Any]] = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "quantity": 1,
    "above_type": "LIMIT_MAKER",
    "above_price": 200,
    "below_type": "STOP_LOSS",
    "below_stop_price": 50,
}


@asynccontextmanager
async def kept_elsewhere() -> AsyncGenerator[tuple[Sandbox, bintrio.Session, trio.Event]]:
    """A sandbox, a session that another task keeps, and what closes it; at the latest when the block ends."""
    is_over = trio.Event()
    hand_over, take_over = trio.open_memory_channel[tuple[Sandbox, bintrio.Session]](1)

    async def keep() -> None:
        async with (
            open_sandbox(listen=False) as sandbox,
            bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
        ):
            await hand_over.send((sandbox, session))
            await is_over.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep)
        yield (*await take_over.receive(), is_over)
        is_over.set()


class Bent:
    """A session whose answers a test may bend.

    Attributes:
        refuses: what is refused, and how.
        bends: what is made of the answers to a type of request; may raise instead.
        sent: the types of all requests.
        buffer: of user data.
    """

    def __init__(self, session: bintrio.Session) -> None:
        self.session: Final = session
        self.bends: dict[type[Request[Any]], Callable[[Any], Any]] = {}
        self.refuses: dict[type[Request[Any]], BintrioError] = {}
        self.sent: list[str] = []
        self.buffer = 10_000
        self.confirms: list[Callable[[], Any]] = []

    @property
    def teller(self) -> Teller:
        return self.session._shared.observation.about(account=self.session._account.shown)

    @property
    def time_unit(self) -> TimeUnit:
        return self.session.time_unit

    @property
    def is_closed(self) -> bool:
        return self.session.is_closed

    @property
    def unresolved(self) -> tuple[OutcomeUnknown, ...]:
        return self.session.unresolved

    def now(self) -> int:
        return self.session.now()

    def new_client_order_id(self) -> str:
        return self.session.new_client_order_id()

    def user_data(self) -> AbstractAsyncContextManager[bintrio.Subscriber]:
        return self.session.user_data(buffer=self.buffer)

    async def send(self, request: Request[Any], /) -> Any:
        self.sent.append(request.api.name)
        if type(request) in self.refuses:
            raise self.refuses[type(request)]
        answer: object = await self.session.send(request)
        bend = self.bends.get(type(request))
        return answer if bend is None else bend(answer)

    async def confirm(self, call: Any, *, sent_at: int | None = None) -> Any:
        if self.confirms:
            return self.confirms.pop(0)()
        return await self.session.confirm(call, sent_at=sent_at)  # pyright: ignore[reportUnknownVariableType]


@asynccontextmanager
async def following(
    time_unit: TimeUnit = "ms", **options: Any
) -> AsyncGenerator[tuple[Sandbox, Bent, LiveAccount], None]:
    async with (
        open_sandbox(listen=False, query_lag=options.pop("query_lag", 0.0)) as sandbox,
        bintrio.open_session(
            sandbox.endpoint, key=sandbox.key, connect=sandbox.connect, time_unit=time_unit
        ) as session,
    ):
        bent = Bent(session)
        async with open_account(bent, bent.teller, **options) as account:
            yield sandbox, bent, account


async def settled(account: LiveAccount) -> None:
    with trio.fail_after(3600):
        while not account.is_current:
            await account.changed(after=account.version)


def without(record: Any, field: str) -> Any:
    """The record as it is when the exchange leaves out a field."""
    values = {name: getattr(record, name) for name in record.__struct_fields__ if name != field}
    kind: Any = record.__class__
    lacking: Any = incomplete(kind, "order.place", values)
    return lacking  # pyright: ignore[reportUnknownVariableType]


def refusal(kind: type[Rejected], code: int = -1000, **more: Any) -> Rejected:
    return kind("method", status=400, code=code, message="no", **more)


def raising(error: Exception) -> Callable[..., Any]:
    def bend(*_: Any) -> Any:
        raise error

    return bend


# Entering


@pytest.mark.parametrize("unit", ["ms", "us"])
async def test_an_account_shows_what_there_is_and_is_current_when_queries_must_show_all(
    autojump_clock: MockClock, unit: TimeUnit
) -> None:
    async with open_sandbox(listen=False, query_lag=1.5) as sandbox:
        options: dict[str, Any] = {"key": sandbox.key, "connect": sandbox.connect, "time_unit": unit}
        async with bintrio.open_session(sandbox.endpoint, **options) as session:
            placed = await session.send(requests.OrderPlace(**BUY))
            await session.order_list_place_oco(**OCO)
            began = trio.current_time()
            async with session.account() as account:
                assert trio.current_time() == began
                assert (account.is_current, account.as_of, len(account.orders)) == (False, 0, 0)
                assert repr(account) == "<LiveAccount, 0 open orders, version 4, as of 0>"
                await settled(account)
                assert trio.current_time() == began + QUERY_DELAY_SECONDS
                assert len(account.orders) == 3
                order = account.order("BTCUSDT", placed.order_id)
                assert order is not None
                assert order == account.order("BTCUSDT", client_order_id=placed.client_order_id)
                assert order.orig_qty == 2
                assert account.order("BTCUSDT") is account.order("ETHUSDT", placed.order_id) is None
                assert [each.list_order_status for each in account.lists.values()] == ["EXECUTING"]
                assert account.balances["USDT"].locked == 200
                assert account.as_of == session.now()
                assert repr(account) == f"<LiveAccount, 3 open orders, version {account.version}>"


async def test_an_account_shows_at_once_what_queries_show_already(autojump_clock: MockClock) -> None:
    async with (
        open_sandbox(listen=False) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        await session.send(requests.OrderPlace(**BUY))
        await session.order_list_place_oco(**OCO)
        async with session.account() as account:
            assert (len(account.orders), len(account.lists), account.is_current) == (3, 1, False)


async def test_an_account_needs_a_key_and_numbers_that_can_be_right(autojump_clock: MockClock) -> None:
    async with (
        open_sandbox(listen=False) as sandbox,
        bintrio.open_session(sandbox.endpoint, connect=sandbox.connect) as session,
    ):
        with pytest.raises(InvalidRequest, match="needs a key"):
            await session.account().__aenter__()
        for wrong in ({"keep": 0}, {"history": True}):
            with pytest.raises(InvalidRequest, match="must be a positive int"):
                await session.account(**wrong).__aenter__()


async def test_the_account_stays_as_it_was_when_the_session_is_closed(autojump_clock: MockClock) -> None:
    is_over = trio.Event()
    hand_over, take_over = trio.open_memory_channel[bintrio.Session](1)

    async def hold() -> None:
        async with (
            open_sandbox(listen=False) as sandbox,
            bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
        ):
            await hand_over.send(session)
            await is_over.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold)
        session = await take_over.receive()
        async with session.account() as account:
            await settled(account)
            is_over.set()
            await wait_all_tasks_blocked()
            assert account.balances["BTC"].free == 100
            assert not account.is_current
            assert account.as_of == session.now() - 1000
            with pytest.raises(NotSent):
                await account.place(**BUY)
            assert not account.handles
            await trio.sleep(3600)
            assert account.as_of < session.now() - 3_600_000


# Orders


async def test_what_remains_of_an_order_that_was_filled_in_part(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, _, account):
        order = await account.place(**BUY)
        sandbox.trade("BTCUSDT", "SELL", D(100), D("0.5"))
        await wait_all_tasks_blocked()
        assert (order.status, order.remaining) == ("PARTIALLY_FILLED", D("1.5"))


async def test_an_order_is_followed_to_its_end(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, _, account):
        order = await account.place(**BUY)
        assert (order.status, order.remaining, order.is_closed, order.fills) == ("NEW", D(2), False, ())
        assert repr(order) == f"<LiveOrder {order.client_order_id} of BTCUSDT, NEW>"
        assert list(account.handles) == [order]
        fills: list[Any] = []
        waited: list[Any] = []

        async def read() -> None:
            fills.extend([fill async for fill in order.new_fills()])

        async def wait() -> None:
            waited.append(await order.filled())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            nursery.start_soon(wait)
            assert order.order_id is not None
            for _ in range(2):
                await trio.sleep(1)
                sandbox.fill(order.order_id, D(1))
        assert [fill.qty for fill in fills] == [1, 1]
        assert waited == [True]
        assert (order.status, order.remaining) == ("FILLED", D(0))
        assert order.fills == account.fills("BTCUSDT", order.order_id) == tuple(fills)
        assert not account.handles
        assert list(account.closed_orders) == [order.key]
        assert await order.cancel() == order.state
        with pytest.raises(InvalidRequest, match="is FILLED: there is nothing to amend"):
            await order.amend(1)


async def test_help_of_placing_shows_the_parameters_of_the_request(autojump_clock: MockClock) -> None:
    assert LiveAccount.place.__doc__ == bintrio.Session.order_place.__doc__
    async with following() as (_, _, account):
        with pytest.raises(InvalidRequest, match="no parameter 'quantiy'; did you mean 'quantity'"):
            await getattr(account, "place")(**BUY, quantiy=1)  # noqa: B009  # type checkers see it, too


@pytest.mark.parametrize("shape", ["ACK", "RESULT", "FULL"])
@pytest.mark.parametrize("is_first", [True, False])
async def test_a_fill_that_comes_before_its_order_is_of_that_order(
    autojump_clock: MockClock, shape: Any, is_first: bool
) -> None:
    async with following() as (sandbox, _, account):
        sandbox.quote("BTCUSDT", D(99), D(100), D(50))
        sandbox.inject(EventsFirst(method="order.place") if is_first else LateReply(method="order.place", seconds=3))
        order = await account.place(**BUY, new_order_resp_type=shape)
        assert await order.filled()
        assert sum(fill.qty for fill in order.fills) == 2
        assert not account.orders
        assert not account.handles


async def test_an_order_is_amended_and_canceled(autojump_clock: MockClock) -> None:
    async with following() as (_, _, account):
        order = await account.place(**BUY)
        amended = await order.amend("1.5")
        assert amended is not None
        assert amended.orig_qty == D("1.5")
        canceled = await order.cancel()
        assert canceled is not None
        assert (canceled.status, canceled.client_order_id) == ("CANCELED", amended.client_order_id)
        assert await order.closed() == canceled
        assert not await order.filled()
        assert [fill async for fill in order.new_fills()] == []


async def test_a_cancel_that_is_refused_says_why_and_changes_nothing(autojump_clock: MockClock) -> None:
    async with following() as (_, bent, account):
        order = await account.place(**BUY)
        bent.refuses[requests.OrderCancel] = refusal(Rejected)
        with pytest.raises(Rejected):
            await order.cancel()
        assert order.status == "NEW"


async def test_an_order_that_ended_unheard_is_missed_in_the_list_of_open_orders(autojump_clock: MockClock) -> None:
    async with following() as (_, bent, account):
        order = await account.place(**BUY)
        state, known = account._state, order.state
        assert known is not None
        assert order.key is not None
        await bent.session.order_cancel(symbol="BTCUSDT", order_id=order.order_id)
        await wait_all_tasks_blocked()
        state.closed_orders.clear()  # as if the event had not come
        state.open_orders[order.key] = known
        await settled(account)
        assert account.closed_orders[order.key].status == "CANCELED"


async def test_an_order_of_others_is_shown_too(autojump_clock: MockClock) -> None:
    async with following() as (_, bent, account):
        placed = await bent.session.send(requests.OrderPlace(**BUY))
        await account.changed(after=account.version)
        assert list(account.orders) == [("BTCUSDT", placed.order_id)]
        await bent.session.open_orders_cancel_all(symbol="BTCUSDT")
        await wait_all_tasks_blocked()
        assert not account.orders
        assert not account.handles


async def test_an_order_that_is_refused_or_not_sent_is_known_not_to_be(autojump_clock: MockClock) -> None:
    async with following() as (_, _, account):
        with pytest.raises(Rejected):
            await account.place(**BUY, iceberg_qty=10**6)
        assert not account.handles


# What is not known


@pytest.mark.parametrize(
    ("fault", "is_placed"),
    [
        (DropReply(method="order.place"), True),
        (Disconnect(method="order.place", executed=True), True),
        (Disconnect(method="order.place"), False),
        (ServerError(method="order.place", executed=True), True),
        (ServerError(method="order.place", executed=False), False),
    ],
    ids=repr,
)
@pytest.mark.parametrize("own_id", [None, "mine"])
async def test_g1_a_lost_order_is_found_out_about_by_itself(
    autojump_clock: MockClock, fault: Any, is_placed: bool, own_id: str | None
) -> None:
    async with following() as (sandbox, _, account):
        sandbox.inject(fault)
        order = await account.place(**BUY, new_client_order_id=own_id)
        assert order in account.handles
        state = await order.placed()
        if is_placed:
            assert (order.status, order.error) == ("NEW", None)
            assert state is not None
            assert state == account.orders["BTCUSDT", state.order_id]
        else:
            assert state is None
            assert (order.status, order.remaining, order.is_closed) == ("NOT_PLACED", D(0), True)
            assert isinstance(order.error, OutcomeUnknown)
            assert await order.closed() is None
            assert not await order.filled()
            assert await order.cancel() is None
            assert [fill async for fill in order.new_fills()] == []
            with pytest.raises(InvalidRequest, match="NOT_PLACED: there is nothing to amend"):
                await order.amend(1)
            assert not account.handles


@pytest.mark.parametrize("ticks", range(12))
async def test_g1_a_cancelled_caller_leaves_an_order_that_finds_out_about_itself(
    autojump_clock: MockClock, ticks: int
) -> None:
    async with following() as (sandbox, bent, account):
        sandbox.inject(LateReply(method="order.place", seconds=1))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_place, account)
            for _ in range(ticks):
                await trio.lowlevel.checkpoint()
            handles = account.handles
            nursery.cancel_scope.cancel()
        for handle in handles:
            assert isinstance(handle, LiveOrder)
            order = await handle.placed()
            assert (order is not None) == bool(sandbox.orders)
            assert handle.status == ("NEW" if sandbox.orders else "NOT_PLACED")
        await trio.sleep(60)
        assert len(account.orders) == len(sandbox.orders) == len(account.handles)
        assert bent.unresolved == ()


async def _place(account: LiveAccount) -> None:
    await account.place(**BUY)


async def test_an_order_of_which_nothing_is_known_says_so_and_is_asked_about_until_it_is_known(
    autojump_clock: MockClock,
) -> None:
    async with following() as (sandbox, bent, account):
        sandbox.inject(Disconnect(method="order.place"))
        bent.confirms = [raising(NotSent("order.status", "busy")), raising(ExceptionGroup("two", [ValueError()]))]
        order = await account.place(**BUY)
        assert (order.status, order.state, order.remaining, order.key) == ("UNKNOWN", None, None, None)
        assert (order.is_closed, order.fills) == (False, ())
        began = trio.current_time()
        assert await order.placed() is None
        assert trio.current_time() - began >= 120


async def test_canceling_waits_until_it_is_known_whether_there_is_an_order(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, _, account):
        sandbox.inject(ServerError(method="order.place", executed=True))
        order = await account.place(**BUY)
        state = await order.cancel()
        assert state is not None
        assert state.status == "CANCELED"


@pytest.mark.parametrize("is_executed", [True, False])
@pytest.mark.parametrize("method", ["order.cancel", "order.amend.keepPriority"])
async def test_a_lost_cancel_or_amend_is_asked_about(autojump_clock: MockClock, method: str, is_executed: bool) -> None:
    async with following() as (sandbox, _, account):
        order = await account.place(**BUY)
        sandbox.inject(ServerError(method=method, executed=is_executed))
        state = await (order.cancel() if method == "order.cancel" else order.amend(1))
        assert state is not None
        expected = {"order.cancel": ("CANCELED", D(2)), "order.amend.keepPriority": ("NEW", D(1))}[method]
        assert (state.status, state.orig_qty) == (expected if is_executed else ("NEW", D(2)))


async def test_what_confirm_shows_is_taken_in_although_no_event_tells_it(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, bent, account):
        order = await account.place(**BUY)
        assert order.state is not None
        canceled = msgspec.structs.replace(order.state, status="CANCELED", update_time=order.state.update_time + 1)
        bent.confirms = [lambda: canceled]
        sandbox.inject(ServerError(method="order.cancel", executed=False))
        assert await order.cancel() == canceled
        assert not account.orders


async def test_a_cancelled_cancel_is_seen_to_and_told_by_events(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, bent, account):
        order = await account.place(**BUY)
        sandbox.inject(LateReply(method="order.cancel", seconds=5))
        with trio.move_on_after(1):
            await order.cancel()
        assert (await order.closed()) is not None
        await trio.sleep(60)
        assert bent.unresolved == ()
        assert order.status == "CANCELED"


async def test_a_caller_that_was_cancelled_before_the_cancel_left_changes_nothing(autojump_clock: MockClock) -> None:
    async with following() as (_, bent, account):
        order = await account.place(**BUY)
        with trio.CancelScope() as scope:
            scope.cancel()
            await bent_cancel(account, order)
        assert order.status == "NEW"
        assert bent.unresolved == ()


async def bent_cancel(account: LiveAccount, order: LiveOrder) -> None:
    assert order.key is not None
    await account._desk.cancel_order(order.key)  # without the checkpoint before


async def test_an_order_that_has_ended_unheard_is_asked_about_when_it_is_canceled(autojump_clock: MockClock) -> None:
    async with following() as (_, bent, account):
        order = await account.place(**BUY)
        bent.bends[requests.OrderCancel] = raising(refusal(UnknownOrder, -2011))
        state = await order.cancel()  # the exchange did cancel it, and the event says so
        assert state is not None
        assert state.status == "CANCELED"
        assert bent.sent.count("order.status") <= 1


async def test_an_order_that_queries_show_as_open_for_a_while_is_asked_about_twice(autojump_clock: MockClock) -> None:
    async with following(query_lag=1.0) as (_, bent, account):
        order = await account.place(**BUY)
        await settled(account)
        assert order.key is not None
        key, open_order = order.key, order.state
        assert open_order is not None
        await bent.session.order_cancel(symbol="BTCUSDT", order_id=order.order_id)
        state = account._state
        await trio.sleep(1)
        state.closed_orders.clear()  # as if the event had not come
        state.open_orders[key] = open_order
        await account._desk._learn_end(key)
        assert order.status == "CANCELED"


# Answers that lack something


async def test_g10_an_answer_that_lacks_a_field_is_made_up_for_by_a_question(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, bent, account):
        sandbox.inject(Disconnect(method="none"))
        bent.bends[requests.OrderPlace] = lambda answer: without(answer, "price")
        order = await account.place(**BUY)
        assert await order.placed() is not None
        bent.bends[requests.OrderCancel] = lambda answer: without(answer, "status")
        assert await order.cancel() == order.state
        assert order.status == "CANCELED"


async def test_a_question_after_an_answer_that_lacks_a_field_may_fail(autojump_clock: MockClock) -> None:
    async with following() as (_, bent, account):
        bent.bends[requests.OrderPlace] = lambda answer: without(answer, "price")
        bent.bends[requests.OrderStatus] = raising(refusal(Rejected))
        order = await account.place(**BUY)
        assert (await order.placed()) is not None  # the event tells
        await wait_all_tasks_blocked()


# What the exchange shows no more

NO_ORDER = refusal(UnknownOrder, -2013)


def shown_no_more(bent: Bent) -> None:
    """The exchange has forgotten everything."""
    for query in (requests.OpenOrdersStatus, requests.OpenOrderListsStatus, requests.AllOrders):
        bent.bends[query] = lambda _: ()
    for request in (requests.OrderStatus, requests.OrderListStatus, requests.OrderCancel):
        bent.refuses[request] = NO_ORDER


async def test_an_order_that_the_exchange_shows_no_more_is_given_up(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with following() as (sandbox, bent, account):
        order = await account.place(**BUY)
        await settled(account)
        last, before = order.state, account.version
        shown_no_more(bent)
        await outage(sandbox, account, lambda: None)
        assert (order.status, order.remaining, order.has_all_fills) == ("NOT_SHOWN", D(0), True)
        assert (await order.closed(), await order.filled(), await order.cancel()) == (last, False, last)
        assert (dict(account.orders), dict(account.closed_orders), account.handles) == ({}, {}, ())
        assert account.order("BTCUSDT", client_order_id=order.client_order_id) is None
        assert [change.last for change in account._state.changes_after(before) if isinstance(change, NotShown)] == [
            last
        ]
        assert "shows no order" in caplog.text
        # Twice, and never again.
        assert bent.sent.count("order.status") == 2
        await outage(sandbox, account, lambda: None)
        assert bent.sent.count("order.status") == 2


async def test_an_order_that_is_denied_once_and_then_shown_stays_open(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, bent, account):
        order = await account.place(**BUY)
        await settled(account)
        shown_no_more(bent)
        del bent.refuses[requests.OrderStatus]
        denials: list[Exception] = []

        def deny(answer: Any) -> Any:
            if denials:
                raise denials.pop()
            return answer

        bent.bends[requests.OrderStatus] = deny
        for _ in range(2):  # a denial of long ago counts no more
            denials.append(NO_ORDER)
            await outage(sandbox, account, lambda: None)
            assert (order.status, len(account.orders), denials) == ("NEW", 1, [])


async def test_an_order_that_cannot_be_canceled_since_there_is_none_is_given_up(autojump_clock: MockClock) -> None:
    async with following() as (_, bent, account):
        order = await account.place(**BUY)
        shown_no_more(bent)
        last = order.state
        assert await order.cancel() == last
        assert order.status == "NOT_SHOWN"
        # Of what is not known there is nothing to give up.
        assert order.key is not None
        assert not await account._stock.ask_for_order(order.key)
        await trio.sleep(QUERY_DELAY_SECONDS)
        assert not await account._stock.ask_for_order(order.key)
        assert order.status == "NOT_SHOWN"


async def test_an_order_that_is_not_shown_may_come_back(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, bent, account):
        order = await account.place(**BUY)
        shown_no_more(bent)
        await order.cancel()
        assert not account.orders
        sandbox.fill(order.order_id or 0, D(1))
        await wait_all_tasks_blocked()
        assert [known.status for known in account.orders.values()] == ["PARTIALLY_FILLED"]


async def test_a_list_that_the_exchange_shows_no_more_is_given_up(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, bent, account):
        group = await account.place_oco(**OCO)
        await settled(account)
        shown_no_more(bent)
        await outage(sandbox, account, lambda: None)
        assert (group.status, group.is_closed, dict(account.lists), account.handles) == ("NOT_SHOWN", True, {}, ())
        assert [order.status for order in group.orders] == ["NOT_SHOWN"] * 2
        assert await group.closed() == tuple(order.state for order in group.orders)
        assert bent.sent.count("orderList.status") == 2
        # Of what is not known there is nothing to give up.
        account._state.give_up_list(group.list_id or 0)
        assert not account._state.take_changes()


async def test_an_open_list_that_is_listed_is_not_asked_for(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, bent, account):
        await account.place_oco(**OCO)
        await outage(sandbox, account, lambda: None)
        assert {"openOrderLists.status", "orderList.status"} & set(bent.sent) == {"openOrderLists.status"}


# Lists


async def test_an_order_list_is_followed_to_its_end(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, _, account):
        group = await account.place_oco(**OCO)
        assert (group.status, len(group.orders), group.is_closed) == ("EXECUTING", 2, False)
        assert repr(group) == f"<LiveOrderList {group.list_client_order_id} of BTCUSDT, EXECUTING>"
        assert group.state is not None
        assert group.state == account.lists[group.state.order_list_id]
        assert {order.status for order in group.orders} == {"NEW"}
        assert set(account.handles) == {group, *group.orders}
        sandbox.trade("BTCUSDT", "BUY", D(200), D(1))
        ended = await group.closed()
        assert sorted(order.status for order in ended) == ["EXPIRED", "FILLED"]
        assert await group.cancel() == ended
        await wait_all_tasks_blocked()
        assert group.status == "ALL_DONE"
        assert not account.handles


async def test_an_order_list_is_canceled_as_a_whole_or_by_one_of_its_orders(autojump_clock: MockClock) -> None:
    async with following() as (_, _, account):
        first, second = [await account.place_oco(**OCO) for _ in range(2)]
        assert {order.status for order in await first.cancel()} == {"CANCELED"}
        await second.orders[0].cancel()
        assert {order.status for order in await second.closed()} == {"CANCELED"}


async def test_of_a_canceled_list_the_orders_that_still_seem_open_are_asked_about(autojump_clock: MockClock) -> None:
    async with following() as (_, bent, account):
        group = await account.place_oco(**OCO)
        state = account._state
        before = dict(state.open_orders)

        def bend(answer: Any) -> Any:
            state.closed_orders.clear()  # as if the events had not come
            state.open_orders.update(before)
            return msgspec.structs.replace(answer, order_reports=())

        bent.bends[requests.OrderListCancel] = bend
        assert {order.status for order in await group.cancel()} == {"CANCELED"}


@pytest.mark.parametrize("is_executed", [True, False])
async def test_g1_a_lost_order_list_is_found_out_about_by_itself(autojump_clock: MockClock, is_executed: bool) -> None:
    async with following() as (sandbox, _, account):
        sandbox.inject(ServerError(method="orderList.place.oco", executed=is_executed))
        group = await account.place_oco(**OCO, list_client_order_id="mine")
        assert (group.status, group.state) == ("UNKNOWN", None)
        state = await group.placed()
        assert (state is not None) == is_executed
        assert group.status == ("EXECUTING" if is_executed else "NOT_PLACED")
        assert len(group.orders) == (2 if is_executed else 0)
        assert len(await group.cancel()) == len(group.orders)


async def test_an_event_tells_that_a_list_was_placed_before_the_answer_does(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, _, account):
        sandbox.inject(LateReply(method="orderList.place.oco", seconds=5))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_place_oco, account)
            await trio.sleep(1)
            (group, *legs) = account.handles
            assert (group.status, len(legs)) == ("EXECUTING", 2)


async def _place_oco(account: LiveAccount) -> None:
    await account.place_oco(**OCO)


async def test_what_ended_before_the_answer_came_is_no_open_handle(autojump_clock: MockClock) -> None:
    """With ids of the user's own, only the answer tells which order a handle is about."""
    async with following() as (sandbox, _, account):
        for method in ("order.place", "orderList.place.oco"):
            sandbox.inject(LateReply(method=method, seconds=5))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(account.place, **BUY, new_client_order_id="mine"))
            nursery.start_soon(partial(account.place_oco, **OCO, list_client_order_id="my-list"))
            await trio.sleep(1)
            assert {handle.status for handle in account.handles} == {"UNKNOWN"}
            sandbox.trade("BTCUSDT", "SELL", D(100), D(2))
            sandbox.trade("BTCUSDT", "BUY", D(200), D(1))
        await wait_all_tasks_blocked()
        assert not account.orders
        assert not account.handles


@pytest.mark.parametrize("kind", ["place_oto", "place_otoco", "place_opo", "place_opoco"])
async def test_every_kind_of_list_can_be_placed(autojump_clock: MockClock, kind: str) -> None:
    working: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "working_type": "LIMIT",
        "working_side": "BUY",
        "working_price": 90,
        "working_time_in_force": "GTC",
        "working_quantity": 1,
        "pending_side": "SELL",
    }
    single: dict[str, Any] = {"pending_type": "LIMIT", "pending_price": 120, "pending_time_in_force": "GTC"}
    pair: dict[str, Any] = {
        "pending_above_type": "LIMIT_MAKER",
        "pending_above_price": 120,
        "pending_below_type": "STOP_LOSS",
        "pending_below_stop_price": 80,
    }
    params = working | (pair if kind.endswith("oco") else single)
    if not kind.startswith("place_opo"):
        params["pending_quantity"] = 1
    async with following() as (sandbox, _, account):
        group = await getattr(account, kind)(**params)
        assert group.orders[0].status == "NEW"
        assert {order.status for order in group.orders[1:]} == {"PENDING_NEW"}
        sandbox.trade("BTCUSDT", "SELL", D(90), D(1))
        await wait_all_tasks_blocked()
        assert group.orders[0].status == "FILLED"
        assert {order.status for order in group.orders[1:]} == {"NEW"}


# Changes


async def test_changes_come_each_once_and_in_order(autojump_clock: MockClock) -> None:
    async with following(history=50) as (_, _, account):
        await settled(account)
        first = account.version
        told: list[Any] = []

        async def read() -> None:
            async for change in account.changes():
                told.append(change)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await wait_all_tasks_blocked()
            await account.place(**BUY)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        order, holding = told
        assert isinstance(order, OrderChanged)
        assert isinstance(holding, HoldingChanged)
        assert (order.before, order.after.status) == (None, "NEW")
        assert order.source in {"answer", "event"}  # which of them comes first
        assert holding.before is not None
        assert (holding.before.locked, holding.after.locked, holding.source) == (D(0), D(200), "event")
        assert [change.version for change in told] == [first + 1, first + 2]
        again = account.changes(after=first)
        assert [await anext(again) for _ in range(2)] == told
        await again.aclose()  # type: ignore[attr-defined]


async def test_who_reads_changes_too_slowly_is_told(autojump_clock: MockClock) -> None:
    async with following(history=2) as (_, _, account):
        changes = account.changes(after=0)
        await account.place(**BUY)
        await wait_all_tasks_blocked()
        with pytest.raises(SubscriberTooSlow):
            await anext(changes)


async def test_waiting_for_a_version_can_be_cancelled_and_ends_at_once_if_it_is_there(
    autojump_clock: MockClock,
) -> None:
    async with following() as (_, _, account):
        await settled(account)
        with trio.move_on_after(1) as scope:
            await account.changed(after=account.version)
        assert scope.cancelled_caught
        assert await account.changed(after=0) == account.version


# Losses


async def outage(sandbox: Sandbox, account: LiveAccount, act: Callable[[], Any]) -> list[Certainty]:
    """Let something happen while nobody carries the events; what was said of certainty meanwhile."""
    await settled(account)
    before = account.version
    sandbox.disconnect()
    act()
    await wait_all_tasks_blocked()
    await trio.sleep(1)
    await settled(account)
    return [change async for change in _until(account, before) if isinstance(change, Certainty)]


async def _until(account: LiveAccount, version: int) -> AsyncGenerator[Any, None]:
    for change in account._state.changes_after(version):
        yield change


async def test_g5_what_happened_during_an_outage_is_found_and_told_as_such(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, bent, account):
        order = await account.place(**BUY)
        assert order.order_id is not None
        await settled(account)
        asked = bent.sent.count("allOrders")
        told = await outage(sandbox, account, lambda: sandbox.fill(order.order_id or 0, D(2)))
        assert bent.sent.count("allOrders") == asked + 1  # one question covers up to a day
        assert order.status == "FILLED"
        assert [fill.qty for fill in order.fills] == [2]
        assert account.balances["BTC"].free == D("101.998")
        assert [change.as_of is None for change in told] == [False, True]
        assert told[0].reason
        changes = [change async for change in _until(account, 0) if isinstance(change, OrderChanged)]
        assert [(change.after.status, change.source) for change in changes][-1] == ("FILLED", "query")


async def test_g5_orders_that_came_and_went_during_an_outage_are_found_page_by_page(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bintrio.account.stock.PAGE", 2)
    async with following() as (sandbox, bent, account):
        order = await account.place(**BUY)
        await settled(account)
        sandbox.inject(SlowHandshake(seconds=5))
        sandbox.disconnect()
        # The account's session is the first to come back, so the outage lasts for as long as its handshake does.
        await wait_all_tasks_blocked()
        others: list[int] = []
        async with bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as other:
            for _ in range(5):
                placed = await other.send(requests.OrderPlace(**BUY))
                others.append(placed.order_id)
                await other.order_cancel(symbol="BTCUSDT", order_id=placed.order_id)
                # A moment with as many orders as a page could not be read.
                await trio.sleep(0.01)
        for _ in range(3):
            sandbox.trade("BTCUSDT", "SELL", D(100), D("0.5"))
        # An outage is noticed after some seconds; until then the account says that it is current.
        await trio.sleep(10)
        await settled(account)
        assert {key[1] for key in account.closed_orders} >= set(others)
        assert bent.sent.count("allOrders") > 1
        assert [fill.qty for fill in order.fills] == [D("0.5")] * 3


@pytest.mark.parametrize("time_unit", ["ms", "us"])
async def test_orders_of_which_no_event_told_are_found_by_a_question_a_day(
    autojump_clock: MockClock, time_unit: TimeUnit
) -> None:
    async with following(time_unit) as (_, bent, account):
        since = bent.now()
        order = await account.place(**BUY)
        await order.cancel()
        await trio.sleep(3 * 3_600)
        account._state.closed_orders.clear()  # as if the events had not come
        asked = bent.sent.count("allOrders")
        await account._stock._take_changed("BTCUSDT", since)
        assert list(account.closed_orders) == [order.key]
        assert bent.sent.count("allOrders") == asked + 1


@pytest.mark.parametrize(("size", "questions"), [(1, 4), (2, 2)])
async def test_the_trades_of_an_order_are_asked_for_page_by_page(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, size: int, questions: int
) -> None:
    monkeypatch.setattr("bintrio.account.fills.PAGE", size)
    async with following() as (sandbox, bent, account):
        order = await account.place(**BUY)
        for _ in range(3):
            sandbox.trade("BTCUSDT", "SELL", D(100), D("0.5"))
        await wait_all_tasks_blocked()
        fills = order.fills
        account._state.fills.clear()
        assert order.state is not None
        await account._stock.fills.ask(order.state)
        assert order.fills == fills
        assert len(fills) == 3
        assert bent.sent.count("myTrades") == questions


async def test_answers_about_an_order_that_is_not_known_are_left_alone(autojump_clock: MockClock) -> None:
    async with following() as (_, bent, account):
        placed = await bent.session.send(requests.OrderPlace(**BUY))
        await wait_all_tasks_blocked()
        desk, state = account._desk, account._state
        amended = await bent.session.order_amend_keep_priority(
            symbol="BTCUSDT", order_id=placed.order_id, new_qty="0.5"
        )
        answer: Any = await bent.session.order_cancel(symbol="BTCUSDT", order_id=placed.order_id)
        await wait_all_tasks_blocked()
        state.closed_orders.clear()
        desk._take_canceled(answer)
        desk._take_amended(amended)
        assert not state.closed_orders


async def test_a_list_that_ended_during_an_outage_is_asked_about(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, _, account):
        group = await account.place_oco(**OCO)
        await outage(sandbox, account, lambda: sandbox.trade("BTCUSDT", "BUY", D(200), D(1)))
        assert group.status == "ALL_DONE"
        assert group.is_closed


async def test_an_outage_that_begins_while_the_last_is_asked_about_is_asked_about_too(
    autojump_clock: MockClock,
) -> None:
    async with following() as (sandbox, bent, account):
        await settled(account)
        bent.sent.clear()
        sandbox.disconnect()
        await trio.sleep(1.5)
        sandbox.disconnect()
        await settled(account)
        assert account.is_current

        def cut(answer: Any) -> Any:
            sandbox.disconnect()
            return answer

        bent.bends[requests.OpenOrdersStatus] = cut
        before = account.version
        sandbox.disconnect()
        await trio.sleep(30)
        assert [c.as_of is None async for c in _until(account, before) if isinstance(c, Certainty)] == [False]
        bent.bends.clear()
        await settled(account)


@pytest.mark.parametrize("refused", [refusal(UnknownSymbol, -1121), refusal(Unauthorized, -2015)])
async def test_an_account_is_current_also_without_trades_that_the_exchange_refuses_to_tell(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, refused: Rejected
) -> None:
    async with following() as (sandbox, bent, account):
        order = await account.place(**BUY)
        bent.refuses[requests.MyTrades] = refused
        await outage(sandbox, account, lambda: sandbox.fill(order.order_id or 0, D(2)))
        assert account.is_current
        assert account.balances["BTC"].free == D("101.998")
        (closed,) = account.closed_orders.values()
        assert (closed.executed_qty, account.fills(closed.symbol, closed.order_id)) == (D(2), ())
        assert f"does not tell the fills of order {closed.order_id}" in caplog.text
        # After the next loss it is asked again.
        bent.refuses.clear()
        await outage(sandbox, account, lambda: None)
        assert [fill.qty for fill in account.fills(closed.symbol, closed.order_id)] == [2]


async def test_a_question_that_fails_is_asked_again_and_a_ban_is_waited_for(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with following() as (_, bent, account):
        until = bent.now() + 600_000
        ban = refusal(bintrio.Banned, -1003, data={"retryAfter": until})
        unknown = refusal(bintrio.RateLimited, -1003)
        over = refusal(bintrio.RateLimited, -1003, data={"retryAfter": bent.now() - 5_000})
        fails = [refusal(Rejected), unknown, over, ban]

        def bend(answer: Any) -> Any:
            if fails:
                raise fails.pop(0)
            return answer

        bent.bends[requests.AccountStatus] = bend
        await settled(account)
        assert bent.now() >= until
        pauses = [float(pause) for pause in re.findall(r"asking again in (\S+) s", caplog.text)]
        assert FIRST_BACKOFF / 2 <= pauses[0] <= FIRST_BACKOFF
        assert pauses[1:3] == [60, 1]


@pytest.mark.parametrize(("unit", "second"), [("ms", 1_000), ("us", 1_000_000)])
async def test_an_account_that_is_not_read_for_long_begins_anew(
    autojump_clock: MockClock, unit: TimeUnit, second: int
) -> None:
    async with (
        open_sandbox(listen=False) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect, time_unit=unit) as session,
    ):
        bent = Bent(session)
        bent.buffer = 3
        async with open_account(bent, bent.teller) as account:
            await settled(account)
            before = account.version
            for _ in range(8):
                sandbox.deposit("BTC", D(1))
            await wait_all_tasks_blocked()
            assert not account.is_current
            assert account.as_of == pytest.approx(sandbox.now() * second // 1_000 - second, rel=0, abs=second // 100)
            await settled(account)
            assert account.balances["BTC"].free == 108
            reasons = [c.reason for c in account._state.changes_after(before) if isinstance(c, Certainty)]
            assert reasons == ["events came faster than they were taken", ""]


async def test_a_routed_order_has_allocations_for_fills(autojump_clock: MockClock) -> None:
    async with (
        open_sandbox(listen=False, routes=[("BTCUSDT",)]) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
        session.account() as account,
    ):
        sandbox.quote("BTCUSDT", D(99), D(100), D(50))
        order = await account.place_routed(symbol="BTCUSDT", side="BUY", type="MARKET", quantity=2)
        assert await order.filled()
        assert order.state is not None
        assert [(fill.qty, fill.alloc_id) for fill in order.fills] == [(D(2), 0)]
        account._state.fills.clear()
        await account._stock.fills.ask(order.state)
        assert [(fill.qty, fill.alloc_id) for fill in order.fills] == [(D(2), 0)]


async def test_what_happens_while_an_account_is_entered_is_applied_to_what_it_was_answered(
    autojump_clock: MockClock,
) -> None:
    async with (
        open_sandbox(listen=False, query_lag=1.5) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        early, late = [await session.send(requests.OrderPlace(**BUY)) for _ in range(2)]
        await trio.sleep(5)
        sandbox.inject(LateReply(method="openOrders.status", seconds=3))
        async with trio.open_nursery() as nursery:

            async def trade() -> None:
                await trio.sleep(1)
                sandbox.fill(early.order_id)
                sandbox.fill(late.order_id, D(1))

            nursery.start_soon(trade)
            async with session.account() as account:
                # The answers were older than that, and came after it.
                await wait_all_tasks_blocked()
                assert [order.executed_qty for order in account.orders.values()] == [1]
                btc = account.balances["BTC"]
                assert {each.asset: each.free for each in sandbox.balances()}["BTC"] == btc.free
                await settled(account)
                assert [order.executed_qty for order in account.closed_orders.values()] == [2]


async def test_what_an_account_shows_cannot_be_changed(autojump_clock: MockClock) -> None:
    async with following() as (_, _, account):
        order = await account.place(**BUY)
        # Type checkers do not let it be tried.
        mappings: tuple[Any, ...] = (account.orders, account.closed_orders, account.balances, account.lists)
        for shown in mappings:
            with pytest.raises(TypeError, match="does not support item assignment"):
                shown["BTC"] = None
        records: tuple[Any, ...] = (order.state, account.balances["BTC"], *account._state.changes)
        for record in records:
            with pytest.raises(AttributeError, match="immutable"):
                record.symbol = "ETHUSDT"
