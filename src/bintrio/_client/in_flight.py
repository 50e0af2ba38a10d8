"""One call on its way: what is known of it, what its caller may be told, and its answer if that comes late."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import msgspec
import trio

from .._net.wire import WireClosed
from .._net.writer import Outgoing
from .._protocol.budget import Cost, Purpose
from .._protocol.envelope import Envelope
from .._protocol.facts import MessageReceived, MessageSent
from .._protocol.facts_of_calls import Awaited
from .._protocol.ids import remember
from .._protocol.requests import RequestId
from .._protocol.signing import Key
from .._text import shown, shown_key
from ..api._base import Api, Json
from ..api._values import Timestamp
from ..errors import InvalidRequest, ProtocolViolation
from .accounts import Account

DEFAULT_RECV_WINDOW: Final = 5000
"""Milliseconds for which a signed request stays valid if it does not say ("Timing security")."""

OWED_ANSWERS: Final = 1000
"""How many calls whose callers are gone a connection remembers, the latest ones: for their answers. As many of those
that trade."""

Accept: TypeAlias = Callable[[Envelope], None]
"""What the reader does at once with a successful answer."""


def _nothing() -> None:
    pass


_LATER: Final[Any] = None  # not there before it is sent


class Tells(Protocol):
    """What a connection tells by: see `Teller`."""

    @property
    def here(self) -> dict[str, Any]: ...
    def tell_message(self, kind: type[MessageSent | MessageReceived], data: bytes) -> None: ...


class Traced(Protocol):
    """Whom a connection tells how far a call is: see `Trace`."""

    def begin(self, now: float, teller: Tells, data: bytes) -> Callable[[], None] | None: ...
    def queued(self, request_id: RequestId, size: int) -> None: ...
    def answered(self, size: int) -> None: ...
    def taken(self, envelope: Envelope) -> None: ...
    def waited(self, awaited: Awaited, seconds: float) -> None: ...


# By identity: two calls may be equal in all that they hold.
class Call(msgspec.Struct, eq=False):
    """One call on its way, by as many connections as it takes.

    Attributes:
        api: what is known of the method.
        params: the parameters, without those of signing.
        cost: what it takes of the budgets.
        account: whom it is for, and whose orders it counts to.
        id: the id that its user chose; None for one of the session's.
        has_chosen_id: whether its user chose a client order id in it, or may have.
        key: the key to sign with, even on a connection that is logged on; None for the account's, if need be.
        accept: called by the reader with a successful answer, before anything that came after it is looked at.
        deadline: local time at which it is overdue.
        patience: seconds by which it may be answered later than that, if a message was under way for as long.
        is_sent: whether a byte of it may have left.
        is_suspect: whether a connection that it was sent on has ended since the server broke the protocol.
        signed_at: the exchange's time in milliseconds that it was signed with last.
        trusts_logon: whether it left last without a signature, on a connection that is logged on.
        seen_order_id: the highest order id of its symbol that was seen before it left; 0 if none was.
        clock_steps: how many samples had shown until then that a clock was adjusted.
        late_answer: its answer, and the exchange's time in milliseconds when it came, if its caller was gone by then.
        answered_late: called then.
        trace: told of its steps, if somebody observes the session.

    While it waits for its answer on a connection:

        wire_id: the id that it goes by, unique among the calls in flight.
        charge: what the ledger holds for it.
        outgoing: its frame.
        arrived_before: `Arrival.seconds` when it was sent.
        answer: where its answer will be.
    """

    api: Api
    params: dict[str, Json]
    cost: Cost
    account: Account
    id: RequestId | None = None
    key: Key | None = None
    accept: Accept | None = None
    deadline: float = math.inf
    patience: float = 0.0
    is_sent: bool = False
    is_suspect: bool = False
    signed_at: Timestamp | None = None
    trusts_logon: bool = False
    seen_order_id: int = 0
    clock_steps: int = 0
    late_answer: tuple[Envelope, Timestamp] | None = None
    answered_late: Callable[[], object] = _nothing
    trace: Traced | None = None
    has_chosen_id: bool = False
    wire_id: RequestId = _LATER
    charge: Any = _LATER
    outgoing: Outgoing = _LATER
    arrived_before: float = _LATER
    answer: Channel = _LATER

    @property
    def window(self) -> int:
        """Milliseconds for which it stays valid, once it is signed."""
        return window_of(self.api.name, self.params)

    @property
    def final_at(self) -> Timestamp | None:
        """The exchange's time in milliseconds from which it is too late to execute it, once it is signed."""
        return None if self.signed_at is None else self.signed_at + self.window

    @property
    def shown_account(self) -> str | None:
        """Whom it is for: as much of the API key as may be shown."""
        return self.account.shown if self.key is None else shown_key(self.key.api_key)

    def take_late(self, envelope: Envelope, now: Timestamp) -> None:
        """Its answer came after its caller had gone. It reaches no other call, but may tell what became of this one."""
        # An answer proves that it left.
        self.is_sent = True
        self.late_answer = envelope, now
        self.answered_late()

    def take_unheard(self, now: Timestamp) -> None:
        """Its answer came in the same turn as the cancellation, so nobody has taken it: look at it here."""
        # No answer has come, which is nearly always so.
        with suppress(trio.WouldBlock):
            answer = self.answer[1].receive_nowait()
            # That it was lost or is overdue, which may be there as well, tells nothing of what it did.
            if isinstance(answer, Envelope):
                self.take_late(answer, now)


