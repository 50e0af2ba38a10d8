"""Rows to columns: what pandas, polars and pyarrow accept as it is.

    frame = pandas.DataFrame(to_columns(await session.klines(symbol="BTCUSDT", interval="1m")))

Values are left as they are, so prices stay `Decimal`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ._text import shown
from .api.market import OrderBook
from .errors import InvalidRequest

__all__ = ["to_columns"]


def to_columns(rows: Sequence[msgspec.Struct] | OrderBook) -> dict[str, list[Any]]:
    """Klines, trades, price levels or any other records of one kind as a list for each field.

    Args:
        rows: records of one type; or an order book, whose rows get a column ``side`` with ``"BID"`` or ``"ASK"``.

    Returns:
        Lists of equal length by the Python names of the fields; nothing at all for no rows. What did not come of
        a row is None; a field that no row has is left out.

    Raises:
        InvalidRequest: it is neither.
    """
    if isinstance(rows, OrderBook):
        sides = ["BID"] * len(rows.bids) + ["ASK"] * len(rows.asks)
        return {"side": sides, **_by_field((*rows.bids, *rows.asks))}
    if not _are_records(rows):
        raise InvalidRequest(f"rows must be a sequence of records, or an OrderBook, not {shown(rows)}", field="rows")
    return _by_field(rows) if rows else {}


def _by_field(rows: Sequence[msgspec.Struct]) -> dict[str, list[Any]]:
    # Of a row that lacks something these are the fields that came.
    came = set[str]().union(*(row.__struct_fields__ for row in rows))
    names = [name for name in type(rows[0]).__struct_fields__ if name in came and name != "unknown_fields"]
    return {name: [_cell(row, name) for row in rows] for name in names}


def _are_records(rows: Any) -> bool:
    return isinstance(rows, Sequence) and all(isinstance(row, msgspec.Struct) for row in rows)  # pyright: ignore[reportUnknownVariableType]


def _cell(row: msgspec.Struct, name: str) -> Any:
    return getattr(row, name) if name in row.__struct_fields__ else None
