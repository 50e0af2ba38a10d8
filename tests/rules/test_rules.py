"""Rounding and checking: every filter of ``filters.json`` that speaks of orders, at and beyond its bounds."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import ROUND_UP, Decimal
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bintrio._protocol.results import decode_response
from bintrio.api.account import Order
from bintrio.api.filters import Filter
from bintrio.api.general import ExchangeInformation, SymbolInfo
from bintrio.api.order_lists import (
    OrderListPlace,
    OrderListPlaceOco,
    OrderListPlaceOpo,
    OrderListPlaceOpoco,
    OrderListPlaceOto,
    OrderListPlaceOtoco,
)
from bintrio.api.sor import SorOrderPlace
from bintrio.api.trading import OrderAmendKeepPriority, OrderCancel, OrderCancelReplace, OrderPlace
from bintrio.errors import InvalidRequest, ProtocolViolation
from bintrio.rules import OrderContext, SymbolRules
from bintrio.rules._legs import ALGO_TYPES, legs_of
from tests.catalogue import EXAMPLES, document

FILTERS: dict[str, Any] = document("filters.json")
INFORMATION: ExchangeInformation = decode_response(
    "exchangeInfo", (EXAMPLES / "exchangeInfo" / "response.json").read_bytes()
).result
# As the document has it, but that it takes whatever there is.
SYMBOL: SymbolInfo = msgspec.structs.replace(
    INFORMATION.symbols[0],
    filters=(),
    order_types=("LIMIT", "LIMIT_MAKER", "MARKET", *sorted(ALGO_TYPES)),
    **dict.fromkeys(
        (
            *("iceberg_allowed", "oco_allowed", "oto_allowed", "opo_allowed", "quote_order_qty_market_allowed"),
            *("allow_trailing_stop", "cancel_replace_allowed", "amend_allowed", "peg_instructions_allowed"),
        ),
        True,
    ),
)


def rules(*filters: dict[str, Any], **changed: Any) -> SymbolRules:
    """Rules of BNBBTC with these filters only."""
    found = [msgspec.convert(one, Filter) for one in filters]
    return SymbolRules(msgspec.structs.replace(SYMBOL, **changed), found)


def example(name: str, **changed: Any) -> SymbolRules:
    """Rules with the document's example of one filter."""
    return rules(FILTERS[name]["example"] | changed)


def limit(price: Any = "1", quantity: Any = "1", **more: Any) -> OrderPlace:
    known: dict[str, Any] = {"symbol": "BNBBTC", "side": "BUY", "type": "LIMIT", "time_in_force": "GTC"}
    return OrderPlace(**(known | {"price": price, "quantity": quantity} | more))


def market(**more: Any) -> OrderPlace:
    known: dict[str, Any] = {"symbol": "BNBBTC", "side": "BUY", "type": "MARKET"}
    return OrderPlace(**(known | more))


def open_order(**changed: Any) -> Order:
    found: Order = decode_response("order.status", (EXAMPLES / "order.status" / "response.json").read_bytes()).result
    return msgspec.structs.replace(found, symbol="BNBBTC", side="BUY", **changed)


def fields(found: list[Any]) -> list[str | None]:
    return [violation.field for violation in found]


def test_rules_come_from_exchange_info() -> None:
    found = SymbolRules.of(INFORMATION, "BNBBTC")
    assert repr(found) == "<SymbolRules of BNBBTC, 2 filters>"
    assert found.check(limit("0.00000100", "0.001")) == []
    with pytest.raises(InvalidRequest, match="BTCUSDT"):
        SymbolRules.of(INFORMATION, "BTCUSDT")


def test_every_filter_of_the_document_is_judged_or_named_here() -> None:
    for name, filter_ in FILTERS.items():
        assert rules(filter_["example"]).unjudged == (), name


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (limit("0.000001"), []),
        (limit("100000"), []),
        (limit("0.0000005"), ["price", "price"]),
        (limit("100001"), ["price"]),
        (limit("0.0000011"), ["price"]),
        (limit(type="STOP_LOSS_LIMIT", stop_price="0.0000011"), ["stop_price"]),
        (market(quantity="1"), []),
    ],
)
def test_price_filter(order: OrderPlace, expected: list[str]) -> None:
    assert fields(example("PRICE_FILTER").check(order)) == expected


