"""Which fault strikes which request."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from bintrio.errors import InvalidRequest
from bintrio.sandbox.server.faults import (
    Delay,
    DropReply,
    Fault,
    HalfOpen,
    HandshakeStatus,
    LateEvents,
    MutePings,
    OddEvents,
    RefuseConnection,
    Reorder,
    SlowHandshake,
)
from bintrio.sandbox.server.script import Script

DROP = DropReply("order.place")


def test_a_fault_waits_for_its_method_and_strikes_once() -> None:
    script = Script([DROP])
    assert [script.for_request(method) for method in ("ping", "order.place", "order.place")] == [None, DROP, None]
    assert len(script) == 0


def test_without_a_method_it_strikes_the_next_request() -> None:
    assert Script([DropReply()]).for_request("ping") == DropReply()


def test_skip_and_times() -> None:
    fault = DropReply(times=2, skip=1)
    script = Script([fault])
    assert [script.for_request("ping") for _ in range(4)] == [None, fault, fault, None]


def test_some_strike_for_ever() -> None:
    script = Script([DropReply(times=None)])
    assert all(script.for_request("ping") for _ in range(100))


def test_the_first_that_fits_strikes() -> None:
    script = Script([DROP, Delay(seconds=1)])
    script.add(DropReply())
    assert [script.for_request("ping"), script.for_request("ping")] == [Delay(seconds=1), DropReply()]


def test_a_reordering_strikes_as_many_requests_as_it_reorders() -> None:
    script = Script([Reorder(count=3)])
    assert [script.for_request("ping") is not None for _ in range(4)] == [True, True, True, False]


REPORT = {"e": "executionReport", "s": "BTCUSDT", "i": 7}


@pytest.mark.parametrize(
    ("fault", "event", "told"),
    [
        (OddEvents(field="i"), REPORT, {"e": "executionReport", "s": "BTCUSDT"}),
        (OddEvents(event="executionReport", field="i", value="[[7]]"), REPORT, {**REPORT, "i": [[7]]}),
        (OddEvents(event="listStatus", field="i"), REPORT, REPORT),
        (OddEvents(field="x"), REPORT, REPORT),
        (OddEvents(field="s"), {"e": "listStatus", "O": [{"s": "A", "i": 1}]}, {"e": "listStatus", "O": [{"i": 1}]}),
        (OddEvents(field="E"), {"e": "eventStreamTerminated", "E": 1}, {"e": "eventStreamTerminated", "E": 1}),
    ],
)
async def test_an_event_is_told_without_a_field_or_with_something_else_in_it(
    autojump_clock: MockClock, fault: Fault, event: Any, told: Any
) -> None:
    script = Script([fault])
    assert script.for_request("ping") is None
    assert script.for_connection() == []
    assert script.tell_odd(event) == told
    # It waits for an event that has the field.
    assert script.has_odd_events == (event == told)
    assert script.tell_odd(event) == event


async def test_events_are_odd_for_a_while(autojump_clock: MockClock) -> None:
    script = Script([OddEvents(field="i", times=None, lasts=5)])
    for seconds, is_odd in ((0, True), (4.9, True), (0.2, False)):
        await trio.sleep(seconds)
        assert (script.tell_odd(REPORT) != REPORT) == is_odd
    assert not script.has_odd_events


def test_what_stands_in_a_field_of_an_event_is_json() -> None:
    with pytest.raises(InvalidRequest, match="value must be JSON"):
        OddEvents(field="i", value="{")


@pytest.mark.parametrize("fault", [MutePings(), HalfOpen(), LateEvents(seconds=1)])
def test_those_of_a_connection_leave_requests_alone(fault: Fault) -> None:
    script = Script([fault])
    assert script.for_request("ping") is None
    assert script.for_connection() == [fault]
    assert script.for_connection() == []


def test_of_each_kind_one_strikes_a_connection_that_opens() -> None:
    script = Script([MutePings(), LateEvents(seconds=1), MutePings(times=None)])
    assert script.for_connection() == [MutePings(), LateEvents(seconds=1)]
    assert script.for_connection() == [MutePings(times=None)]


@pytest.mark.parametrize("fault", [HandshakeStatus(status=503), SlowHandshake(seconds=1), RefuseConnection()])
def test_those_of_an_opening_leave_all_else_alone(fault: Fault) -> None:
    script = Script([fault])
    assert script.for_request("ping") is None
    assert script.for_connection() == []
    assert script.for_opening(type(fault)) == fault
    assert script.for_opening(type(fault)) is None


def test_a_half_open_with_a_method_waits_for_it() -> None:
    script = Script([HalfOpen("time")])
    assert script.for_connection() == []
    assert script.for_request("time") == HalfOpen("time")
