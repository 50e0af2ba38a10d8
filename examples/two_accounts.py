"""Two accounts on one connection: one trades as the other's counterpart, and both are told what came of it.

It runs by itself, on a local exchange: ``python examples/two_accounts.py``.
"""

from __future__ import annotations

from decimal import Decimal

import trio

import bintrio
from bintrio.account import LiveAccount
from bintrio.sandbox import open_sandbox, trader

SYMBOL = "BTCUSDT"


async def move(seller: LiveAccount, buyer: LiveAccount, quantity: Decimal, price: Decimal) -> Decimal:
    """Have one account sell to the other at a price at which nobody else trades.

    Returns:
        How much the buyer got. Somebody else may have been faster.
    """
    offer = await seller.place(
        symbol=SYMBOL, side="SELL", type="LIMIT_MAKER", price=price, quantity=quantity, new_order_resp_type="ACK"
    )
    taken = await buyer.place(
        symbol=SYMBOL, side="BUY", type="LIMIT", time_in_force="IOC", price=price, quantity=quantity
    )
    await taken.closed()
    if not offer.is_closed:
        await offer.cancel()
    await offer.closed()
    return sum((fill.qty for fill in taken.fills), Decimal(0))


async def run(session: bintrio.Session, other: bintrio.Key) -> None:
    """Move a little from the session's account to the other one."""
    async with session.account() as mine, session.using(other).account() as theirs:
        book = await session.ticker_book(symbol=SYMBOL)
        if book.bid_price is None or book.ask_price is None:
            raise SystemExit("nobody trades at present")
        between = ((book.bid_price + book.ask_price) / 2).quantize(Decimal("0.01"))
        before = mine.balances["BTC"].free, theirs.balances["BTC"].free
        moved = await move(mine, theirs, Decimal("0.5"), between)
        await trio.sleep(1)  # events come a little after the answers
        after = mine.balances["BTC"].free, theirs.balances["BTC"].free
        print(f"moved {moved} BTC at {between}: from {before} to {after}")
        print(f"orders counted: {session.order_counts[0].count} and {session.using(other).order_counts[0].count}")


async def main() -> None:
    """On a sandbox with two accounts."""
    other = trader(uid=7)
    async with open_sandbox(listen=False) as sandbox:
        sandbox.add_account(other)
        sandbox.quote(SYMBOL, Decimal(50_000), Decimal(50_010), Decimal(1))
        async with bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session:
            await run(session, other.hmac_key)
            assert session.counters.connections == 1


if __name__ == "__main__":
    trio.run(main)
