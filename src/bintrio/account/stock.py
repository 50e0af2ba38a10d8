"""Asking the exchange for all that events have not told: on entering, and after each loss.

**When.** Queries may be behind the matching engine by `QUERY_DELAY_SECONDS`. So what is asked for that long after
events are complete again shows everything that happened before, and with it and the events the account is certain. On
entering it is asked for at once as well, so that there is something to see.

**What.** The account (weight 20), the open orders (80) and the open order lists (6) of all symbols. Each order and list
that was open and is listed no more (4). Of each symbol in play, the orders that have changed since the loss, in spans
of a day, which are halved where there may be more than the 1,000 of a page (20 each). The trades of each order whose
fills do not add up (5 a page).

**How often.** A question without an answer is asked again, after a pause that grows up to half a minute, or once a hold
is over. What the exchange refuses for good is not waited for. An order, or a list, that it says not to have is asked
for once more, when queries must show it, and then given up.

**What cannot be read.** An event that cannot be read, or lacks what nothing can be told without, is a loss like any
other. A server may send such events for days, so for their sake all is asked for once in `_UNREAD_PAUSE` seconds.

**What is not told.** Trades that the exchange refuses to tell, or tells too few of, and balances that are not certain
are asked for after a minute, and after twice as long each time, up to an hour: trades of `AT_ONCE` orders at a time
(`fills`).
Balances are not certain after a transfer or a lock that no position has followed, and where the answer stays older, by
its own time, than what events had told before it was asked for. All is asked again then, for `_LONGEST_LAG` seconds.
After that, not the queries are taken to be behind but the time to mean something else than the documents suggest.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Final, TypeVar

import trio

from .._client.observation import Teller
from .._protocol.facts_of_accounts import AccountNotCurrent, BalancesNotCertain, OrderDenied
from .._protocol.rejections import LASTING
from ..api._base import Request
from ..api.account import (
    Account,
    AccountStatus,
    AllOrders,
    OpenOrderListsStatus,
    OpenOrdersStatus,
    Order,
    OrderListStatus,
    OrderStatus,
)
from ..api.orders import OrderList
from ..errors import (
    BintrioError,
    InvalidRequest,
    ProtocolViolation,
    UnknownOrder,
)
from ..history.walks import Found, Span, by_spans, go_on
from ..history.walks import Source as HistorySource
from .asking import PAGE, QUERY_DELAY_SECONDS, Asking, Pauses
from .fills import Fills
from .orders import OrderKey
from .state import State, told_at

_DAY: Final = 86_400.0

# Seconds until trades are asked for again that the exchange has not told, at first and at most.
_FIRST_PAUSE: Final = 60.0
_LONGEST_PAUSE: Final = 3600.0

# Seconds after events are complete for which queries that are behind are waited for: thirty times what they may be.
_LONGEST_LAG: Final = 60.0

# Seconds from one question for what could not be read to the next: weight 106 a minute, and little more.
_UNREAD_PAUSE: Final = 60.0

K = TypeVar("K", OrderKey, int)
T = TypeVar("T")


class _Behind(Exception):
    """An answer is older than what was known before it was asked for, so it may lack what was missed."""


class Stock:
    """Takes stock of an account.

    Args:
        session: to ask by.
        teller: is told what goes wrong.
        state: to take the answers in.
        ticks: how many units of the session's time make a second.
        publish: is called when the state may have changed.

    Attributes:
        symbols: those of orders that may have been placed; besides, those of all known orders are in play.
        fills: asks for the trades of orders.
    """

    def __init__(self, session: Asking, teller: Teller, state: State, ticks: int, publish: Callable[[], None]) -> None:
        self.symbols: Final[set[str]] = set()
        self._session = session
        self._tell = teller.tell_failure
        self._state = state
        self._ticks = ticks
        self._publish = publish
        self._pauses = Pauses(session, ticks)
        self.fills: Final = Fills(session, teller, state, self._pauses)
        self._resumed_at = 0.0
        self._asked_at = -math.inf
        # Whether it is for the sake of an event that could not be read that all is asked for.
        self._is_unread = False
        self._woken = trio.Event()
        self._has_to_ask = False
        # When what is not told is asked for again.
        self._due = math.inf
        # Since when the exchange says not to have an order, or a list, that is known to be open.
        self._denied: dict[OrderKey | int, float] = {}
        # In how many rounds something was asked for again, one after the other.
        self._rounds = 0

    def resume(self) -> None:
        """Events are complete again."""
        self._state.resume()
        self._has_to_ask, self._is_unread = True, False
        self._woken.set()
        # By this machine's clock: the exchange's may be adjusted meanwhile.
        self._resumed_at = trio.current_time()

    def make_up_for(self, violation: ProtocolViolation) -> None:
        """An event could not be read. All is asked for, in so much time."""
        was_unread = self._is_unread
        self.resume()
        self._is_unread = True
        # Once for all events until then: there may be many of them.
        if not was_unread:
            seconds = self._next_question() - trio.current_time()
            self._tell(AccountNotCurrent, violation, as_of=self._state.as_of, seconds=seconds)

    def _next_question(self) -> float:
        shown = self._resumed_at + QUERY_DELAY_SECONDS
        return max(shown, self._asked_at + _UNREAD_PAUSE) if self._is_unread else shown

    async def insist(self, ask: Callable[[], Awaitable[T]], *, until: float) -> T:
        """Ask, and again after pauses, where the answer may yet come.

        Args:
            ask: the question.
            until: when it is given up, by trio's clock.

        Raises:
            Rejected: the exchange does not accept the key.
            InvalidRequest: there is no key.
            BintrioError: the last failure, when the time is over.
        """
        failures = itertools.count()
        while True:
            try:
                return await ask()
            except (*LASTING, InvalidRequest):
                raise
            except (BintrioError, ExceptionGroup) as error:
                seconds = self._pauses.after(error, next(failures))
                # What the exchange says to wait for may be longer than that: then there is nothing to wait for.
                if self._session.is_closed or trio.current_time() + seconds > until:
                    raise
                self._tell(AccountNotCurrent, error, as_of=self._state.as_of, seconds=seconds)
                await trio.sleep(seconds)

    async def take_at_once(self, send: Callable[[Request[Any]], Awaitable[Any]], *, until: float) -> None:
        """What the exchange shows now: it may be behind the events. As `insist`."""
        state = self._state
        # Not sure: queries may be behind the events.
        account: Account = await self.insist(partial(send, AccountStatus()), until=until)
        state.take_account(account, is_sure=False)
        orders: tuple[Order, ...] = await self.insist(partial(send, OpenOrdersStatus()), until=until)
        for order in orders:
            state.take_order(order, "query")
        lists: tuple[OrderList, ...] = await self.insist(partial(send, OpenOrderListsStatus()), until=until)
        for order_list in lists:
            state.take_list(order_list, "query")

    async def keep_complete(self) -> None:
        """Ask whenever something was lost, and now and then for what was not told."""
        while True:
            with trio.move_on_at(self._due):
                await self._woken.wait()
            # Replaced before asking: what is lost meanwhile sets the new one.
            self._woken = trio.Event()
            if self._has_to_ask:
                self._has_to_ask, self._rounds = False, 0
                self._denied.clear()
                await self.complete()
            elif trio.current_time() >= self._due:
                self._rounds += 1
                await self.fills.ask_again()
                self._publish()
                await self._ask_again_for_balances()
            pause = self._pause()
            self._due = trio.current_time() + pause
            # What comes to be lacking later is asked for as soon as this was.
            if pause == math.inf:
                self._rounds = 0

    def look(self) -> None:
        """A balance is not certain, or a trade not told: it is asked for, unless an event tells it by then."""
        # What is due already stays due then, however often this is called.
        if self._due == math.inf:
            self._woken.set()

    async def complete(self) -> None:
        """Ask, until everything is known that happened before events were complete.

        What goes wrong is told, and it is tried again after a pause, or once the exchange takes questions again.
        """
        failures = itertools.count()
        state = self._state
        # While events are interrupted nothing can be complete. Once they come again, `resume` has it asked anew.
        while state.as_of is not None and not state.is_interrupted:
            # Noted before asking: a loss meanwhile makes the answers too old.
            since, losses = state.missed_since, state.losses
            await trio.sleep_until(self._next_question())
            self._asked_at, self._is_unread = trio.current_time(), False
            try:
                await self._ask_for_all(since, losses)
            except (BintrioError, ExceptionGroup, _Behind) as error:
                seconds = self._pauses.after(error, next(failures))
                self._tell(AccountNotCurrent, error, as_of=state.as_of, seconds=seconds)
                await trio.sleep(seconds)
                continue
            if state.losses == losses:  # nothing was missed meanwhile
                state.settle()
                self._publish()

    async def _ask_for_all(self, since: int | None, losses: int) -> None:
        state, session = self._state, self._session
        if since is not None:  # else what there is, and events, tell everything
            for symbol in sorted(
                self.symbols.union(symbol for symbol, _ in (*state.open_orders, *state.closed_orders))
            ):
                await self._take_changed(symbol, since)
        listed: tuple[Order, ...] = await session.send(OpenOrdersStatus())
        for order in listed:
            state.take_order(order, "query")
        # They have ended meanwhile; the list does not say as what.
        await self._ask_for_ended(state.unlisted(listed), self.ask_for_order)
        await self._ask_for_lists()
        # Whoever waits learns now how orders stand, also if the exchange refuses to tell their trades.
        self._publish()
        for order in self.fills.lacking():
            await self.fills.seek(order)
        await self._ask_for_balances(losses)

    async def _ask_for_balances(self, losses: int) -> None:
        state = self._state
        # Noted before asking: what is told meanwhile may come after the answer's time.
        told_until = state.told_until
        account: Account = await self._session.send(AccountStatus())
        state.take_account(account, is_sure=state.losses == losses)  # else events became complete only later
        self._publish()
        if told_at(account) >= told_until:
            return
        behind = _behind(account, told_until)
        if trio.current_time() < self._resumed_at + _LONGEST_LAG:
            raise behind
        # All else was asked for that long after events are complete, so it is certain. Balances may lack something.
        state.doubt()
        self._tell_of_balances(behind)

    async def _ask_for_lists(self) -> None:
        state = self._state
        listed: tuple[OrderList, ...] = await self._session.send(OpenOrderListsStatus())
        for order_list in listed:
            state.take_list(order_list, "query")
        await self._ask_for_ended(state.unlisted_lists(listed), self._ask_for_list)

    async def _ask_for_ended(self, keys: Iterable[K], ask: Callable[[K], Awaitable[bool]]) -> None:
        """How something stands that is not open any more. What is denied is asked for again when it must be shown."""
        denied = [key for key in keys if not await ask(key)]
        if denied:
            await trio.sleep(QUERY_DELAY_SECONDS)
        for key in denied:
            await ask(key)

    async def _take_changed(self, symbol: str, since: int) -> None:
        """Take in the orders of a symbol that have changed since then.

        Raises:
            ProtocolViolation: one moment has more of them than a page.
        """
        source: HistorySource[Order] = HistorySource(
            request=AllOrders(symbol=symbol),
            page_size=PAGE,
            time_of=attrgetter("update_time"),
            id_of=attrgetter("order_id"),
        )
        walk = by_spans(source, Span(since, self._session.now()), int(_DAY * self._ticks))
        rows: Sequence[Order] | None = None
        while (step := go_on(walk, rows)) is not None:
            if isinstance(step, Found):
                rows = None
                for order in step.rows:
                    self._state.take_order(order, "query")
            else:
                rows = await self._session.send(step.request)

    async def ask_for_order(self, key: OrderKey) -> bool:
        """How an order stands. Whether the exchange has shown it; where it could not any more, it is given up."""
        symbol, number = key
        try:
            self._state.take_order(await self._session.send(OrderStatus(symbol=symbol, order_id=number)), "query")
        except UnknownOrder as error:
            self._tell(OrderDenied, error, symbol=symbol, order_id=number)
            if self._is_denied(key):
                self._state.give_up_order(key)
            return False
        self._denied.pop(key, None)
        return True

    async def _ask_for_list(self, number: int) -> bool:
        """How an order list stands. As `ask_for_order`."""
        try:
            self._state.take_list(await self._session.send(OrderListStatus(order_list_id=number)), "query")
        except UnknownOrder as error:
            self._tell(OrderDenied, error, order_list_id=number)
            if self._is_denied(number):
                self._state.give_up_list(number)
            return False
        self._denied.pop(number, None)
        return True

    def _is_denied(self, key: OrderKey | int) -> bool:
        """Whether the exchange has no such thing: it says so for so long that queries would show it by now."""
        now = trio.current_time()
        since = self._denied.setdefault(key, now)
        # Added up as a pause is, so that rounding makes none too short.
        is_over = now >= since + QUERY_DELAY_SECONDS
        if is_over:
            del self._denied[key]
        return is_over

    def _pause(self) -> float:
        """Seconds until what the exchange has not told is asked for again, if there is anything."""
        # Nobody would take it in any more.
        if self._state.is_over or not (self.fills.lacking() or self._state.doubtful()):
            return math.inf
        # A higher power would be longer than the longest pause, and soon no float.
        return min(_FIRST_PAUSE * 2.0 ** min(self._rounds, 32), _LONGEST_PAUSE)

    async def _ask_again_for_balances(self) -> None:
        state = self._state
        # An event has told of them meanwhile.
        if not state.doubtful():
            return
        losses, told_until = state.losses, state.told_until
        # What is asked for that long after they were told shows it, unless they are told of anew.
        state.expect(state.doubtful())
        await trio.sleep(QUERY_DELAY_SECONDS)
        try:
            account: Account = await self._session.send(AccountStatus())
        except (BintrioError, ExceptionGroup) as error:
            self._tell_of_balances(error)
            return
        if told_at(account) >= told_until:
            state.take_account(account, is_sure=state.losses == losses)
            self._publish()
        if state.doubtful():
            self._tell_of_balances(_behind(account, told_until))

    def _tell_of_balances(self, error: Exception) -> None:
        self._tell(BalancesNotCertain, error, assets=self._state.doubtful(), seconds=self._pause())


def _behind(account: Account, told_until: int) -> _Behind:
    return _Behind(f"account.status is of {told_at(account)}, and events have told of {told_until}")
