"""How a request declaration becomes a method: descriptors that carry the request's constructor.

`Method` carries it through a `ParamSpec`, so parameters are declared once, in `api`, and a type checker knows them
here: ``await session.depth(symbol="BTCUSDT")`` is an `OrderBook`, and a misspelt parameter is an error. At runtime a
missing, unexpected or misspelt argument is an `InvalidRequest` that names method and argument.

Where parameters decide the shape of the result, `Narrowed3`, `Narrowed4` and `Narrowed5` carry several constructors,
one per shape, which become overloads: the first that takes the arguments gives the result. Only the last is real; the
others are known to type checkers alone (`api._narrowed`). There is one class per number, because no type says "as many
overloads as there are arguments".
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, ParamSpec, Protocol, TypeAlias, TypeVar, overload

from .._text import did_you_mean
from ..api._base import Request, fields, parameters
from ..api._help import help_of
from ..errors import InvalidRequest

P = ParamSpec("P")
R = TypeVar("R")
H = TypeVar("H")
Coro: TypeAlias = Coroutine[Any, Any, R]


class Sender(Protocol):
    """What has methods: something that sends requests."""

    async def send(self, request: Request[R], /) -> R:
        """Send a request held as a value."""
        ...


class Method(Generic[P, R]):
    """An API method: its parameters are those of the request, its result is the request's."""

    def __init__(self, request_type: Callable[P, Request[R]]) -> None:
        self._request_type: Final[Any] = request_type

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner, self._name = owner, name

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[..., Coro[R]]: ...
    @overload
    def __get__(self, instance: Sender, owner: type) -> Callable[P, Coro[R]]: ...

    def __get__(self, instance: Sender | None, owner: type) -> Callable[..., Coro[R]]:
        # Made at the first use: a program calls few of the methods, and each takes a signature and a help text. From
        # then on the function is in the place of this, so that a call looks no further.
        function = function_of(self._owner, self._name, self._request_type, _send)
        setattr(self._owner, self._name, function)
        return function if instance is None else MethodType(function, instance)


def _send(sender: Sender, request: Request[R]) -> Coro[R]:
    return sender.send(request)


def function_of(
    owner: type, name: str, request_type: type[Request[R]], carry_out: Callable[[Any, Request[R]], Coro[H]]
) -> Callable[..., Coro[H]]:
    """The coroutine function of a class that makes a request of its arguments and has it carried out.

    Args:
        owner: the class.
        name: of the function.
        request_type: what the arguments make.
        carry_out: is given the instance and the request.
    """

    async def call(self: Any, *args: Any, **kwargs: Any) -> H:
        try:
            request = request_type(*args, **kwargs)
        except TypeError:
            # Python says it of `__init__`, which no user has called.
            complain(request_type, args, kwargs)
        return await carry_out(self, request)

    dress(call, owner, name, request_type)
    return call


def dress(function: Any, owner: type, name: str, request_type: type[Request[Any]]) -> None:
    """Let `help` show the parameters of a request as those of a function that makes it."""
    function.__name__ = name
    function.__qualname__ = f"{owner.__name__}.{name}"
    function.__module__ = owner.__module__
    function.__doc__ = help_of(request_type)
    # `inspect` and `help` go by it, and the arguments of the function itself say nothing.
    function.__signature__ = _signature(request_type)


def _signature(request_type: type[Request[Any]]) -> inspect.Signature:
    """``(self, *, symbol: 'str', limit: 'int | None' = None)``, with the annotations as they were written."""
    written: dict[str, Any] = {}
    # A request may inherit parameters; those of the class itself come last.
    for base in reversed(request_type.__mro__):
        written |= inspect.get_annotations(base)
    shown = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.required else field.default,
            annotation=written[field.name],
        )
        for field in sorted(fields(request_type), key=lambda field: not field.required)
    ]
    return inspect.Signature([inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY), *shown])


