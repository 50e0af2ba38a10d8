"""Nothing is lost: every answer of the document is decoded, encoded again, and compared field by field.

Variants that the document describes without an example are made from their description.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from bintrio._protocol.reading import reader
from bintrio._protocol.results import decode_response
from bintrio._protocol.to_json import to_builtins
from bintrio.api.trading import OrderAck, OrderFull, OrderResult
from bintrio.errors import OutcomeUnknown, PartlyDone, ProtocolViolation, Rejected
from tests.catalogue import EXAMPLES, METHODS, document

RESPONSES = sorted(
    path for path in EXAMPLES.glob("*/*.json") if "request" not in path.name and path.parent.name != "_general"
)
GENERAL = {
    "rate-limits-hidden-response": "time",
    "rate-limits-response": "time",
    "rate-limits-shown-response": "time",
    "response-format-error": "order.place",
    "response-format-success": "order.place",
    "session-revoked-401": "order.place",
    "unfilled-order-count-response": "order.place",
    "ip-limits-banned-418": "ping",
}
NOT_A_RESPONSE = {
    "ticker/fragment-window.json": "two fields of an answer that is there as a whole",
    "_general/error-payload.json": "the payload of an error, which the other errors have as well",
    "_general/event-format-event.json": "an event, see test_api_events.py",
}
DESCRIBED: dict[str, Any] = document("responses.json")

CASES = [
    *((path.parent.name, path) for path in RESPONSES if not path.name.startswith("fragment-")),
    *((method, EXAMPLES / "_general" / f"{name}.json") for name, method in GENERAL.items()),
]


def whole(path: Path) -> dict[str, Any]:
    """The example; a bare error gets the envelope it comes in."""
    example = json.loads(path.read_text())
    return {"id": 1, "status": 400, "error": example} if path.name.startswith("error-") else example


def encoded(method: str, message: dict[str, Any]) -> dict[str, Any]:
    """What a message is after it was decoded, as JSON again."""
    response = decode_response(method, json.dumps(message))
    found: dict[str, Any] = {"id": response.id, "status": response.status}
    if response.rate_limits:
        found["rateLimits"] = to_builtins(response.rate_limits)
    if response.error is None:
        # Inconsistency 1: the order of sor.order.place comes in an array, and is handed out without.
        result = to_builtins(response.result)
        return found | {"result": [result] if method == "sor.order.place" else result}
    assert isinstance(response.error, Rejected)
    error = {"code": response.error.code, "msg": response.error.message}
    return found | {"error": error | ({} if response.error.data is None else {"data": response.error.data})}


def test_every_example_is_held_against_the_catalogue() -> None:
    held = {path for _, path in CASES}
    skipped = {EXAMPLES / name for name in NOT_A_RESPONSE}
    others = {path for path in EXAMPLES.glob("*/*.json") if path.name.endswith("request.json")}
    assert held | skipped | others == set(EXAMPLES.glob("*/*.json"))


@pytest.mark.parametrize(("method", "path"), CASES, ids=lambda value: value.stem if isinstance(value, Path) else value)
def test_no_field_is_lost(method: str, path: Path) -> None:
    message = whole(path)
    assert encoded(method, message) == message


NEW: dict[str, Any] = {"newField": [1, {"price": "0.10"}], "another": None}


def extended(value: Any) -> Any:
    """A JSON value with two new fields in each of its objects."""
    if isinstance(value, list):
        return list(map(extended, value))  # pyright: ignore[reportUnknownArgumentType]
    if not isinstance(value, dict):
        return value
    return {name: extended(item) for name, item in cast("dict[str, Any]", value).items()} | NEW


@pytest.mark.parametrize(("method", "path"), CASES, ids=lambda value: value.stem if isinstance(value, Path) else value)
def test_g10_no_field_is_lost_that_is_new(method: str, path: Path) -> None:
    message = {name: extended(value) if name != "error" else value for name, value in whole(path).items()}
    assert encoded(method, message) == message


NOT_MADE = {
    "depth": "positional arrays, which the description does not take apart",
    "klines": "positional arrays",
    "uiKlines": "positional arrays",
    "openOrders.cancelAll": "described as if orders and order lists were one",
}
DESCRIPTIONS = [
    (method, name) for method in METHODS for name in DESCRIBED[method]["variants"] if method not in NOT_MADE
]


def made(method: str, name: str) -> dict[str, Any]:
    """A message from the description of its fields."""
    variant = DESCRIBED[method]["variants"][name]
    message: dict[str, Any] = {"id": 1, "status": variant["status"]}
    for path, kind in variant["fields"].items():
        value = -1 if path.endswith("code") else value_of(kind)  # codes of errors are negative
        put(message, path.replace("[]", ".[]").split("."), value)
    return message


def put(target: Any, path: list[str], value: Any) -> None:
    name, *rest = path
    if name == "[]":
        if rest:
            target.extend([] if target else [{}])
            put(target[0], rest, value)
        else:
            target.append(value)
    elif rest:
        put(target[name], rest, value)
    else:
        target[name] = value


def value_of(kind: str) -> Any:
    kinds: dict[str, Any] = {"int": 1, "bool": True, "object": {}, "array": [], "string": "1"}
    kinds |= {"decimal string": "0.00000010", "null": None}
    return kinds[kind.removesuffix("?").split("|")[0]]


@pytest.mark.parametrize(("method", "name"), DESCRIPTIONS)
def test_no_described_field_is_lost(method: str, name: str) -> None:
    message = made(method, name)
    assert encoded(method, message) == message


def test_decimals_keep_every_digit() -> None:
    for text in ("0.00000010", "1.00", "0", "0.25", "123456789012345678901234567890.12345678", "1E-7"):
        message = {"id": 1, "status": 200, "result": {"symbol": "X", "price": text}}
        response = decode_response("ticker.price", json.dumps(message))
        assert response.result.price == Decimal(text)
        assert to_builtins(response.result)["price"] == format(Decimal(text), "f")


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every field of a JSON value."""
    if isinstance(value, dict):
        for name, item in cast("dict[str, Any]", value).items():
            yield (*path, name)
            yield from paths(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(cast("Sequence[Any]", value)):
            yield from paths(item, (*path, index))


@pytest.mark.parametrize(("method", "path"), CASES, ids=lambda value: value.stem if isinstance(value, Path) else value)
def test_an_absent_field_is_optional_or_a_clear_violation(method: str, path: Path) -> None:
    """A result never passes for a plainer one: all that is left of it is in what was decoded."""
    for gone in paths(whole(path).get("result", {})):
        message = whole(path)
        target = message["result"]
        for key in gone[:-1]:
            target = target[key]
        del target[gone[-1]]
        error, found = attempted(method, message)
        if error is None:
            assert found == message
        else:
            assert str(error).startswith(f"{method}: ")
            assert f"`{gone[-1]}`" in str(error)
            assert "at `result" in str(error)
            assert json.loads(error.raw) == message["result"]


def attempted(method: str, message: dict[str, Any]) -> tuple[ProtocolViolation | None, dict[str, Any]]:
    try:
        return None, encoded(method, message)
    except ProtocolViolation as error:
        return error, {}


@pytest.mark.parametrize("wrong", [None, 1, "x", {}, [], [1], [[]]])
@pytest.mark.parametrize("method", METHODS)
def test_a_result_of_the_wrong_shape_is_a_violation(method: str, wrong: Any) -> None:
    message: dict[str, Any] = {"id": 1, "status": 200, "result": wrong}
    error, found = attempted(method, message)
    if error is None:
        # Records without a required field, and empty arrays.
        assert found == message
    else:
        assert str(error).startswith(f"{method}: ")
        assert json.loads(error.raw) == wrong


def test_a_partly_done_replacement_has_both_halves_typed() -> None:
    """Inconsistency 39: what comes with 409 is an error that tells what was done."""
    path = EXAMPLES / "order.cancelReplace" / "response-partial-cancel-failed.json"
    error = decode_response("order.cancelReplace", path.read_bytes()).error
    assert isinstance(error, PartlyDone)
    assert list(error.done) == ["newOrderResponse"]
    assert error.done["newOrderResponse"].order_id == 12569099453
    assert error.failed["cancelResponse"].message == "Unknown order sent."
    assert error.failed["cancelResponse"].method == "order.cancelReplace"


@pytest.mark.parametrize("name", ["response-partial-new-order-failed", "response-order-limit-cancel-only"])
def test_a_replacement_without_its_order_has_both_halves_typed(name: str) -> None:
    message = made("order.cancelReplace", name)
    error = decode_response("order.cancelReplace", json.dumps(message)).error
    assert isinstance(error, PartlyDone)
    assert error.done["cancelResponse"].orig_client_order_id == "1"
    assert list(error.failed) == ["newOrderResponse"]


@pytest.mark.parametrize("method", METHODS)
def test_no_reply_is_ever_a_crash(method: str) -> None:
    assert isinstance(decode_response(method, b'{"id":1,"status":500}').error, OutcomeUnknown)
    with pytest.raises(ProtocolViolation, match="no `result`"):
        decode_response(method, b'{"id":1,"status":200}')


def read(known: Any) -> Any:
    return reader(known, known, "order.place")


def test_the_order_of_a_union_does_not_matter() -> None:
    """Two unions of the same members are the same to Python, and to the cache of decoders."""
    order = json.loads((EXAMPLES / "order.place" / "response-result.json").read_text())["result"]
    raw = msgspec.json.encode(order)
    reader.cache_clear()
    assert isinstance(read(OrderAck | OrderResult | OrderFull)(raw), OrderResult)
    assert isinstance(read(OrderFull | OrderResult | OrderAck)(raw), OrderResult)
