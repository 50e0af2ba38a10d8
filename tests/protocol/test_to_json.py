"""JSON out: what came in comes out again, number by number, for everything that the library hands out."""

from __future__ import annotations

import copy
import json
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bintrio
from bintrio import to_builtins, to_json
from bintrio.api.events import UnknownEvent
from bintrio.api.filters import UnknownFilter
from bintrio.api.market import PriceLevel, SymbolPrice
from bintrio.errors import BintrioError
from bintrio.requests import OrderPlace
from bintrio.sandbox import open_sandbox
from tests.catalogue import DATA, EXAMPLES, METHODS
from tests.protocol.samples import LIMIT

REPLIES = [
    (path.parent.name, path) for path in sorted(EXAMPLES.glob("*/*response*.json")) if path.parent.name in METHODS
]
EVENTS = sorted(path for path in (DATA / "events").glob("*.json") if path.name != "fields.json")


class Written(str):
    """A JSON number, digit by digit."""


def digits(text: str | bytes) -> Any:
    return json.loads(text, parse_float=Written, parse_int=Written)


@pytest.mark.parametrize(
    ("method", "path"), REPLIES, ids=lambda value: value.stem if isinstance(value, Path) else value
)
def test_a_reply_comes_out_as_it_came_in(method: str, path: Path) -> None:
    sent = digits(path.read_bytes())
    if not isinstance(sent, dict) or "status" not in sent or path.stem.startswith("fragment-"):
        pytest.skip("a part of a reply")
    response = bintrio.decode_response(method, path.read_bytes())
    if method == "sor.order.place":
        sent["result"] = sent["result"][0]  # handed out without its array
    assert digits(to_json(response)) == sent
    assert json.loads(json.dumps(to_builtins(response))) == json.loads(to_json(response))
    again = bintrio.decode_response(method, to_json(response))
    assert again == response


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_an_event_comes_out_as_it_came_in(path: Path) -> None:
    sent = path.read_bytes()
    event = bintrio.decode_event(sent)
    assert digits(to_json(event)) == digits(sent)
    assert digits(to_json(event.event)) == digits(sent)["event"]
    assert bintrio.decode_event(to_json(event)) == event


NEWS = '{"a":1.50,"b":[0.10,{"c":1e5}],"d":"1E-7","e":null,"f":123456789012345678901234567890,"g":-0.0,"h":1e999}'


def test_g10_unknown_numbers_keep_their_digits() -> None:
    price = '{"symbol":"X","price":"0.10",' + NEWS[1:]
    found = bintrio.decode_response("ticker.price", f'{{"id":1,"status":200,"result":{price}}}').result
    assert to_json(found) == price.encode()
    assert to_builtins(found) | {"h": 0, "a": 0} == json.loads(price) | {"h": 0, "a": 0}
    event = f'{{"event":{{"e":"moon","x":{NEWS}}}}}'
    assert to_json(bintrio.decode_event(event)) == event.encode()
    book = b'{"lastUpdateId":1,"bids":[["1.0","0E-8",1.50,{"a":1.50}]],"asks":[]}'
    found = bintrio.decode_response("depth", b'{"id":1,"status":200,"result":' + book + b"}").result
    assert to_json(found) == book.replace(b"0E-8", b"0.00000000")


def test_zero_is_in_plain_notation() -> None:
    price = SymbolPrice(symbol="1E-7", price=Decimal("0E-8"))
    level = PriceLevel(price=Decimal("0E-8"), quantity=Decimal("1E+2"))
    assert to_json(price) == b'{"symbol":"1E-7","price":"0.00000000"}'
    assert to_json((level, Decimal("0E-8"))) == b'[["0.00000000","100"],"0.00000000"]'
    assert repr(price) == "SymbolPrice(symbol='1E-7', price=Decimal('0.00000000'))"
    assert repr(level) == "PriceLevel(price=Decimal('0.00000000'), quantity=Decimal('100'))"
    book = bintrio.OrderBook(last_update_id=1, bids=(level,), asks=())
    assert repr(book) == f"OrderBook(last_update_id=1, bids=({level!r},), asks=())"
    two = msgspec.structs.replace(book, asks=(level, level))
    assert f"asks=({level!r}, {level!r})" in repr(two)
    assert eval(repr(two), vars(bintrio) | {"Decimal": Decimal, "PriceLevel": PriceLevel}) == two
    assert bintrio.decode_response("ticker.price", to_json({"id": 1, "status": 200, "result": price})).result == price


REFUSED = {"code": -1121, "msg": "Invalid symbol.", "data": {"serverTime": 5, "a": [1, "x", None]}}


def test_a_refusal_gives_what_the_exchange_sent() -> None:
    for status, error in ((400, REFUSED), (400, {"code": -1, "msg": "No."}), (418, REFUSED)):
        response = bintrio.decode_response("depth", json.dumps({"id": 1, "status": status, "error": error}))
        assert to_builtins(response.error) == error
        assert to_builtins(response) == {"id": 1, "status": status, "error": error}


@pytest.mark.parametrize("status", [400, 403, 409, 500, 503])
def test_g10_an_error_comes_out_digit_by_digit(status: int) -> None:
    error = f'{{"code":-1007,"msg":"Timeout.","data":{NEWS}}}'
    sent = f'{{"id":"a","status":{status},"error":{error}}}'.encode()
    response = bintrio.decode_response("order.place", sent)
    assert response.error_json == error.encode()
    assert to_json(response) == sent
    assert bintrio.decode_response("order.place", to_json(response)) == response
    assert pickle.loads(pickle.dumps(response)) == response


