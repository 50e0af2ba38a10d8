"""What a session may be opened with."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bintrio._protocol.settings import (
    LONGEST_NAME,
    check_duration,
    check_key,
    check_observation,
    check_positive_int,
    checked_settings,
)
from bintrio.errors import InvalidRequest

GOOD: dict[str, Any] = {
    "request_timeout": 15,
    "connect_timeout": 0.5,
    "close_timeout": 1,
    "pong_window": 60.0,
    "lifetime": math.inf,
    "drain_timeout": 10**9,
    "max_message_size": 1,
    "time_unit": "us",
}


def test_what_is_right_is_kept_as_it_is() -> None:
    settings = checked_settings(**GOOD)
    assert {name: getattr(settings, name) for name in GOOD} == GOOD


@pytest.mark.parametrize("name", [name for name in GOOD if name.endswith(("_timeout", "window", "lifetime"))])
@pytest.mark.parametrize("value", [0, -1, 0.0, -math.inf, math.nan, True, "1", None, 1j, [1]])
def test_a_duration_is_a_positive_number(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest, match=f"^{name} must be a positive number of seconds, not ") as refused:
        checked_settings(**(GOOD | {name: value}))
    assert refused.value.field == name


@pytest.mark.parametrize("value", [1, 1e-9, 1e9])
def test_any_positive_number_is_a_duration(value: float) -> None:
    check_duration("request_timeout", value)


@pytest.mark.parametrize("name", ["connect_timeout", "pong_window", "a", "z"])
def test_only_a_lifetime_has_no_end(name: str) -> None:
    check_duration("lifetime", math.inf)
    with pytest.raises(InvalidRequest, match=f"^{name} must be finite$") as refused:
        check_duration(name, math.inf)
    assert refused.value.field == name


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "1", None])
def test_a_size_is_a_positive_int(value: Any) -> None:
    check_positive_int("buffer", 1)
    with pytest.raises(InvalidRequest, match=r"^buffer must be a positive int, not ") as refused:
        check_positive_int("buffer", value)
    assert refused.value.field == "buffer"


@pytest.mark.parametrize("value", ["s", "MS", "", None, 1, ["ms"]])
def test_units_of_time(value: Any) -> None:
    assert checked_settings(**(GOOD | {"time_unit": "ms"})).time_unit == "ms"
    with pytest.raises(InvalidRequest, match=r"^time_unit must be 'ms' or 'us', not ") as refused:
        checked_settings(**(GOOD | {"time_unit": value}))
    assert refused.value.field == "time_unit"


def test_a_key_is_one_or_none() -> None:
    check_key(None)
    with pytest.raises(InvalidRequest, match=r"^key must be an Ed25519Key, HmacKey or RsaKey, not str$") as refused:
        check_key("secret")
    assert refused.value.field == "key"


@pytest.mark.parametrize("length", [0, 1, LONGEST_NAME, LONGEST_NAME + 1])
def test_a_name_has_one_character_or_as_many_as_a_log_line_bears(length: int) -> None:
    name = "x" * length
    if 1 <= length <= LONGEST_NAME:
        check_observation(name=name, observer=None, observe_params=None)
    else:
        with pytest.raises(InvalidRequest, match="name must be 1 to") as caught:
            check_observation(name=name, observer=None, observe_params=None)
        assert caught.value.field == "name"
