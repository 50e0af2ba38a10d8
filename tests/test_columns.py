from __future__ import annotations

import importlib
import importlib.util
import sys
from datetime import UTC, datetime
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest
from msgspec.structs import replace

from bintrio import InvalidRequest, Kline, OrderBook
from bintrio import columns as columns_module
from bintrio._protocol.results import decode_response
from bintrio.api.market import PriceLevel, Trade
from bintrio.columns import to_columns, to_dataframe
from bintrio.endpoints import TimeUnit
from bintrio.times import to_datetime

from .catalogue import EXAMPLES


def test_klines_become_columns() -> None:
    klines = decode_response("klines", (EXAMPLES / "klines" / "response.json").read_bytes()).result
    columns = to_columns(klines)
    assert list(columns) == [name for name in Kline.__struct_fields__ if name != "unused"]
    assert columns["open_time"] == [1655971200000]
    assert columns["close"] == [Decimal("0.01083800")]


def test_trades_become_columns() -> None:
    trades = decode_response("myTrades", (EXAMPLES / "myTrades" / "response.json").read_bytes()).result
    columns = to_columns(trades)
    assert columns["qty"] == [Decimal("0.00635000"), Decimal("0.00212000")]
    assert {len(values) for values in columns.values()} == {2}


def test_an_order_book_gets_a_side() -> None:
    book = decode_response("depth", (EXAMPLES / "depth" / "response.json").read_bytes()).result
    columns = to_columns(book)
    assert columns["side"] == ["BID"] * 5 + ["ASK"] * 5
    assert columns["price"][5] == book.asks[0].price
    assert to_columns(book.bids) == {"price": columns["price"][:5], "quantity": columns["quantity"][:5]}


def test_what_did_not_come_of_a_row_is_none() -> None:
    reply = b'{"id":1,"status":200,"result":{"lastUpdateId":1,"bids":[["1"],["2","3"]],"asks":[["4"]]}}'
    book = decode_response("depth", reply).result
    assert to_columns(book.bids) == {"price": [Decimal(1), Decimal(2)], "quantity": [None, Decimal(3)]}
    assert to_columns(book.asks) == {"price": [Decimal(4)]}
    more = b'{"id":1,"status":200,"result":{"lastUpdateId":1,"bids":[["1","2","3"]],"asks":[]}}'
    assert to_columns(decode_response("depth", more).result.bids) == {"price": [Decimal(1)], "quantity": [Decimal(2)]}


def test_no_rows_are_no_columns() -> None:
    assert to_columns(()) == {}


def test_no_rows_keep_their_columns_if_their_kind_is_said() -> None:
    klines = decode_response("klines", (EXAMPLES / "klines" / "response.json").read_bytes()).result
    assert to_columns((), kind=Kline) == {name: [] for name in to_columns(klines, kind=Kline)}
    assert to_columns(OrderBook(last_update_id=1, bids=(), asks=())) == {"side": [], "price": [], "quantity": []}


def test_numbers_become_floats_on_request() -> None:
    trades = decode_response("myTrades", (EXAMPLES / "myTrades" / "response.json").read_bytes()).result
    columns = to_columns(trades, numbers="float64")
    assert columns["qty"] == [0.00635, 0.00212]
    assert all(type(quantity) is float for quantity in columns["qty"])
    assert columns["id"] == [trade.id for trade in trades]
    assert columns["symbol"] == [trade.symbol for trade in trades]


@pytest.mark.parametrize("time_unit", ["ms", "us"])
def test_times_become_datetimes_on_request(time_unit: TimeUnit) -> None:
    orders = decode_response("allOrders", (EXAMPLES / "allOrders" / "response.json").read_bytes()).result
    factor = 1000 if time_unit == "us" else 1
    orders = [replace(order, time=order.time * factor, working_time=-1) for order in orders]
    columns = to_columns(orders, times="datetime", time_unit=time_unit)
    assert columns["time"] == [to_datetime(order.time, time_unit=time_unit) for order in orders]
    assert columns["working_time"] == [None] * len(orders)
    assert columns["time_in_force"] == [order.time_in_force for order in orders]


def test_a_time_that_did_not_come_is_none() -> None:
    row = b'{"id":1,"price":"1","qty":"1","quoteQty":"1","isBuyerMaker":true,"isBestMatch":true}'
    reply = b'{"id":1,"status":200,"result":[' + row + b"]}"
    (trade,) = decode_response("trades.recent", reply).result
    whole = Trade(
        id=2,
        price=trade.price,
        qty=trade.qty,
        quote_qty=trade.quote_qty,
        time=1,
        is_buyer_maker=True,
        is_best_match=True,
    )
    assert to_columns([whole, trade], times="datetime")["time"] == [
        datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC),
        None,
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"rows": 7}, "rows must be a sequence of records, or an OrderBook, not int 7"),
        ({"rows": (), "kind": "Kline"}, "kind must be a type of records, not str 'Kline'"),
        ({"rows": (), "kind": int}, "kind must be a type of records"),
        ({"rows": (), "numbers": "float"}, "numbers must be 'decimal' or 'float64', not str 'float'"),
        ({"rows": (), "times": 7}, "times must be 'int' or 'datetime', not int 7"),
        ({"rows": (), "time_unit": "s"}, "time_unit must be 'ms' or 'us', not str 's'"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        to_columns(**arguments)


# DataFrames


class Library(ModuleType):
    """One that makes of columns a pair: its own name, and the columns."""

    def DataFrame(self, columns: dict[str, list[Any]]) -> tuple[str, dict[str, list[Any]]]:
        return self.__name__, columns


@pytest.mark.parametrize(
    ("imported", "installed", "taken"),
    [
        (("polars",), ("pandas", "polars"), "polars"),
        (("pandas", "polars"), ("pandas", "polars"), "pandas"),
        ((), ("pandas", "polars"), "pandas"),
        ((), ("polars",), "polars"),
    ],
)
def test_the_library_that_a_program_has_makes_the_frame(
    imported: tuple[str, ...], installed: tuple[str, ...], taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pandas", "polars"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        if name in imported:
            monkeypatch.setitem(sys.modules, name, Library(name))
    found = dict.fromkeys(installed, True)
    monkeypatch.setattr(importlib.util, "find_spec", found.get)
    monkeypatch.setattr(importlib, "import_module", Library)
    assert to_dataframe((), kind=PriceLevel, numbers="float64") == (taken, {"price": [], "quantity": []})


def test_without_a_library_there_is_a_word_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pandas", "polars"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    nothing: dict[str, Any] = {}
    monkeypatch.setattr(importlib.util, "find_spec", nothing.get)
    with pytest.raises(InvalidRequest, match="to_dataframe needs pandas or polars"):
        to_dataframe(())


@pytest.mark.extra
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_real_library_takes_the_columns(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(library)
    klines = decode_response("klines", (EXAMPLES / "klines" / "response.json").read_bytes()).result
    monkeypatch.setattr(columns_module, "_LIBRARIES", (library,))
    for numbers in ("decimal", "float64"):
        frame = to_dataframe(klines, numbers=numbers, times="datetime")
        assert len(frame) == 1
        assert list(frame.columns) == list(to_columns(klines))
        assert float(frame["close"][0]) == 0.010838
