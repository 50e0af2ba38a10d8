"""`Request[R]`: one declaration per API method, serving client, sandbox, command line and docs.

A method is one class, decorated with what a machine must know of it::

    @api("depth", security="NONE", source="Memory", weight=depth_weight, repeatable=True, section="order-book")
    class Depth(Request[OrderBook], frozen=True, kw_only=True):
        symbol: str
        limit: int | None = None

Building a request checks it: every value has the type its field asks for, a `Decimal` is finite and not negative, a
string is not empty, and the rules between parameters hold. What is wrong is said in an `InvalidRequest` that names the
field, before anything is sent. Enum values are not checked (see `_values`).

Decimals. A float is refused, because most prices have no exact binary form. `Decimal`, `int` and numeric strings are
accepted and kept as `Decimal`. They leave in plain notation: ``str(Decimal("0.0000001"))`` is ``1E-7``, which the
exchange answers with -1100.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from itertools import compress, repeat
from operator import call, is_not
from types import MappingProxyType, NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    NamedTuple,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
)

import msgspec

from bintrio._text import shown
from bintrio.errors import InvalidRequest

from ._rules import Rule
from ._values import Shown, plain

if TYPE_CHECKING:
    Number: TypeAlias = Decimal | str | int
    Milliseconds: TypeAlias = Decimal | str | int
else:
    # What a request holds once it is built, and so what the sandbox decodes.
    Number = Decimal
    # Up to three decimal places. Whole ones go out as a JSON number, as the exchange's examples have them.
    Milliseconds = Annotated[Decimal, msgspec.Meta(extra={"unit": "ms"})]

R_co = TypeVar("R_co", covariant=True)
RequestT = TypeVar("RequestT", bound="Request[Any]")

Json: TypeAlias = "str | int | bool | None | list[Json] | dict[str, Json]"

Security = Literal["NONE", "TRADE", "USER_DATA", "USER_STREAM", "SESSION"]
"""The exchange's security types; ``SESSION`` is ours for session.logon, which the document tags SIGNED, and for
userDataStream.subscribe, which needs a session that is logged on but takes no parameters."""

DataSource = Literal["", "Matching Engine", "Memory", "Database", "Memory => Database"]

# Where camelCase begins a new word.
_HUMP: Final = re.compile(r"(?<=[a-z0-9])[A-Z]")

# Digits before the point, and behind it, that a number may have: the exchange takes far fewer, and ``1E+999999``
# written out is a million.
_LONGEST_NUMBER: Final = 64

# DECIMAL parameters as the exchange reads them: no sign, no exponent ("Illegal characters", -1100).
_PLAIN_NUMBER: Final = re.compile(r"\d{1,64}(\.\d{0,64})?|\.\d{1,64}", re.ASCII)


_NOTHING_GIVEN: Final = repeat(None)
_ask: Final[Any] = call

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Shapes(NamedTuple):
    """How the parameters of a request decide the shape of its answer.

    Attributes:
        kind: the kind of answer that a request asks for, by a short name.
        results: the type of the result by kind. A kind that is not there leaves it open.
    """

    kind: Callable[[Any], Hashable]
    results: Mapping[Any, Any]


class Api(NamedTuple):
    """What a machine must know of an API method.

    Attributes:
        name: the exchange's name of the method.
        security: who may call it.
        source: where the exchange takes the answer from, as the document writes it ("Data sources"): what is not the
            matching engine's own answer may be from a moment ago. Empty where the document says nothing.
        weight: request weight, or a function of the request that gives it.
        weight_on_success: what a successful call weighs in the end ("Trading requests", since 2026-04-02).
        orders: how many unfilled orders the call adds.
        purpose: "cancel" if it cancels and does nothing else, for which request weight is kept in reserve; else "call".
        signed: whether it takes timestamp, apiKey and signature.
        repeatable: whether it only reads, so that it may be sent again after a lost connection (G7).
        client_ids: fields that are filled with a fresh client order id when they are None.
        section: anchor in the exchange's document.
        result: the type of its result; where that may have several shapes, a union of them.
        rules: what must hold between its parameters.
        shapes: how its parameters decide the shape of its result; None if they do not.
        notes: what the method says of its parameters in place of what `_words` says of all that have their names.
    """

    name: str
    security: Security
    source: DataSource
    weight: int | Callable[[Any], int]
    weight_on_success: int | None
    orders: int
    purpose: Literal["call", "cancel"]
    signed: bool
    repeatable: bool
    client_ids: tuple[str, ...]
    section: str
    result: Any
    rules: tuple[Rule, ...]
    shapes: Shapes | None = None
    notes: Mapping[str, str] = NOTHING

    @property
    def is_behind(self) -> bool:
        """Whether the exchange may answer from a moment ago, by its data source."""
        return self.source not in {"", "Matching Engine"}

    @property
    def url(self) -> str:
        """The method's section in the exchange's document."""
        return f"https://github.com/binance/binance-spot-api-docs/blob/master/web-socket-api.md#{self.section}"


_LONGEST_METHOD: Final = 200  # characters; the longest known has 33


def unknown_api(method: Any) -> Api:
    """What is assumed of a method that the catalogue does not know: that it is public, and may change something.

    Raises:
        InvalidRequest: it is no name.
    """
    if not isinstance(method, str) or not 0 < len(method) <= _LONGEST_METHOD:
        raise InvalidRequest(f"method must be a str that is not empty, not {shown(method)}", field="method")
    return Api(
        # A member of an enum becomes its value.
        name=str.__str__(method),
        security="NONE",
        source="",
        weight=1,
        weight_on_success=None,
        orders=0,
        purpose="call",
        signed=False,
        repeatable=False,
        client_ids=(),
        section="",
        result=Any,
        rules=(),
    )


class Request(
    Shown,
    Generic[R_co],
    frozen=True,
    kw_only=True,
    rename="camel",
    omit_defaults=True,
):
    """A call held as a value: ``await session.send(request)`` gives its ``R``.

    Raises:
        InvalidRequest: when it is built with values that cannot be right.
    """

    api: ClassVar[Api]

    def __post_init__(self) -> None:
        # Of twenty fields most are None, which are left out here, and most of the others are exact.
        values = msgspec.structs.astuple(self)
        checks = zip(_checks(type(self)), values, strict=False)
        for (exact_type, parameter), value in compress(checks, map(is_not, values, _NOTHING_GIVEN)):
            if value.__class__ is not exact_type or not value:
                exact = parameter.kind(value)
                if exact is not value:
                    self._replace(parameter, value, exact)
        # After all values: rules compare them, and rely on their exact form.
        for broken in filter(None, map(_ask, self.api.rules, repeat(self))):
            raise InvalidRequest(f"{self.api.name}: {broken}")

    def _replace(self, parameter: Parameter, value: Any, exact: Any) -> None:
        # The message names the field, the type of the value and what was expected.
        if exact is None:
            raise InvalidRequest(_complaint(self.api.name, parameter, value), field=parameter.name)
        # The request is frozen for its users, who do not have it yet.
        msgspec.structs.force_setattr(self, parameter.name, exact)

    @property
    def weight(self) -> int:
        """Request weight of this very call."""
        weight = self.api.weight
        return weight if isinstance(weight, int) else weight(self)

    def params(self) -> dict[str, Json]:
        """The parameters as they go out, by their wire names; None is left out."""
        params: dict[str, Any] = msgspec.to_builtins(self)
        in_plain_json = _unlike_json(type(self))
        # msgspec writes a Decimal as `str` does, which may be with an exponent.
        for name in in_plain_json.keys() & params.keys():
            params[name] = in_plain_json[name](params[name])
        return params


catalogue: Final[dict[str, type[Request[Any]]]] = {}
"""Every declared method by the exchange's name, in the order of declaration."""


