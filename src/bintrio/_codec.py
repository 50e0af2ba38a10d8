"""Requests to bytes, bytes to replies and events, and both ways round for the sandbox.

An incoming message is read in two steps. The reader of a connection decodes only the *envelope* (`read_envelope`): who
it is for, and whether it went well. The result stays raw JSON until the task that waits for it decodes it
(`read_result`), so a payload that does not fit its type hurts one caller and never the connection.

Where the exchange answers in one of several shapes, the request's result type is a union of records. msgspec tells the
members of a union apart by a tag, which these answers do not have, so the first that fits is taken, the richest first.
One that does not fit, though the answer has fields that only it knows, is at fault: a RESULT without its status must
not pass for an ACK. Inside a record such a union is a `OneOf`, which msgspec hands back to us (`_one_of`).

What does not fit is read a second time, since it may only be news (G10): with its unknown fields, and with every filter
that does not fit as an `UnknownFilter` (`_lenient`). An envelope is read as far as it fits (`_read_in_part`): a reply
with an odd rate limit still has a caller, who should not wait for it until the deadline.

Source: "Request format", "Response format" and "Event format" of the WebSocket API document.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import cache, partial
from types import UnionType
from typing import Annotated, Any, Final, NamedTuple, TypeAlias, Union, cast, get_args, get_origin

import msgspec

from ._lenient import lenient, settled, split
from .api._base import Json, catalogue, plain
from .api._values import UNKNOWN_FIELDS, RateLimit, Sole, one_of
from .api.events import (
    AllocationReport,
    BalanceUpdate,
    Event,
    EventStreamTerminated,
    ExecutionReport,
    ExternalLockUpdate,
    KnownEvent,
    ListStatus,
    OutboundAccountPosition,
    ServerShutdown,
    UnknownEvent,
    UserEvent,
)
from .errors import (
    EXECUTION_UNKNOWN_CODES,
    BintrioError,
    InvalidRequest,
    OutcomeUnknown,
    PartlyDone,
    ProtocolViolation,
    Rejected,
    rejection_type,
)

RequestId: TypeAlias = int | str

_ABSENT: Final = msgspec.Raw(b"")
_encoder: Final = msgspec.json.Encoder()

# What msgspec raises for bytes that do not fit: the last two for text that is not UTF-8, and for JSON nested too deep.
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Failure(msgspec.Struct, frozen=True, gc=False):
    """``error`` of a reply."""

    code: int
    msg: str = ""
    data: msgspec.Raw = _ABSENT


class _Unmetered(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """An envelope without its rate limits."""

    id: RequestId | None = None
    status: int = 0
    result: msgspec.Raw = _ABSENT
    error: Failure | None = None
    subscription_id: int | None = None
    event: msgspec.Raw = _ABSENT


class Envelope(_Unmetered, frozen=True, kw_only=True):
    """A message with its payload left as it came.

    A reply has a status, and either a result or an error. An event has an event, and mostly a subscription id. A reply
    of which only the id can be read has the status 0.
    """

    rate_limits: tuple[RateLimit, ...] = ()


class _Metered(msgspec.Struct, frozen=True, rename="camel"):
    """The rate limits of a reply."""

    rate_limits: msgspec.Raw = _ABSENT


class _Addressed(msgspec.Struct, frozen=True):
    """All of a reply that is needed to tell its caller that it cannot be read, or that it says no."""

    id: RequestId | None = None
    status: Any = 0
    error: msgspec.Raw = _ABSENT

    @property
    def refusal(self) -> int:
        """The status, if it says no; else 0."""
        return self.status if isinstance(self.status, int) and self.status >= 400 else 0


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A reply, decoded whole.

    Attributes:
        id: the id of the request, or None when the exchange could not tell whose reply it is.
        status: HTTP-like status; 200 is success.
        result: the typed result; None when there is an error.
        error: what a session would raise: `Rejected` or `OutcomeUnknown`; None for a success.
        rate_limits: limits and counts, empty if they were not asked for.
    """

    id: RequestId | None
    status: int
    result: Any
    error: BintrioError | None
    rate_limits: tuple[RateLimit, ...]


