"""From JSON to records: as a whole if it fits, else by parts, with nothing lost and little refused (G10).

Records are strict: one that comes with a field too many or too few does not decode. Nearly all fit, so that is the
cheapest way to find out. What does not fit is read once more by parts, each part strictly first:

* A field that is not known is kept as JSON, in ``unknown_fields`` of its record; so is a position of an array.
* A field that did not come is in ``missing_fields`` of its record (`api._missing`). At least half of those that a
  record must have have to be there, its tag among them; of one that must have a single field, any other will do.
* A filter of an unknown type, or in an unknown shape, becomes an `UnknownFilter`.
* A value of the wrong type is an error, wherever it is.

**Shapes.** Some answers have one of several shapes, a union of records. msgspec tells the members of a union apart by a
tag, which these answers do not have. The request mostly decides; the exchange does not always answer as asked, and a
recorded answer comes without its request. So the names of its fields decide, by one rule: an answer has a shape that
knows every documented name in it, and of which at least half is there. If several do, it has the one that was asked
for, or else the one of which least is missing. If none does, its names may be news: then it has the shape of which
nothing is missing, if that was asked for or nothing was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, NamedTuple, TypeAlias, Union, get_args, get_origin

import msgspec
from msgspec import UNSET

from ..api._missing import incomplete, incomplete_type
from ..api._values import KeepsUnknownFields, MaybeInArray, Row, one_of
from ..api.filters import Filter, UnknownFilter

Read: TypeAlias = Callable[[Any], Any]

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that do not fit: the last two for text that is not UTF-8, and for JSON nested too
deep."""

NULL: Final = msgspec.Raw(b"null")

_fields: Final[Callable[[Any], dict[str, msgspec.Raw]]] = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode: Final = msgspec.json.Encoder().encode

split: Final = msgspec.json.Decoder(tuple[msgspec.Raw, ...]).decode
"""The items of a JSON array, each as JSON."""


@cache
def reader(known: Any, asked: Any, method: str) -> Read:
    """A function that reads JSON into the type ``known``, kept for the next time.

    Args:
        known: a record, or any other type; its unions are the shapes that an answer may have.
        asked: the same type, with one member in place of each union that the request decides.
        method: what the JSON came from, for the errors of records that lack a field.
    """
    # Numbers, text and lists of them: nothing can be unknown in them.
    if not holds_records(known):
        return _strict(known)
    by_parts = _by_parts(known, asked, method)
    # msgspec takes no union of plain records, so there is nothing to try first.
    if has_shapes(asked) or _may_be_in_array(known):
        return by_parts
    return _first_that_fits([*_exact(asked, method), by_parts])


@cache
def _strict(known: Any) -> Read:
    return msgspec.json.Decoder(known).decode


def _exact(known: Any, method: str) -> Sequence[Read]:
    """How to read what has no field too many: without one too few, and else with. msgspec does both alone."""
    strict = _strict(known)
    is_plain = isinstance(known, type) and issubclass(known, KeepsUnknownFields)  # neither generic, nor an array
    return (strict, _lacking(known, method)) if is_plain else (strict,)


def _lacking(record: Any, method: str) -> Read:
    required = len(_required(record))
    decode = _strict(incomplete_type(record, method))

    def read(raw: Any) -> Any:
        found = decode(raw)
        # More than half is missing: it is another record, which happens to share some names.
        if 2 * msgspec.structs.astuple(found).count(UNSET) > required:
            raise msgspec.ValidationError
        return found

    return read


def _first_that_fits(reads: Sequence[Read]) -> Read:
    """Read as the first of the types that fits. Errors are those of the last."""
    # Built from the last to the first, each with what to do if it does not fit.
    *others, last = reads
    for read in reversed(others):
        last = _or_else(read, last)
    return last


def _or_else(first: Read, second: Read) -> Read:
    def read(raw: Any) -> Any:
        try:
            return first(raw)
        except msgspec.ValidationError:
            # The error is not kept: what comes next tells its own, and a chain of both would only confuse.
            pass
        return second(raw)

    return read


def _by_parts(known: Any, asked: Any, method: str) -> Read:
    if known == Filter:
        return _filter_reader(method)
    # Some answers are a single record, or the same in an array of one.
    if _may_be_in_array(known):
        return _unwrapped(reader(get_args(known)[0], get_args(asked)[0] if _may_be_in_array(asked) else asked, method))
    members = _members(known)
    if len(members) == 1:
        return _or_null(reader(members[0], members[0], method))
    if members:
        return _by_member(members, asked, method)
    if get_origin(known) is tuple:
        return _each(reader(get_args(known)[0], get_args(asked)[0], method))
    return _by_positions(known, method) if issubclass(_record(known), Row) else _by_fields(known, asked, method)


# What a type is made of


def _may_be_in_array(known: Any) -> bool:
    return get_origin(known) is Annotated and MaybeInArray in get_args(known)


def _members(known: Any) -> tuple[Any, ...]:
    """The members of a union but None; none at all of anything else."""
    members = known.members if isinstance(known, type(one_of)) else ()
    if get_origin(known) in {Union, UnionType}:
        members = get_args(known)
    return tuple(member for member in members if member is not NoneType)


