"""Filters against ``filters.json``, alone and inside the answers that hold them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, get_args

import msgspec
import pytest

from bintrio._protocol.results import decode_response
from bintrio._protocol.to_json import to_builtins
from bintrio.api.filters import Filter, PriceFilter, TPlusSellFilter, UnknownFilter
from bintrio.errors import ProtocolViolation
from tests.catalogue import EXAMPLES, document

FILTERS: dict[str, Any] = document("filters.json")
TYPES = {struct.__struct_config__.tag: struct for struct in get_args(Filter)}


def test_every_filter_is_known() -> None:
    """Inconsistency 17: T_PLUS_SELL is known from the SBE schema only."""
    assert set(TYPES) - {"", "T_PLUS_SELL"} == set(FILTERS)


@pytest.mark.parametrize("name", FILTERS)
def test_filter_has_the_documented_fields(name: str) -> None:
    fields = msgspec.structs.fields(TYPES[name])
    assert {field.encode_name for field in fields} - {"unknown fields"} == set(FILTERS[name]["fields"])
    decoded = msgspec.json.decode(json.dumps(FILTERS[name]["example"]), type=Filter)
    assert type(decoded) is TYPES[name]
    assert to_builtins(decoded) == FILTERS[name]["example"]


def exchange_info(*filters: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = json.loads((EXAMPLES / "exchangeInfo" / "response.json").read_text())
    message["result"]["symbols"][0]["filters"] = list(filters)
    return message


UNKNOWN = {"filterType": "MOON_PHASE", "phases": ["0.50", 1], "nested": {"a": None}}
MISSHAPEN = {"filterType": "PRICE_FILTER", "minPrice": "high", "maxPrice": "1", "tickSize": "1"}
POOR = {"filterType": "PRICE_FILTER", "minPrice": "0.1"}


def test_g10_filters_that_are_unknown_or_misshapen_are_carried() -> None:
    known = FILTERS["PRICE_FILTER"]["example"]
    message = exchange_info(known, UNKNOWN, MISSHAPEN, POOR, {"filterType": 7})
    symbol = decode_response("exchangeInfo", json.dumps(message)).result.symbols[0]
    price, unknown, misshapen, poor, odd = symbol.filters
    assert isinstance(price, PriceFilter)
    assert isinstance(unknown, UnknownFilter)
    assert (unknown.type, json.loads(unknown.raw)) == ("MOON_PHASE", UNKNOWN)
    assert unknown.reason == "Invalid value 'MOON_PHASE' - at `$.filterType`"
    assert (misshapen.type, json.loads(misshapen.raw)) == ("PRICE_FILTER", MISSHAPEN)
    assert misshapen.reason == "Invalid decimal string - at `$.minPrice`"
    assert isinstance(poor, PriceFilter)
    assert (poor.min_price, poor.missing_fields) == (Decimal("0.1"), ("max_price", "tick_size"))
    assert odd.type == "7"
    assert to_builtins(symbol)["filters"] == message["result"]["symbols"][0]["filters"]


def test_the_filters_of_an_account_are_read_the_same_way() -> None:
    filters = {"exchangeFilters": [], "symbolFilters": [UNKNOWN], "assetFilters": []}
    message = {"id": 1, "status": 200, "result": filters}
    result = decode_response("myFilters", json.dumps(message)).result
    assert isinstance(result.symbol_filters[0], UnknownFilter)
    assert to_builtins(result) == filters


def test_a_filter_known_from_the_sbe_schema() -> None:
    decode = msgspec.json.Decoder(Filter).decode
    assert decode(b'{"filterType":"T_PLUS_SELL"}') == TPlusSellFilter()
    assert decode(b'{"filterType":"T_PLUS_SELL","endTime":5}') == TPlusSellFilter(end_time=5)


NEWS = b'"other":1.10000000000000000000000012'


def test_g10_an_unknown_filter_leaves_all_else_as_it_came() -> None:
    """The digits of numbers, what is beside it, and fields that are called as filters are."""
    moon = b'{"filterTyp\\u0065":"MOON","far":1e999,' + NEWS + b"}"
    lot = json.dumps(FILTERS["LOT_SIZE"]["example"]).encode()[:-1] + b"," + NEWS + b"}"
    note = b'"note":{"filterType":"NOVEL"},"filterType":"X",' + NEWS
    reply = b'{"id":1,"status":200,"result":{"symbolFilters":[' + moon + b"," + lot + b"],"
    reply += b'"exchangeFilters":[],"assetFilters":[],' + note + b"}}"
    found = decode_response("myFilters", reply).result
    assert found.unknown_fields == b"{" + note + b"}"
    assert isinstance(found.symbol_filters[0], UnknownFilter)
    assert (found.symbol_filters[0].type, found.symbol_filters[0].raw) == ("MOON", moon)
    assert found.symbol_filters[1].unknown_fields == b"{" + NEWS + b"}"


@pytest.mark.parametrize("wrong", [{}, [], None, "LOT_SIZE", {"filter": "LOT_SIZE"}])
def test_a_filter_has_a_type(wrong: Any) -> None:
    reply = {"id": 1, "status": 200, "result": {"symbolFilters": [wrong], "exchangeFilters": [], "assetFilters": []}}
    with pytest.raises(ProtocolViolation, match="myFilters: "):
        decode_response("myFilters", json.dumps(reply))
