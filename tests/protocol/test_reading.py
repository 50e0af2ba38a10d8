"""Reading by parts: fields too many and too few, positions beyond the known ones, and which shape an answer has."""

from __future__ import annotations

import copy
import gc
import json
import pickle
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, cast, get_args, get_origin

import msgspec
import pytest
from msgspec import Raw

import bintrio
from bintrio._protocol.envelope import Envelope, read_envelope
from bintrio._protocol.events import decode_event
from bintrio._protocol.reading import reader
from bintrio._protocol.results import decode_response, read_answer, read_result
from bintrio._protocol.to_json import to_builtins, write_reply
from bintrio.api._base import Request, catalogue
from bintrio.api._missing import incomplete
from bintrio.api._values import KeepsUnknownFields, MaybeInArray, OneOf, RateLimit, Record, one_of
from bintrio.api.account import RelevantFilters
from bintrio.api.events import ExecutionReport
from bintrio.api.filters import MaxNumOrdersFilter, UnknownFilter
from bintrio.api.general import ServerTime, SymbolInfo
from bintrio.api.market import ArithmeticMean, DayStatistics, ExternalCalculation, Kline, MiniStatistics, PriceLevel
from bintrio.api.order_lists import OrderListPlaceOco, OrderListPlaceOpo
from bintrio.api.sor import SorOrderPlace
from bintrio.api.trading import (
    CanceledOrder,
    CanceledOrderList,
    OrderAck,
    OrderCancelReplace,
    OrderFull,
    OrderPlace,
    OrderResult,
    OrderTest,
    OrderTested,
    OrderTestedWithRates,
    PendingOrderReport,
)
from bintrio.errors import (
    ProtocolViolation,
)
from bintrio.requests import Ticker24hr
from tests.catalogue import DATA, EXAMPLES
from tests.protocol.samples import LIMIT


def example(method: str, name: str = "response") -> Any:
    return json.loads((EXAMPLES / method / f"{name}.json").read_text())["result"]


def answer(request: Request[Any], result: Any) -> Any:
    return read_answer(request, Envelope(id=1, status=200, result=Raw(json.dumps(result).encode())))


def decoded(method: str, result: Any) -> Any:
    return decode_response(method, json.dumps({"id": 1, "status": 200, "result": result})).result


RESULT: dict[str, Any] = example("order.place", "response-result")
FILL = {"price": "1.0", "qty": "0.5", "commission": "0.00000000", "commissionAsset": "BNB", "tradeId": 7}
FULL: dict[str, Any] = RESULT | {"fills": [FILL]}
ACK: dict[str, Any] = example("order.place", "response-ack")


def order(kind: Any = None, of: Any = "MARKET") -> OrderPlace:
    more: dict[str, Any] = {} if of == "MARKET" else {"stop_price": "1"}
    return OrderPlace(symbol="X", side="BUY", type=of, quantity="1", new_order_resp_type=kind, **more)


def without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


# Shapes


@pytest.mark.parametrize(
    ("kind", "of", "result", "expected", "missing"),
    [
        ("FULL", "MARKET", FULL, OrderFull, ()),
        ("RESULT", "MARKET", RESULT, OrderResult, ()),
        ("ACK", "MARKET", ACK, OrderAck, ()),
        (None, "MARKET", FULL, OrderFull, ()),
        (None, "STOP_LOSS", ACK, OrderAck, ()),
        # What was asked for, though a field of it did not come.
        ("FULL", "MARKET", RESULT, OrderFull, ("fills",)),
        (None, "MARKET", RESULT, OrderFull, ("fills",)),
        ("FULL", "MARKET", without(FULL, "status"), OrderFull, ("status",)),
        ("RESULT", "MARKET", without(RESULT, "status"), OrderResult, ("status",)),
        ("ACK", "MARKET", without(ACK, "transactTime"), OrderAck, ("transact_time",)),
        # Not as asked, but whole.
        ("FULL", "MARKET", ACK, OrderAck, ()),
        ("ACK", "MARKET", FULL, OrderFull, ()),
        ("ACK", "MARKET", RESULT, OrderResult, ()),
        ("RESULT", "MARKET", FULL, OrderFull, ()),
        ("MOON", "MARKET", RESULT, OrderResult, ()),
        # News.
        ("ACK", "MARKET", ACK | {"status": "NEW"}, OrderAck, ()),
        ("FULL", "MARKET", FULL | {"moon": 1}, OrderFull, ()),
        ("FULL", "MARKET", RESULT | {"moon": 1}, OrderFull, ("fills",)),
    ],
)
def test_g10_the_request_decides_the_shape_of_its_answer(
    kind: Any, of: Any, result: Any, expected: type[Any], missing: tuple[str, ...]
) -> None:
    found = answer(order(kind, of), result)
    assert isinstance(found, expected)
    assert not isinstance(found, OrderFull) or expected is OrderFull
    assert found.missing_fields == missing
    assert to_builtins(found) == result


