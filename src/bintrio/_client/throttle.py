"""What holds a session back: the ledger's budgets and holds, in the session's own time and words.

A 429 or 418 counts wherever it comes in (G8): in the answer to a call, or in one half of it; in an answer that nobody
waits for or that has no id; on a connection that is retiring, closing or has ended; in the head of a refused handshake.
All of them come through here into the ledger, which tells every session that shares it. Each takes back what waits to
leave: see `Supervisor`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, cast

import msgspec
import trio

from .._protocol.budget import Cost
from .._protocol.clock import Clock
from .._protocol.envelope import Envelope
from .._protocol.facts import HoldBegan, HoldDoubted
from .._protocol.holds import BANNED, DOUBTED_CLOCK, Hold, Reading, Refusal, Scope, Wait, wait_by_answer, wait_by_header
from .._protocol.results import read_error, refused_halves
from .._protocol.settings import Settings
from ..errors import Banned, HandshakeRejected, NotSent, ProtocolViolation, RateLimited, Rejected
from .accounts import Account
from .observation import Observation

LIMITED: Final = frozenset({BANNED, 429})
"""The statuses that hold back, whatever else the answer says."""

CONNECT_COST: Final = Cost(weight=2, connections=1, purpose="own")
"""What the exchange charges for a connection ("IP Limits")."""

ANYTHING: Final = Cost(orders=1)
"""Something that every hold concerns."""

UNTIL_NEXT_SAMPLE: Final = 600.0
"""Seconds between questions for the time: the error of the clock grows as long."""

# Milliseconds by which a hold must outlast the one before it to be told: many calls may be refused at once.
_NEWS: Final = 1_000


class Throttle:
    """One session's view of its ledger, which other sessions may share.

    Args:
        own: the account of the session's key, whose ledger keeps the budgets and holds, in local milliseconds.
        clock: the exchange's time.
        settings: of the session.
        observation: is told of holds.
    """

    def __init__(self, own: Account, clock: Clock, settings: Settings, observation: Observation) -> None:
        self._own = own
        self._ledger = own.ledger
        self._clock = clock
        self._in_unit = settings.in_unit
        self._observation = observation
        # Until when, by what was told last: of everything, and of the orders of each account, by its ledger.
        self._told: dict[tuple[Scope, int], int] = {}
        self._source: int | None = None  # the connection that is learning of a hold
        self._waiting = trio.lowlevel.ParkingLot()

    async def room_for(self, cost: Cost) -> None:
        """Wait until the budgets have room for a cost. No checkpoint if they have.

        Raises:
            InvalidRequest: they never will.
        """
        # Again, since others may have taken the room meanwhile.
        while (delay := self._ledger.delay(cost, ticks())) > 0:
            await self.wait(delay)

    async def wait(self, delay: float) -> None:
        """Wait until it is worth asking for room again: for so many seconds, or until the ledger says that it is."""
        with trio.move_on_after(delay):
            await self._waiting.park()

    def ask_again(self) -> None:
        """The ledger says that there may be room."""
        self._waiting.unpark_all()

    def has_room_for(self, cost: Cost) -> bool:
        """Whether a cost fits now."""
        return self._ledger.delay(cost, ticks()) == 0

    def align(self) -> None:
        """Have the ledger's windows go by the clock, which was measured just now."""
        local = trio.current_time()
        error = math.ceil(self._clock.error_bound(local + UNTIL_NEXT_SAMPLE) * 1000)
        now = ticks()
        self._ledger.align(self._clock.now(local) - now, error, now)

    # Holds

    def held(self, cost: Cost, account: Account | None = None) -> Hold | None:
        """What holds back a cost of an account now: of the session's own, if None."""
        return (account or self._own).ledger.held(cost, ticks())

    def take_answer(self, connection: int, envelope: Envelope, account: Account) -> None:
        """Look for a 429 or 418 in an answer to a call for an account that is no plain success."""
        found = [(refusal, wait_by_answer(refusal, self._reading())) for refusal in _refusals(envelope)]
        is_said = any(wait.milliseconds is not None for _, wait in found)
        for refusal, wait in found:
            if wait.milliseconds is not None or wait.doubt or not is_said:  # a half may say what the whole does not
                self._hold(connection, refusal, wait, account)

    def take_rejection(self, connection: int, rejection: HandshakeRejected) -> Hold | None:
        """Look for a 429 or 418 in a refused handshake: when its head is there, and again when its body is."""
        if rejection.status not in LIMITED:
            return None
        refusal = _in_body(rejection)
        wait = wait_by_header(rejection.headers, rejection.status, self._reading())
        # The head names no time; the body may.
        if wait.milliseconds is None and rejection.body:
            wait = wait_by_answer(refusal, self._reading())
        return self._hold(connection, refusal, wait, self._own)

    def refusal(self, method: str, hold: Hold) -> RateLimited:
        """A hold as the error that users get."""
        kind = Banned if hold.status == BANNED else RateLimited
        until = self.retry_at(hold.until)
        return kind(method, status=hold.status, code=hold.code, message=hold.message, retry_at=until)

    def no_room(self, method: str, cost: Cost, delay: float, account: Account | None = None) -> NotSent:
        """A call that was not sent, since the ledger has no room for its cost for so many seconds."""
        now = ticks()
        shortage = (account or self._own).ledger.shortage(cost, now)
        # Nobody knows when it will be over, and whoever has to mend it is told where.
        if shortage is not None:
            return NotSent(method, shortage)
        hold = self.held(ANYTHING, account)
        said = f"the exchange's limits leave no room for it for another {delay:.3f} s"
        # Only a hold that lasts as long as the wait is the reason of it.
        if hold is not None and hold.until - now >= delay * 1000 - _NEWS:
            said += f", since it refused another call: {hold.status} {hold.code} {hold.message:.200}"
        return NotSent(method, said, retry_at=self.retry_at(now + math.ceil(delay * 1000)))

    def date(self, error: RateLimited, cost: Cost, account: Account | None = None) -> None:
        """See that an error says when the session will go on."""
        hold = self.held(cost, account)
        # The exchange gave no time, so the one that the session keeps to is told.
        if error.retry_at is None and hold is not None:
            error.retry_at = self.retry_at(hold.until)

    def retry_at(self, until: int) -> int:
        """A local time in milliseconds as the exchange's, in the session's unit."""
        return self._in_unit(self._reading().now + until - ticks())

    def _hold(self, connection: int, refusal: RateLimited, wait: Wait, account: Account) -> Hold:
        now = ticks() + 1  # rounded up, so that no hold ends early
        told = self._told.copy()
        self._source = connection
        try:
            said = Refusal(refusal.status, refusal.code, refusal.message, wait.milliseconds)
            hold = account.ledger.hold(said, now)
            self.note(hold, account)
        finally:
            self._source = None
        # Once for each hold, as with the hold itself.
        if wait.doubt and self._told != told:
            self._observation.tell(HoldDoubted, connection=connection, cause=wait.doubt)
        return hold

    def note(self, hold: Hold, account: Account) -> None:
        """Tell of a hold, whichever session has learned of it; unless it says hardly more than one before it."""
        now = ticks() + 1
        is_of_all = hold.scope == "everything"
        about = hold.scope, 0 if is_of_all else id(account.ledger)
        before = self._told.get(about, 0)
        # Many calls in flight are refused at once, each with nearly the same time.
        if before > now and hold.until <= before + _NEWS:
            return
        self._told[about] = hold.until
        self._observation.tell(
            HoldBegan,
            connection=self._source,
            status=hold.status,
            code=hold.code,
            reason=hold.message,
            scope=hold.scope,
            account=None if is_of_all else account.shown,
            seconds=(hold.until - now) / 1000,
            until=hold.until / 1000,
        )

    def _reading(self) -> Reading:
        """The exchange's time; as long as nobody knows it, this machine's has to do."""
        if not self._clock.is_set:
            own = Reading(round(time.time() * 1000), DOUBTED_CLOCK, is_own=True)
            return self._ledger.reading(ticks()) or own
        local = trio.current_time()
        return Reading(self._clock.now(local), math.ceil(self._clock.error_bound(local) * 1000))


