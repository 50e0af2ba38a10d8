"""Requests to bytes, with what is checked before.

Source: "Request format" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias, cast

import msgspec

from .api._base import Json
from .api._values import plain
from .errors import InvalidRequest

RequestId: TypeAlias = int | str

_encode: Final = msgspec.json.Encoder().encode


def write_request(request_id: RequestId, method: str, params: Mapping[str, Json]) -> bytes:
    """One request as JSON.

    Raises:
        InvalidRequest: a name or value is not valid Unicode.
    """
    try:
        if params:
            return _encode({"id": request_id, "method": method, "params": params})
        return _encode({"id": request_id, "method": method})
    except UnicodeEncodeError:
        said = f"{method}: a parameter holds half a surrogate pair, which UTF-8 cannot express"
        raise InvalidRequest(said) from None


def raw_params(method: str, params: Mapping[str, Any]) -> dict[str, Json]:
    """Parameters for a method that the catalogue may not know: None left out, Decimals in plain notation.

    Raises:
        InvalidRequest: a name is not a string, or a value has no exact JSON form (a float, say).
    """
    return {_name(method, name): _exact(method, name, value) for name, value in params.items() if value is not None}


def _name(method: str, name: Any) -> str:
    if isinstance(name, str):
        return str.__str__(name)
    raise InvalidRequest(f"{method}: parameter names must be str, not {type(name).__name__} {name!r:.80}")


def _exact(method: str, name: str, value: Any) -> Json:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # of an enum's member its value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Decimal) and value.is_finite():
        return plain(value)
    if isinstance(value, list | tuple):
        return [_exact(method, name, item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    expected = "a str, int, bool, finite Decimal or a list of them"
    raise InvalidRequest(f"{method}: {name} must be {expected}, not {type(value).__name__} {value!r:.80}", field=name)


def checked_id(chosen: Any) -> RequestId | None:
    """An id that the exchange takes, or None for one to be chosen ("Request format").

    Raises:
        InvalidRequest: it is neither a str of 1 to 36 characters nor an int of 64 bits.
    """
    if chosen is None:
        return None
    is_str = isinstance(chosen, str) and 0 < len(chosen) <= 36
    is_int = isinstance(chosen, int) and not isinstance(chosen, bool) and -(2**63) <= chosen < 2**63
    if is_str or is_int:
        return cast("RequestId", chosen)
    expected = "a str of 1 to 36 characters or an int of 64 bits"
    raise InvalidRequest(f"id must be {expected}, not {type(chosen).__name__} {chosen!r:.80}", field="id")
