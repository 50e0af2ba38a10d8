"""Watch an account: every few seconds what it is worth, and how the session is doing.

    BINTRIO_ENDPOINT=testnet BINTRIO_API_KEY=... BINTRIO_PRIVATE_KEY_FILE=trading.pem python watch.py

``bintrio watch`` shows much more. This is how such a program is made: balances come from an account that keeps itself
up to date, prices by one call, and everything else is there already.
"""

from __future__ import annotations

from decimal import Decimal

import trio

import bintrio
from bintrio.account import LiveAccount
from bintrio.settings import Settings
from bintrio.times import to_datetime

QUOTE = "USDT"
PAUSE = 5
"""Seconds between two lines."""


async def worth(session: bintrio.Session, account: LiveAccount) -> Decimal:
    """What the balances are worth in `QUOTE`, as far as their assets are traded against it."""
    tickers = await session.ticker_price()
    prices = {ticker.symbol: ticker.price for ticker in tickers}
    total = Decimal(0)
    for holding in account.balances.values():
        price = Decimal(1) if holding.asset == QUOTE else prices.get(f"{holding.asset}{QUOTE}")
        total += (holding.free + holding.locked) * (price or 0)
    return total


def line_of(session: bintrio.Session, account: LiveAccount, total: Decimal) -> str:
    """How things stand, in a line."""
    time = to_datetime(session.now(), time_unit=session.time_unit)
    connection = "none" if session.connection is None else str(session.connection.number)
    weight = session.request_weight
    return ", ".join(
        (
            f"{time:%H:%M:%S}  {total:.2f} {QUOTE}{'' if account.is_current else ' (some changes may be missing)'}",
            f"{len(account.orders)} open orders",
            f"connection {connection}",
            f"round trip {session.round_trip * 1000:.1f} ms",
            "weight unknown" if weight is None else f"weight {weight.count} of {weight.limit}",
        )
    )


async def watch(session: bintrio.Session, account: LiveAccount) -> None:
    """Print a line every few seconds, until cancelled."""
    while True:
        try:
            print(line_of(session, account, await worth(session, account)), flush=True)
        except (bintrio.NotSent, bintrio.OutcomeUnknown) as error:  # it goes on as soon as there is a connection
            print(error, flush=True)
        await trio.sleep(PAUSE)


async def main() -> None:
    async with Settings.from_env().open_session() as session, session.account() as account:
        await watch(session, account)


if __name__ == "__main__":
    trio.run(main)