def ticks() -> int:
    """Local time in milliseconds, which the ledger goes by."""
    return int(trio.current_time() * 1000)


def _refusals(envelope: Envelope) -> Iterator[RateLimited]:
    """What an answer says of limits: as a whole, where the status is enough, and in each half."""
    error: Any = None
    with suppress(ProtocolViolation):  # it has no status, and whoever waits for it is told so
        error = read_error("", envelope)
    if isinstance(error, RateLimited):
        yield error
    elif envelope.status in LIMITED:  # with a code that says that the outcome is unknown
        yield RateLimited("", status=envelope.status, code=0, message=str(error))
    # Each half of an order.cancelReplace may be refused for a limit of its own.
    if isinstance(error, Rejected):
        yield from (half for half in refused_halves(error).values() if isinstance(half, RateLimited))


def _in_body(rejection: HandshakeRejected) -> RateLimited:
    """A refused handshake as a refusal, with the code, words and data of its body, if it has such."""
    body: Any = None
    # It may be the page of a firewall on the way, or cut off.
    with suppress(msgspec.DecodeError, RecursionError, ValueError):
        body = msgspec.json.decode(rejection.body)
    # A proxy or a firewall may have answered, with anything.
    fields = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    code, message = fields.get("code"), fields.get("msg")
    return RateLimited(
        "",
        status=rejection.status,
        code=code if isinstance(code, int) else 0,
        message=message if isinstance(message, str) else str(rejection),
        data=fields.get("data"),
    )