def test_a_zero_disables_its_part_of_the_price_filter() -> None:
    assert example("PRICE_FILTER", minPrice="0", maxPrice="0", tickSize="0").check(limit("9999999999.12345678")) == []


@pytest.mark.parametrize(
    ("name", "side", "price", "wrong"),
    [
        ("PERCENT_PRICE", "BUY", "130", False),
        ("PERCENT_PRICE", "SELL", "130.1", True),
        ("PERCENT_PRICE", "SELL", "69.9", True),
        ("PERCENT_PRICE_BY_SIDE", "BUY", "120", False),
        ("PERCENT_PRICE_BY_SIDE", "BUY", "120.1", True),
        ("PERCENT_PRICE_BY_SIDE", "BUY", "19", True),
        ("PERCENT_PRICE_BY_SIDE", "SELL", "500", False),
        ("PERCENT_PRICE_BY_SIDE", "SELL", "79", True),
    ],
)
def test_percent_price(name: str, side: str, price: str, wrong: bool) -> None:
    known = OrderContext(reference_price=Decimal(100))
    assert fields(example(name).check(limit(price, side=side), known)) == ["price"] * wrong
    assert example(name).check(limit(price, side=side)) == []


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (limit(quantity="0.001"), []),
        (limit(quantity="0.0005"), ["quantity", "quantity"]),
        (limit(quantity="100000.001"), ["quantity"]),
        (limit(quantity="1", iceberg_qty="0.0015"), ["iceberg_qty"]),
        (market(quantity="0.0015"), ["quantity"]),
        (market(quote_order_qty="0.0015"), []),
    ],
)
def test_lot_size(order: OrderPlace, expected: list[str]) -> None:
    assert fields(example("LOT_SIZE").check(order)) == expected


def test_market_lot_size_is_for_market_orders() -> None:
    assert fields(example("MARKET_LOT_SIZE").check(market(quantity="0.0015"))) == ["quantity"]
    assert example("MARKET_LOT_SIZE").check(limit(quantity="0.0015")) == []


@pytest.mark.parametrize("name", ["MIN_NOTIONAL", "NOTIONAL"])
def test_notional(name: str) -> None:
    one = example(name, minNotional="10")
    known = OrderContext(reference_price=Decimal(1))
    assert one.check(limit("2", "5")) == []
    assert [str(found.message) for found in one.check(limit("2", "4"))] == ["price * quantity: 8 is below 10"]
    applied = one.check(market(quantity="4"), known)
    assert len(applied) == (name == "MIN_NOTIONAL")
    assert one.check(market(quantity="4")) == []


def test_notional_of_market_orders_only_where_it_applies() -> None:
    one = example("NOTIONAL", applyMinToMarket=True, applyMaxToMarket=True)
    assert len(one.check(market(quote_order_qty="9"))) == 1
    assert len(one.check(market(quote_order_qty="10001"))) == 1
    assert one.check(market(quote_order_qty="10")) == []
    assert example("MIN_NOTIONAL", applyToMarket=False).check(market(quote_order_qty="0.0001")) == []
    assert len(example("NOTIONAL").check(limit("10001", "1"))) == 1


def test_iceberg_parts() -> None:
    assert example("ICEBERG_PARTS").check(limit(quantity="1", iceberg_qty="0.1")) == []
    assert fields(example("ICEBERG_PARTS").check(limit(quantity="1.01", iceberg_qty="0.1"))) == ["iceberg_qty"]
    assert example("ICEBERG_PARTS").check(limit()) == []


