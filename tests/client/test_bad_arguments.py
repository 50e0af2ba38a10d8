"""Arguments that cannot be right are an `InvalidRequest`, whatever they are, and nothing is sent."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

import bintrio
from bintrio._protocol.requests import checked_id, raw_params, write_request
from bintrio.api._base import catalogue
from bintrio.columns import to_columns
from bintrio.errors import BintrioError, InvalidRequest
from bintrio.requests import OrderCancel, OrderPlace, Ping
from bintrio.rules import OrderContext, SymbolRules
from bintrio.times import from_datetime, to_datetime
from bintrio.typing import Response
from tests.catalogue import EXAMPLES
from tests.peer import open_pair


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Member(enum.StrEnum):
    BUY = "BUY"


class Mute:
    def __repr__(self) -> str:
        raise OSError("no words")


def endless() -> list[Any]:
    values: list[Any] = []
    values.append(values)
    return values


ODD: Final[list[Any]] = [
    *(None, True, 0, -1, 1.5, float("nan"), float("inf"), 10**5000, -(10**5000), 2**63, Number(4)),
    *("", "x", "x" * 5000, "9" * 5000, "\ud800", "\0", Text("a"), Member.BUY, b"x", bytearray(b"x")),
    *(Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("1E+999999"), Decimal("-1"), Decimal("1E-999999")),
    *([], {}, set[int](), (), endless(), [10**5000], {"a": endless()}, [["x"] * 3], range(3), object(), Mute(), type),
    *(lambda: None, Ping, Ping(), ValueError("x"), 1j, ...),
]
VALUES: Final = st.sampled_from(ODD) | st.integers() | st.floats() | st.text() | st.binary() | st.decimals()


def expect_brief(error: BintrioError) -> None:
    assert len(str(error)) < 1000


@pytest.mark.untraced
@given(st.data())
@settings(max_examples=400)
def test_g1_no_parameter_of_any_request_raises_anything_else(data: st.DataObject) -> None:
    request_type = data.draw(st.sampled_from(list(catalogue.values())))
    fields = msgspec.structs.fields(request_type)
    values = {field.name: data.draw(VALUES) for field in fields if field.required or data.draw(st.booleans())}
    try:
        request = request_type(**values)
        write_request(1, request.api.name, request.params())
        assert request.weight > 0
    except InvalidRequest as error:
        expect_brief(error)


@given(VALUES, st.sampled_from(["id", "name", "value", "params"]))
def test_g1_no_raw_call_raises_anything_else(value: Any, place: str) -> None:
    params: dict[str, Callable[[], Any]] = {
        "name": lambda: {value: 1},
        "value": lambda: {"a": value},
        "params": lambda: value,
    }
    try:
        if place == "id":
            checked_id(value)
        else:
            write_request(1, "x", raw_params("x", params[place]()))
    except InvalidRequest as error:
        expect_brief(error)
    except TypeError:
        if place != "name":  # where the test's own dict takes no key without a hash
            raise


def test_values_of_derived_types_are_sent_as_what_they_are() -> None:
    assert type(checked_id(Text("a"))) is str
    assert type(checked_id(Number(4))) is int
    assert write_request(checked_id(Text("a")) or 0, "x", raw_params("x", {Text("b"): [Member.BUY, Number(4)]})) == (
        b'{"id":"a","method":"x","params":{"b":["BUY",4]}}'
    )


@pytest.mark.parametrize(
    "value", [{"a": 10**5000}, {"a": -(2**63) - 1}, {"a": endless()}, {"a": Decimal("1E+999999")}, [], "x", 5]
)
def test_raw_parameters_that_have_no_json_form_are_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest):
        raw_params("x", value)


Calls = list[tuple[str, Callable[[Any, Any], Awaitable[object]]]]
CALLS: Final[Calls] = [
    ("send", lambda session, odd: session.send(odd)),
    ("id", lambda session, odd: session.send(OrderCancel(symbol="B", order_id=1), id=odd)),
    ("method", lambda session, odd: session.request(odd)),
    ("params", lambda session, odd: session.request("x", odd)),
    ("signed", lambda session, odd: session.request("x", signed=odd)),
    ("weight", lambda session, odd: session.request("x", weight=odd)),
    ("repeatable", lambda session, odd: session.request("x", repeatable=odd)),
    ("confirm", lambda session, odd: session.confirm(odd)),
    (
        "sent_at",
        lambda session, odd: session.confirm(OrderCancel(symbol="B", order_id=1), sent_at=odd),
    ),
    ("within", lambda session, odd: session.within(odd).request("x")),
    ("key", lambda session, odd: session.user_data(odd).__aenter__()),
    ("buffer", lambda session, odd: session.user_data(buffer=odd).__aenter__()),
]


@pytest.mark.usefixtures("both_streams")
@pytest.mark.parametrize(("place", "call"), CALLS, ids=[place for place, _ in CALLS])
async def test_g1_no_method_of_a_session_raises_anything_else(
    place: str, call: Callable[[Any, Any], Awaitable[object]], autojump_clock: MockClock
) -> None:
    async with open_pair() as (session, _exchange):
        for odd in ODD:
            with trio.move_on_after(0.1):  # what can be right is sent, and nobody answers
                try:
                    await call(session, odd)
                except BintrioError as error:
                    expect_brief(error)


@pytest.mark.usefixtures("both_streams")
async def test_what_is_no_request_of_the_catalogue_is_not_sent(autojump_clock: MockClock) -> None:
    odd: list[Any] = [Ping, Response]
    async with open_pair() as (session, _exchange):
        for each in odd:
            with pytest.raises(InvalidRequest, match=r"^send takes a request, not "):
                await session.send(each)


@pytest.mark.parametrize(
    "name",
    [
        *("endpoint", "key", "request_timeout", "connect_timeout", "close_timeout", "pong_window", "lifetime"),
        *("drain_timeout", "max_message_size", "time_unit", "ssl_context", "connect", "proxy", "ledger"),
    ],
)
async def test_g1_no_argument_of_a_session_raises_anything_else(name: str, autojump_clock: MockClock) -> None:
    async def down(_address: object) -> Any:
        raise OSError("down")

    for odd in ODD:
        arguments: dict[str, Any] = {"endpoint": "ws://localhost/", "connect": down} | {name: odd}
        with pytest.raises(BintrioError):  # ConnectionFailed, where it can be right
            async with bintrio.open_session(**arguments):
                raise AssertionError


INFORMATION: Final = bintrio.decode_response(
    "exchangeInfo", (EXAMPLES / "exchangeInfo" / "response.json").read_bytes()
).result
SYMBOL: Final = INFORMATION.symbols[0]
ORDER: Final = OrderPlace(symbol=SYMBOL.symbol, side="BUY", type="MARKET", quantity=1)
FUNCTIONS: Final[list[Callable[[Any], object]]] = [
    lambda odd: bintrio.HmacKey(odd, "secret"),
    lambda odd: bintrio.HmacKey("key", odd),
    lambda odd: bintrio.HmacKey("key", "secret").sign(odd),
    lambda odd: bintrio.Ed25519Key(odd, api_key="key"),
    lambda odd: bintrio.Ed25519Key.from_pem(odd, api_key="key"),
    lambda odd: bintrio.Ed25519Key.from_pem_file(odd, api_key="key"),
    lambda odd: bintrio.RsaKey.from_pem("x", api_key="key", password=odd),
    lambda odd: bintrio.Endpoint(odd),
    lambda odd: bintrio.Endpoint((odd,)),
    lambda odd: bintrio.Endpoint(("wss://h/",), name=odd),
    lambda odd: to_datetime(odd),
    lambda odd: to_datetime(1, time_unit=odd),
    lambda odd: from_datetime(odd),
    lambda odd: from_datetime(to_datetime(1), time_unit=odd),
    lambda odd: OrderContext(reference_price=odd),
    lambda odd: OrderContext(open_orders=odd),
    lambda odd: SymbolRules(odd),
    lambda odd: SymbolRules(SYMBOL, odd),
    lambda odd: SymbolRules(SYMBOL, [odd]),
    lambda odd: SymbolRules.of(odd, "BTCUSDT"),
    lambda odd: SymbolRules.of(INFORMATION, odd),
    lambda odd: SymbolRules(SYMBOL).round_price(odd),
    lambda odd: SymbolRules(SYMBOL).round_price(1, rounding=odd),
    lambda odd: SymbolRules(SYMBOL).check(odd),
    lambda odd: SymbolRules(SYMBOL).check(ORDER, odd),
    lambda odd: bintrio.decode_response(odd, b'{"id":1,"status":200,"result":{}}'),
    lambda odd: bintrio.decode_response("ping", odd),
    lambda odd: bintrio.decode_event(odd),
    lambda odd: bintrio.to_json(odd),
    lambda odd: bintrio.to_json([odd]),
    lambda odd: bintrio.to_builtins(odd),
    lambda odd: to_columns(odd),
    lambda odd: to_columns([odd]),
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_g1_no_function_raises_anything_else(function: Callable[[Any], object]) -> None:
    for odd in ODD:
        try:
            function(odd)
        except BintrioError as error:
            expect_brief(error)
