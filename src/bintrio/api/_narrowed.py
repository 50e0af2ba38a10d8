"""Requests whose parameters decide the shape of their result, for type checkers alone.

`_client/methods` turns them into overloads. Each inherits the parameters of its method, and adds those that decide,
with the very values that do. None of them exists at runtime: what is sent is always the request itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Generic, Literal, TypeVar

    import msgspec

    from .enums import OrderType
    from .order_lists import LegsRequest, OcoRequest, OnePendingRequest, OtocoRequest, OtoRequest, TwoPendingRequest
    from .sor import SorOrderTestRequest
    from .tickers import (
        DayStatistics,
        MiniStatistics,
        RollingWindowRequest,
        Statistics,
        SymbolBook,
        SymbolPrice,
        TickerRequest,
        TradingDayRequest,
    )
    from .trading import (
        CancelReplaceRequest,
        NewOrder,
        OrderFull,
        OrderTested,
        OrderTestedWithRates,
        OrderTestRequest,
        PlacedOrderList,
        ReplacedOrder,
        RoutedOrder,
    )

    OrderT = TypeVar("OrderT")
    KindT = TypeVar("KindT")

    class _One(msgspec.Struct, frozen=True, kw_only=True):
        symbol: str

    class _Several(msgspec.Struct, frozen=True, kw_only=True):
        symbols: Sequence[str]

    # Without a symbol these methods answer for all of them.
    class _SeveralOrAll(msgspec.Struct, frozen=True, kw_only=True):
        symbols: Sequence[str] | None = None

    # FULL is what the exchange gives if the type is left out.
    class _Full(msgspec.Struct, frozen=True, kw_only=True):
        type: Literal["FULL"] | None = None

    class _Mini(msgspec.Struct, frozen=True, kw_only=True):
        type: Literal["MINI"]

    class DayOne(TickerRequest[DayStatistics], _One, _Full, frozen=True, kw_only=True): ...

    class DayOneMini(TickerRequest[MiniStatistics], _One, _Mini, frozen=True, kw_only=True): ...

    class DayMany(TickerRequest[tuple[DayStatistics, ...]], _SeveralOrAll, _Full, frozen=True, kw_only=True): ...

    class DayManyMini(TickerRequest[tuple[MiniStatistics, ...]], _SeveralOrAll, _Mini, frozen=True, kw_only=True): ...

    class TradingDayOne(TradingDayRequest[Statistics], _One, _Full, frozen=True, kw_only=True): ...

    class TradingDayOneMini(TradingDayRequest[MiniStatistics], _One, _Mini, frozen=True, kw_only=True): ...

    class TradingDayMany(TradingDayRequest[tuple[Statistics, ...]], _Several, _Full, frozen=True, kw_only=True): ...

    class TradingDayManyMini(
        TradingDayRequest[tuple[MiniStatistics, ...]], _Several, _Mini, frozen=True, kw_only=True
    ): ...

    class RollingOne(RollingWindowRequest[Statistics], _One, _Full, frozen=True, kw_only=True): ...

    class RollingOneMini(RollingWindowRequest[MiniStatistics], _One, _Mini, frozen=True, kw_only=True): ...

    class RollingMany(RollingWindowRequest[tuple[Statistics, ...]], _Several, _Full, frozen=True, kw_only=True): ...

    class RollingManyMini(
        RollingWindowRequest[tuple[MiniStatistics, ...]], _Several, _Mini, frozen=True, kw_only=True
    ): ...

    class PriceOne(TickerRequest[SymbolPrice], _One, frozen=True, kw_only=True): ...

    class PriceMany(TickerRequest[tuple[SymbolPrice, ...]], _SeveralOrAll, frozen=True, kw_only=True): ...

    class BookOne(TickerRequest[SymbolBook], _One, frozen=True, kw_only=True): ...

    class BookMany(TickerRequest[tuple[SymbolBook, ...]], _SeveralOrAll, frozen=True, kw_only=True): ...

    class _As(msgspec.Struct, Generic[KindT], frozen=True, kw_only=True):
        new_order_resp_type: KindT

    class _AnyType(msgspec.Struct, frozen=True, kw_only=True):
        type: OrderType

    # The exchange answers these two types with FULL, and all others with ACK.
    class _FullByDefault(msgspec.Struct, frozen=True, kw_only=True):
        type: Literal["LIMIT", "MARKET"]
        new_order_resp_type: None = None

    class PlaceAs(NewOrder[OrderT], _As[KindT], _AnyType, Generic[OrderT, KindT], frozen=True, kw_only=True): ...

    class PlaceByDefault(NewOrder[OrderFull], _FullByDefault, frozen=True, kw_only=True): ...

    class ReplaceAs(
        CancelReplaceRequest[ReplacedOrder[OrderT]],
        _As[KindT],
        _AnyType,
        Generic[OrderT, KindT],
        frozen=True,
        kw_only=True,
    ): ...

    class ReplaceByDefault(
        CancelReplaceRequest[ReplacedOrder[OrderFull]], _FullByDefault, frozen=True, kw_only=True
    ): ...

    class RouteAs(RoutedOrder[OrderT], _As[KindT], Generic[OrderT, KindT], frozen=True, kw_only=True): ...

    class RouteByDefault(RoutedOrder[OrderFull], frozen=True, kw_only=True):
        """FULL is the default."""

        new_order_resp_type: Literal["FULL"] | None = None

    class OldOcoAs(
        OcoRequest[PlacedOrderList[OrderT]], _As[KindT], Generic[OrderT, KindT], frozen=True, kw_only=True
    ): ...

    class OcoAs(
        LegsRequest[PlacedOrderList[OrderT]], _As[KindT], Generic[OrderT, KindT], frozen=True, kw_only=True
    ): ...

    class OtoAs(OtoRequest[PlacedOrderList[OrderT]], _As[KindT], Generic[OrderT, KindT], frozen=True, kw_only=True): ...

    class OtocoAs(
        OtocoRequest[PlacedOrderList[OrderT]], _As[KindT], Generic[OrderT, KindT], frozen=True, kw_only=True
    ): ...

    class OpoAs(
        OnePendingRequest[PlacedOrderList[OrderT]], _As[KindT], Generic[OrderT, KindT], frozen=True, kw_only=True
    ): ...

    class OpocoAs(
        TwoPendingRequest[PlacedOrderList[OrderT]], _As[KindT], Generic[OrderT, KindT], frozen=True, kw_only=True
    ): ...

    class _WithRates(msgspec.Struct, frozen=True, kw_only=True):
        compute_commission_rates: Literal[True]

    class _WithoutRates(msgspec.Struct, frozen=True, kw_only=True):
        compute_commission_rates: Literal[False] | None = None

    class TestWithRates(OrderTestRequest[OrderTestedWithRates], _WithRates, frozen=True, kw_only=True): ...

    class TestWithoutRates(OrderTestRequest[OrderTested], _WithoutRates, frozen=True, kw_only=True): ...

    class RouteTestWithRates(SorOrderTestRequest[OrderTestedWithRates], _WithRates, frozen=True, kw_only=True): ...

    class RouteTestWithoutRates(SorOrderTestRequest[OrderTested], _WithoutRates, frozen=True, kw_only=True): ...

else:

    class _Absent:
        def __class_getitem__(cls, parameters: Any) -> type[_Absent]:
            return cls

    def __getattr__(name: str) -> type[_Absent]:
        # Python itself looks for such names in a module, and must find none.
        if name.startswith("_"):
            raise AttributeError(name)
        return _Absent