# Outward


def write_request(request_id: RequestId, method: str, params: Mapping[str, Json]) -> bytes:
    """One request as JSON.

    Raises:
        InvalidRequest: a name or value is not valid Unicode.
    """
    try:
        if params:
            return _encoder.encode({"id": request_id, "method": method, "params": params})
        return _encoder.encode({"id": request_id, "method": method})
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


# Inward


_read_envelope: Final = msgspec.json.Decoder(Envelope).decode
_NULL: Final = msgspec.Raw(b"null")


def read_envelope(data: bytes) -> Envelope:
    """The envelope of a message, or as much of it as fits: at least the id of a reply.

    Raises:
        ProtocolViolation: it is not JSON, not an object, or its envelope has other types than documented and no id.
    """
    try:
        envelope = _read_envelope(data)
    except _UNREADABLE as error:
        envelope = _read_in_part(data, error)
    if envelope.event and envelope.event == _NULL:
        return msgspec.structs.replace(envelope, event=_ABSENT)
    return envelope


def _read_in_part(data: bytes, error: Exception) -> Envelope:
    """The envelope of a message that does not fit, as ``error`` says: without rate limits, or else id and refusal.

    Of its rate limits those are kept that fit, if only with new fields.
    """
    with suppress(*_UNREADABLE):
        unmetered = msgspec.structs.asdict(msgspec.json.decode(data, type=_Unmetered))
        return Envelope(**unmetered, rate_limits=tuple(_fitting_limits(data)))
    with suppress(*_UNREADABLE):
        reply = msgspec.json.decode(data, type=_Addressed)
        if reply.id is not None or reply.refusal:
            said = Failure(0, bytes(reply.error).decode(errors="replace")) if reply.refusal and reply.error else None
            return Envelope(id=reply.id, status=reply.refusal, error=said)
    raise ProtocolViolation(f"message: {error}", raw=data) from None


def _fitting_limits(data: bytes) -> Iterator[RateLimit]:
    limits: tuple[msgspec.Raw, ...] = ()
    with suppress(*_UNREADABLE):
        limits = split(msgspec.json.decode(data, type=_Metered).rate_limits)
    for limit in limits:
        with suppress(*_UNREADABLE):
            yield _read_leniently(RateLimit, limit)


def read_result(method: str, result_type: Any, envelope: Envelope) -> Any:
    """The result of a successful reply, as ``result_type``; `Any` gives plain JSON values.

    Raises:
        ProtocolViolation: the result does not fit its type.
    """
    known_type, read = _readers.get(method, _NO_READER)
    if known_type is not result_type:
        read = _reader(method, result_type)
    try:
        return read(envelope.result)
    except _UNREADABLE:
        return _read_again(method, result_type, envelope.result)


# For each method of the catalogue whose result was read before, its type and how to read it. To look for a union in
# `decoder`, which compares by value, takes a tenth of the time that reading an order does.
_readers: Final[dict[str, tuple[Any, Callable[[Any], Any]]]] = {}
_NO_READER: Final[tuple[Any, Callable[[Any], Any]]] = (None, bytes)


def _reader(method: str, result_type: Any) -> Callable[[Any], Any]:
    read = decoder(result_type)
    if method in catalogue and catalogue[method].api.result is result_type:
        _readers[method] = (result_type, read)
    return read


def _read_again(method: str, result_type: Any, raw: msgspec.Raw) -> Any:
    """Read what did not fit once more, with what is unknown."""
    if not raw:
        raise ProtocolViolation(f"{method}: the reply has no `result`") from None
    try:
        return _read_leniently(result_type, raw)
    except _UNREADABLE as error:
        raise ProtocolViolation(f"{method}: {_located(error)}", raw=bytes(raw)) from None


def _read_leniently(known: Any, raw: bytes | msgspec.Raw) -> Any:
    return settled(decoder(lenient(known))(raw), raw)


