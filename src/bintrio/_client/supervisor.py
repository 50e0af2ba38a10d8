"""What lives behind a session: its connections, one after the other. What they carry is seen to by `Feeds`.

    Supervisor.run               owns the current connection; the swap is one assignment with no await around it
    ├─ chores                    asking for the time, retiring connections, subscribing anew
    ├─ connection A              reader, writer, heartbeat
    └─ connection B              only while rotating

**Rotation.** B is opened while A still works. Then the two are swapped, and A answers what it owes (G5). B is opened
before A's lifetime is over, when the exchange announces its shutdown, or when the user asks. It is opened after A has
ended only if that could not be foreseen.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import trio

from .._net.tasks import protected
from .._protocol.facts import ConnectionNotReady, ConnectionOpening, LimitsUnknown, NoConnection, SwapCause, Swapped
from .._protocol.holds import Hold
from .._protocol.rejections import LASTING
from .._protocol.rotation import LONGEST_BACKOFF, backoff, rotation_delay
from .._text import kind_of, said, shown_url
from ..api.general import ExchangeInfo
from ..endpoints import Address, Endpoint
from ..errors import (
    BintrioError,
    ConnectionFailed,
    HandshakeRejected,
    InvalidRequest,
    NotSent,
    OutcomeUnknown,
    ProtocolViolation,
    Rejected,
)
from .accounts import Account
from .connection import Connect, Connection
from .feeds import Feeds
from .in_flight import Call, Lost
from .observation import words_of
from .shared import Shared
from .throttle import CONNECT_COST, ticks
from .waiting import Ended

CLOCK_SAMPLES: Final = 3
"""Questions for the time before the first call; the quickest answer tells most."""

CLOCK_INTERVAL: Final = 600.0
"""Seconds between later questions for the time: enough for clocks that drift apart by 100 ppm."""


class Supervisor:
    """Keeps a session connected.

    Attributes:
        last_failure: why the latest attempt to connect failed; None if none has.
        changed: set, and replaced by a fresh one, when there is another connection, or none any more.
        clock_is_doubted: set it to have the exchange's time measured anew.
        feeds: the accounts that are listened to.
        is_closed: whether the session is over.
    """

    def __init__(self, endpoint: Endpoint, shared: Shared, connect: Connect, nursery: trio.Nursery) -> None:
        self.last_failure: Exception | None = None
        self.changed = trio.Event()
        self.clock_is_doubted = trio.Event()
        self.is_closed = False
        # In the order in which they were begun: what is done to each is done in that order.
        self._connections: dict[Connection, None] = {}
        self.feeds: Final = Feeds(self, self._connections.keys(), shared)
        self._endpoint = endpoint
        self._addresses = endpoint.addresses(time_unit=shared.settings.time_unit)
        self._shared = shared
        self._settings = shared.settings
        self._connect = connect
        self._nursery = nursery
        self._supervision = trio.CancelScope()
        self._chores: trio.Nursery
        # Attempts are counted, so that what is told of one that failed has a number too.
        self._numbers = itertools.count(1)
        self._current: Connection | None = None
        self._is_logon_wanted = True
        self._has_asked_for_limits = False
        # How many attempts in a row gave no connection that lasted.
        self._failures = 0

    @property
    def connection(self) -> Connection | None:
        """The connection in use, or None between two."""
        current = self._current
        # It may just have been lost, and its successor not be there yet.
        return current if current is not None and current.cause is None else None

    async def live(self, method: str) -> Connection:
        """The connection in use, once there is one. No checkpoint if there is."""
        while True:
            # Looked at again after each change: the session may be closed while somebody waits.
            if self.is_closed:
                # A scope around the session may have been cancelled, which closes it before everybody has heard.
                await trio.lowlevel.checkpoint_if_cancelled()
                raise NotSent(method, "the session was closed")
            connection = self.connection
            if connection is not None:
                return connection
            await self.changed.wait()

    async def measure_clock(self) -> None:
        """Ask for the exchange's time until there is an answer.

        Raises:
            NotSent: the session was closed.
        """
        failures = 0
        while True:
            connection = await self.live("time")
            # A question may never be answered, and its connection live on: the next one may be.
            with trio.move_on_after(self._settings.request_timeout), suppress(Lost, BintrioError):
                await connection.own.measure_clock()
                return
            await trio.sleep(backoff(failures, self._shared.chance.fraction()))
            failures += 1

    def calls(self) -> Iterator[Call]:
        """The calls that wait for their answer, on any connection."""
        return (call for connection in self._connections for call in connection.calls)

    def log_on_or_off(self, *, is_wanted: bool) -> None:
        """The user does by hand what `_make_ready` does: connections to come are to be like this one."""
        self._is_logon_wanted = is_wanted
        # Logging on is noted when the exchange has answered.
        if not is_wanted and self._current is not None:
            # Before the answer: the exchange takes a signature that it does not need, but no call that lacks one.
            self._current.is_logged_on = False

    # Lifetimes

    @trio.lowlevel.enable_ki_protection
    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Connect, and stay connected until `close`. ``started()`` means that the first connection is ready.

        Raises:
            ConnectionFailed, Rejected, InvalidRequest: the first connection could not be had.
        """
        begun_at = trio.current_time()
        # What waits to leave on any connection is taken back the moment that a hold is known (G8).
        with self._supervision, self._shared.accounts.watched(self._hear):
            self._swap(await self._open_any(), "start", since=begun_at)
            async with trio.open_nursery() as self._chores:
                self._chores.start_soon(protected, self._keep_time)
                task_status.started()
                try:
                    while True:
                        await self._replace_when_due()
                finally:
                    # By the session, or by a scope around it: nobody is to wait for a connection any more.
                    self.close()

    async def _replace_when_due(self) -> None:
        old = self._current
        assert old is not None
        # By chance within its last hours, so that sessions that began together do not all connect at once.
        with trio.move_on_at(old.opened_at + rotation_delay(self._settings.lifetime, self._shared.chance.fraction())):
            await old.is_due.wait()
        cause, since = _why_due(old), trio.current_time()
        # One that lasted shows that the exchange is well, however it ended.
        is_fine = old.cause is None and not old.has_notice
        has_lasted = is_fine or trio.current_time() - old.opened_at > LONGEST_BACKOFF
        self._failures = 0 if has_lasted else self._failures + 1
        # The old one works on until another is ready: that is why nothing fails (G5).
        self._swap(await self._open_sometime(), cause, since=since)
        # In a task of its own: until the last answers have come, and its feeds are carried elsewhere, may take long.
        self._chores.start_soon(protected, old.retire)
        self.feeds.see_to_all()

    async def _open_sometime(self) -> Connection:
        # One connection that is lost soon is replaced at once. Two in a row mean that the exchange is in trouble.
        is_patient = self._failures > 1
        while True:
            self._explain_outages()
            # From the second failure on, with growing pauses and some chance in them.
            if is_patient:
                self.feeds.tell_outages()
                await trio.sleep(backoff(self._failures - 1, self._shared.chance.fraction()))
            try:
                await self._shared.throttle.room_for(CONNECT_COST)
                connection = await self._open_any()
                # Before calls go out on it, so that events are complete from its first call on.
                await self.feeds.bring(connection)
                # It may have ended while the feeds were brought.
                if connection.cause is None:
                    return connection
                raise ConnectionFailed([(connection.address.host, connection.cause)])
            except (ConnectionFailed, Rejected, InvalidRequest) as error:
                is_patient = True
                self.last_failure = error
                self._failures += 1
                self._tell_failure(error)
                if isinstance(error, LASTING) and self._shared.own.key is not None:
                    self.feeds.logon_refused(self._shared.own.key, error)

    def _tell_failure(self, error: Exception) -> None:
        cause, kind = said(error), kind_of(error)
        self._shared.observation.tell(NoConnection, cause=cause, error=kind, failures=self._failures)

    def _explain_outages(self) -> None:
        """If a ban prevents connecting, name the ban as the reason of the outage."""
        hold = self._shared.throttle.held(CONNECT_COST)
        if hold is not None:
            self.last_failure = self._shared.throttle.refusal("connect", hold)
            self._tell_failure(self.last_failure)
            self.feeds.explain(said(self.last_failure))
            self.feeds.tell_outages()

    async def _open_any(self) -> Connection:
        """A connection that is ready, to the first address that gives one."""
        attempts: list[tuple[str, Exception]] = []
        for url, address in zip(self._endpoint.urls, self._addresses, strict=True):
            try:
                return await self._open(address)
            except (Rejected, InvalidRequest):
                raise  # every address would say the same
            except trio.TooSlowError:
                timeout = self._settings.connect_timeout
                attempts.append((shown_url(url), TimeoutError(f"it was not ready within {timeout:g} s")))
            except Exception as error:  # the user's `connect` may raise anything, and the user is told
                attempts.append((shown_url(url), error))
        raise ConnectionFailed(attempts) from attempts[-1][1]

    async def _open(self, address: Address) -> Connection:
        ledger = self._shared.own.ledger
        await self._room_to_connect()
        charge = ledger.charge(CONNECT_COST, ticks())
        connection = Connection(self._shared, address, next(self._numbers))
        # Set here, since a connection knows of no other that could carry on.
        connection.lost_feed = self.feeds.restore
        try:
            with self._telling(connection), trio.fail_after(self._settings.connect_timeout):
                await self._nursery.start(self._run, connection)
                connection.check_ready()
        except HandshakeRejected as rejected:
            hold = self._shared.throttle.take_rejection(connection.number, rejected)
            if hold is not None:  # it concerns this machine's address, so no other URL would do
                raise self._shared.throttle.refusal("connect", hold) from rejected
            raise
        finally:
            # However it ended: the exchange counts attempts.
            ledger.settle(charge, (), ticks())
        return connection

    @contextmanager
    def _telling(self, connection: Connection) -> Generator[None]:
        """Tell that a connection is being opened, and why it did not become ready if it does not."""
        connection.teller.tell(ConnectionOpening)
        try:
            yield
        except BaseException as error:
            if not connection.is_ready:
                seconds = trio.current_time() - connection.opened_at
                connection.teller.tell(ConnectionNotReady, seconds=seconds, cause=words_of(error), error=kind_of(error))
            raise

    async def _room_to_connect(self) -> None:
        """Wait for the limits, but not for a hold that outlasts the time to connect."""
        timeout = self._settings.connect_timeout
        hold = self._shared.throttle.held(CONNECT_COST)
        # A session that opens is to fail now and say why, not when its patience is over.
        if hold is not None and hold.until > ticks() + timeout * 1000:
            raise self._shared.throttle.refusal("connect", hold)
        with trio.fail_after(timeout):
            await self._shared.throttle.room_for(CONNECT_COST)

    def _hear(self, account: Account, hold: Hold | None) -> None:
        """See `Ledger.watch`."""
        # A hold is over, or limits are new: who waits for room asks again.
        if hold is None:
            self._shared.throttle.ask_again()
            return
        # Also those that retire or are being opened: what is queued there has not left yet.
        for connection in list(self._connections):
            connection.hold_back(hold, account)
        self._shared.throttle.note(hold, account)

    @trio.lowlevel.enable_ki_protection
    async def _run(self, connection: Connection, *, task_status: trio.TaskStatus[None]) -> None:
        self._connections[connection] = None
        try:
            await connection.run(self._connect, self._make_ready, task_status=task_status)
        finally:
            del self._connections[connection]
            self._signal()

    async def _make_ready(self, connection: Connection) -> None:
        # Later connections ask once: what is known of the clock outlives a connection.
        for _ in range(1 if self._shared.clock.is_set else CLOCK_SAMPLES):
            await connection.own.measure_clock()
        # There may be none for orders, which is no reason to ask again on each connection.
        knows_orders = self._has_asked_for_limits or self._knows("ORDERS")
        if not (knows_orders and self._knows("REQUEST_WEIGHT")):
            await self._learn_limits(connection)
        # The user may have logged off by hand, and then no connection logs on again.
        if self._is_logon_wanted:
            await connection.own.log_on()

    def _knows(self, limit_type: str) -> bool:
        return bool(self._shared.own.ledger.used(limit_type, ticks()))

    async def _learn_limits(self, connection: Connection) -> None:
        """Ask for the limits. They come with every exchangeInfo; the fewest symbols come with those that are halted."""
        try:
            info = await connection.own.ask(ExchangeInfo(symbol_status="HALT"))
            # A limit without its number or window limits nothing.
            limits = [limit for limit in info.rate_limits if not limit.missing_fields]
        except (Rejected, OutcomeUnknown, ProtocolViolation) as error:
            self._shared.observation.tell(LimitsUnknown, cause=said(error))
        else:
            self._has_asked_for_limits = True
            self._shared.own.ledger.record(limits, ticks())

    def _swap(self, connection: Connection, cause: SwapCause, *, since: float) -> None:
        before = self._current
        if before is not None:
            # Callers that wait for room on it take the new one.
            before.stand_down()
        self._current = connection
        # What failed before is over: no error is to name it as its reason any more.
        self.last_failure = None
        self._shared.counters.connections += 1
        self._signal()
        seconds = trio.current_time() - since
        replaced = None if before is None else before.number
        connection.teller.tell(Swapped, replaced=replaced, cause=cause, seconds=seconds)

    def _signal(self) -> None:
        changed, self.changed = self.changed, trio.Event()
        changed.set()

    async def _keep_time(self) -> None:
        while True:
            # At once if it is doubted: the estimate is forgotten, so the next sample stands alone.
            with trio.move_on_after(CLOCK_INTERVAL):
                await self.clock_is_doubted.wait()
                self._shared.clock.forget()
            self.clock_is_doubted = trio.Event()
            # Until there is an answer: what was forgotten may have every signed call refused.
            await self.measure_clock()

    def close(self) -> None:
        """End everything. Connections take their leave in their own time."""
        self.is_closed = True
        self._signal()
        # No connection is opened any more; those that are there end below, each with its reason.
        self._supervision.cancel()
        self.feeds.end()  # before their connections, since the end of the session is no loss
        for connection in list(self._connections):
            connection.end(Ended("the session was closed"))

    async def gone(self) -> None:
        """Wait until every connection has taken its leave."""
        while self._connections:
            await self.changed.wait()

    def start_soon(self, chore: Callable[..., Awaitable[None]], *args: Any) -> trio.Event:
        """Do something in the background. The event tells when it is done."""
        done = trio.Event()

        async def run() -> None:
            try:
                await chore(*args)
            finally:
                done.set()

        self._chores.start_soon(protected, run)
        return done


def _why_due(connection: Connection) -> SwapCause:
    """Why another connection is to take the place of this one."""
    # In this order: one that ended had perhaps been given notice before.
    if connection.cause is not None:
        return "lost"
    if connection.has_notice:
        return "notice"
    return "request" if connection.is_due.is_set() else "lifetime"
