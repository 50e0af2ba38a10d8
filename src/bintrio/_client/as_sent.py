"""A call's request as it went out: with the client order ids that the session made where its user gave none."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, TypeVar

import msgspec

from .._protocol.chance import Chance
from ..api._base import Json, Request, catalogue, wire_name
from ..errors import InvalidRequest
from .in_flight import Call

R = TypeVar("R")


def identify(call: Call, chance: Chance) -> None:
    """Give a call a new id in the place of every client order id that it lacks."""
    params = call.params
    for name in map(wire_name, call.api.client_ids):
        if name in params:
            call.has_chosen_id = True
        else:
            params[name] = chance.client_order_id()


def as_sent(request: Request[R], params: Mapping[str, Json]) -> Request[R]:
    """The request with the client order ids that it went out with."""
    # The user's own stays as it is: sent again, it is another order under another id.
    sent = copy(request)
    for name in request.api.client_ids:
        msgspec.structs.force_setattr(sent, name, params.get(wire_name(name)))
    return sent


def as_request(call: Call) -> Request[Any] | None:
    """The request that a call by wire names comes to, if the catalogue knows it."""
    known = catalogue.get(call.api.name)
    # The exchange may have methods that this release does not know.
    if known is None:
        return None
    try:
        request: Request[Any] = msgspec.convert(call.params, known, strict=False)
    except (msgspec.ValidationError, InvalidRequest):
        # By wire names anything may have been sent, also what no request of the catalogue can be.
        return None
    return request


def is_fresh(call: Call, request: Request[Any] | None) -> bool:
    """Whether the session made the client order ids of what a call places: all those of its orders."""
    # The list's own id is no order's, so nothing is found by it.
    own = [name for name in call.api.client_ids if name != "list_client_order_id"]
    return all(getattr(request, name) is None for name in own)
