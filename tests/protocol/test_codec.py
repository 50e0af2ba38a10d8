"""The codec: envelopes, errors, events and raw parameters, in both directions."""

from __future__ import annotations

import gc
import json
from contextlib import suppress
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, get_args

import msgspec
import pytest
from msgspec import Raw

from bintrio._protocol.envelope import Envelope, Failure, read_envelope
from bintrio._protocol.events import decode_event, read_event
from bintrio._protocol.reading import reader
from bintrio._protocol.requests import checked_id, raw_params, write_request
from bintrio._protocol.results import decode_response, read_error, read_result
from bintrio._protocol.to_json import to_builtins, write_event, write_reply
from bintrio.api._values import MaybeInArray, OneOf, RateLimit, Record
from bintrio.api.account import RelevantFilters
from bintrio.api.events import EventStreamTerminated, KnownEvent, OutboundAccountPosition, UnknownEvent, UserEvent
from bintrio.api.filters import MaxNumOrdersFilter, UnknownFilter
from bintrio.api.general import ServerTime
from bintrio.api.market import ArithmeticMean, ExternalCalculation
from bintrio.api.order_lists import OrderListPlaceOto
from bintrio.api.trading import OrderPlace
from bintrio.errors import (
    Banned,
    InvalidRequest,
    OutcomeUnknown,
    PartlyDone,
    ProtocolViolation,
    RateLimited,
    Rejected,
    UnknownSymbol,
)
from bintrio.times import to_datetime
from tests.catalogue import EXAMPLES

LIMIT = RateLimit(rate_limit_type="ORDERS", interval="DAY", interval_num=1, limit=5, count=1)


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


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"7", b"\xff", b'{"id":1.5,"status":200}', b'{"status":"200"}'])
def test_what_is_no_message_is_a_violation(data: bytes) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        read_envelope(data)
    assert caught.value.raw == data


def test_text_that_is_not_utf8_is_a_violation_wherever_it_is() -> None:
    with pytest.raises(ProtocolViolation):
        decode_response("ticker.price", b'{"id":1,"status":200,"result":{"symbol":"\xff","price":"1"}}')


DEEP = "[" * 100_000


@pytest.mark.parametrize("data", [f'{{"id":1,"result":{DEEP}', f'{{"moon":{DEEP}'])
def test_g1_a_message_nested_too_deep_is_a_violation(data: str) -> None:
    with pytest.raises(ProtocolViolation, match="recursion"):
        read_envelope(data.encode())


@pytest.mark.parametrize("result_type", [Any, ServerTime, OrderPlace.api.result, OrderListPlaceOto.api.result])
def test_g1_a_result_nested_too_deep_is_a_violation(result_type: Any) -> None:
    for deep in (DEEP, '{"a":' * 100_000, '[{"filterType":' * 100_000):
        with pytest.raises(ProtocolViolation) as caught:
            read_result("m", result_type, Envelope(id=1, status=200, result=Raw(deep.encode())))
        assert caught.value.raw == deep.encode()


def test_g10_an_event_nested_too_deep_is_unknown() -> None:
    for deep in (DEEP, '{"e":"balanceUpdate","a":' + DEEP, '{"e":' + DEEP):
        user_event = read_event(Envelope(event=Raw(deep.encode())))
        assert isinstance(user_event.event, UnknownEvent)
        assert (user_event.event.event_type, user_event.event.raw) == (None, deep.encode())
        assert user_event.event.reason


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


ODD_LIMITS: list[Any] = [None, "many", ["ORDERS"], [{"rateLimitType": "ORDERS"}], {"a": 1}]


@pytest.mark.parametrize("odd", ODD_LIMITS)
def test_g1_a_reply_with_odd_rate_limits_reaches_its_caller(odd: Any) -> None:
    reply = {"id": "a", "status": 200, "result": {"serverTime": 5}, "rateLimits": odd}
    envelope = read_envelope(json.dumps(reply).encode())
    assert (envelope.id, envelope.status, envelope.rate_limits) == ("a", 200, ())
    assert read_result("time", ServerTime, envelope) == ServerTime(server_time=5)


@pytest.mark.parametrize("odd", ODD_LIMITS)
def test_g8_a_refusal_with_odd_rate_limits_is_still_one(odd: Any) -> None:
    failure = {"code": -1003, "msg": "Too much.", "data": {"retryAfter": 7}}
    reply = {"id": None, "status": 429, "error": failure, "rateLimits": odd}
    error = read_error("m", read_envelope(json.dumps(reply).encode()))
    assert isinstance(error, RateLimited)
    assert error.retry_at == 7


