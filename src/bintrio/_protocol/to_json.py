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
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, Union, cast, get_args, get_origin

import msgspec

from .._text import shown
from ..api._base import Request
from ..api._values import UNKNOWN_FIELDS, RateLimit, Row, plain
from ..api.events import Event, UnknownEvent, UserEvent
from ..api.filters import UnknownFilter
from ..errors import BintrioError, InvalidRequest, Rejected
from .reading import UNREADABLE, holds_records, split
from .requests import RequestId
from .results import Response

_encode: Final = msgspec.json.Encoder().encode

# What stands for JSON as it came: itself where bytes are made, its values where those are wanted.
_Verbatim: TypeAlias = Callable[[bytes], Any]


def to_json(value: Any) -> bytes:
    """JSON in the words of the exchange, for anything that this library hands out.

    A result or event gives what the exchange sent, a `Response` the whole reply, a `UserEvent` the event in its
    envelope, a `Rejected` the ``error`` of its reply, and a request its parameters. Any other error gives its type, its
    message and its attributes. What is None because it did not come is left out.

    Raises:
        InvalidRequest: there is no JSON for such a value.
    """
    try:
        return _encode(_values(value, _raw))
    except _WITHOUT_JSON as error:
        raise _no_json(value, error) from None


def to_builtins(value: Any) -> Any:
    """The same as `to_json` as dicts, lists, strings and numbers. Prices are strings.

    Raises:
        InvalidRequest: there is no JSON for such a value.
    """
    try:
        return _values(value, _plain_values)
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


def _values(value: Any, verbatim: _Verbatim) -> Any:
    """What msgspec can encode, with every Decimal in plain notation."""
    if isinstance(value, msgspec.Struct):
        return _of_struct(value, verbatim)
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, _CONTAINERS):
        return _of_container(value, verbatim)
    if isinstance(value, BaseException):
        return _of_error(value, verbatim)
    # What came and was kept as it came.
    if isinstance(value, bytes):
        return verbatim(value)
    if isinstance(value, _PLAIN):
        return value
    raise TypeError(f"there is no JSON for {type(value).__name__}")


def _of_container(value: Any, verbatim: _Verbatim) -> Any:
    if isinstance(value, Mapping):
        return {name: _values(item, verbatim) for name, item in cast("Mapping[str, Any]", value).items()}
    return [_values(item, verbatim) for item in value]


# Made once: a union that stands in a function is made anew by each call.
_CONTAINERS: Final[tuple[type, ...]] = (Mapping, list, tuple, set, frozenset)
_PLAIN: Final[tuple[type, ...]] = (str, int, float, NoneType)


def _of_error(error: BaseException, verbatim: _Verbatim) -> Any:
    if isinstance(error, Rejected):
        known = {"code": error.code, "msg": error.message}
        # As it came, with every digit.
        if error.data_json is not None:
            return known | {"data": verbatim(error.data_json)}
        return known if error.data is None else known | {"data": _values(error.data, verbatim)}
    # What errors of other libraries keep is not ours to show.
    attributes = vars(error) if isinstance(error, BintrioError) else {}
    # `__notes__` are for those who read tracebacks.
    known = {name: _values(item, verbatim) for name, item in attributes.items() if name != "__notes__"}
    return {"type": type(error).__name__, "message": str(error), **known}


def _of_struct(value: msgspec.Struct, verbatim: _Verbatim) -> Any:
    return _form(type(value))(value, verbatim)


@cache
def _form(kind: type[msgspec.Struct]) -> Callable[[Any, _Verbatim], Any]:
    """What gives the JSON of one kind of struct."""
    for base, form in _FORMS.items():
        if issubclass(kind, base):
            return form
    return _of_record


def _as_it_came(value: UnknownEvent | UnknownFilter, verbatim: _Verbatim) -> Any:
    return verbatim(value.raw)


def _of_event(value: UserEvent, verbatim: _Verbatim) -> Any:
    return _in_envelope(value.subscription_id, _of_struct(value.event, verbatim))


def _of_request(value: Request[Any], verbatim: _Verbatim) -> Any:
    return value.params()


def _of_record(value: msgspec.Struct, verbatim: _Verbatim) -> Any:
    return _mended(value, msgspec.to_builtins(value, builtin_types=(bytes,)), verbatim)


def _of_response(response: Response, verbatim: _Verbatim) -> Any:
    reply: dict[str, Any] = {"id": response.id, "status": response.status}
    if response.error is None:
        reply["result"] = _values(response.result, verbatim)
    elif response.error_json is not None:
        reply["error"] = verbatim(response.error_json)
    # Many answers lack them (inconsistency 3).
    limits = {"rateLimits": _values(response.rate_limits, verbatim)} if response.rate_limits else {}
    return reply | limits


def _in_envelope(subscription_id: int | None, event: Any) -> dict[str, Any]:
    return {"event": event} if subscription_id is None else {"subscriptionId": subscription_id, "event": event}


