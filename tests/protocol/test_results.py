"""Replies to results and errors: what is a refusal, what an unknown outcome, and what is neither."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from msgspec import Raw

from bintrio._protocol.envelope import Envelope, Failure, read_envelope
from bintrio._protocol.results import decode_response, read_error, read_result
from bintrio._protocol.to_json import write_reply
from bintrio.api.account import RelevantFilters
from bintrio.api.general import ServerTime
from bintrio.api.order_lists import OrderListPlaceOto
from bintrio.api.trading import OrderPlace
from bintrio.errors import (
    Banned,
    OutcomeUnknown,
    PartlyDone,
    ProtocolViolation,
    RateLimited,
    Rejected,
    UnknownSymbol,
)
from bintrio.times import to_datetime
from tests.catalogue import EXAMPLES
from tests.protocol.samples import DEEP, LIMIT, ODD_LIMITS


@pytest.mark.parametrize("request_id", [1, "a", 2**62, "日本"])
def test_a_reply_survives_both_directions(request_id: int | str) -> None:
    reply = write_reply(request_id, 200, result=ServerTime(server_time=5), rate_limits=(LIMIT,))
    envelope = read_envelope(reply)
    assert (envelope.id, envelope.status, envelope.rate_limits) == (request_id, 200, (LIMIT,))
    assert read_error("time", envelope) is None
    assert read_result("time", ServerTime, envelope) == ServerTime(server_time=5)
    assert read_result("time", Any, envelope) == {"serverTime": 5}


def test_an_error_survives_both_directions() -> None:
    reply = write_reply(None, 400, error={"code": -1121, "msg": "Invalid symbol.", "data": {"a": Decimal("1E-7")}})
    error = read_error("depth", read_envelope(reply))
    assert isinstance(error, UnknownSymbol)
    assert error.data == {"a": "0.0000001"}
    assert json.loads(reply)["id"] is None


@pytest.mark.parametrize("result_type", [Any, ServerTime, OrderPlace.api.result, OrderListPlaceOto.api.result])
def test_g1_a_result_nested_too_deep_is_a_violation(result_type: Any) -> None:
    for deep in (DEEP, '{"a":' * 100_000, '[{"filterType":' * 100_000):
        with pytest.raises(ProtocolViolation) as caught:
            read_result("m", result_type, Envelope(id=1, status=200, result=Raw(deep.encode())))
        assert caught.value.raw == deep.encode()


@pytest.mark.parametrize(
    "result_type", [Any, ServerTime, OrderPlace.api.result, RelevantFilters, OrderListPlaceOto.api.result]
)
def test_g1_no_depth_of_a_result_escapes(result_type: Any) -> None:
    for depth in range(1, 1100, 3):
        nested = "[" * depth + "]" * depth
        for result in (nested, f'{{"serverTime":1,"filterType":{nested}}}', f'{{"price":"x","name":{nested}}}'):
            with suppress(ProtocolViolation):
                read_result("m", result_type, read_envelope(f'{{"id":1,"status":200,"result":{result}}}'.encode()))


def test_g1_no_depth_of_a_refusal_escapes() -> None:
    for depth in range(1, 1100, 3):
        data = f'{{"newOrderResponse":{{"code":-1,"data":{"[" * depth}{"]" * depth}}}}}'
        envelope = Envelope(status=409, error=Failure(-2021, "", Raw(data.encode())))
        assert isinstance(read_error("new.method", envelope), PartlyDone)
        with suppress(ProtocolViolation):  # what is nested too deep does not tell which half was done
            assert isinstance(read_error("order.cancelReplace", envelope), PartlyDone)


@pytest.mark.parametrize("odd", ODD_LIMITS)
def test_g8_a_refusal_with_odd_rate_limits_is_still_one(odd: Any) -> None:
    failure = {"code": -1003, "msg": "Too much.", "data": {"retryAfter": 7}}
    reply = {"id": None, "status": 429, "error": failure, "rateLimits": odd}
    error = read_error("m", read_envelope(json.dumps(reply).encode()))
    assert isinstance(error, RateLimited)
    assert error.retry_at == 7


@pytest.mark.parametrize("call", ['"id":"a",', '"id":null,', ""])
@pytest.mark.parametrize("error", ['"no"', '{"code":"x"}'])
def test_g8_a_refusal_whose_error_cannot_be_read_is_still_one(call: str, error: str) -> None:
    envelope = read_envelope(f'{{{call}"status":418,"error":{error},"rateLimits":null}}'.encode())
    assert (envelope.id, envelope.status) == ("a" if "a" in call else None, 418)
    refusal = read_error("ping", envelope)
    assert isinstance(refusal, Banned)
    assert refusal.message == error


@pytest.mark.parametrize(("status", "code"), [(500, -1000), (503, -1008), (400, -1006), (408, -1007)])
def test_an_unknown_outcome_is_no_refusal(status: int, code: int) -> None:
    error = read_error("order.place", read_envelope(write_reply(1, status, error={"code": code, "msg": "Hm."})))
    assert isinstance(error, OutcomeUnknown)
    assert str(error).endswith(f"{status} {code} Hm.")


@pytest.mark.parametrize("data", ["1e999", '{"retryAfter":1e999}', DEEP, '{"a":' * 100_000, '["' + "1" * 9_999 + '"'])
def test_g8_a_refusal_with_unreadable_data_is_still_one(data: str) -> None:
    failure = Failure(-1003, "Too much.", Raw(data.encode()))
    error = read_error("m", Envelope(id=1, status=429, error=failure))
    assert isinstance(error, RateLimited)
    assert (error.data, error.retry_at) == (None, None)


@pytest.mark.parametrize(
    "odd", ["1" + "0" * 400, "253402300800000000", "-1", "1.5", "1e18", '"7"', "true", "null", "[]"]
)
def test_g8_a_retry_after_that_is_no_time_is_none(odd: str) -> None:
    reply = f'{{"id":1,"status":418,"error":{{"code":-1003,"msg":"Banned.","data":{{"retryAfter":{odd}}}}}}}'
    error = read_error("m", read_envelope(reply.encode()))
    assert isinstance(error, Banned)
    assert error.retry_at is None


def test_g8_the_last_time_there_is() -> None:
    reply = b'{"id":1,"status":418,"error":{"code":-1003,"msg":"","data":{"retryAfter":253402300799999999}}}'
    error = read_error("m", read_envelope(reply))
    assert isinstance(error, Banned)
    assert error.retry_at is not None
    assert to_datetime(error.retry_at, time_unit="us").year == 9999


def test_a_failure_without_an_error_is_still_one() -> None:
    error = read_error("ping", read_envelope(b'{"id":1,"status":403}'))
    assert isinstance(error, Rejected)
    assert (error.status, error.message) == (403, "no error was given")


@pytest.mark.parametrize("data", ["null", "[1]", '{"newOrderResponse":null,"cancelResult":"FAILURE"}', '{"a":{"b":1}}'])
def test_a_409_with_other_data_than_documented_is_still_one_of_a_method_that_is_unknown(data: str) -> None:
    message = f'{{"id":1,"status":409,"error":{{"code":-2021,"msg":"Partly.","data":{data}}}}}'
    error = decode_response("new.method", message).error
    assert isinstance(error, PartlyDone)
    assert error.failed == {}
    assert error.data == json.loads(data)
    for method in ("order.cancelReplace", "order.place", "ping"):
        with pytest.raises(ProtocolViolation, match="cannot be told which half was done: 409 -2021 Partly"):
            decode_response(method, message)


def test_a_half_that_was_refused_may_have_data() -> None:
    half = {"code": -1021, "msg": "Too late.", "data": {"serverTime": 5}}
    message = {"id": 1, "status": 409, "error": {"code": -2021, "msg": "Partly.", "data": {"newOrderResponse": half}}}
    error = decode_response("order.cancelReplace", json.dumps(message)).error
    assert isinstance(error, PartlyDone)
    assert error.done == {}
    assert error.failed["newOrderResponse"].data == {"serverTime": 5}


def test_a_method_that_is_unknown_gives_plain_json() -> None:
    assert decode_response("new.method", '{"id":1,"status":200,"result":[1]}').result == [1]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({}, "ticker.price: Object missing required field `symbol` - at `result`"),
        ({"symbol": 5, "price": "1"}, "ticker.price: Expected `str`, got `int` - at `result.symbol`"),
        ([{"symbol": "X", "price": "x"}], "ticker.price: Invalid decimal string - at `result[0].price`"),
    ],
)
def test_a_violation_names_method_and_path(result: Any, said: str) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        decode_response("ticker.price", json.dumps({"id": 1, "status": 200, "result": result}))
    assert str(caught.value) == said


def test_the_path_goes_into_the_unions_of_records() -> None:
    message = json.loads((EXAMPLES / "orderList.place.oco" / "response.json").read_text())
    message["result"]["orderReports"][1]["status"] = 5
    with pytest.raises(ProtocolViolation, match=r"`int` - at `result\.orderReports\[1\]\.status`"):
        decode_response("orderList.place.oco", json.dumps(message))


def test_a_reply_needs_a_result() -> None:
    with pytest.raises(ProtocolViolation, match="m: the reply has no `result`"):
        read_result("m", ServerTime, read_envelope(b'{"id":1,"status":200}'))


def test_halves_of_a_409_are_typed() -> None:
    path = EXAMPLES / "order.cancelReplace" / "response-partial-cancel-failed.json"
    error = decode_response("order.cancelReplace", path.read_bytes()).error
    assert isinstance(error, PartlyDone)
    assert error.done["newOrderResponse"].order_id == 12569099453
    assert error.failed["cancelResponse"].code == -2011


def test_g10_halves_of_a_409_keep_what_is_unknown() -> None:
    path = EXAMPLES / "order.cancelReplace" / "response-partial-cancel-failed.json"
    reply = json.loads(path.read_bytes())
    reply["error"]["data"]["newOrderResponse"]["note"] = {"a": 5}
    error = decode_response("order.cancelReplace", json.dumps(reply)).error
    assert isinstance(error, PartlyDone)
    assert error.done["newOrderResponse"].order_id == 12569099453
    assert error.done["newOrderResponse"].unknown_fields == b'{"note":{"a": 5}}'


def test_g10_a_half_that_was_done_may_get_a_code() -> None:
    path = EXAMPLES / "order.cancelReplace" / "response-partial-cancel-failed.json"
    news = b'"code":0,"fee":1.10,"far":1e999'
    reply = path.read_bytes().replace(b'"newOrderResponse": {', b'"newOrderResponse": {' + news + b",")
    error = decode_response("order.cancelReplace", reply).error
    assert isinstance(error, PartlyDone)
    assert error.done["newOrderResponse"].unknown_fields == b"{" + news + b"}"
    assert error.failed.keys() == {"cancelResponse"}


def test_a_half_of_a_409_that_cannot_be_read_comes_as_it_is_if_the_method_is_unknown() -> None:
    data: dict[str, Any] = {"cancelResponse": {"code": 5, "msg": []}, "newOrderResponse": [1], "c": {"code": 5}}
    reply: dict[str, Any] = {"id": 1, "status": 409, "error": {"code": -2021, "msg": "", "data": data}}
    error = decode_response("new.method", json.dumps(reply)).error
    assert isinstance(error, PartlyDone)
    assert error.done == {"cancelResponse": {"code": 5, "msg": []}, "c": {"code": 5}}


def test_paths_lead_to_what_is_wrong() -> None:
    path = EXAMPLES / "openOrders.cancelAll" / "response.json"
    reply = json.loads(path.read_bytes())
    reply["result"][1]["orderReports"][1]["symbol"] = None
    with pytest.raises(ProtocolViolation, match=r"`null` - at `result\[1\]\.orderReports\[1\]\.symbol`"):
        decode_response("openOrders.cancelAll", json.dumps(reply))
    reply["result"] = [{}]
    with pytest.raises(ProtocolViolation, match=r" - at `result\[0\]`"):
        decode_response("openOrders.cancelAll", json.dumps(reply))


@pytest.mark.parametrize("data", ["", "null", "[]", '{"id":"\ud800"}'])
def test_a_message_that_is_no_reply_is_told_of_with_its_method(data: str) -> None:
    with pytest.raises(ProtocolViolation, match="time: "):
        decode_response("time", data)
