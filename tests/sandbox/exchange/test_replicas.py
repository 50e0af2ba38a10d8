"""Queries that are behind the matching engine, and the same queries that are not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

import bintrio
from bintrio.api._base import catalogue
from bintrio.sandbox import open_sandbox
from bintrio.sandbox.exchange.auth import SandboxAccount
from bintrio.sandbox.exchange.limits import Limits
from bintrio.sandbox.exchange.messages import read_message
from tests.sandbox.client import BUY, Client, D

SECOND = 1_000_000
NAMES = ("a", "b", "c")
OF_A_MARKET = ("depth", "trades.recent", "trades.aggregate", "ticker.price", "ticker.book")
PLENTY = Limits(weight=10**9, orders_per_10_seconds=10**6)


def trader(lag: int = 0) -> Client:
    client = Client(limits=PLENTY)
    client.exchange.replicas.lag = lag
    client.log_on()
    return client


def answer(client: Client, method: str, /, **params: Any) -> Any:
    """The result, or the error; neither needs to be there."""
    if catalogue[method].api.signed:
        params |= {"timestamp": client.now // 1_000}
    message = json.dumps({"id": 1, "method": method, "params": params})
    reply = json.loads(
        client.exchange.execute(client.session, client.budget, read_message(message), client.now).as_bytes()
    )
    return reply.get("result", reply.get("error"))


def place(client: Client, name: str, **changes: Any) -> Any:
    return answer(client, "order.place", **(BUY | {"newClientOrderId": name} | changes))


def looks(client: Client) -> dict[str, Any]:
    """What every query that lags says."""
    of_btc = {"symbol": "BTCUSDT"}
    return {
        **{method: answer(client, method) for method in ("account.status", "openOrders.status")},
        **{method: answer(client, method, **of_btc) for method in ("allOrders", "myTrades", *OF_A_MARKET)},
        **{name: answer(client, "order.status", origClientOrderId=name, **of_btc) for name in NAMES},
        "trades of 1": answer(client, "myTrades", orderId=1, **of_btc),
        "amendments of 1": answer(client, "order.amendments", orderId=1, **of_btc),
    }


def test_a_change_is_seen_once_it_is_as_old_as_the_lag() -> None:
    client = trader(lag=2 * SECOND)
    assert place(client, "a")["status"] == "NEW"
    client.now += 2 * SECOND - 1
    assert looks(client)["a"]["code"] == -2013
    assert looks(client)["openOrders.status"] == looks(client)["allOrders"] == []
    client.now += 1
    assert looks(client)["a"]["status"] == "NEW"
    answer(client, "order.cancel", symbol="BTCUSDT", origClientOrderId="a")
    assert looks(client)["a"]["status"] == "NEW"
    client.now += 2 * SECOND
    assert looks(client)["a"]["status"] == "CANCELED"


def test_the_matching_engine_is_never_behind() -> None:
    client = trader(lag=60 * SECOND)
    place(client, "a")
    assert place(client, "a")["msg"] == "Duplicate order sent."
    amended = answer(client, "order.amend.keepPriority", symbol="BTCUSDT", orderId=1, newQty="1")
    assert amended["amendedOrder"]["qty"] == "1.00000000"
    assert answer(client, "openOrders.cancelAll", symbol="BTCUSDT")[0]["status"] == "CANCELED"


def test_a_lag_may_begin_grow_shrink_and_end_and_no_query_goes_back() -> None:
    client = trader()
    place(client, "a")
    client.exchange.replicas.lag = SECOND
    assert looks(client)["a"]["status"] == "NEW"  # what was seen before is seen
    place(client, "b")
    client.now += SECOND
    assert looks(client)["b"]["status"] == "NEW"
    client.exchange.replicas.lag = 10 * SECOND
    assert looks(client)["b"]["status"] == "NEW"
    place(client, "c")
    client.now += 2 * SECOND
    assert looks(client)["c"]["code"] == -2013
    client.exchange.replicas.lag = 2 * SECOND
    assert looks(client)["c"]["status"] == "NEW"
    answer(client, "order.cancel", symbol="BTCUSDT", origClientOrderId="c")
    assert looks(client)["c"]["status"] == "NEW"
    client.exchange.replicas.lag = 0
    assert looks(client)["c"]["status"] == "CANCELED"


def test_an_account_that_is_opened_meanwhile_has_its_balances() -> None:
    client = trader(lag=SECOND)
    client.exchange.open_account(SandboxAccount(9, {"BTC": D(1)}))
    assert client.exchange.replicas.account(9, client.now).holding("BTC").free == 1


def test_an_order_keeps_its_name_in_copies_too() -> None:
    """An older order that took over the name of a newer one is found by it."""
    client = trader()
    place(client, "a")
    place(client, "b")
    answer(client, "order.cancel", symbol="BTCUSDT", origClientOrderId="b")
    answer(client, "order.amend.keepPriority", symbol="BTCUSDT", orderId=1, newQty="1", newClientOrderId="b")
    assert looks(client)["b"]["orderId"] == 1
    client.exchange.replicas.lag = SECOND
    assert looks(client)["b"]["orderId"] == 1


# Any history

Step = tuple[str, dict[str, Any]]


def _orders(kind: str, **fixed: Any) -> st.SearchStrategy[Step]:
    names, sides = st.sampled_from(NAMES), st.sampled_from(("BUY", "SELL"))
    quantity, price = st.sampled_from(("0.5", "1", "1.5")), st.sampled_from(("99", "100", "101"))
    drawn = st.fixed_dictionaries({"newClientOrderId": names, "side": sides, "quantity": quantity, "price": price})
    return drawn.map(lambda params: (kind, BUY | params | fixed))


_SYMBOL = {"symbol": "BTCUSDT"}
_STEPS = st.one_of(
    _orders("order.place"),
    _orders("order.place", timeInForce="IOC"),
    st.tuples(
        _orders("order.cancelReplace", cancelReplaceMode="ALLOW_FAILURE"), st.sampled_from(NAMES)
    ).map(lambda drawn: (drawn[0][0], drawn[0][1] | {"cancelOrigClientOrderId": drawn[1]})),
    st.sampled_from(NAMES).map(lambda name: ("order.cancel", _SYMBOL | {"origClientOrderId": name})),
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.sampled_from(("0.5", "0.2"))).map(
        lambda drawn: (
            "order.amend.keepPriority",
            _SYMBOL | {"origClientOrderId": drawn[0], "newClientOrderId": drawn[1], "newQty": drawn[2]},
        )
    ),
    st.sampled_from(("BTC", "USDT")).map(lambda asset: ("deposit", {"asset": asset})),
    st.sampled_from(("BTC", "USDT")).map(lambda asset: ("lock", {"asset": asset})),
)  # fmt: skip


def _take(client: Client, step: Step) -> None:
    method, params = step
    if method == "deposit":
        client.exchange.transfer(7, params["asset"], D(1), client.now)
    elif method == "lock":
        client.exchange.lock_externally(7, params["asset"], D("0.1"), client.now)
    else:
        answer(client, method, **params)


def _history(client: Client, steps: list[tuple[int, Step]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """What is seen at each moment, before anything and after each step."""
    yield client.now, looks(client)
    for pause, step in steps:
        client.now += pause
        _take(client, step)
        yield client.now, looks(client)


@pytest.mark.untraced
@given(st.lists(st.tuples(st.sampled_from((1, 300_000, SECOND)), _STEPS), max_size=25), st.sampled_from((1, SECOND)))
def test_a_query_that_lags_says_what_one_that_does_not_said_then(steps: list[tuple[int, Step]], lag: int) -> None:
    truth = list(_history(trader(), steps))
    for now, seen in _history(trader(lag), steps):
        *_, then = (said for time, said in truth if time <= max(now - lag, truth[0][0]))
        assert seen == then


# By the sandbox's name for it


@pytest.mark.parametrize("step", [0, -20, 20])
async def test_a_clock_that_is_set_makes_no_query_later_or_earlier(autojump_clock: MockClock, step: int) -> None:
    async with (
        open_sandbox(listen=False, query_lag=2) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        await session.order_place(
            symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price="40000", quantity="0.01"
        )
        if step < 0:
            sandbox.set_back(-step)
        else:
            sandbox.advance(step)
        for seconds, found in ((1.9, 0), (0.1, 1)):
            await trio.sleep(seconds)
            await session.rotate()  # it measures the clock
            assert len(await session.open_orders_status()) == found


async def test_it_is_asked_for_in_seconds_and_may_change_at_any_time(autojump_clock: MockClock) -> None:
    async with (
        open_sandbox(listen=False, query_lag=0.25) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        assert sandbox.query_lag == 0.25
        order = await session.order_place(
            symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price="100", quantity="1"
        )
        assert await session.open_orders_status() == ()
        sandbox.query_lag = 0
        (seen,) = await session.open_orders_status()
        assert seen.order_id == order.order_id
        assert sandbox.query_lag == 0


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
async def test_what_is_no_lag(seconds: float) -> None:
    with pytest.raises(ValueError, match="query_lag must be"):
        async with open_sandbox(listen=False, query_lag=seconds):
            raise AssertionError