# The path within a `OneOf`, and the one to it.
_SPLIT_PATH: Final = re.compile(r" - in `([^`]*)` - at `([^`]*)`")


def _located(error: Exception) -> str:
    """An error of msgspec, with the path in the whole message: ``Expected `str`, got `int` - at `result.symbol` ``."""
    said = _SPLIT_PATH.sub(r" - at `\2\1`", str(error))
    return said.replace(" - at `$", " - at `result") if " - at `$" in said else f"{said} - at `result`"


def read_error(method: str, envelope: Envelope) -> Rejected | OutcomeUnknown | None:
    """What went wrong, or None for a success.

    A 5xx status and the codes -1006 and -1007 say that the request may have been executed.

    Raises:
        ProtocolViolation: it has no status.
    """
    if envelope.status == 0:
        raise ProtocolViolation(f"{method}: the reply has no status")
    failure = envelope.error
    if failure is None:
        if envelope.status == 200:
            return None
        failure = Failure(0, "no error was given")
    if envelope.status >= 500 or failure.code in EXECUTION_UNKNOWN_CODES:
        return OutcomeUnknown(method, f"{envelope.status} {failure.code} {failure.msg}")
    error = _rejection(method, envelope.status, failure, envelope.rate_limits)
    if isinstance(error, PartlyDone):
        _tell_halves_apart(error, failure.data)
    return error


def _rejection(method: str, status: int, failure: Failure, rate_limits: Sequence[RateLimit]) -> Rejected:
    kind = rejection_type(status, failure.code, failure.msg)
    data = _plain_values(failure.data)
    return kind(method, status=status, code=failure.code, message=failure.msg, data=data, rate_limits=rate_limits)


def _plain_values(raw: msgspec.Raw) -> Any:
    """JSON values; None for what is absent, and for what has none, such as 1e999."""
    try:
        return msgspec.json.decode(raw) if raw else None
    except _UNREADABLE:
        return None


def _tell_halves_apart(error: PartlyDone, data: msgspec.Raw) -> None:
    """Fill ``done`` and ``failed``: a half that was done has the type it has in the result, another a code."""
    known = catalogue.get(error.method)
    result: Any = known.api.result if known else None
    record = get_origin(result) or result
    fields = msgspec.structs.fields(result) if isinstance(record, type) and issubclass(record, msgspec.Struct) else ()
    types = {field.encode_name: field.type for field in fields}
    halves: dict[str, msgspec.Raw] = {}
    with suppress(*_UNREADABLE):
        halves = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    found = {name: _half(half, types.get(name, Failure)) for name, half in halves.items() if _begins_with(b"{", half)}
    error.done = {name: half for name, half in found.items() if not isinstance(half, Failure)}
    error.failed = {
        name: _rejection(error.method, 400, half, error.rate_limits)
        for name, half in found.items()
        if isinstance(half, Failure)
    }


def _half(half: msgspec.Raw, half_type: Any) -> Any:
    """A record, or else a `Failure`, or as it came if it is neither."""
    for known in (half_type, Failure):
        with suppress(*_UNREADABLE):
            return _read_leniently(known, half)
    return _plain_values(half)


def read_event(envelope: Envelope) -> UserEvent:
    """The event of an envelope. One that is unknown, or known but misshapen, arrives as `UnknownEvent` (G10)."""
    raw = envelope.event
    event: Event
    try:
        try:
            event = _event_decoder()(raw)
        except msgspec.ValidationError:
            event = cast("KnownEvent", _read_leniently(KnownEvent, raw))
        if not _IS_FINITE[type(event)](event):
            event = _unknown(raw, "a number is not finite")
    except _UNREADABLE as error:
        event = _unknown(raw, str(error))
    return UserEvent(subscription_id=envelope.subscription_id, event=event)


@cache
def _event_decoder() -> Callable[[Any], KnownEvent]:
    # Built when the first event comes: seven large records are a twentieth of what importing bintrio costs.
    return msgspec.json.Decoder(KnownEvent).decode