@pytest.mark.parametrize(
    ("kind", "side", "above"),
    [
        ("STOP_LOSS", "BUY", True),
        ("STOP_LOSS", "SELL", False),
        ("TAKE_PROFIT", "SELL", True),
        ("TAKE_PROFIT", "BUY", False),
    ],
)
def test_trailing_delta(kind: str, side: str, above: bool) -> None:
    one = example("TRAILING_DELTA", minTrailingAboveDelta=100, maxTrailingBelowDelta=50)
    assert (one.check(limit(type=kind, side=side, trailing_delta=100)) == []) is above
    assert (one.check(limit(type=kind, side=side, trailing_delta=50)) == []) is not above
    assert one.check(limit()) == []


def test_max_position() -> None:
    known = OrderContext(holding=Decimal(5), open_orders=[open_order(orig_qty=Decimal(4))])
    one = example("MAX_POSITION")
    assert one.check(limit(quantity="1"), known) == []
    assert fields(one.check(limit(quantity="1.1"), known)) == ["quantity"]
    assert one.check(limit(quantity="1.1", side="SELL"), known) == []
    assert one.check(limit(quantity="100")) == []
    assert one.check(limit(quantity="100"), OrderContext(holding=Decimal(5))) == []
    assert one.check(limit(quantity="100"), OrderContext(open_orders=[])) == []


def test_max_asset_of_either_side() -> None:
    both = rules(
        {"filterType": "MAX_ASSET", "asset": "BNB", "limit": "10"},
        {"filterType": "MAX_ASSET", "asset": "BTC", "limit": "5"},
    )
    assert both.check(limit("0.5", "10")) == []
    assert [found.message for found in both.check(limit("1", "11"))] == ["BNB: 11 is above 10", "BTC: 11 is above 5"]


@pytest.mark.parametrize("scope", ["", "EXCHANGE_"])
@pytest.mark.parametrize(
    ("name", "field", "changed", "order"),
    [
        ("MAX_NUM_ORDERS", "maxNumOrders", {}, limit()),
        ("MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders", {"type": "STOP_LOSS"}, limit(type="STOP_LOSS", stop_price="1")),
        ("MAX_NUM_ICEBERG_ORDERS", "maxNumIcebergOrders", {"iceberg_qty": Decimal(1)}, limit(iceberg_qty="1")),
    ],
)
def test_counts_of_open_orders(scope: str, name: str, field: str, changed: Any, order: OrderPlace) -> None:
    one = example(scope + name, **{field: 2})
    there = [open_order(**changed), open_order(**changed)]
    assert fields(one.check(order, OrderContext(open_orders=there))) == [None]
    assert one.check(order, OrderContext(open_orders=there[:1])) == []
    assert one.check(order) == []
    elsewhere = [msgspec.structs.replace(one, symbol="ETHBTC") for one in there]
    assert bool(one.check(order, OrderContext(open_orders=elsewhere))) is (scope == "EXCHANGE_")
    if name != "MAX_NUM_ORDERS":
        assert one.check(limit(), OrderContext(open_orders=there)) == []


OCO = OrderListPlaceOco(
    symbol="BNBBTC",
    side="SELL",
    quantity="0.0015",
    above_type="LIMIT_MAKER",
    above_price="2",
    below_type="STOP_LOSS",
    below_stop_price="0.0000015",
)


def test_every_order_of_a_list_is_checked() -> None:
    both = rules(FILTERS["LOT_SIZE"]["example"], FILTERS["PRICE_FILTER"]["example"])
    assert fields(both.check(OCO)) == ["quantity", "quantity", "below_stop_price"]
    assert [found.leg for found in both.check(OCO)] == ["above", "below", "below"]
    assert [found.message.partition(":")[0] for found in both.check(OCO)] == ["above", "below", "below"]
    opo = OrderListPlaceOpo(
        symbol="BNBBTC",
        working_type="LIMIT",
        working_side="BUY",
        working_price="1",
        working_quantity="0.0015",
        working_time_in_force="GTC",
        pending_type="MARKET",
        pending_side="SELL",
    )
    assert fields(both.check(opo)) == ["working_quantity"]


