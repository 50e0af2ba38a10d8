"""The durations and sizes of a session, and what is checked before anything is opened."""

from __future__ import annotations

import inspect
import math
import ssl
from collections.abc import Set
from typing import Any, Final, get_args

import msgspec

from .._text import shown
from ..endpoints import Address, TimeUnit
from ..errors import InvalidRequest
from .signing import Key

UNITS_PER_MILLISECOND: Final[dict[TimeUnit, int]] = {"ms": 1, "us": 1000}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The durations, in seconds, and sizes, in bytes, of a session. `open_session` says what each means."""

    request_timeout: float
    connect_timeout: float
    close_timeout: float
    pong_window: float
    lifetime: float
    drain_timeout: float
    max_message_size: int
    time_unit: TimeUnit

    def in_unit(self, milliseconds: int) -> int:
        """A time or duration in the unit of the session, in which users and the exchange have it."""
        return milliseconds * UNITS_PER_MILLISECOND[self.time_unit]


LONGEST_NAME: Final = 100
"""Characters that the name of a session may have."""

_LONGEST: Final = 10**12  # seconds


def checked_settings(*, max_message_size: Any, time_unit: Any, **durations: Any) -> Settings:
    """Settings of values that can be right.

    Raises:
        InvalidRequest: a duration is no positive number, or infinite although it is no lifetime; the size is no
            positive int; the unit is not known.
    """
    for name, value in durations.items():
        check_duration(name, value)
    check_positive_int("max_message_size", max_message_size)
    if not isinstance(time_unit, str) or time_unit not in get_args(TimeUnit):
        raise InvalidRequest(f"time_unit must be 'ms' or 'us', not {shown(time_unit)}", field="time_unit")
    unit: Any = time_unit
    return Settings(max_message_size=max_message_size, time_unit=unit, **durations)


def check_duration(name: str, value: Any) -> None:
    """Raise `InvalidRequest` unless the value is a positive number, and finite if it is no lifetime."""
    # `not value > 0` holds for NaN as well, `value <= 0` would not.
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise InvalidRequest(f"{name} must be a positive number of seconds, not {shown(value)}", field=name)
    # An int may be too long for a float.
    if value > _LONGEST and not (name == "lifetime" and value == math.inf):
        raise InvalidRequest(f"{name} must be finite", field=name)


def check_fraction(name: str, value: Any) -> None:
    """Raise `InvalidRequest` unless the value is a number from 0 to 1."""
    # To Python a bool is an int, here and below.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InvalidRequest(f"{name} must be a number from 0 to 1, not {shown(value)}", field=name)


def check_positive_int(name: str, value: Any) -> None:
    """Raise `InvalidRequest` unless the value is a positive int."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**63:
        raise InvalidRequest(f"{name} must be a positive int, not {shown(value)}", field=name)


def check_bool(name: str, value: Any) -> None:
    """Raise `InvalidRequest` unless the value is a bool, or None."""
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest(f"{name} must be a bool, not {shown(value)}", field=name)


def check_options(*, ssl_context: Any, connect: Any, ledger: Any) -> None:
    """Raise `InvalidRequest` unless each is None, or can be what it is for."""
    if ssl_context is not None and not isinstance(ssl_context, ssl.SSLContext):
        raise InvalidRequest(f"ssl_context must be an ssl.SSLContext, not {shown(ssl_context)}", field="ssl_context")
    if connect is not None and not callable(connect):
        raise InvalidRequest(f"connect must be an async function, not {shown(connect)}", field="connect")
    # By what it can do: programs may bring a ledger of their own.
    if ledger is not None and not callable(getattr(ledger, "charge", None)):
        hint = ": give it what .account(name) gives" if callable(getattr(ledger, "account", None)) else ""
        raise InvalidRequest(f"ledger must be a Ledger, not {shown(ledger)}{hint}", field="ledger")


def check_name(what: str, name: Any, *, field: str = "name") -> None:
    """Raise `InvalidRequest` unless the name is short text that can be shown."""
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
        said = f"{what} must be 1 to {LONGEST_NAME} printable characters, not {shown(name)}"
        raise InvalidRequest(said, field=field)


def check_observation(*, name: Any, observer: Any, observe_params: Any) -> None:
    """Raise `InvalidRequest` unless each can be what it is for: see `open_session`."""
    # Without a name the session goes by that of its endpoint.
    if name is not None:
        check_name("name", name)
    # An observer is told in the middle of synchronous steps, where nothing may wait.
    if observer is not None and (is_async(observer) or not callable(observer)):
        said = f"observer must be a function that is not async, not {shown(observer)}"
        raise InvalidRequest(said, field="observer")
    kinds = getattr(observer, "fact_kinds", None)
    if kinds is not None and not isinstance(kinds, Set):
        said = f"the fact_kinds of an observer must be a set of classes of facts, not {shown(kinds)}"
        raise InvalidRequest(said, field="observer")
    check_bool("observe_params", observe_params)


def is_async(function: object) -> bool:
    """Whether what a function gives is to be awaited."""
    # An object with an async `__call__` is one too.
    return any(map(inspect.iscoroutinefunction, (function, type(function).__call__)))


def check_key(key: Any, *, or_none: bool = True) -> None:
    """Raise `InvalidRequest` unless the key is one, or None where that will do."""
    if not isinstance(key, Key) and not (or_none and key is None):
        kind = type(key).__name__
        raise InvalidRequest(f"key must be an Ed25519Key, HmacKey or RsaKey, not {kind}", field="key")


def check_privacy(address: Address, key: Key | None, *, is_private: bool) -> None:
    """Raise `InvalidRequest` if a key, or the password in a URL, would travel where others can read (G9)."""
    # A password in the URL goes out with the handshake, also where there is no key.
    if not is_private and (key is not None or address.authorization is not None):
        secret = "a key" if key is not None else "a password"
        way = f"over plain ws:// to {address.host}"
        raise InvalidRequest(
            f"{secret} must not travel {way}: use wss://, or a loopback address and no proxy", field="endpoint"
        )
