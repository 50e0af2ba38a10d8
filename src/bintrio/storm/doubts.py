"""What `confirm` may leave open in a world that has come to rest, and what it must know of other calls.

Every question is answered by then, and no call is under way. So `confirm` must know what became of a call, unless what
it finds may as well be of another one, and no answer has said whose it is, neither to the session that made the call
nor to the one that is asked. That is so in two cases:

* **It is dated before the call left**, by no more than a timestamp may lead. Then either the exchange's clock had been
  set back, and the call did it; or another one did. Of an order that was canceled or amended, a session that made the
  call itself, and has seen no step of the clock since, knows better.
* **It goes by an id of the program's choice**, and another call under this id, with the same parameters, placed it, or
  may have: its outcome is not known either, and what was found is dated within its time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, product, starmap
from typing import Any, Final, cast

from .._protocol.confirmation import HalfReplaced
from .._protocol.evidence import LARGEST_LEAD, QUERY_DELAY, leg_of
from .._protocol.to_json import to_builtins
from ..api.account import Order
from ..errors import OutcomeUnknown, Rejected
from ..sandbox import Told
from ..sandbox.server.calls import Call
from .evidence import Evidence
from .plan import Amend, Cancel, Place, Replace
from .program import Confirmed, Deed, is_unknown
from .promises import has_jumped


class Inquest:
    """What can be known of one call that was asked about.

    Args:
        confirmed: what was said of it.
        deed: the call.
        evidence: of the world.
        arrivals: what reached the exchange of each call, by their numbers.
    """

    def __init__(
        self, confirmed: Confirmed, deed: Deed, evidence: Evidence, arrivals: Mapping[int, Sequence[Call]]
    ) -> None:
        self._confirmed: Final = confirmed
        self._deed: Final = deed
        self._request: Final[Any] = deed.request
        self._evidence: Final = evidence
        self._arrivals: Final = arrivals
        self._error: Final = evidence.program.unknown.get(deed.number)

    def may_be_open(self) -> bool:
        """Whether nobody can know what became of it."""
        judges: dict[type[Any], Callable[[], bool]] = {
            Place: self._may_be_anothers,
            Replace: self._may_be_earlier,
            # By its number, an order is told as it stands, whoever has changed it.
            Cancel: self._may_be_earlier_by_name,
            Amend: self._may_be_earlier_by_name,
        }
        return is_unknown(self._confirmed.error) and judges.get(type(self._deed.act), _never)()

    def takes_anothers_cancel(self) -> bool:
        """Whether the cancel of an order is said to be this call's, although an answer has said that it is not."""
        # While things happen, an answer may come later than what was said.
        if not (self._confirmed.at_rest and isinstance(self._deed.act, Replace)):
            return False
        return _says_canceled(self._confirmed.result) and self._request.cancel_order_id in self._canceled_by_others()

    def is_mistaken_unawares(self) -> bool:
        """Whether an order is said to be this call's that is of a call like it, of a third session: neither the one
        that made this call nor the one that is asked knows of that, and nothing of the order tells. That is a limit of
        `confirm`, and documented.
        """
        strangers = filter(self._is_stranger, self._others())
        calls = filter(_has_done, self._calls_of(strangers))
        return any(_is_of(self._confirmed.result, call) and self._is_in_time(_date_of(call)) for call in calls)

    def _is_stranger(self, other: Deed) -> bool:
        is_unknown_here = other.session not in {self._deed.session, self._confirmed.session}
        return is_unknown_here and _is_alike(other, self._deed)

    # An order that was placed

    def _may_be_anothers(self) -> bool:
        # An id that the session made, no other call has.
        if self._request.new_client_order_id is None:
            return False
        others = [*filter(self._may_be_taken_for, self._others())]
        dates = [*filter(self._is_in_time, self._dates((self._deed, *others)))]
        # Several are there, each of one call; or one, of this call, before it left.
        is_ambiguous = len(dates) > 1 or any(map(self._is_before, dates))
        return is_ambiguous or any(starmap(self._may_have_placed, product(others, dates)))

    def _may_be_taken_for(self, other: Deed) -> bool:
        return _is_alike(other, self._deed) and not self._is_told(other)

    def _may_have_placed(self, other: Deed, date: int) -> bool:
        """Whether another call may have placed what is there, for all that anybody knows."""
        error = self._evidence.program.unknown.get(other.number)
        # What an account has placed it asks about by itself, so it is not known when that left.
        return other.by_account if error is None else self._is_within(date, error)

    def _dates(self, deeds: Iterable[Deed]) -> Iterator[int]:
        """When some calls placed orders, in milliseconds."""
        return map(_date_of, filter(_has_done, self._calls_of(deeds)))

    # An order that was to be changed

    def _may_be_earlier_by_name(self) -> bool:
        return cast("Cancel | Amend", self._deed.act).by_name and self._may_be_earlier()

    def _may_be_earlier(self) -> bool:
        return not self._knows_clock() and any(self._is_before(told.time) for told in self._changes())

    def _knows_clock(self) -> bool:
        return self._confirmed.session == self._deed.session and not has_jumped(self._evidence.plan)

    def _changes(self) -> Iterator[Told]:
        """What the orders went through that the call may have been about, but for what is known to be of others."""
        reports = [*filter(self._is_report, self._evidence.witness.events)]
        names = _given(self._request, "orig_client_order_id", "cancel_orig_client_order_id")
        numbers = _given(self._request, "order_id", "cancel_order_id")
        numbers |= {told.event["i"] for told in reports if names & {told.event["c"], told.event["C"]}}
        numbers -= self._canceled_by_others()
        return filter(lambda told: told.event["i"] in numbers, reports)

    def _is_report(self, told: Told) -> bool:
        return (told.event["e"], told.event.get("s")) == ("executionReport", self._request.symbol)

    def _canceled_by_others(self) -> set[int]:
        """The ids of the orders that other calls have canceled whose answers said so."""
        # What reads shows canceled orders too.
        told = (other for other in self._others() if not other.request.api.repeatable and self._is_told(other))
        calls = self._calls_of(told)
        return set(chain.from_iterable(map(_canceled_by, calls)))

    # Other calls, and times

    def _others(self) -> Iterator[Deed]:
        return filter(self._is_other, self._evidence.program.deeds.values())

    def _is_other(self, other: Deed) -> bool:
        return other is not self._deed and getattr(other.request, "symbol", None) == self._request.symbol

    def _calls_of(self, deeds: Iterable[Deed]) -> Iterator[Call]:
        """What came to the exchange of some calls."""
        return chain.from_iterable(self._arrivals.get(deed.number, ()) for deed in deeds)

    def _is_told(self, other: Deed) -> bool:
        """Whether the session that made the call, or the one that was asked, was told what another call did."""
        knows = other.session in {self._deed.session, self._confirmed.session}
        return knows and (_was_answered(other) or self._was_answered_late(other))

    def _was_answered_late(self, other: Deed) -> bool:
        error = self._evidence.program.unknown.get(other.number)
        return error is not None and error.answer is not None

    def _is_in_time(self, date: int) -> bool:
        return self._is_within(date, self._error)

    def _is_within(self, date: int, error: Any) -> bool:
        return self._in_ms(error.sent_at) - LARGEST_LEAD <= date <= self._in_ms(error.final_at) + QUERY_DELAY

    def _is_before(self, date: int) -> bool:
        left = self._in_ms(cast("OutcomeUnknown[Any]", self._error).sent_at)
        return left - LARGEST_LEAD <= date < left

    def _in_ms(self, time: Any) -> int:
        return int(time) // {"ms": 1, "us": 1000}[self._evidence.plan.terms.time_unit]


