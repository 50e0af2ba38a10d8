"""What a call comes to, whatever the exchange answers: random answers through whole sessions.

`Rejected` means that the exchange said no, in its own form. A trading call that was answered in any other way, or in no
way that can be read, may have been executed.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final

import pytest
import trio
import trio_websocket
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio.errors import BintrioError, InvalidRequest, OutcomeUnknown, ProtocolViolation, Rejected
from bintrio.requests import OrderAmendKeepPriority, OrderCancel, OrderCancelReplace, OrderPlace, OrderStatus, Ping
from tests.peer import ACK, ORDER, START, Exchange, Json, Peer, open_pair
from tests.sessions import HMAC

pytestmark = pytest.mark.usefixtures("both_streams")

GOOD: Final[dict[str, Any]] = {
    "order.place": ACK,
    "order.cancel": {
        **{name: value for name, value in ORDER.items() if name not in {"time", "updateTime", "isWorking"}},
        "origClientOrderId": "mine",
        "status": "CANCELED",
        "transactTime": START,
    },
    "order.status": ORDER,
    "ping": {},
}
LIMIT: Final[dict[str, Any]] = {"side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "price": 1, "quantity": 1}
REQUESTS: Final[list[Any]] = [
    OrderPlace(symbol="BTCUSDT", new_order_resp_type="ACK", **LIMIT),
    OrderCancel(symbol="BTCUSDT", order_id=7),
    OrderCancelReplace(symbol="BTCUSDT", cancel_replace_mode="ALLOW_FAILURE", cancel_order_id=7, **LIMIT),
    OrderAmendKeepPriority(symbol="BTCUSDT", order_id=7, new_qty="0.5"),
    OrderStatus(symbol="BTCUSDT", order_id=7),
    Ping(),
]
ABSENT: Final = object()
SAY_NO_BY_THEMSELVES: Final = {403, 418, 429}
UNKNOWN: Final = (-1006, -1007)

NO_ERRORS: Final[list[Any]] = [ABSENT, ABSENT, None, {}, [], "No.", 7]

statuses = st.sampled_from([200, 400, 400, 429, 503, 504, 999, 2**70]) | st.sampled_from(
    [ABSENT, None, "200", "400", 0, -1, 100, 201, 202, 204, 301, 302, 304, 399, 401, 403, 404, 408, 409, 418, 499, 500]
)
codes = st.sampled_from([-2010, -2011, -1003, -1006, -1007, -1013, -1015, -1021, -2013, -2021, -2022, -9999])
odd_codes = st.sampled_from([0, 5, "-2010", "-1007", None, -2010.5, ABSENT, True, [-2010]])
texts = st.sampled_from(["No.", "", "Timeout waiting for response from backend server."])
errors = st.fixed_dictionaries({"code": codes, "msg": texts}) | st.one_of(
    st.sampled_from(NO_ERRORS),
    st.fixed_dictionaries({"code": codes | odd_codes, "msg": texts | st.sampled_from([ABSENT, None, 5])}),
)
results = st.sampled_from(["good", "good", ABSENT, ABSENT, None, {}, [], "", 0, {"orderId": 1}, {"code": -2010}])
replies = st.fixed_dictionaries({"status": statuses, "error": errors, "result": results})


def stated(fields: dict[str, Any]) -> dict[str, Any]:
    """Without what is absent, also from an error."""
    kept: dict[str, Any] = {name: value for name, value in fields.items() if value is not ABSENT}
    return kept | {"error": stated(kept["error"])} if isinstance(kept.get("error"), dict) else kept


def said(reply: dict[str, Any], name: str) -> Any:
    """A field of the error, if there is such."""
    error: Any = reply.get("error")
    return error.get(name) if isinstance(error, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]


def is_refusal(reply: dict[str, Any]) -> bool:
    """Whether it says no in the exchange's own form, or by a status from before the exchange."""
    status, code = reply.get("status"), said(reply, "code")
    if not isinstance(status, int) or not 400 <= status < 500 or reply.get("result") is not None:
        return False
    is_code = isinstance(code, int) and not isinstance(code, bool)
    if status in SAY_NO_BY_THEMSELVES:
        return code not in UNKNOWN
    # -2021 says that one half was done, and does not say here which.
    return (
        is_code and code < 0 and code not in (*UNKNOWN, -2021) and isinstance(said(reply, "msg"), str) and status != 409
    )


