"""The calls that a session makes by itself on a connection: for the time, to log on, and those of its feeds."""

from __future__ import annotations

from typing import Any, Final, Protocol

import trio

from .._protocol.budget import Cost
from .._protocol.clock import can_be_right
from .._protocol.envelope import Envelope
from .._protocol.facts import ClockDoubted, ClockMeasured
from .._protocol.results import read_answer, read_error
from .._protocol.settings import check_privacy
from .._protocol.signing import Key
from ..api._base import Request
from ..api.authentication import SessionLogon
from ..api.general import Time
from ..endpoints import Address
from ..errors import OutcomeUnknown, ProtocolViolation, RateLimited
from .in_flight import Accept, Call, Lost, cost_of
from .observation import Teller, waiting
from .shared import Shared

OWN_CALL: Final = Cost(weight=1, purpose="own")
"""The least that a call of the session's own costs."""


class CanCall(Protocol):
    """What is needed of the connection: see `Connection`."""

    @property
    def number(self) -> int: ...
    @property
    def address(self) -> Address: ...
    @property
    def is_private(self) -> bool: ...
    @property
    def cause(self) -> Exception | None: ...
    @property
    def teller(self) -> Teller: ...
    async def call(self, call: Call, local: float) -> Envelope: ...


class OwnCalls:
    """The calls of the session's own on one connection. They keep to its budgets, and have a reserve in them.

    Each raises `Lost`, or a `BintrioError`: mostly `Rejected` or `OutcomeUnknown`.

    They do not go the way of a user's call (`Session._perform`), and end in other errors, for three reasons. A call of
    a user's looks for a connection, and for another one when that is lost; these belong to their connection and end
    with it. A user's call has a deadline; these end with the task that makes them. And `confirm` can find out what
    became of a user's call, so its error says what was sent and when; nobody confirms a logon or a subscription.
    """

    def __init__(self, connection: CanCall, shared: Shared) -> None:
        self._connection = connection
        self._shared = shared

    async def ask(self, request: Request[Any], *, key: Key | None = None, accept: Accept | None = None) -> Any:
        """Send a request as soon as the budget allows, and give its result."""
        return await self.result(self.prepare(request, key=key, accept=accept), request)

    def prepare(self, request: Request[Any], *, key: Key | None, accept: Accept | None) -> Call:
        """A request as a call whose answer `result` waits for."""
        cost = cost_of(request.weight, request.api.orders, "own")
        return Call(request.api, request.params(), cost, self._shared.own, key=key, accept=accept)

    async def result(self, call: Call, request: Request[Any]) -> Any:
        """Send a call as soon as the budget allows, and give its result."""
        return await self._shared.observation.watched(call, self._result(call, request))

    async def _result(self, call: Call, request: Request[Any]) -> Any:
        envelope = await self._exchange(call)
        try:
            error = read_error(request.api.name, envelope)
            if error is None:
                return read_answer(request, envelope)
        # A logon or a subscription may have happened all the same.
        except ProtocolViolation as violation:
            raise OutcomeUnknown(request.api.name, f"its answer cannot be read: {violation}") from violation
        # Its time is told to users in the unit of the session.
        if isinstance(error, RateLimited):
            self._shared.throttle.date(error, call.cost)
        raise error

    async def _exchange(self, call: Call) -> Envelope:
        while True:
            # Asked first, since a wait is told to the observer and most calls have none.
            if not self._shared.throttle.has_room_for(call.cost):
                with waiting(call, "budget"):
                    await self._shared.throttle.room_for(call.cost)
            try:
                return await self._connection.call(call, trio.current_time())
            except Lost:
                # Else it was only taken back, since another call was answered with 429: it waits, as all do.
                if self._connection.cause is not None:
                    raise

    async def measure_clock(self) -> None:
        """Ask for the exchange's time, and learn from the answer.

        Raises:
            ProtocolViolation: it cannot be right, and nothing better is known.
        """
        await self._shared.throttle.room_for(OWN_CALL)  # else the wait would count as time on the way
        # Not when the caller began: the wait for room is no time on the way.
        sent_at = trio.current_time()
        answer = await self.ask(Time())
        unit = self._shared.settings.time_unit
        if not can_be_right(answer.server_time, unit):
            violation = ProtocolViolation(f"time: {answer.server_time} cannot be the time")
            # Without any time, nothing could be signed. A later sample that is wrong changes nothing.
            if not self._shared.clock.is_set:
                raise violation
            self._connection.teller.tell(ClockDoubted, cause=str(violation))
            return
        clock = self._shared.clock
        clock.record(sent_at, answer.server_time, trio.current_time(), unit=unit)
        self._shared.throttle.align()
        self._connection.teller.tell(ClockMeasured, offset=self._shared.clock_offset, round_trip=clock.round_trip)

    async def log_on(self) -> None:
        """Log on with the session's key, if it can.

        Raises:
            InvalidRequest: others could read it on the way; said here, and not only when a call is to be signed.
        """
        key = self._shared.own.key
        check_privacy(self._connection.address, key, is_private=self._connection.is_private)
        # Other keys sign each call instead.
        if key is not None and key.can_log_on:
            await self.ask(SessionLogon(), key=key)