@pytest.mark.parametrize("odd", ['"status":"200"', '"status":200,"error":"no"', '"status":true,"error":{"code":"x"}'])
def test_g1_a_reply_of_which_only_the_id_can_be_read_fails_its_caller_at_once(odd: str) -> None:
    envelope = read_envelope(f'{{"id":"a",{odd},"rateLimits":null}}'.encode())
    assert envelope == Envelope(id="a")
    with pytest.raises(ProtocolViolation, match="the reply has no status"):
        read_error("m", envelope)


@pytest.mark.parametrize("call", ['"id":"a",', '"id":null,', ""])
@pytest.mark.parametrize("error", ['"no"', '{"code":"x"}'])
def test_g8_a_refusal_whose_error_cannot_be_read_is_still_one(call: str, error: str) -> None:
    envelope = read_envelope(f'{{{call}"status":418,"error":{error},"rateLimits":null}}'.encode())
    assert (envelope.id, envelope.status) == ("a" if "a" in call else None, 418)
    refusal = read_error("ping", envelope)
    assert isinstance(refusal, Banned)
    assert refusal.message == error


def test_g2_a_reply_with_a_null_event_is_a_reply() -> None:
    envelope = read_envelope(b'{"id":1,"status":200,"result":{"serverTime":5},"event": null }')
    assert not envelope.event
    assert (envelope.id, read_result("time", ServerTime, envelope)) == (1, ServerTime(server_time=5))


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


def test_a_recorded_event_is_no_reply_and_a_reply_no_event() -> None:
    with pytest.raises(ProtocolViolation, match="no reply"):
        decode_response("ping", b'{"event":{}}')
    with pytest.raises(ProtocolViolation, match="no event"):
        decode_event('{"id":1,"status":200}')


def test_an_event_survives_both_directions() -> None:
    event = EventStreamTerminated(event_time=5)
    assert decode_event(write_event(3, event)) == UserEvent(subscription_id=3, event=event)
    unknown = UnknownEvent(event_type="moon", raw=b'{"e":"moon"}', reason="Invalid value 'moon' - at `$.e`")
    assert write_event(None, unknown) == b'{"event":{"e":"moon"}}'
    assert read_event(read_envelope(b'{"event":{"e":"moon"}}')).event == unknown


def test_a_request_as_bytes() -> None:
    assert json.loads(write_request(1, "depth", {"symbol": "X"})) == {
        "id": 1,
        "method": "depth",
        "params": {"symbol": "X"},
    }


def test_raw_parameters_are_made_exact() -> None:
    given = {"a": Decimal("1E-7"), "b": None, "c": ["x", Decimal(1)], "d": True, "e": ("x",)}
    assert raw_params("m", given) == {"a": "0.0000001", "c": ["x", "1"], "d": True, "e": ["x"]}


@pytest.mark.parametrize("value", [0.1, Decimal("NaN"), [0.1], object(), b"x", {"a": 1}])
def test_raw_parameters_without_an_exact_form_are_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^m: a must be") as caught:
        raw_params("m", {"a": value})
    assert caught.value.field == "a"


def test_raw_parameters_have_string_names() -> None:
    names: Any = {5: 1}
    with pytest.raises(InvalidRequest, match="parameter names must be str"):
        raw_params("m", names)


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


def test_decoders_are_kept() -> None:
    assert reader(ServerTime, ServerTime, "m") is reader(ServerTime, ServerTime, "m")


def test_json_of_records_is_in_plain_notation() -> None:
    assert to_builtins([Decimal("1E-7"), {"a": (Decimal(5), None, True)}]) == ["0.0000001", {"a": ["5", None, True]}]
    assert to_builtins(LIMIT)["limit"] == 5
    assert isinstance(msgspec.json.encode(to_builtins(LIMIT)), bytes)


class Plain(Record, frozen=True, kw_only=True):
    name: str


class Rich(Plain, frozen=True, kw_only=True):
    price: Decimal
    note: str | None = None


class Holder(Record, frozen=True, kw_only=True):
    items: tuple[OneOf[Rich | Plain], ...]


