"""What reading a reply costs, next to the official client: microseconds from bytes to a typed result.

    python benchmarks/codec.py

bintrio reads as a session does: the envelope with its rate limits, then the result with every number exact. The
official client (`binance-sdk-spot`) reads as its WebSocket API client does: `json.loads`, a model for each rate limit,
and the model of the reply, whose prices stay strings or become floats. Where the request is signed that client uses
pydantic's `model_validate`, elsewhere the generated `from_dict`, and `model_validate` when that raises.

`from_dict` alone is shown as well, since the models offer it to everyone. The model of `exchangeInfo` has no `result`,
so there it leaves every symbol a dict: that row compares 3,000 typed symbols with none. Rounds alternate, so that a
busy machine slows all; medians are printed. The exit code is 1 if bintrio reads an order less than eight times as fast
as the official client does. Without that client its rows are missing.
"""

from __future__ import annotations

import importlib
import json
import statistics
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bintrio
from bintrio._protocol.envelope import read_envelope
from bintrio._protocol.results import read_answer
from bintrio.requests import Depth, ExchangeInfo, Klines, OrderPlace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Read = Callable[[bytes], object]

EXAMPLES: Final = Path(__file__).parent.parent / "tests" / "data" / "examples"
FILL: Final = {
    "price": "23416.10000000",
    "qty": "0.00847000",
    "commission": "0.000000",
    "commissionAsset": "BNB",
    "tradeId": 1650422481,
}

ROUNDS: Final = 7
SECONDS: Final = 0.2  # for one reader in one round
GATE: Final = 8.0


# The replies: the document's examples, at the size that real ones have.


def example(method: str, name: str = "response") -> Any:
    return json.loads((EXAMPLES / method / f"{name}.json").read_text(encoding="utf-8"))


def compact(reply: Any) -> bytes:
    return json.dumps(reply, separators=(",", ":")).encode()


def order_full() -> bytes:
    reply = example("order.place", "response-result")
    reply["result"]["fills"] = [FILL]
    return compact(reply)


def depth(levels: int = 5000) -> bytes:
    reply = example("depth")
    for side in ("bids", "asks"):
        reply["result"][side] = [[f"{0.01 + index / 1e8:.8f}", f"{index % 97}.43200000"] for index in range(levels)]
    return compact(reply)


def klines(count: int = 1000) -> bytes:
    reply = example("klines")
    reply["result"] *= count
    return compact(reply)


def exchange_info(symbols: int = 3000) -> bytes:
    reply = example("exchangeInfo")
    symbol = reply["result"]["symbols"][0]
    reply["result"]["symbols"] = [{**symbol, "symbol": f"SYM{index}"} for index in range(symbols)]
    return compact(reply)


REPLIES: Final[Mapping[str, Callable[[], bytes]]] = {
    "order.place": order_full,
    "depth": depth,
    "klines": klines,
    "exchangeInfo": exchange_info,
}
REQUESTS: Final[Mapping[str, bintrio.Request[Any]]] = {
    "order.place": OrderPlace(symbol="BTCUSDT", side="BUY", type="MARKET", quantity=1),
    "depth": Depth(symbol="BTCUSDT"),
    "klines": Klines(symbol="BTCUSDT", interval="1m"),
    "exchangeInfo": ExchangeInfo(),
}


# The readers.


def readers(method: str) -> dict[str, Read]:
    """Bintrio's, and the official client's if it is installed."""
    request = REQUESTS[method]
    found: dict[str, Read] = {"bintrio": lambda data: read_answer(request, read_envelope(data))}
    with suppress(ImportError):
        found |= official(method)
    return found


def official(method: str) -> dict[str, Read]:
    models: Any = importlib.import_module("binance_sdk_spot.websocket_api.models")
    read_limits: Any = importlib.import_module("binance_common.utils").parse_ws_rate_limit_headers
    name = "".join(part[:1].upper() + part[1:] for part in method.split("."))
    model = getattr(models, f"{name}Response")

    def read(data: bytes) -> object:
        reply = json.loads(data.decode())
        limits = read_limits(reply["rateLimits"])
        if method == "order.place":
            return model.model_validate(reply), limits
        try:
            return model.from_dict(reply), limits
        except Exception:
            return model.model_validate(reply), limits

    return {"binance-sdk-spot": read, "its from_dict": lambda data: model.from_dict(json.loads(data.decode()))}


# Measuring.


def microseconds(read: Read, data: bytes, seconds: float) -> float:
    """The cost of one reading, from as many as the time allows, and at least one.

    The clock is read after 1, 2, 4, ... of them: to read it after each would count as much as a tenth of an order.
    """
    count, elapsed, start = 0, 0.0, time.perf_counter()
    while not count or elapsed < seconds:
        for _ in range(max(1, count)):
            read(data)
        count, elapsed = max(1, 2 * count), time.perf_counter() - start
    return elapsed / count * 1e6


def compare(method: str, rounds: int = ROUNDS, seconds: float = SECONDS) -> dict[str, float]:
    """Medians, of the readers that can read it."""
    data = REPLIES[method]()
    able = {name: read for name, read in readers(method).items() if can_read(read, data)}
    measured = [{name: microseconds(read, data, seconds) for name, read in able.items()} for _ in range(rounds)]
    return {name: statistics.median(times[name] for times in measured) for name in able}


def can_read(read: Read, data: bytes) -> bool:
    """False for what the generated models cannot do: klines by from_dict."""
    try:
        read(data)
    except Exception:
        return False
    return True


def show(method: str, medians: Mapping[str, float]) -> None:
    for name, median in medians.items():
        print(f"{method:13} {name:17} {median:12,.1f} us  {median / medians['bintrio']:5.1f} x")


def main(rounds: int = ROUNDS, seconds: float = SECONDS) -> int:
    medians = {method: compare(method, rounds, seconds) for method in REPLIES}
    for method, row in medians.items():
        show(method, row)
    order = medians["order.place"]
    return int(order.get("binance-sdk-spot", float("inf")) < GATE * order["bintrio"])


if __name__ == "__main__":
    sys.exit(main())