@pytest.mark.parametrize("kind", ["FULL", "RESULT"])
@pytest.mark.parametrize("kept", [("fills", "status"), ("status",), ("fills",)])
def test_an_answer_that_lacks_ten_fields_does_not_pass_for_an_ack(kind: str, kept: tuple[str, ...]) -> None:
    poor = {name: FULL[name] for name in (*ACK, *kept)}
    with pytest.raises(ProtocolViolation, match=r"^order\.place: Object missing required field"):
        answer(order(kind), poor)


def test_without_its_request_the_names_of_the_fields_decide() -> None:
    for result, expected in ((FULL, OrderFull), (RESULT, OrderResult), (ACK, OrderAck)):
        assert type(decoded("order.place", result)) is expected
    assert decoded("order.place", without(FULL, "status", "price")).missing_fields == ("price", "status")
    assert decoded("order.place", without(RESULT, "status")).missing_fields == ("status",)


TICKERS: list[Any] = [
    ({"symbol": "X"}, DayStatistics, False),
    ({"symbol": "X", "type": "FULL"}, DayStatistics, False),
    ({"symbol": "X", "type": "MINI"}, MiniStatistics, False),
    ({"symbols": ["X"]}, DayStatistics, True),
    ({"symbols": ["X"], "type": "MINI"}, MiniStatistics, True),
    ({}, DayStatistics, True),
]


@pytest.mark.parametrize(("params", "expected", "is_array"), TICKERS)
def test_tickers_by_what_was_asked_for(params: Any, expected: type[Any], is_array: bool) -> None:
    names = [field.encode_name for field in msgspec.structs.fields(expected) if field.required]
    ticker = dict.fromkeys(names, 1) | {
        field.encode_name: "1" for field in msgspec.structs.fields(expected) if "Decimal" in str(field.type)
    }
    ticker["symbol"] = "X"
    request = Ticker24hr(**params)
    found = answer(request, [ticker] if is_array else ticker)
    assert type(found[0] if is_array else found) is expected
    lacking = without(ticker, "openPrice")
    found = answer(request, [lacking, ticker] if is_array else lacking)
    first = found[0] if is_array else found
    assert isinstance(first, expected)
    assert first.missing_fields == ("open_price",)


def test_prices_may_be_null_where_there_were_no_trades() -> None:
    assert decoded("ticker.price", {"symbol": "X", "price": None}).price is None
    assert decoded("avgPrice", {"mins": 5, "price": None}).close_time is None


def test_reports_within_answers_have_the_shape_that_was_asked_for() -> None:
    request: Request[Any] = OrderCancelReplace(
        symbol="X", side="BUY", type="MARKET", quantity="1", cancel_replace_mode="STOP_ON_FAILURE", cancel_order_id=1
    )
    replaced = example("order.cancelReplace", "response-success")
    found = answer(request, replaced)
    assert isinstance(found.new_order_response, OrderFull)
    assert found.new_order_response.missing_fields == ("fills",)  # which the document's own example lacks
    assert isinstance(found.cancel_response, CanceledOrder)
    assert to_builtins(found) == replaced


@pytest.mark.parametrize("kind", [None, "ACK", "RESULT", "FULL"])
def test_an_order_list_of_any_kind(kind: Any) -> None:
    request: Request[Any] = OrderListPlaceOco(
        symbol="X",
        side="BUY",
        quantity="1",
        above_type="STOP_LOSS",
        above_stop_price="2",
        below_type="LIMIT_MAKER",
        below_price="1",
        new_order_resp_type=kind,
    )
    placed = example("orderList.place.oco")
    for report, expected in ((ACK, OrderAck), (RESULT, OrderResult), (FULL, OrderFull)):
        found = answer(request, placed | {"orderReports": [report, report]}).order_reports
        assert isinstance(found[0], OrderFull if kind == "FULL" and report is RESULT else expected)
    lacking = answer(request, placed | {"orderReports": [without(FULL, "price")]})
    assert lacking.missing_fields == ()
    assert lacking.order_reports[0].missing_fields == ("price",)