ALICE = Plain(name="Alice")
BOB = Rich(name="Bob", price=Decimal("0.10"))


def read(result_type: Any, result: Any) -> Any:
    return read_result("m", result_type, read_envelope(write_reply(1, 200, result=result)))


@pytest.mark.parametrize("result", [ALICE, BOB, (ALICE,), (BOB, BOB), ()])
def test_shapes_are_told_apart_by_what_is_there(result: Any) -> None:
    assert read(Plain | Rich | tuple[Plain, ...] | tuple[Rich, ...], result) == result


def test_shapes_may_be_mixed_in_one_array() -> None:
    assert read(tuple[Rich | Plain, ...], (ALICE, BOB)) == (ALICE, BOB)
    assert read(Holder, Holder(items=(ALICE, BOB))) == Holder(items=(ALICE, BOB))


def test_shapes_may_change_from_one_answer_to_the_next() -> None:
    for result in (BOB, ALICE, BOB, BOB, ALICE, ALICE, BOB):
        assert read(Rich | Plain, result) == result
        assert read(Holder, Holder(items=(result, BOB, ALICE))) == Holder(items=(result, BOB, ALICE))


def test_a_broken_shape_is_found_out_after_any_other() -> None:
    broken = {"name": "Bob", "price": "x"}
    for result in (ALICE, BOB):
        assert read(Rich | Plain, result) == result
        for _ in range(2):
            with pytest.raises(ProtocolViolation, match=r"Invalid decimal string - at `result\.price`"):
                read(Rich | Plain, broken)


def test_a_result_may_be_read_as_something_else_than_the_catalogue_says() -> None:
    envelope = read_envelope(write_reply(1, 200, result=ServerTime(server_time=5)))
    for _ in range(2):
        assert read_result("time", ServerTime, envelope) == ServerTime(server_time=5)
        assert read_result("time", Any, envelope) == {"serverTime": 5}
        assert read_result("moon", ServerTime, envelope) == ServerTime(server_time=5)


@pytest.mark.parametrize("result_type", [Rich | Plain, Plain | Rich, Rich | Plain | tuple[Rich, ...]])
def test_a_broken_shape_does_not_pass_for_a_plainer_one(result_type: Any) -> None:
    with pytest.raises(ProtocolViolation, match=r"m: Invalid decimal string - at `result\.price`"):
        read(result_type, {"name": "Bob", "price": "x"})
    assert read(result_type, {"price": "1"}).missing_fields == ("name",)


def test_a_broken_shape_inside_a_record_does_not_pass_either() -> None:
    with pytest.raises(ProtocolViolation, match=r"Invalid decimal string - at `result\.items\[0\]\.price`"):
        read(Holder, {"items": [{"name": "Bob", "price": "x"}]})


def test_a_broken_shape_in_an_array_is_told_by_its_first_item() -> None:
    wrongs: list[Any] = [[{"name": "Bob", "price": "x"}], [[]], ["price"]]
    for wrong in wrongs:
        with pytest.raises(ProtocolViolation, match="at `result"):
            read(tuple[Rich, ...] | tuple[Plain, ...], wrong)


def test_an_array_where_only_objects_are_known() -> None:
    with pytest.raises(ProtocolViolation, match="Expected `object`, got `array`"):
        read(Rich | Plain, [{"name": "Bob", "price": "1"}])


def test_one_thing_may_come_in_an_array() -> None:
    marker: Any = MaybeInArray
    sole = marker[Rich | Plain]
    assert read(sole, BOB) == read(sole, [BOB]) == BOB
    for wrong in ([], [BOB, BOB]):
        with pytest.raises(ProtocolViolation, match="Expected an array of length 1"):
            read(sole, wrong)


def test_g10_filters_are_read_again_when_one_is_unknown() -> None:
    known = {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 5}
    unknown = {"filterType": "MOON", "phase": [1]}
    answer = {"exchangeFilters": [known, unknown], "symbolFilters": [], "assetFilters": []}
    filters = read(RelevantFilters, answer | {"note": 5})
    assert filters.unknown_fields == b'{"note":5}'
    assert filters.exchange_filters[0] == MaxNumOrdersFilter(max_num_orders=5)
    assert isinstance(filters.exchange_filters[1], UnknownFilter)
    assert to_builtins(filters) == answer | {"note": 5}
    with pytest.raises(ProtocolViolation):
        read(RelevantFilters, {"exchangeFilters": [unknown]})


