"""A connection to an exchange without a wire, as JSON sees it; what the tests of its methods share."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from bintrio._protocol.events import decode_event
from bintrio._protocol.results import decode_response
from bintrio._protocol.signing import Key
from bintrio.endpoints import TimeUnit
from bintrio.sandbox.exchange.auth import SandboxAccount
from bintrio.sandbox.exchange.exchange import Exchange, payload
from bintrio.sandbox.exchange.limits import Limits
from bintrio.sandbox.exchange.messages import read_message
from bintrio.sandbox.exchange.sessions import Session
from bintrio.sandbox.exchange.symbols import SYMBOLS, Symbol

EXAMPLES = Path(__file__).parent.parent / "data" / "examples"
D = Decimal
NOW = 1_767_225_600_123_456
BUY = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "price": "100.00",
    "quantity": "1.50",
}


class Client:
    """One connection to an exchange with one account, as JSON sees it."""

    def __init__(
        self,
        *,
        unit: TimeUnit = "ms",
        limits: Limits | None = None,
        returns_rate_limits: bool = True,
        keep: int | None = None,
    ) -> None:
        symbols = [*SYMBOLS, Symbol(base="OLD", quote="USDT", status="BREAK")]
        self.exchange = Exchange(symbols, limits or Limits(), keep=keep)
        self.account = SandboxAccount(7, {"USDT": D(1_000), "BTC": D(5)}, maker_rate=D("0.001"), taker_rate=D("0.002"))
        self.exchange.open_account(self.account)
        self.now = NOW
        self.session = Session(connected_since=NOW, unit=unit, returns_rate_limits=returns_rate_limits)
        self.exchange.sessions[self.session] = None
        self.budget = self.exchange.budget("here")
        self.raw = b""

    def call(self, method: str, /, **params: Any) -> dict[str, Any]:
        message = json.dumps({"id": 1, "method": method, "params": params})
        self.raw = self.exchange.execute(self.session, self.budget, read_message(message), self.now).as_bytes()
        reply: dict[str, Any] = json.loads(self.raw)
        return reply

    def result(self, method: str, /, **params: Any) -> Any:
        """The result; it must also be what the declaration says."""
        reply = self.call(method, **params)
        assert reply["status"] == 200, reply
        assert decode_response(method, self.raw).error is None
        return reply["result"]

    def error(self, method: str, /, **params: Any) -> tuple[int, int, str]:
        reply = self.call(method, **params)
        return reply["status"], reply["error"]["code"], reply["error"]["msg"]

    def signed(self, key: Key | None = None, /, **params: Any) -> dict[str, Any]:
        key = key or self.account.key
        params |= {"apiKey": key.api_key, "timestamp": self.now // 1_000}
        return params | {"signature": key.sign(payload(params))}

    def log_on(self) -> None:
        self.result("session.logon", **self.signed())

    def trade(self, method: str, /, **params: Any) -> Any:
        """A signed call of the logged-on session."""
        return self.result(method, timestamp=self.now // 1_000, **params)

    def events(self) -> list[dict[str, Any]]:
        deliveries = self.exchange.take_deliveries()
        for delivery in deliveries:
            decode_event(delivery.message)
        return [json.loads(delivery.message) for delivery in deliveries]


CONDITIONAL = {
    "strategyId",
    "strategyType",
    "stopPrice",
    "icebergQty",
    "trailingDelta",
    "trailingTime",
    "preventedMatchId",
    "preventedQuantity",
    "sors",
}
"""Fields that some orders have and others have not."""


def first(found: Any) -> dict[str, Any]:
    """The result, or the first item if there are several."""
    return dict(found if isinstance(found, dict) else found[0])  # pyright: ignore[reportUnknownArgumentType]


def documented(method: str, variant: str = "response") -> dict[str, Any]:
    return first(json.loads((EXAMPLES / method / f"{variant}.json").read_text())["result"])
