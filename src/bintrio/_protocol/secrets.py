"""What of calls and messages is never shown: keys, and what is signed with them (G9)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ..api._base import Json

HIDDEN: Final = frozenset({"apiKey", "signature", "listenKey"})
"""Parameters, and fields of answers, that open an account to whoever reads them, or help to."""

REDACTED: Final = "…"
"""Stands where one of them was."""


def redacted(params: Mapping[str, Json]) -> dict[str, Json]:
    """Parameters as they may be shown."""
    return {name: REDACTED if name in HIDDEN else value for name, value in params.items()}


_FIELD: Final = re.compile(rf'"({"|".join(sorted(HIDDEN))})"(\s*:\s*)"(?:[^"\\]|\\.)*"'.encode())


def redacted_message(data: bytes) -> str:
    """A message as it may be shown, as text. What is no UTF-8 is written as escapes."""
    # By its text, not by its parts: what is shown is what came, also if it is no JSON.
    return _FIELD.sub(rf'"\1"\2"{REDACTED}"'.encode(), data).decode("utf-8", "backslashreplace")