@pytest.mark.untraced
@settings(max_examples=120)
@given(
    request=st.sampled_from(REQUESTS), reply=replies, cut=st.sampled_from([0, 0, 0, 0, 1, 7]), times=st.integers(1, 2)
)
def test_g1_g2_g7_whatever_is_answered_rejected_means_that_the_exchange_said_no(
    request: Any, reply: dict[str, Any], cut: int, times: int
) -> None:
    method = request.api.name
    answer = stated({**reply, "result": GOOD.get(method, {}) if reply["result"] == "good" else reply["result"]})
    is_good = answer.get("status") == 200 and answer.get("error") is None and reply["result"] == "good"

    async def main() -> None:
        async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
            peer = exchange.peers[0]

            async def tell() -> None:
                asked = await peer.next()
                text = json.dumps({"id": asked["id"], **answer})
                for _ in range(times):
                    await peer.send(text[: len(text) - cut])

            nursery.start_soon(tell)
            outcome = await ended(session, request)
            if cut:  # it is no JSON, and reaches nobody
                assert isinstance(outcome, OutcomeUnknown)
            elif is_refusal(answer):
                assert isinstance(outcome, Rejected)
            elif is_good and method in GOOD:
                assert not isinstance(outcome, BintrioError)
            else:
                may_be = OutcomeUnknown if not request.api.repeatable else OutcomeUnknown | ProtocolViolation
                assert isinstance(outcome, may_be) or (reply["result"] == {} and method == "ping")
            if isinstance(outcome, OutcomeUnknown) and not request.api.repeatable:
                assert vars(outcome)["request"] is not None
            assert len(exchange.sent(method)) == 1
            await trio.sleep(200)
            exchange.script["depth"] = lambda _peer: {"lastUpdateId": 1, "bids": [], "asks": []}
            assert (await session.depth(symbol="BTCUSDT")).last_update_id == 1
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def ended(session: bintrio.Session, request: Any) -> Any:
    try:
        return await session.send(request)
    except BintrioError as error:
        return error


# Whose an answer is

IDS: Final[list[Any]] = [None, 5, "5", "mine"]
whats = st.sampled_from(["call", "call", "answer", "answer", "repeat", "cancel", "rotate"])
moves = st.tuples(whats, st.integers(0, 20))


class Post:
    """Calls that each have a number, and an exchange that answers each with that: in any order, again, or never."""

    def __init__(self, session: bintrio.Session, exchange: Exchange, nursery: trio.Nursery) -> None:
        self.told: list[list[Any]] = []
        self.asked: list[tuple[Peer, Json]] = []
        self.answered: list[tuple[Peer, Json]] = []
        self._scopes: list[trio.CancelScope] = []
        self._session, self._exchange, self._nursery = session, exchange, nursery

    async def move(self, what: str, which: int, id: Any) -> None:
        if what == "call":
            await self.call(id)
        elif what == "answer" and self.asked:
            self.answered.append(self.asked.pop(which % len(self.asked)))
            await self.answer(*self.answered[-1])
        elif what == "repeat" and self.answered:
            await self.answer(*self.answered[which % len(self.answered)])
        elif what == "cancel" and self._scopes:
            self._scopes[which % len(self._scopes)].cancel()
        elif what == "rotate":
            await self._session.rotate()
        await wait_all_tasks_blocked()

    async def call(self, id: Any) -> None:
        self._scopes.append(trio.CancelScope())
        self.told.append([])
        self._nursery.start_soon(self._call, len(self.told) - 1, id)
        await wait_all_tasks_blocked()
        for peer in self._exchange.peers:
            with suppress(trio.WouldBlock):
                self.asked.append((peer, peer.requests.receive_nowait()))

    async def _call(self, number: int, id: Any) -> None:
        with self._scopes[number], suppress(InvalidRequest):  # the id is that of a call in flight
            said = await self._session.request("echo", {"n": number}, id=id)
            self.told[number].append(said["n"])

    async def answer(self, peer: Peer, request: Json) -> None:
        with suppress(trio_websocket.ConnectionClosed):
            await peer.answer(request, {"n": request["params"]["n"]})


@pytest.mark.untraced
@settings(max_examples=60)
@given(planned=st.lists(moves, min_size=20, max_size=40), ids=st.lists(st.sampled_from(IDS), min_size=40, max_size=40))
def test_g2_an_answer_reaches_the_call_that_it_is_for_whatever_ids_are_used_again(
    planned: list[tuple[str, int]], ids: list[Any]
) -> None:
    """Late, repeated, in any order, on a connection that was replaced; ids that users choose, and choose again."""

    async def main() -> None:
        async with open_pair(key=HMAC, pong_window=1e6) as (session, exchange), trio.open_nursery() as nursery:
            post = Post(session, exchange, nursery)
            for (what, which), id in zip(planned, ids, strict=False):
                await post.move(what, which, id)
            numbers = {request["params"]["n"] for _, request in post.answered}
            for number, told in enumerate(post.told):
                assert told in ([], [number])
                assert not told or number in numbers
            for peer in exchange.peers:
                sent = [repr(request["id"]) for each, request in (*post.asked, *post.answered) if each is peer]
                assert len(set(sent)) == len(sent)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
