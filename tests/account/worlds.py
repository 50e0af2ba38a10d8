"""Small worlds by seed: a bot that trades through an account while everything goes wrong, and the exchange's own word.

What the account has shown is held against every state that the exchange was in, and at rest against how it stands.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import trio
from trio.testing import MockClock

import bintrio
from bintrio import sandbox as faults
from bintrio.account import FillAdded, HoldingChanged, LiveAccount, LiveOrder, LiveOrderList, OrderChanged
from bintrio.errors import BintrioError
from bintrio.sandbox import Sandbox, open_sandbox

QUIET: Final = 900.0
"""Seconds after which everything that was lost has been found out."""

SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
METHODS: Final = (
    "order.place",
    "order.cancel",
    "order.amend.keepPriority",
    "orderList.place.oco",
    "orderList.place.opo",
    "order.cancelReplace",
    "orderList.cancel",
    "openOrders.status",
    "account.status",
    "order.status",
    "allOrders",
    "userDataStream.subscribe",
    "myTrades",
    None,
)


class Witness:
    """Every state that orders and balances of the exchange were in."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.orders: set[tuple[Any, ...]] = set()
        self.balances: set[tuple[Any, ...]] = set()
        self._engine: Any = sandbox._exchange.engine
        self._uid = sandbox.account.uid
        reports: Any = self._engine.reports
        self._note_balances(())
        tell_order, tell_balances = reports.of_order, reports.of_balances

        def of_order(order: Any, *args: Any, **kwargs: Any) -> Any:
            self.orders.add((order.order_id, order.status, order.executed, order.quantity))
            self._note_balances(())
            return tell_order(order, *args, **kwargs)

        def of_balances(account: Any, *args: Any, **kwargs: Any) -> Any:
            self._note_balances(())
            return tell_balances(account, *args, **kwargs)

        reports.of_order, reports.of_balances = of_order, of_balances

    def _note_balances(self, _: Any) -> None:
        for asset, holding in self._engine.accounts[self._uid]._holdings.items():
            self.balances.add((asset, holding.free, holding.locked))


