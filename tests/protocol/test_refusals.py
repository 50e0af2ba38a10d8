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
from bintrio._protocol.results import read_answer, read_error, read_result, refused_halves
from bintrio.api._base import catalogue
from bintrio.errors import (
    Banned,
    CancelReplaceFailed,
    OutcomeUnknown,
    PartlyDone,
    ProtocolViolation,
    RateLimited,
    Rejected,
    WafBlocked,
)
from bintrio.requests import OrderPlace, Ping
from tests.orders import replacing
from tests.peer import ACK, START, Exchange, open_pair
from tests.sessions import HMAC, in_background

BUY: Final = OrderPlace(symbol="BTCUSDT", side="BUY", type="MARKET", quantity=1)
REPLACE: Final = replacing(5, "ALLOW_FAILURE", new_order_resp_type="ACK")
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


@pytest.mark.parametrize("status", [400, 401, 404, 499])
@pytest.mark.parametrize("is_null", [False, True])
def test_g1_a_well_formed_refusal_is_one(status: int, is_null: bool) -> None:
    assert isinstance(read_error("order.place", answer(status, error=WELL_FORMED, is_null=is_null)), Rejected)


@pytest.mark.parametrize("status", [100, 200, 201, 202, 204, 301, 302, 304, 399, 400, 401, 404, 408, 409, 499])
@pytest.mark.parametrize("error", [*ODD_ERRORS, WELL_FORMED])
@pytest.mark.parametrize("result", [None, {"orderId": 1}, [], 0])
def test_g1_what_is_neither_a_result_nor_a_well_formed_refusal_is_neither(status: int, error: Any, result: Any) -> None:
    envelope = answer(status, error=error, result=result)
    is_refusal = status >= 400 and status != 409 and error is WELL_FORMED and result is None
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
        assert status != 409
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


# What is done in halves


HALF_FAILED: Final = {"code": -2011, "msg": "Unknown order sent."}
CANCELED: Final[dict[str, Any]] = {
    "symbol": "BTCUSDT",
    "origClientOrderId": "old",
    "orderId": 5,
    "orderListId": -1,
    "clientOrderId": "x",
    "transactTime": START,
    "price": "1",
    "origQty": "1",
    "executedQty": "0",
    "origQuoteOrderQty": "0",
    "cummulativeQuoteQty": "0",
    "status": "CANCELED",
    "timeInForce": "GTC",
    "type": "LIMIT",
    "side": "BUY",
    "selfTradePreventionMode": "NONE",
}
HALVES: Final[dict[str, list[Any]]] = {
    "cancelResponse": [CANCELED, HALF_FAILED, None, {"odd": 1}, {"code": "-2011", "msg": "No."}, {"code": 0}, [], "x"],
    "newOrderResponse": [ACK, HALF_FAILED, None, {"odd": 1}, {"code": "-2010", "msg": "No."}, {"code": 0}, [], "x"],
    "cancelResult": ["SUCCESS", "FAILURE", "NOT_ATTEMPTED", None, "NEWS"],
    "newOrderResult": ["SUCCESS", "FAILURE", "NOT_ATTEMPTED", None, "NEWS"],
}
METHODS: Final = sorted(catalogue)