def api(
    name: str,
    *,
    security: Security,
    weight: int | Callable[[Any], int],
    section: str,
    source: DataSource = "",
    weight_on_success: int | None = None,
    orders: int = 0,
    cancels: bool = False,
    signed: bool | None = None,
    repeatable: bool | None = None,
    client_ids: tuple[str, ...] = (),
    rules: tuple[Rule, ...] = (),
    shapes: Shapes | None = None,
    notes: Mapping[str, str] = NOTHING,
) -> Callable[[type[RequestT]], type[RequestT]]:
    """Declare a `Request` class to be an API method.

    ``signed`` follows from the security type, and ``repeatable`` is what does not trade, unless given.

    Raises:
        TypeError: a field has another default than None. It would not be sent, and what the exchange takes in its place
            is not for us to say.
    """

    def declare(request_type: type[RequestT]) -> type[RequestT]:
        # What the exchange takes for a parameter that does not come, it may change at any time.
        if not {None, msgspec.NODEFAULT}.issuperset(request_type.__struct_defaults__):
            raise TypeError(f"{name}: only None may be a default")
        base = request_type.__orig_bases__[0]  # type: ignore[attr-defined]  # typing's own protocol
        catalogue[name] = request_type
        request_type.api = Api(
            name=name,
            security=security,
            source=source,
            weight=weight,
            weight_on_success=weight_on_success,
            orders=orders,
            purpose="cancel" if cancels else "call",
            signed=security in {"TRADE", "USER_DATA"} if signed is None else signed,
            repeatable=security != "TRADE" if repeatable is None else repeatable,
            client_ids=client_ids,
            section=section,
            result=get_args(base)[0],
            rules=rules,
            shapes=shapes,
            notes=notes,
        )
        return request_type

    return declare


