"""Events to records, told apart by their names.

Source: "Event format" of the WebSocket API document, and user-data-stream.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import msgspec

from ..api.events import (
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
            has_numbers = _HAS_NUMBERS[type(event)](event)
        except msgspec.ValidationError:
            event = reader(KnownEvent, KnownEvent, "")(raw)
            has_numbers = is_finite(event)
        if not has_numbers:
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


# Whether the numbers of an event are numbers. NaN is not even equal to itself, and some NaNs have no hash, so a repeat
# of such an event could not be told from another event. Written out, since `is_finite` takes three times as long.


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


_HAS_NUMBERS: Final[Mapping[type[KnownEvent], Callable[[Any], bool]]] = {
    OutboundAccountPosition: _are_finite_balances,
    BalanceUpdate: _is_finite_delta,
    ExternalLockUpdate: _is_finite_delta,
    ExecutionReport: _is_finite_report,
    ListStatus: _has_no_numbers,
    AllocationReport: _is_finite_allocation,
    EventStreamTerminated: _has_no_numbers,
    ServerShutdown: _has_no_numbers,
}


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
