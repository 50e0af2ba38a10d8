"""What requests, results and events share: records, open enums, aliases for times.

**Enums are open.** To a type checker `Side` is ``Literal["BUY", "SELL"]``, so a misspelt value is an error in the
editor. At runtime it is a plain `str`: a value that the exchange adds tomorrow decodes, compares and can be sent (G10).
So keep a default branch: the types list what was known at release.

Source: enums.md, and "Rate limits" of the WebSocket API document.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar, get_args

import msgspec

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


Timestamp: TypeAlias = int
"""A time since the Unix epoch in the unit of the connection: milliseconds, or microseconds if asked for."""

Duration: TypeAlias = int
"""Milliseconds."""


class Record(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something the exchange sends. Unknown fields are no error; a missing one is."""


Side: TypeAlias = Open[Literal["BUY", "SELL"]]
OrderType: TypeAlias = Open[
    Literal["LIMIT", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT", "LIMIT_MAKER"]
]
TimeInForce: TypeAlias = Open[Literal["GTC", "IOC", "FOK"]]
# The document calls this enum orderStatus too, but `OrderStatus` is the request order.status.
OrderState: TypeAlias = Open[
    Literal[
        "NEW",
        "PENDING_NEW",
        "PARTIALLY_FILLED",
        "FILLED",
        "CANCELED",
        "PENDING_CANCEL",
        "REJECTED",
        "EXPIRED",
        "EXPIRED_IN_MATCH",
    ]
]
NewOrderRespType: TypeAlias = Open[Literal["ACK", "RESULT", "FULL"]]
SelfTradePreventionMode: TypeAlias = Open[
    Literal["NONE", "EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"]
]
SymbolStatus: TypeAlias = Open[Literal["TRADING", "END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY"]]
SymbolStatusFilter: TypeAlias = Open[Literal["TRADING", "HALT", "BREAK"]]
CancelRestrictions: TypeAlias = Open[Literal["ONLY_NEW", "ONLY_PARTIALLY_FILLED"]]
PegPriceType: TypeAlias = Open[Literal["PRIMARY_PEG", "MARKET_PEG"]]
PegOffsetType: TypeAlias = Open[Literal["PRICE_LEVEL"]]
WorkingFloor: TypeAlias = Open[Literal["EXCHANGE", "SOR"]]
ExpiryReason: TypeAlias = Open[Literal["NONE"]]
ContingencyType: TypeAlias = Open[Literal["OCO", "OTO"]]
ListStatusType: TypeAlias = Open[Literal["RESPONSE", "EXEC_STARTED", "UPDATED", "ALL_DONE"]]
ListOrderStatus: TypeAlias = Open[Literal["EXECUTING", "ALL_DONE", "REJECT"]]
ExecutionType: TypeAlias = Open[
    Literal["NEW", "CANCELED", "REPLACED", "REJECTED", "TRADE", "EXPIRED", "TRADE_PREVENTION"]
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
RateLimitType: TypeAlias = Open[Literal["REQUEST_WEIGHT", "ORDERS", "RAW_REQUESTS", "CONNECTIONS"]]
RateLimitInterval: TypeAlias = Open[Literal["SECOND", "MINUTE", "HOUR", "DAY"]]


class RateLimit(Record, frozen=True, kw_only=True):
    """One limit, and how much of it is used up.

    Attributes:
        rate_limit_type: what is counted.
        interval: unit of the window; windows are aligned to the clock.
        interval_num: how many units the window is long.
        limit: the most that may be used in one window.
        count: used so far in the current window; None in exchangeInfo, which lists limits only.
    """

    rate_limit_type: RateLimitType
    interval: RateLimitInterval
    interval_num: int
    limit: int
    count: int | None = None