class Parameter(NamedTuple):
    """One field of a request: its Python name, its wire name, and the function that makes its value exact."""

    name: str
    wire_name: str
    kind: Callable[[Any], Any]
    required: bool


@cache
def parameters(request_type: type[Request[Any]]) -> tuple[Parameter, ...]:
    """The parameters of a request class, in the alphabetical order of their wire names."""
    return tuple(sorted(_in_order(request_type), key=lambda parameter: parameter.wire_name))


@cache
def fields(request_type: type[Request[Any]]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields of a request class. To find out their types takes a while, so that is done once."""
    return msgspec.structs.fields(request_type)


@cache
def _in_order(request_type: type[Request[Any]]) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(field.name, field.encode_name, _kind(field.type), field.required) for field in fields(request_type)
    )


@cache
def _checks(request_type: type[Request[Any]]) -> tuple[tuple[type | None, Parameter], ...]:
    """The parameters in order, each with the type of which all values but the empty one, or zero, are exact."""
    return tuple((_EXACT.get(parameter.kind), parameter) for parameter in _in_order(request_type))


@cache
def _unlike_json(request_type: type[Request[Any]]) -> dict[str, Callable[[Any], Any]]:
    """What gives a parameter the form in which it goes out, for those that `msgspec.to_builtins` gives in another."""
    known = [(parameter.wire_name, _MENDED.get(parameter.kind)) for parameter in _in_order(request_type)]
    return {name: mend for name, mend in known if mend is not None}


def python_name(name: str) -> str:
    """The exchange's name of a method or field in Python: ``order.cancelReplace`` is ``order_cancel_replace``."""
    return _HUMP.sub(r"_\g<0>", name.replace(".", "_")).lower()


@cache
def wire_name(name: str) -> str:
    """The Python name of a field as it is on the wire: ``new_client_order_id`` is ``newClientOrderId``."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _as_plain(value: str | int) -> str | int:
    """A Decimal that msgspec has written as `str` does. Whole milliseconds are an int."""
    return plain(Decimal(value)) if isinstance(value, str) and ("E" in value or "e" in value) else value


_NOT_NEGATIVE: Final = frozenset({"+Zero", "+Subnormal", "+Normal"})  # and finite


# Kinds: each takes a value that is not None, and gives it in its exact form, or None if it cannot be right. The exact
# form is of the very type, and not of one derived from it: a member of an enum becomes its value.


def _decimal(value: Any) -> Decimal | None:
    if value.__class__ is not Decimal:
        # An exponent or a sign is refused here, as the exchange does, and not made into something else.
        if isinstance(value, str):
            return Decimal(value) if _PLAIN_NUMBER.fullmatch(value) else None
        # A float has been rounded before it came here. True is an int to Python.
        if not isinstance(value, int | Decimal) or isinstance(value, bool):
            return None
        value = Decimal(value)
    # NaN and infinities are Decimals too, and ``1E+999999`` would be a million digits written out.
    return value if value.number_class() in _NOT_NEGATIVE and abs(value.adjusted()) < _LONGEST_NUMBER else None


def number(name: str, value: Any) -> Decimal:
    """A price or quantity from what requests take for one.

    Raises:
        InvalidRequest: it is none; ``name`` is told as the field.
    """
    exact = _decimal(value)
    if exact is None:
        raise InvalidRequest(f"{name} must be {_NUMBER}, not {shown(value)}{_hint(value, _NUMBER)}", field=name)
    return exact


def _duration(value: Any) -> Decimal | int | None:
    exact = _decimal(value)
    # Whole milliseconds go out as a JSON number.
    return _integer(int(exact)) if exact is not None and exact == exact.to_integral_value() else exact


def _integer(value: Any) -> int | None:
    if isinstance(value, str):
        digits = value.removeprefix("-")
        # Python reads other digits than 0 to 9, blanks and underscores as well; the exchange does not.
        is_number = len(value) <= _LONGEST_NUMBER and digits.isascii() and digits.isdecimal()
        value = int(value) if is_number else None
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    # The exchange's LONG has 64 bits.
    return int(value) if -(2**63) <= value < 2**63 else None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _string(value: Any) -> str | None:
    if value.__class__ is not str:
        value = str.__str__(value) if isinstance(value, str) else None
    # The exchange refuses an empty string as it does one that is missing.
    return value or None


def _strings(value: Any) -> tuple[str, ...] | None:
    # A string is a sequence of strings too, but hardly ever meant as one.
    if isinstance(value, str) or not isinstance(value, Sequence):
        return None
    items = tuple(map(_string, value))  # pyright: ignore[reportUnknownArgumentType]
    return cast("tuple[str, ...]", items) if items and None not in items else None


_KINDS: Final[dict[Any, Callable[[Any], Any]]] = {
    Decimal: _decimal,
    Milliseconds: _duration,
    bool: _boolean,
    int: _integer,
    str: _string,
    Sequence: _strings,
}

# Not int: one of 5,000 digits is an int as well.
_EXACT: Final[dict[Callable[[Any], Any], type]] = {_boolean: bool, _string: str}
_MENDED: Final[dict[Callable[[Any], Any], Callable[[Any], Any]]] = {
    _decimal: _as_plain,
    _duration: _as_plain,
    _strings: list,
}

_NUMBER: Final = (
    f"a finite Decimal, int or numeric string without exponent, not negative, of at most {_LONGEST_NUMBER} digits"
)
_EXPECTED: Final[dict[Callable[[Any], Any], str]] = {
    _decimal: _NUMBER,
    _duration: _NUMBER,
    _boolean: "a bool",
    _integer: "an int of 64 bits",
    _string: "a str that is not empty",
    _strings: "a sequence of str that is not empty",
}


def _kind(annotation: Any) -> Callable[[Any], Any]:
    # Optional parameters: the type beside None.
    if get_origin(annotation) in {Union, UnionType}:
        (annotation,) = (member for member in get_args(annotation) if member is not NoneType)
    if annotation in _KINDS:
        return _KINDS[annotation]
    # An open enum: text with its known values beside.
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return _KINDS[get_origin(annotation) or annotation]


def _complaint(method: str, parameter: Parameter, value: Any) -> str:
    expected = _EXPECTED[parameter.kind]
    return f"{method}: {parameter.name} must be {expected}, not {shown(value)}{_hint(value, expected)}"


def _hint(value: Any, expected: str) -> str:
    """How to write what was meant, behind what is said of the value."""
    # Mostly a price that was written without quotes.
    if isinstance(value, float) and expected is _NUMBER:
        return f"; a float has no exact decimal value, write Decimal({str(value)!r})"
    return "; bintrio.times.from_datetime makes an int of it" if isinstance(value, datetime) else ""
