"""A bot that keeps a buy order below the market, and leaves nothing behind when it is told to end.

    BINTRIO_ENDPOINT=testnet BINTRIO_API_KEY=... BINTRIO_PRIVATE_KEY_FILE=trading.pem python bot.py

Its settings are those of `bintrio.settings`, and ``BOT_SYMBOL``, ``BOT_QUANTITY`` and ``BOT_PAUSE`` (seconds). SIGTERM,
as `docker stop` and systemd send it, and Ctrl-C end it: what is on its way is asked about, its orders are canceled, the
session is closed, and it exits with 0.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
from contextlib import suppress
from decimal import Decimal

import trio

import bintrio
from bintrio.rules import SymbolRules
from bintrio.settings import Settings

SYMBOL = os.environ.get("BOT_SYMBOL", "BTCUSDT")
QUANTITY = os.environ.get("BOT_QUANTITY", "0.001")
PAUSE = float(os.environ.get("BOT_PAUSE", "10"))

PREFIX = "example-bot-"
"""The client order ids of its own orders begin so: others of the account are left alone."""

TIME_TO_LEAVE = 25
"""Seconds. Whoever ends it must wait longer before it is killed: docker waits 10 s unless told otherwise."""


async def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    async with Settings.from_env().open_session() as session:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel_at_a_signal, scope)
                await trade(session)
        with trio.fail_after(TIME_TO_LEAVE):
            await withdraw(session)


async def cancel_at_a_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            print(f"{signal.Signals(number).name}: leaving", flush=True)
            scope.cancel()


async def trade(session: bintrio.Session) -> None:
    """One order at a time, a percent below the best bid, renewed after each pause."""
    rules = SymbolRules.of(await session.exchange_info(symbol=SYMBOL), SYMBOL)
    while True:
        book = await session.depth(symbol=SYMBOL, limit=5)
        if book.bids:
            await offer(session, rules.round_price(book.bids[0].price * Decimal("0.99")))
        await trio.sleep(PAUSE)
        await withdraw(session)


async def offer(session: bintrio.Session, price: Decimal) -> None:
    try:
        order = await session.order_place(
            symbol=SYMBOL,
            side="BUY",
            type="LIMIT_MAKER",
            price=price,
            quantity=QUANTITY,
            new_client_order_id=f"{PREFIX}{secrets.token_hex(8)}",
        )
        print(f"order {order.order_id} buys at {price}", flush=True)
    except bintrio.OutcomeUnknown as unknown:
        await session.confirm(unknown)  # whether it is there or not, `withdraw` sees the same
    except bintrio.Rejected as refused:
        print(f"refused: {refused}", flush=True)


async def withdraw(session: bintrio.Session) -> None:
    """Cancel every order of the bot's, also one whose answer nobody waited for."""
    for unknown in session.unresolved:
        await session.confirm(unknown)
    for order in await session.open_orders_status(symbol=SYMBOL):
        if order.client_order_id.startswith(PREFIX):
            with suppress(bintrio.UnknownOrder):  # it was filled just now
                await session.order_cancel(symbol=SYMBOL, order_id=order.order_id)
                print(f"order {order.order_id} is canceled", flush=True)


if __name__ == "__main__":
    trio.run(main)