@given(
    method=st.sampled_from(["order.cancelReplace", "order.cancelReplace", *METHODS]),
    status=st.sampled_from([400, 409]),
    code=st.sampled_from([-2021, -2022, -2010]),
    halves=st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in HALVES.items()}),
)
def test_g1_a_refusal_in_halves_tells_which_was_done_or_is_none(
    method: str, status: int, code: int, halves: dict[str, Any]
) -> None:
    """Only order.cancelReplace has halves; and each is as its word says, one done and one not, or neither."""
    try:
        said = read_error(method, answer(status, error={"code": code, "msg": "No.", "data": halves}))
    except ProtocolViolation:
        assert method == "order.cancelReplace" or status == 409 or code != -2010
        return
    assert isinstance(said, Rejected)
    done = {
        name for name, record in (("cancel", CANCELED), ("newOrder", ACK)) if halves.get(f"{name}Response") == record
    }
    failed = {name for name in ("cancel", "newOrder") if halves.get(f"{name}Response") == HALF_FAILED}
    if method != "order.cancelReplace":  # whatever is beside it, that it failed says that nothing was done
        assert not isinstance(said, PartlyDone)
        assert not isinstance(said, CancelReplaceFailed) or said.done == {}
        return
    for name in ("cancel", "newOrder"):
        word = halves.get(f"{name}Result")
        assert (word == "SUCCESS") <= (name in done)
        assert (word in {"FAILURE", "NOT_ATTEMPTED"}) <= (name not in done)
        assert not isinstance(halves.get(f"{name}Response"), dict) or name in done | failed
    if isinstance(said, PartlyDone):
        assert {f"{name}Response" for name in done} == said.done.keys()
        assert {f"{name}Response" for name in failed} == said.failed.keys()
        assert (len(done), len(failed)) in {(1, 0), (0, 1), (1, 1)}
    else:
        assert not done


def test_g1_a_half_way_refusal_of_what_was_done_whole_is_none() -> None:
    halves = {
        "cancelResponse": CANCELED,
        "newOrderResponse": ACK,
        "cancelResult": "SUCCESS",
        "newOrderResult": "SUCCESS",
    }
    with pytest.raises(ProtocolViolation, match="it cannot be told which half was done"):
        read_error("order.cancelReplace", answer(409, error={"code": -2021, "msg": "No.", "data": halves}))


@pytest.mark.parametrize("word", ["FAILURE", "NOT_ATTEMPTED"])
@pytest.mark.parametrize("name", ["cancelResult", "newOrderResult"])
def test_g1_a_success_that_says_that_a_half_was_not_done_is_none(name: str, word: str) -> None:
    halves = {"cancelResponse": CANCELED, "newOrderResponse": ACK, "cancelResult": "SUCCESS", "newOrderResult": "NEWS"}
    envelope = answer(200, result=halves)
    assert read_answer(REPLACE, envelope).new_order_response.order_id == 7
    envelope = answer(200, result={**halves, name: word})
    with pytest.raises(ProtocolViolation, match=f"got `{word}` - at `result.{name}`"):
        read_answer(REPLACE, envelope)
    for result_type in (Any, catalogue["order.cancelReplace"].api.result):
        with pytest.raises(ProtocolViolation, match=f"got `{word}` - at `result.{name}`"):
            read_result("order.cancelReplace", result_type, envelope)


@pytest.mark.usefixtures("both_streams")
@pytest.mark.parametrize("code", [-2021, -2022, -2010])
@pytest.mark.parametrize("request_", [BUY, REPLACE, Ping()], ids=["place", "replace", "ping"])
async def test_g1_a_half_done_status_that_cannot_be_the_answer_leaves_the_outcome_unknown(
    autojump_clock: MockClock, request_: Any, code: int
) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, lambda: session.send(request_))
        await exchange.peers[0].refuse(await exchange.peers[0].next(), 409, code, "x")
        await wait_all_tasks_blocked()
        assert type(outcome.error) is (ProtocolViolation if isinstance(request_, Ping) else OutcomeUnknown)


def test_g8_a_half_of_which_little_can_be_read_is_refused_if_its_code_says_so() -> None:
    data = {
        "a": {"code": "-1003"},
        "b": {"code": 3},
        "c": {"code": [1]},
        "d": None,
        "e": {"code": 0},
        "f": {"code": -1},
    }
    error = read_error("new.method", answer(409, error={"code": -2021, "msg": "No.", "data": data}))
    assert isinstance(error, Rejected)
    assert {name: half.code for name, half in refused_halves(error).items()} == {"a": -1003, "f": -1}