def _unknown(raw: msgspec.Raw, reason: str) -> UnknownEvent:
    return UnknownEvent(event_type=_event_type(raw), raw=bytes(raw), reason=reason)


class _EventType(msgspec.Struct):
    e: str | None = None


def _event_type(raw: msgspec.Raw) -> str | None:
    try:
        return msgspec.json.decode(raw, type=_EventType).e
    except _UNREADABLE:
        return None


# Whether the numbers of an event are numbers. NaN is not even equal to itself, and some NaNs have no hash, so a repeat
# of such an event could not be told from another event. Written out, since a loop over the fields takes twice as long.


def _is_finite_report(event: ExecutionReport) -> bool:
    return (
        event.quantity.is_finite()
        and event.price.is_finite()
        and event.stop_price.is_finite()
        and event.iceberg_quantity.is_finite()
        and event.last_executed_quantity.is_finite()
        and event.cumulative_filled_quantity.is_finite()
        and event.last_executed_price.is_finite()
        and event.commission_amount.is_finite()
        and event.cumulative_quote_quantity.is_finite()
        and event.last_quote_quantity.is_finite()
        and event.quote_order_quantity.is_finite()
        and (event.prevented_quantity is None or event.prevented_quantity.is_finite())
        and (event.last_prevented_quantity is None or event.last_prevented_quantity.is_finite())
        and (event.prevented_execution_quantity is None or event.prevented_execution_quantity.is_finite())
        and (event.prevented_execution_price is None or event.prevented_execution_price.is_finite())
        and (event.prevented_execution_quote_quantity is None or event.prevented_execution_quote_quantity.is_finite())
        and (event.pegged_price is None or event.pegged_price.is_finite())
    )


def _are_finite_balances(event: OutboundAccountPosition) -> bool:
    for balance in event.balances:  # noqa: SIM110 - a generator takes twice as long
        if not (balance.free.is_finite() and balance.locked.is_finite()):
            return False
    return True


def _is_finite_delta(event: BalanceUpdate | ExternalLockUpdate) -> bool:
    return event.delta.is_finite()


def _is_finite_allocation(event: AllocationReport) -> bool:
    return (
        event.price.is_finite()
        and event.quantity.is_finite()
        and event.quote_quantity.is_finite()
        and event.commission_amount.is_finite()
    )


def _has_no_numbers(_event: ListStatus | EventStreamTerminated | ServerShutdown) -> bool:
    return True


_IS_FINITE: Final[Mapping[type[KnownEvent], Callable[[Any], bool]]] = {
    OutboundAccountPosition: _are_finite_balances,
    BalanceUpdate: _is_finite_delta,
    ExternalLockUpdate: _is_finite_delta,
    ExecutionReport: _is_finite_report,
    ListStatus: _has_no_numbers,
    AllocationReport: _is_finite_allocation,
    EventStreamTerminated: _has_no_numbers,
    ServerShutdown: _has_no_numbers,
}


def decode_response(method: str, data: bytes | str) -> Response:
    """Decode a recorded reply, as a session would have.

    Args:
        method: the exchange's name of the method that was called. For a name that the catalogue does not know, the
            result is plain JSON values.
        data: the message as it came.

    Raises:
        ProtocolViolation: it is no reply, or its result does not fit the documented type; the message names the
            method and the path.
    """
    try:
        envelope = read_envelope(_as_bytes(data))
    except ProtocolViolation as violation:
        raise ProtocolViolation(f"{method}: {violation}", raw=violation.raw) from None
    if envelope.status == 0:
        raise ProtocolViolation(f"{method}: the message has no status, so it is no reply", raw=_as_bytes(data))
    error = read_error(method, envelope)
    known = catalogue.get(method)
    result = read_result(method, known.api.result if known else Any, envelope) if error is None else None
    return Response(
        id=envelope.id, status=envelope.status, result=result, error=error, rate_limits=envelope.rate_limits
    )