def test_reports_of_an_opo_list() -> None:
    common: dict[str, Any] = {
        "symbol": "X",
        "working_type": "LIMIT",
        "working_side": "BUY",
        "working_price": "1",
        "working_quantity": "1",
        "working_time_in_force": "GTC",
        "pending_type": "MARKET",
        "pending_side": "SELL",
    }
    placed = example("orderList.place.opo")
    for kind in (None, "RESULT", "FULL"):
        found = answer(OrderListPlaceOpo(**common, new_order_resp_type=kind), placed)
        assert all(isinstance(report, PendingOrderReport) for report in found.order_reports)
    request = OrderListPlaceOpo(**common, new_order_resp_type="ACK")
    assert isinstance(answer(request, placed | {"orderReports": [ACK]}).order_reports[0], OrderAck)


def test_a_routed_order_comes_in_an_array_or_without() -> None:
    cases: Any = ((None, FULL, OrderFull), ("ACK", ACK, OrderAck))
    for kind, result, expected in cases:
        request = SorOrderPlace(symbol="X", side="BUY", type="MARKET", quantity="1", new_order_resp_type=kind)
        for sent in (result, [result]):
            assert type(answer(request, sent)) is expected


def test_a_tested_order_with_and_without_rates() -> None:
    rate = {"maker": "0.1", "taker": "0.1"}
    discount = {"enabledForAccount": True, "enabledForSymbol": True, "discountAsset": "BNB", "discount": "0.25"}
    with_rates = {"standardCommissionForOrder": rate, "taxCommissionForOrder": rate, "discount": discount}
    for asked in (None, False, True):
        request = OrderTest(symbol="X", side="BUY", type="MARKET", quantity="1", compute_commission_rates=asked)
        assert type(answer(request, {})) is OrderTested
        assert type(answer(request, with_rates)) is OrderTestedWithRates
    request = OrderTest(symbol="X", side="BUY", type="MARKET", quantity="1", compute_commission_rates=True)
    assert answer(request, without(with_rates, "discount")).missing_fields == ("discount",)


def members(known: Any) -> set[Any]:
    """All records that a type is made of, without their arrays and what they are generic in."""
    if isinstance(known, type(one_of)):
        return set[Any]().union(*map(members, known.members))
    inner = set[Any]().union(*map(members, get_args(known)))
    origin = get_origin(known) or known
    return inner | ({origin} if isinstance(origin, type) and issubclass(origin, KeepsUnknownFields) else set())


WITH_SHAPES = [request_type for request_type in catalogue.values() if request_type.api.shapes]


@pytest.mark.parametrize("request_type", WITH_SHAPES, ids=lambda request_type: request_type.api.name)
def test_every_declared_shape_is_one_of_the_result(request_type: Any) -> None:
    shapes = request_type.api.shapes
    assert set[Any]().union(*map(members, shapes.results.values())) == members(request_type.api.result) - NOT_DECIDED


NOT_DECIDED = {CanceledOrder, CanceledOrderList}
"""Halves of an order.cancelReplace that no parameter decides."""


# Fields that did not come


def records(value: Any) -> Iterator[Any]:
    if isinstance(value, msgspec.Struct):
        yield value
        for item in msgspec.structs.astuple(value):
            yield from records(item)
    elif isinstance(value, tuple):
        for item in value:  # pyright: ignore[reportUnknownVariableType]
            yield from records(item)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every field of a JSON value."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        yield from ((*path, name) for name in fields)
        for name, item in fields.items():
            yield from paths(item, (*path, name))
    elif isinstance(value, list):
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        for index, item in enumerate(items):
            yield from paths(item, (*path, index))


def lacking(value: Any, path: tuple[Any, ...]) -> Any:
    result = target = copy.deepcopy(value)
    for key in path[:-1]:
        target = target[key]
    del target[path[-1]]
    return result


RESPONSES = [
    (path.parent.name, path.stem)
    for path in sorted(EXAMPLES.glob("*/response*.json"))
    if path.parent.name in catalogue and "result" in json.loads(path.read_text())
]


@pytest.mark.parametrize(("method", "name"), RESPONSES)
def test_g10_a_field_that_does_not_come_hurts_only_who_reads_it(method: str, name: str) -> None:
    result = example(method, name)
    for path in paths(result):
        sent = lacking(result, path)
        try:
            found = decoded(method, sent)
        except ProtocolViolation as violation:
            assert f"missing required field `{path[-1]}`" in str(violation)  # noqa: PT017 - or it is found
            continue
        check_incomplete(method, found)
        assert to_builtins([found] if method == "sor.order.place" else found) == sent


