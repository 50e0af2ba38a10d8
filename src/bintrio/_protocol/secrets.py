"""What of a call's parameters is never shown: keys, and what is signed with them (G9)."""

from __future__ import annotations

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
