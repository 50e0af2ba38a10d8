"""What the command line reads off the catalogue: the methods by name, and the types and known values of parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, get_args

import msgspec

from bintrio._text import did_you_mean
from bintrio.api._base import catalogue, python_name

METHODS: Final = {python_name(name): request_type for name, request_type in catalogue.items()}


def no_method(name: str) -> str:
    """That there is no such method, with the name that is nearest."""
    return f"no method {name!r}{did_you_mean(name, METHODS)}"


def known_values(annotation: Any) -> tuple[str, ...]:
    """The values that are known of an enum, in a field's type; none if it is no enum."""
    extras = (part.extra or {} for part in parts_of(annotation) if isinstance(part, msgspec.Meta))
    return next((extra["values"] for extra in extras if "values" in extra), ())


def parts_of(annotation: Any) -> Iterator[Any]:
    """A type, and all that it is made of."""
    yield annotation
    for part in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        yield from parts_of(part)
