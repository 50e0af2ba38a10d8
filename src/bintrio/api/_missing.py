"""Records of which a documented field did not come: it hurts only who reads it (G10).

A server that is one release behind its document, or one ahead, sends such records for days. Each is an object of a
class of its own, made on demand from the record's: the fields that did not come hold `msgspec.UNSET`, and to read one
is a `ProtocolViolation`. An AttributeError would not do: ``case OrderFull(fills=())`` would silently not match.
Everything that msgspec does in C (comparison, hash, copy, encoding) passes over `UNSET` by itself, and the classes of
whole records know nothing of all this. In an array nothing can be passed over: there it is None, for ``null``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import UNSET

from bintrio.errors import ProtocolViolation

from ._values import Row

_records: Final[dict[type, type]] = {}


def record_type(value: Any) -> type:
    """The type of a record, whether all of its fields came or not."""
    return _records.get(type(value), type(value))  # pyright: ignore[reportUnknownArgumentType]


def incomplete(record: Any, method: str, fields: Mapping[str, Any]) -> Any:
    """A record with these fields, by their Python names; those that are not there did not come from ``method``."""
    return incomplete_type(record, method)(**fields)


@cache
def incomplete_type(record: Any, method: str) -> type[msgspec.Struct]:
    """The class of such records: every field that must come may be `msgspec.UNSET` there."""
    fields = msgspec.structs.fields(record)
    names_in_json = {field.name: field.encode_name for field in fields}
    required = {field.name for field in fields if field.required}
    absent = _absent(record)

    def read(self: Any, name: str) -> Any:
        found = object.__getattribute__(self, name)
        # An optional field may be None or UNSET by right.
        if found is absent and name in required:
            said = f"{method}: {record.__name__} came without `{names_in_json[name]}`, so it has no `{name}`"
            raise ProtocolViolation(said)
        # Code that goes over the fields of any record sees those that came.
        return tuple(_came(self)) if name == "__struct_fields__" else found

    def missing_fields(self: Any) -> tuple[str, ...]:
        came = _came(self)
        return tuple(name for name in names_in_json if name not in came)

    # Pickle finds no class that is made on demand, so it gets what makes one.
    def reduce(self: Any) -> tuple[Any, ...]:
        return incomplete, (record, method, _came(self))

    # Arrays have no such field of their own.
    own = [] if "unknown_fields" in names_in_json else [("unknown_fields", bytes | None, None)]
    found = msgspec.defstruct(
        record.__name__,
        [*((field.name, field.type, _optional(field, absent)) for field in fields), *own],
        bases=(record,),
        namespace={"__getattribute__": read, "missing_fields": property(missing_fields), "__reduce__": reduce},
        module=record.__module__,
        frozen=True,
        kw_only=True,
    )
    _records[found] = record
    return found


def _absent(record: type) -> Any:
    # msgspec leaves UNSET out of an object; in an array the positions behind would move.
    return None if issubclass(record, Row) else UNSET


def _optional(field: msgspec.structs.FieldInfo, absent: Any) -> Any:
    return msgspec.field(default=absent if field.required else field.default, name=field.encode_name)


def _came(record: msgspec.Struct) -> dict[str, Any]:
    absent = _absent(type(record))
    values = msgspec.structs.asdict(record).items()
    return {name: value for name, value in values if value is not absent or name == "unknown_fields"}
