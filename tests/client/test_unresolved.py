"""What stays in `session.unresolved`: whatever `confirm` ends in, an entry goes only once the truth was told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import copy
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio import InvalidRequest, NotSent, OutcomeUnknown, ProtocolViolation, Rejected
from tests.orders import NO_ORDER
from tests.peer import ORDER, START, Exchange, open_pair
from tests.sessions import BUY, HMAC

OTHER = bintrio.HmacKey("another-api-key", "secret")
NAMELESS = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "1", "quantity": "1"}


async def placed(session: bintrio.Session) -> None:
    await session.send(BUY)


def by_wire_names(method: str, params: Any) -> Callable[[bintrio.Session], Awaitable[Any]]:
    return lambda session: session.request(method, params)


LATER = {"status": 503, "error": {"code": -1008, "msg": "Later."}}
TWO = [{**ORDER, "orderId": number, "time": START + 500} for number in (8, 9)]

REFUSED: list[tuple[str, Callable[[bintrio.Session], Awaitable[Any]], dict[str, Any], type[bintrio.BintrioError]]] = [
    ("it named no order", by_wire_names("order.place", NAMELESS), {}, InvalidRequest),
    ("no request could be it", by_wire_names("order.place", {"symbol": ["a"]}), {}, InvalidRequest),
    ("a method that is not known", by_wire_names("coffee.place", {}), {}, InvalidRequest),
    (
        "the question is refused",
        placed,
        {"order.status": {"status": 400, "error": {"code": -2015, "msg": "No."}}},
        Rejected,
    ),
    ("the answer cannot be read", placed, {"order.status": [1]}, ProtocolViolation),
    ("not all answers can be read", placed, {"order.status": NO_ORDER, "allOrders": [{}]}, ProtocolViolation),
    ("no answer to any question", placed, {}, OutcomeUnknown),
    ("nothing but not now", placed, {"order.status": LATER}, OutcomeUnknown),
    ("two orders may be its", placed, {"order.status": NO_ORDER, "allOrders": TWO}, OutcomeUnknown),
]


async def cancelled(session: bintrio.Session, call: Callable[[bintrio.Session], Awaitable[Any]]) -> OutcomeUnknown[Any]:
    with trio.move_on_after(1):
        await call(session)
    (entry,) = session.unresolved
    return entry


def given(answer: Any, _peer: object) -> Any:
    return answer


def answering(exchange: Exchange, answers: dict[str, Any]) -> None:
    for method, answer in answers.items():
        exchange.script[method] = partial(given, answer)


@pytest.mark.parametrize(("call", "answers", "kind"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_g1_an_entry_stays_whatever_confirm_raises(
    autojump_clock: MockClock, call: Any, answers: dict[str, Any], kind: type[bintrio.BintrioError]
) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        entry = await cancelled(session, call)
        answering(exchange, answers)
        for _ in range(2):
            with pytest.raises(kind):
                await session.confirm(entry)
            assert session.unresolved == (entry,)


@pytest.mark.parametrize("answers", [{}, {"order.status": NO_ORDER}], ids=["asking", "waiting"])
@pytest.mark.parametrize("how", ["within", "cancelled"])
async def test_g1_an_entry_stays_when_the_time_for_confirm_is_over(
    autojump_clock: MockClock, answers: dict[str, Any], how: str
) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        entry = await cancelled(session, placed)
        answering(exchange, answers)
        if how == "within":
            with pytest.raises(OutcomeUnknown):
                await session.within(1).confirm(entry)
        else:
            with trio.move_on_after(1) as scope:
                await session.confirm(entry)
            assert scope.cancelled_caught
        assert session.unresolved == (entry,)


async def test_g1_an_entry_stays_when_the_session_has_not_its_key_or_is_closed(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, _), open_pair(key=OTHER) as (elsewhere, _):
        entry = await cancelled(session, placed)
        with pytest.raises(InvalidRequest, match="confirm it on"):
            await elsewhere.confirm(entry)
        assert session.unresolved == (entry,)
    with pytest.raises(NotSent):
        await session.confirm(entry)
    assert session.unresolved == (entry,)


async def test_g1_an_entry_stays_when_anything_else_is_confirmed(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        entry = await cancelled(session, placed)
        exchange.script["order.status"] = lambda _peer: ORDER
        assert await session.confirm(BUY) is not None
        assert await session.confirm(copy(entry)) is not None  # nobody knows of which of two equal calls it is a copy
        odd: Any = None
        with pytest.raises(InvalidRequest):
            await session.confirm(odd)
        assert session.unresolved == (entry,)


async def test_g1_the_truth_told_of_an_error_that_confirm_raised_settles_the_entry_of_its_call(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        entry = await cancelled(session, placed)
        with pytest.raises(OutcomeUnknown) as raised:
            await session.within(1).confirm(entry)
        assert raised.value is not entry
        exchange.script["order.status"] = lambda _peer: ORDER
        assert await session.confirm(raised.value) is not None
        assert not session.unresolved


def lacking(field: str, **values: Any) -> dict[str, Any]:
    return {name: value for name, value in {**ORDER, **values}.items() if name != field}


NAMELESS_ROWS = [
    lacking("clientOrderId", orderId=8, side="SELL"),
    lacking("clientOrderId", orderId=7),
    lacking("clientOrderId", orderId=9, time=START - 60_000),
]


@pytest.mark.parametrize("shown", [ORDER, lacking("clientOrderId")], ids=["named", "nameless"])
async def test_g10_rows_without_their_client_order_id_hide_no_order(autojump_clock: MockClock, shown: Any) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        entry = await cancelled(session, placed)
        answering(exchange, {"order.status": shown, "allOrders": NAMELESS_ROWS})
        found: Any = await session.confirm(entry)
        assert found.order_id == 7
        assert not session.unresolved


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (
            {"order.status": ORDER, "allOrders": [lacking("clientOrderId", orderId=8)]},
            "allOrders: Order came without `clientOrderId`, so it has no `client_order_id`; nothing else tells",
        ),
        (
            {"order.status": lacking("orderId")},
            "order.status: Order came without `orderId`, so it has no `order_id`; nothing else tells",
        ),
        (
            {"order.status": lacking("time")},
            "order.status: Order came without `time`, so it has no `time`; nothing else tells",
        ),
    ],
    ids=["another may be its", "its number", "its time"],
)
async def test_g10_an_entry_stays_if_a_field_that_tells_does_not_come(
    autojump_clock: MockClock, answers: dict[str, Any], said: str
) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        entry = await cancelled(session, placed)
        answering(exchange, answers)
        with pytest.raises(OutcomeUnknown) as caught:
            await session.confirm(entry)
        assert caught.value.reason == said
        assert caught.value.request == BUY
        assert session.unresolved == (entry,)


async def test_g1_what_nobody_can_ask_about_is_forgotten_when_the_program_says_so(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, _):
        nameless = await cancelled(session, by_wire_names("order.place", NAMELESS))
        with trio.move_on_after(1):
            await placed(session)
        session.forget(nameless)
        (other,) = session.unresolved
        assert other.client_order_id is not None
        # Once more changes nothing, nor does what only looks like it.
        session.forget(nameless)
        session.forget(OutcomeUnknown("order.place", "the test says so"))
        assert session.unresolved == (other,)
        wrong: Any = "order.place"
        with pytest.raises(InvalidRequest, match=r"only one of session\.unresolved can be forgotten, not str"):
            session.forget(wrong)


async def test_g1_a_full_list_has_room_again_once_something_is_forgotten(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bintrio._client.outcomes.MOST_UNRESOLVED", 1)
    async with open_pair(key=HMAC) as (session, exchange):
        nameless = await cancelled(session, by_wire_names("order.place", NAMELESS))
        with pytest.raises(NotSent, match=r"session\.unresolved"):
            await placed(session)
        session.forget(nameless)
        with trio.move_on_after(1):
            await placed(session)
        assert exchange.sent("order.place")
        assert len(session.unresolved) == 1
