"""`Method`: a request's constructor as a coroutine function, and in words what is wrong with its arguments."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from bintrio._client.calls import Method, Narrowed3, Narrowed4, Narrowed5
from bintrio._client.in_flight import window_of
from bintrio.api._base import Request
from bintrio.api.general import Ping
from bintrio.api.market import Depth
from bintrio.errors import InvalidRequest


class Asker:
    """Gives back what it is asked to send."""

    depth = Method(Depth)
    ping = Method(Ping)
    either = Narrowed3(Ping, Ping, Depth)

    async def send(self, request: Request[Any], /) -> Any:
        return request


async def test_a_call_builds_and_sends_its_request() -> None:
    sent: Any = await Asker().depth(symbol="X", limit=5)
    assert sent == Depth(symbol="X", limit=5)


async def test_a_narrowed_call_sends_the_last_request() -> None:
    sent: Any = await Asker().either(symbol="X")
    assert sent == Depth(symbol="X")
    runtime: Any = (Narrowed3, Narrowed4, Narrowed5)
    assert runtime == (Narrowed3,) * 3


def test_a_call_is_a_coroutine_function_named_by_its_class() -> None:
    function: Any = Asker.depth
    assert inspect.iscoroutinefunction(function)
    assert (function.__qualname__, function.__module__) == ("Asker.depth", __name__)
    assert function is Asker.depth
    assert str(inspect.signature(Asker().ping)) == "()"
    assert list(inspect.signature(function).parameters) == ["self", "symbol", "limit", "symbol_status"]


@pytest.mark.parametrize(
    ("positional", "named", "said"),
    [
        (("X",), {}, "depth: arguments are given by name, not by position"),
        ((), {"symbol": "X", "lmit": 1}, "depth: no parameter 'lmit'; did you mean 'limit'?"),
        ((), {"symbol": "X", "xyzzy": 1}, "depth: no parameter 'xyzzy'"),
        ((), {"limit": 1}, "depth: symbol is missing"),
    ],
)
async def test_wrong_arguments_are_told_in_words(positional: Any, named: Any, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await Asker().depth(*positional, **named)
    assert str(caught.value) == said


async def test_a_type_error_of_another_kind_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(request: Any) -> str | None:
        raise TypeError("a bug in a rule")

    monkeypatch.setattr(Depth, "api", Depth.api._replace(rules=(broken,)))
    with pytest.raises(TypeError, match="a bug in a rule"):
        await Asker().depth(symbol="X")


@pytest.mark.parametrize(("given", "window"), [({}, 5_000), ({"recvWindow": 3000}, 3_000), ({"recvWindow": "0.5"}, 1)])
def test_g7_a_call_stays_valid_for_the_window_that_it_names_in_whole_milliseconds(given: Any, window: int) -> None:
    assert window_of("order.place", given) == window