@pytest.mark.parametrize("result_type", [Rich | Plain, tuple[Rich | Plain, ...], Holder])
def test_an_answer_without_filters_may_speak_of_them(result_type: Any) -> None:
    with pytest.raises(ProtocolViolation, match="at `result"):
        read(result_type, {"filterType": "MOON", "price": "x"})


def test_a_reply_needs_a_result() -> None:
    with pytest.raises(ProtocolViolation, match="m: the reply has no `result`"):
        read_result("m", Plain, read_envelope(b'{"id":1,"status":200}'))


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


def test_g10_a_new_field_may_have_no_value_in_python() -> None:
    found = read_result("time", ServerTime, read_envelope(b'{"id":1,"result":{"serverTime":5,"far":1e999}}'))
    assert found.unknown_fields == b'{"far":1e999}'
    assert to_builtins(found) == {"serverTime": 5, "far": "1e999"}


@pytest.mark.parametrize("value", ["", "x", b"null", 5, -1, 2**70, 0.5, [], {}])
def test_g10_a_new_field_may_have_the_name_that_we_keep_new_fields_under(value: Any) -> None:
    answer = b'{"serverTime":5,"unknown_fields":' + (value if isinstance(value, bytes) else json.dumps(value).encode())
    found = read_result("time", ServerTime, read_envelope(b'{"id":1,"result":' + answer + b"}}"))
    assert found.server_time == 5
    assert to_builtins(found) == json.loads(answer + b"}")


def test_g10_rate_limits_may_have_new_fields() -> None:
    limit = {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 5, "count": 2, "note": 5}
    reply: dict[str, Any] = {"id": 1, "status": 200, "result": {}, "rateLimits": [limit], "note": 5}
    envelope = read_envelope(json.dumps(reply).encode())
    assert (envelope.id, envelope.status, envelope.result) == (1, 200, Raw(b"{}"))
    assert envelope.rate_limits[0].count == 2
    assert to_builtins(envelope.rate_limits) == [limit]


def test_rate_limits_that_fit_are_kept_beside_one_that_does_not() -> None:
    fits = {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 5, "count": 2}
    lacks = {"rateLimitType": "ORDERS", "interval": "DAY", "limit": 5}
    limits: list[Any] = [{"rateLimitType": "NOVEL"}, fits, None, lacks]
    reply: dict[str, Any] = {"id": 1, "status": 200, "result": {}, "rateLimits": limits}
    assert to_builtins(read_envelope(json.dumps(reply).encode()).rate_limits) == [fits]


ACK = {"symbol": "X", "orderId": 1, "orderListId": -1, "clientOrderId": "a", "transactTime": 1}
PLAIN_WITH_NEWS = [
    ("order.place", ACK, "status"),
    ("ticker.price", {"symbol": "X", "price": "1"}, "type"),
    ("referencePrice.calculation", {"symbol": "X", "calculationType": "MEDIAN"}, "bucketCount"),
]


@pytest.mark.parametrize(("method", "plain", "name"), PLAIN_WITH_NEWS)
def test_g10_a_plain_answer_may_get_a_field_that_a_richer_one_has(method: str, plain: Any, name: str) -> None:
    known = decode_response(method, write_reply(1, 200, result=plain)).result
    found = decode_response(method, write_reply(1, 200, result=plain | {name: "5"})).result
    assert type(found) is type(known)
    assert to_builtins(found) == plain | {name: "5"}


@pytest.mark.parametrize(
    ("own_fields", "missing"),
    [
        ({"calculationType": "EXTERNAL"}, ("external_calculation_id",)),
        ({"calculationType": "EXTERNAL", "externalId": 42}, ("external_calculation_id",)),
        ({"calculationType": "ARITHMETIC_MEAN", "bucketCount": 2}, ("bucket_width_ms",)),
        ({"calculationType": "ARITHMETIC_MEAN"}, ("bucket_count", "bucket_width_ms")),
    ],
)
def test_a_known_calculation_without_its_own_fields_is_not_an_unknown_one(own_fields: Any, missing: Any) -> None:
    reply = write_reply(1, 200, result={"symbol": "X", **own_fields})
    found = decode_response("referencePrice.calculation", reply).result
    assert isinstance(found, ArithmeticMean | ExternalCalculation)
    assert found.calculation_type == own_fields["calculationType"]
    assert found.missing_fields == missing


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


