"""What goes wrong while an account is followed is told to the session's observer, and to the logs, with its account."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio import observing, requests
from bintrio.account import LiveAccount
from bintrio.account.live import open_account
from bintrio.errors import NotSent, Rejected, UnknownOrder
from bintrio.observing import AboutAccount
from bintrio.sandbox import DropReply, Sandbox, open_sandbox

from .test_live import BUY, OCO, Bent, outage, raising, refusal, settled, shown_no_more, without

pytestmark = pytest.mark.usefixtures("both_streams")


class World:
    """An account that is followed, and what was told of it."""

    def __init__(self, sandbox: Sandbox, bent: Bent, account: LiveAccount, told: list[AboutAccount]) -> None:
        self.sandbox: Final = sandbox
        self.bent: Final = bent
        self.account: Final = account
        self.told: Final = told

    def of(self, kind: type[AboutAccount]) -> list[Any]:
        return [fact for fact in self.told if isinstance(fact, kind)]


@asynccontextmanager
async def observed() -> AsyncGenerator[World]:
    told: list[AboutAccount] = []

    def keep(fact: observing.Fact) -> None:
        if isinstance(fact, AboutAccount):
            told.append(fact)

    async with (
        open_sandbox(listen=False) as sandbox,
        bintrio.open_session(
            sandbox.endpoint, key=sandbox.key, connect=sandbox.connect, observer=keep, name="bot"
        ) as session,
    ):
        bent = Bent(session)
        async with open_account(bent, bent.teller) as account:
            yield World(sandbox, bent, account, told)
    assert {(fact.session, fact.account) for fact in told} == {("bot", f"{sandbox.key.api_key[:4]}…")}


async def test_g13_a_question_that_failed_is_told_with_the_time_up_to_which_all_is_known(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with observed() as world:
        await settled(world.account)
        world.bent.refuses[requests.AccountStatus] = refusal(bintrio.RateLimited, -1003)
        world.sandbox.disconnect()
        await trio.sleep(10)
        stands_as_of = world.account.as_of
        world.bent.refuses.clear()
        await settled(world.account)
    (behind,) = world.of(observing.AccountNotCurrent)
    assert (behind.as_of, behind.seconds, behind.error) == (stands_as_of, 60, "RateLimited")
    assert behind.cause.startswith("method: 400 -1003 no")
    (record,) = [record for record in caplog.records if record.name == "bintrio.account"]
    assert record.getMessage() == (
        f"bot: {behind.account} stands as of {stands_as_of}: {behind.cause}; asking again in 60 s"
    )
    assert (vars(record)["session"], vars(record)["account"]) == ("bot", behind.account)
    assert vars(record)["cause"] == behind.cause


async def test_g13_an_order_and_a_list_that_the_exchange_denies_are_told(autojump_clock: MockClock) -> None:
    async with observed() as world:
        order = await world.account.place(**BUY)
        await world.account.place_oco(**OCO)
        (number,) = world.account.lists
        await settled(world.account)
        shown_no_more(world.bent)
        await outage(world.sandbox, world.account, lambda: None)
    denied = {(fact.name, fact.symbol, fact.order_id, fact.order_list_id) for fact in world.of(observing.OrderDenied)}
    assert (f"order {order.order_id} of BTCUSDT", "BTCUSDT", order.order_id, None) in denied
    assert (f"order list {number}", None, None, number) in denied
    assert {fact.error for fact in world.told} == {UnknownOrder.__name__}


async def test_g13_an_answer_that_does_not_tell_how_an_order_stands_is_told(autojump_clock: MockClock) -> None:
    async with observed() as world:
        await settled(world.account)
        world.bent.bends[requests.OrderPlace] = lambda answer: without(answer, "price")
        world.bent.refuses[requests.OrderStatus] = refusal(Rejected, -1000)
        order = await world.account.place(**BUY)
        await wait_all_tasks_blocked()
    lacking, refused = world.of(observing.OrderUnclear)
    assert (lacking.symbol, lacking.order_id, lacking.error) == ("BTCUSDT", order.order_id, "ProtocolViolation")
    assert "price" in lacking.cause
    assert (refused.order_id, refused.error) == (order.order_id, "Rejected")


async def test_g13_trades_that_are_not_told_are_told_of_with_the_pause_until_they_are_asked_for_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with observed() as world:
        order = await world.account.place(**BUY)
        await settled(world.account)
        passing = [refusal(bintrio.RateLimited, -1003) for _ in range(2)]

        def bend(_answer: Any) -> Any:
            raise passing.pop() if passing else refusal(Rejected)

        world.bent.bends[requests.MyTrades] = bend
        world.sandbox.disconnect()
        world.sandbox.fill(order.order_id or 0, Decimal(2))
        await order.closed()
        await trio.sleep(70)
    told = {(fact.order_id, fact.seconds, fact.error) for fact in world.of(observing.FillsNotTold)}
    assert told == {(order.order_id, 60, "RateLimited"), (order.order_id, None, "Rejected")}
    said = f"the exchange does not tell the fills of order {order.order_id} of BTCUSDT: method: 400"
    assert f"{said} -1003 no" in caplog.text
    assert "; asking again in 60 s" in caplog.text


async def test_g13_a_call_of_which_nothing_could_be_found_out_is_told(autojump_clock: MockClock) -> None:
    async with observed() as world:
        await settled(world.account)
        world.sandbox.inject(DropReply("order.place"))
        busy = NotSent("order.status", "busy")
        world.bent.confirms = [raising(busy), raising(ExceptionGroup("two", [busy]))]
        await world.account.place(**BUY)
        await trio.sleep(130)
    told = [(fact.method, fact.seconds, fact.error) for fact in world.of(observing.OutcomeNotFound)]
    assert told == [("order.place", 60, "NotSent")] * 2
    assert "busy" in world.told[-1].cause
