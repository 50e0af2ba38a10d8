"""What somebody writes who needs little: requests and answers with msgspec, prices as Decimals, HMAC signatures."""

from __future__ import annotations

import hmac
import time
from decimal import Decimal
from typing import Any, Final

import msgspec

from . import API_KEY, API_SECRET, PRICE, QUANTITY, SYMBOL

ROWS: Final = (
    "start",
    *(f"order, {in_flight} in flight" for in_flight in (1, 8, 32, 256)),
    "burst of 50",
    "depth of 5,000",
    "events to 1",
    "1,000 events/s",
    "10,000 calls in flight",
    "CPU per call, by calls in flight",
)
"""All but what takes care of connections."""

PARAMS: Final = {
    "apiKey": API_KEY,
    "price": PRICE,
    "quantity": QUANTITY,
    "side": "SELL",
    "symbol": SYMBOL,
    "timeInForce": "GTC",
}


class Order(msgspec.Struct, rename="camel"):
    symbol: str
    order_id: int
    order_list_id: int
    client_order_id: str
    transact_time: int
    price: Decimal
    orig_qty: Decimal
    executed_qty: Decimal
    orig_quote_order_qty: Decimal
    cummulative_quote_qty: Decimal
    status: str
    time_in_force: str
    type: str
    side: str
    working_time: int
    self_trade_prevention_mode: str


class Book(msgspec.Struct, rename="camel"):
    last_update_id: int
    bids: list[tuple[Decimal, Decimal]]
    asks: list[tuple[Decimal, Decimal]]


class Report(msgspec.Struct):
    """The fields of an execution report that a trader keeps a book of orders with."""

    event_type: str = msgspec.field(name="e")
    symbol: str = msgspec.field(name="s")
    client_order_id: str = msgspec.field(name="c")
    order_status: str = msgspec.field(name="X")
    order_id: int = msgspec.field(name="i")
    price: Decimal = msgspec.field(name="p")
    executed: Decimal = msgspec.field(name="z")


class Message(msgspec.Struct):
    id: int = 0
    status: int = 0
    result: msgspec.Raw = msgspec.Raw(b"")
    event: msgspec.Raw = msgspec.Raw(b"")


read_message: Final = msgspec.json.Decoder(Message).decode
read_order: Final = msgspec.json.Decoder(Order).decode
read_book: Final = msgspec.json.Decoder(Book).decode
read_report: Final = msgspec.json.Decoder(Report).decode
_write: Final = msgspec.json.Encoder().encode


def order_request(number: int) -> bytes:
    return _write({"id": number, "method": "order.place", "params": _signed({**PARAMS, "type": "LIMIT"})})


def depth_request(number: int) -> bytes:
    return _write({"id": number, "method": "depth", "params": {"symbol": SYMBOL, "limit": 5000}})


def subscribe_request(number: int) -> bytes:
    return _write(
        {"id": number, "method": "userDataStream.subscribe.signature", "params": _signed({"apiKey": API_KEY})}
    )


def _signed(params: dict[str, Any]) -> dict[str, Any]:
    params["timestamp"] = time.time_ns() // 1_000_000
    payload = "&".join([f"{name}={params[name]}" for name in sorted(params)])
    params["signature"] = hmac.digest(API_SECRET.encode(), payload.encode(), "sha256").hex()
    return params
