"""The exchange's document as data, for the tests of the catalogue."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from bintrio.api._base import Request, catalogue, parameters

for _name in ("general", "market", "authentication", "trading", "account", "user_data"):
    importlib.import_module(f"bintrio.api.{_name}")

DATA: Final = Path(__file__).parent / "data"
EXAMPLES: Final = DATA / "examples"


def document(name: str) -> Any:
    """One of the JSON files, with numbers kept digit for digit."""
    return json.loads((DATA / name).read_text(), parse_float=Decimal)


METHODS: Final[dict[str, dict[str, Any]]] = {method["method"]: method for method in document("methods.json")}
SIGNING: Final = {"apiKey", "signature", "timestamp"}


def wire_names(method: str) -> dict[str, str]:
    """The Python name of each parameter by its wire name."""
    return {parameter.wire_name: parameter.name for parameter in parameters(catalogue[method])}


def build(method: str, params: Mapping[str, Any]) -> Request[Any]:
    """The request that has these parameters, given by their wire names."""
    names = wire_names(method)
    return catalogue[method](**{names[name]: value for name, value in params.items()})


def example_params(path: Path) -> dict[str, Any]:
    """The parameters of an example request, without those that a session adds."""
    request = json.loads(path.read_text(), parse_float=Decimal)
    return {name: value for name, value in request.get("params", {}).items() if name not in SIGNING}


def valid_params(method: str) -> dict[str, Any]:
    """Parameters that the document itself uses."""
    return example_params(EXAMPLES / method / "request.json")
