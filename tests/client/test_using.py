"""`Session.using`: calls for several accounts on one connection, each signed by its own key and counted for its own."""

from __future__ import annotations

import copy
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio import InvalidRequest, OutcomeUnknown, Rejected
from bintrio._protocol.facts_of_calls import AboutCall, CallEnded, OutcomeKept
from bintrio._protocol.signing import digest_of, payload
from bintrio._text import shown_key
from bintrio.endpoints import Address
from bintrio.sandbox import Disconnect, DropReply, Limits, Sandbox, SandboxAccount, open_sandbox
from tests.peer import ACK, ORDER, Json, Peer, ed25519_key, open_pair
from tests.sessions import BUY, HMAC, Outcome, deltas, in_background
from tests.streams import stall

pytestmark = pytest.mark.usefixtures("both_streams")

OTHER: Final = bintrio.HmacKey("other-api-key", "other-secret")
FUNDS: Final = {"USDT": Decimal(100_000), "BTC": Decimal(1)}


def other(uid: int = 12) -> SandboxAccount:
    return SandboxAccount(uid, FUNDS)


@asynccontextmanager
async def trading(
    *accounts: SandboxAccount, limits: Limits | None = None, **options: Any
) -> AsyncGenerator[tuple[bintrio.Session, Sandbox]]:
    """A session that is logged on to a sandbox with other accounts beside its own."""
    async with open_sandbox(listen=False, limits=limits) as sandbox:
        for account in accounts:
            sandbox.add_account(account)
        sandbox.quote("BTCUSDT", Decimal(50_000), Decimal(50_001), Decimal(10))
        async with bintrio.open_session(
            sandbox.memory_endpoint, connect=sandbox.connect, key=sandbox.key, **options
        ) as session:
            yield session, sandbox


async def buy(session: bintrio.Session, price: int = 40_000, client_order_id: str | None = None) -> bintrio.OrderFull:
    return await session.order_place(
        symbol="BTCUSDT",
        side="BUY",
        type="LIMIT",
        time_in_force="GTC",
        price=price,
        quantity="0.001",
        new_client_order_id=client_order_id,
    )


def owners(sandbox: Sandbox) -> list[int]:
    return [order.owner for order in sandbox.orders]


# Who signs


@pytest.mark.parametrize("own", [None, HMAC, "Ed25519"])
async def test_a_call_is_signed_by_the_key_that_it_is_to_use(
    autojump_clock: MockClock, own: bintrio.Key | None | str
) -> None:
    key: Any = ed25519_key() if own == "Ed25519" else own
    async with open_pair(key=key) as (session, exchange):
        exchange.script["order.status"] = lambda _peer: ORDER
        exchange.script["depth"] = lambda _peer: {"lastUpdateId": 1, "bids": [], "asks": []}
        await session.using(OTHER).order_status(symbol="BTCUSDT", order_id=7)
        sent = exchange.log[-1]["params"]
        assert sent["apiKey"] == OTHER.api_key
        assert sent["signature"] == OTHER.sign(payload(sent))
        await session.using(OTHER).depth(symbol="BTCUSDT")
        assert exchange.log[-1]["params"] == {"symbol": "BTCUSDT"}
        await session.using(OTHER).request("order.status", {"symbol": "BTCUSDT", "orderId": 7})
        assert exchange.log[-1]["params"]["apiKey"] == OTHER.api_key
        if key is not None:
            await session.order_status(symbol="BTCUSDT", order_id=7)
            assert exchange.log[-1]["params"].get("apiKey") == (HMAC.api_key if own is HMAC else None)