def check_incomplete(method: str, found: Any) -> None:
    assert isinstance(repr(found), str)
    for copied in (pickle.loads(pickle.dumps(found)), copy.copy(found), copy.deepcopy(found)):
        assert copied == found
        assert hash(copied) == hash(found)
        assert to_builtins(copied) == to_builtins(found)
    for record in records(found):
        for name in record.missing_fields:
            with pytest.raises(
                ProtocolViolation, match=rf"^{method}: {type(record).__name__} came without `.*`{name}`$"
            ):
                getattr(record, name)
            assert name not in record.__struct_fields__
            assert repr(name) in repr(record)
        for name in record.__struct_fields__:
            getattr(record, name)


EVENTS = sorted(path.stem for path in (DATA / "events").glob("*.json") if path.stem != "fields")


@pytest.mark.parametrize("name", EVENTS)
def test_g10_an_event_without_one_of_its_fields(name: str) -> None:
    event = json.loads((DATA / "events" / f"{name}.json").read_text())["event"]
    for path in paths(event):
        if path == ("e",):
            continue
        sent = lacking(event, path)
        found = decode_event(json.dumps({"event": sent})).event
        if not isinstance(found, bintrio.UnknownEvent):
            check_incomplete(event["e"], found)
        again = decode_event(json.dumps({"event": sent | ({"E": 9} if "E" in sent else {})})).event
        assert again.identity() == found.identity()
        assert to_builtins(found) == sent


def is_filled(event: Any) -> bool:
    match event:
        case ExecutionReport(order_status="FILLED"):
            return True
        case _:
            return False


def test_no_case_is_silently_skipped() -> None:
    event = json.loads((DATA / "events" / "executionReport.json").read_text())["event"]
    found = decode_event(json.dumps({"event": without(event, "X")})).event
    assert isinstance(found, ExecutionReport)
    with pytest.raises(ProtocolViolation, match=r"^executionReport: ExecutionReport came without `X`"):
        is_filled(found)
    match found:
        case ExecutionReport(symbol=symbol):
            assert symbol == found.symbol


def test_half_of_the_fields_have_to_be_there() -> None:
    names = [field.encode_name for field in msgspec.structs.fields(OrderFull) if field.required]
    assert len(names) == 15
    request = order("FULL")
    found = answer(request, {name: FULL[name] for name in names[-8:]})
    assert len(found.missing_fields) == 7
    with pytest.raises(ProtocolViolation):
        answer(request, {name: FULL[name] for name in names[-7:]})
    # Where only the names of the fields decide, half of a shape is enough for it.
    found = decoded("order.place", {name: RESULT[name] for name in (*ACK, "status", "price", "type")})
    assert isinstance(found, OrderResult)
    assert not isinstance(found, OrderFull)


@pytest.mark.parametrize("wrong", [5, None, [], {}])
def test_a_wrong_type_is_a_violation_whatever_is_missing(wrong: Any) -> None:
    for names in ((), ("status",)):
        with pytest.raises(ProtocolViolation, match=r"Expected `str`, got .* - at `result\.symbol`"):
            answer(order("FULL"), without(FULL, *names) | {"symbol": wrong})


def test_records_that_lack_the_same_are_equal_and_others_are_not() -> None:
    first, second = (answer(order("FULL"), without(FULL, name)) for name in ("status", "price"))
    assert first == answer(order("FULL"), without(FULL, "status"))
    assert first != second
    assert first != answer(order("FULL"), FULL)
    assert msgspec.structs.replace(first, status="NEW") != first
    assert incomplete(OrderFull, "m", {}).missing_fields[0] == "symbol"


def test_one_symbol_without_permissions() -> None:
    info = example("exchangeInfo")
    symbols = [info["symbols"][0], without(info["symbols"][0], "permissionSets", "otoAllowed")]
    found = decoded("exchangeInfo", info | {"symbols": symbols})
    whole, lacks = found.symbols
    assert type(whole) is SymbolInfo
    assert lacks.missing_fields == ("oto_allowed", "permission_sets")
    assert isinstance(lacks, SymbolInfo)


def test_a_reader_is_kept() -> None:
    assert reader(RateLimit, RateLimit, "m") is reader(RateLimit, RateLimit, "m")


# Positions


