"""How fast the sandbox's exchange is without its wire: shapes of work beside each other, in one run.

    python -m benchmarks.engine [seconds]

Each row is what the engine does with one kind of command, as commands a second of CPU time, and as a ratio to the
first row. The second row says that placing does not get slower with the depth of a level.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import msgspec

from bintrio._protocol.exact import in_exact
from bintrio.api._values import Side
from bintrio.api.trading import OrderPlace
from bintrio.sandbox.exchange.accounts import Account
from bintrio.sandbox.exchange.auth import SandboxAccount
from bintrio.sandbox.exchange.exchange import Exchange
from bintrio.sandbox.exchange.limits import Limits
from bintrio.sandbox.exchange.matching import MatchingEngine
from bintrio.sandbox.exchange.messages import read_message
from bintrio.sandbox.exchange.sessions import Session
from bintrio.sandbox.exchange.symbols import SYMBOLS

_PLENTY: Final = Decimal(10**12)
_DEEP: Final = 10_000
_BATCH: Final = 500
_NOW: Final = 1_767_225_600_000_000


def _limit(side: Side, price: str) -> OrderPlace:
    return OrderPlace(symbol="BTCUSDT", side=side, type="LIMIT", time_in_force="GTC", price=price, quantity="0.5")


_BID: Final = _limit("BUY", "30000.00")
_ASK: Final = _limit("SELL", "30000.00")
_HIGH_ASK: Final = _limit("SELL", "30001.00")


class _Hall:
    """An engine with two rich traders, whose events nobody follows."""

    def __init__(self) -> None:
        self.engine = MatchingEngine(SYMBOLS, is_followed=lambda _uid: False)
        self.accounts = [Account(uid, {"BTC": _PLENTY, "USDT": _PLENTY}) for uid in (1, 2)]
        for account in self.accounts:
            self.engine.accounts[account.uid] = account

    @in_exact
    def place(self, request: OrderPlace, times: int, trader: int = 0) -> None:
        account, engine = self.accounts[trader], self.engine
        for _ in range(times):
            engine.place(account, request, _NOW)
            engine.take_notices()

    @in_exact
    def pairs(self, times: int) -> None:
        maker, taker = self.accounts
        for _ in range(times):
            self.engine.place(maker, _BID, _NOW)
            self.engine.place(taker, _ASK, _NOW)
            self.engine.take_notices()


def resting() -> Callable[[], int]:
    """Limit orders that rest, the level growing from one on; a fresh engine for each batch."""

    def run() -> int:
        _Hall().place(_BID, _BATCH)
        return _BATCH

    return run


def resting_deep() -> Callable[[], int]:
    """Limit orders that rest in a level of ten thousand, against another such level."""
    hall = _Hall()
    hall.place(_BID, _DEEP)
    hall.place(_HIGH_ASK, _DEEP, trader=1)

    def run() -> int:
        hall.place(_BID, _BATCH)
        return _BATCH

    return run


def pairs() -> Callable[[], int]:
    """Pairs of a maker and its taker."""
    hall = _Hall()

    def run() -> int:
        hall.pairs(_BATCH)
        return _BATCH

    return run


def json_to_json() -> Callable[[], int]:
    """Requests as text to replies as bytes: orders that rest, of a session that is logged on."""
    exchange = Exchange(SYMBOLS, Limits(weight=10**12, orders_per_10_seconds=10**12, orders_per_day=10**12))
    account = SandboxAccount(7, {"BTC": _PLENTY, "USDT": _PLENTY})
    exchange.open_account(account)
    session = Session(connected_since=_NOW)
    exchange.sessions.add(session)
    session.log_on(account.credentials()[0], _NOW)
    budget = exchange.budget("here")
    params = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "price": "30000.00",
        "quantity": "0.5",
        "newOrderRespType": "RESULT",
        "timestamp": _NOW // 1_000,
    }
    message = msgspec.json.encode({"id": 1, "method": "order.place", "params": params}).decode()

    def run() -> int:
        for _ in range(_BATCH):
            exchange.execute(session, budget, read_message(message), _NOW).as_bytes()
        return _BATCH

    return run


ROWS: Final = {
    "resting limit orders": resting,
    "the same, 10,000 in the level": resting_deep,
    "maker-taker pairs": pairs,
    "JSON to JSON": json_to_json,
}


def measure(seconds: float) -> dict[str, float]:
    """Commands a second by row; the best of five rounds, in which the rows take turns."""
    runs = {name: make() for name, make in ROWS.items()}
    best = dict.fromkeys(ROWS, 0.0)
    for _ in range(5):
        for name, run in runs.items():
            done, start = 0, time.process_time()
            while (passed := time.process_time() - start) < seconds / 5:
                done += run()
            best[name] = max(best[name], done / passed)
    return best


def main(seconds: float) -> None:
    """Print the rows."""
    measured = measure(seconds)
    first = next(iter(measured.values()))
    for name, rate in measured.items():
        print(f"{name:32} {rate:10,.0f}/s {rate / first:6.2f}")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0)