def decode_event(data: bytes | str) -> UserEvent:
    """Decode a recorded event, as a session would have.

    Raises:
        ProtocolViolation: it is no event.
    """
    envelope = read_envelope(_as_bytes(data))
    if not envelope.event:
        raise ProtocolViolation("the message has no event", raw=_as_bytes(data))
    return read_event(envelope)


def _as_bytes(data: bytes | str) -> bytes:
    return data.encode(errors="surrogatepass") if isinstance(data, str) else data


@cache
def decoder(result_type: Any) -> Callable[[Any], Any]:
    """A function that reads JSON into ``result_type``, kept for the next time."""
    origin = get_origin(result_type)
    if origin is Annotated and Sole in get_args(result_type):
        return _unwrapped(decoder(get_args(result_type)[0]))
    if isinstance(result_type, type(one_of)):
        return _by_shape(result_type.members)
    if origin in {Union, UnionType} and not _have_tags(get_args(result_type)):
        return _by_shape(get_args(result_type))
    if origin is tuple and get_origin(get_args(result_type)[0]) in {Union, UnionType}:
        return _each(decoder(get_args(result_type)[0]))
    return msgspec.json.Decoder(result_type, dec_hook=_one_of).decode


def _have_tags(members: Sequence[Any]) -> bool:
    configs = [getattr(member, "__struct_config__", None) for member in members]
    return all(config is not None and config.tag is not None for config in configs)


