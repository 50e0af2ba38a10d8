"""Which class a refusal becomes, for every code of ``errors.json``."""

from __future__ import annotations

from typing import Any

import pytest

from bintrio._protocol.rejections import misses_signature, rejection_type
from bintrio.errors import (
    Banned,
    CancelReplaceFailed,
    DuplicateOrder,
    FilterFailure,
    InsufficientBalance,
    InvalidParameter,
    InvalidSignature,
    InvalidTimestamp,
    MarketClosed,
    OrderRefused,
    PartlyDone,
    RateLimited,
    Rejected,
    SubscriptionError,
    Unauthorized,
    UnknownOrder,
    UnknownSymbol,
    WafBlocked,
)
from tests.catalogue import document

ERRORS: dict[str, Any] = document("errors.json")
OF_THEIR_OWN: dict[int, type[Rejected]] = {
    -1002: Unauthorized,
    -1003: RateLimited,
    -1010: OrderRefused,
    -1013: OrderRefused,
    -1014: InvalidParameter,
    -1015: RateLimited,
    -1021: InvalidTimestamp,
    -1022: InvalidSignature,
    -1034: RateLimited,
    -1112: OrderRefused,
    -1121: UnknownSymbol,
    -2008: Unauthorized,
    -2010: OrderRefused,
    -2011: OrderRefused,
    -2013: UnknownOrder,
    -2014: Unauthorized,
    -2015: Unauthorized,
    -2016: MarketClosed,
    -2021: PartlyDone,
    -2022: CancelReplaceFailed,
    -2026: UnknownOrder,
    -2028: Unauthorized,
    -2035: SubscriptionError,
    -2036: SubscriptionError,
    -2038: OrderRefused,
    -2039: UnknownOrder,
    -2042: SubscriptionError,
}
# What says nothing that a caller could act on by class: trouble on the exchange's side, FIX, SBE, no reference price.
PLAIN = {
    -1000,
    -1001,
    -1006,
    -1007,
    -1008,
    -1016,
    -1020,
    -1033,
    -1035,
    -1152,
    -1153,
    -1155,
    -2043,
    *range(-1191, -1168),
}


@pytest.mark.parametrize("code", [int(code) for code in ERRORS["codes"]])
def test_every_documented_code_has_its_class(code: int) -> None:
    expected = OF_THEIR_OWN.get(code, Rejected if code in PLAIN else InvalidParameter)
    for message in ERRORS["codes"][str(code)]["messages"]:
        assert rejection_type(400, code, message) is expected


@pytest.mark.parametrize("message", [message["msg"] for message in ERRORS["engine_messages"]["messages"]])
def test_messages_of_the_matching_engine(message: str) -> None:
    kinds = {
        "Account has insufficient balance for requested action.": InsufficientBalance,
        "Duplicate order sent.": DuplicateOrder,
        "Market is closed.": MarketClosed,
        "Unknown order sent.": UnknownOrder,
    }
    for code in ERRORS["engine_messages"]["codes"]:
        assert rejection_type(400, code, message) is kinds.get(message, OrderRefused)


@pytest.mark.parametrize("failure", ERRORS["filter_failures"]["messages"], ids=lambda failure: failure["filter"])
def test_filter_failures(failure: dict[str, Any]) -> None:
    """Inconsistency 45: the matching engine, which counts orders, has another code for them."""
    for code in (-1013, -2010, -2011, -2038):
        assert rejection_type(400, code, failure["msg"]) is FilterFailure


@pytest.mark.parametrize("message", [message["msg"] for message in ERRORS["engine_messages"]["messages"]])
def test_what_comes_with_the_code_of_filters_need_not_be_one(message: str) -> None:
    assert rejection_type(400, -1013, message) is rejection_type(400, -2010, message)
    assert not issubclass(rejection_type(400, -1013, message), FilterFailure)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("account has insufficient balance for requested action", InsufficientBalance),
        ("Unknown order sent", UnknownOrder),
        ("MARKET IS CLOSED.", MarketClosed),
        ("filter failure: SOMETHING_NEW", FilterFailure),
        ("A filter failure of ours.", OrderRefused),
    ],
)
def test_messages_are_known_in_any_spelling(message: str, expected: type[Rejected]) -> None:
    assert rejection_type(400, -2010, message) is expected


@pytest.mark.parametrize("status", [400, 401])
def test_a_key_that_is_not_accepted(status: int) -> None:
    for code in (-1002, -2008, -2014, -2015, -2028):
        assert rejection_type(status, code, "") is Unauthorized


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, Unauthorized) for status in (400, 401, 403, 404)),
        (409, PartlyDone),
        (418, Banned),
        (429, RateLimited),
    ],
)
def test_g8_a_key_that_does_not_exist_is_told_unless_a_time_has_to_be_waited_out(
    status: int, expected: type[Rejected]
) -> None:
    assert rejection_type(status, -2008, "Invalid Api-Key ID.") is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, Unauthorized), (403, WafBlocked), (409, PartlyDone), (418, Banned), (429, RateLimited), (400, Rejected)],
)
def test_the_status_goes_first(status: int, expected: type[Rejected]) -> None:
    assert rejection_type(status, -1, "") is expected
    assert {"401", "403", "409", "418", "429", "400"} < set(ERRORS["status_codes"])


def test_g10_a_code_that_is_unknown_is_carried() -> None:
    error = rejection_type(400, -9999, "New.")("depth", status=400, code=-9999, message="New.", data={"a": 1})
    assert type(error) is Rejected
    assert (error.code, error.message, error.data, error.rate_limits) == (-9999, "New.", {"a": 1}, ())
    assert str(error) == "depth: 400 -9999 New."


@pytest.mark.parametrize(
    ("code", "message", "misses"),
    [
        (-1022, "Signature for this request is not valid.", True),
        (-2014, "API-key format invalid.", True),
        (-1102, "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.", True),
        (-1102, "Mandatory parameter 'apiKey' was not sent, was empty/null, or malformed.", True),
        (-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.", False),
        (-1101, "Too many values sent for parameter 'signature'.", False),
        (-1105, "Parameter 'apiKey' was empty.", False),
        (-2015, "Invalid API-key, IP, or permissions for action.", False),
    ],
)
def test_what_a_signature_would_help_against_is_told_by_code_and_message(code: int, message: str, misses: bool) -> None:
    assert misses_signature(code, message) is misses
