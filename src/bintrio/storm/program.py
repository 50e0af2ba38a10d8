"""A program in a world: it does what a plan says, and keeps what its calls and its listeners were told."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from decimal import Decimal
from typing import Any, Final, TypeGuard

import msgspec
import trio

from .._protocol.succession import Gap, Interrupted
from .._protocol.to_json import to_builtins
from ..api._base import Request
from ..api.events import EventStreamTerminated, UnknownEvent
from ..errors import BintrioError, OutcomeUnknown, RateLimited, Rejected, SubscriberTooSlow
from ..sandbox import Sandbox, Witness
from ..session import Session
from .books import Books
from .plan import AboutOrder, Act, ByAccount, CallAct, Confirm, Listen, Reopen, Rotate, Terms, WithHandle

Open = Callable[[], AbstractAsyncContextManager[Session]]

FOREVER: Final = math.inf

LONGEST_PAUSE: Final = 60.0
"""Seconds after which a program that was told to wait tries to open a session again, at most."""


class Deed(msgspec.Struct, eq=False, kw_only=True):
    """A call that the program made, and what it was told.

    Attributes:
        number: of the call, from 1 on; the exchange's side is told it by ``recv_window``.
        act: what the plan said.
        request: what was sent.
        began: when, by trio's clock.
        timeout: seconds within which it has to end.
        ended: when it did.
        result: what came of it, if it was answered.
        error: what it raised, if it was not canceled.
        is_canceled: whether its caller was.
        session: which of the program's sessions made it, counted from 1.
        by_account: whether it was made through an account, which then tells what became of it.
    """

    number: int
    act: CallAct
    request: Request[Any]
    began: float
    timeout: float
    ended: float = FOREVER
    result: Any = None
    error: Any = None
    is_canceled: bool = False
    session: int = 1
    by_account: bool = False

    def __str__(self) -> str:
        return f"call {self.number}, {self.request!r}"


class Confirmed(msgspec.Struct, eq=False, frozen=True, kw_only=True):
    """What `Session.confirm` said of a call.

    Attributes:
        number: of the call.
        result: what became of it.
        error: what it raised instead.
        at_rest: whether everything had come to rest.
        session: which of the program's sessions was asked.
    """

    number: int
    result: Any = None
    error: BintrioError | None = None
    at_rest: bool = False
    session: int = 1


class Heard(msgspec.Struct, eq=False, kw_only=True):
    """What one listener was told of the account.

    Attributes:
        asked: how many events the account had had when it asked to listen.
        since: how many when it was told that it does.
        until: how many when it stopped; None if it listened until everything had come to rest.
        events: what it was told.
    """

    asked: int
    since: int
    until: int | None = None
    events: list[Any] = []

    @property
    def gaps(self) -> list[Gap]:
        """Where some may be missing."""
        return [event for event in self.events if isinstance(event, Gap)]

    @property
    def told(self) -> list[Any]:
        """What happened, in the words of the exchange."""
        not_of_account = Gap | Interrupted | EventStreamTerminated
        return [_as_it_came(event) for event in self.events if not isinstance(event, not_of_account)]


def _as_it_came(event: Any) -> Any:
    # What could not be read is kept as it was sent.
    return msgspec.json.decode(event.raw) if isinstance(event, UnknownEvent) else to_builtins(event)


class Program:
    """Does what a plan says.

    Args:
        open_session: opens one.
        sandbox: what its sessions lead to.
        witness: of that.
        terms: of the world.
        books: keep the account of each of its sessions, if it has any.

    Attributes:
        deeds: its calls, by number.
        confirmed: what it was told of calls whose outcome was unknown.
        unknown: trading calls whose outcome it was not told, by number.
        heard: what its listeners were told.
        refused: what the exchange said to those of them whom it refused.
        is_open: set once it has a session.
        failed: what came out of anything and is no documented error.
    """

    def __init__(
        self,
        open_session: Open,
        sandbox: Sandbox,
        witness: Witness,
        terms: Terms,
        books: Books,
    ) -> None:
        self.deeds: Final[dict[int, Deed]] = {}
        self.confirmed: Final[list[Confirmed]] = []
        self.heard: Final[list[Heard]] = []
        self.refused: Final[list[Rejected]] = []
        self.failed: Final[list[str]] = []
        self._open_session = open_session
        self._sandbox = sandbox
        self._witness = witness
        self._terms = terms
        self.books: Final = books
        self.is_open: Final = trio.Event()
        self._session: Session | None = None
        self._is_closing = trio.Event()
        self._is_over = False
        self._is_held_off = False
        self._sessions: list[Session] = []
        self.unknown: Final[dict[int, OutcomeUnknown]] = {}
        self._at_rest = False

    # Its sessions

    async def live(self) -> None:
        """Have a session open, and listen to the account, until `leave`."""
        pause = 1.0
        while not self._is_over:
            self._is_closing = trio.Event()
            try:
                await self._live_once()
            except RateLimited:
                # No session is opened during a hold, and that may last for days.
                self._is_held_off = True
                await trio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            except BintrioError:
                await trio.sleep(1)  # the exchange is down
            else:
                pause = 1.0

    async def _live_once(self) -> None:
        async with self._open_session() as session:
            self._session, self._is_held_off = session, False
            self._sessions.append(session)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._listen_on, session)
                    nursery.start_soon(self.books.keep, session)
                    self.is_open.set()
                    await self._is_closing.wait()
                    # The listener has no end of its own.
                    nursery.cancel_scope.cancel()
            finally:
                self._session = None
                self._keep_unresolved(session)
        # Again: calls that were in flight when it was closed have become unknown.
        self._keep_unresolved(session)

    def _keep_unresolved(self, session: Session) -> None:
        for error in session.unresolved:
            self._note_unknown(error)

    async def _listen_on(self, session: Session) -> None:
        seconds = FOREVER if self._terms.attention is None else self._terms.attention
        # Whoever hears no more, for whatever reason, listens again a moment later.
        while True:
            with suppress(BintrioError):
                await self._listen(session, 10_000, seconds, is_slow=False)
            await trio.sleep(1)

    def close(self) -> None:
        """Have the session closed; `live` opens another one."""
        self._is_closing.set()

    def leave(self) -> None:
        """Have the session closed for good."""
        self._is_over = True
        self.close()

    # What it does

    async def do(self, act: Act) -> None:
        """Do one thing. Whatever is no documented error is noted."""
        doing: dict[type[Act], Callable[[Any, Session], Awaitable[None]]] = {
            Confirm: self._confirm_one,
            Rotate: self._rotate,
            Listen: self._listen_for,
            Reopen: self._reopen,
            ByAccount: self._place_by_account,
            WithHandle: self._handle,
        }
        session = self._session
        # The exchange is down, or bans the program: then it does nothing.
        if session is None:
            return
        # A scope of its own for each act: that is how a program cancels a call.
        async with _with_patience(act):
            try:
                await doing.get(type(act), self._call)(act, session)
            except BintrioError as error:
                await self._take(error, act, session)
            except Exception as error:
                self.failed.append(f"{act!r} came to {error!r}")

    async def _take(self, error: BintrioError, act: Act, session: Session) -> None:
        """What a program does about an error: nothing, or it asks what became of its calls."""
        # The others are asked about when all has come to rest.
        if is_unknown(error) and isinstance(act, CallAct) and act.asks:
            with suppress(BintrioError):
                await self._confirm_one(act, session)

    async def _rotate(self, act: Rotate, session: Session) -> None:
        await session.rotate()

    async def _reopen(self, act: Reopen, session: Session) -> None:
        self.close()

    async def _call(self, act: CallAct, session: Session) -> None:
        async def send(deed: Deed) -> None:
            hurried = session if act.within is None else session.within(act.within)
            deed.result = await hurried.send(deed.request, id=f"deed-{deed.number}" if act.has_own_id else None)

        await self._attempt(act, send)

    async def _place_by_account(self, act: ByAccount, session: Session) -> None:
        async def place(deed: Deed) -> None:
            deed.by_account = True
            await self.books.place(deed.number, deed.request)

        # The deadline is the session's, and it is the act around that may be cancelled.
        await self._attempt(msgspec.structs.replace(act.placing, within=None, patience=act.patience), place)

    async def _handle(self, act: WithHandle, session: Session) -> None:
        await self.books.act(act)

    async def _attempt(self, act: CallAct, carry_out: Callable[[Deed], Awaitable[None]]) -> None:
        number = len(self.deeds) + 1
        # Only to draw one of them, since in a long world there are many.
        orders = self._sandbox.orders if isinstance(act, AboutOrder) else ()
        request = act.request(orders, window_of(number, self._terms.window))
        # There is no order yet that the act could be about.
        if request is None:
            return
        timeout = self._terms.request_timeout if act.within is None else act.within
        # It is noted before it is sent, so that a call that is cancelled is known as well.
        deed = self.deeds[number] = Deed(
            number=number,
            act=act,
            request=request,
            began=trio.current_time(),
            timeout=timeout,
            session=len(self._sessions),
        )
        try:
            await carry_out(deed)
        except Exception as error:
            deed.error = error
            if is_unknown(error):
                self._note_unknown(error)
            raise
        # It is no `Exception`, and what is cancelled has neither result nor error.
        except trio.Cancelled:
            deed.is_canceled = True
            raise
        finally:
            deed.ended = trio.current_time()

    async def _listen_for(self, act: Listen, session: Session) -> None:
        await self._listen(session, act.buffer, act.seconds, is_slow=act.is_slow)

    async def _listen(self, session: Session, buffer: int, seconds: float, *, is_slow: bool) -> None:
        try:
            await self._hear(session, buffer, seconds, is_slow=is_slow)
        except Rejected as error:
            self.refused.append(error)
            raise

    async def _hear(self, session: Session, buffer: int, seconds: float, *, is_slow: bool) -> None:
        asked = len(self._witness.events)
        async with session.user_data(buffer=buffer) as events:
            heard = Heard(asked=asked, since=len(self._witness.events))
            self.heard.append(heard)
            try:
                with trio.move_on_after(seconds):
                    # It reads nothing, so its buffer fills up.
                    if is_slow:
                        await trio.sleep_forever()
                    async for event in events:
                        heard.events.append(event)
            except SubscriberTooSlow:
                heard.until = heard.since  # it was told that some are missing
                raise
            finally:
                heard.until = self._end_of(heard)

    def _end_of(self, heard: Heard) -> int | None:
        """How much a listener that stops now was to hear; None for everything, once all has come to rest."""
        is_settled = heard.until is not None or self._at_rest
        return heard.until if is_settled else len(self._witness.events)

    # What became of its calls

    def _note_unknown(self, error: OutcomeUnknown[Any]) -> None:
        # A read has changed nothing, so there is nothing to ask about.
        if error.request.api.repeatable:
            return
        number = number_of(error.request.recv_window, self._terms.window)
        # Without a number it was sent for a handle, by an account, which asks by itself.
        if number:
            # Its caller notes it, and so does each look at `unresolved`: the first stays.
            self.unknown.setdefault(number, error)

    async def _confirm_one(self, act: Act, session: Session) -> None:
        self._keep_unresolved(session)
        # The oldest alone: others do the same beside it.
        for number in self._open_questions()[:1]:
            await self._confirm(number, session)

    async def _confirm(self, number: int, session: Session) -> None:
        result = await session.confirm(self.unknown[number])
        asked = self._sessions.index(session) + 1
        self.confirmed.append(Confirmed(number=number, result=result, at_rest=self._at_rest, session=asked))

    @property
    def session(self) -> Session | None:
        """What it works with at present."""
        return self._session

    @property
    def unresolved(self) -> list[int]:
        """The calls that its session keeps since it does not know what became of them, by number."""
        kept = () if self._session is None else self._session.unresolved
        numbers = (number_of(error.request.recv_window, self._terms.window) for error in kept)
        # Without a number it was sent for a handle, by an account, which asks by itself.
        return [number for number in numbers if number]

    @property
    def is_held(self) -> bool:
        """Whether it has been told to wait: its session, or that none can be opened."""
        return self._is_held_off if self._session is None else self._session.hold is not None

    async def come_to_rest(self) -> None:
        """Nothing goes wrong any more: find out what became of every call."""
        self._at_rest = True
        session = self._session
        if session is None:
            self.failed.append("there is no session at rest")
            return
        self._keep_unresolved(session)
        self.books.look(is_at_rest=True)
        for number in self._open_questions():
            try:
                await self._confirm(number, session)
            except BintrioError as error:
                asked = len(self._sessions)
                self.confirmed.append(Confirmed(number=number, error=error, at_rest=True, session=asked))
        try:
            # Whatever happened, the session must be of use again in the end; what was asked above may have taken up the
            # weight of a minute.
            await session.within(90).ping()
        except BintrioError as error:
            self.failed.append(f"a ping at rest came to {error!r}")

    def _open_questions(self) -> list[int]:
        told = {confirmed.number for confirmed in self.confirmed}
        return [number for number in self.unknown if number not in told]


@asynccontextmanager
async def _with_patience(act: Act) -> AsyncGenerator[None]:
    """Cancels what is done in it when the patience is over."""
    async with trio.open_nursery() as nursery:
        if act.patience is not None:
            nursery.start_soon(_run_out, act.patience, act.ticks, nursery.cancel_scope)
        yield
        # What was done in time does not wait for its timer.
        nursery.cancel_scope.cancel()


async def _run_out(seconds: float, ticks: int, scope: trio.CancelScope) -> None:
    await trio.sleep(seconds)
    for _ in range(ticks):
        await trio.lowlevel.checkpoint()
    scope.cancel()


def is_unknown(error: Any) -> TypeGuard[OutcomeUnknown[Any]]:
    """Whether it is an `OutcomeUnknown`, of whatever request."""
    return isinstance(error, OutcomeUnknown)


def window_of(number: int, window: int) -> str:
    """The ``recvWindow`` by which the exchange's side is told the number of a call: some microseconds more."""
    return f"{window + Decimal(number) / 1000}"


def number_of(given: Any, window: int) -> int:
    """The number of the call that a ``recvWindow`` is of; 0 if the program did not make it."""
    # In thousandths of a millisecond above the usual window, which hardly change anything for the exchange.
    return 0 if given is None else int((Decimal(str(given)) - window) * 1000)
