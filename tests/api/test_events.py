"""User data events: nothing lost, the letters are the document's, and the same event is known as such."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from bintrio._protocol.events import decode_event
from bintrio._protocol.to_json import to_builtins, write_event
from bintrio.api._base import python_name
from bintrio.api.events import (
    AllocationReport,
    EventStreamTerminated,
    ExecutionReport,
    KnownEvent,
    OutboundAccountPosition,
    ServerShutdown,
    UnknownEvent,
)
from bintrio.errors import ProtocolViolation
from tests.catalogue import DATA, EXAMPLES, document

EVENTS = sorted(path for path in (DATA / "events").glob("*.json") if path.name != "fields.json")
EVENTS.append(EXAMPLES / "_general" / "event-format-event.json")
FIELDS: dict[str, Any] = document("events/fields.json")
TYPES: dict[str, Any] = {struct.__struct_config__.tag: struct for struct in get_args(KnownEvent)}
DOCUMENTED = sorted(TYPES.keys() - {"allocationReport"})


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_no_field_is_lost(path: Path) -> None:
    message = json.loads(path.read_text())
    user_event = decode_event(path.read_bytes())
    assert user_event.subscription_id == message["subscriptionId"]
    assert not isinstance(user_event.event, UnknownEvent)
    assert to_builtins(user_event.event) == message["event"]
    assert json.loads(write_event(user_event.subscription_id, user_event.event)) == message


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_g10_no_field_is_lost_that_is_new(path: Path) -> None:
    event: dict[str, Any] = json.loads(path.read_text())["event"]
    new: dict[str, Any] = {"new": "0.10", "newer": {"e": 1}}
    parts: dict[str, list[Any]] = {name: value for name, value in event.items() if isinstance(value, list)}
    newer = event | new | {name: [item | new for item in items] for name, items in parts.items()}
    known = decode_event(json.dumps({"event": event})).event
    found = decode_event(json.dumps({"event": newer})).event
    assert type(found) is type(known)
    assert to_builtins(found) == newer
    assert found != known
    # One of two connections may lead to a server that was upgraded already (G5).
    assert found.identity() == known.identity()
    assert hash(found)


def test_every_event_is_known() -> None:
    assert set(DOCUMENTED) == {name for name in FIELDS if not name.startswith("_")}


def documented(event_type: Any) -> list[msgspec.structs.FieldInfo]:
    return [field for field in msgspec.structs.fields(event_type) if field.name != "unknown_fields"]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_letters_and_names_are_the_documents(name: str) -> None:
    described = {
        letter: python_name(field["name"])
        for letter, field in FIELDS[name]["fields"].items()
        if "[" not in letter and letter != "e"
    }
    ours = {field.encode_name: field.name for field in documented(TYPES[name])}
    # Inconsistency 17: the letter y is known from the SBE schema only.
    assert ours == described | ({"y": "order_capacity"} if name == "executionReport" else {})


@pytest.mark.parametrize("name", DOCUMENTED)
def test_what_is_conditional_may_be_absent(name: str) -> None:
    conditional = {letter for letter, field in FIELDS[name]["fields"].items() if field["conditional"]}
    ours = {field.encode_name for field in documented(TYPES[name]) if not field.required}
    assert ours - {"y"} == conditional


def test_every_conditional_field_of_an_execution_report_is_read() -> None:
    message = json.loads((DATA / "events" / "executionReport.json").read_text())
    for letter, field in FIELDS["executionReport"]["fields"].items():
        if field["conditional"]:
            message["event"][letter] = field["example"]
    event = decode_event(json.dumps(message)).event
    assert isinstance(event, ExecutionReport)
    assert to_builtins(event) == message["event"]


def test_an_event_that_only_the_sbe_schema_knows() -> None:
    """Inconsistency 17: allocationReport."""
    event = {letter: "1" for letter in "sxrXSPpqQnN"} | {letter: 1 for letter in "EThIRaig"} | {"e": "allocationReport"}
    found = decode_event(json.dumps({"subscriptionId": 0, "event": event})).event
    assert isinstance(found, AllocationReport)
    assert to_builtins(found) == event


def test_a_server_shutdown_has_no_subscription() -> None:
    """Inconsistency 19."""
    message = b'{"event":{"e":"serverShutdown","E":1769389540312}}'
    user_event = decode_event(message)
    assert user_event.subscription_id is None
    assert write_event(None, user_event.event) == message


def envelope(event: dict[str, Any], subscription_id: int = 0) -> str:
    return json.dumps({"subscriptionId": subscription_id, "event": event})


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_g5_the_same_event_on_two_connections_has_one_identity(path: Path) -> None:
    event = json.loads(path.read_text())["event"]
    first = decode_event(envelope(event)).event
    second = decode_event(envelope(event | {"E": event["E"] + 3}, subscription_id=1)).event
    assert first.identity() == second.identity()
    assert len({first.identity(), second.identity()}) == 1


def test_g5_different_events_have_different_identities() -> None:
    events = [json.loads(path.read_text())["event"] for path in EVENTS[:-1]]
    execution = next(event for event in events if event["e"] == "executionReport")
    events += [
        execution | {"I": 1},
        execution | {"X": "FILLED"},
        {"e": "moon", "E": 1, "a": 1},
        {"e": "moon", "E": 1, "a": 2},
    ]
    found = [decode_event(envelope(event)).event for event in events]
    assert len({event.identity() for event in found}) == len(found)
    assert EventStreamTerminated(event_time=1).identity() == EventStreamTerminated(event_time=2).identity()


def test_g10_an_unknown_event_is_carried_with_its_json() -> None:
    event = decode_event(envelope({"e": "moon", "E": 1, "phase": [0.5]})).event
    assert isinstance(event, UnknownEvent)
    assert event.event_type == "moon"
    assert event.reason == "Invalid value 'moon' - at `$.e`"
    assert json.loads(event.raw)["phase"] == [0.5]
    assert to_builtins(event) == {"e": "moon", "E": 1, "phase": [0.5]}
    assert event.identity() == decode_event('{"event":{"phase":[0.5],"E":2,"e":"moon"}}').event.identity()


def test_g10_an_event_of_a_known_type_that_lacks_a_field_says_which() -> None:
    event = {"e": "outboundAccountPosition", "E": 1, "u": 2, "B": [{"a": "BTC", "f": "1.00"}]}
    found = decode_event(envelope(event)).event
    assert isinstance(found, OutboundAccountPosition)
    assert (found.missing_fields, found.balances[0].missing_fields) == ((), ("locked",))
    assert found.balances[0].free == Decimal("1.00")
    with pytest.raises(ProtocolViolation, match=r"^outboundAccountPosition: AssetBalance came without `l`"):
        _ = found.balances[0].locked
    assert decode_event(envelope(event | {"E": 9})).event.identity() == found.identity()
    assert to_builtins(found) == event


def test_g10_an_event_that_lacks_most_of_its_fields_is_unknown() -> None:
    event = {"e": "outboundAccountPosition", "E": 1, "u": 2, "B": [{"f": "1.00"}]}
    found = decode_event(envelope(event)).event
    assert isinstance(found, UnknownEvent)
    assert found.reason == "Object missing required field `a` - at `$.B[0]`"


@pytest.mark.parametrize("name", ["eventStreamTerminated", "serverShutdown"])
def test_g10_the_end_of_a_stream_is_known_by_its_name_alone(name: str) -> None:
    found = decode_event(envelope({"e": name})).event
    assert isinstance(found, EventStreamTerminated | ServerShutdown)
    assert found.missing_fields == ("event_time",)


@pytest.mark.parametrize("raw", [b"7", b'"x"', b"[1]", b"{}", b'{"e":7}'])
def test_g10_an_event_without_a_type_is_carried(raw: bytes) -> None:
    event = decode_event(b'{"event":' + raw + b"}").event
    assert isinstance(event, UnknownEvent)
    assert (event.event_type, event.raw) == (None, raw)
    assert event.reason.startswith(("Object missing required field `e`", "Expected `"))
    assert event.identity() == msgspec.json.encode(json.loads(raw))


def test_the_identity_of_broken_json_is_itself() -> None:
    for raw in (b"{", b'{"e":"\xff"}', b"[" * 2000 + b"]" * 2000):
        assert UnknownEvent(event_type=None, raw=raw).identity() == raw
