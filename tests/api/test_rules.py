"""The declarations against the document's tables: parameters, types, weights, rules, for all 55 methods.

Nothing here knows a single method: what must hold is read from ``methods.json``, and broken on purpose, one rule at a
time, starting from the document's own example.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bintrio._client.methods import Methods
from bintrio.api._base import catalogue, parameters, python_name
from bintrio.errors import InvalidRequest
from tests.catalogue import METHODS, SIGNING, build, valid_params, wire_names

# What every request needs differs from "mandatory" in the document where that means "in some cases".
NEEDED_IN_SOME_CASES = {
    "stopLimitPrice": "only for a STOP_LOSS_LIMIT leg",
    "stopLimitTimeInForce": "only for a STOP_LOSS_LIMIT leg",
    "stopIcebergQty": "optional by its description",
}
# Rules that nobody can break before sending.
NOT_REFUSED = {
    "ignored_when": "the exchange ignores the parameter, so it is no error",
    "price_order": "the last price is not known here",
    "forbidden": "there is no such parameter",
    "relaxes": "see test_pegged_order_needs_no_price",
}

Params = dict[str, Any]


def specified(method: str) -> list[dict[str, Any]]:
    return [parameter for parameter in METHODS[method]["params"] if parameter["name"] not in SIGNING]


def sample(method: str, name: str) -> Any:
    """A value that fits the parameter's type."""
    (parameter,) = (parameter for parameter in METHODS[method]["params"] if parameter["name"] == name)
    kinds = {"STRING": "1", "INT": 1, "LONG": 1, "DECIMAL": "1", "BOOLEAN": True, "ARRAY of STRING": ["X"]}
    return ["X"] if name == "symbols" else parameter["enum"][0] if "enum" in parameter else kinds[parameter["type"]]


def test_the_catalogue_is_the_documents() -> None:
    assert set(catalogue) == set(METHODS)


def test_the_methods_come_in_the_documents_order() -> None:
    own = [name for name in vars(Methods) if not name.startswith("_") and name != "send"]
    assert own == [python_name(name) for name in METHODS]


@pytest.mark.parametrize("method", METHODS)
def test_parameters_are_the_documents(method: str) -> None:
    assert set(wire_names(method)) == {parameter["name"] for parameter in specified(method)}


@pytest.mark.parametrize("method", METHODS)
def test_mandatory_parameters_are_required(method: str) -> None:
    required = {parameter.wire_name for parameter in parameters(catalogue[method]) if parameter.required}
    always = {
        parameter["name"] for parameter in specified(method) if parameter["mandatory"]
    } - NEEDED_IN_SOME_CASES.keys()
    assert required <= always
    assert always - required <= set(mentioned(METHODS[method]))


def mentioned(specification: dict[str, Any]) -> Iterator[str]:
    """The parameters that rules speak of, and those whose note says that they are for certain order types."""
    for need in specification.get("additional_mandatory", ()):
        for required in need["require"]:
            yield from (required,) if isinstance(required, str) else next(iter(required.values()))
    for constraint in specification.get("constraints", ()):
        yield from constraint.get("params", ())
    for parameter in specification["params"]:
        if parameter.get("mandatory_in_table") == "NO":
            yield parameter["name"]


@pytest.mark.parametrize("method", METHODS)
def test_types_are_the_documents(method: str) -> None:
    """Values of the documented type pass, and others are refused: a bool and a float are never numbers."""
    valid = valid_params(method)
    for parameter in specified(method):
        name, field = parameter["name"], wire_names(method)[parameter["name"]]
        for wrong in (1.5, (), object()):
            with pytest.raises(InvalidRequest) as caught:
                build(method, valid | {name: wrong})
            assert caught.value.field == field
            assert str(caught.value).startswith(f"{method}: {field} must be ")


