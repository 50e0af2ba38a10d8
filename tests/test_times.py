from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bintrio.errors import InvalidRequest
from bintrio.times import from_datetime, to_datetime


def test_both_units() -> None:
    moment = datetime(2022, 8, 18, 5, 48, 35, 639_000, tzinfo=UTC)
    assert to_datetime(1660801715639) == to_datetime(1660801715639000, time_unit="us") == moment
    assert from_datetime(moment) == 1660801715639
    assert from_datetime(moment, time_unit="us") == 1660801715639000


def test_other_zones_and_rounding_down() -> None:
    zone = timezone(timedelta(hours=2))
    assert from_datetime(datetime(1970, 1, 1, 2, 0, 0, 1999, tzinfo=zone)) == 1
    assert from_datetime(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1


def test_a_datetime_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="time zone"):
        from_datetime(datetime(2022, 8, 18))


@given(st.integers(min_value=0, max_value=4 * 10**15))
def test_microseconds_survive(time: int) -> None:
    assert from_datetime(to_datetime(time, time_unit="us"), time_unit="us") == time
