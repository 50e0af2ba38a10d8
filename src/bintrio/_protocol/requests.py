"""Requests to bytes, with what is checked before.

Source: "Request format" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

import msgspec

from .._text import shown
from ..api._base import Json
from ..api._values import plain
from ..errors import InvalidRequest

RequestId: TypeAlias = int | str

_LONGEST_NUMBER: Final = 64  # digits before the point, and behind it
_DEEPEST: Final = 32  # lists in lists


def _has_64_bits(value: int) -> bool:
    return -(2**63) <= value < 2**63


_encode: Final = msgspec.json.Encoder().encode


def write_request(request_id: RequestId, method: str, params: Mapping[str, Json]) -> bytes:
    """One request as JSON.

    Raises:
        InvalidRequest: a name or value is not valid Unicode.
    """
    try:
        if params:
            return _encode({"id": request_id, "method": method, "params": params})
        # `params` may be left out if there are none ("Request format").
        return _encode({"id": request_id, "method": method})
    except UnicodeEncodeError:
        said = f"{method}: a parameter holds half a surrogate pair, which UTF-8 cannot express"
        raise InvalidRequest(said) from None


def raw_params(method: str, params: Mapping[str, Any]) -> dict[str, Json]:
    """Parameters for a method that the catalogue may not know: None left out, Decimals in plain notation.

    Raises:
        InvalidRequest: a name is not a string, or a value has no exact JSON form (a float, say).
    """
    if not isinstance(params, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidRequest(f"{method}: params must be a mapping, not {shown(params)}", field="params")
    return {_name(method, name): _exact(method, name, value) for name, value in params.items() if value is not None}


def _name(method: str, name: Any) -> str:
    if isinstance(name, str):
        # A member of an enum is a str too; its value is meant.
        return str.__str__(name)
    raise InvalidRequest(f"{method}: parameter names must be str, not {shown(name)}")


def _exact(method: str, name: str, value: Any, depth: int = 0) -> Json:
    # Before int, since a bool is one.
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # of an enum's member its value
    if isinstance(value, int) and _has_64_bits(value):
        return int(value)
    if isinstance(value, Decimal) and _has_a_length(value):
        return plain(value)
    # A list that contains itself has no end.
    if isinstance(value, list | tuple) and depth < _DEEPEST:
        return [_exact(method, name, item, depth + 1) for item in value]  # pyright: ignore[reportUnknownVariableType]
    expected = "a str, int of 64 bits, bool, finite Decimal or a list of them"
    raise InvalidRequest(f"{method}: {name} must be {expected}, not {shown(value)}", field=name)


def _has_a_length(value: Decimal) -> bool:
    # A short Decimal such as 1E+1000000 has a million digits in plain notation.
    return value.is_finite() and abs(value.adjusted()) < _LONGEST_NUMBER


def checked_id(chosen: Any) -> RequestId | None:
    """An id that the exchange takes, or None for one to be chosen ("Request format").

    Raises:
        InvalidRequest: it is neither a str of 1 to 36 characters nor an int of 64 bits.
    """
    if chosen is None:
        return None
    # In the very type, since a derived one has no JSON form and may hash otherwise.
    if isinstance(chosen, str) and 0 < len(chosen) <= 36:
        return str.__str__(chosen)
    if isinstance(chosen, int) and not isinstance(chosen, bool) and _has_64_bits(chosen):
        return int(chosen)
    expected = "a str of 1 to 36 characters or an int of 64 bits"
    raise InvalidRequest(f"id must be {expected}, not {shown(chosen)}", field="id")
