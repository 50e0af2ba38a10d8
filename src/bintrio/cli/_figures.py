"""Figures as people read them."""

from __future__ import annotations

from decimal import Decimal


def short(number: Decimal) -> str:
    """In plain notation, without zeros at its end."""
    return f"{number.normalize():f}"
