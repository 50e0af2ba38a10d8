"""Two accounts behind one address: their sessions share weight, connections and bans; each account has its own orders.

It runs by itself, on a local exchange with small limits: ``python examples/shared_limits.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

import trio

import bintrio
from bintrio.sandbox import Limits, Sandbox, open_sandbox, trader

SMALL = Limits(weight=300, orders_per_10_seconds=10)


async def trade(sandbox: Sandbox, owner: str, key: bintrio.Key, limits: bintrio.SharedLimits, orders: int) -> None:
    """Place orders as fast as the limits of the address and of the account allow."""
    async with bintrio.open_session(
        sandbox.endpoint,
        key=key,
        connect=sandbox.connect,
        ledger=limits.account(owner),
        request_timeout=120,  # a call waits for room within its timeout
        name=owner,
    ) as session:
        for number in range(orders):
            await session.order_place(
                symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=40_000 + number, quantity="0.001"
            )
        weight = session.request_weight
        used = " and ".join(f"{limit.count} of {limit.limit}" for limit in session.order_counts)
        print(f"{owner}: {used} orders; the address has used {weight.count if weight else '?'} of its weight")


async def run(sandbox: Sandbox, keys: Mapping[str, bintrio.Key], orders: int = 25) -> None:
    """Two sessions for each account, and one set of limits for all."""
    limits = bintrio.SharedLimits()
    async with trio.open_nursery() as nursery:
        for owner, key in keys.items():
            for _ in range(2):
                nursery.start_soon(trade, sandbox, owner, key, limits, orders)


async def main() -> None:
    """On a sandbox with two accounts."""
    other = trader(uid=7)
    async with open_sandbox(listen=False, limits=SMALL) as sandbox:
        sandbox.add_account(other)
        await run(sandbox, {"alice": sandbox.key, "bob": other.key})
        refused = [call for call in sandbox.calls if call.status in {418, 429}]
        print(f"{len(sandbox.calls)} calls, {len(refused)} refused")


if __name__ == "__main__":
    trio.run(main)
