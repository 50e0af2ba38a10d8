"""The calls that wait for their answers on one connection: how each is entered, taken back, and given up.

Each step is synchronous. So either a call is in the table, its frame is queued or written, and its charge is with the
ledger; or it is not in the table, and its caller has been told.
"""

from __future__ import annotations

from typing import Final

from .._net.wire import Wire
from .._protocol.envelope import Envelope
from .._protocol.facts import Doubt
from .._protocol.holds import Hold
from .._protocol.ids import Ids
from .._protocol.requests import RequestId
from ..api._values import Timestamp
from ..errors import InvalidRequest
from .accounts import Account
from .deadlines import Deadlines
from .in_flight import Call, Lost, Owed
from .shared import Shared
from .throttle import ticks


class HeldBack(Exception):
    """The exchange refused another call with 429 or 418, in these words, so this one had to wait."""


class Ended(Exception):
    """The connection was ended by this side since it was not needed any more; the text says why."""


class Waiting:
    """The calls in flight on one connection.

    Attributes:
        calls: those that wait, by the ids that they go by.
        owed: those whose callers are gone, and whose answers may come yet.
        deadlines: tells when they are overdue.
        wire: what they leave by. It is there before the first of them.
    """

    wire: Wire

    def __init__(self, shared: Shared) -> None:
        self.calls: Final[dict[RequestId, Call]] = {}
        self.owed: Final = Owed()
        self.deadlines: Final = Deadlines()
        self._ids = Ids(shared.ids)
        self._shared = shared

    def id_for(self, call: Call) -> RequestId:
        """An id for a call that was not used before: the one that its user chose, if it may be.

        Raises:
            InvalidRequest: it is that of a call in flight.
        """
        if call.id is None:
            return self._ids.own()
        # Its answer could not be told from that of the other call.
        if call.id in self.calls:
            raise InvalidRequest(f"{call.api.name}: id {call.id!r} is in flight already", field="id")
        return self._ids.unused(call.id)

    def enter(self, call: Call, local: float) -> None:
        """Its frame was queued or written: charge it, and wait for its answer."""
        # Not one of the session's own, which are counted.
        if call.wire_id == call.id:
            self._ids.note(call.wire_id)
        call.arrived_before = self.wire.arrival.seconds
        call.charge = call.account.ledger.charge(call.cost, int(local * 1000))
        call.answer = self._shared.take_channel()
        self.calls[call.wire_id] = call
        # Most calls have the same timeout, so a later one is due later, and the timer stays.
        if call.deadline < self.deadlines.earliest:
            self.deadlines.advance(call.deadline)

    def forget(self, call: Call, heard: Timestamp) -> None:
        """The caller of a call waits no more. The exchange was last heard at the time given, in milliseconds."""
        # Its id may be another call's by now, if its user chose it and it never left.
        if self.calls.get(call.wire_id) is not call:
            call.take_unheard(heard)
            return
        del self.calls[call.wire_id]
        # No byte of it has left, so it is as if it had never been made: nothing is charged for it.
        if self.wire.withdraw(call.outgoing):
            self._write_off(call, is_sent=False)
            return
        call.is_sent = True
        self.owed.add(call)

    def settle_late(self, request_id: RequestId, envelope: Envelope, heard: int) -> tuple[Account, Doubt]:
        """Take in an answer to no call in flight. Returns whom it is for, as far as that is known, and what it is.

        The count in a late answer has its call in it, which the ledger still holds to be open.
        """
        # A trading call whose caller is gone may learn what became of it.
        debt = self.owed.take(envelope, self._shared.now())
        if debt is not None:
            debt.account.ledger.settle(debt.charge, envelope.rate_limits, heard)
            return debt.account, "late"
        own = self._shared.own
        # It may be about calls of others on the same address.
        own.ledger.record(envelope.rate_limits, ticks())
        return own, "repeated" if self._ids.was_used(request_id) else "unknown"

    def take_while_closing(self, connection: int, envelope: Envelope) -> None:
        """Take in what comes by the connection of that number while it is closing, when no call waits any more."""
        debt = self.owed.take(envelope, self._shared.now())
        # Nothing in an event or a success can hold back (G8).
        if not envelope.event and envelope.status != 200:
            account = self._shared.own if debt is None else debt.account
            self._shared.throttle.take_answer(connection, envelope, account)

    def hold_back(self, hold: Hold, account: Account) -> None:
        """Take back what has not left and is held back from now on (G8). It waits for its turn again, as others do.

        Args:
            hold: what was learned.
            account: whose orders it is about, if it is about orders.
        """
        # A copy: what has not left is taken out.
        for call in list(self.calls.values()):
            is_held = call.cost.orders and call.account.ledger is account.ledger
            if (hold.scope == "everything" or is_held) and self.wire.withdraw(call.outgoing):
                del self.calls[call.wire_id]
                self._write_off(call, is_sent=False)
                call.answer[0].send_nowait(Lost(HeldBack(hold.message), is_sent=False))

    def lose(self, cause: Exception) -> None:
        """Tell each that the connection has ended, and whether bytes of it may have left (G7)."""
        self.owed.write_off(ticks())
        for call in self.calls.values():
            # A wire that closes in good order writes what is queued. So it is taken back, and may go elsewhere.
            is_sent = not self.wire.withdraw(call.outgoing)
            # It may have been sent on an earlier connection, which stays so.
            call.is_sent |= is_sent
            self._write_off(call, is_sent=is_sent)
            self.owed.add(call)
            call.answer[0].send_nowait(Lost(cause, is_sent=is_sent))
        self.calls.clear()

    def _write_off(self, call: Call, *, is_sent: bool) -> None:
        ledger = call.account.ledger
        # The exchange may have counted it, so it counts here, until an answer says more.
        if is_sent:
            ledger.settle(call.charge, (), ticks())
        else:
            ledger.cancel(call.charge)
            # It never left, so its user may give it again.
            if call.wire_id == call.id:
                self._ids.give_back(call.wire_id)
