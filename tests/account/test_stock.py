"""What an account asks after a loss, against an exchange of lists that cuts its pages where it likes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

import pytest
import trio
from trio.testing import MockClock

from bintrio._client.observation import Observation
from bintrio.account import Certainty, HoldingChanged
from bintrio.account.state import State
from bintrio.account.stock import Stock
from bintrio.api._base import Request
from bintrio.api.account import Order
from bintrio.requests import AccountStatus, AllOrders, OrderPlace
from bintrio.sandbox import RefuseConnection

from .test_live import BUY, following, settled
from .test_state import an_account, an_order, position

Cut: TypeAlias = Callable[[Sequence[Order], int], Sequence[Order]]
"""Which orders of a span fit into a page of so many."""

DAY = 86_400_000
NOW = 3 * DAY


class Exchange:
    """Nothing is open, and each order ended when it was updated.

    Attributes:
        orders: all that there are.
        spans: the times that were asked for.
        is_closed: whether nothing can be asked any more.
        accounts: what account.status answers, one after the other; the last one again and again.
    """

    def __init__(self, orders: Sequence[Order], cut: Cut) -> None:
        self.orders = orders
        self.spans: list[tuple[int, int]] = []
        self.is_closed = False
        self.accounts = [an_account(NOW)]
        self._cut = cut

    def now(self) -> int:
        return NOW

    async def send(self, request: Request[Any], /) -> Any:
        await trio.lowlevel.checkpoint()
        if isinstance(request, AccountStatus):
            return self.accounts.pop(0) if len(self.accounts) > 1 else self.accounts[0]
        return self._page(request) if isinstance(request, AllOrders) else ()

    def _page(self, request: AllOrders) -> tuple[Order, ...]:
        assert request.start_time is not None
        assert request.end_time is not None
        assert request.limit is not None
        self.spans.append((request.start_time, request.end_time))
        found = [order for order in self.orders if request.start_time <= order.update_time <= request.end_time]
        return tuple(self._cut(found, request.limit))


def ended(number: int, time: int) -> Order:
    return an_order(number, status="CANCELED", update_time=time)


def the_oldest(orders: Sequence[Order], size: int) -> Sequence[Order]:
    return sorted(orders, key=lambda order: order.update_time)[:size]


def the_newest(orders: Sequence[Order], size: int) -> Sequence[Order]:
    return sorted(orders, key=lambda order: order.update_time)[-size:]


def the_first_placed(orders: Sequence[Order], size: int) -> Sequence[Order]:
    return sorted(orders, key=lambda order: order.order_id)[:size]


def stock_of(exchange: Exchange, since: int) -> tuple[Stock, State]:
    """An account that was current, and then missed what came since."""
    state = State(keep=1000, history=1000)
    state.settle()
    state.lose(since, "a test")
    stock = Stock(exchange, Observation("a test").about(account="key…"), state, 1000, lambda: None)
    stock.symbols.add("BTCUSDT")
    stock.resume()
    return stock, state


@pytest.mark.parametrize("cut", [the_oldest, the_newest, the_first_placed])
async def test_g5_whichever_orders_a_full_page_leaves_out_an_account_finds_each_after_a_loss(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, cut: Cut
) -> None:
    monkeypatch.setattr("bintrio.account.stock.PAGE", 3)
    since = NOW - 2 * DAY
    # Later ones were placed earlier; and most changed within a second.
    times = [since, *range(NOW - 1000, NOW - 900, 10), NOW]
    exchange = Exchange([ended(100 - number, time) for number, time in enumerate(times)], cut)
    stock, state = stock_of(exchange, since)
    await stock.complete()
    assert state.as_of is None
    assert sorted(order.update_time for order in state.closed_orders.values()) == times
    assert all(0 <= end - start < DAY for start, end in exchange.spans)


async def test_g5_an_account_says_as_of_when_it_stands_while_one_moment_has_more_orders_than_a_page(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bintrio.account.stock.PAGE", 2)
    exchange = Exchange([ended(number, NOW - 50) for number in (1, 2, 3)], the_oldest)
    stock, state = stock_of(exchange, NOW - 100)
    async with trio.open_nursery() as nursery:
        with caplog.at_level(logging.WARNING, "bintrio.account"):
            nursery.start_soon(stock.complete)
            await trio.sleep(10)
        assert state.as_of == NOW - 100
        assert f"allOrders: 2 rows have the time {NOW - 50}, and there may be more" in caplog.text
        exchange.orders = exchange.orders[:1]
    certainties = [change.as_of for change in state.changes if isinstance(change, Certainty)]
    assert certainties == [None, NOW - 100, None]
    assert [*state.closed_orders] == [("BTCUSDT", 1)]


async def test_g5_an_account_asks_again_where_the_answer_is_older_than_what_was_known(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = Exchange((), the_oldest)
    exchange.accounts = [an_account(NOW - 9, BTC=1, USDT=5), an_account(NOW - 5, BTC=2, USDT=7)]
    stock, state = stock_of(exchange, NOW - 100)
    state.apply(position(NOW - 5, 7, asset="USDT"))
    before = state.version
    with caplog.at_level(logging.WARNING, "bintrio.account"):
        await stock.complete()
    told = [
        change.after.free if isinstance(change, HoldingChanged) else "current"
        for change in state.changes_after(before)
        if isinstance(change, HoldingChanged | Certainty)
    ]
    # It is not current by what it was told first.
    assert told == [1, 2, "current"]
    assert state.holdings["USDT"].free == 7
    assert f"account.status is of {NOW - 9}, and events have told of {NOW - 5}" in caplog.text


@pytest.mark.parametrize(("keep", "keep_for"), [(1000, 60), (1, 86_400)])
async def test_g5_trades_are_told_of_orders_too_that_are_not_kept_once_all_is_known(
    autojump_clock: MockClock, keep: int, keep_for: float
) -> None:
    async with following(keep=keep, keep_for=keep_for) as (sandbox, bent, account):
        await settled(account)
        placed = [await bent.session.send(OrderPlace(**BUY)) for _ in range(3)]
        await trio.sleep(1)
        seen = account.version
        sandbox.inject(RefuseConnection(times=None))
        sandbox.disconnect()
        for order in placed:
            sandbox.fill(order.order_id, Decimal(2))
        await trio.sleep(120)
        sandbox.clear_faults()
        await settled(account)
        told = Counter(type(change).__name__ for change in account._state.changes_after(seen))
        assert (told["OrderChanged"], told["FillAdded"]) == (3, 3)
        assert len(account.closed_orders) == min(keep, 3 if keep_for > 60 else 0)
