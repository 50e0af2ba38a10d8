"""What ``bintrio watch`` shows: a session and its account at one moment, as a value; and the memory of what came.

The value is made in one step and then only read, so what is shown or written as JSON belongs together.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
import trio

from bintrio import Session, to_json
from bintrio._client.logs import LINES
from bintrio._text import shown_url
from bintrio.account import Certainty, Change, FillAdded, LiveAccount, OrderChanged
from bintrio.api._values import RateLimit
from bintrio.api.account import Order
from bintrio.cli._figures import short
from bintrio.cli._latency import Latency, RoundTrips
from bintrio.observing import CallEnded, Fact
from bintrio.times import to_datetime

_KEPT_TRIPS: Final = 1_000  # enough for a 99th percentile
_KEPT_LINES: Final = 50
_TOLD: Final = frozenset(kind for kind, line in LINES.items() if line.level >= logging.INFO)


class SeenConnection(msgspec.Struct, frozen=True, kw_only=True):
    """The connection in use.

    Attributes:
        number: how many the session had tried to open before, plus one.
        address: host and port, the port unless it is the usual one.
        age: seconds since it was begun.
        is_logged_on: whether calls need no signature of their own.
        in_flight: calls that wait for their answer.
    """

    number: int
    address: str
    age: float
    is_logged_on: bool
    in_flight: int


class SeenLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A budget: what is used of a limit in its present window.

    Attributes:
        name: what is counted, and in which time, as ``"REQUEST_WEIGHT 1 MINUTE"``.
        used: how much.
        limit: of how much.
    """

    name: str
    used: int
    limit: int


class SeenHold(msgspec.Struct, frozen=True, kw_only=True):
    """What holds the session back, and until when; None if the exchange did not say."""

    reason: str
    until: datetime | None


