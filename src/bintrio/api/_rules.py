"""Rules between the parameters of a request. Each says in a request's case what is wrong, and by its docstring in words
what it demands: sentences with "; " between.

Names are Python names; "given" means not None; "a|b" means at least one of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from types import NoneType
from typing import Any, Final, TypeAlias

Rule: TypeAlias = Callable[[Any], str | None]
"""Says what is wrong with a request, in words, or None."""


def at_least_one(*names: str) -> Rule:
    """At least one of the names must be given."""
    said = f"one of {', '.join(names)} is required"
    return in_words(said, lambda request: None if _given(request, names) else said)


def at_most_one(*names: str) -> Rule:
    """No two of the names may be given together."""

    def rule(request: Any) -> str | None:
        is_given = False
        for name in names:
            # Written out, since this is run for each request: a list of the names that are given takes twice as long.
            if getattr(request, name) is not None:
                if is_given:
                    return f"{' and '.join(_given(request, names))} exclude each other"
                is_given = True
        return None

    return in_words(f"{' and '.join(names)} exclude each other", rule)


def exactly_one(*names: str) -> Rule:
    """One of the names must be given, and no other of them."""
    return all_of(at_least_one(*names), at_most_one(*names))


def not_with(name: str, *others: str) -> Rule:
    """None of the others may be given together with ``name``."""
    rule = all_of(*(at_most_one(name, other) for other in others))
    return in_words(f"{name} excludes {', '.join(others)}", rule)


def together(*names: str) -> Rule:
    """All of the names must be given, or none."""
    first, *others = names
    said = f"{' and '.join(names)} go together"

    def rule(request: Any) -> str | None:
        is_missing = getattr(request, first) is None
        for name in others:
            if (getattr(request, name) is None) is not is_missing:
                return said
        return None

    return in_words(said, rule)


def requires(name: str, values: Sequence[str], *needed: str) -> Rule:
    """When ``name`` has one of the values, or any at all if there are none, what is needed must be given.

    ``a|b`` is needed when one of the two will do.
    """
    if values:
        return requires_by(name, dict.fromkeys(values, needed))
    said, complaint = _needs(name, needed)
    return in_words(said, lambda request: None if getattr(request, name) is None else complaint(request))


def requires_by(name: str, cases: Mapping[str, Sequence[str]]) -> Rule:
    """`requires` for several values of ``name`` at once: one look instead of one rule for each."""
    needs = {value: _needs(f"{name}={value!r}", needed) for value, needed in cases.items()}
    complaints = {value: complaint for value, (_, complaint) in needs.items()}

    def rule(request: Any) -> str | None:
        # A value that is not known requires nothing: enums are open (G10).
        complaint = complaints.get(getattr(request, name))
        return None if complaint is None else complaint(request)

    return in_words("; ".join(said for said, _ in needs.values()), rule)


def _needs(case: str, needed: Sequence[str]) -> tuple[str, Rule]:
    """What a case requires, in words, and what to say of a request that lacks some of it."""
    # The names that will do for each need, by the first, which is given mostly.
    alternatives = {names[0]: names for names in (need.split("|") for need in needed)}
    # The first one twice: of a single name, `attrgetter` would give the value itself.
    values_of = attrgetter(*alternatives, next(iter(alternatives)))

    def complaint(request: Any) -> str | None:
        # Mostly nothing more has to be looked at. By types: `None in values` would ask each value whether it equals
        # None, which takes Decimal long.
        if NoneType not in map(type, values_of(request)):
            return None
        missing = [" or ".join(names) for names in alternatives.values() if not _given(request, names)]
        return f"{case} requires {', '.join(missing)}" if missing else None

    return f"{case} requires {', '.join(map(' or '.join, alternatives.values()))}", complaint


def excludes(name: str, values: Sequence[str], *names: str) -> Rule:
    """When ``name`` has one of the values, none of the names may be given."""

    def rule(request: Any) -> str | None:
        given = _given(request, names) if getattr(request, name) in values else ()
        return f"{name}={getattr(request, name)!r} excludes {', '.join(given)}" if given else None

    return in_words(f"{name}={' or '.join(map(repr, values))} excludes {', '.join(names)}", rule)


def requires_value(name: str, other: str, value: str, *, unless: tuple[str, str] | None = None) -> Rule:
    """With ``name``, ``other`` must have that value. ``unless`` a name has its value: then it may be left out."""
    said = f"{name} requires {other}={value!r}"

    def rule(request: Any) -> str | None:
        if getattr(request, name) is None or getattr(request, other) == value:
            return None
        # The exchange sets it itself then.
        if unless and getattr(request, unless[0]) == unless[1] and getattr(request, other) is None:
            return None
        return said

    may_lack = f", which may be left out with {unless[0]}={unless[1]!r}" if unless else ""
    return in_words(said + may_lack, rule)


def fixed_value(name: str, value: str) -> Rule:
    """The exchange takes no other value for ``name``."""
    said = f"{name} must be {value!r}"
    return in_words(said, lambda request: None if getattr(request, name) == value else said)


def only_with(names: Sequence[str], *rules: Rule) -> Rule:
    """Rules that cannot be broken as long as none of the names is given: one look instead of one for each."""
    # One comparison of tuples, since most requests have none of these names.
    values, absent, rule = attrgetter(*names), (None,) * len(names), all_of(*rules)
    return in_words(rule.__doc__, lambda request: None if values(request) == absent else rule(request))


def at_most(count: int, name: str) -> Rule:
    """The sequence ``name`` has no more than ``count`` items."""
    said = f"{name} takes at most {count} items"
    return in_words(said, lambda request: said if len(getattr(request, name) or ()) > count else None)


def within_a_day(start: str, end: str) -> Rule:
    """From ``start`` to ``end`` there are no more than 24 hours, and they are in order."""
    said = f"from {start} to {end} there may be no more than 24 hours"

    def rule(request: Any) -> str | None:
        # With one end alone, the exchange chooses the other.
        first, last = getattr(request, start), getattr(request, end)
        if first is None or last is None or 0 <= _milliseconds(last) - _milliseconds(first) <= _DAY:
            return None
        return said

    return in_words(said, rule)


def time_zone_in_range(name: str) -> Rule:
    """Hours, or hours and minutes, from -12:00 to +14:00."""
    said = f"{name} must be hours or hours:minutes from -12:00 to +14:00"

    def rule(request: Any) -> str | None:
        zone = getattr(request, name)
        found = _TIME_ZONE.fullmatch(zone) if zone else None
        if zone is None or (found and -720 <= _minutes(*found.groups("0")) <= 840):
            return None
        return f"{said}, not {zone!r}"

    return in_words(said, rule)


_DAY: Final = 24 * 60 * 60 * 1000
_TIME_ZONE: Final = re.compile(r"([+-]?)(\d{1,2})(?::([0-5]\d))?", re.ASCII)
# A time above this is in microseconds: in milliseconds it would lie beyond the year 5000.
_LAST_MILLISECOND: Final = 10**14


def _milliseconds(time: int) -> int:
    # By its size, since a request does not know the unit of its session.
    return time // 1000 if time > _LAST_MILLISECOND else time


def _minutes(sign: str, hours: str, minutes: str) -> int:
    return (-1 if sign == "-" else 1) * (int(hours) * 60 + int(minutes))


def all_of(*rules: Rule) -> Rule:
    """All of the rules, in order."""
    words = "; ".join(rule.__doc__ or "" for rule in rules)
    return in_words(words, lambda request: next(filter(None, (rule(request) for rule in rules)), None))


def in_words(words: str | None, rule: Rule) -> Rule:
    """The rule, with what it demands in words."""
    rule.__doc__ = words
    return rule


def _given(request: Any, names: Sequence[str]) -> list[str]:
    return [name for name in names if getattr(request, name) is not None]