@cache
def cost_of(weight: int, orders: int, purpose: Purpose) -> Cost:
    """What a call costs. Few differ, and every call has one."""
    return Cost(weight, orders, purpose=purpose)


def window_of(method: str, params: Mapping[str, Json]) -> int:
    """The milliseconds for which a call with these parameters stays valid, once it is signed.

    Raises:
        InvalidRequest: they say something else than a number.
    """
    given = params.get("recvWindow")
    if given is None:
        return DEFAULT_RECV_WINDOW
    with suppress(ValueError, OverflowError):
        # The exchange takes fractions of a millisecond.
        window = math.ceil(float(str(given)))
        # A negative one is refused as what is no number is.
        if window >= 0:
            return window
    said = f"{method}: recvWindow must be a number of milliseconds, not {shown(given)}"
    raise InvalidRequest(said, field="recvWindow")


class Lost(Exception):
    """The connection ended before the answer came, or is of no use for the call any more.

    Attributes:
        cause: why.
        is_sent: whether a byte of the call may have left.
    """

    def __init__(self, cause: Exception, *, is_sent: bool) -> None:
        super().__init__(cause)
        self.cause = cause
        self.is_sent = is_sent

    @property
    def violation(self) -> ProtocolViolation | None:
        """The message that broke the protocol, if that ended the connection."""
        return self.cause.violation if isinstance(self.cause, WireClosed) else None


class LogonLost(Exception):
    """A call that had no signature was refused for that."""

    def __init__(self) -> None:
        super().__init__("the exchange does not take it for logged on any more")


class Overdue(Exception):
    """The deadline of the call passed before the answer came; `Call.is_sent` tells whether a byte of it left."""


Answer: TypeAlias = Envelope | Lost | Overdue
Channel: TypeAlias = tuple[trio.MemorySendChannel[Answer], trio.MemoryReceiveChannel[Answer]]


class Debt(NamedTuple):
    """What is left of a call that nobody waits for any more.

    Attributes:
        account: whom it is for.
        charge: what its ledger holds for it.
    """

    account: Account
    charge: Any


class Owed:
    """Calls that have left, whose callers wait no more, and whose answers may come yet."""

    def __init__(self) -> None:
        self._calls: dict[RequestId, Call] = {}
        self._debts: dict[RequestId, Debt] = {}

    def add(self, call: Call) -> None:
        """Remember a call that nobody waits for any more, if it has left: its charge, and all of it if it trades."""
        if call.is_sent:
            remember(self._debts, call.wire_id, Debt(call.account, call.charge), OWED_ANSWERS)
            # A read changes nothing, so nobody will ask what became of it.
            if not call.api.repeatable:
                remember(self._calls, call.wire_id, call, OWED_ANSWERS)

    def write_off(self, now: int) -> None:
        """The connection has ended, so hardly an answer will come: what was charged counts as it is."""
        for debt in self._debts.values():
            debt.account.ledger.settle(debt.charge, (), now)

    def take(self, envelope: Envelope, now: Timestamp) -> Debt | None:
        """Tell the call that an answer belongs to, if it is one of these that trades.

        Returns:
            What was left of it; None if it is none of these.
        """
        # An answer with `id: null` is about the connection.
        if envelope.id is None:
            return None
        call = self._calls.pop(envelope.id, None)
        if call is not None:
            call.take_late(envelope, now)
        return self._debts.pop(envelope.id, None)
