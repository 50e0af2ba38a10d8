"""Values to JSON, as the exchange writes it; and replies and events of an exchange to bytes, the sandbox's side.

What is sent out is what came: prices with every digit in plain notation, unknown fields in their places and number by
number as they were written, and nothing for what did not come.

msgspec does nearly all of it in C. It writes a Decimal as `str` does, so a zero price would be ``0E-8``; what it wrote
is mended in place, by a plan for each class that knows where there are Decimals. To mend the bytes would be unsound: a
client order id may read ``1E-7``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache, lru_cache
from itertools import takewhile
from types import NoneType, UnionType
from typing import Any, Final, NamedTuple, TypeVar, Union, cast, get_args, get_origin

import msgspec

from .._text import shown
from ..api._base import Request
from ..api._values import UNKNOWN_FIELDS, RateLimit, Row, plain, times_in
from ..api.events import Event, UnknownEvent, UserEvent
from ..api.filters import UnknownFilter
from ..errors import BintrioError, InvalidRequest, Rejected
from .reading import UNREADABLE, holds_records, split
from .requests import RequestId
from .results import Response

_encode: Final = msgspec.json.Encoder().encode


class _Style(msgspec.Struct, frozen=True):
    """How values are written.

    Attributes:
        verbatim: what stands for JSON as it came: itself where bytes are made, its values where those are wanted.
        time_unit: how many of the units that times are given in make one of those that they are written in.
    """

    verbatim: Callable[[bytes], Any]
    time_unit: int = 1


def to_json(value: Any) -> bytes:
    """JSON in the words of the exchange, for anything that this library hands out.

    A result or event gives what the exchange sent, a `Response` the whole reply, a `UserEvent` the event in its
    envelope, a `Rejected` the ``error`` of its reply, and a request its parameters. Any other error gives its type, its
    message and its attributes. What is None because it did not come is left out.

    Raises:
        InvalidRequest: there is no JSON for such a value.
    """
    try:
        return _encode(_values(value, _AS_BYTES))
    except _WITHOUT_JSON as error:
        raise _no_json(value, error) from None


def to_builtins(value: Any) -> Any:
    """The same as `to_json` as dicts, lists, strings and numbers. Prices are strings.

    Raises:
        InvalidRequest: there is no JSON for such a value.
    """
    try:
        return _values(value, _AS_VALUES)
    except _WITHOUT_JSON as error:
        raise _no_json(value, error) from None


# ValueError for an int of 5,000 digits and for half a surrogate pair, RecursionError for a list in itself.
_WITHOUT_JSON: Final = (TypeError, ValueError, RecursionError)


def _no_json(value: Any, error: Exception) -> InvalidRequest:
    # Only a TypeError names what has no JSON; the others speak of digits or of the depth of the stack.
    reason = str(error) if isinstance(error, TypeError) else f"there is no JSON for {shown(value)}"
    return InvalidRequest(reason, field="value")


def _raw(sent: bytes) -> Any:
    try:
        _check(sent)
    # What came was no JSON. It is shown as text, since the rest of the value must not be lost for it.
    except UNREADABLE:
        return sent.decode(errors="replace")
    return msgspec.Raw(sent)


# A number that no float can hold is JSON nevertheless.
_check: Final = msgspec.json.Decoder(float_hook=str).decode


def _plain_values(sent: bytes) -> Any:
    try:
        return msgspec.json.decode(sent)
    except UNREADABLE:
        return sent.decode(errors="replace")


_AS_BYTES: Final = _Style(_raw)
_AS_VALUES: Final = _Style(_plain_values)


def _values(value: Any, style: _Style) -> Any:
    """What msgspec can encode, with every Decimal in plain notation."""
    if isinstance(value, msgspec.Struct):
        return _of_struct(value, style)
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, _CONTAINERS):
        return _of_container(value, style)
    if isinstance(value, BaseException):
        return _of_error(value, style)
    # What came and was kept as it came.
    if isinstance(value, bytes):
        return style.verbatim(value)
    if isinstance(value, _PLAIN):
        return value
    raise TypeError(f"there is no JSON for {type(value).__name__}")


def _of_container(value: Any, style: _Style) -> Any:
    if isinstance(value, Mapping):
        return {name: _values(item, style) for name, item in cast("Mapping[str, Any]", value).items()}
    return [_values(item, style) for item in value]


# Made once: a union that stands in a function is made anew by each call.
_CONTAINERS: Final[tuple[type, ...]] = (Mapping, list, tuple, set, frozenset)
_PLAIN: Final[tuple[type, ...]] = (str, int, float, NoneType)


def _of_error(error: BaseException, style: _Style) -> Any:
    if isinstance(error, Rejected):
        known = {"code": error.code, "msg": error.message}
        # As it came, with every digit.
        if error.data_json is not None:
            return known | {"data": style.verbatim(error.data_json)}
        return known if error.data is None else known | {"data": _values(error.data, style)}
    # What errors of other libraries keep is not ours to show.
    attributes = vars(error) if isinstance(error, BintrioError) else {}
    # `__notes__` are for those who read tracebacks.
    known = {name: _values(item, style) for name, item in attributes.items() if name != "__notes__"}
    return {"type": type(error).__name__, "message": str(error), **known}


def _of_struct(value: msgspec.Struct, style: _Style) -> Any:
    return _form(type(value))(value, style)


@cache
def _form(kind: type[msgspec.Struct]) -> Callable[[Any, _Style], Any]:
    """What gives the JSON of one kind of struct."""
    for base, form in _FORMS.items():
        if issubclass(kind, base):
            return form
    return _of_record


def _as_it_came(value: UnknownEvent | UnknownFilter, style: _Style) -> Any:
    return style.verbatim(value.raw)


def _of_event(value: UserEvent, style: _Style) -> Any:
    return _in_envelope(value.subscription_id, _of_struct(value.event, style))


def _of_request(value: Request[Any], style: _Style) -> Any:
    return value.params()


def _of_record(value: msgspec.Struct, style: _Style) -> Any:
    return _mended(value, msgspec.to_builtins(value, builtin_types=(bytes,)), style)


def _of_response(response: Response, style: _Style) -> Any:
    reply: dict[str, Any] = {"id": response.id, "status": response.status}
    if response.error is None:
        reply["result"] = _values(response.result, style)
    elif response.error_json is not None:
        reply["error"] = style.verbatim(response.error_json)
    # Many answers lack them (inconsistency 3).
    limits = {"rateLimits": _values(response.rate_limits, style)} if response.rate_limits else {}
    return reply | limits


def _in_envelope(subscription_id: int | None, event: Any) -> dict[str, Any]:
    return {"event": event} if subscription_id is None else {"subscriptionId": subscription_id, "event": event}


# By their kinds; all others are records.
_FORMS: Final[dict[type, Callable[[Any, _Style], Any]]] = {
    UnknownEvent: _as_it_came,
    UnknownFilter: _as_it_came,
    Response: _of_response,
    UserEvent: _of_event,
    Request: _of_request,
}


# Decimals in place


class _Plan(NamedTuple):
    """Where the values of a record are that msgspec does not write as the exchange does, by their names in JSON.

    Attributes:
        decimals: Decimals.
        times: times, which may have to be in another unit.
        arrays: tuples without records.
        nested: what has records in it, with their Python names.
    """

    decimals: tuple[str, ...]
    times: tuple[str, ...]
    arrays: tuple[str, ...]
    nested: tuple[tuple[str, str], ...]


@cache
def _plan(record: type[msgspec.Struct]) -> _Plan:
    fields, times = msgspec.structs.fields(record), times_in(record)
    nested = tuple((field.name, field.encode_name) for field in fields if _is_nested(field.type))
    return _Plan(
        _holding(Decimal, fields),
        tuple(field.encode_name for field in fields if field.name in times),
        tuple(name for name in _holding(tuple, fields) if name not in dict(nested).values()),
        nested,
    )


def _holding(kind: type, fields: Iterable[msgspec.structs.FieldInfo]) -> tuple[str, ...]:
    return tuple(field.encode_name for field in fields if kind in _alternatives(field.type))


def _is_nested(known: Any) -> bool:
    # What a generic record is generic in is another record.
    is_open = isinstance(known, TypeVar) or any(map(_is_nested, get_args(known)))
    return is_open or holds_records(known)


def _alternatives(known: Any) -> list[Any]:
    """The members of a union, or what there is but one; of generic types what they are made from."""
    members = get_args(known) if get_origin(known) in {Union, UnionType} else (known,)
    return [get_origin(member) or member for member in members]


def _mended(value: msgspec.Struct, found: Any, style: _Style) -> Any:
    if isinstance(value, Row):
        return _mended_row(value, found, style)
    plan = _plan(type(value))
    _mend_decimals(plan.decimals, found)
    if style.time_unit > 1:
        _divide_times(plan.times, found, style.time_unit)
    for name in plan.arrays:
        # Of a record that lacks the field, there is nothing to mend.
        if name in found:
            # msgspec leaves tuples as tuples; JSON knows lists only.
            found[name] = _listed(found[name])
    for name, name_in_json in plan.nested:
        if name_in_json in found:
            found[name_in_json] = _mended_part(getattr(value, name), found[name_in_json], style)
    unknown = found.pop(UNKNOWN_FIELDS, None)
    return found if unknown is None else found | _parts_of(unknown, style)


def _mend_decimals(names: Iterable[str], found: Any) -> None:
    for name in names:
        text = found.get(name)
        # Nearly no Decimal has an exponent, so nearly nothing is mended.
        if text is not None and ("E" in text or "e" in text):
            found[name] = _in_plain(text)


def _divide_times(names: Iterable[str], found: dict[str, Any], time_unit: int) -> None:
    for name in names:
        time = found.get(name)
        if time and time > 0:  # -1 says "never"
            found[name] = time // time_unit


@lru_cache(maxsize=64)  # it is 0 that comes again and again
def _in_plain(text: str) -> str:
    return plain(Decimal(text))


def _parts_of(unknown: Any, style: _Style) -> dict[str, Any]:
    parts = msgspec.json.decode(unknown, type=dict[str, msgspec.Raw])
    return {name: style.verbatim(bytes(part)) for name, part in parts.items()}


def _mended_part(value: Any, found: Any, style: _Style) -> Any:
    if isinstance(value, tuple):
        items = cast("Any", zip(value, found, strict=True))  # pyright: ignore[reportUnknownArgumentType]
        return [_mended_part(item, part, style) for item, part in items]
    if isinstance(value, UnknownFilter):
        return style.verbatim(value.raw)
    return _mended(value, found, style) if isinstance(value, msgspec.Struct) else found


def _listed(items: Any) -> Any:
    return list(map(_listed, items)) if isinstance(items, tuple) else items  # pyright: ignore[reportUnknownArgumentType]


@cache
def _positions(row: type[msgspec.Struct]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where the Decimals are in it, and the times."""
    fields, times = msgspec.structs.fields(row), times_in(row)
    return (
        tuple(position for position, field in enumerate(fields) if field.type is Decimal),
        tuple(position for position, field in enumerate(fields) if field.name in times),
    )


