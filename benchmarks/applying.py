"""What it costs an account to apply an event, beside what it costs to deliver one: CPU time, in one run.

    python -m benchmarks.applying [ROUNDS]

Events are those of orders that are taken, trade twice and are filled, each with the position that comes with it, as the
exchange's document shows them. Delivering is all from the bytes of the wire to the hands of a subscriber.
"""

from __future__ import annotations

import json
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import trio

import bintrio
from bintrio.account import LiveAccount
from bintrio.account.live import Entering

from .in_memory import MemoryServer
from .server import DATA, frame

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDERS: Final = 500
STEPS: Final = (("NEW", "NEW", "0"), ("TRADE", "PARTIALLY_FILLED", "0.4"), ("TRADE", "FILLED", "1"))


def events(first_order: int, now: int) -> Iterator[dict[str, Any]]:
    """What the exchange tells of some orders, from the first to the last."""
    report, position = (
        json.loads((DATA / "events" / f"{name}.json").read_text(encoding="utf-8"))["event"]
        for name in ("executionReport", "outboundAccountPosition")
    )
    for order in range(first_order, first_order + ORDERS):
        for number, (kind, status, executed) in enumerate(STEPS):
            at = now + 10 * order + number
            of_order = {"i": order, "c": f"order-{order}", "C": "", "x": kind, "X": status, "q": "1", "z": executed}
            of_trade = {"t": 10 * order + number if kind == "TRADE" else -1, "l": executed, "E": at, "T": at, "W": now}
            yield report | of_order | of_trade
            yield position | {"E": at, "u": at}


async def measure(rounds: int) -> tuple[float, float]:
    """Microseconds for an event: delivering it, and applying it."""
    server = MemoryServer()
    key = bintrio.HmacKey("key", "secret")
    delivering: list[float] = []
    applying: list[float] = []
    async with (
        bintrio.open_session("ws://127.0.0.1", key=key, connect=server.connect) as session,
        session.user_data() as subscriber,
        trio.open_nursery() as nursery,
    ):
        teller = session._shared.observation.about()  # pyright: ignore[reportPrivateUsage]
        account = LiveAccount(Entering(session, 0.0, None), teller, nursery, 1000, 86_400, 10_000)
        (connection,) = server.exchange.connections
        for number in range(rounds):
            sent = list(events(1 + number * ORDERS, session.now()))
            wire = b"".join(frame(json.dumps({"subscriptionId": 0, "event": event}).encode()) for event in sent)
            began = time.process_time_ns()
            connection.transport.write(wire)
            taken = [await anext(subscriber) for _ in sent]
            delivered = time.process_time_ns()
            for event in taken:
                account._take(event)  # pyright: ignore[reportPrivateUsage]
            applied = time.process_time_ns()
            delivering.append((delivered - began) / len(sent) / 1000)
            applying.append((applied - delivered) / len(sent) / 1000)
            assert len(account.closed_orders) == min((number + 1) * ORDERS, 1000)
    return median(delivering), median(applying)


def main(arguments: list[str]) -> None:
    """Print both, and their ratio."""
    delivering, applying = trio.run(measure, int(arguments[0]) if arguments else 20)
    share = applying / delivering
    print(f"delivering an event: {delivering:.1f} us; applying it: {applying:.1f} us, {share:.2f} of that")


if __name__ == "__main__":
    main(sys.argv[1:])
