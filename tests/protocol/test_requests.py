"""Requests to bytes: exact parameters, and ids."""

from __future__ import annotations

import json
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import pytest

from bintrio._protocol.requests import checked_id, raw_params, write_request
from bintrio.errors import (
    InvalidRequest,
)


def test_a_request_as_bytes() -> None:
    assert json.loads(write_request(1, "depth", {"symbol": "X"})) == {
        "id": 1,
        "method": "depth",
        "params": {"symbol": "X"},
    }


def test_raw_parameters_are_made_exact() -> None:
    given = {"a": Decimal("1E-7"), "b": None, "c": ["x", Decimal(1)], "d": True, "e": ("x",)}
    assert raw_params("m", given) == {"a": "0.0000001", "c": ["x", "1"], "d": True, "e": ["x"]}


@pytest.mark.parametrize("value", [0.1, Decimal("NaN"), [0.1], object(), b"x", {"a": 1}])
def test_raw_parameters_without_an_exact_form_are_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^m: a must be") as caught:
        raw_params("m", {"a": value})
    assert caught.value.field == "a"


def test_raw_parameters_have_string_names() -> None:
    names: Any = {5: 1}
    with pytest.raises(InvalidRequest, match="parameter names must be str"):
        raw_params("m", names)


@pytest.mark.parametrize("chosen", [None, "a", "x" * 36, 0, -(2**63), 2**63 - 1])
def test_an_id_that_the_exchange_takes(chosen: Any) -> None:
    assert checked_id(chosen) == chosen
    assert "params" not in json.loads(write_request(chosen or 0, "ping", {}))


@pytest.mark.parametrize("chosen", ["", "x" * 37, 2**63, -(2**63) - 1, True, 1.5, b"x"])
def test_an_id_that_the_exchange_does_not_take(chosen: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^id must be a str of 1 to 36 characters") as caught:
        checked_id(chosen)
    assert caught.value.field == "id"


class Sort(str, Enum):  # noqa: UP042  # the older way, whose members format as their names
    BUY = "BUY"


class Count(IntEnum):
    FIVE = 5


def test_raw_parameters_of_derived_types_become_exact() -> None:
    params = raw_params("m", {Sort.BUY: Sort.BUY, "count": Count.FIVE, "really": True, "list": [Sort.BUY]})
    assert params == {"BUY": "BUY", "count": 5, "really": True, "list": ["BUY"]}
    assert {type(name) for name in params} == {str}
    assert [type(value) for value in params.values()] == [str, int, bool, list]


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="m: a parameter holds half a surrogate pair"):
        write_request(1, "m", {"symbol": "\ud800"})
