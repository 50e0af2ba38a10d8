"""Send a message for each fill, and when it is not certain any more that none is missing.

    BINTRIO_ENDPOINT=testnet BINTRIO_API_KEY=... BINTRIO_PRIVATE_KEY_FILE=trading.pem python alerts.py

It only watches: orders may be placed by any program or by hand. Whoever takes the messages may be slow, as a chat or a
telephone is; so they wait in a queue, and the account is read on. What a lost connection hid is found by the account,
and told like all else.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import trio

from bintrio.account import Certainty, Change, FillAdded, LiveAccount
from bintrio.settings import Settings

Send = Callable[[str], Awaitable[None]]
"""Sends a message, and may take its time."""


def message_of(change: Change, account: LiveAccount) -> str | None:
    """What to say of a change; None for what needs no message."""
    if isinstance(change, FillAdded):
        order = account.order(change.symbol, change.order_id)
        side = "TRADED" if order is None else order.side
        found = "" if change.source == "event" else f" (found by {change.source})"
        return f"{side} {change.fill.qty} {change.symbol} at {change.fill.price}{found}"
    if isinstance(change, Certainty):
        return "nothing is missing any more" if change.as_of is None else f"fills may be missing: {change.reason}"
    return None


async def alert(account: LiveAccount, send: Send) -> None:
    """Send a message for each fill, until cancelled."""
    queue, messages = trio.open_memory_channel[str](math.inf)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_send_all, messages, send)
        async for change in account.changes():
            message = message_of(change, account)
            if message is not None:
                queue.send_nowait(message)


async def _send_all(messages: trio.MemoryReceiveChannel[str], send: Send) -> None:
    async for message in messages:
        await send(message)


async def show(message: str) -> None:
    """Put your own in its place: a request to a chat, or a mail."""
    print(message, flush=True)


async def main() -> None:
    async with Settings.from_env().open_session() as session, session.account() as account:
        await alert(account, show)


if __name__ == "__main__":
    trio.run(main)
