"""Rounding and checking: every filter of ``filters.json`` that speaks of orders, at and beyond its bounds."""

from __future__ import annotations

from decimal import ROUND_UP, Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bintrio._results import decode_response
from bintrio.api.account import Order
from bintrio.api.filters import Filter
from bintrio.api.general import ExchangeInformation, SymbolInfo
from bintrio.api.trading import OrderAmendKeepPriority, OrderListPlaceOco, OrderListPlaceOpo, OrderPlace, SorOrderPlace
from bintrio.errors import InvalidRequest
from bintrio.rules import Circumstances, SymbolRules

from .catalogue import EXAMPLES, document

FILTERS: dict[str, Any] = document("filters.json")
INFORMATION: ExchangeInformation = decode_response(
    "exchangeInfo", (EXAMPLES / "exchangeInfo" / "response.json").read_bytes()
).result
SYMBOL: SymbolInfo = INFORMATION.symbols[0]


def rules(*filters: dict[str, Any]) -> SymbolRules:
    """Rules of BNBBTC with these filters only."""
    found = [msgspec.convert(one, Filter) for one in filters]
    return SymbolRules(msgspec.structs.replace(SYMBOL, filters=()), found)


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
    from bintrio import rules as module

    judged = {kind.__struct_config__.tag for kind in vars(module)["_CHECKS"]}
    lists = {"MAX_NUM_ORDER_LISTS", "EXCHANGE_MAX_NUM_ORDER_LISTS", "MAX_NUM_ORDER_AMENDS"}
    assert judged | lists == set(FILTERS)


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
    assert example("PRICE_FILTER", minPrice="0", maxPrice="0", tickSize="0").check(limit("9999999999.123456789")) == []


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
    known = Circumstances(reference_price=Decimal(100))
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
    known = Circumstances(reference_price=Decimal(1))
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
    known = Circumstances(holding=Decimal(5), open_orders=[open_order(orig_qty=Decimal(4))])
    one = example("MAX_POSITION")
    assert one.check(limit(quantity="1"), known) == []
    assert fields(one.check(limit(quantity="1.1"), known)) == ["quantity"]
    assert one.check(limit(quantity="1.1", side="SELL"), known) == []
    assert one.check(limit(quantity="100")) == []


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
    assert fields(one.check(order, Circumstances(open_orders=there))) == [None]
    assert one.check(order, Circumstances(open_orders=there[:1])) == []
    assert one.check(order) == []
    elsewhere = [msgspec.structs.replace(one, symbol="ETHBTC") for one in there]
    assert bool(one.check(order, Circumstances(open_orders=elsewhere))) is (scope == "EXCHANGE_")
    if name != "MAX_NUM_ORDERS":
        assert one.check(limit(), Circumstances(open_orders=there)) == []


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
    assert fields(both.check(OCO)) == ["above_quantity", "below_quantity", "below_stop_price"]
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
    assert [found.filter for found in here.check(OCO, Circumstances(open_order_lists=20))] == ["MAX_NUM_ORDER_LISTS"]
    assert len(everywhere.check(OCO, Circumstances(open_order_lists_of_all=20))) == 1
    assert here.check(OCO, Circumstances(open_order_lists=19)) == []
    assert here.check(limit(), Circumstances(open_order_lists=20)) == []


def test_an_amendment_is_checked() -> None:
    amend = OrderAmendKeepPriority(symbol="BNBBTC", order_id=1, new_qty="0.0015")
    both = rules(FILTERS["LOT_SIZE"]["example"], FILTERS["MAX_NUM_ORDER_AMENDS"]["example"])
    assert fields(both.check(amend)) == ["new_qty"]
    assert fields(both.check(amend, Circumstances(amendments=10))) == [None, "new_qty"]
    assert rules().check(amend) == []


def test_a_routed_order_is_checked() -> None:
    order = SorOrderPlace(symbol="BNBBTC", side="BUY", type="MARKET", quantity="0.0015")
    assert fields(example("LOT_SIZE").check(order)) == ["quantity"]


def test_g10_an_unknown_filter_is_not_judged() -> None:
    assert rules({"filterType": "", "type": "MOON", "raw": ""}).check(limit()) == []


def test_rounding() -> None:
    found = SymbolRules.of(INFORMATION, "BNBBTC")
    assert str(found.round_price(Decimal("1.2345678"))) == "1.234568"
    assert str(found.round_price(Decimal("1.2345671"), ROUND_UP)) == "1.234568"
    assert str(found.round_quantity(Decimal("1.9999"))) == "1.999"
    coarse = example("MARKET_LOT_SIZE", stepSize="10")
    assert str(coarse.round_quantity(Decimal("129"), market=True)) == "120"
    assert str(coarse.round_quantity(Decimal("129"))) == "129"
    assert rules().round_price(Decimal("1.23")) == Decimal("1.23")
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