def complain(request_type: type[Request[Any]], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> NoReturn:
    """Say in our words why a request could not be built from these arguments; else raise the error that it ended in."""
    method = request_type.api.name
    known = [parameter.name for parameter in parameters(request_type)]
    # Requests have many parameters of the same type, so an order of them would be guessed.
    if args:
        raise InvalidRequest(f"{method}: arguments are given by name, not by position") from None
    # Before what is missing: a parameter that is misspelt is missing as well.
    for name in kwargs:
        if name not in known:
            raise InvalidRequest(f"{method}: no parameter {name!r}{did_you_mean(name, known)}", field=name) from None
    for parameter in parameters(request_type):
        if parameter.required and parameter.name not in kwargs:
            raise InvalidRequest(f"{method}: {parameter.name} is missing", field=parameter.name) from None
    # It was not the arguments: an error of the code below comes out as it is.
    raise


if TYPE_CHECKING:
    P1 = ParamSpec("P1")
    P2 = ParamSpec("P2")
    P3 = ParamSpec("P3")
    P4 = ParamSpec("P4")
    R1 = TypeVar("R1")
    R2 = TypeVar("R2")
    R3 = TypeVar("R3")
    R4 = TypeVar("R4")
    R_co = TypeVar("R_co", covariant=True)
    R1_co = TypeVar("R1_co", covariant=True)
    R2_co = TypeVar("R2_co", covariant=True)
    R3_co = TypeVar("R3_co", covariant=True)
    R4_co = TypeVar("R4_co", covariant=True)

    class _Overloads3(Protocol[P1, R1_co, P2, R2_co, P, R_co]):
        @overload
        def __call__(self, *args: P1.args, **kwargs: P1.kwargs) -> Coro[R1_co]: ...
        @overload
        def __call__(self, *args: P2.args, **kwargs: P2.kwargs) -> Coro[R2_co]: ...
        @overload
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coro[R_co]: ...

    class Narrowed3(Generic[P1, R1, P2, R2, P, R]):
        """A `Method` with two shapes of result, and one for when the parameters do not decide."""

        def __init__(
            self,
            first: Callable[P1, Request[R1]],
            second: Callable[P2, Request[R2]],
            any_of_them: Callable[P, Request[R]],
        ) -> None: ...

        def __get__(self, instance: Sender | None, owner: type) -> _Overloads3[P1, R1, P2, R2, P, R]:
            raise NotImplementedError

    class _Overloads4(Protocol[P1, R1_co, P2, R2_co, P3, R3_co, P, R_co]):
        @overload
        def __call__(self, *args: P1.args, **kwargs: P1.kwargs) -> Coro[R1_co]: ...
        @overload
        def __call__(self, *args: P2.args, **kwargs: P2.kwargs) -> Coro[R2_co]: ...
        @overload
        def __call__(self, *args: P3.args, **kwargs: P3.kwargs) -> Coro[R3_co]: ...
        @overload
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coro[R_co]: ...

    class Narrowed4(Generic[P1, R1, P2, R2, P3, R3, P, R]):
        """A `Method` with three shapes of result, and one for when the parameters do not decide."""

        def __init__(
            self,
            first: Callable[P1, Request[R1]],
            second: Callable[P2, Request[R2]],
            third: Callable[P3, Request[R3]],
            any_of_them: Callable[P, Request[R]],
        ) -> None: ...

        def __get__(self, instance: Sender | None, owner: type) -> _Overloads4[P1, R1, P2, R2, P3, R3, P, R]:
            raise NotImplementedError

    class _Overloads5(Protocol[P1, R1_co, P2, R2_co, P3, R3_co, P4, R4_co, P, R_co]):
        @overload
        def __call__(self, *args: P1.args, **kwargs: P1.kwargs) -> Coro[R1_co]: ...
        @overload
        def __call__(self, *args: P2.args, **kwargs: P2.kwargs) -> Coro[R2_co]: ...
        @overload
        def __call__(self, *args: P3.args, **kwargs: P3.kwargs) -> Coro[R3_co]: ...
        @overload
        def __call__(self, *args: P4.args, **kwargs: P4.kwargs) -> Coro[R4_co]: ...
        @overload
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coro[R_co]: ...

    class Narrowed5(Generic[P1, R1, P2, R2, P3, R3, P4, R4, P, R]):
        """A `Method` with four shapes of result, and one for when the parameters do not decide."""

        def __init__(
            self,
            first: Callable[P1, Request[R1]],
            second: Callable[P2, Request[R2]],
            third: Callable[P3, Request[R3]],
            fourth: Callable[P4, Request[R4]],
            any_of_them: Callable[P, Request[R]],
        ) -> None: ...

        def __get__(self, instance: Sender | None, owner: type) -> _Overloads5[P1, R1, P2, R2, P3, R3, P4, R4, P, R]:
            raise NotImplementedError


else:

    class Narrowed3(Method):
        """At runtime the last request is the one."""

        def __init__(self, *request_types: Any) -> None:
            super().__init__(request_types[-1])

    Narrowed4 = Narrowed5 = Narrowed3
