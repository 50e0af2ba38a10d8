"""An engine with two traders and short ways to use it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from bintrio.api.events import ExecutionReport, ListStatus
from bintrio.api.trading import OrderPlace
from bintrio.sandbox.exchange.accounts import Account
from bintrio.sandbox.exchange.matching import MatchingEngine
from bintrio.sandbox.exchange.orders import NOTHING
from bintrio.sandbox.exchange.symbols import Symbol

D = Decimal


def symbol(**changes: Any) -> Symbol:
    given: dict[str, Any] = {"base": "BTC", "quote": "USDT", "min_notional": D(0)}
    given |= {"min_quantity": D("0.1"), "step_size": D("0.1")} | changes
    return Symbol(**given)


class Hall:
    """An engine with traders 1, 2 and 3, each with 100 BTC and 10,000 USDT."""

    def __init__(self, *symbols: Symbol, **options: Any) -> None:
        self.engine = MatchingEngine(symbols or (symbol(),), **options)
        self.now = 5
        for uid in (1, 2, 3):
            balances = {"BTC": D(100), "USDT": D(10_000), "USDC": D(10_000), "BNB": D(10)}
            self.engine.accounts[uid] = Account(uid, balances)

    def account(self, uid: int = 1) -> Account:
        return self.engine.accounts[uid]

    def place(self, uid: int = 1, **changes: Any) -> Any:
        """An `Order`; as anything, since comparing it with plain numbers is all that tests do."""
        given: dict[str, Any] = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "time_in_force": "GTC",
            "price": "10",
            "quantity": "1",
        }
        if changes.get("type") in {"MARKET", "STOP_LOSS", "TAKE_PROFIT"}:
            given |= {"time_in_force": None, "price": None}
        params = {name: value for name, value in (given | changes).items() if value is not None}
        return self.engine.place(self.account(uid), OrderPlace(**params), self.now)

    def trade_at(self, *prices: Any) -> None:
        """Let the others trade at prices, one after the other."""
        for price in prices:
            self.place(2, side="SELL", price=str(price), quantity="0.1")
            self.place(3, side="BUY", price=str(price), quantity="0.1")

    def place_list(self, request: Any, uid: int = 1) -> tuple[Any, ...]:
        group = self.engine.new_list(request, uid, self.now)
        self.engine.lists.place(self.account(uid), group, self.now)
        return group.orders

    def reports(self, uid: int = 1) -> list[tuple[int, str, str]]:
        events = [notice.event for notice in self.engine.take_notices() if notice.uid == uid]
        return [(e.order_id, e.execution_type, e.order_status) for e in events if isinstance(e, ExecutionReport)]

    def list_events(self, uid: int = 1) -> list[tuple[str, str]]:
        events = [notice.event for notice in self.engine.take_notices() if notice.uid == uid]
        return [(e.list_status_type, e.list_order_status) for e in events if isinstance(e, ListStatus)]

    def asks(self) -> Any:
        return self.engine.listings["BTCUSDT"].book.asks()

    def bids(self) -> Any:
        return self.engine.listings["BTCUSDT"].book.bids()

    def money(self, uid: int = 1) -> tuple[Any, ...]:
        btc, usdt = self.account(uid).holding("BTC"), self.account(uid).holding("USDT")
        return btc.free, btc.locked, usdt.free, usdt.locked

    def total(self, asset: str) -> Decimal:
        """Of all accounts, of the house, and of the fees."""
        accounts = (*self.engine.accounts.values(), self.engine.settlement.house)
        held = sum((account.holding(asset).free + account.holding(asset).locked for account in accounts), NOTHING)
        return held + self.engine.fees.get(asset, NOTHING)