def test_g10_positions_beyond_the_known_ones_are_kept() -> None:
    book: dict[str, Any] = {
        "lastUpdateId": 1,
        "bids": [["1.0", "2", [], 1.50], ["1", "2"]],
        "asks": [["1"], ["3", "4"]],
    }
    found = decoded("depth", book)
    long, level = found.bids
    assert (long.price, long.quantity, long.unknown_fields) == (Decimal(1), Decimal(2), b"[[],1.5]")
    assert (level.unknown_fields, level.missing_fields, type(level)) == (None, (), PriceLevel)
    short = found.asks[0]
    assert (short.price, short.missing_fields) == (Decimal(1), ("quantity",))
    with pytest.raises(ProtocolViolation, match=r"^depth: PriceLevel came without `quantity`"):
        _ = short.quantity
    assert to_builtins(found) == book
    check_incomplete("depth", found)
    wrongs: list[Any] = [[["x", "1", "x"]], [[]], [{}], [["x"]], [5]]
    for wrong in wrongs:
        with pytest.raises(ProtocolViolation, match=r"at `result\.bids\[0\]"):
            decoded("depth", book | {"bids": wrong})


def test_g10_the_only_field_that_must_come_may_be_the_one_that_does_not() -> None:
    average = decoded("avgPrice", {"price": "1.50", "closeTime": 5})
    assert (average.missing_fields, average.price) == (("mins",), Decimal("1.50"))
    with pytest.raises(ProtocolViolation, match=r"^avgPrice: AveragePrice came without `mins`"):
        _ = average.mins
    rules = decoded("executionRules", {"symbolRules": [{"symbol": "BTCUSDT", "rules": [{"bidLimitMultUp": "1.5"}]}]})
    (rule,) = rules.symbol_rules[0].rules
    assert rule.missing_fields == ("rule_type",)
    for nothing in ({}, {"new": 1}):
        with pytest.raises(ProtocolViolation, match="Object missing required field `mins`"):
            decoded("avgPrice", nothing)


@pytest.mark.parametrize("count", range(6, 12))
def test_g10_what_lacks_positions_is_written_by_msgspec_too(count: int) -> None:
    sent = json.loads((EXAMPLES / "klines" / "response.json").read_bytes())["result"][0][:count]
    (kline,) = decoded("klines", [sent])
    assert msgspec.json.decode(msgspec.json.encode(kline))[:12] == sent + [None] * (12 - count)
    assert json.loads(bintrio.to_json(kline)) == sent
    assert pickle.loads(pickle.dumps(kline)) == copy.deepcopy(kline) == kline
    with pytest.raises(ProtocolViolation, match=r"^klines: Kline came without `unused`"):
        _ = kline.unused


def test_g10_a_kline_may_grow() -> None:
    klines = example("klines")
    (known,) = decoded("klines", klines[:1])
    (grown,) = decoded("klines", [[*klines[0], {"new": 1}]])
    assert isinstance(grown, Kline)
    assert grown.unknown_fields == b'[{"new": 1}]'
    assert [getattr(grown, name) for name in Kline.__struct_fields__] == list(msgspec.structs.astuple(known))
    (shrunk,) = decoded("klines", [klines[0][:8]])
    assert shrunk.missing_fields == Kline.__struct_fields__[8:]
    assert to_builtins(shrunk) == klines[0][:8]


def test_every_record_tells_what_is_missing() -> None:
    assert RateLimit(rate_limit_type="ORDERS", interval="DAY", interval_num=1, limit=1).missing_fields == ()
    assert issubclass(RateLimit, KeepsUnknownFields)


class Slim(Record, frozen=True, kw_only=True):
    a: int
    b: int | None = None
    c: int | None = None


class Full(Record, frozen=True, kw_only=True):
    a: int
    b: int
    c: int
    d: int


def test_g10_of_two_shapes_that_know_all_names_the_one_that_lacks_fewer_of_its_own_is_taken() -> None:
    """Full lacks a field, of Slim all are there: that two of them need not be is no lack."""
    read = reader(Slim | Full, None, "m")
    assert isinstance(read(Raw(b'{"a":1,"b":2,"c":3,"new":0}')), Slim)
    assert isinstance(read(Raw(b'{"a":1,"b":2,"c":3,"d":4,"new":0}')), Full)


def test_decoders_are_kept() -> None:
    assert reader(ServerTime, ServerTime, "m") is reader(ServerTime, ServerTime, "m")


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


PLAIN_ACK = {"symbol": "X", "orderId": 1, "orderListId": -1, "clientOrderId": "a", "transactTime": 1}


PLAIN_WITH_NEWS = [
    ("order.place", PLAIN_ACK, "status"),
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


def test_records_are_not_looked_at_by_the_garbage_collector() -> None:
    envelope = read_envelope(write_reply(1, 200, result=BOB, rate_limits=(LIMIT,)))
    assert not any(map(gc.is_tracked, (envelope, envelope.rate_limits[0], read_result("m", Rich, envelope))))