class Bot:
    """Does what a seed says."""

    def __init__(self, seed: int, sandbox: Sandbox, session: bintrio.Session, account: LiveAccount) -> None:
        self.chance = random.Random(seed)
        self.sandbox, self.session, self.account = sandbox, session, account
        self.handles: list[LiveOrder | LiveOrderList] = []
        self.said: list[str] = []
        self.untrue: list[str] = []

    async def trade(self, steps: int) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(steps):
                act = self.chance.choice(self.ACTS)
                nursery.start_soon(self._carefully, act)
                await trio.sleep(self.chance.choice((0, 0.001, 0.05, 1, 7)))

    async def _carefully(self, act: Any) -> None:
        patience = self.chance.choice((0, 0.0005, 0.5, 5, 60, 60, 60))
        try:
            with trio.move_on_after(patience):
                await act(self)
        except BintrioError as error:
            self.said.append(f"{act.__name__}: {error}")

    def _order(self) -> dict[str, Any]:
        side, price = self.chance.choice((("BUY", 90), ("SELL", 110), ("BUY", 105), ("SELL", 95)))
        return {"symbol": self.chance.choice(SYMBOLS), "side": side, "type": "LIMIT", "time_in_force": "GTC",
                "price": price + self.chance.randrange(5), "quantity": self.chance.randrange(1, 5)}  # fmt: skip

    async def place(self) -> None:
        shape: Any = self.chance.choice((None, "ACK", "RESULT", "FULL"))
        self.handles.append(await self.account.place(**self._order(), new_order_resp_type=shape))

    async def place_elsewhere(self) -> None:
        await self.session.order_place(**self._order())

    async def place_list(self) -> None:
        symbol = self.chance.choice(SYMBOLS)
        params: Any = {
            "above_type": "LIMIT_MAKER",
            "above_price": 130,
            "below_type": "STOP_LOSS",
            "below_stop_price": 60,
        }
        self.handles.append(await self.account.place_oco(symbol=symbol, side="SELL", quantity=1, **params))

    async def place_market(self) -> None:
        order: dict[str, Any] = {key: value for key, value in self._order().items() if key in {"symbol", "side"}}
        amount: dict[str, Any] = self.chance.choice(
            ({"quantity": self.chance.randrange(1, 5)}, {"quote_order_qty": 250})
        )
        self.handles.append(await self.account.place(**order, **amount, type="MARKET"))

    async def place_pair(self) -> None:
        """A buy, and a sell of what it brings."""
        params: Any = {
            "symbol": self.chance.choice(SYMBOLS),
            "working_type": "LIMIT",
            "working_side": "BUY",
            "working_time_in_force": self.chance.choice(("GTC", "IOC", "FOK")),
            "working_price": self.chance.choice((90, 105)),
            "working_quantity": self.chance.randrange(1, 5),
            "pending_type": "LIMIT",
            "pending_side": "SELL",
            "pending_time_in_force": "GTC",
            "pending_price": self.chance.choice((95, 120)),
        }
        self.handles.append(await self.account.place_opo(**params))

    async def replace(self) -> None:
        """Cancel an order and place another, past the account."""
        orders = [each for each in self.handles if isinstance(each, LiveOrder) and each.order_id is not None]
        if orders:
            old = self.chance.choice(orders)
            params: dict[str, Any] = {**self._order(), "symbol": old.symbol}
            mode: Any = self.chance.choice(("STOP_ON_FAILURE", "ALLOW_FAILURE"))
            await self.session.order_cancel_replace(**params, cancel_replace_mode=mode, cancel_order_id=old.order_id)

    async def cancel(self) -> None:
        if self.handles:
            await self.chance.choice(self.handles).cancel()

    async def amend(self) -> None:
        orders = [each for each in self.handles if isinstance(each, LiveOrder)]
        if orders:
            await self.chance.choice(orders).amend(1)

    async def wait(self) -> None:
        """Whoever has waited for the end adds up the fills at once."""
        orders = [each for each in self.handles if isinstance(each, LiveOrder)]
        if orders:
            order = self.chance.choice(orders)
            closed = await order.closed()
            executed = Decimal(0) if closed is None else closed.executed_qty
            if sum((fill.qty for fill in order.fills), Decimal(0)) != executed:
                self.untrue.append(f"{order} has ended, and its fills are not known: {order.fills}")

    async def fill(self) -> None:
        resting = [order for order in self.sandbox.orders if order.is_open and order.place == "book"]
        if resting:
            order = self.chance.choice(resting)
            self.sandbox.trade(order.symbol, "SELL" if order.is_buy else "BUY", order.limit, Decimal(1))

    async def deposit(self) -> None:
        self.sandbox.deposit(self.chance.choice(("BTC", "USDT", "ETH")), Decimal(self.chance.randrange(1, 9)))

    async def go_wrong(self) -> None:
        method = self.chance.choice(METHODS)
        fault: Any = self.chance.choice((
            faults.DropReply(method=method),
            faults.Disconnect(method=method, executed=self.chance.random() < 0.5),
            faults.LateReply(method=method, seconds=self.chance.choice((0.1, 3, 20))),
            faults.EventsFirst(method=method),
            faults.ServerError(method=method, executed=self.chance.random() < 0.5),
            faults.Timeout(method=method, executed=self.chance.random() < 0.5),
            faults.DuplicateReply(method=method),
            faults.HalfOpen(method=method),
            faults.MutePings(),
        ))  # fmt: skip
        self.sandbox.inject(fault)

    async def cut(self) -> None:
        self.sandbox.disconnect()

    async def rotate(self) -> None:
        await self.session.rotate()

    ACTS: Final = (
        *(place, place, place, place_elsewhere, place_list, place_market, place_pair, replace, cancel, cancel, amend),
        *(wait, wait, fill, fill, deposit, go_wrong, go_wrong, cut, rotate),
    )


