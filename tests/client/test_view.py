"""`Session.connection`: a connection can be looked at, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.peer import ed25519_key, open_pair
from tests.sessions import in_background

pytestmark = pytest.mark.usefixtures("both_streams")


async def test_a_view_shows_how_things_stand_now(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, _exchange), trio.open_nursery() as nursery:
        view, connection = session.connection, session._supervisor.connection
        assert view is not None
        assert connection is not None
        assert repr(view) == repr(connection)
        assert (view.number, view.address) == (1, connection.address)
        assert (view.is_logged_on, view.is_private, view.is_due, view.cause) == (True, True, False, None)
        assert (view.in_flight, view.backlog) == (0, 0)
        in_background(nursery, session.ping)
        await trio.sleep(0.1)
        assert view.in_flight == 1
        assert view.age == trio.current_time() - connection.opened_at >= 0.1
        connection.end(OSError("cut"))
        assert view.is_due
        assert str(view.cause) == "cut"
        nursery.cancel_scope.cancel()


async def test_it_is_the_same_view_as_long_as_it_is_the_same_connection(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, _exchange):
        first = session.connection
        assert session.connection is first
        assert session.within(1).connection is first
        await session.rotate()
        assert session.connection is not first


async def test_what_is_not_for_users_is_not_there(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, _exchange):
        view: Any = session.connection
        shown = {name for name in dir(view) if not name.startswith("_")}
        assert shown == {
            "address",
            "age",
            "backlog",
            "cause",
            "in_flight",
            "is_due",
            "is_logged_on",
            "is_private",
            "number",
        }
        for name in shown:
            assert not callable(getattr(view, name))
            with pytest.raises(AttributeError):
                setattr(view, name, None)
