"""Every refusal is in the document's words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bintrio.sandbox.exchange import refusals
from bintrio.sandbox.exchange.refusals import Refusal

ERRORS = json.loads((Path(__file__).parent.parent.parent / "data" / "errors.json").read_text())
NOW = {"now": 1, "retry_after": 2}


def documented(code: int) -> list[str]:
    messages: list[str] = list(ERRORS["codes"][str(code)]["messages"])
    for family in ("engine_messages", "filter_failures"):
        if code in ERRORS[family]["codes"]:
            messages += [entry["msg"] for entry in ERRORS[family]["messages"]]
    return messages


@pytest.mark.parametrize(
    "refusal",
    [
        refusals.invalid_json(),
        refusals.illegal_characters("price", "^x$"),
        refusals.too_many_parameters(0, 1),
        refusals.mandatory("symbol"),
        refusals.either_mandatory("a", "b"),
        refusals.too_great("recvWindow", 60_000),
        refusals.not_read(1, 2),
        refusals.empty("symbols"),
        refusals.not_required("price"),
        refusals.not_required("timeInForce"),
        refusals.too_precise("price"),
        refusals.bad_combination(),
        *map(refusals.invalid_value, ["timeInForce", "type", "side", "symbolStatus", "cancelRestrictions", "limit"]),
        *map(refusals.invalid_value, ["pegPriceType", "pegOffsetType", "strategyType"]),
        refusals.invalid_symbol(),
        refusals.symbol_status_differs(),
        refusals.api_key_malformed(),
        refusals.api_key_refused(),
        refusals.session_revoked(),
        refusals.signature_wrong(),
        refusals.timestamp_late(),
        refusals.timestamp_ahead(),
        refusals.too_much_weight(6_000, "1 MINUTE", **NOW),
        refusals.too_many_orders(50, "10 SECOND", **NOW),
        refusals.banned(**NOW),
        refusals.too_many_connections(300, "5 MINUTE"),
        refusals.filter_failure("LOT_SIZE"),
        refusals.stp_mode_not_allowed(),
        refusals.order_refused("Duplicate order sent."),
        refusals.cancel_refused("Unknown order sent."),
        refusals.no_such_order(),
        refusals.client_order_id_differs(),
        refusals.archived(),
        refusals.amend_refused("Unknown order sent."),
        refusals.not_supported("Iceberg"),
        refusals.replace_failed({}),
        refusals.replace_partly_failed({}),
        refusals.invalid_value("interval"),
        refusals.too_long(24),
        refusals.no_reference_price(),
        refusals.already_subscribed(),
        refusals.not_subscribed(),
        refusals.subscription_ids_used_up(),
        refusals.timed_out(),
    ],
    ids=lambda refusal: f"{refusal.code}",
)
def test_the_words_are_the_documents(refusal: Refusal) -> None:
    patterns = [re.escape(message).replace("%s", ".+") for message in documented(refusal.code)]
    assert any(re.fullmatch(pattern, refusal.message) for pattern in patterns), documented(refusal.code)


@pytest.mark.parametrize("refusal", [refusals.unknown_method(), refusals.no_sbe()], ids=["method", "SBE"])
def test_what_only_the_sandbox_refuses_says_so_behind_the_documents_words(refusal: Refusal) -> None:
    (words,) = [message for message in documented(refusal.code) if refusal.message.startswith(message)]
    assert refusal.message.removeprefix(words).startswith(" The sandbox ")


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (refusals.invalid_symbol(), {"code": -1121, "msg": "Invalid symbol."}),
        (refusals.banned(now=1, retry_after=2), {"serverTime": 1, "retryAfter": 2}),
    ],
)
def test_data_is_shown_if_there_is_any(refusal: Refusal, error: dict[str, Any]) -> None:
    shown = refusal.as_error()
    assert shown.get("data", shown) == error
