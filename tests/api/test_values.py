"""The open enums against ``enums.json``, and the markers that stand in for unions."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from bintrio.api import _values, enums
from bintrio.api._values import Record
from bintrio.api.authentication import ConnectionStatus
from tests.catalogue import document

ENUMS: dict[str, Any] = document("enums.json")
OURS = {
    "orderStatus": "OrderState",
}
# Enums of which no value passes through the catalogue, or that have a form of their own there.
ELSEWHERE = {
    "securityType": "bintrio.api._base.Security",
    "dataSource": "how the exchange works, which no caller needs",
    "timeUnit": "bintrio.endpoints.TimeUnit",
    "responseFormat": "always json",
    "userDataEvent": "the tags of events, see test_api_events.py",
    "permissions": "any str, since new groups of symbols keep coming",
    "filterType": "the tags of filters, see test_api_filters.py",
    "securityKeyType": "one class of key each",
}


def values_of(alias: Any) -> tuple[str, ...]:
    values: tuple[str, ...] = get_args(alias)[1].extra["values"]
    return values


@pytest.mark.parametrize("name", sorted(ENUMS.keys() - ELSEWHERE.keys()))
def test_enum_has_the_documented_values(name: str) -> None:
    alias = getattr(enums, OURS.get(name, name[0].upper() + name[1:]))
    assert set(values_of(alias)) == set(ENUMS[name]["values"]) | set(ENUMS[name].get("only_in_sbe_schema", ()))


def test_g10_an_enum_takes_values_that_are_unknown() -> None:
    decode = msgspec.json.Decoder(enums.Side).decode
    assert decode(b'"SIDEWAYS"') == "SIDEWAYS"


class Rich(Record, frozen=True, kw_only=True):
    first_price: int
    note: str | None = None


def test_one_of_is_an_instance_of_its_members() -> None:
    union: Any = _values.OneOf
    one_of = union[Rich | int]
    assert one_of.members == (Rich, int)
    assert isinstance(Rich(first_price=1), one_of)
    assert not isinstance("x", one_of)
    assert union[Rich | int] is one_of


def test_a_result_that_may_be_in_an_array_is_marked() -> None:
    marker: Any = _values.MaybeInArray
    assert get_args(marker[Rich]) == (Rich, marker)


def test_a_record_has_camel_case_and_shows_and_writes_what_is_set() -> None:
    assert repr(Rich(first_price=1)) == "Rich(first_price=1)"
    assert msgspec.json.encode(Rich(first_price=1)) == b'{"firstPrice":1}'
    assert msgspec.json.decode(b'{"firstPrice":1}', type=Rich) == Rich(first_price=1)
    with pytest.raises(msgspec.ValidationError, match="unknown"):  # which is read once more, see _reading
        msgspec.json.decode(b'{"firstPrice":1,"unknown":[]}', type=Rich)


@pytest.mark.parametrize(("key", "shown"), [("k" * 4 + "secret", "'kkkk…'"), (None, "None")])
def test_g9_of_an_api_key_only_the_beginning_is_shown(key: str | None, shown: str) -> None:
    status = ConnectionStatus(
        api_key=key, authorized_since=None, connected_since=1, return_rate_limits=False, server_time=2
    )
    assert f"api_key={shown}," in repr(status)
    rich: Any = status.__rich_repr__()
    assert "secret" not in str(rich)
    assert status.api_key == key
