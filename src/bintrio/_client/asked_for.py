"""Of which calls it can be asked what became of them."""

from __future__ import annotations

from typing import Any, cast

from .._protocol.confirmation import RULES
from ..api._base import Request
from ..api.trading import OrderAmendKeepPriority
from ..errors import InvalidRequest, OutcomeUnknown, PartlyDone, Rejected
from .namesakes import told_by


def asked_for(request: Any) -> Request[Any]:
    """A request of which it can be asked what became, though there is no error that it raised.

    Raises:
        InvalidRequest: it changes nothing, or has no client order id to be asked for.
    """
    checked = _changing(request, "it", "")
    name = _lacking(checked)
    if name is not None:
        said = f"{checked.api.name}: without {name} there is nothing to ask for: confirm the error that it raised"
        raise InvalidRequest(said, field=name)
    return checked


def asked_of(error: OutcomeUnknown) -> Request[Any]:
    """The request of a call that ended in an error. A late answer tells what to ask for though the call names nothing.

    Raises:
        InvalidRequest: it changes nothing, or neither it nor a late answer has named what could be asked for.
    """
    is_answered = error.answered_at is not None
    hint = ": what came late is in the `answer` of its error" if is_answered else ""
    request = _changing(error.request, error.method, hint)
    name = _lacking(request)
    if name is None or is_refused(error.answer) or told_by(request, error.answer) is not None:
        return request
    # It was sent by its wire names, as it stood.
    said = hint or ", and no answer to it has come: look in openOrders.status and allOrders for what it may have placed"
    raise InvalidRequest(f"{request.api.name}: it was sent without {name}{said}", field=name)


def is_refused(answer: Any) -> bool:
    """Whether a late answer says that nothing was done."""
    # `PartlyDone` is a `Rejected` too, but half of the call was done.
    return isinstance(answer, Rejected) and not isinstance(answer, PartlyDone)


def _changing(request: Any, method: str, hint: str) -> Request[Any]:
    if type(request) not in RULES:
        # A call by wire names that the catalogue does not have is known by its method alone.
        name = request.api.name if isinstance(request, Request) else method
        raise InvalidRequest(f"{name} leaves nothing behind that could be asked for{hint}")
    return cast("Request[Any]", request)


def _lacking(request: Request[Any]) -> str | None:
    """The client order id without which there is nothing to ask for, if a request lacks one."""
    # An amend that names the order by its number can be asked for by that.
    if isinstance(request, OrderAmendKeepPriority) and request.order_id is not None:
        return None
    return next((name for name in request.api.client_ids if getattr(request, name) is None), None)
