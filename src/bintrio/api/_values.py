"""What requests, results and events share: records, times, marks of a type that may come in several shapes."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from inspect import get_annotations
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeAlias, TypeVar, get_args

import msgspec

from .._text import shown_key
from .enums import RateLimitInterval, RateLimitType

Timestamp: TypeAlias = int
"""A time since the Unix epoch in the unit of the connection: milliseconds, or microseconds if asked for."""

Duration: TypeAlias = int
"""Milliseconds."""


if TYPE_CHECKING:
    T = TypeVar("T")
    OneOf: TypeAlias = Annotated[T, "one of"]
    MaybeInArray: TypeAlias = Annotated[T, "maybe in an array"]
else:

    class _OneOfType(type):
        def __instancecheck__(cls, value: Any) -> bool:
            return isinstance(value, cls.members)

    class OneOf(metaclass=_OneOfType):
        """``OneOf[Rich | Plain]`` inside a record: a union to a type checker, the one that fits at runtime.

        msgspec tells the members of a union apart by a tag, which these answers do not have, so it sees a type of
        its own for each such union, which `_protocol/reading` reads.
        """

        members: ClassVar[tuple[type, ...]] = ()

        @classmethod
        @cache
        def __class_getitem__(cls, union: Any) -> type[OneOf]:
            # Made once, so that the same union is the same type wherever it is written.
            return type(cls)(cls.__name__, (cls,), {"members": get_args(union)})

    class MaybeInArray:
        """``MaybeInArray[T]`` as a result: a ``T``, which the exchange may wrap into an array of one."""

        def __class_getitem__(cls, result: Any) -> Any:
            return Annotated[result, cls]


one_of: Final[Any] = OneOf
"""`OneOf` for code that handles types as values: to a type checker `OneOf` itself is none."""

UNKNOWN_FIELDS: Final = "unknown fields"
"""`KeepsUnknownFields.unknown_fields` in JSON. No name of the exchange has a blank, so nothing that it sends comes
there."""


def plain(number: Decimal) -> str:
    """A Decimal in plain notation, every digit kept: ``Decimal("1E-7")`` is ``0.0000001``."""
    text = str(number)
    # `str` is twice as quick as `format`, and mostly right.
    return format(number, "f") if "E" in text or "e" in text else text


class Shown(msgspec.Struct, frozen=True):
    """What requests, records and other values share: a `repr` in which prices read as the exchange writes them. What
    has its default is left out.
    """

    def __repr__(self) -> str:
        return repr_of(self)

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, value) for name, value, _ in _came(self)]


class _Readable(Shown, frozen=True):
    """What all records share: what did not come."""

    @property
    def missing_fields(self) -> tuple[str, ...]:
        """The documented fields that did not come, by their Python names: to read one is a `ProtocolViolation`."""
        return ()

    def __repr__(self) -> str:
        # To read them would raise an error, so only their names are shown.
        return repr_of(self, *([f"missing_fields={self.missing_fields!r}"] if self.missing_fields else []))


def repr_of(value: msgspec.Struct, *more: str) -> str:
    """The `repr` of a value, in which prices read as the exchange writes them. What has its default is left out."""
    parts = [f"{name}={_shown(part)}" for name, part, default in _came(value) if part != default]
    return f"{type(value).__name__}({', '.join([*parts, *more])})"


def _came(record: msgspec.Struct) -> list[tuple[str, Any, Any]]:
    """The fields of a record that came, each with its value as it may be shown, and its default."""
    came = record.__struct_fields__  # of an incomplete record those only
    values = [(name, getattr(record, name), default) for name, default in _defaults(type(record)) if name in came]
    # What is printed may be read by anybody: of an API key only the beginning, as in logs.
    return [
        (name, shown_key(value) if name == "api_key" and value else value, default) for name, value, default in values
    ]


@cache
def _defaults(record: type[msgspec.Struct]) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.default) for field in msgspec.structs.fields(record))


def _shown(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"Decimal('{plain(value)}')"
    if isinstance(value, tuple):
        items = [_shown(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        # As Python writes a tuple of one.
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
    return repr(value)


class KeepsUnknownFields(
    _Readable,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """An object that the exchange sends. What is unknown of it is kept; what did not come hurts only who reads it.

    The garbage collector need not look at it: what is made from JSON and cannot be changed holds no cycle.

    Attributes:
        unknown_fields: the fields that this release does not know, as a JSON object in the words of the exchange;
            None if there are none (G10).
    """

    unknown_fields: bytes | None = msgspec.field(default=None, name=UNKNOWN_FIELDS)


@cache
def times_in(struct: type[msgspec.Struct]) -> frozenset[str]:
    """The fields of a record or request that are declared as times: at runtime a time is an int like others."""
    written = {name: note for base in reversed(struct.__mro__) for name, note in get_annotations(base).items()}
    # By its text, since the alias is gone once an annotation is resolved.
    return frozenset(name for name, annotation in written.items() if "Timestamp" in str(annotation))


class Row(_Readable, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An array in which each position has a meaning."""

    @property
    def unknown_fields(self) -> bytes | None:
        """What came beyond the positions that this release knows, as a JSON array; None if nothing did (G10)."""
        return None


class Record(KeepsUnknownFields, frozen=True, kw_only=True, rename="camel"):
    """A result, or a part of one."""


class RateLimit(Record, frozen=True, kw_only=True):
    """One limit, and how much of it is used up.

    Attributes:
        rate_limit_type: what is counted.
        interval: unit of the window; windows are aligned to the clock.
        interval_num: how many units the window is long.
        limit: the most that may be used in one window.
        count: used so far in the current window; None in exchangeInfo, which lists limits only.
    """

    rate_limit_type: RateLimitType
    interval: RateLimitInterval
    interval_num: int
    limit: int
    count: int | None = None
