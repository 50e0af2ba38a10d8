"""Replies to results and errors.

Source: "Response format" of the WebSocket API document, and errors.md.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final, TypeVar, get_origin

import msgspec

from ..api._base import Api, Request, catalogue, unknown_api
from ..api._values import RateLimit
from ..api.trading import ReplacedOrder
from ..errors import (
    EXECUTION_UNKNOWN_CODES,
    BintrioError,
    CancelReplaceFailed,
    OutcomeUnknown,
    PartlyDone,
    ProtocolViolation,
    Rejected,
)
from .envelope import Envelope, Failure, as_bytes, read_envelope
from .exact import in_exact, traps_what_is_no_number
from .finite import check_finite
from .reading import NULL, UNREADABLE, Read, reader
from .rejections import misses_signature, rejection_type
from .requests import RequestId

R = TypeVar("R")


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A reply, decoded whole.

    Attributes:
        id: the id of the request, or None when the exchange could not tell whose reply it is.
        status: HTTP-like status; 200 is success.
        result: the typed result; None when there is an error.
        error: what a session would raise: `Rejected` or `OutcomeUnknown`; None for a success.
        rate_limits: limits and counts, empty if they were not asked for.
        error_json: ``error`` as it was sent; None if there was none.
    """

    id: RequestId | None
    status: int
    result: Any
    error: BintrioError | None
    rate_limits: tuple[RateLimit, ...]
    error_json: bytes | None = None


_NOT_DONE: Final = ("FAILURE", "NOT_ATTEMPTED")

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
        result: R = read(envelope.result) if traps_what_is_no_number() else in_exact(read)(envelope.result)
        check_finite(result)
    except UNREADABLE as error:
        raise _violation(api.name, envelope, error) from None
    return result


def _reader(api: Api, kind: Hashable) -> Read:
    asked = api.shapes.results.get(kind) if api.shapes else api.result
    # An enum's new value, for instance. Kept under each, they would grow without end.
    if asked is None:  # a kind that is not known here: there may be any number of them
        return _of_both_halves(api.name, reader(api.result, api.result, api.name))
    read = _readers[api.name, kind] = _of_both_halves(api.name, reader(api.result, asked, api.name))
    return read


def read_result(method: str, result_type: Any, envelope: Envelope) -> Any:
    """The result of a successful reply, as ``result_type``; `Any` gives plain JSON values.

    Raises:
        ProtocolViolation: the result does not fit its type.
    """
    try:
        # Of names that nobody knows there may be any number.
        read = reader(result_type, result_type, method if result_type is not Any else "")
        result = in_exact(_of_both_halves(method, read))(envelope.result)
        check_finite(result)
    except UNREADABLE as error:
        raise _violation(method, envelope, error) from None
    return result


def _violation(method: str, envelope: Envelope, error: Exception) -> ProtocolViolation:
    if not envelope.result:
        return ProtocolViolation(f"{method}: the reply has no `result`")
    said = str(error)
    # The path of msgspec begins at the payload, users see the whole reply.
    located = said.replace(" - at `$", " - at `result") if " - at `$" in said else f"{said} - at `result`"
    return ProtocolViolation(f"{method}: {located}", raw=bytes(envelope.result))


_NOTHING_SAID: Final = Failure(0, "no error was given")

# Statuses that come from before the exchange, from a firewall or a limit, and hold whatever else is in the answer.
_SAY_NO_BY_THEMSELVES: Final = frozenset({403, 418, 429})


def read_error(method: str, envelope: Envelope) -> Rejected | OutcomeUnknown | None:
    """What went wrong, or None for a success.

    A 5xx status and the codes -1006 and -1007 say that the request may have been executed. Only a well-formed refusal
    says that it was not.

    Raises:
        ProtocolViolation: it is neither a success nor a refusal.
    """
    if envelope.status == 200 and envelope.error is None:
        return None
    status, failure = envelope.status, envelope.error or _NOTHING_SAID
    # It has an id, so its caller is told at once; what it says cannot be read.
    if status == 0:
        raise ProtocolViolation(f"{method}: the reply has no status")
    # The exchange does not say whether the call was executed before it failed.
    if status >= 500 or failure.code in EXECUTION_UNKNOWN_CODES:
        return OutcomeUnknown(method, f"{status} {failure.code} {failure.msg}")
    # It might be a yes in a form that is not known here, so it must not count as a no.
    if not _is_refusal(envelope):
        raise ProtocolViolation(f"{method}: neither a result nor a refusal: {status} {failure.code} {failure.msg}")
    error = _rejection(method, status, failure, envelope.rate_limits)
    _tell_halves_apart(error, failure.data)
    return error


