"""A market: the trades that happen without the users of a sandbox, and how the makers quote around them.

Pure: a market says what is traded when, by times that are given to it, and the same market says the same each time.
What it says is brought to an exchange by a `Crowd`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from typing import Final, NamedTuple, TypeAlias

from bintrio.errors import InvalidRequest

from ..symbols import Symbol

Number: TypeAlias = Decimal | str | int
"""As in requests, a float is refused: it would not be exact."""

# Prices and quantities have eight decimals where a symbol's filter asks for nothing coarser.
_FINEST: Final = Decimal("1E-8")


class Tick(NamedTuple):
    """One trade of a market.

    Attributes:
        time: microseconds.
        price: in the quote asset; brought to the symbol's filters if it does not pass them.
        quantity: of the base asset; likewise.
        is_buyer_maker: whether the seller came to the buyer's quote, so that the price is the bid.
    """

    time: int
    symbol: str
    price: Decimal
    quantity: Decimal
    is_buyer_maker: bool


class Market(ABC):
    """What `bintrio.sandbox.open_sandbox` takes as ``market``. A market of your own is a subclass that has `ticks`.

    Args:
        spread: from the best bid to the best ask, as a part of the price; one tick of the symbol at least. The levels
            behind them are as far apart.
        depth: how many levels the makers quote on each side.
        quantity: of the base asset in each level; more where the symbol's filters ask for it.

    Raises:
        InvalidRequest: a number is out of range.
    """

    def __init__(self, *, spread: Number = "0.0001", depth: int = 10, quantity: Number = 1) -> None:
        self.spread: Final = number("spread", spread, most=Decimal("0.5"))
        self.depth: Final = int(number("depth", depth, least=Decimal(1), most=Decimal(1_000)))
        self.quantity: Final = number("quantity", quantity)

    @abstractmethod
    def ticks(self, symbols: Mapping[str, Symbol], start: int) -> Iterator[Tick]:
        """Every trade, in the order of their times, without an end if there is none.

        It is read as time goes on, and not again, but another call must give the same.

        Args:
            symbols: what the exchange trades, by name.
            start: microseconds; no tick is earlier. The first quotes come with the first tick.

        Raises:
            InvalidRequest: the market does not fit the symbols.
        """


def number(name: str, value: Number, *, least: Decimal = Decimal(0), most: Decimal = Decimal(10) ** 18) -> Decimal:
    """A number that a market was given.

    Raises:
        InvalidRequest: it is none, or out of range.
    """
    try:
        # A float has been rounded already, and True is an int to Python.
        exact = None if isinstance(value, float | bool) else Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        exact = None
    if exact is None or not exact.is_finite() or not least <= exact <= most:
        said = f"{name} must be a Decimal, str or int from {least} to {most:g}, not {type(value).__name__} {value!r}"
        raise InvalidRequest(said, field=name)
    return exact


def on_tick(symbol: Symbol, price: Decimal, rounding: str = ROUND_FLOOR) -> Decimal:
    """A price that is a multiple of the tick size, within the symbol's limits."""
    tick = symbol.tick_size or _FINEST
    highest = min(price, symbol.max_price) if symbol.max_price else price
    # A limit of 0 is disabled (filters.md).
    return (max(highest, symbol.min_price, tick) / tick).to_integral_value(rounding) * tick


def on_step(symbol: Symbol, quantity: Decimal, price: Decimal) -> Decimal:
    """A quantity that is a multiple of the step size, and passes the symbol's filters at that price if any does."""
    step = symbol.step_size or _FINEST
    least = max(symbol.min_quantity, symbol.min_notional / price, step)
    most = min(quantity, symbol.max_quantity, symbol.max_notional / price)
    return max((least / step).to_integral_value(ROUND_CEILING), (most / step).to_integral_value(ROUND_FLOOR)) * step
