"""The public surface: small at the root, complete below, each name once and with one meaning."""

from __future__ import annotations

import ast
import builtins
import collections.abc
import contextlib
import inspect
import subprocess
import sys
import typing
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

import msgspec
import pytest

import bintrio
from bintrio import _former_names, _ledger, account, errors, history, redis, requests, sandbox
from bintrio._protocol.rate_limits import LocalLedger
from bintrio._protocol.reading import reader
from bintrio.api import events, filters
from bintrio.api._base import catalogue, python_name
from bintrio.api._values import KeepsUnknownFields
from bintrio.typing import Charge, ConnectionView, Counters

SECTIONS: Final = (
    "enums",
    "general",
    "market",
    "authentication",
    "trading",
    "order_lists",
    "orders",
    "account",
    "user_data",
    "events",
    "filters",
)
CLIENT: Final = (
    "bintrio",
    "requests",
    "typing",
    "account",
    "history",
    "rules",
    "columns",
    "times",
    "observing",
    "recording",
    "settings",
    "limits",
    "redis",
    *(f"api.{name}" for name in SECTIONS),
)
PLACES: Final = (*CLIENT, "sandbox")
MADE_FOR_USERS: Final = {
    bintrio.Session,
    ConnectionView,
    bintrio.Subscriber,
    account.LiveAccount,
    account.LiveOrder,
    account.LiveOrderList,
    redis.RedisLimits,
    history.History,
    history.Pages,
    sandbox.Sandbox,
    sandbox.RecordedExchange,
}
FORMER: Final = (Path(__file__).parent / "data" / "former_names.txt").read_text().split()


def place(name: str) -> ModuleType:
    return bintrio if name == "bintrio" else import_module(f"bintrio.{name}")


def exported(name: str) -> list[str]:
    names: list[str] = vars(place(name))["__all__"]
    return names


def everything(places: Iterable[str] = PLACES) -> Iterator[tuple[str, Any]]:
    for name in places:
        for each in exported(name):
            yield each, getattr(place(name), each)


@pytest.mark.parametrize("name", PLACES)
def test_every_name_is_there_once(name: str) -> None:
    assert len(exported(name)) == len(set(exported(name)))
    assert set(exported(name)) <= set(dir(place(name)))
    assert not [each for each in exported(name) if each.startswith("_")]


def test_the_root_is_small() -> None:
    """Every error is there, since people catch them; of the rest, what most programs name."""
    others = [name for name in exported("bintrio") if not hasattr(errors, name)]
    assert len(others) < 40


def test_no_name_has_two_meanings() -> None:
    meanings: dict[str, Any] = {}
    assert not [name for name, value in everything() if meanings.setdefault(name, value) is not value]


def test_each_section_exports_what_it_defines() -> None:
    """All records and the like; requests are in a place of their own, and their bases are for type checkers."""
    for name in SECTIONS:
        module = place(f"api.{name}")
        records = {
            each
            for each, value in vars(module).items()
            if inspect.isclass(value) and value.__module__ == module.__name__
            if not each.startswith("_") and not issubclass(value, bintrio.Request)
        }
        assert records - {"Open"} <= set(exported(f"api.{name}"))
        assert all(getattr(requests, each, None) is None for each in exported(f"api.{name}"))


def test_the_requests_are_those_of_the_catalogue() -> None:
    assert sorted(exported("requests")) == sorted(request.__name__ for request in catalogue.values())
    assert len(exported("requests")) == 55


def test_every_request_is_public_and_has_its_method() -> None:
    for method, request_type in catalogue.items():
        assert getattr(requests, request_type.__name__) is request_type
        assert inspect.iscoroutinefunction(getattr(bintrio.Session, python_name(method)))


def test_the_class_of_a_request_is_named_by_the_exchange_too() -> None:
    for method, request_type in catalogue.items():
        assert request_type.__name__.lower() == method.replace(".", "").lower()


def test_every_error_is_at_the_root() -> None:
    found = [
        value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, errors.BintrioError)
    ]
    assert len(found) == 28
    assert all(getattr(bintrio, error.__name__) is error for error in found)


# Whatever a user meets has a public name


def annotations_of(value: Any) -> Iterator[tuple[str, str]]:
    """Where an annotation stands, and the annotation as it was written."""
    if inspect.isclass(value):
        for base in value.__mro__:
            if base.__module__.startswith("bintrio"):
                for name, written in inspect.get_annotations(base).items():
                    if not name.startswith("_"):
                        yield f"{value.__name__}.{name}", getattr(written, "__forward_arg__", str(written))
        for name, member in inspect.getmembers_static(value):
            if not name.startswith("_") or (name == "__init__" and value not in MADE_FOR_USERS):
                function = member.fget if isinstance(member, property) else getattr(value, name)
                if callable(function) and str(getattr(function, "__module__", "")).startswith("bintrio"):
                    yield from signature_of(f"{value.__name__}.{name}", function)
    elif callable(value) and str(value.__module__).startswith("bintrio"):
        yield from signature_of(value.__name__, value)


def signature_of(where: str, function: Any) -> Iterator[tuple[str, str]]:
    for each in [function, *typing.get_overloads(function)]:
        signature = inspect.signature(each)
        for written in [signature.return_annotation, *(each.annotation for each in signature.parameters.values())]:
            if isinstance(written, str):
                yield where, written