def read_verdict(envelope: Envelope) -> BintrioError:
    """What an answer says that belongs to no call: it is about the connection."""
    try:
        return read_error("connection", envelope) or ProtocolViolation("a success that belongs to no call")
    except ProtocolViolation as violation:
        return violation


def says_not_logged_on(envelope: Envelope) -> bool:
    """Whether an answer to a call without a signature says that the connection is not logged on."""
    failure = envelope.error
    return failure is not None and _is_refusal(envelope) and misses_signature(failure.code, failure.msg or "")


def _is_refusal(envelope: Envelope) -> bool:
    """Whether an answer says no in the exchange's own form: a 4xx status, and an error with code and message."""
    failure = envelope.error
    # A refusal with a result contradicts itself.
    if envelope.result and envelope.result != NULL:
        return False
    if envelope.status in _SAY_NO_BY_THEMSELVES:
        return True
    return 400 <= envelope.status < 500 and failure is not None and failure.code < 0 and failure.msg is not None


def _rejection(method: str, status: int, failure: Failure, rate_limits: Sequence[RateLimit]) -> Rejected:
    code, message, data = failure.code, failure.msg or "", _plain_values(failure.data)
    kind = rejection_type(status, code, message)
    error = kind(method, status=status, code=code, message=message, data=data, rate_limits=rate_limits)
    # Kept as it came, so that `to_json` gives back every digit.
    error.data_json = bytes(failure.data) if failure.data else None
    return error


def _plain_values(raw: msgspec.Raw) -> Any:
    """JSON values; None for what is absent, and for what has none, such as 1e999."""
    try:
        return msgspec.json.decode(raw) if raw else None
    except UNREADABLE:
        return None


def _tell_halves_apart(error: Rejected, data: msgspec.Raw) -> None:
    """Fill ``done`` and ``failed``: a half that was done has the type it has in the result, another a code.

    Raises:
        ProtocolViolation: one was done of a method that has none, or it is left open which.
    """
    types = _types_of_halves(error.method)
    # Nearly all methods have no halves.
    if not types and not isinstance(error, PartlyDone | CancelReplaceFailed):
        return
    parts: dict[str, msgspec.Raw] = {}
    # Of data that cannot be read, no half is known.
    with suppress(*UNREADABLE):
        parts = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    done, failed = _halves(error.method, types, parts)
    # Of a method that is not known here, nobody can say what its halves are.
    if error.method in catalogue:
        _check_halves(error, types, parts, len(failed), done)
    if isinstance(error, PartlyDone | CancelReplaceFailed):
        error.done = done
        error.failed = {name: _rejection(error.method, 400, half, error.rate_limits) for name, half in failed.items()}


def _halves(
    method: str, types: Mapping[str, Any], parts: Mapping[str, msgspec.Raw]
) -> tuple[dict[str, Any], dict[str, Failure]]:
    """What was done and what was refused, of the halves that are objects."""
    # Of a half that was not attempted there is null: it was neither done nor refused.
    halves = {
        name: _half(method, parts[name], types.get(name))
        for name in (types if method in catalogue else parts)
        if memoryview(parts.get(name, NULL))[:1].tobytes() == b"{"
    }
    failed = {name: half for name, half in halves.items() if isinstance(half, Failure)}
    return {name: half for name, half in halves.items() if name not in failed}, failed


def _check_halves(
    error: Rejected, types: Mapping[str, Any], parts: Mapping[str, msgspec.Raw], failed: int, done: Mapping[str, Any]
) -> None:
    if not (_agree(types, parts, done) and _may_be(error, len(types), len(done), failed)):
        said = f"{error.status} {error.code} {error.message}"
        raise ProtocolViolation(f"{error.method}: it cannot be told which half was done: {said}")