class SeenBalance(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of an asset."""

    asset: str
    free: Decimal
    locked: Decimal


class SeenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An open order; its quantities are of the base asset. None is what the exchange has left out."""

    symbol: str
    order_id: int
    side: str | None
    type: str | None
    price: Decimal | None
    quantity: Decimal
    executed: Decimal
    status: str
    time: datetime | None


class SeenFill(msgspec.Struct, frozen=True, kw_only=True):
    """A trade of an order; its time is that at which it was heard of."""

    time: datetime
    symbol: str
    order_id: int
    side: str | None
    price: Decimal
    quantity: Decimal
    commission: Decimal
    commission_asset: str | None


class SeenAccount(msgspec.Struct, frozen=True, kw_only=True):
    """The account.

    Attributes:
        is_current: whether nothing may be missing.
        as_of: up to when everything is known; None as long as not everything has been asked for.
        balances: those that are not zero.
        orders: the open ones, newest first.
        fills: the latest, newest first.
    """

    is_current: bool
    as_of: datetime | None
    balances: tuple[SeenBalance, ...]
    orders: tuple[SeenOrder, ...]
    fills: tuple[SeenFill, ...]


class News(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, in words."""

    time: datetime
    words: str


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """A session and its account at one moment.

    Attributes:
        endpoint: where it leads.
        at: the exchange's time.
        connection: the one in use; None between two.
        connections: how many became ready so far.
        losses: how many of them were lost.
        clock_offset: the exchange's clock minus this machine's, in milliseconds.
        round_trip: between the latest question for the time and its answer, in milliseconds.
        limits: budgets.
        hold: what holds the session back, if anything does.
        latencies: of the session's calls, by method.
        account: None without a key.
        news: the latest events and facts, newest first.
    """

    endpoint: str
    at: datetime
    connection: SeenConnection | None
    connections: int
    losses: int
    clock_offset: float
    round_trip: float
    limits: tuple[SeenLimit, ...]
    hold: SeenHold | None
    latencies: tuple[Latency, ...]
    account: SeenAccount | None
    news: tuple[News, ...]


class Memory:
    """What was told so far, as far as it is shown: an observer of the session, and a reader of its account's changes.

    Attributes:
        round_trips: of the calls.
        lines: local times and words, newest first.
        fills: local times and trades, newest first.
    """

    fact_kinds: Final = frozenset({CallEnded, *_TOLD})

    def __init__(self) -> None:
        self.round_trips: Final = RoundTrips(_KEPT_TRIPS)
        self.lines: Final = deque[tuple[float, str]](maxlen=_KEPT_LINES)
        self.fills: Final = deque[tuple[float, FillAdded]](maxlen=_KEPT_LINES)

    def __call__(self, fact: Fact) -> None:
        """Take in a fact of the session."""
        self.round_trips(fact)
        # What is logged at INFO or above gets a line here as well; calls are only counted.
        if type(fact) in _TOLD:
            self.lines.appendleft((fact.at, LINES[type(fact)].words.format(fact)))

    def note(self, change: Change) -> None:
        """Take in a change of the account."""
        now = trio.current_time()
        # Fills have a list of their own, and no line among the news.
        if isinstance(change, FillAdded):
            self.fills.appendleft((now, change))
        words = _words(change)
        if words is not None:
            self.lines.appendleft((now, words))


def _words(change: Change) -> str | None:
    """A change, as far as it is no figure that is shown anyway."""
    if isinstance(change, OrderChanged):
        order = change.after
        side, price = _came(order, "side"), _came(order, "price")
        figures = f"{short(order.executed_qty)} of {short(order.orig_qty)} at {'?' if price is None else short(price)}"
        return f"order {order.order_id} {side or '?'} {order.symbol} {order.status}, {figures}, by {change.source}"
    if isinstance(change, Certainty):
        return "the account is current" if change.as_of is None else f"the account may lack something: {change.reason}"
    return None


def scene_of(session: Session, account: LiveAccount | None, memory: Memory) -> Scene:
    """All of it as it stands."""
    # One look at the clock for all of it, so that its times fit each other.
    moments = _Moments(session)
    return Scene(
        endpoint=session.endpoint.name or shown_url(session.endpoint.urls[0]),
        at=moments.now,
        connection=_connection(session),
        connections=session.counters.connections,
        losses=session.counters.losses,
        # To the microsecond: more digits are noise, and make each scene differ from the last.
        clock_offset=round(session.clock_offset * 1000, 3),
        round_trip=round(session.round_trip * 1000, 3),
        limits=tuple(_limits(session)),
        hold=_hold(session, moments),
        latencies=memory.round_trips.latencies(),
        account=None if account is None else _account(account, memory, moments),
        news=tuple(News(time=moments.of_local(at), words=words) for at, words in memory.lines),
    )


class _Moments:
    """Times as datetimes, to the millisecond."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._local = trio.current_time()
        self.now: Final = self.of(session.now())

    def of(self, time: int) -> datetime:
        """A time of the exchange."""
        moment = to_datetime(time, time_unit=self._session.time_unit)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def of_local(self, at: float) -> datetime:
        """A local time, as `trio.current_time` has it."""
        # From the local clock to the exchange's: by how long ago it was.
        return self.now - timedelta(milliseconds=round((self._local - at) * 1000))


def _connection(session: Session) -> SeenConnection | None:
    seen = session.connection
    if seen is None:
        return None
    return SeenConnection(
        number=seen.number,
        address=seen.address.authority,
        age=round(seen.age, 3),
        is_logged_on=seen.is_logged_on,
        in_flight=seen.in_flight,
    )


def _limits(session: Session) -> Iterable[SeenLimit]:
    weight = session.request_weight
    # Not known before the first answer.
    for limit in (*([] if weight is None else [weight]), *session.order_counts):
        yield SeenLimit(name=_name(limit), used=limit.count or 0, limit=limit.limit)


def _name(limit: RateLimit) -> str:
    return f"{limit.rate_limit_type} {limit.interval_num} {limit.interval}"


def _hold(session: Session, moments: _Moments) -> SeenHold | None:
    hold = session.hold
    if hold is None:
        return None
    return SeenHold(reason=str(hold), until=None if hold.retry_at is None else moments.of(hold.retry_at))


def _account(account: LiveAccount, memory: Memory, moments: _Moments) -> SeenAccount:
    return SeenAccount(
        is_current=account.is_current,
        as_of=moments.of(account.as_of) if account.as_of else None,
        balances=tuple(
            SeenBalance(asset=each.asset, free=each.free, locked=each.locked)
            for each in sorted(account.balances.values(), key=lambda each: each.asset)
            # An account lists hundreds of assets, of which it has few.
            if each.free or each.locked
        ),
        orders=tuple(_order(order, moments) for order in sorted(account.orders.values(), key=_newest_first)),
        fills=tuple(_fill(at, change, account, moments) for at, change in memory.fills),
    )


def _newest_first(order: Order) -> tuple[int, int]:
    return -(_came(order, "time") or 0), -order.order_id


def _came(order: Order, name: str) -> Any:
    """A field of an order; None if the exchange has left it out."""
    return None if name in order.missing_fields else getattr(order, name)


def _order(order: Order, moments: _Moments) -> SeenOrder:
    time = _came(order, "time")
    return SeenOrder(
        symbol=order.symbol,
        order_id=order.order_id,
        side=_came(order, "side"),
        type=_came(order, "type"),
        price=_came(order, "price"),
        quantity=order.orig_qty,
        executed=order.executed_qty,
        status=order.status,
        time=None if time is None else moments.of(time),
    )


def _fill(at: float, change: FillAdded, account: LiveAccount, moments: _Moments) -> SeenFill:
    order = account.order(change.symbol, change.order_id)
    return SeenFill(
        time=moments.of_local(at),
        symbol=change.symbol,
        order_id=change.order_id,
        # The account may have forgotten the order.
        side=None if order is None else _came(order, "side"),
        price=change.fill.price,
        quantity=change.fill.qty,
        commission=change.fill.commission,
        commission_asset=change.fill.commission_asset,
    )


def scene_as_json(scene: Scene) -> str:
    """In one line; times are ISO dates, prices strings with every digit."""
    # Decimals stay what they are until `to_json` writes them with every digit.
    return to_json(msgspec.to_builtins(scene, builtin_types=(Decimal,))).decode()
