"""What was untrue in a world: what the program was told, held against what the exchange saw and did.

Each function says what it found in sentences, none if all was true. The truth is the sandbox's (`Witness`): a fault
changes what the client is told, never what the witness sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from .._protocol.confirmation import HalfReplaced
from .._protocol.succession import Gap
from .._protocol.to_json import to_builtins
from ..api.account import Order
from ..errors import InvalidRequest, NotSent, Rejected
from ..sandbox import LateEvents, Told
from ..sandbox.exchange.exchange import Answer
from ..sandbox.server.calls import Call
from ..sandbox.server.links import IDEAL
from ..sandbox.weather import Fail, Relink
from . import audit, conduct, promises
from .doubts import Inquest
from .evidence import Evidence
from .plan import Plan
from .program import Confirmed, Deed, Heard, Program

GRACE: Final = 0.01
"""Seconds by which a call may end later than it should: a timer is set to whole milliseconds."""

LONGEST_ARRIVAL: Final = 600.0
"""Seconds for which a read may wait for a long message, besides."""


def untruths(evidence: Evidence) -> list[str]:
    """Everything that was untrue in a world."""
    return [said for judge in _ALL for said in judge(evidence)]


def of_failures(evidence: Evidence) -> Iterator[str]:
    """Nothing came out but documented errors, and none of ours was logged."""
    yield from evidence.program.failed
    yield from (f"an error was logged: {said}" for said in evidence.logged)


# Calls


def may_take_long(plan: Plan) -> float:
    """Seconds for which a message may be arriving in a world: none, unless something comes in part."""
    # Only a link that is not ideal, or a fault, makes a message come in part.
    is_whole = plan.terms.link == IDEAL and not any(isinstance(step.act, Relink | Fail) for step in plan.steps)
    return 0.0 if is_whole else LONGEST_ARRIVAL


def of_calls(evidence: Evidence) -> Iterator[str]:
    """Each call ended in what is true, and in time."""
    program, arrivals = evidence.program, evidence.arrivals()
    longest_arrival = may_take_long(evidence.plan)
    for deed in program.deeds.values():
        yield from _of_deed(deed, arrivals.get(deed.number, ()))
        yield from _of_time(deed, longest_arrival)
        yield from _of_kept(deed, program, arrivals.get(deed.number, ()))


def _of_deed(deed: Deed, came: Sequence[Call]) -> Iterator[str]:
    """How a call ended, and when."""
    # A read may be sent again after a lost connection, a trading call never.
    is_trade = not deed.request.api.repeatable
    if is_trade and len(came) > 1:
        yield f"{deed} came to the exchange {len(came)} times (G7)"
    # Both say that no byte of it has left.
    if isinstance(deed.error, NotSent | InvalidRequest) and came:
        yield f"{deed} was {deed.error!r}, and came to the exchange (G1)"
    # Only signed calls carry the number by which they are found at the exchange.
    if isinstance(deed.error, Rejected) and deed.request.api.signed:
        yield from _of_refusal(deed, deed.error, came)
    if deed.result is not None and deed.request.api.signed:
        yield from _of_result(deed, came)


def _of_time(deed: Deed, longest_arrival: float) -> Iterator[str]:
    """A call ends within its deadline. A read that is not hurried may wait for a message that is arriving."""
    took, longest = deed.ended - deed.began, deed.timeout
    if deed.request.api.repeatable and deed.act.within is None:
        longest += longest_arrival
    if deed.act.patience is not None:
        # Its caller is cancelled then, which ends it too.
        longest = min(longest, deed.act.patience)
    if took > longest + GRACE:
        yield f"{deed} took {took:g} s, and had {longest:g} s (G1)"


def _of_refusal(deed: Deed, error: Rejected, came: Sequence[Call]) -> Iterator[str]:
    if not any(call.answer is not None and call.answer.status == error.status for call in came):
        yield f"{deed} was {error!r}, which the exchange never said (G1, G2)"
    # 409 says that a half of order.cancelReplace was done, so it is no untruth.
    if error.status != 409 and any(_was_done(call) for call in came) and not deed.request.api.repeatable:
        yield f"{deed} was {error!r}, and was done (G1)"


def _of_result(deed: Deed, came: Sequence[Call]) -> Iterator[str]:
    # Compared in the words of the exchange, which both records can be written in.
    told = to_builtins(deed.result)
    done = [_as_sent(call.outcome) for call in came if call.outcome is not None]
    # A read may have been done more than once, and each answer is true.
    if told not in done:
        yield f"{deed} gave {told}, and the exchange {done} (G1, G2)"


def _as_sent(outcome: Answer) -> Any:
    """The result in the unit of times that the connection asked for."""
    return msgspec.json.decode(outcome.as_bytes()).get("result")


def _was_done(call: Call) -> bool:
    return call.outcome is not None and call.outcome.status == 200


def _of_kept(deed: Deed, program: Program, came: Sequence[Call]) -> Iterator[str]:
    """A trading call that was done without its caller knowing can be asked about."""
    # An account asks by itself what became of what was placed through it.
    is_told = deed.result is not None or isinstance(deed.error, Rejected) or deed.by_account
    if not (is_told or deed.request.api.repeatable or deed.number in program.unknown) and any(map(_was_done, came)):
        yield f"{deed} was done, and is not among those that can be asked about (G1)"


# What became of calls


def of_confirmations(evidence: Evidence) -> Iterator[str]:
    """What `confirm` said of calls is so, and it knew what can be known."""
    arrivals = evidence.arrivals()
    for confirmed in evidence.program.confirmed:
        deed = evidence.program.deeds[confirmed.number]
        inquest = Inquest(confirmed, deed, evidence, arrivals)
        if confirmed.error is None:
            if not inquest.is_mistaken_unawares():
                yield from of_confirmed(confirmed, deed, arrivals.get(deed.number, ()))
            if inquest.takes_anothers_cancel():
                yield f"{deed}: confirm gave {confirmed.result!r}, and the answer to another call had said who did (G7)"
        elif not inquest.may_be_open():
            yield f"{deed}: confirm came to {confirmed.error!r} at rest"


def of_confirmed(confirmed: Confirmed, deed: Deed, came: Sequence[Call]) -> Iterator[str]:
    """What `confirm` said of a call, if it is so."""
    judge = _JUDGES.get(deed.request.api.name, _of_nothing)
    for said in judge(confirmed.result, _done(came)):
        yield f"{deed}: confirm gave {confirmed.result!r}, {said} (G1, G7)"


def _done(came: Sequence[Call]) -> Any:
    """What a call did: its result; of one that was half done, the halves; None if it did nothing."""
    for outcome in (call.outcome for call in came if call.outcome is not None):
        if outcome.status == 200:
            return outcome.result
        if outcome.status == 409:
            return (outcome.error or {}).get("data")
    return None


def _of_nothing(told: Any, done: Any) -> Iterator[str]:
    yield from ()


def _of_placed(told: Any, done: Any) -> Iterator[str]:
    expected = None if done is None else done.order_id
    given = told.order_id if isinstance(told, Order) else None
    if given != expected:
        yield f"and its order is {expected}"


def _of_list(told: Any, done: Any) -> Iterator[str]:
    expected = None if done is None else done.order_list_id
    given = None if told is None else told.order_list_id
    if given != expected:
        yield f"and its list is {expected}"


def _of_cancel(told: Any, done: Any) -> Iterator[str]:
    # If it was not done, the order may have been canceled or filled by another call: nothing can be said.
    if done is not None and getattr(told, "status", None) != "CANCELED":
        yield "and it was canceled"


def _of_amend(told: Any, done: Any) -> Iterator[str]:
    # A later call may have reduced it further, so less than that is true as well.
    if done is not None and (not isinstance(told, Order) or told.orig_qty > done.amended_order.qty):
        yield f"and {done.amended_order.qty} were left of it"


def _of_replace(told: Any, done: Any) -> Iterator[str]:
    placed = _placed_by(done)
    order = told.new_order if isinstance(told, HalfReplaced) else told
    if (order.order_id if isinstance(order, Order) else None) != placed:
        yield f"and the new order is {placed}"


def _placed_by(done: Any) -> int | None:
    """The id of the order that an order.cancelReplace placed; a half that was done comes as plain JSON values."""
    response = _field(done, "newOrderResponse", "new_order_response")
    number: int | None = _field(response, "orderId", "order_id")
    return number


def _field(record: Any, wire_name: str, name: str) -> Any:
    # A mapping is a plain JSON value, by wire names; a record has Python names.
    return record.get(wire_name) if hasattr(record, "get") else getattr(record, name, None)


_JUDGES: Final[Mapping[str, Any]] = {
    "order.place": _of_placed,
    "orderList.place.oco": _of_list,
    "orderList.place.opo": _of_list,
    "order.cancel": _of_cancel,
    "order.amend.keepPriority": _of_amend,
    "order.cancelReplace": _of_replace,
}


# Accounts


def lateness(plan: Plan) -> float:
    """Seconds by which the exchange's events are late at most in a world."""
    acts = (step.act for step in plan.steps)
    faults = (act.fault for act in acts if isinstance(act, Fail))
    return max((fault.seconds for fault in faults if isinstance(fault, LateEvents)), default=0.0)


