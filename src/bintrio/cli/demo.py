"""``bintrio demo``: a story with real figures. Sandbox, session, orders, events, and a rotation under load."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from decimal import Decimal
from typing import Final

import click
import trio
from rich.console import Console

from bintrio import BintrioError, ExecutionReport, OrderFull, Session, Subscriber, open_session
from bintrio._text import in_a_line, leaves
from bintrio.cli._figures import short
from bintrio.cli._running import need, run
from bintrio.sandbox import Sandbox, World, open_world

CALLS: Final = 300
"""Calls around the rotation, at least; as many more as it takes for the new connection to answer some."""

CALLS_AT_ONCE: Final = 64

MOST_CALLS: Final = 3_000
"""Where to stop, whatever the rotation does: the exchange takes 6,000 weight a minute."""

MOST_ORDERS: Final = 40
"""Among those calls: the exchange takes 50 orders in 10 seconds."""

EVENT_TIMEOUT: Final = 5.0
"""Seconds to wait for events that are missing."""

PATIENCE: Final = 60.0
"""Seconds for the whole demo."""


@click.command()
def demo() -> None:
    """Tell a story with real figures.

    It has a sandbox, a session, orders, events, and a rotation under load. Everything runs on this machine, over TCP
    and once over TLS.
    """
    need("trustme", "tls")
    run(_tell_story)


class _Story:
    """Lines with the milliseconds since the line before, and what failed."""

    def __init__(self, console: Console) -> None:
        self.failures: Final[list[str]] = []
        self._console = console
        self._began = self._since = time.perf_counter()

    def chapter(self, title: str) -> None:
        """A headline."""
        self._console.print(f"\n[bold]{title}[/bold]")
        self._since = time.perf_counter()

    def tell(self, text: str) -> None:
        """What was done since the line before."""
        self._console.print(f"{(time.perf_counter() - self._since) * 1000:9.1f} ms  {text}")
        self._since = time.perf_counter()

    def add(self, text: str) -> None:
        """More on the line before."""
        self._console.print(f"{'':12}  {text}")

    def fail(self, text: str) -> None:
        """Something that should not be."""
        self.failures.append(text)

    def expect_none(self, what: str, number: int) -> None:
        """Something that should not be, counted."""
        if number:
            self.fail(f"{what}: {number}")

    def end(self) -> None:
        """The sum of it."""
        self._console.print()
        for failure in self.failures:
            self._console.print(failure, style="red", markup=False)
        colour = "red" if self.failures else "green"
        seconds = time.perf_counter() - self._began
        self._console.print(f"{seconds:.2f} s in all, [{colour}]failures: {len(self.failures)}[/{colour}]")


async def _tell_story() -> int:
    """Tell it on the terminal. Gives 1 if something failed, else 0."""
    story = _Story(Console(highlight=False, soft_wrap=True))
    # A demo that hangs would tell nothing; one that ends tells how far it came.
    with trio.move_on_after(PATIENCE) as patience:
        try:
            await _over_tcp(story)
            await _over_tls(story)
        # A bug of ours is not caught, so it is seen whole.
        except* BintrioError as group:
            for error in leaves(group):
                story.fail(in_a_line(error))
    if patience.cancelled_caught:
        story.fail(f"it was not over within {PATIENCE:g} s")
    story.end()
    return min(len(story.failures), 1)


async def _over_tcp(story: _Story) -> None:
    async with open_world(World()) as running:
        story.chapter(f"A sandbox exchange on this machine, over TCP: {running.endpoint.urls[0]}")
        async with open_session(running.endpoint, key=running.key) as session, session.user_data() as events:
            story.tell("session open: connected, clock measured, logged on (Ed25519), own events subscribed to")
            await _trade(story, session, events)
            load = await _rotate_under_load(story, session)
            await _compare_events(story, running, events, load.orders)


async def _over_tls(story: _Story) -> None:
    async with open_world(World(), tls=True) as running:
        story.chapter(f"The same over TLS: {running.endpoint.urls[0]}")
        async with open_session(running.endpoint, key=running.key, ssl_context=running.ssl_context) as session:
            story.tell("session open: certificate verified, connected, clock measured, logged on")
            placed = await session.order_place(
                symbol="BTCUSDT", side="SELL", type="MARKET", quantity=Decimal("0.01"), new_order_resp_type="FULL"
            )
            story.tell(f"order {placed.order_id}: {_fills(placed)}")
            await _rotate_under_load(story, session)


async def _trade(story: _Story, session: Session, events: Subscriber) -> None:
    book = await session.depth(symbol="BTCUSDT", limit=5)
    bid, ask = book.bids[0], book.asks[0]
    story.tell(
        f"order book of BTCUSDT: {short(bid.quantity)} BTC bid for at {short(bid.price)} USDT, "
        f"{short(ask.quantity)} offered at {short(ask.price)}"
    )
    # So far from the market that it rests there until it is canceled.
    price, quantity = bid.price - 1_000, Decimal("0.02")
    resting = await session.order_place(
        symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=price, quantity=quantity
    )
    story.tell(f"order {resting.order_id}: a limit order to buy {quantity} BTC at {short(price)} rests in the book")
    placed = await session.order_place(
        symbol="BTCUSDT", side="BUY", type="MARKET", quantity=quantity, new_order_resp_type="FULL"
    )
    story.tell(f"order {placed.order_id}: {_fills(placed)}")
    await session.order_cancel(symbol="BTCUSDT", order_id=resting.order_id)
    story.tell(f"order {resting.order_id}: canceled")
    reports = await _until_canceled(events)
    story.tell("own events: " + ", ".join(f"order {each.order_id} {each.execution_type}" for each in reports))


async def _until_canceled(events: Subscriber) -> list[ExecutionReport]:
    reports: list[ExecutionReport] = []
    while not reports or reports[-1].execution_type != "CANCELED":
        event = await anext(events)
        if isinstance(event, ExecutionReport):
            reports.append(event)
    return reports


def _fills(placed: object) -> str:
    assert isinstance(placed, OrderFull), "what new_order_resp_type asked for"
    fills = ", ".join(f"{short(fill.qty)} BTC at {short(fill.price)} USDT" for fill in placed.fills)
    return f"a market order to {placed.side.lower()}, {placed.status}: {fills}"


class _Load:
    """Calls that keep coming, `CALLS_AT_ONCE` at a time.

    Attributes:
        calls: when each began and ended, failed or not.
        orders: order ids of those that were placed.
        failures: of calls that failed, in words.
        is_under_way: set when a third of `CALLS` have ended.
    """

    def __init__(self, session: Session) -> None:
        self.calls: Final[list[tuple[float, float]]] = []
        self.orders: Final[list[int]] = []
        self.failures: Final[list[str]] = []
        self.is_under_way: Final = trio.Event()
        self._session = session
        self._numbers = itertools.count(1)
        self._last = MOST_CALLS

    async def run(self) -> None:
        """Call until told to stop."""
        async with trio.open_nursery() as nursery:
            for _ in range(CALLS_AT_ONCE):
                nursery.start_soon(self._keep_calling)

    def stop_soon(self) -> None:
        """Enough, once `CALLS` are made and everything that is in flight has been followed by another call."""
        self._last = min(max(CALLS, len(self.calls) + 2 * CALLS_AT_ONCE), MOST_CALLS)

    def worst(self, start: float, end: float) -> float:
        """The longest of the calls that were in flight at any time between the two."""
        # Also those that only began or only ended meanwhile: they are what a rotation could have held up.
        return max(ended - began for began, ended in self.calls if began <= end and ended >= start)

    async def _keep_calling(self) -> None:
        # `_last` may be lowered meanwhile: whoever comes to its next call then stops.
        while (number := next(self._numbers)) <= self._last:
            began = time.perf_counter()
            try:
                # One in eight is an order, so that events come during the rotation as well.
                await (self._place() if number % 8 == 0 and number // 8 <= MOST_ORDERS else self._session.ping())
            except BintrioError as error:
                # One call that fails must not end the others: the demo tells how many did.
                self.failures.append(in_a_line(error))
            self.calls.append((began, time.perf_counter()))
            if len(self.calls) >= CALLS // 3:
                self.is_under_way.set()

    async def _place(self) -> None:
        placed = await self._session.order_place(
            symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price="60000", quantity="0.001"
        )
        self.orders.append(placed.order_id)


async def _rotate_under_load(story: _Story, session: Session) -> _Load:
    load = _Load(session)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.run)
        await load.is_under_way.wait()
        old, before = session.connection, time.perf_counter()
        assert old is not None
        # Noted now: afterwards they are answered.
        in_flight = old.in_flight
        await session.rotate()
        # In one step with the swap, before the old connection has had time to answer.
        after, owed, new = time.perf_counter(), old.in_flight, session.connection
        # Not before: the rotation is to happen under load.
        load.stop_soon()
    assert new is not None
    for failure in load.failures:
        story.fail(failure)
    story.tell(
        f"{len(load.calls)} calls, {CALLS_AT_ONCE} at a time, {len(load.orders)} of them orders; meanwhile rotated:"
    )
    story.add(f"connection {old.number} to connection {new.number} in {(after - before) * 1000:.1f} ms")
    story.add(f"calls in flight when it began: {in_flight}; at the swap: {owed}, answered by the old connection")
    worst, rest = load.worst(before, after), load.worst(0, before)
    story.add(f"worst latency during the rotation: {worst * 1000:.1f} ms; before it: {rest * 1000:.1f} ms")
    story.add(f"failed calls: {len(load.failures)}; connections lost: {session.counters.losses}")
    story.expect_none("connections lost", session.counters.losses)
    return load


async def _compare_events(story: _Story, running: Sandbox, events: Subscriber, orders: list[int]) -> None:
    """Whether each order was heard of once, once the old connection is gone and can repeat nothing any more."""
    missing, heard = set(orders), Counter[int]()
    with trio.move_on_after(EVENT_TIMEOUT):
        is_over = False
        while not is_over:
            await trio.sleep(0.001)  # the sandbox tells nobody when a connection closes
            is_over = running.connections == 1
        # Also what still waits: a doubled event may come after the last that was missing.
        while missing or events.waiting:
            event = await anext(events)
            if isinstance(event, ExecutionReport) and event.order_id in orders:
                heard[event.order_id] += 1
                missing.discard(event.order_id)
    doubled = heard.total() - len(heard)
    story.tell(f"old connection closed; of {len(orders)} orders, events lost: {len(missing)}, doubled: {doubled}")
    story.expect_none("events lost", len(missing))
    story.expect_none("events doubled", doubled)
