"""Symbols and the filters that their orders must pass.

Source: filters.md, and "Exchange information" of the WebSocket API document.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from bintrio.api._base import number

from .orders import Order, Placement, eight_decimals
from .refusals import filter_failure, not_supported, order_refused, stp_mode_not_allowed

_ORDER_TYPES: Final = ("LIMIT", "LIMIT_MAKER", "MARKET")


class Symbol(msgspec.Struct, frozen=True, kw_only=True):
    """What is traded, and by which rules. Prices are in the quote asset, quantities in the base asset.

    A price rule that is 0 is disabled, and so is a step size; of the latter the document does not speak.

    Attributes:
        min_notional: the least that price times quantity may be.
        max_notional: the most that it may be, market orders aside.
        status: ``TRADING``, or why not.

    Raises:
        InvalidRequest: a rule is no number that is not negative.
    """

    base: str
    quote: str
    min_price: Decimal = Decimal("0.01")
    max_price: Decimal = Decimal(1_000_000)
    tick_size: Decimal = Decimal("0.01")
    min_quantity: Decimal = Decimal("0.00001")
    max_quantity: Decimal = Decimal(9_000)
    step_size: Decimal = Decimal("0.00001")
    min_notional: Decimal = Decimal(5)
    max_notional: Decimal = Decimal(9_000_000)
    status: str = "TRADING"

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(self):
            if field.type is Decimal:
                # An int or text is given by those who do not check types.
                rule = number(field.name, getattr(self, field.name))
                msgspec.structs.force_setattr(self, field.name, rule)

    @property
    def name(self) -> str:
        """As requests name it."""
        return self.base + self.quote

    def check(self, order: Order, reference_price: Decimal | None) -> None:
        """Refuse an order that breaks a rule.

        Args:
            order: as it came.
            reference_price: what a market order is valued at, if there is any price at all.

        Raises:
            Refusal: -1013 with the filter's name, or -2010.
        """
        if self.status != "TRADING":
            raise order_refused("Market is closed.")
        if order.stp_mode != "NONE":
            raise stp_mode_not_allowed()
        if order.type != "MARKET":
            self._check_price(order.price)
        if not order.quote_quantity:
            self._check_quantity(order.quantity)
        self._check_notional(order, reference_price)

    def check_supported(self, request: Placement) -> None:
        """Refuse an order of a kind that there is not here.

        Raises:
            Refusal: -2010.
        """
        if request.trailing_delta is not None:
            raise not_supported("Trailing stop")
        if request.type not in _ORDER_TYPES:
            raise not_supported(request.type.capitalize().replace("_", " "))
        if request.iceberg_qty is not None:
            raise not_supported("Iceberg")
        if request.peg_price_type is not None:
            raise not_supported("Pegged")

    def _check_price(self, price: Decimal) -> None:
        too_high = bool(self.max_price) and price > self.max_price
        if too_high or price < self.min_price or (self.tick_size and price % self.tick_size):
            raise filter_failure("PRICE_FILTER")

    def _check_quantity(self, quantity: Decimal) -> None:
        is_outside = not self.min_quantity <= quantity <= self.max_quantity
        if is_outside or (self.step_size and quantity % self.step_size):
            raise filter_failure("LOT_SIZE")

    def _check_notional(self, order: Order, reference_price: Decimal | None) -> None:
        price = reference_price if order.type == "MARKET" else order.price
        notional = order.quote_quantity or (None if price is None else price * order.quantity)
        if notional is None:
            return
        if notional < self.min_notional or (order.type != "MARKET" and notional > self.max_notional):
            raise filter_failure("NOTIONAL")

    def as_json(self) -> dict[str, Any]:
        """Its item of ``exchangeInfo``."""
        return {
            "symbol": self.name,
            "status": self.status,
            "baseAsset": self.base,
            "baseAssetPrecision": 8,
            "quoteAsset": self.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": _ORDER_TYPES,
            "icebergAllowed": False,
            "ocoAllowed": False,
            "otoAllowed": False,
            "opoAllowed": False,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": False,
            "cancelReplaceAllowed": True,
            "amendAllowed": True,
            "pegInstructionsAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": self.filters(),
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "NONE",
            "allowedSelfTradePreventionModes": ["NONE"],
        }

    def filters(self) -> list[dict[str, Any]]:
        """As ``exchangeInfo`` lists them."""
        return [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": eight_decimals(self.min_price),
                "maxPrice": eight_decimals(self.max_price),
                "tickSize": eight_decimals(self.tick_size),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": eight_decimals(self.min_quantity),
                "maxQty": eight_decimals(self.max_quantity),
                "stepSize": eight_decimals(self.step_size),
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": eight_decimals(self.min_notional),
                "applyMinToMarket": True,
                "maxNotional": eight_decimals(self.max_notional),
                "applyMaxToMarket": False,
                "avgPriceMins": 0,
            },
        ]


SYMBOLS: Final = (
    Symbol(base="BTC", quote="USDT"),
    Symbol(base="ETH", quote="USDT", step_size=Decimal("0.0001"), min_quantity=Decimal("0.0001")),
    Symbol(
        base="BNB",
        quote="BTC",
        min_price=Decimal("0.000001"),
        tick_size=Decimal("0.000001"),
        step_size=Decimal("0.001"),
        min_quantity=Decimal("0.001"),
        min_notional=Decimal("0.0001"),
    ),
)
"""What a sandbox trades unless told otherwise."""