@asynccontextmanager
async def world(seed: int) -> AsyncGenerator[tuple[Sandbox, bintrio.Session, LiveAccount, Witness]]:
    chance = random.Random(f"world {seed}")
    lag, unit = chance.choice((0.0, 0.0, 0.7, 1.9)), chance.choice(("ms", "us"))
    async with open_sandbox(listen=False, query_lag=lag) as sandbox:
        witness = Witness(sandbox)
        options: dict[str, Any] = {"key": chance.choice((sandbox.key, sandbox.hmac_key)), "time_unit": unit}
        async with (
            bintrio.open_session(sandbox.endpoint, connect=sandbox.connect, **options) as session,
            session.account() as account,
        ):
            yield sandbox, session, account, witness


async def run(seed: int, steps: int = 60) -> list[str]:
    """What was untrue in a world; nothing, if all went well."""
    found: list[str] = []
    async with world(seed) as (sandbox, session, account, witness):
        bot = Bot(seed, sandbox, session, account)
        await bot.trade(steps)
        await trio.sleep(QUIET)
        if not account.is_current:
            found.append(f"the account is not certain at rest: {account!r}")
        found += bot.untrue + complaints_at_rest(sandbox, account, bot)
        found += complaints_of_changes(account, witness)
    return found


def complaints_at_rest(sandbox: Sandbox, account: LiveAccount, bot: Bot) -> list[str]:
    found: list[str] = []
    uid = sandbox.account.uid
    truth = sandbox._exchange.engine.accounts[uid]
    orders = {(order.symbol, order.order_id): order for order in truth.orders.values()}
    is_open = {key for key, order in orders.items() if order.is_open}
    if set(account.orders) != is_open:
        found.append(f"open orders: {sorted(account.orders)} instead of {sorted(is_open)}")
    for key, order in (*account.orders.items(), *account.closed_orders.items()):
        real = orders[key]
        if (order.status, order.executed_qty, order.orig_qty) != (real.status, real.executed, real.quantity):
            found.append(f"order {key}: {order} instead of {real}")
        fills = sum((fill.qty for fill in account.fills(*key)), Decimal(0))
        if fills != real.executed:
            found.append(f"fills of {key}: {fills} instead of {real.executed}")
    for asset, holding in truth._holdings.items():
        known = account.balances.get(asset)
        if known is None or (known.free, known.locked) != (holding.free, holding.locked):
            found.append(f"{asset}: {known} instead of {holding}")
    for handle in bot.handles:
        found += complaint_of_handle(handle, orders)
    if account.handles and not is_open:
        found.append(f"handles of nothing: {account.handles}")
    placed = {order.client_order_id for order in orders.values()}
    found += [f"{handle} is not known" for handle in account.handles if handle.status == "UNKNOWN"]
    refused = [each for each in bot.handles if isinstance(each, LiveOrder) and each.was_refused]
    return found + [f"{each} exists" for each in refused if each.client_order_id in placed]


def complaint_of_handle(handle: LiveOrder | LiveOrderList, orders: dict[Any, Any]) -> list[str]:
    if isinstance(handle, LiveOrderList):
        return [each for leg in handle.orders for each in complaint_of_handle(leg, orders)]
    real = None if handle.key is None else orders[handle.key]
    expected = "NOT_PLACED" if real is None else real.status
    return [] if handle.status == expected else [f"{handle} is {expected}"]


def complaints_of_changes(account: LiveAccount, witness: Witness) -> list[str]:
    found: list[str] = []
    for change in account._state.changes:
        if isinstance(change, OrderChanged):
            order = change.after
            shown: tuple[Any, ...] = (order.order_id, order.status, order.executed_qty, order.orig_qty)
            if shown not in witness.orders:
                found.append(f"order never was so: {shown} by {change.source}")
        elif isinstance(change, HoldingChanged) and change.after.is_certain:
            held = change.after
            if (held.asset, held.free, held.locked) not in witness.balances:
                found.append(f"balance never was so: {held}")
    added = [change for change in account._state.changes if isinstance(change, FillAdded)]
    fills = [(each.symbol, each.order_id, each.fill.trade_id, each.fill.alloc_id) for each in added]
    if len(fills) != len(set(fills)):
        found.append("a fill was told twice")
    return found


def run_seed(seed: int, steps: int = 60) -> list[str]:
    return trio.run(run, seed, steps, clock=MockClock(autojump_threshold=0))
