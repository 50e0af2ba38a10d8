"""What tests of user data look at."""

from __future__ import annotations

from typing import Any

import trio

import bintrio
from tests.peer import START, Peer

SUBSCRIBE = "userDataStream.subscribe"


def drain(events: bintrio.Subscriber) -> list[Any]:
    """What waits to be read; balance updates by their numbers."""
    received: list[Any] = []
    while events.waiting:
        event = events._events.receive_nowait()
        received.append(int(event.delta) if isinstance(event, bintrio.BalanceUpdate) else event)
    return received


def kinds(received: list[Any]) -> list[str]:
    return [type(event).__name__ for event in received]


async def refuse_one(peer: Peer, status: int, code: int) -> None:
    await peer.refuse(await peer.next(), status, code, "no")


def now() -> int:
    """The exchange's time, in milliseconds."""
    return START + int(trio.current_time() * 1000)