def of_accounts(evidence: Evidence) -> Iterator[str]:
    """What accounts that keep themselves up to date have shown is so."""
    program = evidence.program
    placed = {number: _done(came) for number, came in evidence.arrivals().items()}
    is_dated = not promises.has_jumped(evidence.plan)
    yield from audit.untruths(program.books, evidence.witness, placed, is_dated=is_dated, late=lateness(evidence.plan))


# Events


def of_events(evidence: Evidence) -> Iterator[str]:
    """Each event came once and in order to everyone who listened, or a gap says that some may be missing."""
    for heard in evidence.program.heard:
        yield from _of_heard(heard, evidence.witness.events)


def _of_heard(heard: Heard, journal: Sequence[Told]) -> Iterator[str]:
    # What lies in a gap may be missing, and may come.
    gaps = heard.gaps
    in_gaps = {index for index, event in enumerate(journal) if _is_in(event, gaps)}
    taken, strays = _matched(heard.told, journal, heard.asked)
    for stray in strays:
        # What lies in a gap may come all the same, and later than its time.
        late = next((index for index in in_gaps - taken if _is_of(stray, journal[index])), None)
        if late is None:
            yield f"an event came twice, late, or never was: {stray} (G5)"
        taken.add(-1 if late is None else late)
    missing = set(range(heard.since, _end_of(heard, journal, taken))) - taken - in_gaps
    for index in sorted(missing):
        yield f"an event is missing, and in no gap of {gaps}: {journal[index].shown} (G5)"


