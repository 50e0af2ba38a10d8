"""What a session tells those who observe it, and how a slow observer is kept from holding it up.

    def count(fact):
        if isinstance(fact, observing.CallEnded):
            print(fact.method, fact.status, fact.at - fact.started_at)

    async with bintrio.open_session(bintrio.TESTNET, observer=count) as session:
        ...

An observer is called synchronously, in the task that the fact is about: for a call that is its caller's, so a tracer
finds the span around it. It must not block, since everything else waits meanwhile. What it raises is counted
(`Counters.observer_failures`) and logged once, and reaches nobody. More facts and kinds of facts may come with a later
version: match those that you know.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Set
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from ._client.observation import log_failure
from ._net.tasks import bare_nursery, check_trio, protected
from ._protocol.facts import AboutConnection as AboutConnection
from ._protocol.facts import AnswerDropped as AnswerDropped
from ._protocol.facts import ClockDoubted as ClockDoubted
from ._protocol.facts import ClockMeasured as ClockMeasured
from ._protocol.facts import ConnectionDue as ConnectionDue
from ._protocol.facts import ConnectionLost as ConnectionLost
from ._protocol.facts import ConnectionNotReady as ConnectionNotReady
from ._protocol.facts import ConnectionOpening as ConnectionOpening
from ._protocol.facts import ConnectionReady as ConnectionReady
from ._protocol.facts import ConnectionRetired as ConnectionRetired
from ._protocol.facts import Doubt as Doubt
from ._protocol.facts import EventsInterrupted as EventsInterrupted
from ._protocol.facts import EventsMissed as EventsMissed
from ._protocol.facts import EventUnclaimed as EventUnclaimed
from ._protocol.facts import Fact as Fact
from ._protocol.facts import HoldBegan as HoldBegan
from ._protocol.facts import HoldDoubted as HoldDoubted
from ._protocol.facts import LimitsUnknown as LimitsUnknown
from ._protocol.facts import MessageDropped as MessageDropped
from ._protocol.facts import MessageReceived as MessageReceived
from ._protocol.facts import MessageSent as MessageSent
from ._protocol.facts import NoConnection as NoConnection
from ._protocol.facts import NotSubscribed as NotSubscribed
from ._protocol.facts import Observer as Observer
from ._protocol.facts import PingAnswered as PingAnswered
from ._protocol.facts import SessionEnded as SessionEnded
from ._protocol.facts import SessionStarted as SessionStarted
from ._protocol.facts import Subscribed as Subscribed
from ._protocol.facts import SubscriberOverflowed as SubscriberOverflowed
from ._protocol.facts import SwapCause as SwapCause
from ._protocol.facts import Swapped as Swapped
from ._protocol.facts import Unsubscribed as Unsubscribed
from ._protocol.facts_of_accounts import AboutAccount as AboutAccount
from ._protocol.facts_of_accounts import AccountNotCurrent as AccountNotCurrent
from ._protocol.facts_of_accounts import BalancesNotCertain as BalancesNotCertain
from ._protocol.facts_of_accounts import FillsNotTold as FillsNotTold
from ._protocol.facts_of_accounts import OrderDenied as OrderDenied
from ._protocol.facts_of_accounts import OrderUnclear as OrderUnclear
from ._protocol.facts_of_accounts import OutcomeNotFound as OutcomeNotFound
from ._protocol.facts_of_calls import AboutCall as AboutCall
from ._protocol.facts_of_calls import Awaited as Awaited
from ._protocol.facts_of_calls import CallEnded as CallEnded
from ._protocol.facts_of_calls import CallSent as CallSent
from ._protocol.facts_of_calls import CallStarted as CallStarted
from ._protocol.facts_of_calls import CallWaited as CallWaited
from ._protocol.facts_of_calls import OutcomeKept as OutcomeKept
from ._protocol.facts_of_calls import QuestionPassedOver as QuestionPassedOver
from ._protocol.settings import check_duration, check_positive_int, is_async
from ._text import shown
from .errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AboutAccount",
    "AboutCall",
    "AboutConnection",
    "AccountNotCurrent",
    "AnswerDropped",
    "AsyncObserver",
    "Awaited",
    "BalancesNotCertain",
    "Buffered",
    "CallEnded",
    "CallSent",
    "CallStarted",
    "CallWaited",
    "ClockDoubted",
    "ClockMeasured",
    "ConnectionDue",
    "ConnectionLost",
    "ConnectionNotReady",
    "ConnectionOpening",
    "ConnectionReady",
    "ConnectionRetired",
    "Doubt",
    "EventUnclaimed",
    "EventsInterrupted",
    "EventsMissed",
    "Fact",
    "FillsNotTold",
    "HoldBegan",
    "HoldDoubted",
    "LimitsUnknown",
    "MessageDropped",
    "MessageReceived",
    "MessageSent",
    "NoConnection",
    "NotSubscribed",
    "Observer",
    "OrderDenied",
    "OrderUnclear",
    "OutcomeKept",
    "OutcomeNotFound",
    "PingAnswered",
    "QuestionPassedOver",
    "SessionEnded",
    "SessionStarted",
    "Subscribed",
    "SubscriberOverflowed",
    "SwapCause",
    "Swapped",
    "Unsubscribed",
    "buffered",
]

AsyncObserver: TypeAlias = Callable[[Fact], Awaitable[object]]
"""An observer for `buffered` that may wait."""

# Facts that are handed to another thread at once, since going there costs more than most of them.
_LONGEST_RUN: Final = 256


class Buffered:
    """An observer that never blocks: it keeps facts for a slow one. Made by `buffered`.

    Attributes:
        dropped: how many facts found no room, or came too late to be handed on.
        failures: at how many the slow observer failed.
        fact_kinds: the facts that the slow observer wants to be told; None for all.
    """

    def __init__(self, incoming: trio.MemorySendChannel[Fact], fact_kinds: Set[type[Fact]] | None) -> None:
        self.fact_kinds: Final = fact_kinds
        self.dropped = 0
        self.failures = 0
        self._incoming = incoming

    @property
    def waiting(self) -> int:
        """How many facts wait for the slow observer."""
        return self._incoming.statistics().current_buffer_used

    def __repr__(self) -> str:
        return f"<Buffered observer, {self.waiting} facts waiting, {self.dropped} dropped, {self.failures} failures>"

    def __call__(self, fact: Fact) -> None:
        """Keep a fact for the slow observer, or count it if there is no room, or nobody hands on any more."""
        try:
            self._incoming.send_nowait(fact)
        except (trio.WouldBlock, trio.ClosedResourceError):
            self.dropped += 1


class _Slow:
    """The other end: hands the facts on."""

    def __init__(self, observer: Any, facts: trio.MemoryReceiveChannel[Fact], buffered: Buffered) -> None:
        self.is_done = trio.Event()
        self._observer = observer
        self._facts = facts
        self._buffered = buffered

    async def run(self) -> None:
        """Hand on each fact, until no more come."""
        # Asked once: a function does not become an async one.
        give = self._wait_for if is_async(self._observer) else self._give_in_a_thread
        async for fact in self._facts:
            await give(fact)
        self.is_done.set()

    async def _wait_for(self, fact: Fact) -> None:
        try:
            await self._observer(fact)
        except Exception:
            self._note_failure(fact)

    async def _give_in_a_thread(self, fact: Fact) -> None:
        run = [fact]
        # What waits already goes along.
        with suppress(trio.WouldBlock, trio.EndOfChannel):
            while len(run) < _LONGEST_RUN:
                run.append(self._facts.receive_nowait())
        # A function that blocks for ever must not keep the session from closing.
        await trio.to_thread.run_sync(self._give, run, abandon_on_cancel=True)

    def _give(self, run: Sequence[Fact]) -> None:
        for fact in run:
            try:
                self._observer(fact)
            except BaseException:  # in this thread there is nobody else whom it could be meant for
                self._note_failure(fact)

    def _note_failure(self, fact: Fact) -> None:
        self._buffered.failures += 1
        # Once, since an observer that fails may do so at every fact.
        if self._buffered.failures == 1:
            log_failure(fact)


@asynccontextmanager
async def buffered(
    observer: Observer | AsyncObserver, *, buffer: int = 10_000, close_timeout: float = 2
) -> AsyncGenerator[Buffered]:
    """Keep facts for an observer that is slow.

        async with buffered(slow) as quick, bintrio.open_session(bintrio.TESTNET, observer=quick) as session:

    They are handed on in their order, in a task beside the session. What finds no room is dropped and counted.

    Args:
        observer: an async function, which is awaited; or a function, which is called in another thread and may block.
        buffer: how many facts may wait.
        close_timeout: seconds that those have which wait at the end; what is left then is dropped and counted. A
            function that blocks for longer is left to itself.

    Raises:
        InvalidRequest: the observer is no function, or a number cannot be right.
    """
    check_trio("buffered")
    if not callable(observer):
        raise InvalidRequest(f"observer must be a function, not {shown(observer)}", field="observer")
    check_positive_int("buffer", buffer)
    check_duration("close_timeout", close_timeout)
    incoming, facts = trio.open_memory_channel[Fact](buffer)
    quick = Buffered(incoming, getattr(observer, "fact_kinds", None))
    slow = _Slow(observer, facts, quick)

    async def leave() -> None:
        # So that the other end has handed on what waits, and then comes to its end.
        incoming.close()
        with trio.move_on_after(close_timeout):
            await slow.is_done.wait()

    try:
        async with bare_nursery(leave) as nursery:
            nursery.start_soon(protected, slow.run)
            yield quick
    finally:
        # What was not handed on in time is as lost as what found no room.
        quick.dropped += quick.waiting
