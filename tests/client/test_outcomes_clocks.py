"""What confirm says while the exchange's clock is set."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio import OutcomeUnknown
from bintrio import sandbox as faults
from bintrio._client.in_flight import DEFAULT_RECV_WINDOW
from bintrio._protocol.evidence import QUERY_DELAY
from bintrio.requests import OrderPlace
from tests.orders import NO_ORDER, PAIR, limit, open_market
from tests.peer import ACK, ORDER, START, open_pair
from tests.sessions import BUY, HMAC

pytestmark = pytest.mark.usefixtures("both_streams")


class Skewed:
    """An exchange whose clock is set now and then, and which has one order, or none."""

    def __init__(self, session: bintrio.Session, exchange: Any) -> None:
        self.session, self.exchange, self.skew = session, exchange, 0
        self.orders: list[dict[str, Any]] = []
        self.hidden_until = 0.0
        exchange.script["time"] = self.time
        exchange.script["order.status"] = self.status
        exchange.script["allOrders"] = self.all

    def now(self) -> int:
        return START + round(trio.current_time() * 1000) + self.skew

    def shown(self) -> list[dict[str, Any]]:
        return self.orders if trio.current_time() >= self.hidden_until else []

    def time(self, _peer: Any) -> Any:
        return {"serverTime": self.now()}

    def status(self, _peer: Any) -> Any:
        return self.shown()[-1] if self.shown() else NO_ORDER

    def all(self, _peer: Any) -> Any:
        return self.shown()

    def place(self, number: int) -> dict[str, Any]:
        self.orders.append({**ORDER, "orderId": number, "time": self.now(), "updateTime": self.now()})
        return self.orders[-1]

    async def lose(self, *, is_executed: bool, step: int = 0) -> OutcomeUnknown[OrderPlace]:
        """A call whose answer does not come. The clock is set while it is on its way."""
        with trio.move_on_after(1):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.session.send, BUY)
                assert (await self.exchange.peers[-1].next())["method"] == "order.place"
                self.skew += step
                if is_executed:
                    self.place(9)
        return self.session.unresolved[-1]

    async def lose_while_it_is_set(self, step: int, measured: str, *, is_executed: bool) -> OutcomeUnknown[Any]:
        """The clock is set before the call or while it is on its way, and measured before, by confirm, or meanwhile."""
        if measured == "before":
            self.skew += step
            await self.session.rotate()
            step = 0
        unknown = await self.lose(is_executed=is_executed, step=step)
        if measured == "meanwhile":
            await self.session.rotate()
        return unknown


@pytest.mark.untraced
@pytest.mark.parametrize("step", [-990, -500, 500, 4_000])
@pytest.mark.parametrize("measured", ["before", "by confirm", "meanwhile"])
@pytest.mark.parametrize("is_executed", [False, True])
async def test_g7_what_became_of_an_order_is_told_whatever_the_clock_was_set_to(
    autojump_clock: MockClock, step: int, measured: str, is_executed: bool
) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        world = Skewed(session, exchange)
        await trio.sleep(10)
        unknown = await world.lose_while_it_is_set(step, measured, is_executed=is_executed)
        found: Any = await session.confirm(unknown)
        assert (found and found.order_id) == (9 if is_executed else None)
        if not is_executed:  # and it was said no sooner than it can be known
            assert world.now() >= START + 10_000 + min(step, 0) + DEFAULT_RECV_WINDOW + QUERY_DELAY


async def test_g7_an_order_is_not_denied_by_a_clock_that_was_set_and_set_back_between_two_samples(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        world = Skewed(session, exchange)
        await trio.sleep(10)
        world.skew -= 500
        unknown = await world.lose(is_executed=True)
        world.skew += 500
        with pytest.raises(OutcomeUnknown, match="came to no order, or to order 9 if"):
            await session.confirm(unknown)


async def test_g8_while_the_clock_stands_still_what_became_of_an_order_is_asked_ever_more_rarely(
    autojump_clock: MockClock,
) -> None:
    """Each look at the clock says that it was set, until it goes on."""
    async with open_pair(key=HMAC) as (session, exchange):
        world = Skewed(session, exchange)
        await trio.sleep(10)
        unknown = await world.lose(is_executed=True)
        stood_at, goes_on_at = world.now() + 30_000, trio.current_time() + 20

        def time(_peer: Any) -> dict[str, Any]:
            return {"serverTime": stood_at + max(0, round((trio.current_time() - goes_on_at) * 1000))}

        exchange.script["time"], exchange.delay = time, 0.02
        asked = len(exchange.log)
        found: Any = await session.confirm(unknown)
        assert found is not None
        assert found.order_id == 9
        assert goes_on_at < trio.current_time() < goes_on_at + 40
        assert len(exchange.log) - asked < 40


class SkewedLists(Skewed):
    """The same of order lists, each of two orders."""

    def __init__(self, session: bintrio.Session, exchange: Any) -> None:
        super().__init__(session, exchange)
        self.lists: list[dict[str, Any]] = []
        exchange.script["order.status"] = self.status_by_number
        exchange.script["orderList.status"] = self.list_status
        exchange.script["allOrderLists"] = self.all_lists

    def all_lists(self, _peer: Any) -> list[dict[str, Any]]:
        return self.lists if trio.current_time() >= self.hidden_until else []

    def list_status(self, peer: Any) -> Any:
        return self.all_lists(peer)[-1] if self.all_lists(peer) else NO_ORDER

    def status_by_number(self, peer: Any) -> Any:
        wanted = peer.exchange.log[-1]["params"]["orderId"]
        return next((order for order in self.shown() if order["orderId"] == wanted), NO_ORDER)

    def place(self, number: int) -> dict[str, Any]:
        orders: list[dict[str, Any]] = []
        for leg, name in enumerate("wp"):
            super().place(10 * number + leg).update(clientOrderId=name, orderListId=number)
            orders.append({"symbol": "BTCUSDT", "orderId": 10 * number + leg, "clientOrderId": name})
        told = {"contingencyType": "OTO", "listStatusType": "EXEC_STARTED", "listOrderStatus": "EXECUTING"}
        named = {"orderListId": number, "listClientOrderId": "list", "symbol": "BTCUSDT"}
        self.lists.append({**told, **named, "transactionTime": self.now(), "orders": orders})
        return self.lists[-1]

    async def lose(self, *, is_executed: bool, step: int = 0) -> OutcomeUnknown[Any]:
        with trio.move_on_after(1):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.session.send, PAIR)
                assert (await self.exchange.peers[-1].next())["method"] == "orderList.place.oto"
                self.skew += step
                if is_executed:
                    self.place(9)
        return self.session.unresolved[-1]


@pytest.mark.untraced
@pytest.mark.parametrize("step", [-990, -500, 500, 4_000])
@pytest.mark.parametrize("measured", ["before", "by confirm", "meanwhile"])
@pytest.mark.parametrize("is_used", [False, True], ids=["new names", "names used before"])
@pytest.mark.parametrize("is_executed", [False, True])
async def test_g7_what_became_of_an_order_list_is_told_whatever_the_clock_was_set_to(
    autojump_clock: MockClock, step: int, measured: str, is_executed: bool, is_used: bool
) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        world = SkewedLists(session, exchange)
        if is_used:
            world.place(3)["listOrderStatus"] = "ALL_DONE"
        await trio.sleep(70)
        sent_at = world.now()
        unknown = await world.lose_while_it_is_set(step, measured, is_executed=is_executed)
        found: Any = await session.confirm(unknown)
        assert (found and found.order_list_id) == (9 if is_executed else None)
        if not is_executed:  # and it was said no sooner than it can be known
            assert world.now() >= sent_at + min(step, 0) + DEFAULT_RECV_WINDOW + QUERY_DELAY


@pytest.mark.parametrize("step", [0, 3_600_000])
async def test_g7_an_order_list_that_queries_show_late_is_found_whatever_the_clock_was_set_to(
    autojump_clock: MockClock, step: int
) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        world = SkewedLists(session, exchange)
        world.place(3)["listOrderStatus"] = "ALL_DONE"
        await trio.sleep(70)
        unknown = await world.lose(is_executed=True)
        world.hidden_until = trio.current_time() + 1.9
        world.skew = step
        await session.rotate()
        found: Any = await session.confirm(unknown)
        assert found is not None
        assert found.order_list_id == 9


@pytest.mark.parametrize("step", [-500, 500])
async def test_g7_an_order_that_was_there_is_not_told_of_whatever_the_clock_was_set_to(
    autojump_clock: MockClock, step: int
) -> None:
    """Its id was seen, and its time proves nothing since the clock was adjusted."""
    async with open_pair(key=HMAC) as (session, exchange):
        world = Skewed(session, exchange)
        await trio.sleep(10)
        exchange.script["order.place"] = lambda _peer: {**ACK, "orderId": world.place(8)["orderId"]}
        world.skew += max(step, 0)
        await session.send(BUY)
        exchange.script["order.place"] = None
        world.skew += min(step, 0)
        unknown = await world.lose(is_executed=False)
        try:
            assert await session.confirm(unknown) is None
        except OutcomeUnknown as undecided:
            assert "there was one with a higher id before" in undecided.reason  # noqa: PT017


async def test_g7_what_a_clock_was_set_forward_by_is_no_time_in_which_queries_caught_up(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        world = Skewed(session, exchange)
        unknown = await world.lose(is_executed=True)
        world.hidden_until = trio.current_time() + 1.9
        world.skew = 3_600_000
        await session.rotate()
        found: Any = await session.confirm(unknown)
        assert found is not None
        assert found.order_id == 9


async def test_g7_without_a_clock_nobody_says_that_there_is_no_order(autojump_clock: MockClock) -> None:
    """An order that a clock set back has dated before the call left, and the clock cannot be measured."""
    async with open_pair(key=HMAC) as (session, exchange):
        world = Skewed(session, exchange)
        await trio.sleep(10)
        unknown = await world.lose(is_executed=True, step=-500)
        exchange.script["time"] = lambda _peer: {"status": 503, "error": {"code": -1008, "msg": "Later."}}
        with pytest.raises(OutcomeUnknown, match="time has told nothing for certain within 20 s"):
            await session.within(20).confirm(unknown)
        exchange.script["time"] = lambda _peer: {"serverTime": world.now()}
        found: Any = await session.confirm(unknown)
        assert found is not None
        assert found.order_id == 9


async def test_g7_that_there_is_no_order_counts_only_when_the_clock_cannot_be_wrong_any_more(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        with pytest.raises(OutcomeUnknown) as caught:
            await session.within(1).send(BUY)
        assert caught.value.final_at is not None
        local = trio.current_time()
        session._shared.clock.forget()
        session._shared.clock.record(local - 4, START + round((local - 2) * 1000), local)  # true, or wrong by 2 s

        async def deny() -> None:
            while True:
                request = await exchange.peers[0].next()
                if request["method"] == "order.status":
                    await exchange.peers[0].refuse(request, 400, -2013, "Order does not exist.")
                else:
                    await exchange.peers[0].answer(request, [])

        nursery.start_soon(deny)
        assert await session.confirm(caught.value) is None
        answered_at = START + round(trio.current_time() * 1000)
        assert answered_at >= caught.value.final_at + QUERY_DELAY + 2000
        nursery.cancel_scope.cancel()


async def test_g1_a_question_for_the_time_that_is_never_answered_is_asked_again(autojump_clock: MockClock) -> None:
    async with open_market() as (session, sandbox):
        sandbox.inject(faults.Timeout("order.place", executed=False))
        with pytest.raises(OutcomeUnknown) as caught:
            await session.send(limit())
        sandbox.inject(faults.DropReply("time"))
        began = trio.current_time()
        assert await session.confirm(caught.value) is None
        # Until no order can come of it any more and queries must show it, the question in vain, and the pause after it.
        assert 15 < trio.current_time() - began < 30