def _record(known: Any) -> Any:
    """The record that is meant by a type: without the array around it, or what it is generic in."""
    return _record(get_args(known)[0]) if get_origin(known) is tuple else get_origin(known) or known


def _is_record(known: Any) -> bool:
    record = get_origin(known) or known
    return isinstance(record, type) and issubclass(record, KeepsUnknownFields | Row)


def parts_of(known: Any) -> tuple[Any, ...]:
    """The types that a type is made of."""
    if _is_record(known):
        return tuple(field.type for field in msgspec.structs.fields(known))
    return _members(known) or get_args(known)


@cache
def holds_records(known: Any) -> bool:
    """Whether there are records in it."""
    return _is_record(known) or any(map(holds_records, parts_of(known)))


@cache
def has_shapes(known: Any) -> bool:
    """Whether there are records in it that msgspec cannot tell apart."""
    # Filters have tags, by which msgspec tells them apart.
    if known == Filter:
        return False
    is_union = len(_members(known)) > 1 and holds_records(known)
    return _may_be_in_array(known) or is_union or any(map(has_shapes, parts_of(known)))


# Arrays


def _or_null(read: Read) -> Read:
    return lambda raw: None if raw == NULL else read(raw)


def _each(read: Read) -> Read:
    return lambda raw: tuple(_at(f"[{index}]", read, item) for index, item in enumerate(split(raw)))


def _unwrapped(read: Read) -> Read:
    def unwrap(raw: Any) -> Any:
        # The exchange sends either.
        items = split(raw) if _is_array(raw) else (raw,)
        if len(items) != 1:
            raise msgspec.ValidationError(f"Expected an array of length 1, got {len(items)}")
        return read(items[0])

    return unwrap


def _is_array(raw: Any) -> bool:
    return memoryview(raw)[:1].tobytes() == b"["


def _at(path: str, read: Read, raw: Any) -> Any:
    """Read a part, whose errors tell the path from the whole: ``Expected `str`, got `int` - at `$[0].symbol` ``."""
    try:
        return read(raw)
    except msgspec.ValidationError as error:
        said, _, rest = str(error).partition(" - at `$")
        raise msgspec.ValidationError(f"{said} - at `${path}{rest or '`'}") from None


# Records


def _required(known: Any) -> tuple[str, ...]:
    """The fields that must come, by their names in JSON; the tag is one."""
    tag_field = _record(known).__struct_config__.tag_field
    names = [field.encode_name for field in msgspec.structs.fields(known) if field.required]
    return (tag_field, *names) if tag_field else tuple(names)


def _is_missing(required: Sequence[str], came: Collection[str], *, is_known: bool) -> bool:
    """Whether something is missing of what ``came``; ``is_known`` if that has any field that is documented.

    Raises:
        ValidationError: it is more than half.
    """
    missing = [name for name in required if name not in came]
    # Where a record needs one field only, others tell that it is that record.
    is_another = 2 * len(missing) > len(required) and not (len(required) == 1 and is_known)
    if is_another:
        raise msgspec.ValidationError(f"Object missing required field `{missing[0]}`")
    return bool(missing)


def _by_fields(known: Any, asked: Any, method: str) -> Read:
    record, required = _record(known), _required(known)
    tag_field = record.__struct_config__.tag_field
    types = zip(msgspec.structs.fields(known), msgspec.structs.fields(asked), strict=True)
    readers = {
        field.encode_name: (field.name, reader(field.type, as_asked.type, method))
        for field, as_asked in types
        if field.name != "unknown_fields"
    }

    def read(raw: Any) -> Any:
        parts = _fields(raw)
        fields: dict[str, Any] = {}
        unknown: dict[str, msgspec.Raw] = {}
        for name, part in parts.items():
            if name in readers:
                python_name, read_field = readers[name]
                fields[python_name] = _at(f".{name}", read_field, part)
            # The tag is no field of the record: its class says the same.
            elif name != tag_field:
                unknown[name] = part
        # Only now, since a wrong type in what came is to be told first.
        is_missing = _is_missing(required, parts, is_known=bool(fields))
        if unknown:
            # As JSON, so that numbers keep every digit, and the record can be hashed.
            fields["unknown_fields"] = _encode(unknown)
        return incomplete(record, method, fields) if is_missing else record(**fields)

    return read


def _by_positions(record: type[Row], method: str) -> Read:
    required = _required(record)
    fields = [
        (field.encode_name, field.name, reader(field.type, field.type, method))
        for field in msgspec.structs.fields(record)
    ]

    def read(raw: Any) -> Any:
        items = split(raw)
        came = list(zip(fields, items, strict=False))
        values = {name: _at(f"[{index}]", read, item) for index, ((_, name, read), item) in enumerate(came)}
        # Positions that are not documented.
        beyond = items[len(fields) :]
        if beyond:
            values["unknown_fields"] = _encode(beyond)
        is_missing = _is_missing(required, [name for (name, _, _), _ in came], is_known=False)
        return incomplete(record, method, values) if is_missing or beyond else record(**values)

    return read


