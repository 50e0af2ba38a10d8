"""Filters: the rules that orders must obey, told apart by ``filterType``.

A filter of a type, or in a shape, that this release does not know arrives as `UnknownFilter`, with its JSON (G10).
`bintrio.rules.SymbolRules` applies them.

Source: filters.md. `TPlusSellFilter` is known from the SBE schema only.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TypeAlias

from ._values import KeepsUnknownFields, Timestamp

__all__ = [
    "ExchangeMaxNumAlgoOrdersFilter",
    "ExchangeMaxNumIcebergOrdersFilter",
    "ExchangeMaxNumOrderListsFilter",
    "ExchangeMaxNumOrdersFilter",
    "Filter",
    "IcebergPartsFilter",
    "LotSizeFilter",
    "MarketLotSizeFilter",
    "MaxAssetFilter",
    "MaxNumAlgoOrdersFilter",
    "MaxNumIcebergOrdersFilter",
    "MaxNumOrderAmendsFilter",
    "MaxNumOrderListsFilter",
    "MaxNumOrdersFilter",
    "MaxPositionFilter",
    "MinNotionalFilter",
    "NotionalFilter",
    "PercentPriceBySideFilter",
    "PercentPriceFilter",
    "PriceFilter",
    "TPlusSellFilter",
    "TrailingDeltaFilter",
    "UnknownFilter",
]


class _Filter(KeepsUnknownFields, frozen=True, kw_only=True, rename="camel", tag_field="filterType"):
    """What all filters share."""


class PriceFilter(_Filter, frozen=True, kw_only=True, tag="PRICE_FILTER"):
    """Bounds and step of prices and stop prices; a zero disables its part."""

    min_price: Decimal
    max_price: Decimal
    tick_size: Decimal


class PercentPriceFilter(_Filter, frozen=True, kw_only=True, tag="PERCENT_PRICE"):
    """How far a price may be from the average price."""

    multiplier_up: Decimal
    multiplier_down: Decimal
    avg_price_mins: int  # 0: the last price, not an average


class PercentPriceBySideFilter(_Filter, frozen=True, kw_only=True, tag="PERCENT_PRICE_BY_SIDE"):
    """How far a price may be from the average price: bid for BUY, ask for SELL."""

    bid_multiplier_up: Decimal
    bid_multiplier_down: Decimal
    ask_multiplier_up: Decimal
    ask_multiplier_down: Decimal
    avg_price_mins: int


class LotSizeFilter(_Filter, frozen=True, kw_only=True, tag="LOT_SIZE"):
    """Bounds and step of quantities; the step counts from zero."""

    min_qty: Decimal
    max_qty: Decimal
    step_size: Decimal


class MinNotionalFilter(_Filter, frozen=True, kw_only=True, tag="MIN_NOTIONAL"):
    """The least that price times quantity may be."""

    min_notional: Decimal
    apply_to_market: bool  # those are measured by the average price
    avg_price_mins: int


class NotionalFilter(_Filter, frozen=True, kw_only=True, tag="NOTIONAL"):
    """Bounds of price times quantity."""

    min_notional: Decimal
    apply_min_to_market: bool
    max_notional: Decimal
    apply_max_to_market: bool
    avg_price_mins: int


class IcebergPartsFilter(_Filter, frozen=True, kw_only=True, tag="ICEBERG_PARTS"):
    """Into how many parts an iceberg order may be cut."""

    limit: int


class MarketLotSizeFilter(_Filter, frozen=True, kw_only=True, tag="MARKET_LOT_SIZE"):
    """Bounds and step of the quantities of MARKET orders."""

    min_qty: Decimal
    max_qty: Decimal
    step_size: Decimal


class MaxNumOrdersFilter(_Filter, frozen=True, kw_only=True, tag="MAX_NUM_ORDERS"):
    """How many orders may be open on the symbol, conditional ones included."""

    max_num_orders: int


class MaxNumAlgoOrdersFilter(_Filter, frozen=True, kw_only=True, tag="MAX_NUM_ALGO_ORDERS"):
    """How many conditional orders may be open on the symbol."""

    max_num_algo_orders: int


class MaxNumIcebergOrdersFilter(_Filter, frozen=True, kw_only=True, tag="MAX_NUM_ICEBERG_ORDERS"):
    """How many iceberg orders may be open on the symbol."""

    max_num_iceberg_orders: int


class MaxPositionFilter(_Filter, frozen=True, kw_only=True, tag="MAX_POSITION"):
    """How much of the base asset the account may hold and have on order."""

    max_position: Decimal


class TrailingDeltaFilter(_Filter, frozen=True, kw_only=True, tag="TRAILING_DELTA"):
    """Bounds of trailing deltas, in basis points, above and below the market."""

    min_trailing_above_delta: int
    max_trailing_above_delta: int
    min_trailing_below_delta: int
    max_trailing_below_delta: int


class MaxNumOrderAmendsFilter(_Filter, frozen=True, kw_only=True, tag="MAX_NUM_ORDER_AMENDS"):
    """How often one order may be amended."""

    max_num_order_amends: int


class MaxNumOrderListsFilter(_Filter, frozen=True, kw_only=True, tag="MAX_NUM_ORDER_LISTS"):
    """How many order lists may be open on the symbol."""

    max_num_order_lists: int  # an OTOCO list is one


class TPlusSellFilter(_Filter, frozen=True, kw_only=True, tag="T_PLUS_SELL"):
    """Known by name only: the SBE schema has it, the documents do not."""

    end_time: Timestamp | None = None


class ExchangeMaxNumOrdersFilter(_Filter, frozen=True, kw_only=True, tag="EXCHANGE_MAX_NUM_ORDERS"):
    """How many orders the account may have open on the exchange, conditional ones included."""

    max_num_orders: int  # also written EXCHANGE_MAX_ORDERS (inconsistency 42)


class ExchangeMaxNumAlgoOrdersFilter(_Filter, frozen=True, kw_only=True, tag="EXCHANGE_MAX_NUM_ALGO_ORDERS"):
    """How many conditional orders the account may have open on the exchange."""

    max_num_algo_orders: int


class ExchangeMaxNumIcebergOrdersFilter(_Filter, frozen=True, kw_only=True, tag="EXCHANGE_MAX_NUM_ICEBERG_ORDERS"):
    """How many iceberg orders the account may have open on the exchange."""

    max_num_iceberg_orders: int


class ExchangeMaxNumOrderListsFilter(_Filter, frozen=True, kw_only=True, tag="EXCHANGE_MAX_NUM_ORDER_LISTS"):
    """How many order lists the account may have open on the exchange."""

    max_num_order_lists: int


class MaxAssetFilter(_Filter, frozen=True, kw_only=True, tag="MAX_ASSET"):
    """How much of an asset one order may move."""

    asset: str
    limit: Decimal


class UnknownFilter(_Filter, frozen=True, kw_only=True, tag=""):
    """A filter of a type, or in a shape, that this release does not know.

    Attributes:
        type: the value of ``filterType``.
        raw: the filter as JSON.
        reason: what does not fit, and where in the filter (`$`).
    """

    type: str
    raw: bytes
    reason: str = ""


Filter: TypeAlias = (
    PriceFilter
    | PercentPriceFilter
    | PercentPriceBySideFilter
    | LotSizeFilter
    | MinNotionalFilter
    | NotionalFilter
    | IcebergPartsFilter
    | MarketLotSizeFilter
    | MaxNumOrdersFilter
    | MaxNumAlgoOrdersFilter
    | MaxNumIcebergOrdersFilter
    | MaxPositionFilter
    | TrailingDeltaFilter
    | MaxNumOrderAmendsFilter
    | MaxNumOrderListsFilter
    | TPlusSellFilter
    | ExchangeMaxNumOrdersFilter
    | ExchangeMaxNumAlgoOrdersFilter
    | ExchangeMaxNumIcebergOrdersFilter
    | ExchangeMaxNumOrderListsFilter
    | MaxAssetFilter
    | UnknownFilter
)
"""Everything in ``filters``, ``exchangeFilters``, ``symbolFilters`` and ``assetFilters``."""
