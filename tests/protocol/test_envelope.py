"""The envelope of a message: who it is for, also where not all of it can be read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from bintrio._protocol.envelope import Envelope, read_envelope
from bintrio._protocol.results import decode_response, read_error, read_result
from bintrio._protocol.to_json import to_builtins
from bintrio.api.general import ServerTime
from bintrio.errors import (
    ProtocolViolation,
)
from tests.protocol.samples import DEEP, ODD_LIMITS


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"7", b"\xff", b'{"id":1.5,"status":200}', b'{"status":"200"}'])
def test_what_is_no_message_is_a_violation(data: bytes) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        read_envelope(data)
    assert caught.value.raw == data


def test_text_that_is_not_utf8_is_a_violation_wherever_it_is() -> None:
    with pytest.raises(ProtocolViolation):
        decode_response("ticker.price", b'{"id":1,"status":200,"result":{"symbol":"\xff","price":"1"}}')


@pytest.mark.parametrize("data", [f'{{"id":1,"result":{DEEP}', f'{{"moon":{DEEP}'])
def test_g1_a_message_nested_too_deep_is_a_violation(data: str) -> None:
    with pytest.raises(ProtocolViolation, match="recursion"):
        read_envelope(data.encode())


@pytest.mark.parametrize("odd", ODD_LIMITS)
def test_g1_a_reply_with_odd_rate_limits_reaches_its_caller(odd: Any) -> None:
    reply = {"id": "a", "status": 200, "result": {"serverTime": 5}, "rateLimits": odd}
    envelope = read_envelope(json.dumps(reply).encode())
    assert (envelope.id, envelope.status, envelope.rate_limits) == ("a", 200, ())
    assert read_result("time", ServerTime, envelope) == ServerTime(server_time=5)


@pytest.mark.parametrize("odd", ['"status":"200"', '"status":200,"error":"no"', '"status":true,"error":{"code":"x"}'])
def test_g1_a_reply_of_which_only_the_id_can_be_read_fails_its_caller_at_once(odd: str) -> None:
    envelope = read_envelope(f'{{"id":"a",{odd},"rateLimits":null}}'.encode())
    assert envelope == Envelope(id="a")
    with pytest.raises(ProtocolViolation, match="the reply has no status"):
        read_error("m", envelope)


def test_g2_a_reply_with_a_null_event_is_a_reply() -> None:
    envelope = read_envelope(b'{"id":1,"status":200,"result":{"serverTime":5},"event": null }')
    assert not envelope.event
    assert (envelope.id, read_result("time", ServerTime, envelope)) == (1, ServerTime(server_time=5))


def test_g10_rate_limits_may_have_new_fields() -> None:
    limit = {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 5, "count": 2, "note": 5}
    reply: dict[str, Any] = {"id": 1, "status": 200, "result": {}, "rateLimits": [limit], "note": 5}
    envelope = read_envelope(json.dumps(reply).encode())
    assert (envelope.id, envelope.status, envelope.result) == (1, 200, Raw(b"{}"))
    assert envelope.rate_limits[0].count == 2
    assert to_builtins(envelope.rate_limits) == [limit]


def test_rate_limits_that_fit_are_kept_beside_one_that_does_not() -> None:
    fits = {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 5, "count": 2}
    lacks = {"rateLimitType": "ORDERS", "interval": "DAY", "limit": 5}
    limits: list[Any] = [{"rateLimitType": "NOVEL"}, fits, None, lacks]
    reply: dict[str, Any] = {"id": 1, "status": 200, "result": {}, "rateLimits": limits}
    assert to_builtins(read_envelope(json.dumps(reply).encode()).rate_limits) == [fits]
