"""How fast the sandbox's exchange is without its wire: kinds of commands beside each other, in one run.

    python -m benchmarks.engine                       # this checkout
    python -m benchmarks.engine --against ../before   # and a checkout of another state, back to 49e91cf

Each row is one kind of command, as commands a second of CPU time: the best of many short batches, in which the rows
and the states take turns, since the machine is shared. What counts are the ratios within a run: to the first row (the
second one says that placing does not get slower with the depth of a level), and to the other state.

Nobody follows the accounts, so no events are made of the rows that have no session; 49e91cf made them regardless.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from decimal import Decimal, localcontext
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from bintrio.api.trading import OrderPlace

_PLENTY: Final = Decimal(10**12)
_DEEP: Final = 10_000
_TRADES: Final = 20_000
_BATCH: Final = 250
_NOW: Final = 1_767_225_600_000_000


def _room(name: str) -> Any:
    """A module of the sandbox, which had no folder for its exchange once."""
    try:
        return import_module(f"bintrio.sandbox.exchange.{name}")
    except ModuleNotFoundError:
        return import_module(f"bintrio.sandbox.{name}")


def _exact() -> AbstractContextManager[Any]:
    """The context in which the engine calculates, of which an early one knew nothing."""
    try:
        return localcontext(import_module("bintrio._protocol.exact").EXACT)
    except ModuleNotFoundError:
        return nullcontext()


def _limit(side: Literal["BUY", "SELL"], price: str) -> OrderPlace:
    return OrderPlace(symbol="BTCUSDT", side=side, type="LIMIT", time_in_force="GTC", price=price, quantity="0.5")


_BID: Final = _limit("BUY", "30000.00")
_ASK: Final = _limit("SELL", "30000.00")
_HIGH_ASK: Final = _limit("SELL", "30001.00")


def _by_nobody(_: int) -> bool:
    return False


class _Hall:
    """An engine with two rich traders, whose events nobody follows."""

    def __init__(self) -> None:
        engine: Any = _room("matching").MatchingEngine
        symbols = _room("symbols").SYMBOLS
        try:
            self.engine = engine(symbols, is_followed=_by_nobody)
        except TypeError:  # it made events of everything
            self.engine = engine(symbols)
        self.accounts = [_room("accounts").Account(uid, {"BTC": _PLENTY, "USDT": _PLENTY}) for uid in (1, 2)]
        for account in self.accounts:
            self.engine.accounts[account.uid] = account

    def place(self, request: OrderPlace, times: int, trader: int = 0) -> None:
        account, engine = self.accounts[trader], self.engine
        for _ in range(times):
            engine.place(account, request, _NOW)
            engine.take_notices()

    def pairs(self, times: int) -> None:
        maker, taker = self.accounts
        for _ in range(times):
            self.engine.place(maker, _BID, _NOW)
            self.engine.place(taker, _ASK, _NOW)
            self.engine.take_notices()


class _Desk:
    """An exchange with a session that is logged on."""

    def __init__(self) -> None:
        limits = _room("limits").Limits(weight=10**12, orders_per_10_seconds=10**12, orders_per_day=10**12)
        auth = _room("auth")
        self.exchange: Any = import_module(_room("accounts").__name__.replace("accounts", "exchange")).Exchange(
            _room("symbols").SYMBOLS, limits
        )
        account = auth.SandboxAccount(7, {"BTC": _PLENTY, "USDT": _PLENTY})
        self.exchange.open_account(account)
        self._session = _room("sessions").Session(connected_since=_NOW)
        try:
            self.exchange.sessions[self._session] = None
        except TypeError:  # of an earlier state, where they are a set
            self.exchange.sessions.add(self._session)
        self._session.log_on(account.credentials()[0], _NOW)
        self._budget = self.exchange.budget("here")
        self._read = self._reader()

    @staticmethod
    def _reader() -> Callable[[str], Any]:
        try:
            read: Callable[[str], Any] = _room("messages").read_message
        except ModuleNotFoundError:
            read = import_module("bintrio.sandbox.exchange").read_message
        return read

    def answer(self, message: str, times: int) -> None:
        for _ in range(times):
            self.exchange.execute(self._session, self._budget, self._read(message), _NOW).as_bytes()


def _request(method: str, **params: Any) -> str:
    return msgspec.json.encode({"id": 1, "method": method, "params": params}).decode()


_ORDER: Final = _request(
    "order.place",
    symbol="BTCUSDT",
    side="BUY",
    type="LIMIT",
    timeInForce="GTC",
    price="30000.00",
    quantity="0.5",
    newOrderRespType="RESULT",
    timestamp=_NOW // 1_000,
)

Work = Callable[[], int]
"""A batch of commands; how many they were."""


def resting() -> Work:
    """Limit orders that rest, the level growing from none on."""
    hall = _Hall()

    def run() -> int:
        hall.place(_BID, _BATCH)
        return _BATCH

    return run


def resting_deep() -> Work:
    """Limit orders that rest in a level of ten thousand, against another such level."""
    hall = _Hall()
    hall.place(_BID, _DEEP)
    hall.place(_HIGH_ASK, _DEEP, trader=1)

    def run() -> int:
        hall.place(_BID, _BATCH)
        return _BATCH

    return run


def pairs() -> Work:
    """Pairs of a maker and its taker."""
    hall = _Hall()

    def run() -> int:
        hall.pairs(_BATCH)
        return _BATCH

    return run


def json_to_json() -> Work:
    """Requests as text to replies as bytes: orders that rest, of a session that is logged on."""
    desk = _Desk()

    def run() -> int:
        desk.answer(_ORDER, _BATCH)
        return _BATCH

    return run


def day_ticker() -> Work:
    """ticker.24hr of a day with twenty thousand trades."""
    desk = _Desk()
    engine = desk.exchange.engine
    account = engine.accounts[7]
    for _ in range(_TRADES):
        engine.place(account, _BID, _NOW)
        engine.place(account, _ASK, _NOW)
        engine.take_notices()
    message = _request("ticker.24hr", symbol="BTCUSDT")

    def run() -> int:
        desk.answer(message, 1)
        return 1

    return run


ROWS: Final[dict[str, Callable[[], Work]]] = {
    "resting limit orders": resting,
    "the same, 10,000 in the level": resting_deep,
    "maker-taker pairs": pairs,
    "JSON to JSON": json_to_json,
    "ticker.24hr of 20,000 trades": day_ticker,
}
REUSED: Final = {"the same, 10,000 in the level", "ticker.24hr of 20,000 trades"}
"""Rows that are dear to set up; the others begin anew with each batch."""


# One state, in a process of its own


def work() -> None:
    """Take names of rows from stdin; answer each with the seconds that a command took."""
    kept: dict[str, Work] = {}
    with _exact():
        for line in sys.stdin:
            name = line.strip()
            run = kept.get(name) or ROWS[name]()
            if name in REUSED:
                kept[name] = run
            print(_seconds(run), flush=True)


def _seconds(run: Work) -> float:
    gc.collect()
    gc.freeze()  # what was set up is not looked at, again and again, on the account of the batch
    start = time.process_time()
    done = run()
    passed = time.process_time() - start
    gc.unfreeze()
    return passed / done


@contextmanager
def _worker(checkout: Path) -> Generator[Callable[[str], float]]:
    """A process that runs the code of a checkout; gives what asks it for the seconds of a row."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), "--work"],
        env=os.environ | {"PYTHONPATH": str(checkout / "src")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    questions, answers = process.stdin, process.stdout

    def ask(row: str) -> float:
        print(row, file=questions, flush=True)
        return float(answers.readline())

    with process:
        yield ask
        questions.close()


# All of them


def measure(checkouts: list[Path], rounds: int) -> list[dict[str, float]]:
    """Commands a second by row, for each state; the best of the rounds, in which states and rows take turns."""
    best = [dict.fromkeys(ROWS, 0.0) for _ in checkouts]
    with _workers(checkouts) as workers:
        for _ in range(rounds):
            for row in ROWS:
                for ask, found in zip(workers, best, strict=True):
                    found[row] = max(found[row], 1 / ask(row))
    return best


@contextmanager
def _workers(checkouts: list[Path]) -> Generator[list[Callable[[str], float]]]:
    if not checkouts:
        yield []
        return
    with _worker(checkouts[0]) as first, _workers(checkouts[1:]) as others:
        yield [first, *others]


def main(arguments: list[str] | None = None) -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description="The exchange without its wire.")
    parser.add_argument("--against", type=Path, help="a checkout of another state")
    parser.add_argument("--rounds", type=int, default=20, help="batches of each row; the best one counts")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.work:
        work()
        return
    here = Path(__file__).resolve().parent.parent
    now, *before = measure([here, options.against.resolve()] if options.against else [here], options.rounds)
    first = next(iter(now.values()))
    for name, rate in now.items():
        against = f" {before[0][name]:10,.0f}/s before {rate / before[0][name]:6.2f}" if before else ""
        print(f"{name:32} {rate:10,.0f}/s {rate / first:6.2f}{against}")


if __name__ == "__main__":
    main()