def _never() -> bool:
    return False


def _given(request: Any, *fields: str) -> set[Any]:
    """What a request says in some of its fields."""
    return {getattr(request, field, None) for field in fields} - {None}


def _is_alike(other: Deed, deed: Deed) -> bool:
    """Whether two calls place the same order, under one id of the program's choice."""
    ids = {getattr(each.act, "client_order_id", None) for each in (other, deed)}
    return None not in ids and leg_of(other.request) == leg_of(deed.request)


def _was_answered(deed: Deed) -> bool:
    return deed.result is not None or isinstance(deed.error, Rejected)


def _says_canceled(told: Any) -> bool:
    """Whether what `confirm` gave for an order.cancelReplace says that it canceled its order."""
    return told.is_canceled if isinstance(told, HalfReplaced) else isinstance(told, Order)


def _has_done(call: Call) -> bool:
    return call.outcome is not None and call.outcome.status == 200


def _is_of(told: Any, call: Call) -> bool:
    """Whether an order is the one that a call has placed."""
    return isinstance(told, Order) and told.order_id == cast("Any", call.outcome).result.order_id


def _date_of(call: Call) -> int:
    return call.time // 1000


def _canceled_by(call: Call) -> Iterator[int]:
    """The ids of the orders that a call has canceled, by its outcome."""
    outcome = call.outcome
    plain = None if outcome is None else to_builtins((outcome.result, outcome.error))
    return (record["orderId"] for record in _records_in(plain) if record.get("status") == "CANCELED")


def _records_in(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in JSON, however deep."""
    if isinstance(value, dict):
        record = cast("dict[str, Any]", value)
        yield record
        value = [*record.values()]
    for each in cast("list[Any]", value) if isinstance(value, list | tuple) else ():
        yield from _records_in(each)
