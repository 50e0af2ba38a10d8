"""The books of a program: what it does through accounts that keep themselves up to date, and what those have shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final, TypeAlias

import msgspec
import trio

from ..account import Change, LiveAccount, LiveOrder, LiveOrderList
from ..account.orders import OrderKey
from ..api._base import Request
from ..api.account import Balance, Order
from ..api.order_lists import OrderListPlaceOco, OrderListPlaceOpo
from ..api.trading import OrderPlace
from ..errors import BintrioError
from ..sandbox import Witness
from ..session import Session
from .plan import WithHandle

Handle: TypeAlias = LiveOrder | LiveOrderList

Shown: TypeAlias = tuple[str, Decimal, Decimal]
"""What is looked at of an order: its status, what was executed, and its quantity."""

Held: TypeAlias = tuple[Decimal, Decimal]
"""What is looked at of a balance: free, locked."""

LOOK_PAUSE: Final = 20.0
"""Seconds from one look at an account to the next."""

_METHODS: Final[Mapping[type[Request[Any]], str]] = {
    OrderPlace: "place",
    OrderListPlaceOco: "place_oco",
    OrderListPlaceOpo: "place_opo",
}


class Look(msgspec.Struct, eq=False, frozen=True, kw_only=True):
    """What an account showed at one moment.

    Attributes:
        time: of it, by trio's clock.
        seen: how many events the exchange had made by then.
        as_of: the exchange's time in milliseconds up to which the account says to know everything; None for now.
        orders: those that it showed as open.
        balances: those that it was certain of.
        is_certain: whether it was certain of all.
        is_at_rest: whether everything had come to rest.
    """

    time: float
    seen: int
    as_of: int | None
    orders: Mapping[OrderKey, Shown]
    balances: Mapping[str, Held]
    is_certain: bool
    is_at_rest: bool


class Book(msgspec.Struct, eq=False, frozen=True, kw_only=True):
    """One account, from the moment that it was entered until it was left.

    Attributes:
        account: it.
        changes: all that it told.
        looks: at it.
        calls: by which something was placed through it, by number.
        handles: of what was placed, by the number of the call.
    """

    account: LiveAccount
    changes: list[Change] = []
    looks: list[Look] = []
    calls: list[int] = []
    handles: dict[int, Handle] = {}

    @property
    def is_at_rest(self) -> bool:
        """Whether it was followed until everything had come to rest."""
        return bool(self.looks) and self.looks[-1].is_at_rest

    def placed(self) -> list[LiveOrder]:
        """Every order that was placed through it, those of lists included."""
        return [order for handle in self.handles.values() for order in orders_of(handle)]


class Books:
    """Follows the account of each session of a program, and acts through it.

    Args:
        witness: of the exchange.
        opening: the balances there; None if no account is to be followed.

    Attributes:
        books: one for each account that was followed.
        untrue: what turned out to be untrue at once, in sentences.
        opening: the balances before the first event.
    """

    def __init__(self, witness: Witness, opening: Sequence[Balance] | None) -> None:
        self.books: Final[list[Book]] = []
        self.untrue: Final[list[str]] = []
        self.opening: Final = {each.asset: (each.free, each.locked) for each in opening or ()}
        self._is_kept = opening is not None
        self._witness = witness
        self._ticks = 1
        self._book: Book | None = None

    # Following

    async def keep(self, session: Session) -> None:
        """Follow the account of a session, if any is to be followed."""
        self._ticks = 1_000 if session.time_unit == "us" else 1
        while self._is_kept:
            # What it asks on entering may be refused, or have no answer.
            with suppress(BintrioError):
                await self._keep_one(session)
            await trio.sleep(1)

    async def _keep_one(self, session: Session) -> None:
        async with session.account() as account, trio.open_nursery() as nursery:
            book = self._book = Book(account=account)
            self.books.append(book)
            # From the first change on, also those that were told before it reads.
            nursery.start_soon(_read, book)
            try:
                while True:
                    self.look()
                    await trio.sleep(LOOK_PAUSE)
            finally:
                self._book = None

    def look(self, *, is_at_rest: bool = False) -> None:
        """Note what the account shows now, if one is followed. The look at rest is the last."""
        book = self._book
        if book is None or book.is_at_rest:
            return
        account = book.account
        certain = {asset: (held.free, held.locked) for asset, held in account.balances.items() if held.is_certain}
        book.looks.append(
            Look(
                time=trio.current_time(),
                seen=len(self._witness.events),
                as_of=None if account.is_current else account.as_of // self._ticks,
                orders={key: shown(order) for key, order in account.orders.items()},
                balances=certain,
                is_certain=len(certain) == len(account.balances),
                is_at_rest=is_at_rest,
            )
        )

    # Acting

    async def place(self, number: int, request: Request[Any]) -> None:
        """Place something. Its handle is noted, also that of a caller who is cancelled.

        Args:
            number: of the call.
            request: what to place.
        """
        book = self._book
        # No account is followed just now, as while a session is opened.
        if book is None:
            return
        book.calls.append(number)
        method = getattr(book.account, _METHODS[type(request)])
        given = {name: getattr(request, name) for name in request.__struct_fields__}
        try:
            book.handles[number] = await method(**{name: value for name, value in given.items() if value is not None})
        except BaseException as error:
            # Whoever is cancelled gets no handle, but the account has one: of the request that carries this number.
            for handle in (*book.account.handles, *book.account.closed_handles):
                is_of_call = getattr(handle.request, "recv_window", None) == given["recv_window"]
                # Of what was refused, the error tells enough.
                if is_of_call and not (handle.was_refused and isinstance(error, BintrioError)):
                    book.handles[number] = handle
            raise

    async def act(self, act: WithHandle) -> None:
        """Do something with what was placed."""
        handles = [] if self._book is None else list(self._book.handles.values())
        if not handles:
            return
        doing: dict[str, Callable[[Handle, WithHandle], Awaitable[object]]] = {
            "cancel": _cancel,
            "amend": _amend,
            "closed": self._await_end,
            "fills": self._await_fills,
        }
        await doing[act.what](handles[-1 - act.which % len(handles)], act)

    async def _await_end(self, handle: Handle, act: WithHandle) -> None:
        """Whoever has waited for the end adds up the fills at once."""
        await handle.closed()
        for order in orders_of(handle):
            executed = Decimal(0) if order.state is None else order.state.executed_qty
            if not order.is_closed:
                self.untrue.append(f"{order} has not ended, and closed() returned")
            if order.has_all_fills and filled(order) != executed:
                self.untrue.append(f"{order} says that these are all of its fills, which make up {filled(order)}")

    async def _await_fills(self, handle: Handle, act: WithHandle) -> None:
        for order in orders_of(handle):
            told = [fill async for fill in order.new_fills()]
            if told != list(order.fills):
                self.untrue.append(f"{order}: new_fills() gave {told} instead of {order.fills}")


async def _read(book: Book) -> None:
    async for change in book.account.changes(after=0):
        book.changes.append(change)


async def _cancel(handle: Handle, act: WithHandle) -> None:
    await handle.cancel()


async def _amend(handle: Handle, act: WithHandle) -> None:
    if isinstance(handle, LiveOrder):
        await handle.amend(act.quantity)


def orders_of(handle: Handle) -> tuple[LiveOrder, ...]:
    """The orders that a handle is of."""
    return handle.orders if isinstance(handle, LiveOrderList) else (handle,)


def filled(order: LiveOrder) -> Decimal:
    """What the fills of an order that are known make up."""
    return sum((fill.qty for fill in order.fills), Decimal(0))


def shown(order: Order) -> Shown:
    """What is looked at of an order."""
    return order.status, order.executed_qty, order.orig_qty