# By their kinds; all others are records.
_FORMS: Final[dict[type, Callable[[Any, _Verbatim], Any]]] = {
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
        arrays: tuples without records.
        nested: what has records in it, with their Python names.
    """

    decimals: tuple[str, ...]
    arrays: tuple[str, ...]
    nested: tuple[tuple[str, str], ...]


@cache
def _plan(record: type[msgspec.Struct]) -> _Plan:
    fields = msgspec.structs.fields(record)
    nested = [field for field in fields if _is_nested(field.type)]
    return _Plan(
        tuple(field.encode_name for field in fields if Decimal in _alternatives(field.type)),
        tuple(field.encode_name for field in fields if tuple in _alternatives(field.type) and field not in nested),
        tuple((field.name, field.encode_name) for field in nested),
    )


def _is_nested(known: Any) -> bool:
    # What a generic record is generic in is another record.
    is_open = isinstance(known, TypeVar) or any(map(_is_nested, get_args(known)))
    return is_open or holds_records(known)


def _alternatives(known: Any) -> list[Any]:
    """The members of a union, or what there is but one; of generic types what they are made from."""
    members = get_args(known) if get_origin(known) in {Union, UnionType} else (known,)
    return [get_origin(member) or member for member in members]


def _mended(value: msgspec.Struct, found: Any, verbatim: _Verbatim) -> Any:
    if isinstance(value, Row):
        return _mended_row(value, found, verbatim)
    plan = _plan(type(value))
    _mend_decimals(plan.decimals, found)
    for name in plan.arrays:
        # Of a record that lacks the field, there is nothing to mend.
        if name in found:
            # msgspec leaves tuples as tuples; JSON knows lists only.
            found[name] = _listed(found[name])
    for name, name_in_json in plan.nested:
        if name_in_json in found:
            found[name_in_json] = _mended_part(getattr(value, name), found[name_in_json], verbatim)
    unknown = found.pop(UNKNOWN_FIELDS, None)
    return found if unknown is None else found | _parts_of(unknown, verbatim)


def _mend_decimals(names: Iterable[str], found: Any) -> None:
    for name in names:
        text = found.get(name)
        # Nearly no Decimal has an exponent, so nearly nothing is mended.
        if text is not None and ("E" in text or "e" in text):
            found[name] = _in_plain(text)


@lru_cache(maxsize=64)  # it is 0 that comes again and again
def _in_plain(text: str) -> str:
    return plain(Decimal(text))


def _parts_of(unknown: Any, verbatim: _Verbatim) -> dict[str, Any]:
    parts = msgspec.json.decode(unknown, type=dict[str, msgspec.Raw])
    return {name: verbatim(bytes(part)) for name, part in parts.items()}


def _mended_part(value: Any, found: Any, verbatim: _Verbatim) -> Any:
    if isinstance(value, tuple):
        items = cast("Any", zip(value, found, strict=True))  # pyright: ignore[reportUnknownArgumentType]
        return [_mended_part(item, part, verbatim) for item, part in items]
    if isinstance(value, UnknownFilter):
        return verbatim(value.raw)
    return _mended(value, found, verbatim) if isinstance(value, msgspec.Struct) else found


def _listed(items: Any) -> Any:
    return list(map(_listed, items)) if isinstance(items, tuple) else items  # pyright: ignore[reportUnknownArgumentType]


@cache
def _positions(row: type[msgspec.Struct]) -> tuple[int, ...]:
    """Where the Decimals are in it."""
    return tuple(position for position, field in enumerate(msgspec.structs.fields(row)) if field.type is Decimal)


def _mended_row(row: Row, found: list[Any], verbatim: _Verbatim) -> list[Any]:
    # Rare: then positions do not stand where the plan says.
    if row.unknown_fields is not None or row.missing_fields:
        return _of_odd_row(row, verbatim)
    for position in _positions(type(row)):
        text = found[position]
        if "E" in text or "e" in text:
            found[position] = _in_plain(text)
    return found


def _of_odd_row(row: Row, verbatim: _Verbatim) -> list[Any]:
    missing = row.missing_fields
    # By position: behind one that did not come, nothing came.
    names = takewhile(lambda name: name not in missing, type(row).__struct_fields__)
    came = [getattr(row, name) for name in names if name != "unknown_fields"]
    beyond = row.unknown_fields or b"[]"
    return [*map(to_builtins, came), *(verbatim(bytes(item)) for item in split(beyond))]


# The sandbox's side


def write_reply(
    request_id: RequestId | None,
    status: int,
    *,
    result: Any = None,
    error: Mapping[str, Any] | None = None,
    rate_limits: Sequence[RateLimit] | None = None,
) -> bytes:
    """A reply as JSON: a result, or an error if there is one. ``rate_limits`` None leaves the field out."""
    reply: dict[str, Any] = {"id": request_id, "status": status}
    if error is None:
        reply["result"] = _values(result, _raw)
    else:
        reply["error"] = _values(error, _raw)
    if rate_limits is not None:
        reply["rateLimits"] = rate_limits  # there is no Decimal in them
    return _encode(reply)


def write_event(subscription_id: int | None, event: Event) -> bytes:
    """An event as JSON, in its envelope."""
    return _encode(_in_envelope(subscription_id, _of_struct(event, _raw)))