def test_counts_of_order_lists() -> None:
    here, everywhere = example("MAX_NUM_ORDER_LISTS"), example("EXCHANGE_MAX_NUM_ORDER_LISTS")
    assert here.check(OCO) == everywhere.check(OCO) == []
    assert [found.filter for found in here.check(OCO, OrderContext(open_order_lists=20))] == ["MAX_NUM_ORDER_LISTS"]
    assert len(everywhere.check(OCO, OrderContext(open_order_lists_of_all=20))) == 1
    assert here.check(OCO, OrderContext(open_order_lists=19)) == []
    assert here.check(limit(), OrderContext(open_order_lists=20)) == []


def test_an_amendment_is_checked() -> None:
    amend = OrderAmendKeepPriority(symbol="BNBBTC", order_id=1, new_qty="0.0015")
    both = rules(FILTERS["LOT_SIZE"]["example"], FILTERS["MAX_NUM_ORDER_AMENDS"]["example"])
    assert fields(both.check(amend)) == ["new_qty"]
    assert fields(both.check(amend, OrderContext(amendments=10))) == [None, "new_qty"]
    assert rules().check(amend) == []


def test_a_routed_order_is_checked() -> None:
    order = SorOrderPlace(symbol="BNBBTC", side="BUY", type="MARKET", quantity="0.0015")
    assert fields(example("LOT_SIZE").check(order)) == ["quantity"]


MARKET: Final = OrderPlace(symbol="BNBBTC", side="BUY", type="MARKET", quantity=1)
SPENDING: Final = OrderPlace(symbol="BNBBTC", side="BUY", type="MARKET", quote_order_qty=1)
AMEND: Final = OrderAmendKeepPriority(symbol="BNBBTC", order_id=1, new_qty=1)
EVERYTHING: Final = OrderContext(
    reference_price=Decimal(1),
    holding=Decimal(1),
    open_orders=[],
    open_order_lists=1,
    open_order_lists_of_all=1,
    amendments=1,
)


@pytest.mark.parametrize(
    ("kind", "order", "lacking"),
    [
        ("PRICE_FILTER", MARKET, []),
        ("PERCENT_PRICE", MARKET, []),
        ("PERCENT_PRICE_BY_SIDE", limit(symbol="BNBBTC"), ["reference_price"]),
        ("NOTIONAL", MARKET, []),  # of which neither bound applies to MARKET orders
        ("MIN_NOTIONAL", MARKET, ["reference_price"]),
        ("MIN_NOTIONAL", SPENDING, []),
        ("MIN_NOTIONAL", limit(symbol="BNBBTC"), []),
        ("MAX_POSITION", MARKET, ["holding", "open_orders"]),
        ("MAX_POSITION", SPENDING, []),
        ("MAX_NUM_ORDERS", MARKET, ["open_orders"]),
        ("MAX_NUM_ALGO_ORDERS", MARKET, []),
        ("MAX_NUM_ORDER_AMENDS", AMEND, ["amendments"]),
        ("MAX_NUM_ORDER_LISTS", MARKET, []),
    ],
)
def test_what_would_have_to_be_known_is_named(kind: str, order: Any, lacking: list[str]) -> None:
    found = example(kind)
    assert [*found.lacking(order)] == lacking
    assert found.lacking(order, EVERYTHING) == ()


def test_of_a_list_the_open_lists_have_to_be_known() -> None:
    found = rules(FILTERS["MAX_NUM_ORDER_LISTS"]["example"], FILTERS["EXCHANGE_MAX_NUM_ORDER_LISTS"]["example"])
    assert found.lacking(OCO) == ("open_order_lists", "open_order_lists_of_all")
    assert found.lacking(OCO, EVERYTHING) == ()


def test_g10_an_unknown_filter_is_not_judged_and_named_as_such() -> None:
    found = rules({"filterType": "", "type": "MOON", "raw": ""}, {"filterType": "T_PLUS_SELL"})
    assert found.check(limit()) == []
    assert [type(one).__name__ for one in found.unjudged] == ["UnknownFilter", "TPlusSellFilter"]