@pytest.mark.parametrize("method", METHODS)
def test_security_and_section(method: str) -> None:
    specification, api = METHODS[method], catalogue[method].api
    renamed = {"session.logon": "SESSION", "userDataStream.subscribe": "SESSION"}
    assert api.name == method
    assert api.security == renamed.get(method, specification["security"])
    assert api.signed == (specification["auth"] == "signed")
    changes = method.startswith("userDataStream") or (api.security == "TRADE" and not method.endswith(".test"))
    assert api.repeatable is not changes
    assert api.url.endswith(f"#{api.section}")
    assert catalogue[method].__doc__


@pytest.mark.parametrize("method", METHODS)
def test_weight_on_success_and_order_count(method: str) -> None:
    specification, api = METHODS[method], catalogue[method].api
    stated = specification.get("weight_on_success")
    assert api.weight_on_success == (stated if isinstance(stated, int) else None)
    # Inconsistency 38: an OCO list places two orders, whatever the section of orderList.place says.
    orders = 2 if method == "orderList.place" else specification["unfilled_order_count"] or 0
    assert api.orders == orders


WEIGHTS = [(method, rule) for method in METHODS for rule in (METHODS[method]["weight"],) if isinstance(rule, int)]
WEIGHT_RULES = [
    (method, rule)
    for method in METHODS
    if not isinstance(METHODS[method]["weight"], int)
    for rule in METHODS[method]["weight"]
]


@pytest.mark.parametrize(("method", "weight"), WEIGHTS)
def test_constant_weight(method: str, weight: int) -> None:
    assert build(method, valid_params(method)).weight == weight


@pytest.mark.parametrize(("method", "rule"), WEIGHT_RULES, ids=lambda value: str(value)[:40])
def test_weight_by_rule(method: str, rule: dict[str, Any]) -> None:
    for params in weighed(method, rule["if"]):
        count = len(params.get("symbols", ("X",)))
        expected = rule.get("weight") or min(rule["weight_per_symbol"] * count, rule.get("max_weight", 10**9))
        assert build(method, params).weight == expected


def weighed(method: str, condition: dict[str, Any]) -> Iterator[Params]:
    """Parameters to which a condition applies: both ends of a range, a name given, names absent."""
    (kind, value), *_ = condition.items()
    valid = {name: given for name, given in valid_params(method).items() if name == "symbol"}
    if kind == "limit":
        yield from (valid | {"limit": limit} for limit in value)
    elif kind == "symbol_count":
        low, high = value
        yield from ({"symbols": ["X"] * count} for count in (low, high or low + 50))
        if low == 1:
            yield {"symbol": "X"}
    elif kind == "given":
        alone = {} if value in {"symbols", "symbolStatus"} else valid
        yield alone | {value: sample(method, value)}
        if value == "symbols":
            yield {"symbols": ["X"] * 30}
    elif kind == "absent":
        yield {name: given for name, given in valid.items() if name not in value}
    elif kind in {"true", "not_true"}:
        yield valid_params(method) | {value: kind == "true"}
    else:
        # The weight of a call for a symbol that does not exist cannot be known here.
        assert kind == "symbol_invalid"


NEEDS = [(method, need) for method in METHODS for need in METHODS[method].get("additional_mandatory", ())]


@pytest.mark.parametrize(("method", "need"), NEEDS, ids=lambda value: str(value)[:60])
def test_additional_mandatory(method: str, need: dict[str, Any]) -> None:
    """With all that is needed the request builds; without any one of it, it does not, and the error names it."""
    for case in cases(method, need["when"]):
        full = dict(case)
        for required in need["require"]:
            full |= supplied(method, required)
        complete(method, full)
        build(method, full)
        for required in need["require"]:
            names, lacking = without(full, required)
            with pytest.raises(InvalidRequest) as caught:
                build(method, lacking)
            assert any(wire_names(method)[name] in str(caught.value) for name in names)


