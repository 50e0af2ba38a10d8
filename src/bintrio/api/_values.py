"""What requests, results and events share: records, open enums, aliases for times.

**Enums are open.** To a type checker `Side` is ``Literal["BUY", "SELL"]``, so a misspelt value is an error in the
editor. At runtime it is a plain `str`: a value that the exchange adds tomorrow decodes, compares and can be sent (G10).
So keep a default branch: the types list what was known at release, values that only the SBE schema names included.

Source: enums.md, and "Rate limits" of the WebSocket API document.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, TypeAlias, TypeVar, get_args

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


if TYPE_CHECKING:
    OneOf: TypeAlias = Annotated[T, "one of"]
    Sole: TypeAlias = Annotated[T, "sole"]
else:

    class _OneOfType(type):
        def __instancecheck__(cls, value: Any) -> bool:
            return isinstance(value, cls.members)

    class OneOf(metaclass=_OneOfType):
        """``OneOf[Rich | Plain]`` inside a record: a union to a type checker, the one that fits at runtime.

        msgspec tells the members of a union apart by a tag, which these answers do not have, so it sees a type of
        its own for each such union, which `_protocol/reading` reads.
        """

        members: ClassVar[tuple[type, ...]] = ()

        @classmethod
        @cache
        def __class_getitem__(cls, union: Any) -> type[OneOf]:
            return type(cls)(cls.__name__, (cls,), {"members": get_args(union)})

    class Sole:
        """``Sole[T]`` as a result: a ``T``, which the exchange may wrap into an array of one."""

        def __class_getitem__(cls, result: Any) -> Any:
            return Annotated[result, cls]


one_of: Final[Any] = OneOf
"""`OneOf` for code that handles types as values: to a type checker `OneOf` itself is none."""

UNKNOWN_FIELDS: Final = "unknown fields"
"""`Lossless.unknown_fields` in JSON. No name of the exchange has a blank, so nothing that it sends comes there."""


def plain(number: Decimal) -> str:
    """A Decimal in plain notation, every digit kept: ``Decimal("1E-7")`` is ``0.0000001``."""
    text = str(number)
    return format(number, "f") if "E" in text or "e" in text else text


class _Readable(msgspec.Struct, frozen=True):
    """What all records share: what did not come, and a `repr` in which prices read as the exchange writes them."""

    @property
    def missing_fields(self) -> tuple[str, ...]:
        """The documented fields that did not come, by their Python names: to read one is a `ProtocolViolation`."""
        return ()

    def __repr__(self) -> str:
        came = self.__struct_fields__  # of an incomplete record those only
        values = [(name, getattr(self, name), default) for name, default in _defaults(type(self)) if name in came]
        shown = [f"{name}={_shown(value)}" for name, value, default in values if value != default]
        if self.missing_fields:
            shown.append(f"missing_fields={self.missing_fields!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


@cache
def _defaults(record: type[msgspec.Struct]) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.default) for field in msgspec.structs.fields(record))


def _shown(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"Decimal('{plain(value)}')"
    if isinstance(value, tuple):
        items = [_shown(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
    return repr(value)


class Lossless(
    _Readable,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """An object that the exchange sends. What is unknown of it is kept; what did not come hurts only who reads it.

    The garbage collector need not look at it: what is made from JSON and cannot be changed holds no cycle.

    Attributes:
        unknown_fields: the fields that this release does not know, as a JSON object in the words of the exchange;
            None if there are none (G10).
    """

    unknown_fields: bytes | None = msgspec.field(default=None, name=UNKNOWN_FIELDS)


class Row(_Readable, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An array in which each position has a meaning."""

    @property
    def unknown_fields(self) -> bytes | None:
        """What came beyond the positions that this release knows, as a JSON array; None if nothing did (G10)."""
        return None


class Record(Lossless, frozen=True, kw_only=True, rename="camel"):
    """A result, or a part of one."""


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
        "UNKNOWN",
    ]
]
OPEN_STATES: Final = frozenset({"NEW", "PENDING_NEW", "PARTIALLY_FILLED", "PENDING_CANCEL"})
"""States in which an order may still be filled, canceled or amended."""

NewOrderRespType: TypeAlias = Open[Literal["ACK", "RESULT", "FULL"]]
SelfTradePreventionMode: TypeAlias = Open[
    Literal["NONE", "EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"]
]
SymbolStatus: TypeAlias = Open[Literal["TRADING", "END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY"]]
SymbolStatusFilter: TypeAlias = Open[Literal["TRADING", "HALT", "BREAK"]]
CancelRestrictions: TypeAlias = Open[Literal["ONLY_NEW", "ONLY_PARTIALLY_FILLED"]]
PegPriceType: TypeAlias = Open[Literal["PRIMARY_PEG", "MARKET_PEG"]]
PegOffsetType: TypeAlias = Open[Literal["PRICE_LEVEL"]]
WorkingFloor: TypeAlias = Open[Literal["EXCHANGE", "SOR", "BROKER"]]
ExpiryReason: TypeAlias = Open[
    Literal[
        "NONE",
        "REJECTED",
        "EXCHANGE_CANCELED",
        "OCO_TRIGGER",
        "OTO_PHASE_ONE_EXPIRED",
        "UNFILLED_IOC_QUANTITY_EXPIRED",
        "UNFILLED_FOK_ORDER_EXPIRED",
        "INSUFFICIENT_LIQUIDITY",
        "EXECUTION_RULE_PRICE_RANGE_EXCEEDED",
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
Permission: TypeAlias = str
"""``"SPOT"``, ``"MARGIN"``, ``"LEVERAGED"`` or ``"TRD_GRP_"`` and three digits. New groups keep coming, so to a type
checker it is any `str`."""

ContingencyType: TypeAlias = Open[Literal["OCO", "OTO"]]
ListStatusType: TypeAlias = Open[Literal["RESPONSE", "EXEC_STARTED", "UPDATED", "ALL_DONE"]]
ListOrderStatus: TypeAlias = Open[Literal["EXECUTING", "ALL_DONE", "REJECT", "CANCELING"]]
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
