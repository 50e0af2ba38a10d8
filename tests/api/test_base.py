"""`Request` and its parts: exact values, refusals that name the field, rules, and what goes out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bintrio._protocol.requests import write_request
from bintrio._protocol.signing import payload
from bintrio.api._base import Milliseconds, Number, Request, api, catalogue, parameters, python_name, wire_name
from bintrio.api._rules import (
    at_least_one,
    at_most,
    at_most_one,
    exactly_one,
    excludes,
    fixed_value,
    not_with,
    only_with,
    requires,
    requires_by,
    requires_value,
    time_zone_in_range,
    together,
    within_a_day,
)
from bintrio.api._values import plain
from bintrio.api.enums import Side
from bintrio.api.general import Nothing
from bintrio.api.market import Depth, KlineRequest, Klines
from bintrio.errors import InvalidRequest


@api("made.upMethod", security="USER_DATA", weight=lambda request: 7 if request.side else 3, section="made-up")
class MadeUp(Request[Nothing], frozen=True, kw_only=True):
    """One parameter of each kind."""

    symbol: str
    price: Number | None = None
    window: Milliseconds | None = None
    limit: int | None = None
    really: bool | None = None
    side: Side | None = None
    symbols: Sequence[str] | None = None


del catalogue["made.upMethod"]  # The catalogue is the document's.


def made(**given: Any) -> MadeUp:
    given.setdefault("symbol", "X")
    return MadeUp(**given)


@pytest.mark.parametrize(
    ("name", "value", "exact"),
    [
        ("price", "0.10", Decimal("0.10")),
        ("price", 5, Decimal(5)),
        ("price", Decimal("1E-7"), Decimal("1E-7")),
        ("price", "5.", Decimal(5)),
        ("price", ".5", Decimal("0.5")),
        ("price", 0, Decimal(0)),
        ("window", "5000", 5000),
        ("window", Decimal("5000.0"), 5000),
        ("window", "0.125", Decimal("0.125")),
        ("limit", 5, 5),
        ("limit", "5", 5),
        ("limit", "-1", -1),
        ("really", False, False),
        ("side", "SIDEWAYS", "SIDEWAYS"),
        ("symbols", ["A", "B"], ("A", "B")),
        ("symbols", ("A",), ("A",)),
    ],
)
def test_values_are_kept_in_their_exact_form(name: str, value: Any, exact: Any) -> None:
    kept = getattr(made(**{name: value}), name)
    assert kept == exact
    assert type(kept) is type(exact)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("price", 0.1),
        ("price", float("nan")),
        ("price", Decimal("NaN")),
        ("price", Decimal("Infinity")),
        ("price", Decimal("-1")),
        ("price", Decimal("-0")),
        ("price", -1),
        ("price", True),
        ("price", "1e-7"),
        ("price", "-1"),
        ("price", ""),
        ("price", " 1"),
        ("price", "٣"),
        ("price", b"1"),
        ("window", 0.5),
        ("window", "-1"),
        ("limit", 5.0),
        ("limit", True),
        ("limit", "5.0"),
        ("limit", "--5"),
        ("limit", "٣"),
        ("really", "true"),
        ("really", 1),
        ("symbol", ""),
        ("symbol", 5),
        ("side", ""),
        ("symbols", "AB"),
        ("symbols", []),
        ("symbols", [""]),
        ("symbols", [1]),
        ("symbols", 5),
    ],
)
def test_values_that_cannot_be_right_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        made(**{name: value})
    assert caught.value.field == name
    assert str(caught.value).startswith(f"made.upMethod: {name} must be ")


def test_who_gives_a_datetime_is_told_what_makes_a_time_of_it() -> None:
    moment: Any = datetime(2026, 1, 31, tzinfo=UTC)
    with pytest.raises(InvalidRequest, match=r"an int of 64 bits, not datetime .*; bintrio.times.from_datetime makes"):
        Klines(symbol="BTCUSDT", interval="1m", start_time=moment)


def test_a_float_is_told_what_to_write_instead() -> None:
    with pytest.raises(InvalidRequest, match=r"a float has no exact decimal value, write Decimal\('0.1'\)"):
        made(price=0.1)


def test_a_long_value_is_cut_short_in_the_message() -> None:
    with pytest.raises(InvalidRequest) as caught:
        made(price="x" * 10_000)
    assert len(str(caught.value)) < 250


def test_parameters_go_out_in_plain_notation() -> None:
    request = made(price=Decimal("1E-7"), window="5000", symbols=["B", "A"], limit=5, really=False)
    assert request.params() == {
        "limit": 5,
        "price": "0.0000001",
        "really": False,
        "symbol": "X",
        "symbols": ["B", "A"],
        "window": 5000,
    }
    assert json.loads(write_request("a", "m", made(window="0.5").params()))["params"]["window"] == "0.5"
    assert json.loads(write_request("a", "m", {})) == {"id": "a", "method": "m"}


def test_a_request_is_read_back_as_the_sandbox_does() -> None:
    request = made(price="0.10", window=5000, symbols=("A",))
    assert msgspec.convert(request.params(), MadeUp) == request
    with pytest.raises(msgspec.ValidationError, match=r"limit"):
        msgspec.convert({"symbol": "X", "limit": 1.5}, MadeUp)


def test_a_request_shows_what_is_set() -> None:
    assert repr(made(limit=5)) == "MadeUp(symbol='X', limit=5)"
    assert hash(made(limit=5)) == hash(made(limit="5"))


def test_only_none_may_be_a_default() -> None:
    with pytest.raises(TypeError, match="only None may be a default"):

        @api("made.up", security="NONE", weight=1, section="made-up")
        class _MadeUp(Request[Nothing], frozen=True, kw_only=True):
            limit: int = 5


class Sort(str, Enum):  # noqa: UP042  # the older way, whose members format as their names
    BUY = "BUY"


class Count(IntEnum):
    FIVE = 5


class Price(Decimal):
    pass


def test_values_of_derived_types_become_exact() -> None:
    request = made(side=Sort.BUY, symbols=[Sort.BUY], limit=Count.FIVE, price=Price("1.50"))
    assert request.params() == {"symbol": "X", "side": "BUY", "symbols": ["BUY"], "limit": 5, "price": "1.50"}
    assert payload(request.params()) == 'limit=5&price=1.50&side=BUY&symbol=X&symbols=["BUY"]'


def test_what_an_api_method_declares() -> None:
    declared = MadeUp.api
    assert (declared.name, declared.signed, declared.repeatable, declared.result) == (
        "made.upMethod",
        True,
        True,
        Nothing,
    )
    assert (made().weight, made(side="BUY").weight) == (3, 7)
    assert Depth(symbol="X").weight == 5
    assert declared.url.endswith("web-socket-api.md#made-up")
    assert [parameter.wire_name for parameter in parameters(MadeUp)] == sorted(MadeUp.__struct_encode_fields__)
    assert KlineRequest.__doc__


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("order.cancelReplace", "order_cancel_replace"),
        ("ticker.24hr", "ticker_24hr"),
        ("uiKlines", "ui_klines"),
        ("session.logon", "session_logon"),
        ("userDataStream.subscribe.signature", "user_data_stream_subscribe_signature"),
        ("origQuoteOrderQty", "orig_quote_order_qty"),
    ],
)
def test_python_names(name: str, expected: str) -> None:
    assert python_name(name) == expected


def test_wire_names_are_those_that_requests_go_out_with() -> None:
    for request_type in catalogue.values():
        for parameter in parameters(request_type):
            assert wire_name(parameter.name) == parameter.wire_name


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=0))
def test_plain_notation_is_exact(number: Decimal) -> None:
    text = plain(number)
    assert "E" not in text
    assert Decimal(text) == number
    if all(len(part) <= 64 for part in text.split(".")):
        assert made(price=text).price == made(price=number).price == number


@pytest.mark.parametrize(
    "value",
    [
        *(Decimal("1E+999999"), Decimal("1E-999999"), Decimal("1E+64"), Decimal("0E+999999"), 10**64),
        pytest.param(10**5000, id="int of 5,001 digits"),
        *("9" * 65, "9" * 5000, "0." + "0" * 5000 + "1"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_number_that_nobody_can_mean_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"price must be .* of at most 64 digits, not ") as caught:
        made(price=value)
    assert len(str(caught.value)) < 300
    assert made(price=10**63).params()["price"] == "1" + 63 * "0"


@pytest.mark.parametrize(
    "value",
    [2**63, -(2**63) - 1, "9" * 5000, pytest.param(10**5000, id="5,001 digits"), pytest.param(-(10**5000), id="-")],
)
def test_an_int_beyond_64_bits_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="limit must be an int of 64 bits, not ") as caught:
        made(limit=value)
    assert caught.value.field == "limit"
    for bound in (2**63 - 1, -(2**63)):
        assert made(limit=bound).params()["limit"] == made(limit=str(bound)).params()["limit"] == bound


RULES: list[tuple[Any, dict[str, Any], str | None]] = [
    (at_least_one("price", "limit"), {}, "one of price, limit is required"),
    (at_most_one("price", "limit"), {"price": 1, "limit": 1}, "price and limit exclude each other"),
    (exactly_one("price", "limit"), {}, "one of price, limit is required"),
    (exactly_one("price", "limit"), {"price": 1, "limit": 1}, "price and limit exclude each other"),
    (not_with("price", "limit", "side"), {"price": 1, "side": "BUY"}, "price and side exclude each other"),
    (together("price", "limit"), {"price": 1}, "price and limit go together"),
    (
        requires("side", ("BUY",), "price|limit", "really"),
        {"side": "BUY"},
        "side='BUY' requires price or limit, really",
    ),
    (requires("side", (), "price"), {"side": "X"}, "side requires price"),
    (requires_by("side", {"BUY": ["price"]}), {"side": "BUY"}, "side='BUY' requires price"),
    (requires_by("side", {"BUY": ["price"]}), {"side": "BUY", "price": 1}, None),
    (requires_by("side", {"BUY": ["price"]}), {"side": "SELL"}, None),
    (excludes("side", ("BUY",), "price"), {"side": "BUY", "price": 1}, "side='BUY' excludes price"),
    (requires_value("price", "side", "BUY"), {"price": 1}, "price requires side='BUY'"),
    (
        requires_value("price", "side", "BUY", unless=("limit", "5")),
        {"price": 1, "limit": 4},
        "price requires side='BUY'",
    ),
    (fixed_value("side", "BUY"), {"side": "SELL"}, "side must be 'BUY'"),
    (only_with(("limit", "side"), fixed_value("side", "BUY")), {}, None),
    (only_with(("limit", "side"), fixed_value("side", "BUY")), {"limit": 1}, "side must be 'BUY'"),
    (only_with(("limit", "side"), fixed_value("side", "BUY")), {"side": "BUY"}, None),
    (at_most(1, "symbols"), {"symbols": ["A", "B"]}, "symbols takes at most 1 items"),
    (within_a_day("limit", "limit"), {}, None),
    (at_least_one("price", "limit"), {"limit": 1}, None),
    (at_most_one("price", "limit"), {"limit": 1}, None),
    (exactly_one("price", "limit"), {"limit": 1}, None),
    (not_with("price", "limit", "side"), {"limit": 1, "side": "BUY"}, None),
    (together("price", "limit"), {"price": 1, "limit": 1}, None),
    (together("price", "limit"), {}, None),
    (requires("side", ("BUY",), "price"), {"side": "SELL"}, None),
    (requires("side", (), "price"), {}, None),
    (excludes("side", ("BUY",), "price"), {"side": "SELL", "price": 1}, None),
    (excludes("side", ("BUY",), "price"), {"side": "BUY"}, None),
    (requires_value("price", "side", "BUY"), {"price": 1, "side": "BUY"}, None),
    (requires_value("price", "side", "BUY"), {"side": "SELL"}, None),
    (requires_value("price", "side", "BUY", unless=("symbol", "X")), {"price": 1}, None),
    (at_most(1, "symbols"), {}, None),
    (time_zone_in_range("side"), {"side": "-12:00"}, None),
    (time_zone_in_range("side"), {}, None),
    (time_zone_in_range("side"), {"side": "x"}, "side must be hours or hours:minutes from -12:00 to +14:00, not 'x'"),
]


@pytest.mark.parametrize(("rule", "given", "said"), RULES)
def test_rules_say_what_is_wrong(rule: Any, given: dict[str, Any], said: str | None) -> None:
    assert rule(made(**given)) == said


def test_a_rule_tells_in_words_when_a_value_may_be_left_out() -> None:
    rule = requires_value("price", "side", "BUY", unless=("symbol", "X"))
    assert rule.__doc__ == "price requires side='BUY', which may be left out with symbol='X'"


@api("made.up.rules", security="TRADE", weight=1, section="made-up", rules=(at_least_one("price", "limit"),))
class Ruled(MadeUp, frozen=True, kw_only=True):
    """A request with a rule, and without a result of its own."""


del catalogue["made.up.rules"]


def test_a_broken_rule_is_named_with_its_method() -> None:
    with pytest.raises(InvalidRequest, match=r"^made\.up\.rules: one of price, limit is required$") as caught:
        Ruled(symbol="X")
    assert caught.value.field is None
    assert Ruled(symbol="X", limit=1).api.repeatable is False


START = 1_700_000_000_000


@pytest.mark.parametrize("unit", [1, 1000])
@pytest.mark.parametrize(("span", "passes"), [(0, True), (86_400_000, True), (86_400_001, False), (-1, False)])
def test_a_span_of_time_is_at_most_a_day(unit: int, span: int, passes: bool) -> None:
    rule = within_a_day("limit", "window")
    said = rule(made(limit=START * unit, window=(START + span) * unit))
    assert (said is None) is passes


@pytest.mark.parametrize("zone", ["-12:01", "+14:01", "15", "1:60", "-1:3", "٣"])
def test_a_time_zone_beyond_the_range_is_refused(zone: str) -> None:
    assert time_zone_in_range("side")(made(side=zone)) is not None
