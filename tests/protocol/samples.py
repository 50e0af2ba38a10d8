"""Parts of messages that several tests of the protocol send."""

from __future__ import annotations

from typing import Any

from bintrio.api._values import RateLimit

LIMIT = RateLimit(rate_limit_type="ORDERS", interval="DAY", interval_num=1, limit=5, count=1)

DEEP = "[" * 100_000

ODD_LIMITS: list[Any] = [None, "many", ["ORDERS"], [{"rateLimitType": "ORDERS"}], {"a": 1}]
