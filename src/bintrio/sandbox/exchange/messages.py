"""A request out of a message, as it came: its parameters are not looked at yet.

Source: "Request format" of the WebSocket API document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from bintrio._protocol.requests import RequestId

from . import refusals

# Levels of a message; ours. No request has more than three, and what looks into a value calls itself for each.
_DEEPEST: Final = 16

_INT64: Final = 2**63

# A string in valid JSON, and whether it is a name.
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"\s*(:?)', re.DOTALL)


class Number(str):
    """A JSON number with a fraction or an exponent, in the characters that were sent: signatures cover those."""

    __slots__ = ()


class Incoming(msgspec.Struct, frozen=True):
    """A request as it came.

    Attributes:
        request_id: to be echoed.
        method: without the optional ``v3/``.
        params: by wire name; a number with a fraction is a `Number`.
        is_doubled: whether some name came twice.
    """

    request_id: RequestId | None
    method: str
    params: Mapping[str, Any]
    is_doubled: bool = False


_decode: Final = msgspec.json.Decoder(float_hook=Number).decode


def read_message(data: bytes | str) -> Incoming:
    """A request out of a message.

    Raises:
        Refusal: -1135, -1100 or -1102; it goes out with ``id: null``.
    """
    if isinstance(data, bytes):  # "Requests must be sent as JSON in text frames"
        raise refusals.invalid_json()
    message = _object(data)
    request_id = _request_id(message)
    method, params = message.get("method"), message.get("params")
    # "params" may be left out, and null counts as left out.
    if params is None:
        params = {}
    elif not isinstance(params, dict):
        raise refusals.invalid_json()
    given = cast("dict[str, Any]", params)
    # "Request method names may be prefixed with explicit version" ("Request format").
    named = method.removeprefix("v3/") if isinstance(method, str) else ""
    return Incoming(request_id, named, given, _is_doubled(data, message, given))


def _object(text: str) -> dict[str, Any]:
    try:
        message = _decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise refusals.invalid_json() from None
    if not isinstance(message, dict):
        raise refusals.invalid_json()
    # Only what opens as often as that can be as deep.
    if text.count("{") + text.count("[") > _DEEPEST and _is_deeper(message, _DEEPEST):
        raise refusals.invalid_json()
    return cast("dict[str, Any]", message)


def _is_deeper(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        value = [*cast("dict[str, Any]", value).values()]
    if not isinstance(value, list):
        return False
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in value)  # pyright: ignore[reportUnknownVariableType]


def _is_doubled(text: str, message: dict[str, Any], given: dict[str, Any]) -> bool:
    """Whether the text has more names than were kept."""
    # As many colons as names: nothing can have come twice. Nearly all messages end here.
    if text.count(":") == len(message) + len(given):
        return False
    return sum(bool(name) for name in _STRING.findall(text)) != _names(message)


def _names(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_names, value.values()))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
    return sum(map(_names, value)) if isinstance(value, list) else 0  # pyright: ignore[reportUnknownArgumentType]


def _request_id(message: Mapping[str, Any]) -> RequestId | None:
    """A string, a 64-bit integer, or null: "truly arbitrary"."""
    if "id" not in message:
        raise _anonymous(refusals.mandatory("id"))
    value: Any = message["id"]
    # By class: to Python a `Number` is a string, and a boolean an integer.
    if value is None or value.__class__ is str or (value.__class__ is int and -_INT64 <= value < _INT64):
        request_id: RequestId | None = value
        return request_id
    raise _anonymous(refusals.illegal_characters("id", r"^.*$"))


def _anonymous(refusal: refusals.Refusal) -> refusals.Refusal:
    refusal.is_anonymous = True
    return refusal
