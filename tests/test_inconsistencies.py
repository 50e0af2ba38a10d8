"""Each inconsistency of the exchange's documents that has a consequence here, by its number in docs/inconsistencies.md.

Many are proved by the tests over all examples as well; here each one has its own, so that none is lost by accident.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bintrio._client.methods import Methods
from bintrio._protocol.confirmation import inquire
from bintrio._protocol.envelope import read_envelope
from bintrio._protocol.events import decode_event
from bintrio._protocol.evidence import QUERY_DELAY, Sent
from bintrio._protocol.results import decode_response
from bintrio._protocol.to_json import to_builtins
from bintrio.api._base import catalogue, parameters
from bintrio.api.account import Order, OrderListStatus
from bintrio.api.events import ListStatus, UnknownEvent
from bintrio.api.filters import UnknownFilter
from bintrio.api.market import CurrentReferencePrice, NoReferencePrice
from bintrio.api.order_lists import OrderListCancel
from bintrio.api.trading import (
    AmendedOrderList,
    OpenOrdersCancelAll,
    OrderAmendKeepPriority,
    OrderCancel,
    OrderFull,
    OrderPlace,
    OrderResult,
    PendingOrderReport,
)
from bintrio.errors import (
    CancelReplaceFailed,
    FilterFailure,
    InvalidRequest,
    OrderRefused,
    PartlyDone,
    RateLimited,
    Rejected,
    Unauthorized,
)

from .catalogue import EXAMPLES, METHODS, build, valid_params

DOCS = Path(__file__).parent.parent / "docs" / "inconsistencies.md"
IRRELEVANT = {24, 48, 49, 50, 53, 54, 55, 56}


def message(example: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXAMPLES / f"{example}.json").read_text())
    return found


def decoded(example: str, method: str | None = None) -> Any:
    return decode_response(method or example.split("/")[0], (EXAMPLES / f"{example}.json").read_bytes())


def with_result(result: Any) -> bytes:
    return json.dumps({"id": 1, "status": 200, "result": result}).encode()


def test_each_number_is_handled_by_a_test_or_noted_as_irrelevant() -> None:
    tested = {int(number) for name in globals() for number in re.findall(r"_(\d\d)(?=_)", name)}
    rows = [row for row in DOCS.read_text().splitlines() if re.match(r"\| \d", row)]
    noted = {int(number): row for row in rows for number in re.findall(r"\d+", row.split("|")[1])}
    assert set(noted) == set(range(1, 57))
    assert {number for number, row in noted.items() if "irrelevant" in row} == IRRELEVANT
    assert tested == set(noted) - IRRELEVANT


def test_inconsistency_01_a_routed_order_with_and_without_its_array() -> None:
    result = message("sor.order.place/response")["result"]
    wrapped, bare = (decode_response("sor.order.place", with_result(one)).result for one in (result, result[0]))
    assert isinstance(wrapped, OrderFull)
    assert wrapped == bare


def test_inconsistency_02_no_reference_price_is_a_result_or_an_error() -> None:
    error: dict[str, Any] = {"code": -2043, "msg": "This symbol doesn't have a reference price."}
    assert decode_response("referencePrice", with_result(error)).result == NoReferencePrice(**error)
    assert isinstance(decoded("referencePrice/response-null").result, CurrentReferencePrice)
    assert decoded("referencePrice.calculation/response-not-calculated").error.code == -2043


@pytest.mark.parametrize("method", METHODS)
def test_inconsistency_03_rate_limits_are_optional(method: str) -> None:
    example = next(path for path in sorted((EXAMPLES / method).glob("response*.json")))
    without = {name: value for name, value in json.loads(example.read_text()).items() if name != "rateLimits"}
    assert decode_response(method, json.dumps(without)).rate_limits == ()


def test_inconsistency_04_retry_after_is_optional() -> None:
    limited = decoded("order.cancelReplace/response-order-limit-do-nothing").error
    assert isinstance(limited, RateLimited)
    assert limited.retry_at is None
    banned = decoded("_general/ip-limits-banned-418", "ping").error
    assert banned.retry_at == banned.data["retryAfter"]


def test_inconsistency_05_a_revoked_session_answers_nobody() -> None:
    response = decoded("_general/session-revoked-401", "order.place")
    assert response.id is None
    assert isinstance(response.error, Unauthorized)


def test_inconsistency_06_of_a_repeated_key_the_last_value_counts() -> None:
    text = json.dumps(message("openOrders.status/response"))
    text = text.replace('"symbol"', '"origQuoteOrderQty": "7", "symbol"')
    (order,) = decode_response("openOrders.status", text).result
    assert order.orig_quote_order_qty == 0


def test_inconsistency_07_names_are_the_exchanges_own() -> None:
    amended = decoded("order.amend.keepPriority/response-order-list").result
    assert amended.amended_order.cumulative_quote_qty == 0
    assert amended.amended_order.qty == 5
    assert decoded("order.status/response").result.cummulative_quote_qty == Decimal("198.33521500")
    assert amended.transact_time == 1741924229819
    assert decoded("orderList.cancel/response").result.transaction_time == 1660801720215


def test_inconsistency_08_the_list_of_an_amended_order_is_shorter() -> None:
    assert isinstance(decoded("order.amend.keepPriority/response-order-list").result.list_status, AmendedOrderList)


def test_inconsistency_09_orders_of_a_canceled_list_may_lack_their_own_id() -> None:
    reports = decoded("orderList.cancel/response").result.order_reports
    assert [report.orig_client_order_id for report in reports] == [None, None]
    assert decoded("order.cancel/response-order").result.orig_client_order_id == "4d96324ff9d44481926157"


@pytest.mark.parametrize("method", ["orderList.place.opo", "orderList.place.opoco"])
def test_inconsistency_10_pending_orders_have_no_quantity_yet(method: str) -> None:
    working, *pending = decoded(f"{method}/response").result.order_reports
    assert isinstance(working, PendingOrderReport)
    assert working.orig_qty
    assert [report.orig_qty for report in pending] == [None] * len(pending)


@pytest.mark.parametrize("kind", ["oto", "otoco", "opo", "opoco"])
def test_inconsistency_11_all_of_them_are_oto(kind: str) -> None:
    assert decoded(f"orderList.place.{kind}/response").result.contingency_type == "OTO"


def test_inconsistency_12_full_without_what_result_has() -> None:
    order = message("order.place/response-result")["result"]
    del order["selfTradePreventionMode"]
    assert isinstance(decode_response("order.place", with_result(order | {"fills": []})).result, OrderFull)
    replaced = decoded("order.cancelReplace/response-success").result.new_order_response
    assert type(replaced) is OrderResult
    assert replaced.working_time is None


def test_inconsistency_13_stop_price_is_always_in_a_query() -> None:
    required = {field.name for field in msgspec.structs.fields(Order) if field.required}
    assert {"stop_price", "iceberg_qty"} < required
    assert decoded("order.cancel/response-order").result.stop_price == 0
    assert decoded("order.place/response-result").result.stop_price is None


def test_inconsistency_14_impossible_combinations_are_read() -> None:
    order = decoded("order.status/response").result
    assert (order.type, order.trailing_delta, order.prevented_match_id) == ("LIMIT", 10, 0)


@pytest.mark.parametrize("method", ["order.test", "sor.order.test"])
def test_inconsistency_15_special_commission_is_optional(method: str) -> None:
    rates = {"maker": "0.1", "taker": "0.2"}
    discount = {"enabledForAccount": True, "enabledForSymbol": True, "discountAsset": "BNB", "discount": "0.25"}
    shown: dict[str, Any] = {"standardCommissionForOrder": rates, "taxCommissionForOrder": rates, "discount": discount}
    assert decode_response(method, with_result(shown)).result.special_commission_for_order is None
    full = shown | {"specialCommissionForOrder": rates}
    assert decode_response(method, with_result(full)).result.special_commission_for_order.taker == Decimal("0.2")


@pytest.mark.parametrize("text", ["1.3447112", "1.00", "0.25", "0", "0.00000010"])
def test_inconsistency_16_decimal_places_vary_and_are_kept(text: str) -> None:
    price = decode_response("ticker.price", with_result({"symbol": "X", "price": text})).result
    assert to_builtins(price)["price"] == text


def test_inconsistency_17_what_only_other_documents_know_is_optional() -> None:
    account = message("account.status/response")["result"]
    more = account | {"tradeGroupId": -1, "reduceOnlyAssets": ["BTC"]}
    assert to_builtins(decode_response("account.status", with_result(more)).result) == more
    order = message("order.place/response-result")["result"]
    prevented = {"preventedMatchId": 1, "makerOrderId": 2, "price": "1.0", "makerPreventedQuantity": "3"}
    fill = {"price": "1", "qty": "1", "commission": "0", "commissionAsset": None, "tradeId": 1}
    full = order | {"fills": [fill], "orderCapacity": "AGENCY", "tradeGroupId": 1, "preventedMatches": [prevented]}
    assert to_builtins(decode_response("order.place", with_result(full)).result) == full
    subscription = [{"subscriptionId": 0, "expirationTime": 5}]
    assert to_builtins(decode_response("session.subscriptions", with_result(subscription)).result) == subscription


def test_inconsistency_18_either_prevented_quantity() -> None:
    (match,) = message("myPreventedMatches/response")["result"]
    both = [match | {"takerPreventedQuantity": "1.0"}]
    neither = [{name: value for name, value in match.items() if name != "makerPreventedQuantity"}]
    for shown in (both, neither):
        assert to_builtins(decode_response("myPreventedMatches", with_result(shown)).result) == shown


def test_inconsistency_19_server_shutdown_belongs_to_no_subscription() -> None:
    assert decode_event('{"event":{"e":"serverShutdown","E":1}}').subscription_id is None


def test_inconsistency_20_list_status_is_spelt_small() -> None:
    event = json.loads((EXAMPLES.parent / "events" / "listStatus.json").read_text())["event"]
    assert isinstance(decode_event(json.dumps({"event": event})).event, ListStatus)
    assert isinstance(decode_event(json.dumps({"event": event | {"e": "ListStatus"}})).event, UnknownEvent)


def test_inconsistency_21_types_go_out_as_the_tables_have_them() -> None:
    params = build("orderList.place.oto", valid_params("orderList.place.oto")).params()
    assert params["workingPrice"] == "1"
    assert params["recvWindow"] == 5000
    assert build("order.amendments", valid_params("order.amendments")).params()["orderId"] == 23


def test_inconsistency_22_one_parameter_has_one_type() -> None:
    kinds: dict[str, set[Any]] = {}
    for request_type in catalogue.values():
        for parameter in parameters(request_type):
            name = re.sub(r".*(TrailingDelta|IcebergQty)$", lambda found: found[1], parameter.wire_name)
            kinds.setdefault(name.lower(), set()).add(parameter.kind)
    assert all(len(kinds[name]) == 1 for name in ("trailingdelta", "icebergqty", "limit", "fromid", "symbols"))


def test_inconsistency_23_ids_have_any_size() -> None:
    assert decoded("order.cancelReplace/response-success").result.cancel_response.order_id == 125690984230
    assert build("trades.historical", {"symbol": "X", "fromId": 2**60}).params()["fromId"] == 2**60


def test_inconsistency_25_no_request_declares_signing_parameters() -> None:
    names = {parameter.wire_name for request_type in catalogue.values() for parameter in parameters(request_type)}
    assert not names & {"apiKey", "signature", "timestamp"}
    assert all(catalogue[name].api.signed == (method["auth"] == "signed") for name, method in METHODS.items())


def test_inconsistency_26_a_below_leg_may_be_a_limit_maker() -> None:
    params = valid_params("orderList.place.oco")
    assert params["belowType"] == "LIMIT_MAKER"
    build("orderList.place.oco", params)
    fewer = valid_params("orderList.place.otoco")
    for name in [name for name in fewer if name.startswith("pendingBelow")]:
        del fewer[name]
    build("orderList.place.otoco", fewer)


@pytest.mark.parametrize("method", ["orderList.place.oto", "orderList.place.opo"])
def test_inconsistency_27_a_limit_maker_leg_needs_its_price(method: str) -> None:
    params = {name: value for name, value in valid_params(method).items() if name != "pendingPrice"}
    with pytest.raises(InvalidRequest, match="pending_price"):
        build(method, params | {"pendingType": "LIMIT_MAKER"})
    build(method, params | {"pendingType": "LIMIT_MAKER", "pendingPrice": "1"})


def test_inconsistency_28_prices_of_an_oco_are_left_to_the_exchange() -> None:
    params = {"symbol": "X", "side": "BUY", "quantity": 1, "aboveType": "STOP_LOSS", "aboveStopPrice": 1}
    build("orderList.place.oco", params | {"belowType": "TAKE_PROFIT", "belowStopPrice": 2})


@pytest.mark.parametrize(("time_in_force", "passes"), [(None, True), ("GTC", True), ("IOC", False)])
def test_inconsistency_29_an_iceberg_limit_maker(time_in_force: str | None, passes: bool) -> None:
    params = {"symbol": "X", "side": "BUY", "type": "LIMIT_MAKER", "price": 1, "quantity": 2, "icebergQty": 1}
    params |= {} if time_in_force is None else {"timeInForce": time_in_force}
    if passes:
        build("order.place", params)
    else:
        with pytest.raises(InvalidRequest, match="iceberg_qty requires time_in_force='GTC'"):
            build("order.place", params)


def test_inconsistency_30_the_new_id_of_an_amend_is_optional_and_filled_in() -> None:
    amend = OrderAmendKeepPriority(symbol="X", orig_client_order_id="a", new_qty=1)
    assert amend.new_client_order_id is None
    assert amend.api.client_ids == ("new_client_order_id",)


def test_inconsistency_31_a_cancel_is_confirmed_by_what_it_went_by() -> None:
    def first_question(request: OrderListCancel) -> object:
        return next(inquire(Sent(request=request, final_at=0))).request

    both = OrderListCancel(symbol="X", order_list_id=1, list_client_order_id="a")
    assert first_question(both) == OrderListStatus(order_list_id=1)
    named = OrderListCancel(symbol="X", list_client_order_id="a")
    assert first_question(named) == OrderListStatus(orig_client_order_id="a")


def test_inconsistency_32_time_zones_are_checked_where_they_have_a_range() -> None:
    with pytest.raises(InvalidRequest):
        build("klines", {"symbol": "X", "interval": "1h", "timeZone": "15"})
    build("ticker.tradingDay", {"symbol": "X", "timeZone": "15"})


def test_inconsistency_33_symbol_status_where_the_tables_have_it() -> None:
    build("referencePrice.calculation", {"symbol": "X", "symbolStatus": "TRADING"})
    assert "symbolStatus" not in {parameter.wire_name for parameter in parameters(catalogue["referencePrice"])}


def test_inconsistency_34_subscribing_needs_a_session_and_no_signature() -> None:
    assert (catalogue["userDataStream.subscribe"].api.security, catalogue["session.logon"].api.security) == (
        "SESSION",
    ) * 2
    assert not catalogue["userDataStream.subscribe"].api.signed
    assert catalogue["session.logon"].api.signed


def test_inconsistency_35_peg_price_types() -> None:
    params = {"symbol": "X", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": 1}
    assert build("order.place", params | {"pegPriceType": "MARKET_PEG"}).params()["pegPriceType"] == "MARKET_PEG"


def test_inconsistency_36_weights_are_those_of_the_sections() -> None:
    assert build("depth", valid_params("depth")).weight == 5
    assert message("depth/response")["rateLimits"][0]["count"] == 2


@pytest.mark.parametrize(("count", "weight"), [(1, 4), (50, 200), (51, 200), (100, 200), (200, 200)])
def test_inconsistency_37_the_weight_of_many_tickers(count: int, weight: int) -> None:
    assert build("ticker", {"symbols": ["X"] * count}).weight == weight


def test_inconsistency_38_an_oco_is_two_orders() -> None:
    assert catalogue["orderList.place"].api.orders == catalogue["orderList.place.oco"].api.orders == 2


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        ("response-order-limit-do-nothing", RateLimited),
        ("response-partial-cancel-failed", PartlyDone),
        ("response-stop-on-failure", CancelReplaceFailed),
    ],
)
def test_inconsistency_39_a_replacement_fails_by_its_status(example: str, expected: type[Rejected]) -> None:
    assert type(decoded(f"order.cancelReplace/{example}").error) is expected


@pytest.mark.parametrize("example", ["sor.order.place/response", "orderList.place.oto/response"])
def test_inconsistency_40_limits_are_read_not_known(example: str) -> None:
    assert to_builtins(decoded(example).rate_limits) == message(example).get("rateLimits", [])


@pytest.mark.parametrize(("kind", "interval"), [("CONNECTIONS", "HOUR"), ("RAW_REQUESTS", "DAY"), ("NEW", "WEEK")])
def test_inconsistency_41_all_limits_are_carried(kind: str, interval: str) -> None:
    limit = {"rateLimitType": kind, "interval": interval, "intervalNum": 1, "limit": 5, "count": 1}
    envelope = read_envelope(json.dumps({"id": 1, "status": 200, "result": {}, "rateLimits": [limit]}).encode())
    assert to_builtins(envelope.rate_limits) == [limit]


def test_inconsistency_42_the_other_name_of_a_filter_is_carried() -> None:
    filters = {"exchangeFilters": [{"filterType": "EXCHANGE_MAX_ORDERS"}], "symbolFilters": [], "assetFilters": []}
    assert isinstance(decode_response("myFilters", with_result(filters)).result.exchange_filters[0], UnknownFilter)


def refusal(code: int, text: str) -> Any:
    body = {"id": 1, "status": 400, "error": {"code": code, "msg": text}}
    return decode_response("order.place", json.dumps(body)).error


def test_inconsistency_43_what_any_query_says_counts_after_the_same_delay() -> None:
    requests = (
        OrderPlace(symbol="BTCUSDT", side="BUY", type="MARKET", quantity=1, new_client_order_id="a"),
        OrderCancel(symbol="BTCUSDT", order_id=1),
        OrderListCancel(symbol="BTCUSDT", order_list_id=1),
        OpenOrdersCancelAll(symbol="BTCUSDT"),
    )
    assert {Sent(request=request, final_at=5).settled_at for request in requests} == {5 + QUERY_DELAY}


@pytest.mark.parametrize(
    ("code", "expected"), [(-1010, OrderRefused), (-2038, OrderRefused), (-2022, CancelReplaceFailed)]
)
def test_inconsistency_44_codes_without_a_section(code: int, expected: type[Rejected]) -> None:
    assert type(refusal(code, "Whatever.")) is expected


@pytest.mark.parametrize("name", ["PERCENT_PRICE_BY_SIDE", "MAX_ASSET"])
def test_inconsistency_45_filter_failures_without_a_documented_message(name: str) -> None:
    assert type(refusal(-1013, f"Filter failure: {name}")) is FilterFailure


def test_inconsistency_46_messages_are_carried() -> None:
    assert refusal(-1013, "Something that errors.md lacks.").message == "Something that errors.md lacks."


def test_inconsistency_47_enum_values_of_any_document() -> None:
    order = message("order.status/response")["result"]
    for reason in ("NONE", "OCO_TRIGGER", "SOMETHING_NEW"):
        assert (
            decode_response("order.status", with_result(order | {"expiryReason": reason})).result.expiry_reason
            == reason
        )


def test_inconsistency_51_prices_of_legs_are_read_as_they_are() -> None:
    stop, limit = decoded("orderList.place/response").result.order_reports
    assert (stop.type, stop.price, stop.stop_price) == ("STOP_LOSS_LIMIT", Decimal(23410), Decimal(23405))
    assert limit.type == "LIMIT_MAKER"


def test_inconsistency_52_a_symbol_is_any_string() -> None:
    assert decoded("orderList.place.oto/response").result.symbol == "1712544378871"
    assert decoded("order.amend.keepPriority/response-order-list").result.amended_order.symbol == "BTUCSDT"


def test_the_methods_are_all_there() -> None:
    assert len([name for name in vars(Methods) if not name.startswith("_")]) == len(METHODS) + 1
