from __future__ import annotations

from decimal import Decimal

from bintrio._protocol.results import decode_response
from bintrio.columns import to_columns

from .catalogue import EXAMPLES


def test_klines_become_columns() -> None:
    klines = decode_response("klines", (EXAMPLES / "klines" / "response.json").read_bytes()).result
    columns = to_columns(klines)
    assert list(columns) == list(klines[0].__struct_fields__)
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
