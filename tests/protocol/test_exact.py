"""No result depends on the decimal context that a program has set for its own sums."""

from __future__ import annotations

import decimal
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Context, Decimal
from typing import Any, Final

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

import bintrio
from bintrio._protocol.envelope import read_envelope
from bintrio._protocol.events import decode_event
from bintrio._protocol.exact import EXACT, in_exact
from bintrio._protocol.requests import raw_params
from bintrio._protocol.results import decode_response, read_answer
from bintrio.requests import Depth, OrderPlace
from bintrio.rules import OrderContext, SymbolRules
from bintrio.sandbox import open_sandbox
from bintrio.sandbox.weather import Fill
from tests.catalogue import EXAMPLES

SIGNALS: Final = (
    *(decimal.Clamped, decimal.DivisionByZero, decimal.FloatOperation, decimal.Inexact, decimal.InvalidOperation),
    *(decimal.Overflow, decimal.Rounded, decimal.Subnormal, decimal.Underflow),
)
ROUNDINGS: Final = (
    *(decimal.ROUND_CEILING, decimal.ROUND_DOWN, decimal.ROUND_FLOOR, decimal.ROUND_HALF_DOWN),
    *(decimal.ROUND_HALF_EVEN, decimal.ROUND_HALF_UP, decimal.ROUND_UP, decimal.ROUND_05UP),
)
CONTEXTS: Final = st.builds(
    Context,
    prec=st.integers(1, 28),
    rounding=st.sampled_from(ROUNDINGS),
    Emin=st.integers(-30, 0),
    Emax=st.integers(0, 30),
    capitals=st.integers(0, 1),
    clamp=st.integers(0, 1),
    traps=st.sets(st.sampled_from(SIGNALS)).map(list),
)
HARSH: Final = [
    Context(prec=1, Emin=0, Emax=0, traps=list(SIGNALS)),
    Context(prec=4, traps=[]),
    Context(prec=8, rounding=decimal.ROUND_UP, capitals=0, traps=[decimal.Inexact]),
    decimal.BasicContext,
]


def in_context(context: Context) -> AbstractContextManager[Context]:
    return decimal.localcontext(context)


def outcome(function: Callable[[], object]) -> object:
    """What a function gives or raises, in words, which tell more digits than `==`. The case of ``E`` is Python's."""
    try:
        return repr(function()).upper()
    except bintrio.BintrioError as error:
        return repr(error).upper()


INFORMATION: Final = decode_response("exchangeInfo", (EXAMPLES / "exchangeInfo" / "response.json").read_bytes()).result
RULES: Final = SymbolRules.of(INFORMATION, "BNBBTC")
NUMBERS: Final = st.decimals(min_value=0, max_value=10**12, allow_nan=False, allow_infinity=False, places=10)


@given(CONTEXTS, NUMBERS, NUMBERS, NUMBERS)
def test_rules_say_the_same_in_every_context(
    context: Context, price: Decimal, quantity: Decimal, held: Decimal
) -> None:
    def judge() -> object:
        order = OrderPlace(
            symbol="BNBBTC", side="BUY", type="LIMIT", time_in_force="GTC", price=price, quantity=quantity
        )
        known = OrderContext(reference_price=held, holding=held, open_orders=())
        return RULES.check(order, known), RULES.round_price(price), RULES.round_quantity(quantity, market=True)

    expected = outcome(judge)
    with in_context(context):
        assert outcome(judge) == expected


@given(CONTEXTS, st.decimals() | st.integers() | st.text("0123456789.eE-+") | st.floats())
def test_requests_are_the_same_in_every_context(context: Context, value: Any) -> None:
    def build() -> object:
        order = OrderPlace(symbol="B", side="BUY", type="MARKET", quantity=value, recv_window=value)
        return order, order.params(), raw_params("order.place", {"quantity": order.quantity})

    expected = outcome(build)
    with in_context(context):
        assert outcome(build) == expected


@given(CONTEXTS)
def test_answers_are_read_alike_in_every_context(context: Context) -> None:
    for name in ("exchangeInfo", "depth", "klines", "order.place", "account.status"):
        for path in sorted((EXAMPLES / name).glob("response*.json")):
            data = path.read_bytes()
            expected = outcome(lambda data=data, name=name: decode_response(name, data))  # type: ignore[misc]
            with in_context(context):
                assert outcome(lambda data=data, name=name: decode_response(name, data)) == expected  # type: ignore[misc]


