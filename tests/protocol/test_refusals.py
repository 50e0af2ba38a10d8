"""Rejected means: the exchange said no, in its own form. All else may have been executed."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from bintrio import HmacKey
from bintrio._protocol.envelope import Envelope, read_envelope
from bintrio._protocol.results import read_error
from bintrio.errors import Banned, OutcomeUnknown, ProtocolViolation, RateLimited, Rejected, WafBlocked
from bintrio.requests import OrderPlace, Ping
from tests.peer import ACK, Exchange, open_pair
from tests.sessions import HMAC, in_background

BUY: Final = OrderPlace(symbol="BTCUSDT", side="BUY", type="MARKET", quantity=1)
WELL_FORMED: Final = {"code": -2010, "msg": "Market is closed."}
ODD_ERRORS: Final[list[Any]] = [
    None,
    {},
    {"code": -2010},
    {"msg": "No."},
    {"code": -2010, "msg": None},
    {"code": "-2010", "msg": "No."},
    {"code": 0, "msg": "No."},
    {"code": 5, "msg": "No."},
    {"code": -2010, "msg": 5},
    "No.",
    [],
]
SAY_NO_BY_THEMSELVES: Final = {403: WafBlocked, 418: Banned, 429: RateLimited}


def answer(status: int, *, error: Any = None, result: Any = None, is_null: bool = False) -> Envelope:
    reply: dict[str, Any] = {"id": 1, "status": status}
    if error is not None:
        reply["error"] = error
    if result is not None or is_null:
        reply["result"] = result
    return read_envelope(json.dumps(reply).encode())


@pytest.mark.parametrize("status", [400, 401, 404, 409, 499])
@pytest.mark.parametrize("is_null", [False, True])
def test_g1_a_well_formed_refusal_is_one(status: int, is_null: bool) -> None:
    assert isinstance(read_error("order.place", answer(status, error=WELL_FORMED, is_null=is_null)), Rejected)


@pytest.mark.parametrize("status", [100, 200, 201, 202, 204, 301, 302, 304, 399, 400, 401, 404, 408, 409, 499])
@pytest.mark.parametrize("error", [*ODD_ERRORS, WELL_FORMED])
@pytest.mark.parametrize("result", [None, {"orderId": 1}, [], 0])
def test_g1_what_is_neither_a_result_nor_a_well_formed_refusal_is_neither(status: int, error: Any, result: Any) -> None:
    envelope = answer(status, error=error, result=result)
    is_refusal = status >= 400 and error is WELL_FORMED and result is None
    is_success = status == 200 and error is None
    if is_refusal:
        assert isinstance(read_error("order.place", envelope), Rejected)
    elif is_success:
        assert read_error("order.place", envelope) is None
    else:
        with pytest.raises(ProtocolViolation):
            read_error("order.place", envelope)


@pytest.mark.parametrize("status", SAY_NO_BY_THEMSELVES)
@pytest.mark.parametrize("error", [*ODD_ERRORS, WELL_FORMED])
def test_g8_what_comes_from_before_the_exchange_says_no_by_its_status(status: int, error: Any) -> None:
    assert type(read_error("order.place", answer(status, error=error))) is SAY_NO_BY_THEMSELVES[status]
    with pytest.raises(ProtocolViolation):
        read_error("order.place", answer(status, error=error, result={"orderId": 1}))


@pytest.mark.parametrize("status", [200, 400, 408, 429, 500, 504])
@pytest.mark.parametrize("code", [-1006, -1007])
@pytest.mark.parametrize("words", [{}, {"msg": None}, {"msg": "Timeout"}])
def test_g1_what_the_exchange_does_not_know_is_unknown_in_any_form(
    status: int, code: int, words: dict[str, Any]
) -> None:
    assert isinstance(read_error("order.place", answer(status, error={"code": code, **words})), OutcomeUnknown)


@given(
    st.integers(-10, 1000),
    st.none() | st.dictionaries(st.sampled_from(["code", "msg", "data"]), st.none() | st.integers() | st.text()),
    st.none() | st.integers() | st.dictionaries(st.text(), st.integers()),
)
def test_g1_only_a_well_formed_refusal_says_that_nothing_was_done(status: int, error: Any, result: Any) -> None:
    try:
        said = read_error("order.place", answer(status, error=error, result=result))
    except ProtocolViolation:
        return
    if isinstance(said, Rejected):
        assert result is None
        assert 400 <= status < 500
        if status not in SAY_NO_BY_THEMSELVES:
            assert isinstance(error["code"], int)
            assert error["code"] < 0
            assert isinstance(error["msg"], str)
    if said is None:
        assert (status, error) == (200, None)


async def test_g1_an_order_that_may_have_been_executed_is_of_unknown_outcome(autojump_clock: MockClock) -> None:
    """And a read that was answered so is no refusal either."""
    key = HmacKey("key", "secret")
    odd: list[Any] = [
        {"status": 201, "result": ACK},
        {"status": 302},
        {"status": 400, "result": ACK},
        {"status": 408, "error": {"code": "-1007", "msg": "Timeout"}},
        {"status": 200, "result": ACK, "error": WELL_FORMED},
    ]
    async with open_pair(key=key) as (session, exchange):
        for reply in odd:
            for request, expected in ((BUY, OutcomeUnknown), (Ping(), ProtocolViolation)):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_answer, exchange, reply)
                    with pytest.raises(expected):
                        await session.send(request)


async def _answer(exchange: Exchange, reply: Any) -> None:
    request = await exchange.peers[0].next()
    await exchange.peers[0].send(json.dumps({"id": request["id"], **reply}))


async def test_a_verdict_that_cannot_be_read_ends_the_connection(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        await exchange.peers[0].send('{"id":null,"status":302}')
        await trio.sleep(1)
        assert session.counters.connections == 2
        exchange.script["ping"] = lambda _peer: {}
        await session.ping()


@pytest.mark.usefixtures("both_streams")
async def test_a_half_done_status_of_a_method_without_halves_is_a_refusal(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, lambda: session.send(BUY))
        await exchange.peers[0].refuse(await exchange.peers[0].next(), 409, -2021, "x")
        await wait_all_tasks_blocked()
        assert isinstance(outcome.error, Rejected)
