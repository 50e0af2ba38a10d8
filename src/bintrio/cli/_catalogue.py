"""What the command line reads off the catalogue: the methods by name."""

from __future__ import annotations

from typing import Final

from bintrio._text import did_you_mean
from bintrio.api._base import catalogue, python_name

METHODS: Final = {python_name(name): request_type for name, request_type in catalogue.items()}


def no_method(name: str) -> str:
    """That there is no such method, with the name that is nearest."""
    return f"no method {name!r}{did_you_mean(name, METHODS)}"
