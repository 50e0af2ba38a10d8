"""Numbers that are none: NaN and Infinity make a `Decimal` too, but nothing that may be handed out."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

import bintrio
from bintrio._protocol.events import decode_event
from bintrio._protocol.finite import check_finite, is_finite
from bintrio._protocol.results import decode_response
from bintrio.api.market import PriceLevel
from bintrio.errors import PartlyDone, ProtocolViolation
from tests.catalogue import DATA, EXAMPLES, METHODS

NO_NUMBERS = ["NaN", "sNaN", "Infinity", "-inf", " nan12 "]
REPLIES = [
    (path.parent.name, path) for path in sorted(EXAMPLES.glob("*/response*.json")) if path.parent.name in METHODS
]
EVENTS = sorted(path for path in (DATA / "events").glob("*.json") if path.name != "fields.json")


def texts(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """The paths of all texts in JSON values."""
    kind = cast("Any", type(value))
    if kind is str:
        yield path
    elif kind in {dict, list}:
        for key, item in value.items() if kind is dict else enumerate(value):
            yield from texts(item, *path, key)


def changed(value: Any, path: tuple[Any, ...], text: str) -> tuple[Any, Any]:
    """The same with another text there, and what holds it."""
    found = holder = copy.deepcopy(value)
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = text
    return found, holder


def leave_out_another(holder: Any, *kept: Any) -> None:
    if type(holder) is not list:
        holder.pop(next((name for name in holder if name not in kept), None), None)


def numbers(value: Any) -> Iterator[Decimal]:
    if isinstance(value, Decimal):
        yield value
    items: Any = msgspec.structs.astuple(value) if isinstance(value, msgspec.Struct) else value
    kind = cast("Any", type(items))
    if kind is tuple:
        for item in items:
            yield from numbers(item)


@pytest.mark.parametrize(("method", "path"), REPLIES, ids=[f"{method}/{path.stem}" for method, path in REPLIES])
def test_g10_no_result_holds_a_number_that_is_none(method: str, path: Path) -> None:
    """Wherever it stands in any answer that the document prints, and whether or not the record around it is whole."""
    reply = json.loads(path.read_bytes())
    if "result" not in reply:
        assert "error" in reply
        return
    whole = decode_response(method, json.dumps(reply)).result
    refused = 0
    for number, place in enumerate(texts(reply["result"], "result")):
        sent, holder = changed(reply, place, NO_NUMBERS[number % len(NO_NUMBERS)])
        for _ in range(2):
            try:
                found = decode_response(method, json.dumps(sent)).result
            except ProtocolViolation as violation:
                refused += "finite number" in str(violation)
            else:
                assert all(number.is_finite() for number in numbers(found))
            leave_out_another(holder, place[-1])  # and now the same in a record that lacks a field
    assert bool(refused) is bool(list(numbers(whole)))


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_g10_no_event_holds_a_number_that_is_none(path: Path) -> None:
    message = json.loads(path.read_bytes())
    for number, place in enumerate(texts(message["event"], "event")):
        sent, holder = changed(message, place, NO_NUMBERS[number % len(NO_NUMBERS)])
        for _ in range(2):
            event = decode_event(json.dumps(sent)).event
            assert all(number.is_finite() for number in numbers(event))
            leave_out_another(holder, place[-1], "e")


def test_what_is_no_number_is_named_with_its_place() -> None:
    book = {"lastUpdateId": 1, "bids": [["1", "2"]], "asks": [["3", "4"], ["5", "-Infinity"]]}
    with pytest.raises(ProtocolViolation, match=r"depth: .* got -Infinity - at `result.asks\[1\]\[1\]`"):
        decode_response("depth", json.dumps({"id": 1, "status": 200, "result": book}))


def test_g1_a_half_with_a_number_that_is_none_cannot_be_read() -> None:
    reply = json.loads((EXAMPLES / "order.cancelReplace" / "response-partial-cancel-failed.json").read_text())
    half = reply["error"]["data"]["newOrderResponse"]
    error = decode_response("order.cancelReplace", json.dumps(reply)).error
    assert isinstance(error, PartlyDone)
    assert isinstance(error.done["newOrderResponse"], bintrio.OrderFull)
    half["price"] = "NaN"
    with pytest.raises(ProtocolViolation, match="cannot be told which half was done"):
        decode_response("order.cancelReplace", json.dumps(reply))


def test_any_value_has_numbers_or_none() -> None:
    nan = Decimal("NaN")
    value: Any
    for value in ((), None, "NaN", 1, Decimal(1), (1, (Decimal(1),)), (None, "x"), {"a": 1}):
        assert is_finite(value)
        check_finite(value)
    for value in (nan, (nan,), (1, (nan,)), (PriceLevel(price=nan, quantity=nan), 1)):
        assert not is_finite(value)
        with pytest.raises(msgspec.ValidationError, match="NaN"):
            check_finite(value)