def test_a_known_event() -> None:
    path = EXAMPLES.parent / "events" / "balanceUpdate.json"
    assert decode_event(path.read_text()).subscription_id == 0


@pytest.mark.parametrize("raw", [b'{"e":"\xff"}', b'{"e":1e999}', b"\xff"])
def test_json_of_what_is_none_is_its_text(raw: bytes) -> None:
    assert to_builtins(UnknownEvent(event_type=None, raw=raw)) == raw.decode(errors="replace")


def decimal_fields(event_type: Any) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(event_type) if "Decimal" in str(field.type)]


def any_event(event_type: Any) -> dict[str, Any]:
    """An event with every field it has and every Decimal it may have."""
    values: dict[Any, Any] = {str: "x", int: 1, bool: True, Decimal: "1"}
    event: dict[str, Any] = {"e": event_type.__struct_config__.tag}
    for field in msgspec.structs.fields(event_type):
        if field.required:
            kinds = get_args(field.type) or (field.type,)
            event[field.encode_name] = next((values[kind] for kind in kinds if kind in values), "x")
    event |= dict.fromkeys(decimal_fields(event_type), "1")
    if event_type is OutboundAccountPosition:
        event["B"] = [{"a": "X", "f": "1", "l": "1"}, {"a": "Y", "f": "1", "l": "1"}]
    return event


NUMBERS = [(kind, name) for kind in get_args(KnownEvent) for name in decimal_fields(kind)]


@pytest.mark.parametrize("number", ["NaN", "sNaN", "-Infinity", " inf ", "nan5"])
@pytest.mark.parametrize(("event_type", "name"), NUMBERS)
def test_g5_an_event_with_a_number_that_is_none_is_unknown(event_type: Any, name: str, number: str) -> None:
    event = any_event(event_type)
    assert isinstance(decode_event(json.dumps({"event": event})).event, event_type)
    event[name] = number
    unknown = decode_event(json.dumps({"event": event})).event
    assert isinstance(unknown, UnknownEvent)
    assert unknown.event_type == event["e"]
    assert unknown.reason == "a number is not finite"
    assert unknown.identity() == decode_event(json.dumps({"event": event | {"E": 9}})).event.identity()


@pytest.mark.parametrize("name", ["f", "l"])
def test_g5_a_balance_that_is_no_number_makes_its_event_unknown(name: str) -> None:
    event = any_event(OutboundAccountPosition)
    assert isinstance(decode_event(json.dumps({"event": event})).event, OutboundAccountPosition)
    event["B"][1][name] = "sNaN"
    assert isinstance(decode_event(json.dumps({"event": event})).event, UnknownEvent)


def test_records_are_not_looked_at_by_the_garbage_collector() -> None:
    envelope = read_envelope(write_reply(1, 200, result=BOB, rate_limits=(LIMIT,)))
    assert not any(map(gc.is_tracked, (envelope, envelope.rate_limits[0], read_result("m", Rich, envelope))))


@pytest.mark.parametrize("chosen", [None, "a", "x" * 36, 0, -(2**63), 2**63 - 1])
def test_an_id_that_the_exchange_takes(chosen: Any) -> None:
    assert checked_id(chosen) == chosen
    assert "params" not in json.loads(write_request(chosen or 0, "ping", {}))


@pytest.mark.parametrize("chosen", ["", "x" * 37, 2**63, -(2**63) - 1, True, 1.5, b"x"])
def test_an_id_that_the_exchange_does_not_take(chosen: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^id must be a str of 1 to 36 characters") as caught:
        checked_id(chosen)
    assert caught.value.field == "id"


class Sort(str, Enum):  # noqa: UP042  # the older way, whose members format as their names
    BUY = "BUY"


class Count(IntEnum):
    FIVE = 5


def test_raw_parameters_of_derived_types_become_exact() -> None:
    params = raw_params("m", {Sort.BUY: Sort.BUY, "count": Count.FIVE, "really": True, "list": [Sort.BUY]})
    assert params == {"BUY": "BUY", "count": 5, "really": True, "list": ["BUY"]}
    assert {type(name) for name in params} == {str}
    assert [type(value) for value in params.values()] == [str, int, bool, list]


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="m: a parameter holds half a surrogate pair"):
        write_request(1, "m", {"symbol": "\ud800"})
