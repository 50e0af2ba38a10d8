"""Whether the numbers of an answer are numbers. ``"NaN"`` and ``"Infinity"`` make a `Decimal` too, but one that is not
even equal to itself, that no ``<`` can sort and that no sum survives: they are values of the wrong type.

Every answer is looked at, so which fields may hold numbers is found out once for each class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from operator import itemgetter
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin

import msgspec

from .reading import parts_of

_values: Final[Callable[[Any], tuple[Any, ...]]] = msgspec.structs.astuple

# Numbers of a record that are looked at one by one; more are looked at together, in C.
_FEW: Final = 3


def check_finite(value: Any) -> None:
    """Raise `msgspec.ValidationError`, which tells the path, if a number in an answer is not finite."""
    if not _look(value.__class__)(value):
        path, number = next(_odd_numbers(value, "$"))
        raise msgspec.ValidationError(f"Expected a finite number, got {number} - at `{path}`")


def is_finite(value: Any) -> bool:
    """Whether all numbers in a record, a tuple or any other value are finite."""
    return _look(value.__class__)(value)


@cache
def _look(kind: type) -> Callable[[Any], bool]:
    """`is_finite` for the values of one class."""
    if issubclass(kind, msgspec.Struct):
        return _look_at_records(kind)
    if issubclass(kind, tuple):
        return _are_finite
    # Subclasses of Decimal have the method too.
    return Decimal.is_finite if issubclass(kind, Decimal) else _is_no_number


def _look_at_records(kind: Any) -> Callable[[Any], bool]:
    """Written for the class as one would by hand: to go through its fields each time takes twice as long.

    Zero, None and what did not come are false, and need no look.
    """
    known: dict[str, Any] = {"values": _values, "is_finite": is_finite, "is_finite_number": Decimal.is_finite}
    numbers: list[int] = []
    looks: list[str] = []
    for position, field in enumerate(msgspec.structs.fields(kind)):
        if _is_number(field.type):
            numbers.append(position)
        # An array of records of one kind: the look for that kind is found once, here, and not for each record.
        elif _is_array_of_records(field.type) and _may_hold(field.type):
            known[f"look{position}"] = _look(get_args(field.type)[0])
            looks.append(f"(not v[{position}] or all(map(look{position}, v[{position}])))")
        elif _may_hold(field.type):
            looks.append(f"(not v[{position}] or is_finite(v[{position}]))")
    if len(numbers) <= _FEW:
        looks += [f"(not v[{position}] or v[{position}].is_finite())" for position in numbers]
    else:
        # Many numbers: picked and looked at in C, which is quicker than one by one.
        known["numbers"] = itemgetter(*numbers)
        looks.append("all(map(is_finite_number, filter(None, numbers(v))))")
    # No field of it can hold a number.
    if not looks:
        return _is_no_number
    look: Callable[[Any], bool] = eval(f"lambda record: (v := values(record)) and {' and '.join(looks)}", known)  # noqa: S307
    return look


def _is_no_number(_: Any) -> bool:
    return True


def _are_finite(values: tuple[Any, ...]) -> bool:
    for value in values:  # noqa: SIM110  # a generator takes twice as long
        if not _look(value.__class__)(value):
            return False
    return True


def _is_array_of_records(known: Any) -> bool:
    return get_origin(known) is tuple and isinstance(get_args(known)[0], type(msgspec.Struct))


def _is_number(known: Any) -> bool:
    members = get_args(known) if get_origin(known) in {Union, UnionType} else (known,)
    return {Decimal} == {*members} - {NoneType}


def _may_hold(known: Any) -> bool:
    """Whether there may be numbers in a value of that type; what is generic may hold anything."""
    return known is Decimal or isinstance(known, TypeVar) or any(map(_may_hold, parts_of(known)))


def _odd_numbers(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Where numbers are not finite, with what stands there."""
    if isinstance(value, msgspec.Struct):
        # Records that come as JSON arrays have positions in the path, others have names.
        is_array = value.__struct_config__.array_like
        for position, (field, item) in enumerate(zip(msgspec.structs.fields(value), _values(value), strict=True)):
            yield from _odd_numbers(item, f"{path}[{position}]" if is_array else f"{path}.{field.encode_name}")
    elif isinstance(value, tuple):
        for position, item in enumerate(value):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            yield from _odd_numbers(item, f"{path}[{position}]")
    elif not is_finite(value):
        yield path, value
