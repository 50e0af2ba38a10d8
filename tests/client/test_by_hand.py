"""Calls by hand of what the session does by itself: refused, or done as it would do them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio import InvalidRequest
from bintrio._client import by_hand
from bintrio.api._base import catalogue
from tests.peer import ORDER, ed25519_key, open_pair
from tests.sessions import HMAC, in_background

pytestmark = pytest.mark.usefixtures("both_streams")

LOGONS: Final = ["session.logon", "session.logout", "session.status"]
STREAMS: Final = ["userDataStream.subscribe", "userDataStream.subscribe.signature", "userDataStream.unsubscribe"]
PARAMETERS: Final[dict[str, Any]] = {"userDataStream.unsubscribe": {"subscriptionId": 0}}


def typed(method: str) -> Callable[[bintrio.Session], Any]:
    request = catalogue[method](**({"subscription_id": 0} if method == "userDataStream.unsubscribe" else {}))
    return lambda session: session.send(request)


def raw(prefix: str, signed: bool | None) -> Callable[[str], Callable[[bintrio.Session], Any]]:
    def by_name(method: str) -> Callable[[bintrio.Session], Any]:
        return lambda session: session.request(prefix + method, PARAMETERS.get(method), signed=signed)

    return by_name


WAYS: Final[dict[str, Callable[[str], Callable[[bintrio.Session], Any]]]] = {
    "as a value": typed,
    "by name": raw("", None),
    "by its long name": raw("v3/", None),
    "by name, signed": raw("", True),
    "by its long name, unsigned": raw("v3/", False),
}


@pytest.mark.parametrize("key", ["none", "HMAC", "Ed25519"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("method", [*LOGONS, *STREAMS])
async def test_g1_what_the_session_does_by_itself_is_refused_by_hand_or_done_right(
    autojump_clock: MockClock, method: str, way: Callable[[str], Callable[[bintrio.Session], Any]], key: str
) -> None:
    keys: dict[str, Any] = {"none": None, "HMAC": HMAC, "Ed25519": ed25519_key()}
    async with open_pair(key=keys[key], pong_window=1e6) as (session, exchange), trio.open_nursery() as nursery:
        before = len(exchange.log)
        done = in_background(nursery, lambda: way(method)(session))
        await wait_all_tasks_blocked()
        if method not in LOGONS or (method == "session.logon" and key != "Ed25519"):
            assert isinstance(done.error, InvalidRequest)
            assert len(exchange.log) == before
        elif method == "session.logon":
            assert set(exchange.log[-1]["params"]) == {"apiKey", "signature", "timestamp"}
        exchange.script["order.status"] = lambda _peer: ORDER
        if key != "none":
            await session.order_status(symbol="BTCUSDT", order_id=7)
            is_logged_on = key == "Ed25519" and method != "session.logout"
            assert ("signature" in exchange.log[-1]["params"]) is not is_logged_on
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("method", ["session.logon", "account.status"])
async def test_g1_what_needs_a_key_is_refused_without_one(autojump_clock: MockClock, method: str) -> None:
    async with open_pair() as (session, exchange):
        with pytest.raises(InvalidRequest, match=f"{method} needs a key") as caught:
            await session.request(method)
        assert caught.value.field == "key"
        assert not exchange.sent(method)


async def test_g1_a_logon_by_hand_is_signed_also_when_calls_need_no_signature(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange):
        await session.session_logon()
        await session.request("session.logon")
        await session.request("v3/session.logon", signed=False)
        for logon in exchange.sent("session.logon"):
            assert set(logon["params"]) == {"apiKey", "signature", "timestamp"}
        assert len(exchange.sent("session.logon")) == 4


async def test_g1_a_logout_by_hand_is_not_undone_by_a_rotation(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange):
        await session.session_logout()
        await session.rotate()
        assert len(exchange.sent("session.logon")) == 1
        exchange.script["order.status"] = lambda _peer: ORDER
        await session.order_status(symbol="BTCUSDT", order_id=7)
        assert "signature" in exchange.log[-1]["params"]
        await session.session_logon()
        await session.rotate()
        assert len(exchange.sent("session.logon")) == 3
        await session.order_status(symbol="BTCUSDT", order_id=7)
        assert "signature" not in exchange.log[-1]["params"]


async def test_g1_a_logout_whose_answer_is_lost_leaves_calls_signed(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange):
        exchange.script["session.logout"] = None
        with trio.move_on_after(1):
            await session.session_logout()
        exchange.script["order.status"] = lambda _peer: ORDER
        await session.order_status(symbol="BTCUSDT", order_id=7)
        assert "signature" in exchange.log[-1]["params"]


@pytest.mark.parametrize(("method", "instead"), by_hand.DONE_BY_SESSION.items())
async def test_g1_what_the_session_does_by_itself_is_refused_with_what_to_do(
    autojump_clock: MockClock, method: str, instead: str
) -> None:
    async with open_pair() as (session, exchange):
        before = len(exchange.log)
        with pytest.raises(InvalidRequest) as caught:
            await session.request(method)
        assert str(caught.value) == f"{method}: {instead}"
        assert len(exchange.log) == before