def _agree(types: Mapping[str, Any], parts: Mapping[str, msgspec.Raw], done: Mapping[str, Any]) -> bool:
    """Whether each half is as the word for it says, and can be read."""
    words = {name: _plain_values(parts.get(name.replace("Response", "Result"), NULL)) for name in types}
    is_readable = all(isinstance(half, msgspec.Struct) for half in done.values())
    return is_readable and all(
        name in done if word == "SUCCESS" else name not in done or word not in _NOT_DONE for name, word in words.items()
    )


def _may_be(error: Rejected, halves: int, done: int, failed: int) -> bool:
    """Whether so many halves may have been done and refused, by the class of the refusal."""
    # 409: some were done and some were not. Any other refusal says that none was.
    if isinstance(error, PartlyDone):
        return done < halves and failed < halves and done + failed > 0
    return done == 0


def _types_of_halves(method: str) -> Mapping[str, Any]:
    """The halves of the result of a method, by their names; none of most."""
    known = catalogue.get(method)
    result: Any = known.api.result if known else None
    if (get_origin(result) or result) is not ReplacedOrder:
        return {}
    return _halves_of(result)


@cache
def _halves_of(result: Any) -> Mapping[str, Any]:
    fields = msgspec.structs.fields(result)
    return {field.encode_name: field.type for field in fields if field.name.endswith("_response")}


class _Words(msgspec.Struct, rename="camel"):
    """What a result says of each half."""

    cancel_result: Any = None
    new_order_result: Any = None


def _of_both_halves(method: str, read: Read) -> Read:
    """The same, but that a result is none which says that a half was not done: then nobody knows what was."""
    if not _types_of_halves(method):
        return read

    def read_if_done(raw: Any) -> Any:
        words = msgspec.json.decode(raw, type=_Words)
        for name, word in (("cancelResult", words.cancel_result), ("newOrderResult", words.new_order_result)):
            # A status 200 that says FAILURE of one half contradicts itself.
            if word in _NOT_DONE:
                raise msgspec.ValidationError(f"Expected `SUCCESS`, got `{word}` - at `$.{name}`")
        return read(raw)

    return read_if_done


def refused_halves(error: Rejected) -> dict[str, Rejected]:
    """What the exchange says of each half that was not done, whatever it says of the whole."""
    halves: dict[str, msgspec.Raw] = {}
    with suppress(*UNREADABLE):
        halves = msgspec.json.decode(error.data_json or b"{}", type=dict[str, msgspec.Raw])
    refused: dict[str, Rejected] = {}
    for name, half in halves.items():
        with suppress(*UNREADABLE):
            # Not strictly: a code that came as text says the same.
            failure = msgspec.json.decode(half, type=Failure, strict=False)
            # A number above 0 is no error code of the exchange.
            if failure.code < 0:
                refused[name] = _rejection(error.method, 400, failure, ())
    return refused


def _half(method: str, half: msgspec.Raw, half_type: Any) -> Any:
    """A record, if a type is known, or else a `Failure`, or as it came if it is neither."""
    # First as what it is if it was done: a half that was refused has no such fields.
    if half_type is not None:
        # What does not fit is perhaps a refusal: see below.
        with suppress(*UNREADABLE):
            found = in_exact(reader(half_type, half_type, method))(half)
            check_finite(found)
            return found
    with suppress(*UNREADABLE):
        failure = msgspec.json.decode(half, type=Failure)
        if failure.code < 0:
            return failure
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
        InvalidRequest: the method is no name, or the data neither bytes nor text.
    """
    method, sent = unknown_api(method).name, as_bytes(data)
    try:
        envelope = read_envelope(sent)
    except ProtocolViolation as violation:
        raise ProtocolViolation(f"{method}: {violation}", raw=violation.raw) from None
    # An event, or something that no session would take for an answer.
    if envelope.status == 0:
        raise ProtocolViolation(f"{method}: the message has no status, so it is no reply", raw=sent)
    error = read_error(method, envelope)
    known = catalogue.get(method)
    result = read_result(method, known.api.result if known else Any, envelope) if error is None else None
    return Response(
        id=envelope.id,
        status=envelope.status,
        result=result,
        error=error,
        rate_limits=envelope.rate_limits,
        error_json=None if envelope.error is None else _as_sent(envelope.error),
    )


def _as_sent(failure: Failure) -> bytes:
    known = {"code": failure.code, "msg": failure.msg}
    return msgspec.json.encode(known | {"data": failure.data} if failure.data else known)