def _end_of(heard: Heard, journal: Sequence[Told], taken: set[int]) -> int:
    """Up to which event all must have come. What was still on its way when the listener stopped is not expected."""
    return len(journal) if heard.until is None else max(taken, default=heard.since)


def _matched(told: Iterable[Any], journal: Sequence[Told], asked: int) -> tuple[set[int], list[Any]]:
    """Which events were told in order, and what was told that has no place in that order."""
    # Some that had happened before it asked may come later, by a connection that carried already.
    position, taken, strays = max(0, asked - 50), set[int](), list[Any]()
    for event in told:
        index = next((index for index in range(position, len(journal)) if _is_of(event, journal[index])), None)
        if index is None:
            strays.append(event)
        else:
            taken.add(index)
            position = index + 1
    return taken, strays


def _is_of(told: Mapping[str, Any], event: Told) -> bool:
    """Whether what somebody was told is that event, as connections were told it."""
    if event.odd is None:
        return told == event.event
    # For a field that an event need not have, null says that it is not there.
    present = {name: value for name, value in event.odd.items() if value is not None or event.event[name] is None}
    return told in (event.odd, present)


def _is_in(event: Told, gaps: Sequence[Gap]) -> bool:
    date = event.event["E"]
    return any(gap.start <= date <= gap.end for gap in gaps)


def of_conduct(evidence: Evidence) -> Iterator[str]:
    """What no caller is told was as promised, too."""
    yield from conduct.untruths(evidence.facts, evidence.plan, evidence.program.deeds.values())
    yield from evidence.partings
    if evidence.open_charges:
        yield f"{evidence.open_charges} charges were left over in the ledger (G8)"


_ALL: Final[Sequence[Callable[[Evidence], Iterator[str]]]] = (
    *(of_failures, of_calls, of_confirmations, of_accounts, of_events, of_conduct, *promises.ALL),
)
