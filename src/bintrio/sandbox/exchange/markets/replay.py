"""Trades and candles that were recorded, played again.

Source: github.com/binance/binance-public-data, "SPOT": columns of klines, trades and aggTrades. Times are in
milliseconds, from 2025 on in microseconds.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal, InvalidOperation
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias
from zipfile import ZipFile

from bintrio.api.market import AggregateTrade, Kline, Trade
from bintrio.errors import InvalidRequest

from ..symbols import Symbol
from ..units import MILLISECOND, as_microseconds
from .market import Market, Number, Tick

Row: TypeAlias = str | Sequence[object] | Kline | Trade | AggregateTrade
"""A line, its columns, or what a session gives."""


class _Print(NamedTuple):
    """A trade that was recorded."""

    time: int
    price: Decimal
    quantity: Decimal
    is_buyer_maker: bool

    def ticks(self, symbol: Symbol) -> Iterator[Tick]:
        yield Tick(self.time, symbol.name, self.price, self.quantity, self.is_buyer_maker)


class _Candle(NamedTuple):
    """A candle that was recorded; its trades are not known any more."""

    time: int
    prices: tuple[Decimal, Decimal, Decimal, Decimal]
    volume: Decimal
    end: int

    def ticks(self, symbol: Symbol) -> Iterator[Tick]:
        """Four trades that make it again: those at its lowest and highest price in the order of the shorter way."""
        # Nothing was traded, so there are no trades to make.
        if not self.volume:
            return
        opened, high, low, closed = self.prices
        # A candle does not tell which came first: the shorter way is the likelier.
        path = (opened, low, high, closed) if closed >= opened else (opened, high, low, closed)
        before = opened
        quarter = (self.volume / 4).quantize(symbol.step_size or Decimal("1E-8"), ROUND_FLOOR)
        for part, price in enumerate(path):
            # The last trade has what rounding left over, so that the volume is the candle's.
            quantity = quarter if part < 3 else self.volume - 3 * quarter
            time = self.time + (self.end - self.time) * part // 4
            yield Tick(time, symbol.name, price, quantity, price < before)
            before = price


class Replay(Market):
    """Plays recorded klines, trades or aggregate trades of one symbol again, at the pace at which they happened.

    They begin when the sandbox begins. To have them at their own times, give `start_time_ms` to `open_sandbox`. After
    the last one, the quotes stay as they are.

    A kline becomes four trades: at its opening price, its lowest and highest, and its closing price. Prices and
    quantities are brought to the filters of the symbol: a quantity that is too small is raised to the least that they
    allow.

    Args:
        source: a CSV file as the exchange publishes it, zipped or not, which is read as time goes on; or rows, which
            may be lines, lists of columns, or records as a session's ``klines``, ``trades_historical`` and
            ``trades_aggregate`` give them.
        symbol: which symbol they are of; if not given, the file's name says it, as in ``BTCUSDT-1m-2026-01.csv``.
        spread: from bid to ask, as a part of the price; one tick at least.
        depth: levels on each side.
        quantity: of the base asset in each level.

    Raises:
        InvalidRequest: a number is out of range, or there are rows without a symbol.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Iterable[Row],
        symbol: str | None = None,
        *,
        spread: Number = "0.0001",
        depth: int = 10,
        quantity: Number = 1,
    ) -> None:
        super().__init__(spread=spread, depth=depth, quantity=quantity)
        path = Path(source) if isinstance(source, str | os.PathLike) else None
        # A file's name says it; rows do not.
        if path is None and symbol is None:
            said = "rows do not say of which symbol they are: Replay(rows, symbol='BTCUSDT')"
            raise InvalidRequest(said, field="symbol")
        self.symbol: Final = symbol or ("" if path is None else path.name.partition("-")[0])
        self._path = path
        self._rows: Sequence[Row] = () if isinstance(source, str | os.PathLike) else tuple(source)

    def __repr__(self) -> str:
        return f"Replay({str(self._path) if self._path else f'{len(self._rows)} rows'!r}, symbol={self.symbol!r})"

    @property
    def start_time_ms(self) -> int:
        """When the first row happened, in milliseconds.

        Raises:
            OSError: the file cannot be read.
            InvalidRequest: there is no row, or it is none of the three kinds.
        """
        first = next(self._records(), None)
        if first is None:
            raise InvalidRequest(f"{self!r} is empty", field="source")
        return first.time // MILLISECOND

    def ticks(self, symbols: Mapping[str, Symbol], start: int) -> Iterator[Tick]:
        """See `Market.ticks`.

        Raises:
            OSError: the file cannot be read.
            InvalidRequest: the symbol is not among those of the exchange, or a row is none of the three kinds.
        """
        # First, since a file that is not there is hardly ever of the wrong symbol.
        later = start - self.start_time_ms * MILLISECOND
        if self.symbol not in symbols:
            said = f"{self.symbol!r} is not among the sandbox's symbols: {', '.join(symbols)}"
            raise InvalidRequest(said, field="symbol")
        return self._ticks(symbols[self.symbol], start, later)

    def _ticks(self, symbol: Symbol, start: int, later: int) -> Iterator[Tick]:
        latest = start
        for record in self._records():
            for tick in record.ticks(symbol):
                latest = max(latest, tick.time + later)  # a tape's times never go back
                yield tick._replace(time=latest)

    def _records(self) -> Iterator[_Print | _Candle]:
        rows = iter(self._rows) if self._path is None else _lines(self._path)
        for number, row in enumerate(rows, start=1):
            if not _is_header(row):
                yield _record(row, number, self)


