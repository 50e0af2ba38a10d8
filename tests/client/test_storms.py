"""Storms: sessions that share a ledger, and an exchange that refuses at random, wherever a refusal can come in."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, Final, NamedTuple

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._client.throttle import ticks
from bintrio._protocol.holds import Refusal
from bintrio._protocol.rate_limits import LocalLedger
from tests.peer import Json, Peer, ed25519_key
from tests.refusing import SLOW_DOWN, World, open_world, quietly
from tests.sessions import HMAC

pytestmark = pytest.mark.usefixtures("both_streams")

UNSTATED: Final = {429: 60, 418: 120}
"""Seconds for which a refusal holds that does not say until when, if no window is used up."""

PATIENCE: Final = 35
"""Seconds after a hold within which something reaches the exchange: the longest pause before connecting is 30 s."""

FORMS: Final[dict[str, Callable[[World, int], Json]]] = {
    "ms": lambda world, wait: {"data": {"retryAfter": world.now() + wait}},
    "us": lambda world, wait: {"data": {"retryAfter": (world.now() + wait) * 1000}},
    "string": lambda world, wait: {"data": {"retryAfter": str(world.now() + wait)}},
    "float": lambda world, wait: {"data": {"retryAfter": float(world.now() + wait)}},
    "server": lambda world, wait: {"data": {"serverTime": world.now(), "retryAfter": world.now() + wait}},
    "words": lambda world, wait: {"msg": f"IP banned until {world.now() + wait}."},
}


class Step(NamedTuple):
    """What happens next.

    Attributes:
        what: what it is.
        form: how a refusal says until when.
        wait: seconds that it says to wait.
        status: its status.
        who: to which session it happens.
        which: on which of its connections.
        by: milliseconds by which the exchange's clock is set.
        pause: seconds until the next.
    """

    what: str
    form: str
    wait: int
    status: int
    who: int
    which: int
    by: int
    pause: float


steps = st.builds(
    Step,
    what=st.sampled_from(["answer", "answer", "nobody", "null", "handshake", "rotate", "cut", "set", "new"]),
    form=st.sampled_from([*sorted(FORMS), "bare", "bare status"]),
    wait=st.integers(1, 40),
    status=st.sampled_from([429, 418]),
    who=st.integers(0, 2),
    which=st.integers(0, 3),
    by=st.sampled_from([-3_600_000, -90_000, -5_000, 300, 5_000, 90_000, 3_600_000]),
    pause=st.floats(0, 30).map(lambda pause: round(pause, 2)),
)


class Storm:
    """Sessions of one address under random refusals, and a watch on what leaves, and when.

    Attributes:
        holds: from when to when nothing may leave.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self.members: list[tuple[bintrio.Session, World]] = []
        self.holds: list[tuple[float, float]] = []
        self.ledger = LocalLedger()
        self._nursery = nursery

    async def join(self, stack: AsyncExitStack, **options: Any) -> None:
        """Another session, which asks for something now and then."""
        session, world = await stack.enter_async_context(open_world(ledger=self.ledger, request_timeout=5, **options))
        if self.members:
            world.skew = self.members[0][1].skew
        self.members.append((session, world))
        self._nursery.start_soon(self._poll, session, 0.7 + 0.6 * len(self.members))

    async def _poll(self, session: bintrio.Session, pause: float) -> None:
        while True:
            await quietly(session.ping)
            await trio.sleep(pause)

    def is_held(self) -> bool:
        return any(begin <= trio.current_time() < end for begin, end in self.holds)

    def note(self, wait: float) -> None:
        # A message is whole when its last byte is there, and a time is rounded up.
        self.holds.append((trio.current_time(), trio.current_time() + wait - 0.001))

    def breaches(self) -> list[tuple[float, tuple[float, float]]]:
        arrivals = [time for _, world in self.members for time in world.arrivals()]
        return [(time, hold) for time in arrivals for hold in self.holds if hold[0] < time < hold[1]]

    def idle(self) -> list[tuple[float, float]]:
        """When nothing of a session reached the exchange for long although nothing held it back."""
        found: list[tuple[float, float]] = []
        for _, world in self.members:
            times = [*world.arrivals(), trio.current_time()]
            for last, following in itertools.pairwise(times):
                free = max([last, *(end for _, end in self.holds if end <= following)])
                if following - free > PATIENCE:
                    found.append((free, following))
        return found

    async def step(self, stack: AsyncExitStack, step: Step) -> None:
        if step.what == "new" and len(self.members) < 3 and not self.is_held():
            await self.join(stack)
        session, world = self.members[step.who % len(self.members)]
        alive = [peer for peer in world.peers if not peer.is_over.is_set()]
        if step.what == "rotate":
            self._nursery.start_soon(quietly, session.rotate)
        elif step.what == "handshake":
            await self.refuse_handshake(session, world, step)
        elif step.what == "set" and not self.is_held():
            await self.set_clocks(step.by)
        elif step.what == "cut" and alive:
            await alive[step.which % len(alive)].cut()
        elif step.what in {"answer", "nobody", "null"} and alive and not self.is_held():
            await self.refuse(session, world, alive[step.which % len(alive)], step)
        await trio.sleep(step.pause)

    async def set_clocks(self, by: int) -> None:
        """Of the exchange; and each session has asked for the time before another refusal comes."""
        for _, world in self.members:
            world.skew += by
        for session, _ in self.members:
            await quietly(session.rotate)

    async def refuse_handshake(self, session: bintrio.Session, world: World, step: Step) -> None:
        is_bare = step.form not in FORMS
        said = b"" if is_bare else b"Retry-After: %d\r\n" % step.wait
        world.refuse_handshakes = b"HTTP/1.1 %d No\r\n%sContent-Length: 0\r\n\r\n" % (step.status, said)
        knocks = len(world.knocks)
        self._nursery.start_soon(quietly, session.rotate)
        await wait_all_tasks_blocked()
        world.refuse_handshakes = b""
        if len(world.knocks) > knocks:
            self.note(UNSTATED[step.status] if is_bare else step.wait)

    async def refuse(self, session: bintrio.Session, world: World, peer: Peer, step: Step) -> None:
        reply: Json = {"id": None if step.what == "null" else 987_654, "status": step.status}
        if step.what == "answer":
            reply["id"] = await self.asked(session, world, peer)
        if step.form != "bare status":
            until = FORMS[step.form](world, step.wait * 1000) if step.form in FORMS else {}
            reply["error"] = {**SLOW_DOWN, **until}
        with suppress(Exception):  # it has ended meanwhile
            await peer.send(json.dumps(reply))
            await wait_all_tasks_blocked()
            self.note(step.wait if step.form in FORMS else UNSTATED[step.status])

    async def asked(self, session: bintrio.Session, world: World, peer: Peer) -> Any:
        """The id of a call that waits for its answer; of none if it goes out on another connection."""
        world.script["depth"] = None
        self._nursery.start_soon(quietly, lambda: session.depth(symbol="A"))
        with trio.move_on_after(1):
            return (await peer.next())["id"]
        return 987_654