def without(kind: str, *names: str) -> SymbolRules:
    """The rules of a symbol whose filter of that kind came without these fields."""
    reply = json.loads((EXAMPLES / "exchangeInfo" / "response.json").read_bytes())
    for one in reply["result"]["symbols"][0]["filters"]:
        for name in names if one["filterType"] == kind else ():
            del one[name]
    return SymbolRules.of(decode_response("exchangeInfo", json.dumps(reply)).result, "BNBBTC")


def test_g10_a_filter_that_lacks_a_field_hurts_only_who_needs_it() -> None:
    checked = without("PRICE_FILTER", "tickSize")
    order = limit("0.01", "1", symbol="BNBBTC")
    for needs_it in (lambda: checked.check(order), lambda: checked.round_price("1")):
        with pytest.raises(ProtocolViolation, match=r"^exchangeInfo: PriceFilter came without `tickSize`"):
            needs_it()
    assert checked.unjudged == SymbolRules.of(INFORMATION, "BNBBTC").unjudged
    assert checked.round_quantity("1") == 1
    with pytest.raises(ProtocolViolation, match="LotSizeFilter came without `minQty`"):
        without("LOT_SIZE", "minQty", "maxQty").check(order)


def test_rounding() -> None:
    found = SymbolRules.of(INFORMATION, "BNBBTC")
    assert str(found.round_price(Decimal("1.2345678"))) == "1.234568"
    assert str(found.round_price(Decimal("1.2345671"), ROUND_UP)) == "1.234568"
    assert str(found.round_quantity(Decimal("1.9999"))) == "1.999"
    coarse = example("MARKET_LOT_SIZE", stepSize="10")
    assert str(coarse.round_quantity(Decimal("129"), market=True)) == "120"
    assert str(coarse.round_quantity(Decimal("129"))) == "129"
    assert rules().round_price(Decimal("1.23")) == Decimal("1.23")
    assert str(found.round_price("1.2345678")) == str(found.round_price(Decimal("1.2345678")))
    assert found.round_quantity(7) == 7
    assert example("LOT_SIZE", stepSize="0").round_quantity(Decimal("1.23")) == Decimal("1.23")


@given(st.decimals(min_value="0.000001", max_value="100000", allow_nan=False))
def test_a_rounded_price_is_on_the_tick_and_near(price: Decimal) -> None:
    rounded = SymbolRules.of(INFORMATION, "BNBBTC").round_price(price)
    assert rounded % Decimal("0.000001") == 0
    assert abs(rounded - price) <= Decimal("0.0000005")
    assert "E" not in str(rounded) or rounded.as_tuple().exponent == -6


@given(st.decimals(min_value="0.001", max_value="1e20", allow_nan=False))
def test_a_rounded_quantity_is_never_more(quantity: Decimal) -> None:
    rounded = SymbolRules.of(INFORMATION, "BNBBTC").round_quantity(quantity)
    assert 0 <= quantity - rounded < Decimal("0.001")


# What is not judged is refused


@pytest.mark.parametrize("order", [OrderCancel(symbol="BNBBTC", order_id=1), None, 7, OrderPlace, "BUY"])
def test_what_is_no_new_order_is_refused(order: Any) -> None:
    with pytest.raises(InvalidRequest, match="check judges new orders, order lists and amendments, not ") as caught:
        rules().check(order)
    assert caught.value.field == "order"


def test_an_order_for_another_symbol_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="the rules are those of BNBBTC, the order is for 'BTCUSDT'"):
        rules().check(limit(symbol="BTCUSDT"))


MISTAKES: list[tuple[Callable[[Any], object], str]] = [
    (lambda wrong: SymbolRules(wrong), "symbol"),
    (lambda wrong: SymbolRules.of(wrong, "BNBBTC"), "information"),
    (lambda wrong: SymbolRules.of(INFORMATION, wrong), "symbol"),
    (lambda wrong: rules().check(limit(), wrong), "known"),
    (lambda wrong: rules().round_price(wrong), "price"),
    (lambda wrong: rules().round_quantity(wrong), "quantity"),
    (lambda wrong: rules().round_price(1, wrong), "rounding"),
    (lambda wrong: rules().round_quantity(1, rounding=wrong), "rounding"),
    (lambda wrong: OrderContext(reference_price=wrong), "reference_price"),
    (lambda wrong: OrderContext(holding=wrong), "holding"),
    (lambda wrong: OrderContext(open_orders=wrong), "open_orders"),
    (lambda wrong: OrderContext(open_order_lists=wrong), "open_order_lists"),
    (lambda wrong: OrderContext(amendments=wrong), "amendments"),
]


