"""`open_account` and `LiveAccount`: an account's orders and balances as a value that keeps itself up to date."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import trio

from .. import requests
from .._client.calls import Coro
from .._client.observation import Teller
from .._client.subscriptions import Subscriber
from .._net.tasks import bare_nursery, protected, start
from .._protocol.repeats import LONGEST_LAG
from .._protocol.settings import check_duration, check_positive_int
from .._protocol.succession import SLACK, Gap, Interrupted, UserDataEvent
from ..api._base import Request
from ..api.account import Order
from ..api.events import Event, UnknownEvent
from ..api.orders import OrderList
from ..api.trading import Fill
from ..errors import AccountNotFollowed, ProtocolViolation, SubscriberTooSlow
from .changes import Change, Holding
from .desk import Desk, Trading
from .handles import LiveOrder, LiveOrderList
from .orders import OrderKey
from .placing import Placing
from .state import State
from .stock import Stock

ENTERING: Final = 60.0
"""Seconds for which entering asks again where that may help: the exchange counts the weight of requests by minutes."""


@asynccontextmanager
async def open_account(
    session: Trading,
    teller: Teller,
    *,
    keep: int = 1000,
    keep_for: float = 86_400,
    history: int = 10_000,
    seconds: float = ENTERING,
    hurried: Callable[[float], Trading] | None = None,
) -> AsyncGenerator[LiveAccount]:
    """See `Session.account`. What goes wrong is told by the teller.

    Args:
        session: to ask by.
        teller: is told what goes wrong.
        keep: see `Session.account`.
        keep_for: likewise.
        history: likewise.
        seconds: that entering may take.
        hurried: the session whose calls end within so many seconds, for those on entering; None if they may take as
            long as any.
    """
    check_positive_int("keep", keep)
    check_duration("keep_for", keep_for)
    check_positive_int("history", history)
    async with bare_nursery() as nursery:
        entering = Entering(session, trio.current_time() + seconds, hurried)
        account = LiveAccount(entering, teller, nursery, keep, keep_for, history)
        await start(nursery, account.follow)
        yield account


class Entering(NamedTuple):
    """How an account is entered.

    Attributes:
        session: to ask by.
        until: when it is given up, by trio's clock.
        hurried: see `open_account`.
    """

    session: Trading
    until: float
    hurried: Callable[[float], Trading] | None

    def asker(self) -> Trading:
        """The session to ask by now."""
        if self.hurried is None:
            return self.session
        # What is asked in the last moment ends at once.
        return self.hurried(max(self.until - trio.current_time(), 1e-6))

    async def send(self, request: Request[Any], /) -> Any:
        """Send a request, whose answer must come in time."""
        return await self.asker().send(request)


class LiveAccount:
    """An account whose orders and balances keep themselves up to date. Made by `Session.account`.

    What it shows is immutable, and changes by being replaced: each change has a `version`. It shows orders of whoever
    trades on the account.

    Attributes:
        orders: the open orders, by symbol and order id.
        closed_orders: the latest ``keep`` that have ended, by symbol and order id; with the next change those are gone
            that ended more than ``keep_for`` seconds ago.
        balances: what there is of each asset.
        lists: order lists, by their id: those that are open, and as many others as there may be closed orders.
    """

    def __init__(
        self, entering: Entering, teller: Teller, nursery: trio.Nursery, keep: int, keep_for: float, history: int
    ) -> None:
        self._entering = entering
        self._session = session = entering.session
        self._state = State(keep=keep, history=history)
        self.orders: Final[Mapping[OrderKey, Order]] = MappingProxyType(self._state.open_orders)
        self.closed_orders: Final[Mapping[OrderKey, Order]] = MappingProxyType(self._state.closed_orders)
        self.balances: Final[Mapping[str, Holding]] = MappingProxyType(self._state.holdings)
        self.lists: Final[Mapping[int, OrderList]] = MappingProxyType(self._state.lists)
        self._nursery = nursery
        ticks = 1_000_000 if session.time_unit == "us" else 1_000
        self._kept = math.ceil(keep_for * ticks)
        self._slack = SLACK * ticks // 1_000
        self._lag = self._slack + LONGEST_LAG * ticks // 1_000
        self._stock = Stock(session, teller, self._state, ticks, self._publish)
        self._desk = Desk(session, teller, self._state, self._stock, self._publish, nursery)
        self._moved = trio.Event()

    def __repr__(self) -> str:
        since = "" if self._state.as_of is None else f", as of {self._state.as_of}"
        return f"<LiveAccount, {len(self.orders)} open orders, version {self.version}{since}>"

    # As it stands

    @property
    def version(self) -> int:
        """Grows by one with each change."""
        return self._state.version

    @property
    def as_of(self) -> int:
        """The exchange's time, in the unit of the session, up to which all of this is known; now, if `is_current`.

        It is 0 until queries must show all that there was on entering: for two seconds, if they are answered. Once the
        account was left, or its session closed, it stays at that time.
        """
        return self._session.now() if self._state.as_of is None else self._state.as_of

    @property
    def is_current(self) -> bool:
        """Whether everything is known that the exchange has told so far, and nothing may be missing.

        There are two exceptions, which say so by themselves. Trades of an order that the exchange refuses to tell:
        orders and balances are certain without them, and `fills` of that order makes up less than its ``executed_qty``,
        until a later question is answered. And balances that are not certain (`Holding.is_certain`).

        What the exchange has not told yet nobody can know. So an event that does not come is noticed when its
        connection is known to be lost: at the latest after 63 s, the pong window (G4) and the 3 s in which a loss may
        be over by itself; later by as much as the exchange itself is late with its events.
        """
        return self._state.as_of is None

    def order(self, symbol: str, order_id: int | None = None, *, client_order_id: str | None = None) -> Order | None:
        """An order by its id or client order id, open or closed; None if it is not known.

        Of several orders that went by one client order id, the latest.
        """
        # The number names one order, the client order id perhaps several, one after the other.
        if order_id is not None:
            return self._state.order((symbol, order_id))
        return None if client_order_id is None else self._state.named(symbol, client_order_id)

    def fills(self, symbol: str, order_id: int) -> tuple[Fill, ...]:
        """The trades of an order that are known, in the order in which they became known."""
        return tuple(self._state.fills.get((symbol, order_id), {}).values())

    @property
    def handles(self) -> tuple[LiveOrder | LiveOrderList, ...]:
        """What was placed through this account and has not ended, also by callers that were cancelled."""
        return self._desk.handles()

    @property
    def closed_handles(self) -> tuple[LiveOrder | LiveOrderList, ...]:
        """The latest ``keep`` of what was placed through this account and has ended, or was not placed; oldest first.

        Here a caller who was cancelled finds what ended before it could be seen in `handles`. A handle that is here no
        more still shows what it knows; of fills that the exchange tells only then, it learns nothing.
        """
        return self._desk.closed_handles()

    # Changes

    async def changed(self, *, after: int) -> int:
        """Wait until the account has a later version than ``after``. Returns it.

        Raises:
            AccountNotFollowed: it has none, and the account is left, or its session closed.
        """
        # Each call can be cancelled, also where there is nothing to wait for.
        await trio.lowlevel.checkpoint_if_cancelled()
        while self._state.version <= after:
            if self._state.is_over:
                raise AccountNotFollowed(f"a version after {after}")
            await self._moved.wait()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return self._state.version

    async def changes(self, *, after: int | None = None) -> AsyncIterator[Change]:
        """The changes, each once and in order. They end when the account is left, or its session closed.

        Args:
            after: the version from which on; None for the present one.

        Raises:
            SubscriberTooSlow: more than ``history`` changes came while this was not read.
        """
        seen = self._state.version if after is None else after
        while True:
            try:
                await self.changed(after=seen)
            except AccountNotFollowed:
                # That the account has ended is the end of its changes, and no error.
                return
            # A copy: more may come while the user's code has the last one.
            for change in self._state.changes_after(seen):
                seen = change.version
                yield change

    def _publish(self) -> None:
        """Wake whoever waits for what has changed, and forget what is too old."""
        self._state.forget_older(self._session.now() - self._kept)
        changes = self._state.take_changes()
        # Before anybody wakes up: handles are to know what the account knows.
        self._desk.take_in(changes)
        # Nobody need wake for an event that told nothing new.
        if changes:
            self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = trio.Event()

    # Placing

    def _place(self, request: Request[Any]) -> Coro[LiveOrder]:
        return self._desk.place(request)

    def _place_list(self, request: Request[Any]) -> Coro[LiveOrderList]:
        return self._desk.place_list(request)

    place = Placing(requests.OrderPlace, _place)
    place_routed = Placing(requests.SorOrderPlace, _place)
    place_oco = Placing(requests.OrderListPlaceOco, _place_list)
    place_oto = Placing(requests.OrderListPlaceOto, _place_list)
    place_otoco = Placing(requests.OrderListPlaceOtoco, _place_list)
    place_opo = Placing(requests.OrderListPlaceOpo, _place_list)
    place_opoco = Placing(requests.OrderListPlaceOpoco, _place_list)

    # Keeping it up to date

    async def follow(self, task_status: trio.TaskStatus[None]) -> None:
        """Take in events until the session is closed. It has started once there is something to see."""
        try:
            await self._follow(task_status)
        finally:
            self._end()

    def _end(self) -> None:
        # What happened last may not have been told any more: events come in order but for so much.
        self._state.end(self._session.now() - self._slack)
        self._publish()  # orders that lack fills are given up
        self._desk.register.end()
        # Also without a change: whoever waits for one learns that none will come.
        self._wake()

    async def _follow(self, task_status: trio.TaskStatus[None]) -> None:
        asker, until = self._entering.asker, self._entering.until
        while True:
            async with AsyncExitStack() as stack:
                events = await self._stock.insist(partial(_subscribe, stack, asker), until=until)
                self._stock.resume()
                # Until an event says when it was: a buffer may overflow before the first is read.
                last = self._session.now()
                # Later rounds have something to show, and `keep_complete` asks for what was lost.
                if until < math.inf:
                    await self._stock.take_at_once(self._entering.send, until=until)
                    self._publish()
                    # Beside the events, which go on while questions are asked.
                    self._nursery.start_soon(protected, self._stock.keep_complete)
                    task_status.started()
                    # Whoever follows it has something to wait for, however long that takes.
                    asker, until = self._own, math.inf
                try:
                    async for event in events:
                        # One that does not say when it was tells nothing of the others.
                        with suppress(ProtocolViolation):
                            last = getattr(event, "event_time", last)
                        self._take(event)
                    # The session was closed.
                    return
                except SubscriberTooSlow:
                    # Events come in the order in which they happened, but for so much. What came after these is lost.
                    self._state.interrupt(last - self._slack, "events came faster than they were taken")
                    self._publish()

    def _own(self) -> Trading:
        return self._session

    def _take(self, event: UserDataEvent) -> None:
        state = self._state
        if isinstance(event, Interrupted):
            state.interrupt(event.at, event.reason)
        elif isinstance(event, Gap):
            # A gap comes when events are complete again, so all can be asked for now.
            state.lose(event.start, event.reason)
            self._stock.resume()
        else:
            self._take_told(event)
        self._publish()

    def _take_told(self, event: Event) -> None:
        try:
            self._state.apply(event)
        except ProtocolViolation as violation:
            self._miss(violation)
        # The exchange says "any time an account balance has changed", so its position should be the next event. What a
        # report lacks of a trade may lack for ever.
        is_whole = isinstance(event, UnknownEvent) or not event.missing_fields
        if self._state.has_shifts or not is_whole:
            self._stock.look()

    def _miss(self, violation: ProtocolViolation) -> None:
        """What an event tells cannot be read."""
        # All that happened earlier was told before it came.
        self._state.lose(self._session.now() - self._lag, str(violation))
        # Otherwise all is asked for when events come again.
        if not self._state.is_interrupted:
            self._stock.make_up_for(violation)


async def _subscribe(stack: AsyncExitStack, asker: Callable[[], Trading]) -> Subscriber:
    return await stack.enter_async_context(asker().user_data())
