"""A method's help: everything that its declaration knows, in words."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

import bintrio
from bintrio.api._base import Milliseconds, Number, catalogue, python_name
from bintrio.api._help import help_of, kind_of, result_of, rules_of, weight_of, words_of
from bintrio.api._words import PARAMETERS, PARTS
from bintrio.api.enums import Side, TickerWindowSize
from bintrio.requests import Depth, OrderListPlaceOco, OrderPlace, Ping


def shown(method: str) -> str:
    """What `help` shows of a session's method, without line breaks."""
    return " ".join((inspect.getdoc(getattr(bintrio.Session, python_name(method))) or "").split())


@pytest.mark.parametrize("method", catalogue)
def test_help_names_every_parameter_its_kind_the_weight_the_result_and_the_source(method: str) -> None:
    request_type, text = catalogue[method], shown(method)
    for field in msgspec.structs.fields(request_type):
        need = ", required" if field.required else ""
        words = words_of(request_type, field.name)
        assert f" {field.name} ({kind_of(field.type)}{need}): {words}" in text
        assert words.endswith(".")
    assert f"Returns: {result_of(request_type.api.result)}." in text
    assert f"Weight: {weight_of(request_type)}." in text
    assert f"Security: {request_type.api.security}." in text
    assert ("Unfilled orders: " in text) is (request_type.api.orders > 0)
    assert ("ProtocolViolation: " in text) is request_type.api.repeatable
    assert all(f"{error}: " in text for error in ("InvalidRequest", "Rejected", "NotSent", "OutcomeUnknown"))
    assert text.endswith(f"Source: {request_type.api.url}")


@pytest.mark.parametrize("method", catalogue)
def test_help_tells_every_rule(method: str) -> None:
    api = catalogue[method].api
    assert all(rule.__doc__ for rule in api.rules)
    assert all(f" {rule}." in shown(method) for rule in rules_of(api))
    assert ("Rules:" in shown(method)) is bool(api.rules)


@pytest.mark.parametrize("method", [method for method, request in catalogue.items() if request.api.shapes])
def test_help_tells_what_decides_the_shape_of_the_result(method: str) -> None:
    shapes = catalogue[method].api.shapes
    assert shapes is not None
    words = " ".join((shapes.kind.__doc__ or "").split())
    assert words.endswith(".")
    assert words in shown(method)


@pytest.mark.parametrize("method", catalogue)
def test_no_line_of_help_is_too_long_and_no_note_is_of_another_method(method: str) -> None:
    *lines, _source = help_of(catalogue[method]).splitlines()
    assert max(map(len, lines)) <= 100
    names = {field.name for field in msgspec.structs.fields(catalogue[method])}
    assert catalogue[method].api.notes.keys() <= names


def test_every_word_is_used() -> None:
    names = {field.name for request in catalogue.values() for field in msgspec.structs.fields(request)}
    bare = {name.removeprefix(f"{part}_") for part in PARTS for name in names if name.startswith(f"{part}_")}
    assert PARAMETERS.keys() <= names | bare
    assert all(any(name.startswith(f"{part}_") for name in names) for part in PARTS)


def test_a_method_says_itself_what_is_special_about_a_parameter() -> None:
    assert words_of(Depth, "limit") == "How many price levels a side: up to 5000, 100 if left out."
    assert words_of(OrderListPlaceOco, "below_price") == (
        "Of the order below the market price. The limit price, in the quote asset."
    )


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (str, "str"),
        (int | None, "int"),
        (bool | None, "bool"),
        (Number, "Decimal, int or numeric str"),
        (Number | None, "Decimal, int or numeric str"),
        (Milliseconds | None, "milliseconds, Decimal, int or numeric str"),
        (Sequence[str] | None, "sequence of str"),
        (Side, "BUY|SELL"),
        (TickerWindowSize | None, "1m|2m|...|7d"),
    ],
)
def test_kinds(annotation: Any, kind: str) -> None:
    assert kind_of(annotation) == kind


def test_help_of_an_order_reads_so() -> None:
    text = shown("order.place")
    assert text.startswith("Place an order. Args: symbol (str, required): The symbol, such as BTCUSDT. side (BUY|SELL")
    assert "type='LIMIT' requires time_in_force, price or peg_price_type, quantity." in text
    assert "quantity and quote_order_qty exclude each other." in text
    assert "Weight: 1; 0 on success. Unfilled orders: 1. Data source: Matching Engine. Security: TRADE." in text
    assert help_of(OrderPlace) == inspect.getdoc(bintrio.Session.order_place)


def test_help_of_the_simplest_method_is_whole() -> None:
    assert (
        help_of(Ping)
        == f"""\
Test connectivity.

Returns:
    Nothing.

Raises:
    InvalidRequest: it cannot be right, and nothing was sent.
    Rejected: the exchange said no; its subclasses say why.
    NotSent: no byte of it left.
    OutcomeUnknown: it may have happened, but its answer did not come, or cannot be read.
    ProtocolViolation: its answer does not fit the documented type.

Weight: 1. Data source: Memory. Security: NONE.
Source: {Ping.api.url}"""
    )