@pytest.mark.parametrize(("call", "field"), MISTAKES)
@pytest.mark.parametrize("wrong", [1.5, "up", [7], {}, -1, b"1", object(), Decimal("NaN")], ids=type)
def test_arguments_that_cannot_be_right_are_refused(call: Callable[[Any], object], field: str, wrong: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        call(wrong)
    assert caught.value.field == field


def test_circumstances_take_what_requests_take() -> None:
    assert OrderContext(reference_price="1.5", holding=7) == OrderContext(  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        reference_price=Decimal("1.5"), holding=Decimal(7)
    )


# What the symbol allows


def build(kind: Any, values: dict[str, Any]) -> Any:
    return kind(**values)


def oto(**more: Any) -> Any:
    known: dict[str, Any] = {
        "symbol": "BNBBTC",
        "working_type": "LIMIT",
        "working_side": "BUY",
        "working_time_in_force": "GTC",
        "working_price": 1,
        "working_quantity": 1,
        "pending_type": "LIMIT",
        "pending_side": "SELL",
        "pending_price": 1,
        "pending_quantity": 1,
        "pending_time_in_force": "GTC",
    }
    return build(OrderListPlaceOto, known | more)


def old_oco(**more: Any) -> Any:
    known: dict[str, Any] = {"symbol": "BNBBTC", "side": "SELL", "price": 2, "quantity": 1, "stop_price": 1}
    return build(OrderListPlace, known | more)


def otoco(kind: Any = OrderListPlaceOtoco, **more: Any) -> Any:
    known: dict[str, Any] = {
        "symbol": "BNBBTC",
        "working_type": "LIMIT",
        "working_side": "BUY",
        "working_time_in_force": "GTC",
        "working_price": 1,
        "working_quantity": 1,
        "pending_side": "SELL",
        "pending_above_type": "LIMIT_MAKER",
        "pending_above_price": 2,
        "pending_below_type": "STOP_LOSS",
        "pending_below_stop_price": 1,
    }
    return build(kind, known | ({"pending_quantity": 1} if kind is OrderListPlaceOtoco else {}) | more)


def opo() -> Any:
    more: dict[str, Any] = {
        "symbol": "BNBBTC",
        "working_type": "LIMIT",
        "working_side": "BUY",
        "working_price": 1,
        "working_quantity": 1,
        "working_time_in_force": "GTC",
        "pending_type": "MARKET",
        "pending_side": "SELL",
    }
    return build(OrderListPlaceOpo, more)


def replacement(**more: Any) -> Any:
    known: dict[str, Any] = {"symbol": "BNBBTC", "side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "price": 1}
    return build(
        OrderCancelReplace,
        known | {"quantity": 1, "cancel_replace_mode": "STOP_ON_FAILURE", "cancel_order_id": 5} | more,
    )


AMENDMENT = OrderAmendKeepPriority(symbol="BNBBTC", order_id=1, new_qty=1)
ROUTED = SorOrderPlace(symbol="BNBBTC", side="BUY", type="MARKET", quantity=1)


@pytest.mark.parametrize(
    ("changed", "order", "expected"),
    [
        ({"status": "BREAK"}, limit(), ("status", None)),
        ({"is_spot_trading_allowed": False}, limit(), ("isSpotTradingAllowed", None)),
        ({"order_types": ("LIMIT",)}, market(quantity=1), ("orderTypes", "type")),
        ({"iceberg_allowed": False}, limit(iceberg_qty=1), ("icebergAllowed", "iceberg_qty")),
        ({"iceberg_allowed": False}, old_oco(limit_iceberg_qty=1), ("icebergAllowed", "limit_iceberg_qty")),
        (
            {"allow_trailing_stop": False},
            limit(type="STOP_LOSS", trailing_delta=9),
            ("allowTrailingStop", "trailing_delta"),
        ),
        (
            {"peg_instructions_allowed": False},
            limit(price=None, peg_price_type="MARKET_PEG"),
            ("pegInstructionsAllowed", "peg_price_type"),
        ),
        (
            {"quote_order_qty_market_allowed": False},
            market(quote_order_qty=1),
            ("quoteOrderQtyMarketAllowed", "quote_order_qty"),
        ),
        ({"oco_allowed": False}, OCO, ("ocoAllowed", None)),
        ({"oco_allowed": False}, old_oco(), ("ocoAllowed", None)),
        ({"oto_allowed": False}, oto(), ("otoAllowed", None)),
        ({"oto_allowed": False}, otoco(), ("otoAllowed", None)),
        ({"opo_allowed": False}, opo(), ("opoAllowed", None)),
        ({"opo_allowed": False}, otoco(OrderListPlaceOpoco), ("opoAllowed", None)),
        ({"cancel_replace_allowed": False}, replacement(), ("cancelReplaceAllowed", None)),
        ({"amend_allowed": False}, AMENDMENT, ("amendAllowed", None)),
        (
            {"allowed_self_trade_prevention_modes": ()},
            limit(self_trade_prevention_mode=SYMBOL.allowed_self_trade_prevention_modes[0]),
            ("allowedSelfTradePreventionModes", "self_trade_prevention_mode"),
        ),
        (
            {"quote_asset_precision": 3},
            market(quote_order_qty="1.0001"),
            ("quoteAssetPrecision", "quote_order_qty"),
        ),
        ({"base_asset_precision": 3}, limit(quantity="1.0001"), ("baseAssetPrecision", "quantity")),
    ],
)
def test_what_a_symbol_does_not_allow_is_named(changed: Any, order: Any, expected: tuple[str, str | None]) -> None:
    assert rules().check(order) == []
    (found,) = rules(**changed).check(order)
    assert (found.filter, found.field) == expected


def test_orders_are_routed_for_some_symbols_only() -> None:
    assert rules().check(ROUTED) == []
    assert [found.filter for found in SymbolRules(SYMBOL, routed=False).check(ROUTED)] == ["sors"]
    assert SymbolRules(SYMBOL, routed=False).check(limit()) == []
    assert SymbolRules(SYMBOL, routed=True).check(ROUTED) == []
    assert SymbolRules.of(INFORMATION, "BNBBTC").routed is any(
        "BNBBTC" in sor.symbols for sor in INFORMATION.sors or ()
    )


# Lists


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (limit(), [(None, "LIMIT", "BUY", 1)]),
        (OCO, [("above", "LIMIT_MAKER", "SELL", Decimal("0.0015")), ("below", "STOP_LOSS", "SELL", Decimal("0.0015"))]),
        (old_oco(), [("limit", "LIMIT_MAKER", "SELL", 1), ("stop", "STOP_LOSS", "SELL", 1)]),
        (
            old_oco(stop_limit_price=1, stop_limit_time_in_force="GTC"),
            [("limit", "LIMIT_MAKER", "SELL", 1), ("stop", "STOP_LOSS_LIMIT", "SELL", 1)],
        ),
        (oto(), [("working", "LIMIT", "BUY", 1), ("pending", "LIMIT", "SELL", 1)]),
        (opo(), [("working", "LIMIT", "BUY", 1), ("pending", "MARKET", "SELL", None)]),
        (
            otoco(),
            [
                ("working", "LIMIT", "BUY", 1),
                ("pending_above", "LIMIT_MAKER", "SELL", 1),
                ("pending_below", "STOP_LOSS", "SELL", 1),
            ],
        ),
        (
            otoco(pending_below_type=None, pending_below_stop_price=None),
            [("working", "LIMIT", "BUY", 1), ("pending_above", "LIMIT_MAKER", "SELL", 1)],
        ),
        (
            otoco(OrderListPlaceOpoco),
            [
                ("working", "LIMIT", "BUY", 1),
                ("pending_above", "LIMIT_MAKER", "SELL", None),
                ("pending_below", "STOP_LOSS", "SELL", None),
            ],
        ),
    ],
)
def test_the_orders_of_a_request(order: Any, expected: list[Any]) -> None:
    assert [(leg.name, leg.type, leg.side, leg.quantity) for leg in legs_of(order)] == expected
    names = {field.name for field in msgspec.structs.fields(order)}
    assert all(parameter in names for leg in legs_of(order) for parameter in leg.parameters.values())