# Unions


def _by_member(members: Sequence[Any], asked: Any, method: str) -> Read:
    """The member that the tag names, if they have tags; else, and for tags that are not known, the one that fits."""
    tagged = [member for member in members if _record(member).__struct_config__.tag_field]
    if not tagged:
        return _by_shape(members, asked, method)
    # At most one member has no tag; what has no tag that is known is read as that one.
    other = next((member for member in members if member not in tagged), None)
    return _by_tag(tagged, _strict(_union_of(tagged)) if other is None else reader(other, other, method), method)


def _by_tag(members: Sequence[Any], other: Read, method: str) -> Read:
    tag_field: str = members[0].__struct_config__.tag_field
    by_tag = {_encode(member.__struct_config__.tag): member for member in members}

    def read(raw: Any) -> Any:
        # Tags are compared as JSON, so that nothing has to be decoded for it.
        member = by_tag.get(bytes(_fields(raw).get(tag_field, NULL)))
        return other(raw) if member is None else _by_fields_of(member, method)(raw)

    return read


@cache
def _by_fields_of(record: Any, method: str) -> Read:
    # An event comes from no method, so it goes by its own name.
    return _by_fields(record, record, method or record.__struct_config__.tag)


def _union_of(members: Sequence[Any]) -> Any:
    union: Any = Union  # which to a type checker is no value
    return union[tuple(members)]


@cache
def _filter_reader(method: str) -> Read:
    known = [member for member in get_args(Filter) if member is not UnknownFilter]
    read_known = _first_that_fits([_strict(Filter), _by_tag(known, _strict(Filter), method)])

    def read(raw: Any) -> Any:
        try:
            return read_known(raw)
        except msgspec.ValidationError as error:
            # A filter that cannot be read must not refuse the rest of the symbol (G10).
            filter_type = str(msgspec.json.decode(raw, type=_Typed).filter_type)
            return UnknownFilter(type=filter_type, raw=bytes(raw), reason=str(error))

    return read


class _Typed(msgspec.Struct):
    filter_type: Any = msgspec.field(name="filterType")


class _Shape(NamedTuple):
    """A member of a union: the names of its fields in JSON, those it must have, and how it is read."""

    record: Any
    names: frozenset[str]
    required: frozenset[str]
    read: Read

    def may_be(self, names: frozenset[str], documented: frozenset[str]) -> bool:
        """Whether it knows every documented name of an object, and at least half of it is there."""
        return documented <= self.names and 2 * len(self.required & names) >= len(self.required)


def _by_shape(members: Sequence[Any], asked: Any, method: str) -> Read:
    """Objects are read as one of the records, the items of arrays as one of those that come in arrays."""
    # A union that the request does not decide asks for none of its members.
    asked = None if _members(asked) else _record(asked)
    arrays = [member for member in members if get_origin(member) is tuple]
    if not arrays:
        return _one_of(members, asked, method)
    objects = [member for member in members if member not in arrays]
    items = _each(_one_of([get_args(array)[0] for array in arrays], asked, method))
    read_array = _first_that_fits([*_wholes(arrays, asked, method), items])
    read_object = _one_of(objects, asked, method) if objects else read_array
    return lambda raw: read_array(raw) if _is_array(raw) else read_object(raw)


def _one_of(members: Sequence[Any], asked: Any, method: str) -> Read:
    # The richest first, not the first written: two unions are the same to Python, and to `cache`, in any order.
    shapes = sorted((_shape(member, method) for member in members), key=lambda shape: len(shape.names), reverse=True)

    def by_names(raw: Any) -> Any:
        return _likeliest(frozenset(_fields(raw)), shapes, asked).read(raw)

    return _first_that_fits([*_wholes(members, asked, method), by_names])


def _shape(member: Any, method: str) -> _Shape:
    names = frozenset(field.encode_name for field in msgspec.structs.fields(member))
    return _Shape(_record(member), names, frozenset(_required(member)), reader(member, member, method))


def _likeliest(names: frozenset[str], shapes: Sequence[_Shape], asked: Any) -> _Shape:
    """The shape that an object with these names has: the rule at the top of this module."""
    documented = names & frozenset[str]().union(*(shape.names for shape in shapes))
    able = [shape for shape in shapes if shape.may_be(names, documented)]
    if able:
        return min(able, key=lambda shape: (shape.record is not asked, len(shape.required - names)))
    whole = [shape for shape in shapes if shape.required <= names and asked in {None, shape.record}]
    # None fits. The error is that of the one that was asked for, or of the one that knows most of the names.
    return whole[0] if whole else max(shapes, key=lambda shape: (shape.record is asked, len(shape.names & names)))


def _wholes(members: Sequence[Any], asked: Any, method: str) -> Sequence[Read]:
    """How to read the member that was asked for, or else any, if it fits as a whole. No two would."""
    for member in members:
        if _record(member) is asked:
            return _exact(member, method)
    return [_strict(member) for member in members]
