"""Evidence of worlds, made by hand: calls, what came of them, and events."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import bintrio
from bintrio._protocol.facts_of_calls import CallEnded
from bintrio.api.events import BalanceUpdate
from bintrio.errors import OutcomeUnknown
from bintrio.sandbox import Told, Witness
from bintrio.sandbox.exchange.exchange import Answer
from bintrio.sandbox.exchange.messages import Incoming
from bintrio.sandbox.server.calls import Call
from bintrio.storm import Plan, Terms
from bintrio.storm.books import Books
from bintrio.storm.evidence import Evidence
from bintrio.storm.program import Deed, Program
from bintrio.storm.truth import untruths

GIVEN: Any = SimpleNamespace
ORDER: Any = SimpleNamespace(symbol="BTCUSDT", order_id=7, client_order_id="mine")
NOW = 1_767_225_600_000


def answer(status: int = 200, result: Any = None, error: Mapping[str, Any] | None = None) -> Answer:
    return Answer(request_id=1, status=status, result=result, error=error)


def came(number: int, *, outcome: Answer | None = None, told: Answer | None = None, **options: Any) -> Call:
    params = {"recvWindow": f"{5000 + Decimal(number) / 1000}", **options.pop("params", {})}
    return Call(number, 1, NOW * 1000, Incoming(1, "order.place", params), told or outcome, outcome=outcome, **options)


def deed(act: Any, number: int = 1, **options: Any) -> Deed:
    options = {"began": 0.0, "timeout": 15.0, "ended": 1.0, **options}
    request = act.request([ORDER], f"{5000 + Decimal(number) / 1000}")
    return Deed(number=number, act=act, request=request, **options)


def evidence(*deeds: Deed, calls: Any = (), plan: Plan | None = None, events: Any = (), **known: Any) -> Evidence:
    nobody: Any = None
    witness = Witness()
    witness.calls.extend(calls)
    witness.events.extend(events)
    program = Program(nobody, nobody, witness, Terms(), Books(witness, None))
    program.deeds.update({one.number: one for one in deeds})
    return Evidence(plan or Plan(), program, witness, **known)


def found(*deeds: Deed, **options: Any) -> list[str]:
    return untruths(evidence(*deeds, **options))


def unknown(act: Any) -> OutcomeUnknown[Any]:
    return OutcomeUnknown("order.place", "no answer came", request=deed(act).request)


def event(number: int) -> BalanceUpdate:
    return BalanceUpdate(event_time=NOW + number, asset="BTC", delta=Decimal(number), clear_time=NOW + number)


def call_ended(method: str, **values: Any) -> CallEnded:
    options: dict[str, Any] = {name: None for name in CallEnded.__struct_fields__}
    options |= {"method": method, "session": "", "at": 0.0, "started_at": 0.0, "limits": (), **values}
    return CallEnded(**options)


JOURNAL = [Told(NOW + number, bintrio.to_builtins(event(number))) for number in range(5)]


def gap(start: int, end: int) -> bintrio.Gap:
    return bintrio.Gap(start=NOW + start, end=NOW + end, reason="lost")
