"""Microseconds inside, the connection's unit outside."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from bintrio._protocol.to_json import write_event, write_reply
from bintrio.api.authentication import ConnectionStatus
from bintrio.api.events import ServerShutdown
from bintrio.api.market import Kline
from bintrio.endpoints import TimeUnit
from bintrio.sandbox.exchange.units import UNITS, as_microseconds, last_microsecond

STATUS = ConnectionStatus(
    api_key="k", authorized_since=None, connected_since=1_999, return_rate_limits=True, server_time=5_000
)
CANDLE = msgspec.convert([60_000, *"11111", 119_999, "1", 1, "1", "1", "0"], Kline)


def written(result: Any, unit: TimeUnit) -> Any:
    return json.loads(write_reply(1, 200, result=result, time_unit=UNITS[unit]))["result"]


def test_times_are_cut_to_milliseconds() -> None:
    seen = written([STATUS, {"within": STATUS}], "ms")
    assert [(one["connectedSince"], one["serverTime"]) for one in (seen[0], seen[1]["within"])] == [(1, 5)] * 2
    assert seen[0]["authorizedSince"] is None
    assert [written(CANDLE, "ms")[position] for position in (0, 6)] == [60, 119]
    event = json.loads(write_event(None, ServerShutdown(event_time=7_000), time_unit=UNITS["ms"]))["event"]
    assert event["E"] == 7


def test_microseconds_and_what_is_no_record_stay_as_they_are() -> None:
    assert (written(STATUS, "us")["serverTime"], written(CANDLE, "us")[0]) == (5_000, 60_000)
    assert written({"serverTime": 5_000}, "ms") == {"serverTime": 5_000}


def test_a_time_of_a_request_may_be_in_either_unit() -> None:
    assert as_microseconds(1_767_225_600_123) == 1_767_225_600_123_000
    assert last_microsecond(1_767_225_600_123) == 1_767_225_600_123_999
    for same in (1_767_225_600_123_456, 10**14):
        assert as_microseconds(same) == last_microsecond(same) == same
