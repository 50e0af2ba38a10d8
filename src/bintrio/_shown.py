"""What a message may show of a value: never a secret, never too much, and never an error of its own.

What stands in a message ends in logs and reports. A URL may hold a password or a token, a path may be the key itself by
mistake, and the `repr` of what a caller handed over may be endless or fail.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any, Final

_LONGEST: Final = 80  # characters of a value

_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*://)?", re.I)
_END_OF_PATH: Final = re.compile(r"[?#]")

_END_OF_HOST: Final = re.compile(r"[/?#]")

_KEY_FILES: Final = (".pem", ".key", ".p8", ".pk8", ".der", ".txt", ".json", ".env")


def shown(value: Any) -> str:
    """The type of a value, and the beginning of its `repr`: ``float 0.1``."""
    try:
        text = repr(value)
    except Exception:  # it is anybody's code; an int of 5,000 digits has none either
        return f"{type(value).__name__} that cannot be shown"
    return f"{type(value).__name__} {text[:_LONGEST]}"


def shown_url(url: str) -> str:
    """A URL without its user, password, query and fragment: ``wss://relay.example/ws?…``."""
    found = _SCHEME.match(url)
    scheme = found[0] if found else ""
    credentials, _, place = url[len(scheme) :].rpartition("@")
    if _END_OF_HOST.search(credentials):  # "@", "/" or "?" is part of the secret, and which one cannot be told
        return f"{scheme}…"
    path, *query = _END_OF_PATH.split(place, maxsplit=1)
    return f"{scheme}{path}?…" if query else f"{scheme}{path}"


def shown_path(path: str) -> str:
    """A path, or as much of it as is there, if the rest may be a secret that was taken for a path.

    What exists is no secret, and neither is what ends like the name of a file that holds one.
    """
    if path.lower().endswith(_KEY_FILES) or os.path.lexists(path):
        return repr(path)
    folder = os.path.dirname(path)
    while folder and not os.path.lexists(folder):
        parent = os.path.dirname(folder)
        folder = parent if parent != folder else ""
    return repr(os.path.join(folder, "…"))


def in_a_line(error: BaseException) -> str:
    """An error as one line: its class and its words."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in a group, and in the groups within; else the error itself."""
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for part in error.exceptions:  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        yield from leaves(part)  # pyright: ignore[reportUnknownArgumentType]