def cases(method: str, when: dict[str, Any]) -> Iterator[Params]:
    valid = valid_params(method)
    if "given" in when:
        yield valid | {when["given"]: sample(method, when["given"])}
    elif not when:
        yield valid
    for name, values in when.items():
        if name != "given":
            yield from (valid | {name: value} for value in values)


def complete(method: str, params: Params) -> None:
    """Make the rest fit: the other leg of an OCO list takes the opposite type; alternatives exclude each other."""
    if "quoteOrderQty" in params:
        params.pop("quantity", None)
    if method != "orderList.place.oco":
        return
    valid = valid_params(method)
    leg, other = ("above", "below") if params["belowType"] == valid["belowType"] else ("below", "above")
    params |= {f"{other}Type": "LIMIT_MAKER" if params[f"{leg}Type"].startswith("STOP") else "STOP_LOSS"}
    for name in (f"{other}StopPrice", "abovePrice", "belowPrice"):
        params.setdefault(name, "1")
    params.setdefault(f"{leg}StopPrice", "1")
    params.setdefault(f"{leg}TimeInForce", "GTC")


def supplied(method: str, required: Any) -> Params:
    if isinstance(required, str):
        return {required: sample(method, required)}
    if "equals" in required:
        return {required["equals"][0]: required["equals"][1]}
    first = next(iter(required.values()))[0]
    return {first: sample(method, first)}


def without(full: Params, required: Any) -> tuple[list[str], Params]:
    names = [required] if isinstance(required, str) else next(iter(required.values()))
    return names, {name: value for name, value in full.items() if name not in names}


CONSTRAINTS = [
    (method, constraint)
    for method in METHODS
    for constraint in METHODS[method].get("constraints", ())
    if constraint["rule"] not in NOT_REFUSED
]


@pytest.mark.parametrize(("method", "constraint"), CONSTRAINTS, ids=lambda value: str(value)[:60])
def test_constraint(method: str, constraint: dict[str, Any]) -> None:
    """The document's example builds; what breaks the constraint does not."""
    broken = list(BREAKERS[constraint["rule"]](method, constraint))
    assert broken
    build(method, valid_params(method))
    for params in broken:
        with pytest.raises(InvalidRequest, match=f"^{method}: "):
            build(method, params)


def all_given(method: str, names: list[str]) -> Params:
    return {name: sample(method, name) for name in names}


def bare(method: str, names: list[str]) -> Params:
    return {name: value for name, value in valid_params(method).items() if name not in names}


def two_given(method: str, constraint: dict[str, Any]) -> Iterator[Params]:
    names = constraint["params"]
    for first in names:
        for second in names:
            if first < second:
                yield bare(method, names) | all_given(method, [first, second])


def none_given(method: str, constraint: dict[str, Any]) -> Iterator[Params]:
    yield bare(method, constraint["params"])


def not_exactly_one(method: str, constraint: dict[str, Any]) -> Iterator[Params]:
    yield from two_given(method, constraint)
    yield from none_given(method, constraint)


def with_another(method: str, constraint: dict[str, Any]) -> Iterator[Params]:
    names = [constraint["param"], *constraint["params"]]
    for other in constraint["params"]:
        yield bare(method, names) | all_given(method, [constraint["param"], other])


def torn_apart(method: str, constraint: dict[str, Any]) -> Iterator[Params]:
    for name in constraint["params"]:
        yield bare(method, constraint["params"]) | all_given(method, [name])


def where_not_allowed(method: str, constraint: dict[str, Any]) -> Iterator[Params]:
    ((decider, allowed),) = constraint["when"].items()
    (parameter,) = (parameter for parameter in METHODS[method]["params"] if parameter["name"] == decider)
    for value in set(parameter["enum"]) - set(allowed):
        yield valid_params(method) | {decider: value, "stopPrice": "1"} | all_given(method, constraint["params"])


