"""Text of a command line to a request: NAME=VALUE, as a shell leaves it.

A time may be an ISO date. A list may be JSON, or items with commas or blanks between. What looks like a slip is refused
with a hint before it is sent: a known value in another case, a value that is nearly a known one, and a symbol that is
not written as the exchange writes symbols. All else is sent, since enums are open (G10).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from bintrio import InvalidRequest, Request
from bintrio._text import did_you_mean
from bintrio.api._base import Parameter, parameters
from bintrio.api._values import times_in
from bintrio.api.enums import known_values
from bintrio.endpoints import TimeUnit
from bintrio.times import from_datetime

# The exchange's own pattern for symbols, ^[\w\-._&&[^a-z]]{1,50}$, says the rest.
_NOT_IN_SYMBOLS: Final = re.compile(r"[a-z/:,;\s'\"\[\]()]")
_AROUND_ITEMS: Final = " \t\r\n'\"\\[]()"


def texts_of(arguments: Iterable[str]) -> dict[str, str]:
    """The values by name.

    Raises:
        InvalidRequest: an argument is not NAME=VALUE, or a name is given twice.
    """
    texts: dict[str, str] = {}
    for argument in arguments:
        name, equals, text = _in_utf8(argument).partition("=")
        # Mostly blanks around the equals sign.
        if not name or not equals:
            raise InvalidRequest(f"{argument!r} is not NAME=VALUE; there are no blanks around the =")
        # Which of the two is meant, nobody can say.
        if name in texts:
            raise InvalidRequest(f"{name} is given twice", field=name)
        texts[name] = text
    return texts


def _in_utf8(argument: str) -> str:
    """What Python could not decode, since the locale is another, read as UTF-8 after all."""
    try:
        return os.fsencode(argument).decode()
    except UnicodeError:
        return argument


def request_of(
    request_type: type[Request[Any]], texts: Mapping[str, str], *, time_unit: TimeUnit = "ms"
) -> Request[Any]:
    """A request from text.

    Raises:
        InvalidRequest: a name is not known, missing or given twice, or a value cannot be right or looks like a slip.
    """
    return request_type(**values_of(request_type, texts, time_unit=time_unit, anyway="; --raw sends it anyway"))


def values_of(
    request_type: type[Request[Any]], texts: Mapping[str, str], *, time_unit: TimeUnit = "ms", anyway: str = ""
) -> dict[str, Any]:
    """The values of a request's parameters from text, by their Python names.

    Args:
        request_type: whose parameters they are.
        texts: the values as they were written, by either name.
        time_unit: of the times that are given as ISO dates.
        anyway: what is said behind a hint, of how the value is sent all the same.

    Raises:
        InvalidRequest: a name is not known, missing or given twice, or a value looks like a slip.
    """
    values: dict[str, Any] = {}
    for name, text in texts.items():
        parameter = _parameter(request_type, name)
        # One parameter has two names, and both may be given.
        if parameter.name in values:
            raise InvalidRequest(f"{request_type.api.name}: {parameter.name} is given twice", field=parameter.name)
        # Only a parameter that is a time: a symbol or an id may look like a date.
        if parameter.name in times_in(request_type):
            values[parameter.name] = _time(request_type.api.name, parameter, text, time_unit)
        else:
            values[parameter.name] = _value(parameter, text)
    _check_whole(request_type, values)
    _check_slips(request_type, values, anyway)
    return values


def _parameter(request_type: type[Request[Any]], name: str) -> Parameter:
    """The parameter of that name, the exchange's or Python's."""
    known = {name: each for each in parameters(request_type) for name in (each.wire_name, each.name)}
    if name not in known:
        raise InvalidRequest(f"{request_type.api.name}: no parameter {name!r}{did_you_mean(name, known)}", field=name)
    return known[name]


def _check_whole(request_type: type[Request[Any]], values: Mapping[str, Any]) -> None:
    for parameter in parameters(request_type):
        if parameter.required and parameter.name not in values:
            raise InvalidRequest(f"{request_type.api.name}: {parameter.wire_name} is missing", field=parameter.name)


def _time(method: str, parameter: Parameter, text: str, time_unit: TimeUnit) -> Any:
    moment = _moment(text, time_unit)
    # What a request says of a number that is none would say nothing of dates.
    if moment is None and parameter.kind(text) is None:
        expected = f"an ISO date, such as 2026-01-31T12:30, or an int of 64 bits in {time_unit}"
        raise InvalidRequest(
            f"{method}: {parameter.wire_name} must be {expected}, not {text!r:.80}", field=parameter.name
        )
    return text if moment is None else moment


def _moment(text: str, time_unit: TimeUnit) -> int | None:
    """An ISO date, ``2026-01-31`` or ``2026-01-31T12:30``, which is in UTC unless it says otherwise; else None."""
    if "-" not in text:  # 20260131 is a date by ISO 8601 too, but here it is a number
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    # Without an offset it is UTC, as everywhere with the exchange.
    return from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC), time_unit=time_unit)


def _value(parameter: Parameter, text: str) -> Any:
    """The first reading of the text that the parameter takes, so that "true" stays a string where one is expected."""
    return next((reading for reading in _readings(text) if parameter.kind(reading) is not None), text)


def _readings(text: str) -> Iterator[Any]:
    yield text
    # The text itself came first: a client order id may be "true".
    if text in {"true", "false"}:
        yield text == "true"
    value = raw_value(text)
    # Where the shell took the quotes of a JSON array, the items are still told apart.
    yield value if isinstance(value, list) else _items(text)


def _items(text: str) -> list[str]:
    items = (item.strip(_AROUND_ITEMS) for item in re.split(r"[,\s]+", text))
    return [item for item in items if item]


def raw_value(text: str) -> Any:
    """A JSON value if it has an exact one that is not null, else the text itself."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return text
    # A float would have lost digits; null means nothing to the exchange.
    return text if value is None or isinstance(value, float) else value


# Slips


def _check_slips(request_type: type[Request[Any]], values: Mapping[str, Any], anyway: str) -> None:
    annotations = {field.name: field.type for field in msgspec.structs.fields(request_type)}
    for name, value in values.items():
        find = _meant_symbol if name in {"symbol", "symbols"} else _meant_value
        for text in _each(value):
            meant = find(text, known_values(annotations[name])) if isinstance(text, str) else None
            if meant is not None:
                said = f"{request_type.api.name}: {name} {text!r:.80}: did you mean {meant!r}?{anyway}"
                raise InvalidRequest(said, field=name)


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType]


def _meant_symbol(text: str, _known: tuple[str, ...]) -> str | None:
    # Mostly btcusdt or BTC/USDT.
    return _NOT_IN_SYMBOLS.sub("", text.upper()) or None if _NOT_IN_SYMBOLS.search(text) else None


def _meant_value(text: str, known: tuple[str, ...]) -> str | None:
    if text in known:
        return None
    # Of the right letters in the wrong case there is no doubt what was meant.
    same = [value for value in known if value.casefold() == text.casefold()]
    if same or not all(value.isupper() for value in known):  # a new interval is hardly ever unlike the known ones
        return next(iter(same), None)
    return next(iter(get_close_matches(text.upper(), known, n=1)), None)
