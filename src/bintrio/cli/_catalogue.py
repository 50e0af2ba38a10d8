"""What the command line reads off the catalogue: the methods by name, and which need a key."""

from __future__ import annotations

from typing import Any, Final

from bintrio._text import did_you_mean
from bintrio.api._base import Request, catalogue, python_name

METHODS: Final = {python_name(name): request_type for name, request_type in catalogue.items()}


def no_method(name: str) -> str:
    """That there is no such method, with the name that is nearest."""
    # Only names in Python have an underscore.
    return f"no method {name!r}{did_you_mean(name, METHODS if '_' in name else catalogue)}"


def needs_key(request_type: type[Request[Any]] | None) -> bool:
    """Whether a method is known to be for those with a key only."""
    # SESSION needs a connection that is logged on, which takes a key too.
    return request_type is not None and (request_type.api.signed or request_type.api.security == "SESSION")


def no_key(method: str) -> str:
    """That a method needs a key, and how one is given."""
    return f"{method} needs a key: --api-key with --private-key or --hmac-secret-file"
