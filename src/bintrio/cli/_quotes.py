"""Quotes of a market maker, for the books of a sandbox."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from bintrio.sandbox import Sandbox

QUOTES: Final = {
    "BTCUSDT": (Decimal(64_000), Decimal(64_001), Decimal(100)),
    "ETHUSDT": (Decimal(3_200), Decimal(3_201), Decimal(1_000)),
    "BNBBTC": (Decimal("0.009"), Decimal("0.009001"), Decimal(1_000)),
}
"""Bid, ask and quantity for every symbol that a sandbox trades by default."""


def quote(running: Sandbox, *, but: str = "") -> None:
    """Prices for every symbol, but for one that has a market of its own."""
    for symbol, (bid, ask, quantity) in QUOTES.items():
        if symbol != but:
            running.quote(symbol, bid, ask, quantity)