def another_value(method: str, constraint: dict[str, Any]) -> Iterator[Params]:
    ((name, _),) = constraint["needs"].items()
    yield valid_params(method) | {constraint["param"]: "1", name: "IOC"}


def unfixed(method: str, constraint: dict[str, Any]) -> Iterator[Params]:
    yield valid_params(method) | {constraint["param"]: "SELL" if constraint["value"] == "BUY" else "BUY"}


def too_many(method: str, constraint: dict[str, Any]) -> Iterator[Params]:
    yield bare(method, ["symbol"]) | {constraint["param"]: ["X"] * (constraint["max"] + 1)}


def out_of_range(method: str, constraint: dict[str, Any]) -> Iterator[Params]:
    yield from (
        valid_params(method) | {constraint["param"]: value} for value in ("-12:01", "+14:01", "15", "x", "1:60")
    )


def too_long(method: str, constraint: dict[str, Any]) -> Iterator[Params]:
    start, end = constraint["params"]
    day, now = constraint["hours"] * 3_600_000, 1_700_000_000_000
    rest = bare(method, ["orderId", "fromId"])
    for unit in (1, 1000):
        yield rest | {start: now * unit, end: (now + day + 1) * unit}
        yield rest | {start: now * unit, end: (now - 1) * unit}


def other_combinations(method: str, constraint: dict[str, Any]) -> Iterator[Params]:
    names = {name for allowed in constraint["sets"] for name in allowed} - {"symbol", "limit"}
    for first in names:
        for second in names:
            chosen = {"symbol", first, second}
            if first < second and not any(chosen == set(allowed) for allowed in constraint["sets"]):
                yield {name: sample(method, name) for name in chosen}


def same_side(method: str, constraint: dict[str, Any]) -> Iterator[Params]:
    above, below = constraint["params"]
    for kinds in (constraint["one_leg"], constraint["other_leg"]):
        for kind in kinds:
            prices = {f"{leg}{name}": "1" for leg in ("above", "below") for name in ("Price", "StopPrice")}
            yield valid_params(method) | prices | {above: kind, below: kind, "belowTimeInForce": "GTC"}


BREAKERS: dict[str, Callable[[str, dict[str, Any]], Iterator[Params]]] = {
    "at_most_one": two_given,
    "at_least_one": none_given,
    "exactly_one": not_exactly_one,
    "not_with": with_another,
    "together": torn_apart,
    "allowed_when": where_not_allowed,
    "requires_value": another_value,
    "fixed_value": unfixed,
    "max_items": too_many,
    "range": out_of_range,
    "max_span": too_long,
    "combinations": other_combinations,
    "leg_types": same_side,
}


def test_no_kind_of_rule_is_forgotten() -> None:
    kinds = {constraint["rule"] for method in METHODS.values() for constraint in method.get("constraints", ())}
    assert kinds == BREAKERS.keys() | NOT_REFUSED.keys()


@pytest.mark.parametrize("method", ["order.place", "order.test", "order.cancelReplace"])
def test_pegged_order_needs_no_price(method: str) -> None:
    params = valid_params(method)
    params.pop("price", None)
    with pytest.raises(InvalidRequest, match="price or peg_price_type"):
        build(method, params)
    assert build(method, params | {"pegPriceType": "PRIMARY_PEG"}).params()["pegPriceType"] == "PRIMARY_PEG"


@pytest.mark.parametrize("unit", [1, 1000])
def test_a_whole_day_may_be_asked_for(unit: int) -> None:
    start = 1_700_000_000_000
    build("allOrders", {"symbol": "X", "startTime": start * unit, "endTime": (start + 86_400_000) * unit})
    build("allOrders", {"symbol": "X", "startTime": start * unit})


@pytest.mark.parametrize("zone", ["0", "-12", "+14:00", "5:45", "-1:30", "14"])
def test_time_zones(zone: str) -> None:
    build("klines", {"symbol": "X", "interval": "1h", "timeZone": zone})