def test_the_old_oco_list_is_judged() -> None:
    both = rules(FILTERS["LOT_SIZE"]["example"], FILTERS["PRICE_FILTER"]["example"])
    wrong = old_oco(
        price="0.0000015", quantity="0.0015", stop_limit_price="0.0000025", stop_price="0.0000035",
        stop_limit_time_in_force="GTC", limit_iceberg_qty="0.0025", stop_iceberg_qty="0.0035",
    )  # fmt: skip
    assert [(found.leg, found.field) for found in both.check(wrong)] == [
        *(("limit", "quantity"), ("limit", "limit_iceberg_qty"), ("limit", "price")),
        *(("stop", "quantity"), ("stop", "stop_iceberg_qty"), ("stop", "stop_limit_price"), ("stop", "stop_price")),
    ]


@pytest.mark.parametrize("scope", ["", "EXCHANGE_"])
@pytest.mark.parametrize(
    ("order", "added", "algo"),
    [(limit(), 1, 0), (OCO, 2, 1), (old_oco(), 2, 1), (oto(), 2, 0), (opo(), 2, 0), (otoco(), 3, 1)],
)
def test_all_orders_of_a_list_count(scope: str, order: Any, added: int, algo: int) -> None:
    there = OrderContext(open_orders=[open_order()])
    assert example(f"{scope}MAX_NUM_ORDERS", maxNumOrders=1 + added).check(order, there) == []
    (found,) = example(f"{scope}MAX_NUM_ORDERS", maxNumOrders=added).check(order, there)
    assert found.message == f"1 orders already, and {added} more, of {added}"
    there = OrderContext(open_orders=[open_order(type="STOP_LOSS")])
    assert len(example(f"{scope}MAX_NUM_ALGO_ORDERS", maxNumAlgoOrders=algo).check(order, there)) == bool(algo)
    assert example(f"{scope}MAX_NUM_ALGO_ORDERS", maxNumAlgoOrders=1 + algo).check(order, there) == []


