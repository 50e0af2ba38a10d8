"""Which fault strikes which request."""

from __future__ import annotations

import pytest

from bintrio.sandbox.server.faults import (
    Delay,
    DropReply,
    Fault,
    HalfOpen,
    HandshakeStatus,
    LateEvents,
    MutePings,
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
