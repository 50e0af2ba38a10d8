"""A bot on an account, and its test in storms: whatever goes wrong, it places one order, and knows what became of it.

    pytest -p bintrio.pytest_plugin -o trio_mode=true examples/test_in_a_storm.py

Answers are lost, late or doubled, connections are cut or fall silent, the server errs and bans. Each seed is a storm
that is the same each time, so one that fails, fails again until it is mended.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio.account import LiveAccount, LiveOrder
from bintrio.sandbox import Sandbox

PAUSE = 5
"""Seconds until the bot tries again what did not go out, or was refused."""


async def bid_once(account: LiveAccount) -> LiveOrder:
    """Have one order on the book, and no more. Its handle finds out by itself what became of a lost answer."""
    while True:
        try:
            order = await account.place(
                symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price="64000", quantity="0.01"
            )
        except bintrio.BintrioError:  # it was not placed, and never will be
            await trio.sleep(PAUSE)
        else:
            if await order.placed() is not None:
                return order


@pytest.mark.storm(seeds=10)
async def test_one_order_was_placed_and_the_account_knows_what_became_of_it(
    sandbox: Sandbox, session: bintrio.Session, autojump_clock: MockClock
) -> None:
    with suppress(bintrio.Rejected):  # the exchange may refuse even to tell events: then the account ends
        async with session.account() as account:
            await bid_once(account)
            await trio.sleep(600)  # it goes on blowing, and others trade
    assert sandbox.storm is not None
    sandbox.storm.end()
    await trio.sleep(300)
    (there,) = sandbox.orders
    async with session.account() as account:
        await trio.sleep(10)
        assert account.is_current
        assert {order_id for _, order_id in account.orders} == {each.order_id for each in sandbox.open_orders}
        assert {name: held.free for name, held in account.balances.items()} == {
            each.asset: each.free for each in sandbox.balances()
        }
    known = await session.order_status(symbol="BTCUSDT", order_id=there.order_id)
    assert (known.status, known.executed_qty) == (there.status, there.executed)
