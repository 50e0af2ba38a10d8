"""`History`: what a session can read beyond one page, a line for each method (see `Reading`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import attrgetter
from types import MethodType
from typing import Any, Final, Generic, ParamSpec, TypeAlias, TypeVar, overload

from .. import requests
from .._client.calls import complain, dress
from .._protocol.settings import UNITS_PER_MILLISECOND
from ..account.orders import is_done_list, is_open
from ..api._base import Request
from ..api.orders import OrderList
from ..errors import InvalidRequest
from .pages import Asking, Pages
from .walks import DAY, Source, Span, Walk, by_first_id, by_id, by_opening, by_spans, by_time_then_id

P = ParamSpec("P")
Row = TypeVar("Row")

ByTime: TypeAlias = Callable[[Source[Row], Span, int], Walk[Row]]
"""The walk through a span of time, given where rows come from, the span, and 24 hours."""

MakeSource: TypeAlias = Callable[..., Source[Any]]
"""Makes a source of a request and the size of a page."""

PAGE_SIZE: Final = 1000
"""The most rows that the exchange gives at once."""


class Reading(Generic[P, Row]):
    """A method of `History`: its parameters are those of the request, its rows are those of the request's result.

    Args:
        request_type: what is asked.
        make_source: says what tells its rows apart.
        by_time: the walk through a span of time; None if the exchange finds them by id only.
        needs: which parameters say where to begin, of which one must be given; if it is empty, none needs to be, and
            all of it is read then.
    """

    def __init__(
        self,
        request_type: Callable[P, Request[tuple[Row, ...]]],
        make_source: MakeSource,
        by_time: ByTime[Row] | None = None,
        *,
        needs: str = "",
    ) -> None:
        self._request_type: Final[Any] = request_type
        self._make_source = make_source
        self._by_time = by_time
        self._needs = needs

    def __set_name__(self, owner: type, name: str) -> None:
        def read(history: History, *args: Any, **kwargs: Any) -> Pages[Row]:
            return self._read(history.session, args, kwargs)

        # The same signature and help as the session's method of that name.
        dress(read, owner, name, self._request_type)
        self._function: Callable[..., Pages[Row]] = read

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[..., Pages[Row]]: ...
    @overload
    def __get__(self, instance: History, owner: type) -> Callable[P, Pages[Row]]: ...

    def __get__(self, instance: History | None, owner: type) -> Callable[..., Pages[Row]]:
        # On the class it is a plain function, for help and documentation.
        return self._function if instance is None else MethodType(self._function, instance)

    def _read(self, session: Asking, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Pages[Row]:
        # Each end by itself: with both, a span that is longer than the exchange takes at once would be refused.
        request = self._made(args, {name: value for name, value in kwargs.items() if name != "end_time"})
        start: int | None = getattr(request, "start_time", None)
        end: int | None = None
        if kwargs.get("end_time") is not None:
            end = self._made(args, {name: value for name, value in kwargs.items() if name != "start_time"}).end_time
        source: Source[Row] = self._make_source(request=request, page_size=_page_size(request))
        first = self._first(source, start, end)
        # Without a time, ids lead from page to page.
        if start is None or self._by_time is None:
            return Pages(session, by_id(source, first, None), None)
        span = _span(request.api.name, start, session.now() if end is None else end)
        day = DAY * UNITS_PER_MILLISECOND[session.time_unit]
        return Pages(session, self._by_time(source, span, day), span)

    def _made(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            return self._request_type(*args, **kwargs)
        # Python's own words name `__init__`; these name the method and its parameters.
        except TypeError:
            complain(self._request_type, args, kwargs)

    def _first(self, source: Source[Row], start: int | None, end: int | None) -> int:
        """The id to begin with, if it is not read by time."""
        method, given = source.request.api.name, getattr(source.request, source.id_name, None)
        # An end alone does not say where to begin.
        if end is not None and start is None:
            raise InvalidRequest(f"{method}: end_time goes with start_time", field="end_time")
        if start is not None and given is not None:
            raise InvalidRequest(f"{method}: {source.id_name} excludes start_time", field=source.id_name)
        if start is given is None and self._needs:
            raise InvalidRequest(f"{method}: {self._needs} says where to begin, and is missing", field=self._needs)
        # Without an id the exchange gives its newest rows, and not its oldest.
        return source.least_id if given is None else given


def _page_size(request: Any) -> int:
    # A page that is not full has all rows of its span. With a higher limit no page would be full, and rows be lost.
    limit: int = PAGE_SIZE if request.limit is None else request.limit
    if not 1 <= limit <= PAGE_SIZE:
        said = f"{request.api.name}: limit, the rows of a page, must be from 1 to {PAGE_SIZE}, not {limit}"
        raise InvalidRequest(said, field="limit")
    return limit


def _span(method: str, start: int, end: int) -> Span:
    if start > end:
        raise InvalidRequest(f"{method}: start_time {start} is later than the end, {end}", field="start_time")
    return Span(start, end)


# What tells the rows of each method apart


def _by(time: str, id_: str, **rest: Any) -> MakeSource:
    return partial(Source, time_of=attrgetter(time), id_of=attrgetter(id_), **rest)


def _is_open_list(order_list: OrderList) -> bool:
    return not is_done_list(order_list)


_CANDLES: Final = _by("open_time", "open_time")
_TRADES: Final = _by("time", "id", id_name="from_id")
_OWN_TRADES: Final = _by("time", "id", id_name="from_id", made_at=attrgetter("time"))
_ALLOCATIONS: Final = _by("time", "allocation_id", id_name="from_allocation_id", made_at=attrgetter("time"))
_ORDERS: Final = _by(
    "update_time", "order_id", id_name="order_id", least_id=1, made_at=attrgetter("time"), is_open=is_open
)
_LISTS: Final = _by("transaction_time", "order_list_id", id_name="from_id", is_open=_is_open_list)
_PREVENTED: Final = _by("transact_time", "prevented_match_id", id_name="from_prevented_match_id")
_AMENDMENTS: Final = _by("time", "execution_id", id_name="from_execution_id")


class History:
    """What a session can read of the past, however much it is: `Session.history`.

    Each method has the name and parameters of the API's, and gives `Pages`, which ask as they are iterated over::

        async for kline in session.history.klines(symbol="BTCUSDT", interval="1m", start_time=start):
            ...

    A span of time may be of any length, includes both its ends, and ends now unless ``end_time`` says otherwise.
    ``limit`` is how many rows are asked for at once: 1000 unless it says fewer. Without a time and an id, what is of
    the account is read from its beginning.

    A history leaves half of the request weight to others: when that much of a window is used, it waits for the next.

    Attributes:
        session: that it asks by.

    Raises:
        InvalidRequest: an argument cannot be right; nothing says where to begin; an id and a time are given.
    """

    def __init__(self, session: Asking) -> None:
        self.session: Final = session

    klines = Reading(requests.Klines, _CANDLES, by_opening, needs="start_time")
    ui_klines = Reading(requests.UiKlines, _CANDLES, by_opening, needs="start_time")
    trades_aggregate = Reading(requests.TradesAggregate, _TRADES, by_first_id, needs="from_id or start_time")
    trades_historical = Reading(requests.TradesHistorical, _TRADES, needs="from_id")
    block_trades_historical = Reading(requests.BlockTradesHistorical, _TRADES)
    my_trades = Reading(requests.MyTrades, _OWN_TRADES, by_time_then_id)
    my_allocations = Reading(requests.MyAllocations, _ALLOCATIONS, by_time_then_id)
    my_prevented_matches = Reading(requests.MyPreventedMatches, _PREVENTED)
    all_orders = Reading(requests.AllOrders, _ORDERS, by_spans)
    all_order_lists = Reading(requests.AllOrderLists, _LISTS, by_spans)
    order_amendments = Reading(requests.OrderAmendments, _AMENDMENTS)
