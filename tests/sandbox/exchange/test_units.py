"""Microseconds inside, the connection's unit outside."""

from __future__ import annotations

from bintrio.api.authentication import ConnectionStatus
from bintrio.api.events import ServerShutdown
from bintrio.sandbox.exchange.units import as_microseconds, in_unit, last_microsecond

STATUS = ConnectionStatus(
    api_key="k", authorized_since=None, connected_since=1_999, return_rate_limits=True, server_time=5_000
)


def test_times_are_cut_to_milliseconds() -> None:
    seen = in_unit(STATUS, "ms")
    assert (seen.connected_since, seen.server_time, seen.authorized_since) == (1, 5, None)
    assert in_unit((ServerShutdown(event_time=7_000),), "ms") == (ServerShutdown(event_time=7),)


def test_microseconds_and_what_is_no_record_stay_as_they_are() -> None:
    assert in_unit(STATUS, "us") is STATUS
    assert in_unit({"serverTime": 5_000}, "ms") == {"serverTime": 5_000}


def test_a_time_of_a_request_may_be_in_either_unit() -> None:
    assert as_microseconds(1_767_225_600_123) == 1_767_225_600_123_000
    assert last_microsecond(1_767_225_600_123) == 1_767_225_600_123_999
    for same in (1_767_225_600_123_456, 10**14):
        assert as_microseconds(same) == last_microsecond(same) == same
