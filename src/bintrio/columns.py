"""Rows to columns: what pandas, polars, pyarrow and matplotlib accept as it is.

    frame = pandas.DataFrame(to_columns(await session.klines(symbol="BTCUSDT", interval="1m")))

Values are left as they are unless it is asked for: prices stay `Decimal`, times ints.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final, Literal, TypeAlias

import msgspec

from ._text import shown
from .api._values import times_in
from .api.market import OrderBook, PriceLevel
from .endpoints import TimeUnit
from .errors import InvalidRequest
from .times import to_datetime

__all__ = ["to_columns", "to_dataframe"]

Numbers: TypeAlias = Literal["decimal", "float64"]
"""What prices and quantities become: they stay as they are, or floats, for those who plot."""

Times: TypeAlias = Literal["int", "datetime"]
"""What times become: they stay as they are, or datetimes in UTC."""

# Fields that are no data of the row: what is not known of it, and what the exchange says is to be ignored.
_NO_DATA: Final = frozenset({"unknown_fields", "unused"})

_LIBRARIES: Final = ("pandas", "polars")


def to_columns(
    rows: Sequence[msgspec.Struct] | OrderBook,
    *,
    kind: type[msgspec.Struct] | None = None,
    numbers: Numbers = "decimal",
    times: Times = "int",
    time_unit: TimeUnit = "ms",
) -> dict[str, list[Any]]:
    """Klines, trades, price levels or any other records of one kind as a list for each field.

    Args:
        rows: records of one type; or an order book, whose rows get a column ``side`` with ``"BID"`` or ``"ASK"``.
        kind: the type of the records, so that there are columns if there are no rows: ``Kline``.
        numbers: ``"float64"`` makes floats of prices and quantities, which then are not exact any more.
        times: ``"datetime"`` makes datetimes in UTC of times; of one before 1970, as -1 for "never", None.
        time_unit: of the times, ``"ms"`` or ``"us"``: what the session was opened with.

    Returns:
        Lists of equal length by the Python names of the fields. What did not come of a row is None; a field that no row
        has is left out. No rows are no columns, unless ``kind`` says which.

    Raises:
        InvalidRequest: an argument cannot be right.
    """
    made, given = _Making(numbers, times, time_unit), _anything(kind)
    if isinstance(rows, OrderBook):
        # A book is two lists; as one table each row has to say which it is from.
        sides = ["BID"] * len(rows.bids) + ["ASK"] * len(rows.asks)
        return {"side": sides, **made.columns((*rows.bids, *rows.asks), PriceLevel)}
    if not _are_records(rows):
        raise InvalidRequest(f"rows must be a sequence of records, or an OrderBook, not {shown(rows)}", field="rows")
    if given is not None and not (isinstance(given, type) and issubclass(given, msgspec.Struct)):
        raise InvalidRequest(f"kind must be a type of records, not {shown(kind)}", field="kind")
    return made.columns(rows, kind)


def to_dataframe(rows: Sequence[msgspec.Struct] | OrderBook, **options: Any) -> Any:
    """The same as `to_columns`, as a DataFrame of pandas or polars, whichever the program has.

    If it has both, it is that which is imported already; if neither or both are, pandas.

    Args:
        rows: see `to_columns`.
        options: its other arguments.

    Raises:
        InvalidRequest: an argument cannot be right, or neither library is installed.
    """
    columns = to_columns(rows, **options)
    found = next(filter(sys.modules.get, _LIBRARIES), None) or next(filter(importlib.util.find_spec, _LIBRARIES), None)
    if found is None:
        raise InvalidRequest("to_dataframe needs pandas or polars; to_columns does without", field="rows")
    return importlib.import_module(found).DataFrame(columns)


class _Making:
    """Makes columns, and of their values what is asked for."""

    def __init__(self, numbers: Any, times: Any, time_unit: TimeUnit) -> None:
        for name, value, known in (("numbers", numbers, ("decimal", "float64")), ("times", times, ("int", "datetime"))):
            if value not in known:
                raise InvalidRequest(f"{name} must be {known[0]!r} or {known[1]!r}, not {shown(value)}", field=name)
        to_datetime(0, time_unit=time_unit)  # which refuses a unit that is not known
        self._number: Callable[[Any], Any] | None = _as_float if numbers == "float64" else None
        self._time: Callable[[Any], Any] | None = partial(_as_datetime, time_unit) if times == "datetime" else None

    def columns(self, rows: Sequence[msgspec.Struct], kind: type[msgspec.Struct] | None) -> dict[str, list[Any]]:
        """A list for each field that a row has; of no rows, for each that they could have."""
        if not rows:
            return {name: [] for name in (() if kind is None else kind.__struct_fields__) if name not in _NO_DATA}
        # Of a row that lacks something these are the fields that came.
        came = set[str]().union(*(row.__struct_fields__ for row in rows)) - _NO_DATA
        return {name: self._column(rows, name) for name in type(rows[0]).__struct_fields__ if name in came}

    def _column(self, rows: Sequence[msgspec.Struct], name: str) -> list[Any]:
        cells = [getattr(row, name) if name in row.__struct_fields__ else None for row in rows]
        make = self._time if name in times_in(type(rows[0])) else self._number
        return cells if make is None else [make(cell) for cell in cells]


def _as_float(cell: Any) -> Any:
    return float(cell) if isinstance(cell, Decimal) else cell


def _as_datetime(time_unit: TimeUnit, cell: int | None) -> Any:
    return None if cell is None or cell < 0 else to_datetime(cell, time_unit=time_unit)


def _anything(value: Any) -> Any:
    """The same, of which a type checker believes nothing."""
    return value


def _are_records(rows: Any) -> bool:
    return isinstance(rows, Sequence) and all(isinstance(row, msgspec.Struct) for row in rows)  # pyright: ignore[reportUnknownVariableType]
