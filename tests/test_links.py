"""What a session makes of its link to the exchange: what is told of its failures."""

from __future__ import annotations

import errno
import os

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio.errors import ConnectionFailed, HandshakeRejected, NotSent, OutcomeUnknown

from .peer import URL, open_exchange, open_pair
from .streams import reset_reads
from .test_session import BUY, HMAC, in_background

pytestmark = pytest.mark.usefixtures("both_streams")

REFUSED = OSError("all attempts to connect to exchange.test:443 failed")
REFUSED.__cause__ = OSError(
    errno.ECONNREFUSED, f"Error connecting to ('192.0.2.1', 443): {os.strerror(errno.ECONNREFUSED)}"
)

# Words


async def test_a_reset_connection_is_called_that_wherever_it_shows(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        open_pair(key=HMAC) as (session, exchange),
        session.user_data() as events,
        trio.open_nursery() as nursery,
    ):
        outcome = in_background(nursery, lambda: session.send(BUY))
        await exchange.peers[0].next()
        old = session.connection
        reset_reads(session)
        await exchange.peers[0].send("{}")
        gap = await anext(events)
        while not isinstance(gap, bintrio.Gap):
            gap = await anext(events)
    assert isinstance(outcome.error, OutcomeUnknown)
    assert gap.reason == "reading failed: connection reset by peer"
    assert outcome.error.reason == f"the connection ended: {gap.reason}"
    assert f"connection 1 was lost: {gap.reason}" in caplog.text
    assert repr(old).endswith(f"ended: {gap.reason}>")


async def test_an_address_that_refuses_is_called_that_wherever_it_shows(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        exchange.refuse_with.append(REFUSED)
        await exchange.peers[0].cut()
        await trio.sleep(1)
        call = in_background(nursery, session.ping)

        async def subscribe() -> None:
            async with session.user_data():
                raise AssertionError

        subscription = in_background(nursery, subscribe)
        await trio.sleep(20)
        for outcome in (call, subscription):
            assert isinstance(outcome.error, NotSent)
            assert "('192.0.2.1', 443): connection refused" in outcome.error.reason
        assert "connection refused" in caplog.text


async def test_a_refused_handshake_is_told_with_the_servers_words(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        body = b'{"code":0,"msg":"Service unavailable from a restricted location."}'
        exchange.refuse_with.append(HandshakeRejected(451, [], body))
        with pytest.raises(ConnectionFailed, match=r"HTTP 451 .*: Service unavailable from a restricted") as caught:
            async with bintrio.open_session(URL, connect=exchange.connect):
                raise AssertionError
        ((_, error),) = caught.value.attempts
        assert isinstance(error, bintrio.HandshakeRejected)
        assert (error.status, error.body) == (451, body)
