"""Prices that walk at random, the same way for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from decimal import Decimal
from heapq import merge
from operator import attrgetter
from types import MappingProxyType
from typing import Final

from bintrio.errors import InvalidRequest

from ..candles import DAY
from ..symbols import Symbol
from ..units import SECOND
from .market import Market, Number, Tick, number

PRICES: Final[Mapping[str, Number]] = MappingProxyType({"BTCUSDT": 64_000, "ETHUSDT": 3_200, "BNBBTC": "0.009"})
"""Where the walks of a sandbox's own symbols start."""

_ELSEWHERE: Final = 100  # where other walks start

# Steps may be smaller than a tick, so more is kept of a price than is shown.
_PRECISE: Final = Decimal("1E-12")


class RandomWalk(Market):
    """Every symbol's price walks at random, each by chance of its own. The same seed gives the same market.

    Args:
        seed: of the chance.
        volatility: the standard deviation of a day's return; ``"0.02"`` are 2 %.
        spread: from bid to ask, as a part of the price; one tick at least.
        depth: levels on each side.
        quantity: of the base asset in each level, and the most that one trade has.
        interval: seconds from one trade to the next, on average; each takes between half of it and one and a half.
        prices: where the walks start, by symbol; 100 if neither this nor `PRICES` says.

    Raises:
        InvalidRequest: a number is out of range.
    """

    def __init__(
        self,
        seed: int = 0,
        volatility: Number = "0.02",
        spread: Number = "0.0001",
        depth: int = 10,
        *,
        quantity: Number = 1,
        interval: float = 10.0,
        prices: Mapping[str, Number] = PRICES,
    ) -> None:
        super().__init__(spread=spread, depth=depth, quantity=quantity)
        if not 0.001 <= interval <= 86_400:
            said = f"interval must be a number of seconds from 0.001 to 86400, not {interval!r}"
            raise InvalidRequest(said, field="interval")
        self.seed: Final = seed
        self.volatility: Final = number("volatility", volatility, most=Decimal(1))
        self.prices: Final = {name: number(f"the price of {name}", price) for name, price in prices.items()}
        self._interval: Final = round(interval * SECOND)

    def __repr__(self) -> str:
        return f"RandomWalk(seed={self.seed!r}, volatility={self.volatility}, spread={self.spread}, depth={self.depth})"

    def ticks(self, symbols: Mapping[str, Symbol], start: int) -> Iterator[Tick]:
        """See `Market.ticks`. A symbol that is not trading has no walk."""
        # Each by itself, so that another symbol in the world changes no prices of this one.
        walks = [self._walk(symbol, start) for symbol in symbols.values() if symbol.status == "TRADING"]
        return merge(*walks, key=attrgetter("time"))

    def _walk(self, symbol: Symbol, time: int) -> Iterator[Tick]:
        # `random` is the one source of which Python promises that a seed gives the same in later versions.
        chance = random.Random(f"{self.seed} {symbol.name}").random
        price = _within(symbol, self.prices.get(symbol.name, Decimal(_ELSEWHERE)))
        # A step is even between -widest and widest, so its standard deviation is widest / sqrt(3).
        widest = self.volatility * (3 * Decimal(self._interval) / DAY).sqrt()
        is_falling = True
        while True:
            yield Tick(time, symbol.name, price, self.quantity * Decimal(chance()), is_falling)
            time += self._interval // 2 + int(self._interval * chance())
            step = 2 * Decimal(chance()) - 1
            is_falling = step < 0
            price = _within(symbol, (price * (1 + widest * step)).quantize(_PRECISE))


def _within(symbol: Symbol, price: Decimal) -> Decimal:
    """A walk that comes to the end of the allowed prices stays there until it turns."""
    return max(symbol.min_price, _PRECISE, min(price, symbol.max_price or price))
