"""The crowd: makers and takers who do on an exchange what a market says.

**Nothing ticks.** The crowd stands still until it is told the time (`Crowd.catch_up`), and then makes up for what
happened since, trade by trade at the times of the trades: a day comes to a few ten thousand trades. What users can see
of it does not depend on how often it was told the time: trades, candles, quotes and what became of their orders are
the same. Only the numbers of orders and of changes of a book are not, since makers quote when somebody looks.

**What a trade does.** The makers withdraw, and one of them offers at the trade's price what a taker then takes. On the
way, both meet the users' orders that are better, or as good and older, and a stop whose price was reached triggers. A
stop must find somebody to trade with. So as long as users have orders in a book, makers also stand on both sides of
each trade, with all their quantity at the best prices.

**What a look finds.** The makers' quotes in levels. They are orders that never take (LIMIT_MAKER): where a user's order
is in their way, they stay away.
"""

from __future__ import annotations

from contextlib import suppress
from decimal import ROUND_CEILING, Decimal
from typing import Final, Literal

from bintrio._protocol.exact import in_exact
from bintrio.api.enums import Side
from bintrio.api.trading import OrderPlace

from ..exchange import Exchange
from ..refusals import Refusal
from ..symbols import Symbol
from .market import Market, Tick, on_step, on_tick

ORDERS_KEPT: Final = 4_000
"""Of the crowd's closed orders, about which nobody asks; the tape keeps the trades."""


class Crowd:
    """All makers and takers of a market, who trade as one account of the exchange.

    Args:
        exchange: where they trade.
        market: what they do.
        uid: of their account, which must have plenty of everything. Queries see it without a lag.
        start: microseconds; when the market begins.

    Raises:
        InvalidRequest: the market does not fit the exchange's symbols.
    """

    @in_exact
    def __init__(self, exchange: Exchange, market: Market, uid: int, start: int) -> None:
        self._exchange = exchange
        self._market = market
        self._uid = uid
        self._ticks = market.ticks(exchange.engine.symbols, start)
        self._next = next(self._ticks, None)
        # It places an order for each trade, so they would fill the memory.
        exchange.engine.accounts[uid].keep = ORDERS_KEPT
        exchange.replicas.forgo(uid)
        self._unquoted: dict[str, Tick] = {}

    @property
    def next_time(self) -> int | None:
        """When the next trade is, in microseconds; None after the last one."""
        return None if self._next is None else self._next.time

    @in_exact
    def catch_up(self, now: int) -> None:
        """Do what happened up to a time, in microseconds, and quote."""
        self.advance(now)
        for tick in self._unquoted.values():
            self._quote(tick)
        self._unquoted.clear()

    @in_exact
    def advance(self, now: int) -> None:
        """Do what happened up to a time; the makers quote when somebody looks."""
        while (tick := self._next) is not None and tick.time <= now:
            self._next = next(self._ticks, None)
            self._unquoted[tick.symbol] = tick
            self._trade(tick)

    def _trade(self, tick: Tick) -> None:
        symbol = self._exchange.engine.symbols[tick.symbol]
        price = on_tick(symbol, tick.price)
        quantity = offered = on_step(symbol, tick.quantity, price)
        maker, taker = _SIDES[tick.is_buyer_maker]
        self._exchange.cancel_all(self._uid, tick.symbol, tick.time)
        # Users' stops need somebody to trade with when they trigger.
        if self._is_watched(tick.symbol):
            everything = self._market.depth * self._market.quantity
            offered += everything
            self._place(tick, taker, self._quotes(symbol, price, tick)[taker], everything)
        self._place(tick, maker, price, offered)
        # What users' orders did not leave to be taken is gone.
        self._place(tick, taker, price, quantity, time_in_force="IOC")

    def _quote(self, tick: Tick) -> None:
        symbol = self._exchange.engine.symbols[tick.symbol]
        price = on_tick(symbol, tick.price)
        best = self._quotes(symbol, price, tick)
        self._exchange.cancel_all(self._uid, tick.symbol, tick.time)
        for level in range(self._market.depth):
            behind = level * self._gap(symbol, price)
            self._place(tick, "BUY", best["BUY"] - behind, self._market.quantity, type="LIMIT_MAKER")
            self._place(tick, "SELL", best["SELL"] + behind, self._market.quantity, type="LIMIT_MAKER")

    def _quotes(self, symbol: Symbol, price: Decimal, tick: Tick) -> dict[Side, Decimal]:
        """The best bid and ask after a trade: its price is one of them."""
        gap = self._gap(symbol, price)
        return {"BUY": price, "SELL": price + gap} if tick.is_buyer_maker else {"BUY": price - gap, "SELL": price}

    def _gap(self, symbol: Symbol, price: Decimal) -> Decimal:
        return on_tick(symbol, self._market.spread * price, ROUND_CEILING)

    def _is_watched(self, symbol: str) -> bool:
        """Whether a user has an open order in the book, or one that waits for its trigger."""
        accounts = self._exchange.engine.accounts.values()
        return any(account.uid != self._uid and any(account.open_orders(symbol)) for account in accounts)

    def _place(
        self,
        tick: Tick,
        side: Side,
        price: Decimal,
        quantity: Decimal,
        *,
        type: Literal["LIMIT", "LIMIT_MAKER"] = "LIMIT",
        time_in_force: Literal["GTC", "IOC"] = "GTC",
    ) -> None:
        symbol = self._exchange.engine.symbols[tick.symbol]
        if price <= 0:
            return  # levels below the lowest price that there is
        request = OrderPlace(
            symbol=tick.symbol,
            side=side,
            type=type,
            time_in_force=time_in_force if type == "LIMIT" else None,
            price=price,
            quantity=on_step(symbol, quantity, price),
            # The makers and takers are one account here, and have to trade with each other.
            self_trade_prevention_mode="NONE",
        )
        # What the exchange does not take from them is not there: a price beyond the limits, a closed market.
        with suppress(Refusal):
            self._exchange.place(self._uid, request, tick.time)


# Of the maker and the taker, by whether the buyer was the maker.
_SIDES: Final[dict[bool, tuple[Side, Side]]] = {True: ("BUY", "SELL"), False: ("SELL", "BUY")}