@pytest.mark.parametrize("status", [403, 429, 503])
def test_a_status_that_says_it_all_comes_out_alone(status: int) -> None:
    bare = f'{{"id":"a","status":{status}}}'.encode()
    assert to_json(bintrio.decode_response("order.place", bare)) == bare


@pytest.mark.parametrize("name", ["response-partial-cancel-failed", "response-stop-on-failure"])
def test_both_halves_of_a_replacement(name: str) -> None:
    path = EXAMPLES / "order.cancelReplace" / f"{name}.json"
    response = bintrio.decode_response("order.cancelReplace", path.read_bytes())
    assert isinstance(response.error, bintrio.PartlyDone | bintrio.CancelReplaceFailed)
    assert to_builtins(response.error) == json.loads(path.read_bytes())["error"]
    data = json.loads(path.read_bytes())["error"]["data"]
    halves = {**response.error.done, **response.error.failed}
    assert to_builtins(halves) == {name: half for name, half in data.items() if isinstance(half, dict)}
    assert all(isinstance(error, bintrio.Rejected) for error in response.error.failed.values())


REQUEST = OrderPlace(symbol="X", side="BUY", type="MARKET", quantity="0.1", new_client_order_id="a")

ERRORS: list[tuple[BaseException, dict[str, Any]]] = [
    (bintrio.InvalidRequest("bad", field="price"), {"type": "InvalidRequest", "message": "bad", "field": "price"}),
    (bintrio.SubscriberTooSlow(10), {"type": "SubscriberTooSlow", "buffer": 10}),
    (
        bintrio.ProtocolViolation("odd", raw=b'{"a":1}'),
        {"type": "ProtocolViolation", "message": "odd", "raw": {"a": 1}},
    ),
    (bintrio.ProtocolViolation("odd", raw=b"\xff"), {"type": "ProtocolViolation", "message": "odd", "raw": "\ufffd"}),
    (
        bintrio.ConnectionFailed([("wss://x", OSError("refused"))]),
        {"type": "ConnectionFailed", "attempts": [["wss://x", {"type": "OSError", "message": "refused"}]]},
    ),
    (
        bintrio.OutcomeUnknown("order.place", "lost", request=REQUEST, client_order_id="a", final_at=7),
        {
            "type": "OutcomeUnknown",
            "method": "order.place",
            "reason": "lost",
            "request": REQUEST.params(),
            "client_order_id": "a",
            "final_at": 7,
        },
    ),
]


@pytest.mark.parametrize(("error", "expected"), ERRORS)
def test_any_other_error_gives_its_attributes(error: BintrioError, expected: dict[str, Any]) -> None:
    error.add_note("at night")
    found = to_builtins(error)
    assert expected.items() <= found.items()
    assert found["message"] == str(error)
    assert "__notes__" not in found
    assert json.loads(to_json(error)) == found


def test_plain_values_stay_as_they_are() -> None:
    values: list[Any] = [None, True, 5, "x", 1.5, [], {}, [1, {"a": None}]]
    for value in values:
        assert to_builtins(value) == value
        assert json.loads(to_json(value)) == value
    assert to_builtins((Decimal("1E-7"), b"[1]", b"{")) == ["0.0000001", [1], "{"]


@pytest.mark.parametrize("value", [[1j], [10**5000], ["\ud800"], {1j: 1}])
def test_what_has_no_json_is_refused(value: Any) -> None:
    with pytest.raises(bintrio.InvalidRequest) as refused:
        to_json(value)
    assert refused.value.field == "value"
    with pytest.raises(bintrio.InvalidRequest, match="there is no JSON for complex"):
        to_builtins([1j])


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True))
def test_numbers_in_the_data_of_a_refusal_keep_their_digits(number: str) -> None:
    """Also those that no float holds."""
    data = f'{{"x":5,"fee":{number},"deep":[{{"x":{number}}}]}}'
    error = f'{{"code":-2021,"msg":"Order cancel-replace partially failed.","data":{data}}}'
    reply = f'{{"id":1,"status":409,"error":{error}}}'.encode()
    found = bintrio.decode_response("new.method", reply)
    assert found.error is not None
    for copied in (found.error, pickle.loads(pickle.dumps(found.error)), copy.deepcopy(found.error)):
        assert to_json(copied) == error.encode()
    assert to_json(found) == reply


def test_other_structs_of_the_library() -> None:
    gap = bintrio.Gap(start=1, end=2, reason="lost")
    assert to_builtins(gap) == {"start": 1, "end": 2, "reason": "lost"}
    assert to_builtins(REQUEST) == REQUEST.params()
    unknown = UnknownFilter(type="MOON", raw=b'{"filterType":"MOON"}')
    assert to_builtins([unknown]) == [{"filterType": "MOON"}]


async def test_what_a_session_gives_can_be_written(autojump_clock: Any) -> None:
    async with open_sandbox() as sandbox, bintrio.open_session(sandbox.endpoint, key=sandbox.key) as session:
        info = await session.exchange_info()
        assert json.loads(to_json(info))["symbols"]
        assert to_builtins(await session.depth(symbol="BTCUSDT"))["bids"] == []


def test_json_of_records_is_in_plain_notation() -> None:
    assert to_builtins([Decimal("1E-7"), {"a": (Decimal(5), None, True)}]) == ["0.0000001", {"a": ["5", None, True]}]
    assert to_builtins(LIMIT)["limit"] == 5
    assert isinstance(msgspec.json.encode(to_builtins(LIMIT)), bytes)


@pytest.mark.parametrize("raw", [b'{"e":"\xff"}', b'{"e":1e999}', b"\xff"])
def test_json_of_what_is_none_is_its_text(raw: bytes) -> None:
    assert to_builtins(UnknownEvent(event_type=None, raw=raw)) == raw.decode(errors="replace")
