"""An exchange with a crowd and one user, in a time of its own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from bintrio.api.trading import OrderPlace
from bintrio.sandbox.exchange.auth import SandboxAccount
from bintrio.sandbox.exchange.exchange import Exchange
from bintrio.sandbox.exchange.limits import Limits
from bintrio.sandbox.exchange.markets.crowd import Crowd
from bintrio.sandbox.exchange.markets.market import Market
from bintrio.sandbox.exchange.symbols import SYMBOLS, Symbol
from bintrio.sandbox.exchange.units import SECOND

D = Decimal
START = 1_767_225_600_000_000
MAKER, USER = 0, 7
BTC = SYMBOLS[:1]


class World:
    """Time is in seconds since the start."""

    def __init__(self, market: Market, symbols: tuple[Symbol, ...] = BTC) -> None:
        self.exchange = Exchange(symbols, Limits())
        plenty = dict.fromkeys(sorted({asset for each in symbols for asset in (each.base, each.quote)}), D(10**9))
        for uid in (MAKER, USER):
            self.exchange.open_account(SandboxAccount(uid, plenty))
        self.crowd = Crowd(self.exchange, market, MAKER, START)
        self.look(0)

    def look(self, seconds: float) -> None:
        self.crowd.catch_up(START + round(seconds * SECOND))

    def place(self, seconds: float, **fields: Any) -> Any:
        """An order of the user, a limit order for 1 BTC unless told otherwise."""
        self.look(seconds)
        usual: dict[str, Any] = {"symbol": "BTCUSDT", "type": "LIMIT", "time_in_force": "GTC", "quantity": "1"}
        return self.exchange.place(USER, OrderPlace(**{**usual, **fields}), START + round(seconds * SECOND))

    def trades(self, symbol: str = "BTCUSDT") -> Any:
        """Seconds, price and quantity of each."""
        trades = self.exchange.engine.listings[symbol].tape.trades
        return [((trade.time - START) / SECOND, trade.price, trade.qty) for trade in trades]

    def levels(self, symbol: str = "BTCUSDT") -> Any:
        """Price and quantity of each bid, and of each ask."""
        book = self.exchange.engine.listings[symbol].book
        return book.bids(), book.asks()

    def seen(self) -> list[Any]:
        """What a user can see, but for the numbers of orders and of changes of the books."""
        engine = self.exchange.engine
        account = engine.accounts[USER]
        orders = [order for order in engine.orders if order.owner == USER]
        return [
            *([one.tape.trades, one.tape.aggregates, self.levels(name)] for name, one in engine.listings.items()),
            account.balances(),
            [(order.price, order.executed, order.status, order.updated_at) for order in orders],
            [[(fill.time, fill.trade_id, fill.price, fill.quantity) for fill in order.executions] for order in orders],
        ]
