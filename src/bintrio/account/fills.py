"""Asking for the trades of orders whose fills do not add up: what neither events nor answers have told."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Final

import trio

from .._client.observation import Teller
from .._protocol.facts_of_accounts import FillsNotTold
from ..api.account import AccountTrade, Allocation, MyAllocations, MyTrades, Order
from ..api.trading import Fill
from ..errors import BintrioError
from .asking import PAGE, PASSING, QUERY_DELAY_SECONDS, Asking, Pauses
from .courses import OrderCourse
from .orders import OrderKey, fill_of_trade, key_of
from .state import State

AT_ONCE: Final = 20
"""Orders whose trades are asked for again at a time: weight 100, so that trades that are never told cost little."""


class Fills:
    """The trades of one account's orders.

    Args:
        session: to ask by.
        teller: is told what goes wrong.
        state: to take the answers in.
        pauses: between questions.
    """

    def __init__(self, session: Asking, teller: Teller, state: State, pauses: Pauses) -> None:
        self._session = session
        self._tell = teller.tell_failure
        self._state = state
        self._pauses = pauses
        # How often each order's trades were asked for again.
        self._tries: Counter[OrderKey] = Counter()

    def lacking(self) -> list[Order]:
        """The orders whose fills do not add up."""
        state = self._state
        known = (*state.open_orders.items(), *state.closed_orders.items())
        return [order for key, order in known if state.executed(key) < order.executed_qty]

    def not_told(self, key: OrderKey, error: Exception, seconds: float | None) -> None:
        """Tell that the exchange does not tell the fills of an order: see `FillsNotTold`."""
        symbol, number = key
        self._tell(FillsNotTold, error, symbol=symbol, order_id=number, seconds=seconds)

    async def ask(self, order: Order) -> list[Fill]:
        """The trades of an order, and its allocations, if it was routed: all that the exchange tells."""
        trades: list[AccountTrade | Allocation] = []
        # Routed orders trade by allocations, which myTrades does not show.
        if order.used_sor:
            trades += await self._session.send(MyAllocations(symbol=order.symbol, order_id=order.order_id, limit=PAGE))
        first: int | None = 0
        while first is not None:
            request = MyTrades(symbol=order.symbol, order_id=order.order_id, from_id=first, limit=PAGE)
            page: tuple[AccountTrade, ...] = await self._session.send(request)
            trades += page
            # There may be more behind a page that is full.
            first = page[-1].id + 1 if len(page) == PAGE else None
        for trade in trades:
            self._state.take_trade(trade)
        return [fill_of_trade(trade) for trade in trades]

    async def seek(self, order: Order) -> None:
        """Ask for the fills of an order. What the exchange refuses to tell is left: orders and balances need it not."""
        try:
            await self.ask(order)
        except PASSING:
            # The same question may be answered later, so all is asked again after a pause.
            raise
        except BintrioError as error:
            self.not_told(key_of(order), error, None)

    async def ask_again(self) -> None:
        """Ask for those of `AT_ONCE` orders whose fills do not add up."""
        lacking = {key_of(order): order for order in self.lacking()}
        # What lacks nothing any more is not counted any more.
        self._tries = Counter({key: self._tries[key] for key in lacking})
        # The least tried first, so that those which are never told hold back no others.
        for key in sorted(lacking, key=self._tries.__getitem__)[:AT_ONCE]:
            self._tries[key] += 1
            try:
                await self.ask(lacking[key])
            # What refuses one may refuse all: the next round begins with the others.
            except (BintrioError, ExceptionGroup) as error:
                self.not_told(key, error, None)
                break

    async def learn(self, course: OrderCourse, order: Order) -> None:
        """The fills of an order that has ended, unless events bring them first. Returns once the exchange was asked.

        A question that has no answer is asked again after a pause, one that is held back once the hold is over.

        Raises:
            Rejected: the exchange refuses to tell.
            ProtocolViolation: an answer lacks what a fill has.
        """
        # Events mostly come within that time, and after it an answer shows every trade that there was.
        await trio.sleep(QUERY_DELAY_SECONDS)
        failures = itertools.count()
        while not course.is_settled:
            try:
                for fill in await self.ask(order):
                    course.take_fill(fill)  # by now the account itself may have forgotten the order
            except PASSING as error:
                seconds = self._pauses.after(error, next(failures))
                self.not_told(key_of(order), error, seconds)
                await trio.sleep(seconds)
            else:
                return
