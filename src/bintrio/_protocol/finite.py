"""Whether the numbers of an answer are numbers. ``"NaN"`` and ``"Infinity"`` make a `Decimal` too, but one that is not
even equal to itself, that no ``<`` can sort and that no sum survives: they are values of the wrong type.

Every answer is looked at, so nearly all of it happens in C: which fields may hold numbers is found out once for each
class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import cache
from itertools import chain
from operator import itemgetter
from types import NoneType, UnionType
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, Union, get_args, get_origin

import msgspec

from .reading import parts_of

_is_finite: Final[Callable[[Any], bool]] = Decimal.is_finite
_values: Final[Callable[[Any], tuple[Any, ...]]] = msgspec.structs.astuple
# Zero, None and what did not come are false to it.
_there: Final[Any] = filter


def check_finite(value: Any) -> None:
    """Raise `msgspec.ValidationError`, which tells the path, if a number in an answer is not finite."""
    if not is_finite(value):
        path, number = next(_odd_numbers(value, "$"))
        raise msgspec.ValidationError(f"Expected a finite number, got {number} - at `{path}`")


def is_finite(value: Any) -> bool:
    """Whether all numbers in a record, a tuple or any other value are finite."""
    if isinstance(value, msgspec.Struct):
        values, (numbers, parts) = _values(value), _fields(type(value))
        if not all(map(_is_finite, _there(None, numbers(values)))):
            return False
        return parts is _none or all(map(is_finite, _there(None, parts(values))))
    if isinstance(value, tuple):
        return _are_finite(value)  # pyright: ignore[reportUnknownArgumentType]
    return not isinstance(value, Decimal) or value.is_finite()


def _are_finite(values: tuple[Any, ...]) -> bool:
    kinds = set(map(type, values))
    numbers, parts = _fields(kinds.pop()) if len(kinds) == 1 else _UNKNOWN
    if parts is not _none:
        return all(map(is_finite, values))
    return all(map(_is_finite, _there(None, chain.from_iterable(map(numbers, map(_values, values))))))


_Pick: TypeAlias = Callable[[tuple[Any, ...]], Sequence[Any]]
"""Some of the values of a record."""


def _none(_: tuple[Any, ...]) -> Sequence[Any]:
    return ()


class _Fields(NamedTuple):
    """What picks out of the values of a record those that are a number or nothing, and those that may hold some."""

    numbers: _Pick
    parts: _Pick


_UNKNOWN: Final = _Fields(_none, tuple)


@cache
def _fields(kind: type) -> _Fields:
    if not issubclass(kind, msgspec.Struct):
        return _UNKNOWN
    fields = msgspec.structs.fields(kind)
    numbers = [position for position, field in enumerate(fields) if _is_number(field.type)]
    parts = [position for position, field in enumerate(fields) if position not in numbers and _may_hold(field.type)]
    return _Fields(_pick(numbers), _pick(parts))


def _pick(positions: list[int]) -> _Pick:
    if len(positions) == 1:  # of which it would pick no tuple
        return itemgetter(slice(positions[0], positions[0] + 1))
    return itemgetter(*positions) if positions else _none


def _is_number(known: Any) -> bool:
    members = get_args(known) if get_origin(known) in {Union, UnionType} else (known,)
    return {Decimal} == {*members} - {NoneType}


def _may_hold(known: Any) -> bool:
    """Whether there may be numbers in a value of that type; what is generic may hold anything."""
    return known is Decimal or isinstance(known, TypeVar) or any(map(_may_hold, parts_of(known)))


def _odd_numbers(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Where numbers are not finite, with what stands there."""
    if isinstance(value, msgspec.Struct):
        is_array = value.__struct_config__.array_like
        for position, (field, item) in enumerate(zip(msgspec.structs.fields(value), _values(value), strict=True)):
            yield from _odd_numbers(item, f"{path}[{position}]" if is_array else f"{path}.{field.encode_name}")
    elif isinstance(value, tuple):
        for position, item in enumerate(value):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            yield from _odd_numbers(item, f"{path}[{position}]")
    elif not is_finite(value):
        yield path, value
