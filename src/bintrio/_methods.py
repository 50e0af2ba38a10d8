"""One line per API method: what `Session` offers, derived from the request declarations.

`Call` carries a request's constructor through a `ParamSpec`, so parameters are declared once, in `api`, and a type
checker knows them here: ``await session.depth(symbol="BTCUSDT")`` is an `OrderBook`, and a misspelt parameter is an
error. At runtime a missing, unexpected or misspelt argument is an `InvalidRequest` that names method and argument.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from difflib import get_close_matches
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, ParamSpec, TypeVar, overload

import msgspec

from .api._base import Request, parameters, python_name
from .api.account import AccountStatus, OpenOrdersStatus, OrderStatus
from .api.authentication import SessionLogon, SessionLogout, SessionStatus
from .api.general import ExchangeInfo, Ping, Time
from .api.market import Depth
from .api.trading import OrderCancel, OrderPlace, OrderTest
from .api.user_data import (
    SessionSubscriptions,
    UserDataStreamSubscribe,
    UserDataStreamSubscribeSignature,
    UserDataStreamUnsubscribe,
)
from .errors import InvalidRequest

P = ParamSpec("P")
R = TypeVar("R")


class Call(Generic[P, R]):
    """An API method of `Methods`: its parameters are those of the request, its result is the request's."""

    def __init__(self, request_type: Callable[P, Request[R]]) -> None:
        self._request_type: Final[Any] = request_type
        self._function: Callable[..., Coroutine[Any, Any, R]] | None = None

    def __set_name__(self, owner: type[Methods], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type[Methods]) -> Callable[..., Coroutine[Any, Any, R]]: ...
    @overload
    def __get__(self, instance: Methods, owner: type[Methods]) -> Callable[P, Coroutine[Any, Any, R]]: ...

    def __get__(self, instance: Methods | None, owner: type[Methods]) -> Callable[..., Coroutine[Any, Any, R]]:
        if self._function is None:
            self._function = _function(self._name, self._request_type)
        return self._function if instance is None else MethodType(self._function, instance)


class Methods(ABC):
    """The exchange's API, one coroutine function per method, in the order of its document."""

    @abstractmethod
    async def send(self, request: Request[R], /) -> R:
        """Send a request held as a value."""

    if not TYPE_CHECKING:
        # Hidden from type checkers, which would otherwise believe that every name exists.
        def __getattr__(self, name: str) -> NoReturn:
            message = f"{type(self).__name__!r} has no method or attribute {name!r}{_did_you_mean(name, _names(self))}"
            raise AttributeError(message, name=name, obj=self)

    ping = Call(Ping)
    time = Call(Time)
    exchange_info = Call(ExchangeInfo)
    depth = Call(Depth)
    session_logon = Call(SessionLogon)
    session_status = Call(SessionStatus)
    session_logout = Call(SessionLogout)
    order_place = Call(OrderPlace)
    order_test = Call(OrderTest)
    order_cancel = Call(OrderCancel)
    account_status = Call(AccountStatus)
    order_status = Call(OrderStatus)
    open_orders_status = Call(OpenOrdersStatus)
    user_data_stream_subscribe = Call(UserDataStreamSubscribe)
    user_data_stream_unsubscribe = Call(UserDataStreamUnsubscribe)
    session_subscriptions = Call(SessionSubscriptions)
    user_data_stream_subscribe_signature = Call(UserDataStreamSubscribeSignature)


def _function(name: str, request_type: type[Request[R]]) -> Callable[..., Coroutine[Any, Any, R]]:
    """The coroutine function behind a `Call`, dressed so that `help` shows the request's parameters."""

    async def call(self: Methods, *args: Any, **kwargs: Any) -> R:
        try:
            request = request_type(*args, **kwargs)
        except TypeError:
            _complain(request_type, args, kwargs)
            raise
        return await self.send(request)

    call.__name__ = name
    call.__qualname__ = f"{Methods.__name__}.{name}"
    call.__doc__ = request_type.__doc__
    call.__signature__ = _signature(request_type)  # type: ignore[attr-defined]  # inspect's own protocol
    return call


def _signature(request_type: type[Request[Any]]) -> inspect.Signature:
    """``(self, *, symbol: 'str', limit: 'int | None' = None)``, with the annotations as they were written."""
    written: dict[str, Any] = {}
    for base in reversed(request_type.__mro__):
        written |= inspect.get_annotations(base)
    fields = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.required else field.default,
            annotation=written[field.name],
        )
        for field in msgspec.structs.fields(request_type)
    ]
    return inspect.Signature([inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY), *fields])


def _complain(request_type: type[Request[Any]], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Say in our words why a request could not be built from these arguments, if that is the reason."""
    method = request_type.api.name
    known = [parameter.name for parameter in parameters(request_type)]
    if args:
        raise InvalidRequest(f"{method}: arguments are given by name, not by position") from None
    for name in kwargs:
        if name not in known:
            raise InvalidRequest(f"{method}: no parameter {name!r}{_did_you_mean(name, known)}", field=name) from None
    for parameter in parameters(request_type):
        if parameter.required and parameter.name not in kwargs:
            raise InvalidRequest(f"{method}: {parameter.name} is missing", field=parameter.name) from None


def _names(methods: Methods) -> list[str]:
    return [name for name in dir(methods) if not name.startswith("_")]


def _did_you_mean(name: str, known: list[str]) -> str:
    found = get_close_matches(python_name(name), known, n=1)
    return f"; did you mean {found[0]!r}?" if found else ""
