"""Where a scenario of `faults` is played: a sandbox, and a client in a process of its own that trades on it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio

from bintrio.sandbox import Link, Sandbox, SandboxAccount, SandboxKey, open_sandbox

from .clients import API_KEY, API_SECRET, CLIENTS
from .fault_report import Seen

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

ROOT: Final = Path(__file__).parent.parent
LIMIT: Final = 40.0
"""Seconds for a call; one that takes longer counts as one that never ends."""
OPENING: Final = 60.0
"""Seconds for a client to open and to follow its user data; the machine may be busy."""
PART: Final = Decimal("0.001")
"""Of an order's quantity, filled at a time."""

TRUE: Final = {"done": True, "refused": False, "not sent": False}
"""Whether an order was executed, of which a client says so. Other words are true whatever happened."""


class Outcome(msgspec.Struct, frozen=True):
    """What a client said of an order, and after how many seconds."""

    word: str
    seconds: float
    words: str


class Stage:
    """A sandbox, and a client that trades on it.

    Attributes:
        sandbox: what it trades on.
        seen: what was seen so far.
    """

    def __init__(self, sandbox: Sandbox, process: trio.Process) -> None:
        self.sandbox: Final = sandbox
        self.seen: Final = Seen()
        self._process = process
        self._heard = trio.Event()
        self._outcomes: dict[str, Outcome] = {}
        self._asked: list[str] = []
        self._retries: set[str] = set()
        self._died_at: float | None = None
        self._marks: set[str] = set()
        self._filled: set[Decimal] = set()
        self._fills = 0

    async def listen(self) -> None:
        """Take in what the client tells, to its end."""
        assert self._process.stdout is not None
        rest = b""
        async for data in self._process.stdout:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                with suppress(ValueError):  # a client may print something of its own
                    self._take(*json.loads(line))
            self._heard.set()
            self._heard = trio.Event()

    def _take(self, kind: str, *told: Any) -> None:
        self._marks.add(kind)
        if kind == "order":
            self._outcomes[told[0]] = Outcome(*told[1:])
        elif kind == "filled":
            self._filled.add(Decimal(str(told[0])))
        elif kind == "sign":
            self.seen.signs.append(str(told[0]))

    async def _until(self, holds: Callable[[], bool], seconds: float) -> None:
        with trio.move_on_after(seconds):
            while not holds():
                await self._heard.wait()

    async def _tell(self, **command: str) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.send_all(json.dumps(command).encode() + b"\n")

    async def open(self) -> None:
        """Wait for the client."""
        await self._until(lambda: "open" in self._marks, OPENING)
        if "open" not in self._marks:
            raise RuntimeError("the client did not open")

    # Orders

    async def begin_order(self) -> str:
        """Have the client place an order. Gives its client order id."""
        name = f"order-{len(self._asked)}"
        self._asked.append(name)
        await self._tell(do="order", id=name)
        return name

    async def order(self, limit: float = LIMIT) -> Outcome | None:
        """Have the client place an order. Gives what it says of it; None if that takes too long."""
        return await self.end_of(await self.begin_order(), limit)

    async def end_of(self, name: str, limit: float = LIMIT) -> Outcome | None:
        """What the client says of an order; None if that takes too long."""
        await self._until(lambda: name in self._outcomes, limit)
        return self._outcomes.get(name)

    async def notice(self, limit: float) -> None:
        """Have an order placed over a connection that has just died, and note how long it takes to end."""
        self._died_at = trio.current_time()
        outcome = await self.order(limit)
        self.seen.noticed_after = None if outcome is None else outcome.seconds

    async def go_on(self, seconds: float = 30.0) -> None:
        """Note whether an order goes through, and when; every second another one is placed if the last one ended."""
        self.seen.goes_on, end = False, trio.current_time() + seconds
        while not self.seen.goes_on and trio.current_time() < end:
            name = await self.begin_order()
            outcome = await self.end_of(name)
            self.seen.goes_on = outcome is not None and outcome.word == "done"
            self._retries.add(name)
            await trio.sleep(0 if self.seen.goes_on else 1)
        if self.seen.goes_on and self._died_at is not None:
            self.seen.through_after = trio.current_time() - self._died_at

    # User data

    async def follow(self) -> None:
        """Have the client follow its user data, and fill a part of an order: an event."""
        await self.ask_to_follow()
        await self.order()
        self.fill()
        await self._until(lambda: bool(self._filled), 5)
        self.seen.follows = bool(self._filled)

    async def ask_to_follow(self) -> bool:
        """Have the client follow its user data. False if it says that it cannot."""
        self._marks -= {"following", "sign"}
        await self._tell(do="follow")
        await self._until(lambda: bool(self._marks & {"following", "sign"}), OPENING)
        return "sign" not in self._marks

    def fill(self) -> None:
        """Fill a part of the first order: an event that the client is to tell of."""
        self._fills += 1
        self.sandbox.fill(self.sandbox.orders[0], PART)

    async def come_back(self, seconds: float = 15.0) -> None:
        """Let two more events happen, some seconds apart; note whether the last one reaches the client."""
        for _ in range(2):
            await trio.sleep(seconds / 2)
            self.fill()
        await self._until(lambda: PART * self._fills in self._filled, 5)
        self.seen.is_back = PART * self._fills in self._filled

    # The end

    def judge(self) -> Seen:
        """What was seen, held against what happened."""
        executed = {order.client_order_id for order in self.sandbox.orders}
        placed = [call.params.get("newClientOrderId") for call in self.sandbox.calls if call.method == "order.place"]
        self.seen.doubled = sum(count - 1 for count in Counter(placed).values())
        for name in self._asked:
            self._judge(name, is_executed=name in executed)
        events = [PART * number for number in range(1, self._fills + 1)]
        self.seen.lost = sum(event not in self._filled for event in events) if self.seen.follows else 0
        return self.seen

    def _judge(self, name: str, *, is_executed: bool) -> None:
        outcome = self._outcomes.get(name)
        if outcome is None:
            self.seen.never_ended += 1
            return
        happened = "executed" if is_executed else "not executed"
        self.seen.said.append(f"{outcome.word}, {happened}, {outcome.seconds:.1f} s: {outcome.words}")
        is_true = outcome.word != "another order's answer" and TRUE.get(outcome.word, is_executed) == is_executed
        self.seen.wrong += not is_true
        # Of retries there are the more, the sooner they end: what they do not say is not counted again.
        self.seen.silent += outcome.word == "says nothing" and name not in self._retries


@asynccontextmanager
async def staged(client: str, link: Link) -> AsyncGenerator[Stage]:
    """A stage with a client, whose process is ended at the end."""
    balances = {"BTC": Decimal(100), "USDT": Decimal(1_000_000)}
    account = SandboxAccount(2, balances, keys=[SandboxKey(API_KEY, secret=API_SECRET)])
    async with (
        open_sandbox(accounts=[account], start_time_ms=None, link=link) as sandbox,
        trio.open_nursery() as nursery,
    ):
        command = [sys.executable, "-m", "benchmarks.fault_driver", CLIENTS[client], sandbox.endpoint.urls[0]]
        process = await trio.lowlevel.open_process(command, cwd=ROOT, stdin=-1, stdout=-1, stderr=-3)
        try:
            stage = Stage(sandbox, process)
            nursery.start_soon(stage.listen)
            await stage.open()
            yield stage
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
            nursery.cancel_scope.cancel()
