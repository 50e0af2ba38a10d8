"""How all records are made: nothing changes one, and what has several fields of one kind names them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages
from typing import Any, Final

import msgspec
import pytest

import bintrio

# What is counted, kept up to date or filled in step by step; and three that are gone before anybody could.
CHANGES: Final = {
    "_client.in_flight.Call",
    "_client.observation.Counters",
    "_client.observation.Outline",
    "_client.observation.Trace",
    "_net.writer.Outgoing",
    "_protocol.budget.Charge",
    "_protocol.events._EventType",
    "_protocol.reading._Typed",
    "_protocol.results._Words",
    "_protocol.rate_limits.Share",
    "_protocol.repeats._Dated",
    "sandbox.exchange.auth.Credential",
    "sandbox.exchange.exchange._Context",
    "sandbox.exchange.orders.OrderList",
    "sandbox.exchange.orders.SandboxOrder",
    "sandbox.server.calls.Attempt",
    "sandbox.server.calls.Call",
    "sandbox.server.course.Course",
    "sandbox.server.script._Waiting",
    "storm.evidence.Remains",
    "storm.program.Deed",
    "storm.program.Heard",
}


def records() -> Iterator[tuple[str, Any]]:
    for found in walk_packages(bintrio.__path__, "bintrio."):
        if not found.name.endswith(("__main__", "pytest_plugin")):  # pytest imports its plugins itself
            module = import_module(found.name)
            for kind in vars(module).values():
                if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__ == module.__name__:
                    yield f"{module.__name__}.{kind.__qualname__}".removeprefix("bintrio."), kind


RECORDS: Final[dict[str, Any]] = dict(records())


def test_the_records_that_change_are_known() -> None:
    assert len(RECORDS) > 200
    assert set(RECORDS) >= CHANGES


@pytest.mark.parametrize("name", RECORDS)
def test_records_do_not_change(name: str) -> None:
    assert RECORDS[name].__struct_config__.frozen is (name not in CHANGES)


def _takes_positions(kind: Any) -> bool:
    try:
        kind(None)  # one is enough: those that it inherits may be taken by name alone
    except TypeError as error:
        return "positional" not in str(error)
    except Exception:  # it was made, and looked at what it was given
        return True
    return True


@pytest.mark.parametrize("name", [name for name in RECORDS if name.startswith("api.")])
def test_records_of_the_catalogue_name_their_fields(name: str) -> None:
    kind = RECORDS[name]
    if kind.__struct_fields__ and not kind.__struct_config__.array_like:
        assert not _takes_positions(kind)
