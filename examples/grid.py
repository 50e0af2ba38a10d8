"""A grid bot on an account that keeps itself up to date: it buys in steps below a price, and sells at that price.

    BINTRIO_ENDPOINT=testnet BINTRIO_API_KEY=... BINTRIO_PRIVATE_KEY_FILE=trading.pem python grid.py

A level is a price so many steps below the one at which the bot began. It has one order at a time: a buy at its price;
when that has filled, a sale of what it brought, at the price above all levels, so that no order meets another of the
bot; when that has filled, the buy again. What became of an order, whatever was lost on the way, is its handle's affair:
the bot waits for `closed`, and looks at what was filled. SIGTERM and Ctrl-C end it; orders that may be open are
canceled.
"""

from __future__ import annotations

import logging
import os
import signal
from decimal import Decimal
from typing import NamedTuple

import trio

import bintrio
from bintrio.account import LiveAccount, LiveOrder, LiveOrderList
from bintrio.api.enums import Side
from bintrio.rules import SymbolRules
from bintrio.settings import Settings

PAUSE = 5
"""Seconds until a level tries again what was refused or could not be sent."""

TIME_TO_LEAVE = 25
"""Seconds that canceling may take."""


class Plan(NamedTuple):
    """What to trade.

    Attributes:
        symbol: which.
        levels: how many buys below the market.
        step: from one level to the next, as a part of the price.
        quantity: of each order, of the base asset.
    """

    symbol: str = "BTCUSDT"
    levels: int = 3
    step: Decimal = Decimal("0.002")
    quantity: Decimal = Decimal("0.001")


class Grid:
    """A grid on one symbol.

    Attributes:
        cycles: how many buys were sold again.
    """

    def __init__(self, account: LiveAccount, rules: SymbolRules, plan: Plan) -> None:
        self.cycles = 0
        self._account = account
        self._rules = rules
        self._plan = plan

    async def run(self, price: Decimal) -> None:
        """Buy below a price and sell at it, until cancelled; then cancel what is open."""
        try:
            async with trio.open_nursery() as nursery:
                for number in range(1, self._plan.levels + 1):
                    nursery.start_soon(self._trade_level, price * (1 - number * self._plan.step), price)
        finally:
            with trio.move_on_after(TIME_TO_LEAVE, shield=True):
                await self.leave()

    async def leave(self) -> None:
        """Cancel every order of the grid, also those of which it is not known yet whether they exist."""
        async with trio.open_nursery() as nursery:
            for handle in self._account.handles:
                nursery.start_soon(self._cancel, handle)

    async def _cancel(self, handle: LiveOrder | LiveOrderList) -> None:
        try:
            await handle.cancel()
        except bintrio.BintrioError as error:
            logging.warning("%s was not canceled: %s", handle, error)

    async def _trade_level(self, low: Decimal, high: Decimal) -> None:
        low, high = self._rules.round_price(low), self._rules.round_price(high)
        while True:
            bought = await self._trade("BUY", low, self._plan.quantity)
            if bought and await self._trade("SELL", high, bought):
                self.cycles += 1
                logging.info("bought at %s, sold at %s", low, high)

    async def _trade(self, side: Side, price: Decimal, quantity: Decimal) -> Decimal:
        """Trade a quantity at a price, however long that takes. Returns how much it was, the commission taken off."""
        quantity = self._rules.round_quantity(quantity)
        if not quantity:
            return Decimal(0)
        order = await self._placed(side, price, quantity)
        closed = None if order is None else await order.closed()
        if order is None or closed is None:
            await trio.sleep(PAUSE)
            return Decimal(0)
        base = self._rules.symbol.base_asset
        # The fills are known with the end, whatever was lost on the way.
        return closed.executed_qty - sum(fill.commission for fill in order.fills if fill.commission_asset == base)

    async def _placed(self, side: Side, price: Decimal, quantity: Decimal) -> LiveOrder | None:
        try:
            return await self._account.place(
                symbol=self._plan.symbol, side=side, type="LIMIT_MAKER", price=price, quantity=quantity
            )
        except (bintrio.Rejected, bintrio.NotSent) as error:  # at this price it would take, or there is no money
            logging.info("no %s at %s: %s", side, price, error)
            return None


async def cancel_at_a_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            scope.cancel()


async def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    plan = Plan(symbol=os.environ.get("GRID_SYMBOL", Plan().symbol))
    async with Settings.from_env().open_session() as session, session.account() as account:
        rules = SymbolRules.of(await session.exchange_info(symbol=plan.symbol), plan.symbol)
        ticker = await session.ticker_price(symbol=plan.symbol)
        if ticker.price is None:
            raise SystemExit(f"{plan.symbol} has no price yet")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel_at_a_signal, nursery.cancel_scope)
            await Grid(account, rules, plan).run(ticker.price)


if __name__ == "__main__":
    trio.run(main)
