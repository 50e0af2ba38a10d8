"""Events to records: those that are known, and what becomes of the others."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, get_args

import msgspec
import pytest
from msgspec import Raw

from bintrio._protocol.envelope import Envelope, read_envelope
from bintrio._protocol.events import decode_event, read_event
from bintrio._protocol.results import decode_response
from bintrio._protocol.to_json import write_event
from bintrio.api.events import EventStreamTerminated, KnownEvent, OutboundAccountPosition, UnknownEvent, UserEvent
from bintrio.errors import (
    ProtocolViolation,
)
from tests.catalogue import EXAMPLES
from tests.protocol.samples import DEEP


def test_g10_an_event_nested_too_deep_is_unknown() -> None:
    for deep in (DEEP, '{"e":"balanceUpdate","a":' + DEEP, '{"e":' + DEEP):
        user_event = read_event(Envelope(event=Raw(deep.encode())))
        assert isinstance(user_event.event, UnknownEvent)
        assert (user_event.event.event_type, user_event.event.raw) == (None, deep.encode())
        assert user_event.event.reason


def test_a_recorded_event_is_no_reply_and_a_reply_no_event() -> None:
    with pytest.raises(ProtocolViolation, match="no reply"):
        decode_response("ping", b'{"event":{}}')
    with pytest.raises(ProtocolViolation, match="no event"):
        decode_event('{"id":1,"status":200}')


def test_an_event_survives_both_directions() -> None:
    event = EventStreamTerminated(event_time=5)
    assert decode_event(write_event(3, event)) == UserEvent(subscription_id=3, event=event)
    unknown = UnknownEvent(event_type="moon", raw=b'{"e":"moon"}', reason="Invalid value 'moon' - at `$.e`")
    assert write_event(None, unknown) == b'{"event":{"e":"moon"}}'
    assert read_event(read_envelope(b'{"event":{"e":"moon"}}')).event == unknown


def test_a_known_event() -> None:
    path = EXAMPLES.parent / "events" / "balanceUpdate.json"
    assert decode_event(path.read_text()).subscription_id == 0


def decimal_fields(event_type: Any) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(event_type) if "Decimal" in str(field.type)]


def any_event(event_type: Any) -> dict[str, Any]:
    """An event with every field it has and every Decimal it may have."""
    values: dict[Any, Any] = {str: "x", int: 1, bool: True, Decimal: "1"}
    event: dict[str, Any] = {"e": event_type.__struct_config__.tag}
    for field in msgspec.structs.fields(event_type):
        if field.required:
            kinds = get_args(field.type) or (field.type,)
            event[field.encode_name] = next((values[kind] for kind in kinds if kind in values), "x")
    event |= dict.fromkeys(decimal_fields(event_type), "1")
    if event_type is OutboundAccountPosition:
        event["B"] = [{"a": "X", "f": "1", "l": "1"}, {"a": "Y", "f": "1", "l": "1"}]
    return event


NUMBERS = [(kind, name) for kind in get_args(KnownEvent) for name in decimal_fields(kind)]


@pytest.mark.parametrize("number", ["NaN", "sNaN", "-Infinity", " inf ", "nan5"])
@pytest.mark.parametrize(("event_type", "name"), NUMBERS)
def test_g5_an_event_with_a_number_that_is_none_is_unknown(event_type: Any, name: str, number: str) -> None:
    event = any_event(event_type)
    assert isinstance(decode_event(json.dumps({"event": event})).event, event_type)
    event[name] = number
    unknown = decode_event(json.dumps({"event": event})).event
    assert isinstance(unknown, UnknownEvent)
    assert unknown.event_type == event["e"]
    assert unknown.reason == "a number is not finite"
    assert unknown.identity() == decode_event(json.dumps({"event": event | {"E": 9}})).event.identity()


@pytest.mark.parametrize("name", ["f", "l"])
def test_g5_a_balance_that_is_no_number_makes_its_event_unknown(name: str) -> None:
    event = any_event(OutboundAccountPosition)
    assert isinstance(decode_event(json.dumps({"event": event})).event, OutboundAccountPosition)
    event["B"][1][name] = "sNaN"
    assert isinstance(decode_event(json.dumps({"event": event})).event, UnknownEvent)
