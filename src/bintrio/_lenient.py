"""What came with fields that this release does not know, read all the same, with nothing lost (G10).

Records are strict: one that comes with an unknown field does not decode. Nearly nothing does, so that is the cheapest
way to find out, and only then is what came read a second time: first as `lenient` twins of the same records, which pass
over what they do not know, then `settled` from these into the records proper. Each takes along, as JSON, the fields of
its own that nobody asked for.

Filters are `settled` one by one from their JSON: of the many in an exchangeInfo one may be of an unknown type, or in an
unknown shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, NamedTuple, TypeAlias, Union, cast, get_args, get_origin

import msgspec

from .api._values import Lossless, one_of
from .api.filters import Filter, UnknownFilter

_Fields: TypeAlias = dict[str, msgspec.Raw]
_fields: Final[Callable[[Any], _Fields | tuple[_Fields]]] = msgspec.json.Decoder(_Fields | tuple[_Fields]).decode
_encode: Final = msgspec.json.Encoder().encode

_union: Final[Any] = Union  # which to a type checker is no value

split: Final = msgspec.json.Decoder(tuple[msgspec.Raw, ...]).decode
"""The items of a JSON array, each as JSON."""


@cache
def lenient(known: Any) -> Any:
    """The same type, with a twin in place of every record in it."""
    origin: Any = get_origin(known)
    arguments = get_args(known)
    if origin is Annotated:
        return Annotated[(lenient(arguments[0]), *arguments[1:])]
    if known == Filter:
        return msgspec.Raw
    if origin in {Union, UnionType}:
        return _any_of(arguments)
    if origin is tuple:
        return tuple.__class_getitem__(tuple(map(lenient, arguments)))
    if isinstance(known, type(one_of)):
        return one_of[_any_of(known.members)]
    record = origin or known
    if isinstance(record, type) and issubclass(record, Lossless):
        return _twin(record, msgspec.structs.fields(known))
    return known


def _any_of(members: tuple[Any, ...]) -> Any:
    return _union[tuple(map(lenient, members))]


class _Twin(NamedTuple):
    """What there is to know of the twin of a record.

    Attributes:
        record: the record.
        names: of its fields in JSON, and of its tag.
        nested: of those that may have records in them the name, and the name in JSON.
    """

    record: type[Lossless]
    names: frozenset[str | None]
    nested: tuple[tuple[str, str], ...]


_twins: Final[dict[type, _Twin]] = {}


def _twin(record: type[Lossless], fields: Sequence[msgspec.structs.FieldInfo]) -> type[msgspec.Struct]:
    fields = [field for field in fields if field.name != "unknown_fields"]
    config = record.__struct_config__
    twin = msgspec.defstruct(
        record.__name__,
        [(field.name, lenient(field.type), _as_in_json(field)) for field in fields],
        kw_only=True,
        tag_field=config.tag_field,
        tag=config.tag,
    )
    _twins[twin] = _Twin(
        record,
        frozenset(field.encode_name for field in fields) | {config.tag_field},
        tuple((field.name, field.encode_name) for field in fields if lenient(field.type) != field.type),
    )
    return twin


def _as_in_json(field: msgspec.structs.FieldInfo) -> Any:
    defaults: dict[str, Any] = {"default": field.default, "default_factory": field.default_factory}
    return msgspec.field(**defaults, name=field.encode_name)


def settled(value: Any, raw: bytes | msgspec.Raw) -> Any:
    """What was read as a `lenient` type from ``raw``, in the known records, with the unknown fields of each."""
    if isinstance(value, tuple):
        return tuple(map(settled, value, split(raw)))  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, msgspec.Raw):
        return _settled_filter(value)
    twin = _twins.get(cast("type[msgspec.Struct]", type(value)))
    if twin is None:
        return value
    fields = _fields(raw)
    if isinstance(fields, tuple):  # an array of one: a `Sole`
        (fields,) = fields
    known = msgspec.structs.asdict(value)
    for name, name_in_json in twin.nested:
        if name_in_json in fields:
            known[name] = settled(known[name], fields[name_in_json])
    if not twin.names.issuperset(fields):
        unknown = {name: part for name, part in fields.items() if name not in twin.names}
        known["unknown_fields"] = _encode(unknown)
    return twin.record(**known)


class _Typed(msgspec.Struct):
    filter_type: Any = msgspec.field(name="filterType")


def _settled_filter(raw: msgspec.Raw) -> Any:
    strict, as_twin = _filter_readers()
    try:
        return strict(raw)
    except msgspec.ValidationError:
        pass
    try:
        return settled(as_twin(raw), raw)
    except msgspec.ValidationError as error:
        filter_type = str(msgspec.json.decode(raw, type=_Typed).filter_type)
        return UnknownFilter(type=filter_type, raw=bytes(raw), reason=str(error))


@cache
def _filter_readers() -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    return msgspec.json.Decoder(Filter).decode, msgspec.json.Decoder(_any_of(get_args(Filter))).decode