def _mended_row(row: Row, found: list[Any], style: _Style) -> list[Any]:
    # Rare: then positions do not stand where the plan says.
    if row.unknown_fields is not None or row.missing_fields:
        return _of_odd_row(row, style)
    decimals, times = _positions(type(row))
    for position in decimals:
        text = found[position]
        if "E" in text or "e" in text:
            found[position] = _in_plain(text)
    for position in times:
        found[position] //= style.time_unit
    return found


def _of_odd_row(row: Row, style: _Style) -> list[Any]:
    missing = row.missing_fields
    # By position: behind one that did not come, nothing came.
    names = takewhile(lambda name: name not in missing, type(row).__struct_fields__)
    came = [getattr(row, name) for name in names if name != "unknown_fields"]
    beyond = row.unknown_fields or b"[]"
    return [*map(to_builtins, came), *(style.verbatim(bytes(item)) for item in split(beyond))]


# The sandbox's side


def write_reply(
    request_id: RequestId | None,
    status: int,
    *,
    result: Any = None,
    error: Mapping[str, Any] | None = None,
    rate_limits: Sequence[RateLimit] | None = None,
    time_unit: int = 1,
) -> bytes:
    """A reply as JSON: a result, or an error if there is one. ``rate_limits`` None leaves the field out.

    Times in records are divided by ``time_unit``.
    """
    reply: dict[str, Any] = {"id": request_id, "status": status}
    if error is None:
        reply["result"] = _values(result, _style(time_unit))
    else:
        reply["error"] = _values(error, _style(time_unit))
    if rate_limits is not None:
        reply["rateLimits"] = rate_limits  # there is no Decimal in them
    return _encode(reply)


def write_event(subscription_id: int | None, event: Event, *, time_unit: int = 1) -> bytes:
    """An event as JSON, in its envelope; its times are divided by ``time_unit``."""
    return _encode(_in_envelope(subscription_id, _of_struct(event, _style(time_unit))))


@cache
def _style(time_unit: int) -> _Style:
    return _Style(_raw, time_unit)
