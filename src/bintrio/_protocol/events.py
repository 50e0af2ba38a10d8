"""Events to records, told apart by their names.

Source: "Event format" of the WebSocket API document, and user-data-stream.md.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from ..api.events import Event, KnownEvent, UnknownEvent, UserEvent
from ..errors import ProtocolViolation
from .envelope import Envelope, as_bytes, read_envelope
from .exact import in_exact, traps_what_is_no_number
from .finite import is_finite
from .reading import UNREADABLE, reader


def read_event(envelope: Envelope) -> UserEvent:
    """The event of an envelope. One that is unknown, or known but misshapen, arrives as `UnknownEvent` (G10)."""
    raw = envelope.event
    event: Event
    try:
        try:
            event = _event_decoder()(raw)
        # A field too many or too few. Reading by parts takes much longer, so it comes second.
        except msgspec.ValidationError:
            event = reader(KnownEvent, KnownEvent, "")(raw)
        # NaN is not even equal to itself, and some NaNs have no hash: a repeat could not be told from another event.
        if not is_finite(event):
            # The program's context makes a NaN of any text that is no number. In ours such text is an error that names
            # the field.
            if not traps_what_is_no_number():
                return in_exact(read_event)(envelope)
            event = _unknown(raw, "a number is not finite")
    except UNREADABLE as error:
        event = _unknown(raw, str(error))
    return UserEvent(subscription_id=envelope.subscription_id, event=event)


def bare_event(data: bytes) -> UserEvent | None:
    """The event that a message without an envelope is; None if it is none."""
    told = Envelope(event=msgspec.Raw(data))
    return None if _event_type(told.event) is None else read_event(told)


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
    except UNREADABLE:
        return None


def decode_event(data: bytes | str) -> UserEvent:
    """Decode a recorded event, as a session would have.

    Raises:
        ProtocolViolation: it is no event.
        InvalidRequest: it is neither bytes nor text.
    """
    sent = as_bytes(data)
    envelope = read_envelope(sent)
    if not envelope.event:
        raise ProtocolViolation("the message has no event", raw=sent)
    return read_event(envelope)
