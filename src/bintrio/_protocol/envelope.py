"""A message from the exchange, as far as the reader of a connection reads it: who it is for, and whether it went well.

The result stays raw JSON until the task that waits for it decodes it (`results`), so a payload that does not fit its
type hurts one caller and never the connection. An envelope is read as far as it fits: a reply with an odd rate limit
still has a caller, who should not wait for it until the deadline.

Source: "Response format" and "Event format" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import msgspec

from .._text import shown
from ..api._values import RateLimit
from ..errors import InvalidRequest, ProtocolViolation
from .reading import NULL, UNREADABLE, reader, split
from .requests import RequestId

ABSENT: Final = msgspec.Raw(b"")


class Failure(msgspec.Struct, frozen=True, gc=False):
    """``error`` of a reply."""

    code: int
    msg: str | None = None
    data: msgspec.Raw = ABSENT


class _Unmetered(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """An envelope without its rate limits."""

    id: RequestId | None = None
    status: int = 0
    result: msgspec.Raw = ABSENT
    error: Failure | None = None
    subscription_id: int | None = None
    event: msgspec.Raw = ABSENT


class Envelope(_Unmetered, frozen=True, kw_only=True):
    """A message with its payload left as it came.

    A reply has a status, and either a result or an error. An event has an event, and mostly a subscription id. A reply
    of which only the id can be read has the status 0.
    """

    rate_limits: tuple[RateLimit, ...] = ()


class _Metered(msgspec.Struct, frozen=True, rename="camel"):
    """The rate limits of a reply."""

    rate_limits: msgspec.Raw = ABSENT


class _Addressed(msgspec.Struct, frozen=True):
    """All of a reply that is needed to tell its caller that it cannot be read, or that it says no."""

    id: RequestId | None = None
    status: Any = 0
    error: msgspec.Raw = ABSENT
    result: msgspec.Raw = ABSENT

    @property
    def refusal(self) -> int:
        """The status, if it says no; else 0."""
        # In a message that is not as it should be, anything may stand there.
        return self.status if isinstance(self.status, int) and self.status >= 400 else 0


class _Told(msgspec.Struct, frozen=True, rename="camel"):
    """All of an event that is needed to tell what it is about."""

    event: msgspec.Raw = ABSENT
    subscription_id: Any = None


_read_envelope: Final = msgspec.json.Decoder(Envelope).decode


def read_envelope(data: bytes) -> Envelope:
    """The envelope of a message, or as much of it as fits: at least the id of a reply.

    Raises:
        ProtocolViolation: it is not JSON, not an object, or its envelope has other types than documented, and neither
            id nor event.
    """
    try:
        envelope = _read_envelope(data)
    # A reply still has a caller who waits for it, so as much of it is read as is needed to tell that caller.
    except UNREADABLE as error:
        envelope = _read_in_part(data, error)
    # `"event": null` beside a status is a reply.
    if envelope.event and envelope.event == NULL:
        return msgspec.structs.replace(envelope, event=ABSENT)
    return envelope


def _read_in_part(data: bytes, error: Exception) -> Envelope:
    """The envelope of a message that does not fit, as ``error`` says: without rate limits, or else id and refusal.

    Of its rate limits those are kept that are whole, if only with new fields.
    """
    # First try: only the rate limits do not fit.
    with suppress(*UNREADABLE):
        unmetered = msgspec.structs.asdict(msgspec.json.decode(data, type=_Unmetered))
        return Envelope(**unmetered, rate_limits=tuple(_fitting_limits(data)))
    # Second try: id and status. The caller learns that the answer cannot be read, or that it says no.
    with suppress(*UNREADABLE):
        reply = msgspec.json.decode(data, type=_Addressed)
        # Without an id, a refusal is about the connection, and anything else about nobody.
        if reply.id is not None or reply.refusal:
            said = Failure(0, bytes(reply.error).decode(errors="replace")) if reply.refusal and reply.error else None
            result = reply.result if reply.refusal else ABSENT
            return Envelope(id=reply.id, status=reply.refusal, error=said, result=result)
    # Third try: an event whose subscription id is not a number.
    with suppress(*UNREADABLE):
        told = msgspec.json.decode(data, type=_Told)
        if told.event:
            return Envelope(subscription_id=_subscription_id(told.subscription_id), event=told.event)
    raise ProtocolViolation(f"message: {error}", raw=data) from None


def _subscription_id(value: Any) -> int | None:
    """The number of a subscription, also if it came as text."""
    try:
        # To Python, True is an int.
        return None if isinstance(value, bool) else int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _fitting_limits(data: bytes) -> Iterator[RateLimit]:
    limits: tuple[msgspec.Raw, ...] = ()
    with suppress(*UNREADABLE):
        limits = split(msgspec.json.decode(data, type=_Metered).rate_limits)
    for limit in limits:
        with suppress(*UNREADABLE):
            found: RateLimit = reader(RateLimit, RateLimit, "rateLimits")(limit)
            # Without its limit or interval it says nothing that a budget could be kept by.
            if not found.missing_fields:
                yield found


def as_bytes(data: Any) -> bytes:
    """A message as it came, also where it was recorded as text.

    Raises:
        InvalidRequest: it is neither text nor bytes.
    """
    if isinstance(data, str):
        # Half a surrogate pair is no UTF-8: who reads the bytes says so, with the place.
        return data.encode(errors="surrogatepass")
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidRequest(f"data must be bytes or a str, not {shown(data)}", field="data")
    return bytes(data)  # pyright: ignore[reportUnknownArgumentType]