def test_an_order_that_is_replaced_makes_room() -> None:
    one = example("MAX_NUM_ORDERS", maxNumOrders=1)
    for there, order, is_room in (
        (open_order(order_id=5), replacement(), True),
        (open_order(order_id=6), replacement(), False),
        (open_order(client_order_id="a"), replacement(cancel_order_id=None, cancel_orig_client_order_id="a"), True),
        (open_order(client_order_id="b"), replacement(cancel_order_id=None, cancel_orig_client_order_id="a"), False),
    ):
        assert (one.check(order, OrderContext(open_orders=[there])) == []) is is_room


@pytest.mark.parametrize("type_", ["STOP_LOSS", "TAKE_PROFIT"])
@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("MIN_NOTIONAL", {"minNotional": "10", "applyToMarket": True}),
        ("NOTIONAL", {"minNotional": "10", "applyMinToMarket": True}),
        ("NOTIONAL", {"maxNotional": "7", "applyMaxToMarket": True}),
    ],
)
def test_an_order_that_becomes_a_market_order_is_worth_the_reference_price(
    type_: str, name: str, fields: dict[str, Any]
) -> None:
    order = limit(None, "4", type=type_, time_in_force=None, stop_price="9")
    known = OrderContext(reference_price=Decimal(2))
    assert example(name, **fields).check(order) == []
    assert [found.message[:20] for found in example(name, **fields).check(order, known)] == ["price * quantity: 8 "]
    not_applied = fields | {field: False for field in fields if field.startswith("apply")}
    assert example(name, **not_applied).check(order, known) == []
