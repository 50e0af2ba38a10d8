"""The exchange's enums, and what is named like one.

**Enums are open.** To a type checker `Side` is ``Literal["BUY", "SELL"]``, so a misspelt value is an error in the
editor. At runtime it is a plain `str`: a value that the exchange adds tomorrow decodes, compares and can be sent (G10).
So keep a default branch: the types list what was known at release, values that only the SBE schema names included.

Source: enums.md, and "Rate limits" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias, TypeVar, get_args

import msgspec

__all__ = [
    "AccountType",
    "AllocationType",
    "CLOSED_LIST_STATES",
    "CLOSED_STATES",
    "CancelReplaceMode",
    "CancelReplaceResult",
    "CancelRestrictions",
    "ContingencyType",
    "ExecutionRuleType",
    "ExecutionType",
    "ExpiryReason",
    "KlineInterval",
    "ListOrderStatus",
    "ListStatusType",
    "MatchType",
    "NewOrderRespType",
    "OPEN_STATES",
    "OrderCapacity",
    "OrderRateLimitExceededMode",
    "OrderRejectReason",
    "OrderState",
    "OrderType",
    "PegOffsetType",
    "PegPriceType",
    "Permission",
    "RateLimitInterval",
    "RateLimitType",
    "ReferencePriceCalculationType",
    "SelfTradePreventionMode",
    "Side",
    "SymbolStatus",
    "SymbolStatusFilter",
    "TickerType",
    "TickerWindowSize",
    "TimeInForce",
    "WorkingFloor",
]

if TYPE_CHECKING:
    T = TypeVar("T")
    Open: TypeAlias = Annotated[T, "open"]
else:

    class Open:
        """``Open[Literal[...]]``: the literals to a type checker, any `str` at runtime.

        The known values stay readable in the annotation, as ``Meta.extra["values"]``: sandbox, command line and docs
        use them.
        """

        def __class_getitem__(cls, literals: Any) -> Any:
            return Annotated[str, msgspec.Meta(extra={"values": get_args(literals)})]


Side: TypeAlias = Open[Literal["BUY", "SELL"]]
# Those with STOP_LOSS wait for a worse price, those with TAKE_PROFIT for a better one. Without LIMIT in their names
# they become MARKET orders then. LIMIT_MAKER orders are refused if they would trade at once.
OrderType: TypeAlias = Open[
    Literal["LIMIT", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT", "LIMIT_MAKER"]
]
TimeInForce: TypeAlias = Open[Literal["GTC", "IOC", "FOK"]]
# The document calls this enum orderStatus too, but `OrderStatus` is the request order.status.
OrderState: TypeAlias = Open[
    Literal[
        "NEW",
        "PENDING_NEW",  # waits for the working order of its list
        "PARTIALLY_FILLED",
        "FILLED",
        "CANCELED",
        "PENDING_CANCEL",  # "Currently unused"
        "REJECTED",  # the matching engine did not accept it
        "EXPIRED",  # by the rules of its type, or by the exchange
        "EXPIRED_IN_MATCH",  # by self-trade prevention
        "UNKNOWN",  # in the SBE schema only
    ]
]
OPEN_STATES: Final = frozenset({"NEW", "PENDING_NEW", "PARTIALLY_FILLED", "PENDING_CANCEL"})
"""States in which an order may still be filled, canceled or amended."""

CLOSED_STATES: Final = frozenset({"FILLED", "CANCELED", "REJECTED", "EXPIRED", "EXPIRED_IN_MATCH"})
"""States that an order ends in. One that this release does not know is none: such an order is asked about again."""

NewOrderRespType: TypeAlias = Open[Literal["ACK", "RESULT", "FULL"]]
# What expires of two orders that must not trade with each other: with EXPIRE_MAKER the one on the book, with
# EXPIRE_TAKER the other, with DECREMENT of both as much as would have traded. TRANSFER moves that between accounts of
# one trade group besides.
SelfTradePreventionMode: TypeAlias = Open[
    Literal["NONE", "EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"]
]
SymbolStatus: TypeAlias = Open[Literal["TRADING", "END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY"]]
# Three of the five: the document leaves out the others (inconsistency 33).
SymbolStatusFilter: TypeAlias = Open[Literal["TRADING", "HALT", "BREAK"]]
CancelRestrictions: TypeAlias = Open[Literal["ONLY_NEW", "ONLY_PARTIALLY_FILLED"]]
PegPriceType: TypeAlias = Open[Literal["PRIMARY_PEG", "MARKET_PEG"]]
PegOffsetType: TypeAlias = Open[Literal["PRICE_LEVEL"]]
# BROKER is in the SBE schema only.
WorkingFloor: TypeAlias = Open[Literal["EXCHANGE", "SOR", "BROKER"]]
ExpiryReason: TypeAlias = Open[
    Literal[
        "NONE",
        "REJECTED",  # as it was to be put on the book: no funds, a filter
        "EXCHANGE_CANCELED",  # by the exchange itself
        "OCO_TRIGGER",  # the other one of its pair began to work, or the pair expired
        "OTO_PHASE_ONE_EXPIRED",  # the working order of its list did
        "UNFILLED_IOC_QUANTITY_EXPIRED",
        "UNFILLED_FOK_ORDER_EXPIRED",
        "INSUFFICIENT_LIQUIDITY",  # the book had not enough for it
        "EXECUTION_RULE_PRICE_RANGE_EXCEEDED",  # its next trade was too far from the reference price
    ]
]
MatchType: TypeAlias = Open[Literal["ONE_PARTY_TRADE_REPORT", "AUTO_MATCH"]]
AllocationType: TypeAlias = Open[Literal["SOR", "UNKNOWN"]]
AccountType: TypeAlias = Open[Literal["SPOT", "UNKNOWN"]]
OrderCapacity: TypeAlias = Open[Literal["PRINCIPAL", "AGENCY"]]
CancelReplaceMode: TypeAlias = Open[Literal["STOP_ON_FAILURE", "ALLOW_FAILURE"]]
CancelReplaceResult: TypeAlias = Open[Literal["SUCCESS", "FAILURE", "NOT_ATTEMPTED"]]
OrderRateLimitExceededMode: TypeAlias = Open[Literal["DO_NOTHING", "CANCEL_ONLY"]]
ExecutionRuleType: TypeAlias = Open[Literal["PRICE_RANGE"]]
ReferencePriceCalculationType: TypeAlias = Open[Literal["ARITHMETIC_MEAN", "EXTERNAL"]]
KlineInterval: TypeAlias = Open[
    Literal["1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"]
]
TickerType: TypeAlias = Open[Literal["FULL", "MINI"]]
# fmt: off
TickerWindowSize: TypeAlias = Open[
    Literal[
        "1m", "2m", "3m", "4m", "5m", "6m", "7m", "8m", "9m", "10m", "11m", "12m", "13m", "14m", "15m", "16m", "17m",
        "18m", "19m", "20m", "21m", "22m", "23m", "24m", "25m", "26m", "27m", "28m", "29m", "30m", "31m", "32m", "33m",
        "34m", "35m", "36m", "37m", "38m", "39m", "40m", "41m", "42m", "43m", "44m", "45m", "46m", "47m", "48m", "49m",
        "50m", "51m", "52m", "53m", "54m", "55m", "56m", "57m", "58m", "59m", "1h", "2h", "3h", "4h", "5h", "6h", "7h",
        "8h", "9h", "10h", "11h", "12h", "13h", "14h", "15h", "16h", "17h", "18h", "19h", "20h", "21h", "22h", "23h",
        "1d", "2d", "3d", "4d", "5d", "6d", "7d",
    ]
]
# fmt: on
Permission: TypeAlias = Annotated[str, msgspec.Meta(extra={"values": ("SPOT", "MARGIN", "LEVERAGED")})]
"""``"SPOT"``, ``"MARGIN"``, ``"LEVERAGED"`` or ``"TRD_GRP_"`` and three digits. New groups keep coming, so to a type
checker it is any `str`."""

# OTO for OTOCO, OPO and OPOCO lists too (inconsistency 11).
ContingencyType: TypeAlias = Open[Literal["OCO", "OTO"]]
# RESPONSE answers an action that failed, UPDATED says that an order of the list has another client order id.
ListStatusType: TypeAlias = Open[Literal["RESPONSE", "EXEC_STARTED", "UPDATED", "ALL_DONE"]]
# CANCELING is in the SBE schema only.
ListOrderStatus: TypeAlias = Open[Literal["EXECUTING", "ALL_DONE", "REJECT", "CANCELING"]]
CLOSED_LIST_STATES: Final = frozenset({"ALL_DONE", "REJECT"})
"""States that an order list ends in. One that this release does not know is none, as with orders."""
# REPLACED is said of an order that was amended.
ExecutionType: TypeAlias = Open[
    Literal["NEW", "CANCELED", "REPLACED", "REJECTED", "TRADE", "EXPIRED", "TRADE_PREVENTION", "UNKNOWN"]
]
OrderRejectReason: TypeAlias = Open[
    Literal[
        "NONE",
        "INSUFFICIENT_BALANCES",
        "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY",
        "WOULD_MATCH_IMMEDIATELY",
        "OCO_BAD_PRICES",
    ]
]
# Each document knows some of them (inconsistency 41).
RateLimitType: TypeAlias = Open[Literal["REQUEST_WEIGHT", "ORDERS", "RAW_REQUESTS", "CONNECTIONS"]]
RateLimitInterval: TypeAlias = Open[Literal["SECOND", "MINUTE", "HOUR", "DAY"]]


def known_values(annotation: Any) -> tuple[str, ...]:
    """The values that are known of an enum, in a field's type; none if it is no enum."""
    extras = (part.extra or {} for part in _parts_of(annotation) if isinstance(part, msgspec.Meta))
    return next((extra["values"] for extra in extras if "values" in extra), ())


def _parts_of(annotation: Any) -> Iterator[Any]:
    """A type, and all that it is made of."""
    yield annotation
    for part in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        yield from _parts_of(part)