def _lines(path: Path) -> Iterator[str]:
    # Read line by line: a month of trades is some gigabytes.
    if path.suffix != ".zip":
        with path.open(encoding="utf-8", newline="") as lines:
            yield from lines
        return
    with ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
        yield from io.TextIOWrapper(file, "utf-8", newline="")


def _is_header(row: Row) -> bool:
    """Blank lines and names of columns. Every column that there is of a record begins with a digit."""
    return isinstance(row, str) and not row.strip()[:1].isdigit()


def _record(row: Row, number: int, replay: Replay) -> _Print | _Candle:
    try:
        return _read(row)
    except (InvalidOperation, ValueError, LookupError):
        kinds = "no kline (12 columns), trade (7) or aggregate trade (8)"
        raise InvalidRequest(f"row {number} of {replay!r} is {kinds}: {row!r:.200}", field="source") from None


def _read(row: Row) -> _Print | _Candle:
    # A record has its types already; all else is text in the order of the exchange's columns.
    if isinstance(row, Kline):
        prices = (row.open, row.high, row.low, row.close)
        return _Candle(as_microseconds(row.open_time), prices, row.volume, as_microseconds(row.close_time))
    if isinstance(row, Trade):
        return _Print(as_microseconds(row.time), row.price, row.qty, row.is_buyer_maker)
    if isinstance(row, AggregateTrade):
        return _Print(as_microseconds(row.time), row.price, row.quantity, row.is_buyer_maker)
    columns = next(csv.reader([row])) if isinstance(row, str) else [str(column) for column in row]
    if len(columns) == 12:
        opened, high, low, closed, volume = map(_amount, columns[1:6])
        return _Candle(_time(columns[0]), (opened, high, low, closed), volume, _time(columns[6]))
    # The kinds are told apart by the number of their columns: the files say nothing else of it.
    where = _TIME_COLUMNS[len(columns)]
    return _Print(_time(columns[where]), _amount(columns[1]), _amount(columns[2]), _FLAGS[columns[where + 1].lower()])


# Where the time of a trade and of an aggregate trade is; whether the buyer was the maker comes next to it.
_TIME_COLUMNS: Final = {7: 4, 8: 5}

_FLAGS: Final = {"true": True, "false": False}


def _time(text: str) -> int:
    return as_microseconds(int(text))


def _amount(text: str) -> Decimal:
    amount = Decimal(text)
    # Text such as "NaN" makes a Decimal too.
    if not amount.is_finite() or amount < 0:
        raise ValueError(text)
    return amount