def test_text_that_is_no_number_is_refused_alike() -> None:
    """Where a program does not trap `InvalidOperation`, Python makes a NaN of it."""
    body = b'{"id":1,"status":200,"result":{"lastUpdateId":1,"bids":[["many","1"]],"asks":[]}}'
    event = b'{"subscriptionId":0,"event":{"e":"balanceUpdate","E":1,"a":"BTC","d":"many","T":1}}'
    expected = outcome(lambda: decode_event(event))
    assert "UNKNOWNEVENT" in str(expected)
    for context in HARSH:
        with in_context(context):
            assert outcome(lambda: decode_event(event)) == expected
            with pytest.raises(bintrio.ProtocolViolation, match=r"Invalid decimal string - at `result\.bids"):
                decode_response("depth", body)
            with pytest.raises(bintrio.ProtocolViolation, match=r"Invalid decimal string - at `result\.bids"):
                read_answer(Depth(symbol="BTCUSDT"), read_envelope(body))


def test_what_is_written_here_is_all_of_a_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Context` copies what is left out from `DefaultContext`, which a program may have changed before."""
    said = repr(EXACT)
    for name in ("prec", "rounding", "Emin", "Emax", "capitals", "clamp", "flags", "traps"):
        assert f"{name}=" in said
    assert EXACT.Emax == decimal.MAX_EMAX
    assert EXACT.Emin == decimal.MIN_EMIN


def test_a_function_in_exact_leaves_the_callers_context_alone() -> None:
    @in_exact
    def third() -> Decimal:
        return Decimal(1) / 3

    with in_context(HARSH[0]):
        assert len(third().as_tuple().digits) == EXACT.prec
        assert decimal.getcontext().prec == 1


@pytest.mark.parametrize("context", HARSH, ids=["harsh", "no traps", "inexact", "basic"])
def test_the_sandbox_calculates_alike_in_every_context(context: Context) -> None:
    async def trade() -> list[str]:
        async with (
            open_sandbox(listen=False) as sandbox,
            bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
            session.user_data() as events,
        ):
            sandbox.quote("BTCUSDT", Decimal("64000.12"), Decimal("64001.37"), Decimal("10.12345"))
            sandbox.deposit("BTC", Decimal("0.12345678"))
            sandbox.withdraw("BTC", Decimal("0.00000001"))
            order = await session.order_place(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="1.23457")
            spent = await session.order_place(symbol="BTCUSDT", side="BUY", type="MARKET", quote_order_qty="1234.56789")
            rest = await session.order_place(
                symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price="63999.99", quantity="1.23457"
            )
            found: list[Any] = [order, spent, rest]
            for _ in range(6):
                found.append(await anext(events))
            found += [await session.account_status(), await session.depth(symbol="BTCUSDT")]
            found += [await session.ticker_24hr(symbol="BTCUSDT"), sandbox.orders[-1].remaining]
            return [repr(each) for each in found]

    def run() -> list[str]:
        said = trio.run(trade, clock=MockClock(autojump_threshold=0))
        return [re.sub(r"[0-9a-f]{32}", "id", each).upper() for each in said]  # client order ids are random

    expected = run()
    with in_context(context):
        assert run() == expected


@pytest.mark.parametrize("context", HARSH, ids=["harsh", "no traps", "inexact", "basic"])
def test_an_account_calculates_alike_in_every_context(context: Context) -> None:
    async def follow() -> list[str]:
        async with (
            open_sandbox(listen=False) as sandbox,
            bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
            session.account() as account,
        ):
            order = await account.place(
                symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price="63999.99", quantity="1.23457"
            )
            sandbox.deposit("USDT", Decimal("0.12345678"))
            sandbox.lock_externally("USDT", Decimal("0.12345679"))
            Fill(which=0, parts=3).strike(sandbox)
            await order.amend("1.23456")
            await trio.sleep(1)
            found = [order.state, order.remaining, *order.fills, order.has_all_fills, account.balances]
            return [repr(each) for each in found]

    def run() -> list[str]:
        said = trio.run(follow, clock=MockClock(autojump_threshold=0))
        return [re.sub(r"[0-9a-f]{32}", "id", each).upper() for each in said]

    expected = run()
    assert expected[1] == "DECIMAL('0.82306000')"
    with in_context(context):
        assert run() == expected