async def test_the_session_s_own_key_needs_no_signature_of_its_own(autojump_clock: MockClock) -> None:
    key = ed25519_key()
    async with open_pair(key=key) as (session, exchange):
        exchange.script["order.status"] = lambda _peer: ORDER
        await session.using(key).order_status(symbol="BTCUSDT", order_id=7)
        assert "apiKey" not in exchange.log[-1]["params"]
        again = ed25519_key(key.api_key)  # another object: the user may mean another secret
        await session.using(again).order_status(symbol="BTCUSDT", order_id=7)
        assert exchange.log[-1]["params"]["apiKey"] == key.api_key
        assert session.using(again)._account.ledger is session._account.ledger
        assert session.using(again)._outcomes is session._outcomes


async def test_of_two_keys_with_one_name_the_latest_signs(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        exchange.script["order.status"] = lambda _peer: ORDER
        for key in (OTHER, bintrio.HmacKey(OTHER.api_key, "another-secret"), OTHER):
            await session.using(key).order_status(symbol="BTCUSDT", order_id=7)
            sent = exchange.log[-1]["params"]
            assert sent["signature"] == key.sign(payload(sent))
            assert session.using(key)._account is session.using(key)._account


async def test_it_goes_with_another_deadline(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        for hurried in (session.using(OTHER).within(2), session.within(2).using(OTHER)):
            begun = trio.current_time()
            with pytest.raises(OutcomeUnknown):
                await hurried.send(BUY)
            assert trio.current_time() - begun == 2
            assert exchange.log[-1]["params"]["apiKey"] == OTHER.api_key


@pytest.mark.parametrize("method", ["session.logon", "session.logout"])
async def test_the_session_is_logged_on_by_its_own_key_alone(autojump_clock: MockClock, method: str) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange):
        before = len(exchange.log)
        with pytest.raises(InvalidRequest, match=f"^{method}: the session is logged on by its own key alone"):
            await session.using(ed25519_key("another")).request(method)
        assert len(exchange.log) == before


@pytest.mark.parametrize("key", [None, "secret-text", b"secret-bytes"])
async def test_g9_what_is_no_key_is_refused_and_not_shown(autojump_clock: MockClock, key: Any) -> None:
    async with open_pair(key=HMAC) as (session, _):
        with pytest.raises(InvalidRequest, match="key must be an Ed25519Key, HmacKey or RsaKey, not ") as caught:
            session.using(key)
        assert caught.value.field == "key"
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["", 5, "a\nb", "x" * 1000])
async def test_what_is_no_name_is_refused(autojump_clock: MockClock, name: Any) -> None:
    async with open_pair(key=HMAC) as (session, _):
        with pytest.raises(InvalidRequest, match="account must be 1 to ") as caught:
            session.using(OTHER, account=name)
        assert caught.value.field == "account"


# G9


async def test_g9_a_key_for_a_call_travels_only_where_nobody_reads_it(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False) as sandbox:

        class Public(trio.abc.Stream):
            """A stream of which nobody knows where it leads."""

            def __init__(self, inner: trio.abc.Stream) -> None:
                self._inner = inner

            async def send_all(self, data: Any) -> None:
                await self._inner.send_all(data)

            async def wait_send_all_might_not_block(self) -> None:
                await self._inner.wait_send_all_might_not_block()

            async def receive_some(self, max_bytes: int | None = None) -> Any:
                return await self._inner.receive_some(max_bytes)

            async def aclose(self) -> None:
                await self._inner.aclose()

        async def public(address: Address) -> trio.abc.Stream:
            return Public(await sandbox.connect(address))

        async with bintrio.open_session("ws://exchange.test/ws-api/v3", connect=public) as session:
            await session.ping()
            before = len(sandbox.calls)
            with pytest.raises(InvalidRequest, match="a key must not travel over plain ws://"):
                await session.using(sandbox.hmac_key).account_status()
            assert len(sandbox.calls) == before


