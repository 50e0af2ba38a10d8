"""The public surface: in one place, complete, and named by rule."""

from __future__ import annotations

import inspect

import msgspec

import bintrio
from bintrio import _ledger, errors
from bintrio._protocol.rate_limits import LocalLedger
from bintrio._protocol.reading import reader
from bintrio.api import events, filters
from bintrio.api._base import catalogue, python_name
from bintrio.api._values import Lossless


def test_every_name_is_there_once() -> None:
    assert len(bintrio.__all__) == len(set(bintrio.__all__))
    for name in bintrio.__all__:
        assert getattr(bintrio, name) is not None


def test_every_request_is_public_and_has_its_method() -> None:
    for method, request_type in catalogue.items():
        assert getattr(bintrio, request_type.__name__) is request_type
        assert inspect.iscoroutinefunction(getattr(bintrio.Session, python_name(method)))


def test_the_class_of_a_request_is_named_by_the_exchange_too() -> None:
    for method, request_type in catalogue.items():
        assert request_type.__name__.lower() == method.replace(".", "").lower()


def test_every_error_is_public() -> None:
    for name, value in vars(errors).items():
        if inspect.isclass(value) and issubclass(value, errors.BintrioError):
            assert getattr(bintrio, name) is value


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
    lossy = [record for record in met if not (issubclass(record, Lossless) or record.__struct_config__.array_like)]
    assert set(lossy) == {events.UnknownEvent}
    hidden = sorted(record.__name__ for record in met if getattr(bintrio, record.__name__, None) is not record)
    assert not hidden


def test_what_users_build_and_receive_cannot_be_changed_and_has_names() -> None:
    """A field that is added later must not move the others."""
    public = [value for name in bintrio.__all__ if inspect.isclass(value := getattr(bintrio, name))]
    records = [value for value in public if issubclass(value, msgspec.Struct) and value is not bintrio.Counters]
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


def test_a_ledger_is_found_in_its_former_place() -> None:
    assert _ledger.LocalLedger is LocalLedger
