"""Reference prices, and how far from them an order may trade.

A symbol's reference price is what was set from outside, or the mean of its trades over a window of time, or there is
none. An execution rule bounds the prices at which an order may trade, once it starts to.

Source: price_range_execution_rules.md.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import NamedTuple, TypeAlias

import msgspec

from bintrio.api.general import ExecutionRule

from .arguments import Positive, check_fields
from .tape import Tape

_MILLISECOND = 1_000


class MeanOfTrades(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price that is the mean of trades: the ``calculationType`` ``ARITHMETIC_MEAN``.

    Attributes:
        bucket_count: into so many parts time is divided, up to now.
        bucket_width_ms: milliseconds of each.

    Raises:
        InvalidRequest: a value is no int from 1 on.
    """

    bucket_count: Positive
    bucket_width_ms: Positive

    def __post_init__(self) -> None:
        check_fields(self)


class External(NamedTuple):
    """A price that is set from outside; None says that there is none just now.

    Attributes:
        calculation_id: how it is made; 0 is by hand.
        time: when it was set, in microseconds.
    """

    price: Decimal | None
    time: int
    calculation_id: int = 0


class Bounds(NamedTuple):
    """Between which prices an order may trade; None is no bound."""

    least: Decimal | None
    greatest: Decimal | None

    @classmethod
    def of(cls, rule: ExecutionRule, reference: Decimal, *, is_buy: bool) -> Bounds:
        """Those that a rule sets an order by the reference price."""
        # A multiplier that is not given sets no bound on its side.
        down, up = _multipliers(rule, is_buy=is_buy)
        return cls(down if down is None else reference * down, up if up is None else reference * up)

    def admit(self, price: Decimal) -> bool:
        """Whether it may trade at a price."""
        return (self.least is None or price >= self.least) and (self.greatest is None or price <= self.greatest)


Source: TypeAlias = MeanOfTrades | External
"""Where a reference price comes from."""


class ReferencePrices:
    """The reference prices of all symbols.

    Attributes:
        sources: where they come from, by symbol; one that is not there never had one.
    """

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}

    def price(self, symbol: str, tape: Tape, now: int) -> Decimal | None:
        """A symbol's reference price, if it has one now."""
        source = self.sources.get(symbol)
        return None if source is None else price_of(source, tape, now)


def price_of(source: Source, tape: Tape, now: int) -> Decimal | None:
    """A reference price, if there is one now."""
    return source.price if isinstance(source, External) else _mean(source, tape, now)


def _multipliers(rule: ExecutionRule, *, is_buy: bool) -> tuple[Decimal | None, Decimal | None]:
    if is_buy:
        return rule.bid_limit_mult_down, rule.bid_limit_mult_up
    return rule.ask_limit_mult_down, rule.ask_limit_mult_up


def _mean(source: MeanOfTrades, tape: Tape, now: int) -> Decimal | None:
    """The oldest bucket counts by the part of it that is inside the window; counts and sums have four more decimals."""
    width = source.bucket_width_ms * _MILLISECOND
    cutoff = now - width * source.bucket_count
    oldest = cutoff - cutoff % width
    count, total = Decimal(0), Decimal(0)
    for trade in tape.between(oldest, now + 1):
        # Buckets are aligned to the clock, so the window begins within one.
        is_whole = trade.time - trade.time % width > oldest
        part = Decimal(1) if is_whole else 1 - Decimal(cutoff - oldest) / width
        count += part
        total += part * trade.price
    count = count.quantize(Decimal("0.0001"), rounding=ROUND_DOWN)
    return (total / count).quantize(Decimal("1E-8"), rounding=ROUND_DOWN) if count else None
