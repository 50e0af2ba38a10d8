"""Symbols: what is traded, and by which rules.

Source: filters.md, and "Exchange information" of the WebSocket API document.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from bintrio.api._values import Shown
from bintrio.api.enums import SelfTradePreventionMode
from bintrio.api.filters import Filter, LotSizeFilter, NotionalFilter, PriceFilter
from bintrio.api.general import ExecutionRule

from .arguments import check_fields
from .orders import KINDS, Order, eight_decimals
from .refusals import Refusal, not_supported, order_refused, stp_mode_not_allowed

_STP_MODES: Final = ("NONE", "EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER")
# Levels from the best one that an order may be pegged to.
_PEG_DEPTH: Final = 100


class Symbol(Shown, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is traded, and by which rules. Prices are in the quote asset, quantities in the base asset.

    A price rule that is 0 is disabled, and so is a step size; of the latter the document does not speak.

    Attributes:
        min_notional: the least that price times quantity may be.
        max_notional: the most that it may be, market orders aside.
        status: ``TRADING``, or why not.
        more_filters: filters beside those of price, quantity and notional.
        execution_rules: how far from the reference price its orders may trade; there is one kind of rule.
        order_types: those that it takes.

    Raises:
        InvalidRequest: a rule is no number that is not negative, or another value is not of its type.
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
    more_filters: tuple[Filter, ...] = ()
    execution_rules: tuple[ExecutionRule, ...] = ()
    order_types: tuple[str, ...] = tuple(KINDS)
    iceberg_allowed: bool = True
    oco_allowed: bool = True
    oto_allowed: bool = True
    opo_allowed: bool = True
    quote_order_qty_market_allowed: bool = True
    allow_trailing_stop: bool = True
    cancel_replace_allowed: bool = True
    amend_allowed: bool = True
    peg_instructions_allowed: bool = True
    default_stp_mode: SelfTradePreventionMode = "NONE"
    allowed_stp_modes: tuple[str, ...] = _STP_MODES

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def name(self) -> str:
        """As requests name it."""
        return self.base + self.quote

    def check_supported(self, order: Order) -> None:
        """Refuse an order of a kind that the symbol does not take.

        Raises:
            Refusal: -2010, or -1013 for self-trade prevention.
        """
        # The exchange says the same of every status but TRADING (errors.md, "Market is closed.").
        if self.status != "TRADING":
            raise order_refused("Market is closed.")
        if order.type not in self.order_types:
            # In the words of errors.md: "Stop loss limit orders are not supported for this symbol."
            raise not_supported(order.type.capitalize().replace("_", " "))
        if order.stp_mode not in self.allowed_stp_modes:
            raise stp_mode_not_allowed()
        # Few orders have any of these parameters.
        if not order.is_plain:
            self._check_features(order)

    def _check_features(self, order: Order) -> None:
        by_amount = "Quote order qty market orders are not support for this symbol."
        features: tuple[tuple[Any, bool, Refusal], ...] = (
            (order.trailing_delta is not None, self.allow_trailing_stop, not_supported("Trailing stop")),
            (order.iceberg_quantity, self.iceberg_allowed, not_supported("Iceberg")),
            (order.peg_price_type, self.peg_instructions_allowed, not_supported("Pegged")),
            (order.quote_quantity, self.quote_order_qty_market_allowed, order_refused(by_amount)),
        )
        for is_asked, is_allowed, refusal in features:
            if is_asked and not is_allowed:
                raise refusal
        _check_peg(order)
        if order.iceberg_quantity:
            _check_iceberg(order)

    def all_filters(self) -> tuple[Filter, ...]:
        """As ``exchangeInfo`` lists them."""
        return (
            PriceFilter(
                min_price=eight_decimals(self.min_price),
                max_price=eight_decimals(self.max_price),
                tick_size=eight_decimals(self.tick_size),
            ),
            LotSizeFilter(
                min_qty=eight_decimals(self.min_quantity),
                max_qty=eight_decimals(self.max_quantity),
                step_size=eight_decimals(self.step_size),
            ),
            NotionalFilter(
                min_notional=eight_decimals(self.min_notional),
                apply_min_to_market=True,
                max_notional=eight_decimals(self.max_notional),
                # What a MARKET order comes to is known only when it has traded.
                apply_max_to_market=False,
                avg_price_mins=0,
            ),
            *self.more_filters,
        )

    def as_json(self, *, show_permission_sets: bool = True) -> dict[str, Any]:
        """Its item of ``exchangeInfo``."""
        # Accounts here may trade all symbols, so there is one set.
        sets = [["SPOT"]] if show_permission_sets else []
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
            "orderTypes": self.order_types,
            "icebergAllowed": self.iceberg_allowed,
            "ocoAllowed": self.oco_allowed,
            "otoAllowed": self.oto_allowed,
            "opoAllowed": self.opo_allowed,
            "quoteOrderQtyMarketAllowed": self.quote_order_qty_market_allowed,
            "allowTrailingStop": self.allow_trailing_stop,
            "cancelReplaceAllowed": self.cancel_replace_allowed,
            "amendAllowed": self.amend_allowed,
            "pegInstructionsAllowed": self.peg_instructions_allowed,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": self.all_filters(),
            # As on the exchange, where the sets have taken its place.
            "permissions": [],
            "permissionSets": sets,
            "defaultSelfTradePreventionMode": self.default_stp_mode,
            "allowedSelfTradePreventionModes": self.allowed_stp_modes,
        }


def _check_peg(order: Order) -> None:
    """Refuse a peg that does not go with the order (pegged_orders.md)."""
    if order.peg_price_type is None:
        return
    if not order.kind.has_limit:
        raise order_refused("This order type may not use pegged price.")
    # It would stand on the other side of the book, and so trade at once.
    if order.kind.is_maker and order.peg_price_type == "MARKET_PEG":
        raise order_refused("This price peg cannot be used with this order type.")
    if _waits(order) or (order.peg_offset_value or 0) > _PEG_DEPTH:
        raise order_refused("Unsupported order combination")


def _waits(order: Order) -> bool:
    """Whether it could only wait, which it is not to."""
    # Pegged to the best price of its own side, it never trades at once.
    return order.type == "LIMIT" and order.peg_price_type == "PRIMARY_PEG" and order.time_in_force != "GTC"


def _check_iceberg(order: Order) -> None:
    if order.iceberg_quantity > order.quantity:
        raise order_refused("IcebergQty exceeds QTY.")


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
