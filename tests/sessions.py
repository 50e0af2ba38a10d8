"""What tests of sessions begin with: a key and an order, calls in the background, events, cancellations, Ctrl-C."""

from __future__ import annotations

import math
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio.requests import OrderPlace
from tests.peer import Exchange

HMAC = bintrio.HmacKey("hmac-api-key", "top-secret")
BUY = OrderPlace(
    symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=1, quantity=1, new_client_order_id="mine"
)


class Outcome:
    """What a call in the background came to."""

    def __init__(self) -> None:
        self.value: Any = None
        self.error: Exception | None = None
        self.at = math.nan

    async def watch(self, call: Callable[[], Any]) -> None:
        try:
            self.value = await call()
        except bintrio.BintrioError as error:
            self.error = error
        self.at = trio.current_time()


def in_background(nursery: trio.Nursery, call: Callable[[], Any]) -> Outcome:
    outcome = Outcome()
    nursery.start_soon(outcome.watch, call)
    return outcome


async def deltas(events: bintrio.Subscriber, count: int) -> list[Any]:
    received = [await anext(events) for _ in range(count)]
    return [int(event.delta) if isinstance(event, bintrio.BalanceUpdate) else event for event in received]


async def interrupt_when_idle() -> None:
    await wait_all_tasks_blocked()
    signal.raise_signal(signal.SIGINT)


def run_with_ctrl_c(main: Callable[[], Awaitable[None]]) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        trio.run(main, clock=MockClock(autojump_threshold=0.01))
    finally:
        signal.signal(signal.SIGINT, before)


async def listen(session: bintrio.Session, received: list[Any]) -> None:
    async with session.user_data() as events:
        async for event in events:
            received.append(event)


async def pinging(exchange: Exchange) -> None:
    """What the exchange does: a ping every 20 s on every connection."""
    while True:
        await trio.sleep(20)
        for peer in exchange.peers:
            if not peer.is_over.is_set():
                await peer.websocket.ping()


class CancelsAfter(trio.abc.Instrument):
    """Cancels a scope after so many steps of the scheduler, whichever task takes them."""

    def __init__(self, steps: int, scope: trio.CancelScope) -> None:
        self.left, self._scope = steps, scope

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.left -= 1
        if self.left == 0:
            self._scope.cancel()