def _each(decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read(raw: Any) -> tuple[Any, ...]:
        found: list[Any] = []
        for item in split(raw):
            try:
                found.append(decode(item))
            except msgspec.ValidationError as error:
                said, _, path = str(error).partition(" - at `$")
                raise msgspec.ValidationError(f"{said} - at `$[{len(found)}]{path or '`'}") from None
        return tuple(found)

    return read


def _unwrapped(decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def unwrap(raw: Any) -> Any:
        items = split(raw) if _begins_with(b"[", raw) else (raw,)
        if len(items) != 1:
            raise msgspec.ValidationError(f"Expected an array of length 1, got {len(items)}")
        return decode(items[0])

    return unwrap


class _Shape(NamedTuple):
    """A member of a union: how it is read, and the fields that it must have and no plainer member has.

    The markers are the same as they stand in JSON: where none of them occurs, trying is idle.
    """

    decode: Callable[[Any], Any]
    own_fields: frozenset[str]
    markers: tuple[bytes, ...]


def _by_shape(members: Sequence[Any]) -> Callable[[Any], Any]:
    """Objects are tried with the members that are records, arrays with those that are tuples."""
    arrays = [member for member in members if get_origin(member) is tuple]
    objects = [member for member in members if get_origin(member) is not tuple]
    if not arrays or not objects:
        return _shape_reader(members, decoder, _names_in_json)
    read_object = _shape_reader(objects, decoder, _names_in_json)
    read_array = _shape_reader(arrays, decoder, _names_in_json)
    return lambda raw: read_array(raw) if _begins_with(b"[", raw) else read_object(raw)


@cache
def _one_of_reader(union: Any) -> Callable[[Any], Any]:
    return _shape_reader(union.members, lambda member: partial(msgspec.convert, type=member), set[str])


def _one_of(union: Any, value: Any) -> Any:
    """Msgspec's hook for types it does not know, which are the unions inside records."""
    try:
        return _one_of_reader(union)(value)
    except msgspec.ValidationError as error:
        # msgspec puts the path before a ValueError only; what it found further in stays in the words.
        raise ValueError(str(error).replace(" - at `$", " - in `")) from None


def _shape_reader(
    members: Sequence[Any], decoder_of: Callable[[Any], Callable[[Any], Any]], names_in: Callable[[Any], set[str]]
) -> Callable[[Any], Any]:
    """A function that reads one of the members, the richest first.

    Not the first written: Python takes two unions for the same whatever their order, and so does `cache`.
    """
    members = sorted(members, key=lambda member: len(_field_names(member)), reverse=True)
    names = [_field_names(member) for member in members]
    shapes = [
        _shape(member, decoder_of(member), names[index].difference(*names[index + 1 :]))
        for index, member in enumerate(members)
    ]

    *richer, plainest = shapes
    richest = shapes[0].decode
    is_likely = True

    def read(value: Any) -> Any:
        # Answers mostly have the shape of those before. So the richest is tried unseen for as long as it fits, and
        # then no more until one has fitted again: to look for markers costs as much as two prices, to fail far more.
        # Where shapes take turns (ACK and FULL of one method), each change to a plainer one costs one failure.
        nonlocal is_likely
        if is_likely:
            try:
                return richest(value)
            except msgspec.ValidationError:
                is_likely = False
        return read_by_markers(value)

    def read_by_markers(value: Any) -> Any:
        nonlocal is_likely
        text = bytes(value) if isinstance(value, msgspec.Raw) else None
        for decode, own_fields, markers in richer:
            if text is not None and not _holds_one(text, markers):
                continue
            try:
                found = decode(value)
            except msgspec.ValidationError:
                # A plainer one may have got a new field of that name, but hardly most of them.
                if 2 * len(own_fields & names_in(value)) > len(own_fields):
                    raise
            else:
                is_likely = decode is richest
                return found
        return plainest.decode(value)

    return read


def _holds_one(text: bytes, markers: tuple[bytes, ...]) -> bool:
    # A loop, since a generator would cost every order's answer as much as two of its prices.
    for marker in markers:  # noqa: SIM110
        if marker in text:
            return True
    return False


def _shape(member: Any, decode: Callable[[Any], Any], own_fields: frozenset[str]) -> _Shape:
    required = [field.encode_name for field in _fields(member) if field.required and field.encode_name in own_fields]
    return _Shape(decode, frozenset(required), tuple(f'"{name}"'.encode() for name in required))


def _field_names(member: Any) -> frozenset[str]:
    return frozenset(field.encode_name for field in _fields(member))


def _fields(member: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    record = get_args(member)[0] if get_origin(member) is tuple else member
    return msgspec.structs.fields(record)


def _names_in_json(raw: Any) -> set[str]:
    """The field names of an object, or of the first object of an array."""
    if _begins_with(b"[", raw):
        raw = next(iter(split(raw)), _NULL)
    return set(msgspec.json.decode(raw, type=dict[str, msgspec.Raw])) if _begins_with(b"{", raw) else set()


def _begins_with(bracket: bytes, raw: Any) -> bool:
    return memoryview(raw)[:1].tobytes() == bracket


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
    reply |= {"result": as_json(result)} if error is None else {"error": as_json(error)}
    if rate_limits is not None:
        reply["rateLimits"] = as_json(rate_limits)
    return _encoder.encode(reply)


def write_event(subscription_id: int | None, event: Event) -> bytes:
    """An event as JSON, in its envelope."""
    envelope = {} if subscription_id is None else {"subscriptionId": subscription_id}
    return _encoder.encode({**envelope, "event": as_json(event)})


def as_json(value: Any) -> Any:
    """Records to JSON values with every Decimal in plain notation, and unknown fields in their places.

    Fields that are None by default are left out.
    """
    return _plain_notation(msgspec.to_builtins(value, builtin_types=(Decimal, bytes)))


def _json_or_text(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except _UNREADABLE:
        return raw.decode(errors="replace")


def _plain_notation(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        # Only what is unknown holds bytes: its own JSON, which stands for it.
        if isinstance(fields.get("raw"), bytes):
            return _json_or_text(fields["raw"])
        if isinstance(fields.get(UNKNOWN_FIELDS), bytes):
            unknown = msgspec.json.decode(fields.pop(UNKNOWN_FIELDS), type=dict[str, msgspec.Raw])
            return _plain_notation(fields) | {name: _json_or_text(bytes(part)) for name, part in unknown.items()}
        return {name: _plain_notation(item) for name, item in fields.items()}
    if isinstance(value, list | tuple):
        return [_plain_notation(item) for item in cast("Sequence[Any]", value)]
    return value