async def test_g9_nothing_that_is_said_of_it_has_a_secret(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    facts: list[Any] = []
    async with open_pair(key=HMAC, observer=facts.append) as (session, exchange):
        using = session.using(OTHER)
        with pytest.raises(OutcomeUnknown) as lost:
            await using.send(BUY)
        exchange.script["order.place"] = too_many_orders
        with pytest.raises(bintrio.RateLimited):
            await using.send(BUY)
        said = [repr(using), repr(lost.value), str(lost.value), repr(vars(lost.value)), repr(facts), caplog.text]
    assert "for othe…" in said[0]
    for text in said:
        assert OTHER.api_key not in text
        assert "other-secret" not in text


async def test_g13_facts_of_calls_say_whom_these_are_for(autojump_clock: MockClock) -> None:
    told: list[Any] = []
    async with open_pair(key=HMAC, observer=told.append) as (session, exchange):
        exchange.script["ping"] = lambda _peer: {}
        for one in (session, session.using(OTHER), session.using(HMAC)):
            await one.ping()
        with trio.move_on_after(1):
            await session.using(OTHER).send(BUY)
        async with session.using(OTHER).user_data():
            await exchange.peers[0].balance(1)
    mine, others = shown_key(HMAC.api_key), shown_key(OTHER.api_key)
    about = [fact for fact in told if isinstance(fact, AboutCall)]
    assert [fact.account for fact in about if fact.method == "ping" and isinstance(fact, CallEnded)] == [
        *(mine, others, mine),
    ]
    assert {fact.account for fact in about if fact.method == "time"} == {mine}
    # What the session asks for by a key of another account is for that one.
    assert {fact.account for fact in about if fact.method.startswith("userDataStream")} == {others}
    assert [fact.account for fact in told if isinstance(fact, OutcomeKept)] == [others]


async def test_g13_a_session_without_a_key_has_calls_for_nobody(autojump_clock: MockClock) -> None:
    told: list[Any] = []
    async with open_pair(observer=told.append) as (session, exchange):
        exchange.script["ping"] = lambda _peer: {}
        await session.ping()
    assert {fact.account for fact in told if isinstance(fact, AboutCall)} == {None}


# Who is asked what became of it: G1, G7


@pytest.mark.parametrize("asked_on", ["the one that made it", "the session", "one for a third account"])
async def test_g7_what_became_of_a_call_is_asked_of_its_own_account(autojump_clock: MockClock, asked_on: str) -> None:
    second, third = other(12), other(13)
    async with trading(second, third) as (session, sandbox):
        using = session.using(second.key)
        asker = {
            "the one that made it": using,
            "the session": session,
            "one for a third account": session.using(third.hmac_key),
        }[asked_on]
        sandbox.inject(Disconnect("order.place", executed=True))
        with pytest.raises(OutcomeUnknown) as lost:
            await buy(using)
        order = await asker.confirm(lost.value)
        assert order is not None
        assert order.client_order_id == lost.value.client_order_id
        sandbox.inject(Disconnect("order.place", executed=False))
        with pytest.raises(OutcomeUnknown) as lost:
            await buy(using)
        assert await asker.confirm(lost.value) is None
        assert owners(sandbox) == [12]


@pytest.mark.parametrize("which", [0, 2])
async def test_g7_the_key_of_a_call_is_known_by_its_whole_digest(autojump_clock: MockClock, which: int) -> None:
    """Whether that comes before the digest of the session's own key or after it."""
    keys = [bintrio.HmacKey(name, "secret") for name in sorted(("one", "two", "three"), key=digest_of)]
    async with open_pair(key=keys[1]) as (session, exchange):
        with pytest.raises(OutcomeUnknown) as lost:
            await session.using(keys[which]).within(1).send(BUY)
        exchange.script["order.status"] = lambda _peer: ORDER
        assert await session.confirm(lost.value) is not None
        assert exchange.sent("order.status")[-1]["params"]["apiKey"] == keys[which].api_key


async def test_g7_an_account_that_knows_nothing_of_a_call_is_not_asked(autojump_clock: MockClock) -> None:
    second = other()
    async with trading(second) as (session, sandbox):
        sandbox.inject(Disconnect("order.place", executed=True))
        with pytest.raises(OutcomeUnknown) as lost:
            await buy(session.using(second.key))
        async with bintrio.open_session(sandbox.memory_endpoint, connect=sandbox.connect, key=sandbox.key) as elsewhere:
            before = len(sandbox.calls)
            with pytest.raises(InvalidRequest, match=r"confirm it on session\.using\(key\)") as refused:
                await elsewhere.confirm(lost.value)
            assert refused.value.field == "call"
            assert len(sandbox.calls) == before
            # The error may have come from another process: it carries what tells its key, and not the key.
            elsewhere.using(second.key)
            assert await elsewhere.confirm(copy.deepcopy(lost.value)) is not None


async def test_g7_the_same_client_order_id_is_another_order_in_another_account(autojump_clock: MockClock) -> None:
    second = other()
    async with trading(second) as (session, sandbox):
        using = session.using(second.hmac_key)
        mine = await buy(session, client_order_id="same")
        sandbox.inject(Disconnect("order.place", executed=False))
        with pytest.raises(OutcomeUnknown) as lost:
            await buy(using, client_order_id="same")
        assert await session.confirm(lost.value) is None
        theirs = await buy(using, client_order_id="same")
        assert theirs.order_id != mine.order_id
        assert (await session.order_status(symbol="BTCUSDT", orig_client_order_id="same")).order_id == mine.order_id
        assert (await using.order_status(symbol="BTCUSDT", orig_client_order_id="same")).order_id == theirs.order_id


async def test_g1_an_order_cancelled_at_any_step_is_of_its_own_account(autojump_clock: MockClock) -> None:
    second = other()
    async with trading(second, limits=Limits(orders_per_10_seconds=10**6)) as (session, sandbox):
        using = session.using(second.key)
        answered, sent = 0, 0
        for ticks in range(40):
            before = len(sandbox.orders)
            async with trio.open_nursery() as nursery:
                outcome = in_background(nursery, lambda: buy(using))
                for _ in range(ticks):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            await wait_all_tasks_blocked()
            assert not session.unresolved
            if outcome.value is not None:
                answered += 1
                assert not using.unresolved
            for unknown in using.unresolved:
                sent += 1
                placed = await session.confirm(unknown)
                assert (placed is not None) == (len(sandbox.orders) > before)
            assert not using.unresolved
        assert answered
        assert sent
        assert set(owners(sandbox)) == {12}


async def test_g6_cancelled_callers_leave_the_calls_of_other_accounts_alone(autojump_clock: MockClock) -> None:
    second = other()
    async with trading(second, limits=Limits(orders_per_10_seconds=10**6)) as (session, sandbox):
        async with trio.open_nursery() as nursery:
            outcomes: list[Outcome] = []
            for _ in range(10):
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await buy(session.using(second.key))
                outcomes.append(in_background(nursery, lambda: buy(session)))
                outcomes.append(in_background(nursery, lambda: buy(session.using(second.key))))
        assert all(outcome.error is None for outcome in outcomes)
        assert sorted(owners(sandbox)) == [2] * 10 + [12] * 10


# Whose orders are counted: G8


async def test_g8_the_orders_of_one_account_leave_room_for_those_of_another(autojump_clock: MockClock) -> None:
    second = other()
    limits = Limits(orders_per_10_seconds=3)
    async with trading(second, limits=limits, request_timeout=30) as (session, sandbox):
        using = session.using(second.key)
        begun = trio.current_time()
        for _ in range(3):
            await buy(session)
        assert session.order_counts[0].count == 3
        assert using.order_counts[0].count == 0
        for _ in range(3):
            await buy(using)
        assert trio.current_time() - begun < 1
        assert using.order_counts[0].count == 3
        weight = [each.request_weight for each in (session, using)]
        assert weight[0] == weight[1] is not None
        await buy(using)  # it waits
        assert trio.current_time() - begun > 1
        assert sorted(owners(sandbox)) == [2] * 3 + [12] * 4
        assert not [call for call in sandbox.calls if call.status == 429]


async def test_accounts_have_names_where_several_keys_are_of_one(autojump_clock: MockClock) -> None:
    second = other()
    async with trading(second, limits=Limits(orders_per_10_seconds=3)) as (session, _):
        by_hmac, by_ed25519 = (session.using(key, account="two") for key in (second.hmac_key, second.key))
        await buy(by_hmac)
        assert by_ed25519.order_counts[0].count == 1
        assert session.using(second.hmac_key).order_counts[0].count == 0  # by itself, its key is an account of its own


def too_many_orders(_peer: Peer) -> Json:
    return {"status": 429, "error": {"code": -1015, "msg": "Too many new orders."}}


async def test_g8_too_many_orders_of_one_account_hold_back_that_one(autojump_clock: MockClock) -> None:
    facts: list[Any] = []
    async with open_pair(key=HMAC, request_timeout=5, observer=facts.append) as (session, exchange):
        using = session.using(OTHER)
        exchange.script["order.place"] = too_many_orders
        with pytest.raises(bintrio.RateLimited) as refused:
            await using.send(BUY)
        assert refused.value.retry_at is not None
        exchange.script["order.place"] = lambda _peer: ACK
        with pytest.raises(bintrio.NotSent, match="Too many new orders") as not_sent:
            await using.send(BUY)
        assert not_sent.value.retry_at == pytest.approx(refused.value.retry_at, abs=1)
        assert using.hold is not None
        assert session.hold is None
        await session.send(BUY)
        held = [fact.account for fact in facts if type(fact).__name__ == "HoldBegan"]
        assert held == ["othe…"]


@pytest.mark.parametrize("how", ["late", "while it is closing"])
async def test_g8_a_late_refusal_counts_for_whom_the_call_was(autojump_clock: MockClock, how: str) -> None:
    async with open_pair(key=HMAC, close_timeout=5) as (session, exchange):
        using = session.using(OTHER)
        with trio.move_on_after(1):
            await using.send(BUY)
        peer = exchange.peers[0]
        request = await peer.next()
        if how == "while it is closing":
            await session.rotate()
        await peer.refuse(request, 429, -1015, "Too many new orders.")
        await wait_all_tasks_blocked()
        assert session.hold is None
        assert using.hold is not None


@pytest.mark.plain_streams  # others take what is written at once
async def test_g8_what_waits_to_leave_is_taken_back_for_the_account_that_is_held_back(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=HMAC, request_timeout=100) as (session, exchange), trio.open_nursery() as nursery:
        using = session.using(OTHER)
        in_background(nursery, lambda: using.send(BUY))
        peer = exchange.peers[0]
        request = await peer.next()
        network = trio.Event()
        stall(session, network)
        filler = in_background(nursery, lambda: session.request("depth", {"symbol": "X" * 100_000}))
        await wait_all_tasks_blocked()
        for each in (session, using):
            in_background(nursery, partial(each.send, BUY))
        await wait_all_tasks_blocked()
        await peer.refuse(request, 429, -1015, "Too many new orders.", data={"retryAfter": 10**13})
        await wait_all_tasks_blocked()
        network.set()
        await wait_all_tasks_blocked()
        assert filler.error is None
        keys = [request["params"]["apiKey"] for request in exchange.sent("order.place")]
        assert keys == [OTHER.api_key, HMAC.api_key]
        nursery.cancel_scope.cancel()


async def test_g8_what_holds_everything_back_holds_each_account(autojump_clock: MockClock) -> None:
    facts: list[Any] = []
    async with open_pair(key=HMAC, request_timeout=5, observer=facts.append) as (session, exchange):
        using = session.using(OTHER)
        exchange.script["ping"] = lambda _peer: {"status": 429, "error": {"code": -1003, "msg": "Slow down."}}
        with pytest.raises(bintrio.RateLimited):
            await using.ping()
        for each in (session, using):
            with pytest.raises(bintrio.NotSent, match="Slow down"):
                await each.send(BUY)
        held = [fact for fact in facts if type(fact).__name__ == "HoldBegan"]
        assert [(fact.account, fact.connection) for fact in held] == [(None, 1)]


async def test_nobody_is_told_any_more_when_the_session_is_closed(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, _):
        ledger: Any = session.using(OTHER)._account.ledger
        assert session._account.ledger._watchers  # type: ignore[attr-defined]  # of a `LocalLedger`
    assert not session._account.ledger._watchers  # type: ignore[attr-defined]
    late: Any = session.using(bintrio.HmacKey("late", "x"))._account.ledger  # nobody is left who would be told
    assert not late._watchers
    assert not session._account.ledger._watchers  # type: ignore[attr-defined]
    assert ledger is session.using(OTHER)._account.ledger


# Events


async def test_many_accounts_trade_and_listen_on_one_socket(autojump_clock: MockClock) -> None:
    accounts = [other(uid) for uid in range(12, 22)]
    received: dict[int, list[Any]] = {account.uid: [] for account in accounts}

    async def listen(session: bintrio.Session, account: SandboxAccount) -> None:
        async with session.using(account.hmac_key).user_data() as events:
            async for event in events:
                received[account.uid].append(event)

    async with trading(*accounts) as (session, sandbox), trio.open_nursery() as nursery:
        for account in accounts:
            nursery.start_soon(listen, session, account)
        await wait_all_tasks_blocked()
        await session.rotate()
        for account in accounts:
            await buy(session.using(account.key))
        await trio.sleep(30)
        assert len(sandbox._connections.open) == 1
        nursery.cancel_scope.cancel()
    for account, order in zip(accounts, sandbox.orders, strict=True):
        placed = [event.order_id for event in received[account.uid] if isinstance(event, bintrio.ExecutionReport)]
        assert placed == [order.order_id]


async def test_user_data_is_that_of_the_key(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        async with session.using(OTHER).user_data() as events:
            assert exchange.log[-1]["params"]["apiKey"] == OTHER.api_key
            await exchange.peers[0].balance(1)
            assert await deltas(events, 1) == [1]
        async with session.using(OTHER).user_data(HMAC):
            (subscribed,) = [one for one in exchange.log if one.get("params", {}).get("apiKey") == HMAC.api_key]
            assert subscribed["method"] == "userDataStream.subscribe.signature"


async def test_accounts_follow_themselves_side_by_side(autojump_clock: MockClock) -> None:
    second = other()
    async with (
        trading(second) as (session, sandbox),
        session.account() as mine,
        session.using(second.hmac_key).account() as theirs,
    ):
        order = await theirs.place(
            symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=40_000, quantity="0.001"
        )
        sandbox.inject(DropReply("order.place"))
        lost = await mine.place(symbol="BTCUSDT", side="SELL", type="MARKET", quantity="0.001")
        assert await lost.filled()
        await trio.sleep(10)
        assert owners(sandbox) == [12, 2]
        assert list(theirs.orders) == [order.key]
        assert not mine.orders
        assert theirs.balances["USDT"].locked == 40
        assert mine.balances["USDT"].locked == 0


async def test_a_key_that_was_revoked_hurts_its_own_calls_alone(autojump_clock: MockClock) -> None:
    second = other()
    async with trading(second) as (session, sandbox):
        using = session.using(second.key)
        await buy(using)
        sandbox.revoke(second.key.api_key)
        with pytest.raises(Rejected) as refused:
            await buy(using)
        assert refused.value.code == -2015
        await buy(session)
        assert session.counters.losses == 0
        assert owners(sandbox) == [12, 2]
