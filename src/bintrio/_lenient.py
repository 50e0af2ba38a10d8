"""What came with fields that this release does not know, read all the same, with nothing lost (G10).

Records are strict: one that comes with an unknown field does not decode. Nearly nothing does, so that is the cheapest
way to find out, and only then is what came read a second time: first as `lenient` twins of the same records, which pass
over what they do not know, then `settled` from these into the records proper. Each takes along, as JSON, the fields of
its own that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, TypeAlias, Union, cast, get_args, get_origin

import msgspec

from .api._values import Lossless, OneOf

_Fields: TypeAlias = dict[str, msgspec.Raw]
_fields: Final[Callable[[Any], _Fields | tuple[_Fields]]] = msgspec.json.Decoder(_Fields | tuple[_Fields]).decode
_items: Final = msgspec.json.Decoder(tuple[msgspec.Raw, ...]).decode
_encode: Final = msgspec.json.Encoder().encode

# To a type checker these are no values.
_one_of: Final[Any] = OneOf
_union: Final[Any] = Union

_known: Final[dict[type, type[Lossless]]] = {}
"""The record of which each twin is one."""


@cache
def lenient(known: Any) -> Any:
    """The same type, with a twin in place of every record in it."""
    origin: Any = get_origin(known)
    arguments = get_args(known)
    if origin is Annotated:
        return Annotated[(lenient(arguments[0]), *arguments[1:])]
    if origin in {Union, UnionType}:
        return _any_of(arguments)
    if origin is tuple:
        return tuple.__class_getitem__(tuple(map(lenient, arguments)))
    if isinstance(known, type(_one_of)):
        return _one_of[_any_of(known.members)]
    record = origin or known
    if isinstance(record, type) and issubclass(record, Lossless):
        return _twin(record, msgspec.structs.fields(known))
    return known


def _any_of(members: tuple[Any, ...]) -> Any:
    return _union[tuple(map(lenient, members))]


def _twin(record: type[Lossless], fields: tuple[msgspec.structs.FieldInfo, ...]) -> type[msgspec.Struct]:
    twin = msgspec.defstruct(
        record.__name__,
        [
            (field.name, lenient(field.type), msgspec.field(default=field.default, name=field.encode_name))
            for field in fields
            if field.name != "unknown_fields"
        ],
        kw_only=True,
        tag_field=record.__struct_config__.tag_field,
        tag=record.__struct_config__.tag,
    )
    _known[twin] = record
    return twin


def settled(value: Any, raw: bytes | msgspec.Raw) -> Any:
    """What was read as a `lenient` type from ``raw``, in the known records, with the unknown fields of each."""
    if isinstance(value, tuple):
        return tuple(map(settled, value, _items(raw)))  # pyright: ignore[reportUnknownArgumentType]
    twin = cast("type[msgspec.Struct]", type(value))
    record = _known.get(twin)
    if record is None:
        return value
    fields = _fields(raw)
    unknown = fields[0] if isinstance(fields, tuple) else fields  # an array of one: a `Sole`
    unknown.pop(record.__struct_config__.tag_field or "", None)
    known: dict[str, Any] = {}
    for field in msgspec.structs.fields(twin):
        part = unknown.pop(field.encode_name, None)
        found = getattr(value, field.name)
        known[field.name] = found if part is None else settled(found, part)
    return record(**known, unknown_fields=_encode(unknown) if unknown else None)
