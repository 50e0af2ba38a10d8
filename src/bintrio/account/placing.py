"""How a request that places becomes a method of an account: its parameters are declared once, in `api`."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any, Final, Generic, ParamSpec, TypeVar, overload

from .._client.calls import Coro, function_of
from ..api._base import Request

P = ParamSpec("P")
H = TypeVar("H")


class Placing(Generic[P, H]):
    """A method whose parameters are those of a request, and which gives a handle.

    Args:
        request_type: what is sent.
        carry_out: sends it, and gives the handle.
    """

    def __init__(
        self, request_type: Callable[P, Request[Any]], carry_out: Callable[[Any, Request[Any]], Coro[H]]
    ) -> None:
        self._request_type: Final[Any] = request_type
        self._carry_out: Final = carry_out

    def __set_name__(self, owner: type, name: str) -> None:
        self._function: Callable[..., Coro[H]] = function_of(owner, name, self._request_type, self._carry_out)

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[..., Coro[H]]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Callable[P, Coro[H]]: ...

    def __get__(self, instance: object | None, owner: type) -> Callable[..., Coro[H]]:
        return self._function if instance is None else MethodType(self._function, instance)
