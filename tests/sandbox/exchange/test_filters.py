"""Every filter: what passes, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from bintrio.api import filters as api
from bintrio.api.general import ExecutionRule
from bintrio.api.order_lists import OrderListPlaceOto
from bintrio.sandbox.exchange.amending import amend
from bintrio.sandbox.exchange.reference import External, MeanOfTrades
from bintrio.sandbox.exchange.refusals import Refusal

from .hall import D, Hall, symbol

STOP: dict[str, Any] = {"type": "STOP_LOSS_LIMIT", "side": "SELL", "price": "8", "stop_price": "9"}
LOTS: dict[str, Any] = {"min_qty": D(1), "max_qty": D(3), "step_size": D("0.5")}
DELTAS: dict[str, Any] = {
    "min_trailing_above_delta": 10,
    "max_trailing_above_delta": 20,
    "min_trailing_below_delta": 30,
    "max_trailing_below_delta": 40,
}


def trailing(kind: str, side: str, delta: int) -> dict[str, Any]:
    return {"type": kind, "side": side, "trailing_delta": delta, "quantity": "1"}


RULES: list[tuple[api.Filter, dict[str, Any], dict[str, Any]]] = [
    (api.PriceFilter(min_price=D(2), max_price=D(0), tick_size=D(0)), {"price": "2"}, {"price": "1.9"}),
    (api.PriceFilter(min_price=D(0), max_price=D(12), tick_size=D(0)), {"price": "12"}, {"price": "12.1"}),
    (api.PriceFilter(min_price=D(0), max_price=D(0), tick_size=D("0.5")), {"price": "2.5"}, {"price": "2.4"}),
    (api.PriceFilter(min_price=D(0), max_price=D(0), tick_size=D("0.5")), STOP, STOP | {"stop_price": "8.9"}),
    (
        api.PercentPriceFilter(multiplier_up=D("1.3"), multiplier_down=D("0.7"), avg_price_mins=5),
        {"price": "13"},
        {"price": "13.1"},
    ),
    (
        api.PercentPriceFilter(multiplier_up=D("1.3"), multiplier_down=D("0.7"), avg_price_mins=0),
        {"price": "7"},
        {"price": "6.9"},
    ),
    (
        api.PercentPriceBySideFilter(
            bid_multiplier_up=D(2),
            bid_multiplier_down=D("0.5"),
            ask_multiplier_up=D(3),
            ask_multiplier_down=D("0.9"),
            avg_price_mins=1,
        ),
        {"price": "5"},
        {"price": "4.9"},
    ),
    (
        api.PercentPriceBySideFilter(
            bid_multiplier_up=D(2),
            bid_multiplier_down=D("0.5"),
            ask_multiplier_up=D(3),
            ask_multiplier_down=D("0.9"),
            avg_price_mins=1,
        ),
        {"side": "SELL", "price": "30"},
        {"side": "SELL", "price": "8.9"},
    ),
    (api.LotSizeFilter(**LOTS), {"quantity": "1.5"}, {"quantity": "3.5"}),
    (api.MarketLotSizeFilter(**LOTS), {"type": "MARKET", "quantity": "1.5"}, {"type": "MARKET", "quantity": "0.5"}),
    (api.MarketLotSizeFilter(**LOTS), {"quantity": "0.5"}, {"type": "MARKET", "quantity": "1.2"}),
    (
        api.MinNotionalFilter(min_notional=D(10), apply_to_market=True, avg_price_mins=0),
        {"price": "10"},
        {"type": "MARKET", "quantity": "0.9"},
    ),
    (
        api.MinNotionalFilter(min_notional=D(10), apply_to_market=False, avg_price_mins=0),
        {"type": "MARKET", "quantity": "0.9"},
        {"price": "9"},
    ),
    (
        api.NotionalFilter(
            min_notional=D(10),
            apply_min_to_market=False,
            max_notional=D(20),
            apply_max_to_market=True,
            avg_price_mins=5,
        ),
        {"type": "MARKET", "quantity": "0.5"},
        {"type": "MARKET", "quantity": "2.5"},
    ),
    (
        api.NotionalFilter(
            min_notional=D(10),
            apply_min_to_market=False,
            max_notional=D(20),
            apply_max_to_market=False,
            avg_price_mins=5,
        ),
        {"type": "MARKET", "quantity": "2.5"},
        {"quantity": "2.5"},
    ),
    (api.IcebergPartsFilter(limit=2), {"quantity": "2", "iceberg_qty": "1"}, {"quantity": "2.1", "iceberg_qty": "1"}),
    (api.TrailingDeltaFilter(**DELTAS), trailing("STOP_LOSS", "BUY", 20), trailing("STOP_LOSS", "BUY", 30)),
    (api.TrailingDeltaFilter(**DELTAS), trailing("TAKE_PROFIT", "BUY", 30), trailing("TAKE_PROFIT", "BUY", 20)),
    (api.TrailingDeltaFilter(**DELTAS), {"price": "9"}, trailing("STOP_LOSS", "SELL", 41)),
    (api.MaxPositionFilter(max_position=D(102)), {"quantity": "2"}, {"quantity": "2.1"}),
    (api.MaxPositionFilter(max_position=D(1)), {"side": "SELL", "price": "90"}, {"quantity": "1"}),
    (api.MaxAssetFilter(asset="BTC", limit=D(2)), {"quantity": "2"}, {"quantity": "2.1"}),
    (api.MaxAssetFilter(asset="USDT", limit=D(20)), {"quantity": "2"}, {"quantity": "2.1"}),
    (api.MaxAssetFilter(asset="DOGE", limit=D(0)), {"quantity": "2"}, {"quantity": "0"}),
]


@pytest.mark.parametrize(("rule", "good", "bad"), RULES, ids=lambda value: type(value).__name__)
def test_what_passes_a_filter_and_what_does_not(rule: api.Filter, good: dict[str, Any], bad: dict[str, Any]) -> None:
    name = "LOT_SIZE" if bad.get("quantity") == "0" else type(rule).__struct_config__.tag
    for options in ({"more": (rule,)}, {"exchange": (rule,)}):
        hall = Hall(symbol(more_filters=options.get("more", ())), exchange_filters=options.get("exchange", ()))
        # With what the rule allows, so that there is a price.
        hall.engine.listings["BTCUSDT"].checks, kept = (), hall.engine.listings["BTCUSDT"].checks
        hall.trade_at(10)
        hall.engine.listings["BTCUSDT"].checks = kept
        with pytest.raises(Refusal, match=f"Filter failure: {name}$"):
            hall.place(**bad)
        hall.place(**good)


@pytest.mark.parametrize(
    ("rule", "order"),
    [
        (api.MaxNumOrdersFilter(max_num_orders=2), {}),
        (api.MaxNumAlgoOrdersFilter(max_num_algo_orders=2), STOP),
        (api.MaxNumIcebergOrdersFilter(max_num_iceberg_orders=2), {"iceberg_qty": "1"}),
        (api.ExchangeMaxNumOrdersFilter(max_num_orders=2), {}),
        (api.ExchangeMaxNumAlgoOrdersFilter(max_num_algo_orders=2), STOP),
        (api.ExchangeMaxNumIcebergOrdersFilter(max_num_iceberg_orders=2), {"iceberg_qty": "1"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_open_orders_are_counted(rule: api.Filter, order: dict[str, Any]) -> None:
    everywhere = type(rule).__name__.startswith("Exchange")
    symbols = [symbol(quote=quote, more_filters=() if everywhere else (rule,)) for quote in ("USDT", "USDC")]
    hall = Hall(*symbols, exchange_filters=(rule,) if everywhere else ())
    first = hall.place(**order)
    second: dict[str, Any] = order | ({"symbol": "BTCUSDC"} if everywhere else {})
    hall.place(**second)
    with pytest.raises(Refusal, match="MAX_NUM"):
        hall.place(**order)
    if order:
        hall.place(price="1")
    if not everywhere:
        hall.place(**order, symbol="BTCUSDC")
    hall.engine.cancel(hall.account(), first, 9, cancel_id="x")
    hall.place(**order)


def test_an_order_counts_once_towards_the_position_whatever_becomes_of_it() -> None:
    """filters.md, MAX_POSITION: what is free and locked, and "the qty of all open BUY orders"."""
    hall = Hall(symbol(more_filters=(api.MaxPositionFilter(max_position=D(106)),)))
    hall.trade_at(12)
    order = hall.place(quantity="6")
    hall.place(2, side="SELL", quantity="2")
    amend(hall.engine, hall.account(), order, D(5), 9, client_order_id="x")
    assert (order.executed, order.remaining) == (2, 3)
    pegged: dict[str, Any] = {"type": "STOP_LOSS_LIMIT", "stop_price": "13", "peg_price_type": "PRIMARY_PEG"}
    stop = hall.place(quantity="1", price=None, **pegged)
    with pytest.raises(Refusal, match="MAX_POSITION"):
        hall.place(quantity="0.1")
    hall.trade_at(13)
    assert (stop.status, stop.place) == ("NEW", "book")


def test_the_orders_of_a_list_count_towards_the_position() -> None:
    hall = Hall(symbol(more_filters=(api.MaxPositionFilter(max_position=D(103)),)))
    both: dict[str, Any] = {"working_side": "BUY", "pending_side": "BUY"}
    with pytest.raises(Refusal, match="MAX_POSITION"):
        hall.place_list(then(**both, pending_quantity="1.1"))
    working, pending = hall.place_list(then(**both, pending_quantity="1"))
    hall.place(2, side="SELL", quantity="2")
    assert (working.status, pending.status, pending.place) == ("FILLED", "NEW", "book")


def then(**changes: Any) -> OrderListPlaceOto:
    """A list of which one order waits for the other."""
    limited = {"type": "LIMIT", "price": "10", "time_in_force": "GTC"}
    given: dict[str, Any] = {
        f"{leg}_{name}": value for leg in ("working", "pending") for name, value in limited.items()
    }
    return OrderListPlaceOto(symbol="BTCUSDT", working_quantity="2", **given | changes)


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (api.MaxPositionFilter(max_position=D(102)), "MAX_POSITION"),
        (api.MaxAssetFilter(asset="BTC", limit=D(2)), "MAX_ASSET"),
    ],
)
def test_an_order_by_quote_amount_is_judged_by_what_it_buys(rule: api.Filter, name: str) -> None:
    hall = Hall(symbol(more_filters=(rule,)))
    hall.place(2, side="SELL", quantity="2")
    hall.place(2, side="SELL", quantity="2")
    before = hall.money()
    with pytest.raises(Refusal, match=f"Filter failure: {name}$"):
        hall.place(type="MARKET", quantity=None, quote_order_qty="21")
    assert hall.money() == before
    assert hall.place(type="MARKET", quantity=None, quote_order_qty="20").status == "FILLED"


def test_a_filter_of_which_only_the_name_is_known_is_listed_and_binds_nobody() -> None:
    """T_PLUS_SELL is in no document but the SBE schema, which says nothing of what it does."""
    rule = api.TPlusSellFilter(end_time=10**15)
    hall = Hall(symbol(more_filters=(rule,)))
    assert rule in hall.engine.symbols["BTCUSDT"].all_filters()
    assert hall.place(side="SELL").is_open


def test_amendments_are_counted() -> None:
    hall = Hall(symbol(more_filters=(api.MaxNumOrderAmendsFilter(max_num_order_amends=1),)))
    order = hall.place(quantity="3")
    amend(hall.engine, hall.account(), order, D(2), 9, client_order_id="x")
    with pytest.raises(Refusal, match="MAX_NUM_ORDER_AMENDS") as caught:
        amend(hall.engine, hall.account(), order, D(1), 9, client_order_id="x")
    assert caught.value.code == -2038


# Execution rules and reference prices


@pytest.mark.parametrize(("side", "far", "near"), [("BUY", "21", "20"), ("SELL", "4", "5")])
def test_an_order_trades_near_the_reference_price_only(side: str, far: str, near: str) -> None:
    """price_range_execution_rules.md."""
    two, half = D(2), D("0.5")
    rule = ExecutionRule(
        rule_type="PRICE_RANGE", bid_limit_mult_up=two, bid_limit_mult_down=half, ask_limit_mult_down=half
    )
    hall = Hall(symbol(execution_rules=(rule,)))
    other = "SELL" if side == "BUY" else "BUY"
    for price in (near, far):
        hall.place(2, side=other, price=price)
    hall.engine.references.sources["BTCUSDT"] = External(D(10), 0)
    order = hall.place(side=side, type="MARKET", quantity="2")
    assert [order.executed, order.expiry_reason] == [1, "EXECUTION_RULE_PRICE_RANGE_EXCEEDED"]
    hall.engine.references.sources["BTCUSDT"] = External(None, 0)
    assert hall.place(side=side, type="MARKET", quantity="1").status == "FILLED"


def test_a_mean_of_trades_forgets_old_ones_bit_by_bit() -> None:
    hall = Hall()
    hall.engine.references.sources["BTCUSDT"] = MeanOfTrades(bucket_count=2, bucket_width_ms=1_000)
    tape = hall.engine.listings["BTCUSDT"].tape

    def price(now: int) -> Any:
        return hall.engine.references.price("BTCUSDT", tape, now)

    assert price(0) is None
    hall.now = 100_000
    hall.trade_at(10)
    hall.now = 1_100_000
    hall.trade_at(20)
    assert price(1_200_000) == 15
    assert price(2_500_000) == D("16.66666666")
    assert price(3_500_000) == 20
    assert price(9_000_000) is None


def test_what_has_no_price_or_no_delta_passes_filters_on_those() -> None:
    percent = api.PercentPriceFilter(multiplier_up=D(2), multiplier_down=D("0.5"), avg_price_mins=1)
    market = api.MarketLotSizeFilter(min_qty=D(1), max_qty=D(0), step_size=D(0))
    hall = Hall(symbol(more_filters=(percent, api.TrailingDeltaFilter(**DELTAS), market)))
    hall.place(2, side="SELL", price="10", quantity="3")
    assert hall.place(type="MARKET", quantity="1").status == "FILLED"
    assert hall.place(type="MARKET", quantity=None, quote_order_qty="10").status == "FILLED"
    hall.now = 600_000_000
    with pytest.raises(Refusal, match="PERCENT_PRICE"):
        hall.place(price="21")  # by the last price, since nobody traded of late


def test_an_order_without_an_iceberg_passes_the_filter_on_its_parts() -> None:
    hall = Hall(symbol(more_filters=(api.IcebergPartsFilter(limit=1),)))
    assert hall.place(quantity="3").status == "NEW"
