"""`Methods`: all of them, as coroutine functions that show their parameters, and helpful when a name is wrong."""

from __future__ import annotations

import inspect
import runpy
from pathlib import Path
from typing import Any

import pytest

from bintrio._client.methods import Methods
from bintrio.api import _narrowed
from bintrio.api._base import Request, catalogue, parameters, python_name
from bintrio.api._help import help_of
from bintrio.api.market import Depth
from bintrio.errors import InvalidRequest

ROOT = Path(__file__).parent.parent.parent


class Echo(Methods):
    """Gives back what it is asked to send."""

    async def send(self, request: Request[Any], /) -> Any:
        return request


@pytest.mark.parametrize("method", catalogue)
def test_every_method_shows_its_parameters(method: str) -> None:
    function: Any = getattr(Echo, python_name(method))
    assert inspect.iscoroutinefunction(function)
    signature = inspect.signature(getattr(Echo(), python_name(method)))
    assert set(signature.parameters) == {parameter.name for parameter in parameters(catalogue[method])}
    required = {parameter.name for parameter in parameters(catalogue[method]) if parameter.required}
    empty = inspect.Parameter.empty
    assert {name for name, shown in signature.parameters.items() if shown.default is empty} == required
    assert function.__doc__ == help_of(catalogue[method])
    assert function.__qualname__ == f"Methods.{python_name(method)}"


async def test_a_method_sends_its_request() -> None:
    assert await Echo().depth(symbol="BTCUSDT", limit=5) == Depth(symbol="BTCUSDT", limit=5)  # type: ignore[comparison-overlap]  # Echo gives back requests


def test_a_signature_reads_like_its_declaration() -> None:
    assert str(inspect.signature(Echo().depth)) == (
        "(*, symbol: 'str', limit: 'int | None' = None, symbol_status: 'SymbolStatusFilter | None' = None)"
    )


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("order_plce", "order_place"), ("orderPlace", "order_place"), ("exchangeInfo", "exchange_info")],
)
def test_an_unknown_method_names_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(AttributeError, match=f"no method or attribute '{wrong}'; did you mean '{right}'") as caught:
        getattr(Echo(), wrong)
    assert caught.value.name == wrong


def test_an_unknown_name_far_from_all_names_nothing() -> None:
    with pytest.raises(AttributeError, match=r"'xyzzy'$"):
        getattr(Echo(), "xyzzy")  # noqa: B009


@pytest.mark.parametrize(
    ("arguments", "named", "said", "field"),
    [
        ((), {}, "depth: symbol is missing", "symbol"),
        ((), {"symbol": "X", "limt": 5}, "depth: no parameter 'limt'; did you mean 'limit'?", "limt"),
        ((), {"symbol": "X", "symbolStatus": 5}, "did you mean 'symbol_status'", "symbolStatus"),
        (("X",), {}, "depth: arguments are given by name, not by position", None),
        ((), {"symbol": ""}, "depth: symbol must be a str that is not empty", "symbol"),
    ],
)
async def test_a_wrong_argument_is_named(arguments: Any, named: Any, said: str, field: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await Echo().depth(*arguments, **named)
    assert said in str(caught.value)
    assert caught.value.field == field


async def test_an_error_of_another_kind_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(request: Any) -> str | None:
        raise TypeError("a bug in a rule")

    monkeypatch.setattr(Depth, "api", Depth.api._replace(rules=(broken,)))
    with pytest.raises(TypeError, match="a bug in a rule"):
        await Echo().depth(symbol="X")


def test_methods_cannot_be_used_without_a_way_to_send() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Methods()  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]


def test_what_only_type_checkers_know_is_nothing_at_runtime() -> None:
    assert _narrowed.PlaceAs is _narrowed.DayOne  # type: ignore[comparison-overlap]


def test_what_python_asks_of_every_module_is_not_there() -> None:
    assert not hasattr(_narrowed, "__path__")


def test_the_page_of_methods_is_current() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "make_methods.py"))
    assert (ROOT / "docs" / "methods.md").read_text() == script["text"](), "run python -m scripts.make_methods"
