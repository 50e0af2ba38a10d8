"""Keys: what is signed, who logs on, and over which connections."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio.errors import (
    InvalidParameter,
    InvalidRequest,
    OutcomeUnknown,
    Rejected,
    Unauthorized,
)
from bintrio.sandbox import DropReply, Fault, Timeout, UnknownIdReply, WrongReply, open_sandbox
from tests.peer import ACK, ORDER, START, Exchange, Json, Peer, ed25519_key, open_exchange, open_pair
from tests.sessions import BUY, HMAC, deltas, in_background

SUBSCRIBE = "userDataStream.subscribe"
NEED_LOGON = {"order.status", "order.place", SUBSCRIBE}

pytestmark = pytest.mark.usefixtures("both_streams")


async def test_an_ed25519_key_logs_on_and_calls_carry_a_timestamp_only(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        (logon,) = exchange.sent("session.logon")
        assert set(logon["params"]) == {"apiKey", "signature", "timestamp"}
        in_background(nursery, lambda: session.order_status(symbol="BTCUSDT", order_id=7))
        request = await exchange.peers[0].next()
        await exchange.peers[0].answer(request, ORDER)
        assert set(request["params"]) == {"orderId", "symbol", "timestamp"}
        assert request["params"]["timestamp"] == START
        assert "logged on" in repr(session)


async def test_an_hmac_key_signs_each_call(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        assert not exchange.sent("session.logon")
        in_background(nursery, lambda: session.order_status(symbol="BTCUSDT", order_id=7, recv_window=100))
        request = await exchange.peers[0].next()
        await exchange.peers[0].answer(request, ORDER)
        params = request["params"]
        signature = params.pop("signature")
        text = "&".join(f"{name}={value}" for name, value in sorted(params.items()))
        assert signature == HMAC.sign(text)
        assert params["apiKey"] == "hmac-api-key"


async def test_g1_after_a_logout_by_hand_calls_are_signed_one_by_one(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        await session.session_logout()
        in_background(nursery, lambda: session.order_status(symbol="BTCUSDT", order_id=7))
        request = await exchange.peers[0].next()
        await exchange.peers[0].answer(request, ORDER)
        assert {"apiKey", "signature"} <= set(request["params"])
        await session.session_logon()
        in_background(nursery, lambda: session.order_status(symbol="BTCUSDT", order_id=7))
        request = await exchange.peers[0].next()
        await exchange.peers[0].answer(request, ORDER)
        assert "signature" not in request["params"]


async def test_signing_comes_after_every_wait(autojump_clock: MockClock) -> None:
    """Held back for 5 s by the budget, an order leaves with the timestamp of its leaving."""
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        in_background(nursery, session.ping)
        await exchange.peers[0].refuse(
            await exchange.peers[0].next(), 429, -1003, "slow down", data={"retryAfter": START + 5_000}
        )
        await wait_all_tasks_blocked()
        in_background(nursery, lambda: session.send(BUY))
        request = await exchange.peers[0].next()
        await exchange.peers[0].answer(request, ACK)
        assert request["params"]["timestamp"] >= START + 5_000


async def test_a_key_that_is_refused_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        exchange.script["session.logon"] = None

        async def refuse() -> None:
            peer = await exchange.peer(0)
            await peer.refuse(await peer.next(), 401, -2015, "Invalid API-key")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse)
            with pytest.raises(Unauthorized):
                async with bintrio.open_session(bintrio.PRODUCTION, connect=exchange.connect, key=ed25519_key()):
                    raise AssertionError
    assert len(exchange.addresses) == 1


async def test_g9_a_key_does_not_travel_over_plain_ws(autojump_clock: MockClock) -> None:
    with pytest.raises(InvalidRequest, match=r"plain ws:// to exchange\.test"):
        async with bintrio.open_session("ws://exchange.test/ws-api/v3", key=HMAC):
            raise AssertionError


@pytest.mark.plain_streams("it is about that kind")
async def test_g9_a_stream_in_memory_is_private(autojump_clock: MockClock) -> None:
    async with (
        open_exchange() as exchange,
        bintrio.open_session("ws://exchange.test/", key=HMAC, connect=exchange.connect) as session,
        session.user_data(),
    ):
        assert exchange.sent("userDataStream.subscribe.signature")


async def test_g1_logon_by_hand_needs_an_ed25519_key(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        with pytest.raises(InvalidRequest, match=r"session\.logon needs an Ed25519Key, the session has an HmacKey"):
            await session.session_logon()
        assert not exchange.sent("session.logon")


# A logon that is gone, as the exchange sees it


def forget_logon(exchange: Exchange, code: int, message: str) -> None:
    """The first connection is not logged on any more: what has no signature is refused on it."""
    answer_own = exchange.answer_own

    async def answer(peer: Peer, request: Json) -> bool:
        is_unsigned = "apiKey" not in request.get("params", {}) and request["method"] in NEED_LOGON
        if peer is not exchange.peers[0] or not is_unsigned:
            return await answer_own(peer, request)
        told = (-1002, "You are not authorized.") if request["method"] == SUBSCRIBE else (code, message)
        await peer.refuse(request, 400, *told)
        return True

    exchange.answer_own = answer  # type: ignore[method-assign]
    exchange.script |= {"order.status": lambda _peer: ORDER, "order.place": lambda _peer: ACK}


def refusing(status: int, code: int, message: str) -> Callable[[Peer], Json]:
    return lambda _peer: {"status": status, "error": {"code": code, "msg": message}}


UNSIGNED = [
    (-1102, "Mandatory parameter 'apiKey' was not sent, was empty/null, or malformed."),
    (-1102, "Mandatory parameter 'signature' was not sent, was empty/null, or malformed."),
    (-1022, "Signature for this request is not valid."),
    (-2014, "API-key format invalid."),
]


@pytest.mark.parametrize(("code", "message"), UNSIGNED)
async def test_g1_g7_where_the_logon_is_gone_reads_are_signed_and_orders_go_out_once(
    autojump_clock: MockClock, code: int, message: str
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        forget_logon(exchange, code, message)
        placing = in_background(nursery, lambda: session.send(BUY))
        asking = [in_background(nursery, lambda: session.order_status(symbol="BTCUSDT", order_id=7)) for _ in range(3)]
        await wait_all_tasks_blocked()
        assert isinstance(placing.error, Rejected)
        assert (placing.error.code, len(exchange.sent("order.place"))) == (code, 1)
        assert [outcome.value.order_id for outcome in asking] == [ORDER["orderId"]] * 3
        # Each read that had left without a signature was repeated with one.
        assert ["signature" in request["params"] for request in exchange.sent("order.status")] == [False] * 3 + [
            True
        ] * 3
        await trio.sleep(1)
        # Another connection has taken its place, and is logged on.
        assert session.connection is not None
        assert (session.connection.number, session.connection.is_logged_on) == (2, True)
        assert (await session.send(BUY)).order_id == ACK["orderId"]
        assert "signature" not in exchange.log[-1]["params"]


async def test_a_read_that_is_refused_with_its_signature_too_is_not_repeated_again(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange):
        exchange.script["order.status"] = lambda _peer: {
            "status": 400,
            "error": {"code": UNSIGNED[0][0], "msg": UNSIGNED[0][1]},
        }
        with pytest.raises(InvalidParameter):
            await session.order_status(symbol="BTCUSDT", order_id=7)
        assert len(exchange.sent("order.status")) == 2


async def test_g1_a_read_that_was_refused_without_a_signature_has_left_though_it_could_not_be_repeated(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=ed25519_key(), request_timeout=10) as (session, exchange), trio.open_nursery() as nursery:
        exchange.script["order.status"] = None
        asking = in_background(nursery, lambda: session.order_status(symbol="BTCUSDT", order_id=7))
        peer = exchange.peers[0]
        request = await peer.next()
        await session.rotate()
        exchange.refuse_with.extend([OSError("no route")] * 20)
        await exchange.peers[1].cut()
        await wait_all_tasks_blocked()
        await peer.refuse(request, 400, *UNSIGNED[0])
        await trio.sleep(11)
        assert isinstance(asking.error, OutcomeUnknown)


async def test_a_key_that_may_not_do_something_costs_no_connection(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange):
        exchange.script["order.place"] = refusing(401, -2015, "Invalid API-key")
        for _ in range(3):
            with pytest.raises(Unauthorized):
                await session.send(BUY)
        await trio.sleep(1)
        assert len(exchange.peers) == 1


async def test_g5_where_the_logon_is_gone_a_feed_is_carried_with_a_signature(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange):
        forget_logon(exchange, *UNSIGNED[0])
        async with session.user_data() as events:
            await exchange.peers[0].balance(1)
            assert await deltas(events, 1) == [1]
            assert len(exchange.sent("userDataStream.subscribe.signature")) == 1
            await trio.sleep(1)
            # The next connection is logged on again, and brings what comes from then on.
            await exchange.peers[1].balance(2)
            assert await deltas(events, 1) == [2]


async def test_a_feed_that_is_refused_with_a_signature_too_is_refused(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange):
        forget_logon(exchange, *UNSIGNED[0])
        exchange.script[f"{SUBSCRIBE}.signature"] = refusing(401, -2015, "Invalid API-key")
        with pytest.raises(Unauthorized):
            async with session.user_data():
                raise AssertionError


LOST: list[Fault] = [
    DropReply(),
    UnknownIdReply(),
    WrongReply(result="7"),
    Timeout(executed=True),
]
"""What may become of the exchange's word that a key is revoked."""


@pytest.mark.parametrize("fault", LOST, ids=lambda fault: type(fault).__name__)
async def test_g1_g5_a_session_whose_key_was_revoked_is_of_use_once_the_key_is_restored(
    autojump_clock: MockClock, fault: Fault
) -> None:
    async with open_sandbox(listen=False) as sandbox:
        sandbox.quote("BTCUSDT", Decimal(50_000), Decimal(50_001), Decimal(10))
        async with bintrio.open_session(sandbox.memory_endpoint, connect=sandbox.connect, key=sandbox.key) as session:
            sandbox.revoke(sandbox.key.api_key, lasts=20)
            sandbox.inject(fault)
            with pytest.raises(OutcomeUnknown) as caught:
                await session.within(10).send(BUY)
            await trio.sleep_until(21)
            assert await session.confirm(caught.value) is None
            async with session.user_data() as events:
                await trio.sleep(60)
                assert session.connection is not None
                assert session.connection.number > 1
                assert session.connection.is_logged_on
                sandbox.deposit("USDT", Decimal(7))
                assert await deltas(events, 1) == [7]