def names_of(written: str) -> set[str]:
    found = {node.id for node in ast.walk(ast.parse(written, mode="eval")) if isinstance(node, ast.Name)}
    texts = [node.value for node in ast.walk(ast.parse(written, mode="eval")) if isinstance(node, ast.Constant)]
    return found | {name for text in texts if isinstance(text, str) and "Literal" not in written for name in {text}}


def is_known(name: str, value: Any) -> bool:
    """Whether a name in an annotation is public, or not ours."""
    if any(hasattr(module, name) for module in (builtins, typing, collections.abc, contextlib)):
        return True
    meant = getattr(sys.modules[value.__module__], name, None)
    if isinstance(meant, TypeVar | ModuleType):
        return True
    return meant is not None and not str(getattr(meant, "__module__", "bintrio")).startswith("bintrio")


def test_what_appears_in_a_public_signature_is_public() -> None:
    public = {name for name, _ in everything()}
    hidden = {
        f"{where}: {name}"
        for _, value in everything()
        for where, written in annotations_of(value)
        for name in names_of(written) - public
        if not is_known(name, value)
    }
    assert sorted(hidden) == []


def test_every_record_that_a_user_can_meet_is_public() -> None:
    """Whatever hangs below a result, an event or a filter."""
    met: set[type[msgspec.Struct]] = set()

    def walk(annotation: object) -> None:
        for part in getattr(annotation, "__args__", ()) or ():
            walk(part)
        if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct) and annotation not in met:
            met.add(annotation)
            for field in msgspec.structs.fields(annotation):
                walk(field.type)

    for request_type in catalogue.values():
        assert callable(reader(request_type.api.result, request_type.api.result, ""))
        walk(request_type.api.result)
    walk(events.Event)
    walk(filters.Filter)
    # Positions of an array have no names by which what is new could be kept.
    lossy = [
        record for record in met if not (issubclass(record, KeepsUnknownFields) or record.__struct_config__.array_like)
    ]
    assert set(lossy) == {events.UnknownEvent}
    public = [value for _, value in everything()]
    assert len(met) > 80
    assert not sorted(record.__name__ for record in met if record not in public)


def test_what_users_build_and_receive_cannot_be_changed_and_has_names() -> None:
    """A field that is added later must not move the others."""
    public = {value for _, value in everything(CLIENT) if inspect.isclass(value)} - {Charge, Counters}  # they count
    records = [value for value in public if issubclass(value, msgspec.Struct)]
    bases = {base for record in records for base in record.__mro__ if issubclass(base, msgspec.Struct)}
    assert len(records) > 100
    assert not [base.__name__ for base in bases if base is not msgspec.Struct and not base.__struct_config__.frozen]
    # Rows of the wire, and what is named by one word.
    assert {record.__name__ for record in records if has_positions(record)} == {
        "Address",
        "Endpoint",
        "Kline",
        "PriceLevel",
        "Violation",
    }


def has_positions(record: type) -> bool:
    kinds = {parameter.kind for parameter in inspect.signature(record).parameters.values()}
    return not kinds <= {inspect.Parameter.KEYWORD_ONLY}


# Former names


def test_a_ledger_is_found_in_its_former_place() -> None:
    assert _ledger.LocalLedger is LocalLedger


def test_what_was_at_the_root_is_still_found() -> None:
    """In silence, warnings being errors; and only by those who ask for it by name."""
    where = dict(everything())
    assert len(FORMER) == 242
    moved = [name for name in FORMER if name not in exported("bintrio")]
    assert len(moved) > 170
    for name in moved:
        assert getattr(bintrio, name) is where[_former_names.RENAMED.get(name, name)]
        assert name not in dir(bintrio)


@pytest.mark.parametrize(
    ("former", "name"), [("Order", "SandboxOrder"), ("RateLimited", "TooManyRequests"), ("Banned", "IpBan")]
)
def test_what_had_another_name_in_the_sandbox_is_still_found(former: str, name: str) -> None:
    assert getattr(sandbox, former) is getattr(sandbox, name)
    assert former not in dir(sandbox)
    assert name in exported("sandbox")


def test_other_names_of_the_sandbox_are_not_found() -> None:
    with pytest.raises(AttributeError, match=r"module 'bintrio.sandbox' has no attribute 'Bann'"):
        getattr(sandbox, "Bann")  # noqa: B009


def test_a_module_is_found_though_nobody_imported_it() -> None:
    program = "import bintrio; print(bintrio.rules.SymbolRules.__name__, bintrio.times.__name__)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("SymbolRules bintrio.times\n", "")


@pytest.mark.parametrize("name", _former_names.MODULES)
def test_the_modules_that_the_root_does_not_need_are_those_of_that_name(name: str) -> None:
    assert _former_names.find(name) is sys.modules[f"bintrio.{name}"]


@pytest.mark.parametrize("name", ["OrderPlaced", "__path_hooks__", "_ledgers", "names_in"])
def test_a_name_that_never_was_is_not_found(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'bintrio' has no attribute '{name}'") as caught:
        getattr(bintrio, name)
    assert caught.value.name == name
    assert not hasattr(bintrio, name)
