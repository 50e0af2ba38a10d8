"""Keys: what is signed, who logs on, and over which connections."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio.errors import (
    InvalidRequest,
    Unauthorized,
)
from tests.peer import ACK, ORDER, START, ed25519_key, open_exchange, open_pair
from tests.sessions import BUY, HMAC, in_background

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