@pytest.mark.untraced
@settings(max_examples=30)
@given(planned=st.lists(steps, min_size=1, max_size=8))
def test_g8_nothing_leaves_in_a_hold_and_everything_goes_on_after_it(planned: list[Step]) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
            storm = Storm(nursery)
            await storm.join(stack, key=ed25519_key())
            await stack.enter_async_context(storm.members[0][0].user_data())
            await storm.join(stack, key=HMAC)
            for step in planned:
                await storm.step(stack, step)
            await trio.sleep(200)
            assert storm.breaches() == []
            assert storm.idle() == []
            for session, _ in storm.members:
                assert session.hold is None
                assert await session.ping() is not None
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))


def heed_nothing(_where: str, _envelope: object) -> None:
    pass


def test_the_storm_would_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A storm over sessions that heed nothing sees breaches, and one over such as are held for ever sees them idle."""

    async def main() -> None:
        async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
            storm = Storm(nursery)
            await storm.join(stack)
            session, _ = storm.members[0]
            monkeypatch.setattr(session._shared.throttle, "take_answer", heed_nothing)
            await storm.step(stack, Step("nobody", "ms", wait=10, status=429, who=0, which=0, by=0, pause=60))
            assert storm.breaches()
            assert not storm.idle()
            session._shared.own.ledger.hold(Refusal(429, -1003, "m", 10**6), ticks())
            await trio.sleep(60)
            assert storm.idle()
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
