"""Replies to results and errors.

Source: "Response format" of the WebSocket API document, and errors.md.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar, get_origin

import msgspec

from ._envelope import Envelope, Failure, as_bytes, read_envelope
from ._reading import UNREADABLE, Read, reader
from ._requests import RequestId
from .api._base import Api, Request, catalogue
from .api._values import RateLimit
from .errors import (
    EXECUTION_UNKNOWN_CODES,
    BintrioError,
    CancelReplaceFailed,
    OutcomeUnknown,
    PartlyDone,
    ProtocolViolation,
    Rejected,
    rejection_type,
)

R = TypeVar("R")


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


_readers: Final[dict[tuple[str, Hashable], Read]] = {}


def read_answer(request: Request[R], envelope: Envelope) -> R:
    """The result of a successful reply, in the shape that the request decides, or else in the one that came.

    Raises:
        ProtocolViolation: the result does not fit its type.
    """
    api = request.api
    kind = api.shapes.kind(request) if api.shapes else None
    # By a short key: to look for a union, which compares by value, takes a tenth of the time that an order does.
    read = _readers.get((api.name, kind)) or _reader(api, kind)
    try:
        result: R = read(envelope.result)
    except UNREADABLE as error:
        raise _violation(api.name, envelope, error) from None
    return result


def _reader(api: Api, kind: Hashable) -> Read:
    asked = api.shapes.results.get(kind, api.result) if api.shapes else api.result
    read = _readers[api.name, kind] = reader(api.result, asked, api.name)
    return read


def read_result(method: str, result_type: Any, envelope: Envelope) -> Any:
    """The result of a successful reply, as ``result_type``; `Any` gives plain JSON values.

    Raises:
        ProtocolViolation: the result does not fit its type.
    """
    try:
        return reader(result_type, result_type, method)(envelope.result)
    except UNREADABLE as error:
        raise _violation(method, envelope, error) from None


def _violation(method: str, envelope: Envelope, error: Exception) -> ProtocolViolation:
    if not envelope.result:
        return ProtocolViolation(f"{method}: the reply has no `result`")
    said = str(error)
    located = said.replace(" - at `$", " - at `result") if " - at `$" in said else f"{said} - at `result`"
    return ProtocolViolation(f"{method}: {located}", raw=bytes(envelope.result))


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
    if isinstance(error, PartlyDone | CancelReplaceFailed):
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
    except UNREADABLE:
        return None


def _tell_halves_apart(error: PartlyDone | CancelReplaceFailed, data: msgspec.Raw) -> None:
    """Fill ``done`` and ``failed``: a half that was done has the type it has in the result, another a code."""
    known = catalogue.get(error.method)
    result: Any = known.api.result if known else None
    record = get_origin(result) or result
    fields = msgspec.structs.fields(result) if isinstance(record, type) and issubclass(record, msgspec.Struct) else ()
    types = {field.encode_name: field.type for field in fields}
    halves: dict[str, msgspec.Raw] = {}
    with suppress(*UNREADABLE):
        halves = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    found = {
        name: _half(error.method, half, types.get(name, Failure))
        for name, half in halves.items()
        if memoryview(half)[:1].tobytes() == b"{"
    }
    error.done = {name: half for name, half in found.items() if not isinstance(half, Failure)}
    error.failed = {
        name: _rejection(error.method, 400, half, error.rate_limits)
        for name, half in found.items()
        if isinstance(half, Failure)
    }


def _half(method: str, half: msgspec.Raw, half_type: Any) -> Any:
    """A record, or else a `Failure`, or as it came if it is neither."""
    with suppress(*UNREADABLE):
        return reader(half_type, half_type, method)(half)
    with suppress(*UNREADABLE):
        return msgspec.json.decode(half, type=Failure)
    return _plain_values(half)


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
        envelope = read_envelope(as_bytes(data))
    except ProtocolViolation as violation:
        raise ProtocolViolation(f"{method}: {violation}", raw=violation.raw) from None
    if envelope.status == 0:
        raise ProtocolViolation(f"{method}: the message has no status, so it is no reply", raw=as_bytes(data))
    error = read_error(method, envelope)
    known = catalogue.get(method)
    result = read_result(method, known.api.result if known else Any, envelope) if error is None else None
    return Response(
        id=envelope.id, status=envelope.status, result=result, error=error, rate_limits=envelope.rate_limits
    )
