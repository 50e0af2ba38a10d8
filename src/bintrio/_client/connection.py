"""One connection: calls out, answers and events in, from the handshake to its end.

Three tasks share it: the **reader** (`Connection._read`), the **heartbeat** (`heart`, G4) and the **timer** for calls
that are overdue (`deadlines`, G1). The wire has a **writer** of its own; callers only queue whole frames (G6).

State changes are synchronous. So a caller can be cancelled only before anything happened, or while it waits for its
answer. Then its frame is withdrawn if the writer has not taken it yet, else a late answer is dropped (G1, G2).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final, TypeAlias

import trio

from .._net.privacy import is_private, open_stream
from .._net.tasks import protected
from .._net.wire import Wire, WireClosed, open_wire
from .._protocol import facts
from .._protocol.envelope import Envelope, read_envelope
from .._protocol.events import bare_event
from .._protocol.frames import Message, Opcode
from .._protocol.holds import Hold
from .._protocol.requests import RequestId, write_request
from .._protocol.results import read_verdict, says_not_logged_on
from .._protocol.settings import check_privacy
from .._protocol.signing import payload
from .._text import kind_of, said
from ..api._base import Json
from ..endpoints import Address
from ..errors import ProtocolViolation, RateLimited
from .accounts import Account
from .carrier import Carrier
from .deadlines import GLANCE
from .doubt import Doubt
from .heart import Heart
from .in_flight import Answer, Call, LogonLost, Lost
from .own_calls import OwnCalls
from .shared import Shared
from .strays import Strays
from .subscriptions import Feed
from .throttle import CONNECT_COST, ticks
from .waiting import Ended, Waiting

Connect: TypeAlias = Callable[[Address], Awaitable[trio.abc.Stream]]
"""Opens the byte stream to an address, TLS included if it asks for that."""


class Connection:
    """One logged-on connection.

    Attributes:
        number: how many connections the session had tried to open before, plus one.
        address: where it leads.
        opened_at: local time at which it was begun, as `trio.current_time` has it.
        last_heard: the exchange's time in milliseconds when the last message came or the last ping was answered.
        heard_at: local time in milliseconds then.
        is_logged_on: whether calls need no signature of their own.
        is_private: whether a key may travel over it (G9).
        is_ready: whether it has become ready.
        cause: what ended it, or None as long as it has not ended.
        is_due: set when it should be replaced: it ended, was given notice, or the user asked.
        has_notice: whether it should be replaced since the exchange announced its shutdown, answers no calls, or
            disagrees with the session about the logon or a subscription.
        teller: tells what happens on it.
        own: the calls that the session makes by itself on it.
        carrier: carries the feeds.
        calls: those that wait for their answer.
        lost_feed: called with a feed that it carries no longer.
    """

    def __init__(self, shared: Shared, address: Address, number: int) -> None:
        self.number: Final = number
        self.address: Final = address
        self.opened_at: Final = trio.current_time()
        self.last_heard = 0
        self.heard_at = 0
        self.is_logged_on = False
        self.is_private = False
        self.is_ready = False
        self._is_told = False  # whether whoever opened it has been told what came of that
        self.cause: Exception | None = None
        self.is_due: Final = trio.Event()
        self.has_notice = False
        self.teller: Final = shared.observation.about(connection=number, address=f"{address.host}:{address.port}")
        self.own: Final = OwnCalls(self, shared)
        self.carrier: Final = Carrier(self, self.own, shared)
        self.lost_feed: Callable[[Feed], object] = lambda _feed: None
        self._shared = shared
        self._waiting = Waiting(shared)
        self._strays = Strays(number, shared, self._waiting, self.teller)
        self.calls: Final[Iterable[Call]] = self._waiting.calls.values()
        self._heed = self.teller.hearing(self._take)
        self._idle = trio.Event()
        self._tasks = trio.CancelScope()
        self._heart = Heart(shared.settings.pong_window)
        self._is_open = False
        self._doubt = Doubt()
        self._opening = trio.CancelScope()
        self._held_by: Hold | None = None
        self._wire: Wire
        self._accept = {"session.logon": self._logged_on, "session.logout": self._logged_off}

    def __repr__(self) -> str:
        state = "logged on" if self.is_logged_on else "not logged on"
        if self.cause is not None:
            state = f"ended: {said(self.cause)}"
        where = f"{self.address.host}:{self.address.port}, {self.in_flight} calls in flight"
        return f"<Connection {self.number} to {where}, {self.age:.0f} s old, {state}>"

    @property
    def age(self) -> float:
        """Seconds since it was begun."""
        return trio.current_time() - self.opened_at

    # Life

    async def run(
        self,
        connect: Connect,
        make_ready: Callable[[Connection], Awaitable[None]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Live until the end. ``started()`` means that ``make_ready`` is done: `check_ready` says with what result.

        Raises:
            Exception: what ended the connection, if that was before.
            RateLimited: so did a hold, before the opening handshake had left, or was answered.
        """
        # Before the first byte: a hold concerns opening handshakes too (G8).
        self._held_by = self._shared.throttle.held(CONNECT_COST)
        if self._held_by is None:
            with self._opening:
                await self._live(connect, make_ready, task_status)
        # It may have begun while the handshake was under way: see `hold_back`.
        if self._held_by is not None:
            raise self._shared.throttle.refusal("connect", self._held_by)
        # It was lost while it was made ready: whoever opened it has to know why.
        if not self._is_told:
            self.check_ready()

    def check_ready(self) -> None:
        """Once `run` has started, raise why it has not become ready, if it has not."""
        if not self.is_ready:
            assert self.cause is not None
            raise self.cause

    async def _live(
        self,
        connect: Connect,
        make_ready: Callable[[Connection], Awaitable[None]],
        task_status: trio.TaskStatus[None],
    ) -> None:
        settings = self._shared.settings
        stream = await open_stream(connect, self.address, self._shared.chance)
        # Only now, since a user's `connect` may open another kind of stream than the URL says.
        self.is_private = is_private(self.address, stream)
        try:
            async with open_wire(
                stream,
                host=self.address.authority,
                resource=self.address.resource,
                octets=self._shared.chance.octets,
                headers=self.address.headers,
                max_message_size=settings.max_message_size,
                close_timeout=settings.close_timeout,
                pong_written=self._pong_written,
                rejected=self._strays.take_rejection,
                late=self._strays.take_late,
                arriving=self._arriving,
            ) as self._wire:
                self._waiting.wire = self._wire
                self._is_open = True
                with self._tasks:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(protected, self._read)
                        nursery.start_soon(protected, self._watch_heart)
                        nursery.start_soon(protected, self._watch_deadlines)
                        await self._become_ready(make_ready)
                        # If it failed, it takes its leave as others do: nobody waits for that or cuts it short.
                        self._is_told = True
                        task_status.started()
        finally:
            self.end(Ended("the session was closed"))

    async def _become_ready(self, make_ready: Callable[[Connection], Awaitable[None]]) -> None:
        try:
            await make_ready(self)
        except Lost as lost:
            # A call of ours was lost with the connection: why that ended is what counts.
            self.end(lost.cause)
        except Exception as error:
            self.end(error)
        self.is_ready = self.cause is None
        if self.is_ready:
            self.teller.tell(facts.ConnectionReady, seconds=self.age, is_logged_on=self.is_logged_on)

    @trio.lowlevel.enable_ki_protection
    def end(self, cause: Exception) -> None:
        """End the connection, and tell everyone who waits. Only the first cause counts."""
        if self.cause is not None:
            return
        self.cause = cause
        in_flight, words = self.in_flight, said(cause)
        self.is_due.set()
        # Each call learns whether bytes of it may have left: whether to repeat it, or to ask what became of it (G7).
        self._waiting.lose(cause)
        self._idle.set()
        # An attempt that failed is told by whoever made it.
        if self.is_ready:
            self._tell_end(cause, words, in_flight)
        self.carrier.end(words)
        self._tasks.cancel()

    def _tell_end(self, cause: Exception, words: str, in_flight: int) -> None:
        tell, age = self.teller.tell, self.age
        # A replaced connection, or a closed session, is no loss.
        if isinstance(cause, Ended):
            tell(facts.ConnectionRetired, seconds=age, in_flight=in_flight, cause=words)
            return
        self._shared.counters.losses += 1
        tell(facts.ConnectionLost, seconds=age, in_flight=in_flight, cause=words, error=kind_of(cause))

    def hold_back(self, hold: Hold, account: Account) -> None:
        """Take back what waits to leave and is held back from now on, an opening handshake included (G8)."""
        # Its opening handshake has not left, or is not answered: it is given up. Calls are only on other connections.
        if not self._is_open:
            if hold.scope == "everything":
                self._held_by = hold
                self._opening.cancel()
            return
        self._waiting.hold_back(hold, account)
        self._note_idle()

    def give_notice(self, cause: str) -> None:
        """The connection still works, but must be replaced. Only the first cause is told."""
        if not self.has_notice:
            self.teller.tell(facts.ConnectionDue, cause=cause)
        self.has_notice = True
        self.is_due.set()

    def doubt(self, sent_at: float) -> None:
        """A call that left then was not answered within its time. If several in a row were not, and no later call was
        answered, the connection must be replaced: it may answer pings all the same, so the heartbeat does not notice.
        """
        # While a message is under way, nothing else can be answered.
        if self._wire.arrival.since is None and self._doubt.grows(sent_at) and not self.has_notice:
            self.give_notice(f"{self._doubt.unanswered} calls in a row had no answer")

    def stand_down(self) -> None:
        """Another connection is in use: a caller that waits for room here goes on to that one."""
        self._wire.release()

    def feed_gone(self, feed: Feed) -> None:
        """It carries a feed no longer."""
        self._idle.set()
        self.lost_feed(feed)

    async def retire(self) -> None:
        """Another is in use: wait for the answers that are due, carry the feeds that no other carries yet, and end.

        Answers are waited for within ``drain_timeout``, or as long as one is arriving; feeds as long as it takes. Each
        is given up once the connection in use carries it (`Carrier.give_up`), or goes down with this one.
        """
        patience = self._shared.settings.drain_timeout
        with trio.move_on_after(patience):
            await self._until(lambda: not self._waiting.calls)
        while self._waiting.calls and self._wire.arrival.since is not None and self.cause is None:
            # It may be a long answer that has been coming for some time: its call has a limit of its own.
            with trio.move_on_after(GLANCE):
                await self._until(lambda: not self._waiting.calls)
        is_drained = not self._waiting.calls
        await self._until(lambda: not self.carrier.feeds)
        unanswered = "" if is_drained else f", and did not answer within {patience:g} s"
        self.end(Ended(f"it was replaced{unanswered}"))

    async def _until(self, is_so: Callable[[], bool]) -> None:
        """Wait for what comes with an answer, with a feed that is given up, or with the end."""
        while not is_so() and self.cause is None:
            self._idle = trio.Event()
            await self._idle.wait()

    async def _read(self) -> None:
        try:
            while True:
                # Nothing else is awaited here, so no caller and no subscriber can delay the next pong (G3).
                messages = await self._wire.receive()
                self.heard_at = ticks()
                self.last_heard = self._shared.now()
                for message in messages:
                    self._heed(message)
        except WireClosed as closed:
            self.end(closed)
        except Exception as bug:
            # A message on which our code fails ends this connection, and not the session.
            self.teller.log_bug("the reader failed")
            self.end(bug)

    async def _watch_heart(self) -> None:
        self.end(await self._heart.stop(self._wire))

    async def _watch_deadlines(self) -> None:
        await self._waiting.deadlines.watch(self._waiting.calls, self._wire, self._forget)

    def _pong_written(self, waited: float) -> None:
        self.heard_at = ticks()
        self.last_heard = self._shared.now()
        self._heart.beat()
        self.teller.tell(facts.PingAnswered, seconds=waited)

    def _arriving(self) -> None:
        self._heart.arriving(self._wire.arrival.since)

    # Calls

    @property
    def is_full(self) -> bool:
        """Whether a call should wait for room in the queue for writing."""
        return self._wire.is_full

    @property
    def in_flight(self) -> int:
        """How many calls wait for their answer."""
        return len(self._waiting.calls)

    @property
    def backlog(self) -> int:
        """Bytes that wait to be written."""
        return self._wire.backlog

    async def room(self) -> None:
        """Wait until there may be room to queue a call, or is no need to wait here. No checkpoint if there is room."""
        try:
            await self._wire.room()
        except WireClosed as closed:
            self.end(closed)

    async def call(self, call: Call, local: float) -> Envelope:
        """Send a call and wait for its answer.

        Args:
            call: what to send.
            local: the local time, which is now.

        Raises:
            Lost: the connection ended first.
            Overdue: its deadline passed first.
            InvalidRequest: the id is that of another call.
        """
        # A caller that is cancelled already sends nothing. Otherwise this is no checkpoint.
        await trio.lowlevel.checkpoint_if_cancelled()
        self._send(call, local)
        try:
            answer = await call.answer[1].receive()
        except BaseException:  # cancelled, or Ctrl-C
            self._forget(call)
            raise
        self._shared.channels.append(call.answer)
        if not isinstance(answer, Envelope):
            raise answer
        if call.trace is not None:
            call.trace.taken(answer)
        return answer

    @trio.lowlevel.enable_ki_protection
    def _send(self, call: Call, local: float) -> None:
        # The connection may have ended while the caller waited for room.
        if self.cause is not None:
            raise Lost(self.cause, is_sent=False)
        call.wire_id = self._waiting.id_for(call)
        data = write_request(call.wire_id, call.api.name, self._authenticated(call, local))
        trace = call.trace
        written = None if trace is None else trace.begin(local, self.teller, data)
        try:
            # Calls that are made right after answers that came together are written together.
            call.outgoing = self._wire.send_nowait(data, at_once=not self._waiting.calls, written=written)
        except WireClosed as closed:
            # The wire may know of its end before the reader has had its turn.
            self.end(closed)
            raise Lost(closed, is_sent=False) from None
        # Only what was queued is charged, and waits for an answer.
        self._waiting.enter(call, local)
        if trace is not None:
            trace.queued(call.wire_id, len(data))

    def _authenticated(self, call: Call, local: float) -> dict[str, Json]:
        if not call.api.signed:
            return call.params
        timestamp = self._shared.clock.now(local)
        call.signed_at = timestamp
        params = {**call.params, "timestamp": timestamp}
        # On a connection that is logged on, calls of that account need no signature.
        is_known = self.is_logged_on and call.account is self._shared.own
        key = call.key or (None if is_known else call.account.key)
        # Asked each time: neither another address nor another key may find a way around it.
        if key is not None:
            check_privacy(self.address, key, is_private=self.is_private)
            params["apiKey"] = key.api_key
            params["signature"] = key.sign(payload(params))
        else:
            # If the exchange then says that the key is missing, it has forgotten the logon: see `_refused`.
            call.trusts_logon = True
        return params

    @trio.lowlevel.enable_ki_protection
    def _forget(self, call: Call) -> None:
        self._waiting.forget(call, self.last_heard)
        self._note_idle()

    def _note_idle(self) -> None:
        if not self._waiting.calls:
            self._idle.set()

    # What comes in

    def _take(self, message: Message) -> None:
        try:
            # The exchange answers in text only. Dropping it costs nobody else's call.
            if message.opcode is not Opcode.TEXT:
                raise ProtocolViolation("a binary message", raw=message.payload)
            envelope = read_envelope(message.payload)
        except ProtocolViolation as violation:
            self._strays.drop(str(violation))
            return
        if envelope.event:
            self.carrier.take(envelope)
        elif envelope.id is not None:
            self._take_reply(envelope.id, envelope, message)
        else:
            self._take_verdict(envelope, message.payload)

    def _take_reply(self, request_id: RequestId, envelope: Envelope, message: Message) -> None:
        # An answer that nobody waits for any more shows as well that calls are answered.
        self._doubt.answered_at = self.heard_at
        calls = self._waiting.calls
        # Taken out in the same step in which its caller is told, so no second answer can reach it (G2).
        call = calls.pop(request_id, None)
        if call is None:
            self._strays.take_reply(request_id, envelope, self.heard_at)
            return
        # Before its caller wakes up, who may ask for room at once.
        call.account.ledger.settle(call.charge, envelope.rate_limits, self.heard_at)
        accept = call.accept or self._accept.get(call.api.name)
        if accept is not None and envelope.error is None:
            with suppress(ProtocolViolation):  # the caller, who decodes the same result, raises it
                accept(envelope)
        if call.trace is not None:
            call.trace.answered(len(message.payload))
        # Here, in the reader, so that a 429 holds back all calls before its own caller has woken up (G8).
        call.answer[0].send_nowait(envelope if envelope.status == 200 else self._refused(call, envelope))
        if not calls:
            self._idle.set()

    def _refused(self, call: Call, envelope: Envelope) -> Answer:
        """Heed what an answer that is no plain success says about anything beyond this call.

        Returns what its caller is told.
        """
        self._shared.throttle.take_answer(self.number, envelope, call.account)
        if call.trusts_logon and says_not_logged_on(envelope):
            self.logon_lost()
            # It is a read, so it goes out again, with a signature. A trading call goes out once (G7).
            if call.api.repeatable:
                call.trusts_logon = False
                # If it can go nowhere any more, it has left all the same.
                call.is_sent = True
                return Lost(LogonLost(), is_sent=False)
        return envelope

    def logon_lost(self) -> None:
        """The exchange does not take it for logged on any more. From now on calls are signed one by one, and another
        connection takes its place.
        """
        self.is_logged_on = False
        self.give_notice(str(LogonLost()))

    def _take_verdict(self, envelope: Envelope, payload: bytes) -> None:
        """An answer with id null is about the connection: it belongs to no call, and ends them all."""
        self._shared.throttle.take_answer(self.number, envelope, self._shared.own)
        # No status, so it is no reply. Events of the exchange itself come without an envelope.
        if envelope.status == 0:
            told = bare_event(payload)
            if told is not None and self.carrier.take_sign(told):
                return
            self._strays.drop("it is neither a reply nor an event")
            return
        error = read_verdict(envelope)
        # It names a time of the exchange's, which users are told in the unit of the session.
        if isinstance(error, RateLimited):
            self._shared.throttle.date(error, CONNECT_COST)
        self.end(error)

    def _logged_on(self, _envelope: Envelope) -> None:
        self.is_logged_on = True

    def _logged_off(self, _envelope: Envelope) -> None:
        self.is_logged_on = False
