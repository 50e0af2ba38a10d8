"""Which parameters go together: what an order of some type needs, and what it must not have.

The orders of a list are named by a prefix (``workingPrice``), and go by the same rules as a single order, whose prefix
is empty. Where the document gives no code, the reason stands at the rule.

Source: "Trading requests" of the WebSocket API document, errors.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

from bintrio.api.trading import ORDER_RULES

from . import refusals
from .orders import KINDS
from .pairs import check_pair
from .refusals import Refusal

Params: TypeAlias = Mapping[str, Any]
"""By wire name."""

_PREFIXES: Final = ("", "working", "pending", "above", "below", "pendingAbove", "pendingBelow")

_REQUIRED_BY_TYPE: Final = {
    "LIMIT": ("timeInForce", "price", "quantity"),
    "LIMIT_MAKER": ("price", "quantity"),
    "MARKET": (),
    "STOP_LOSS": ("quantity",),
    "STOP_LOSS_LIMIT": ("timeInForce", "price", "quantity"),
    "TAKE_PROFIT": ("quantity",),
    "TAKE_PROFIT_LIMIT": ("timeInForce", "price", "quantity"),
}
_SURPLUS_BY_TYPE: Final = {
    "LIMIT": ("stopPrice", "trailingDelta", "quoteOrderQty"),
    "LIMIT_MAKER": ("stopPrice", "trailingDelta", "quoteOrderQty"),
    "MARKET": ("timeInForce", "price", "stopPrice", "trailingDelta", "icebergQty"),
    "STOP_LOSS": ("timeInForce", "price", "quoteOrderQty", "icebergQty"),
    "STOP_LOSS_LIMIT": ("quoteOrderQty",),
    "TAKE_PROFIT": ("timeInForce", "price", "quoteOrderQty", "icebergQty"),
    "TAKE_PROFIT_LIMIT": ("quoteOrderQty",),
}
# A working order has no trigger and no market price: it is on the book, or not placed.
_WORKING_TYPES: Final = ("LIMIT", "LIMIT_MAKER")
_ROUTED_TYPES: Final = ("LIMIT", "MARKET")
_DEEPEST_PEG: Final = 100  # ``pegOffsetValue``

COVERED: Final = frozenset(ORDER_RULES)
"""What declarations demand of orders: it is refused here, with the exchange's own codes."""

_EITHER: Final = (
    ("orderId", "origClientOrderId"),
    ("cancelOrderId", "cancelOrigClientOrderId"),
    ("origClientOrderId", "orderListId"),
    ("orderListId", "listClientOrderId"),
)
_EITHER_OF_METHOD: Final = {
    "ticker": (("symbol", "symbols"),),
    "ticker.tradingDay": (("symbol", "symbols"),),
    "orderList.place": (("stopPrice", "trailingDelta"),),
    "myPreventedMatches": (("preventedMatchId", "orderId"),),
}


def checks(method: str, names: frozenset[str]) -> Iterator[Callable[[Params], None]]:
    """What must hold between the parameters of a method; each raises the documented refusal.

    Args:
        method: by its wire name.
        names: of the parameters that it takes.
    """
    # Which orders a list may have decides what each of them needs.
    if method.startswith("orderList.place"):
        yield partial(_check_list, method)
    for prefix in _PREFIXES:
        # Tickers have a `type` too; only an order has a `side` beside it.
        if _in_list(prefix, "type") in names and (prefix or "side" in names):
            yield partial(_check_order, _Order(prefix, names))
    for pair in (*_EITHER, *_EITHER_OF_METHOD.get(method, ())):
        # A method that does not have both cannot ask for one of them.
        if names.issuperset(pair):
            yield partial(_check_either, pair)


def _check_either(pair: tuple[str, str], sent: Params) -> None:
    if sent.keys().isdisjoint(pair):
        raise refusals.either_mandatory(*pair)


def _in_list(prefix: str, plain: str) -> str:
    """The wire name of a parameter of one order of a list."""
    return prefix + plain[0].upper() + plain[1:] if prefix else plain


# Orders


class _Kind(NamedTuple):
    """What one type of order needs, and what it must not have, by wire names."""

    required: tuple[str, ...]
    surplus: frozenset[str]
    either: tuple[str, str] | None


class _Order:
    """The parameters of one order by their wire names, and what its types need."""

    def __init__(self, prefix: str, names: frozenset[str]) -> None:
        self.is_single: Final = not prefix
        self.type, self.price, self.time_in_force = (_in_list(prefix, n) for n in ("type", "price", "timeInForce"))
        self.iceberg: Final = _in_list(prefix, "icebergQty")
        self.peg, self.offset, self.depth = (
            _in_list(prefix, n) for n in ("pegPriceType", "pegOffsetType", "pegOffsetValue")
        )
        self.optional: Final = frozenset({self.iceberg, self.peg, self.offset, self.depth})
        self.kinds: Final = {kind: _kind(kind, prefix, names) for kind in _types(prefix, names)}


def _kind(kind: str, prefix: str, names: frozenset[str]) -> _Kind:
    required = [_in_list(prefix, plain) for plain in _REQUIRED_BY_TYPE[kind]]
    # A LIMIT_MAKER stays until it is canceled; of those in lists the document lets one say so.
    surplus = {*_SURPLUS_BY_TYPE[kind], *(("timeInForce",) if kind == "LIMIT_MAKER" and not prefix else ())}
    pair = (_in_list(prefix, "stopPrice"), _in_list(prefix, "trailingDelta"))
    return _Kind(
        tuple(name for name in required if name in names),
        frozenset(_in_list(prefix, plain) for plain in surplus),
        pair if KINDS[kind].trigger else None,
    )


def _types(prefix: str, names: frozenset[str]) -> Collection[str]:
    if prefix == "working":
        return _WORKING_TYPES
    # What has no `stopPrice` takes no orders that wait for a price: these are the methods of smart order routing.
    return KINDS if prefix or "stopPrice" in names else _ROUTED_TYPES


def _check_order(order: _Order, sent: Params) -> None:
    kind = sent[order.type]
    known = order.kinds.get(kind)
    # The type exists, but not for this method or this order of a list.
    if known is None:
        raise refusals.invalid_value(order.type)
    _check_names(order, known, sent)
    # In lists there is no quote amount.
    if kind == "MARKET" and order.is_single:
        _check_amount(sent)
    # Few orders have any of these.
    if not order.optional.isdisjoint(sent):
        _check_iceberg(order, sent, kind)
        _check_peg(order, sent, kind)


def _check_names(order: _Order, kind: _Kind, sent: Params) -> None:
    for name in kind.required:
        # A pegged order takes its price from the book.
        if name not in sent and not (name == order.price and order.peg in sent):
            raise refusals.mandatory(name)
    if not kind.surplus.isdisjoint(sent):
        # The first in the order of declaration: a set has none that is the same in each run.
        raise refusals.not_required(next(name for name in sent if name in kind.surplus))
    if kind.either is not None:
        _check_either(kind.either, sent)


def _check_amount(sent: Params) -> None:
    _check_either(("quantity", "quoteOrderQty"), sent)
    if "quantity" in sent and "quoteOrderQty" in sent:
        raise refusals.not_required("quoteOrderQty")


def _check_iceberg(order: _Order, sent: Params, kind: str) -> None:
    """An iceberg order stays until it is canceled."""
    # A LIMIT_MAKER may go without `timeInForce`, and stays all the same (inconsistency 29).
    stays = sent.get(order.time_in_force, "GTC" if kind == "LIMIT_MAKER" else "") == "GTC"
    if order.iceberg not in sent or stays:
        return
    # The same mistake has another code in a list.
    if order.is_single:
        raise refusals.order_refused("Unsupported order combination")
    raise refusals.iceberg_not_good_till_canceled(order.iceberg)


def _check_peg(order: _Order, sent: Params, kind: str) -> None:
    if order.peg in sent and not KINDS[kind].has_limit:
        raise refusals.order_refused("This order type may not use pegged price.")
    # One says in what unit, the other how far.
    if (order.offset in sent) is not (order.depth in sent):
        raise refusals.go_together(order.offset, order.depth)
    # An offset moves a peg: without one it says nothing.
    if order.offset in sent and order.peg not in sent:
        raise refusals.go_together(order.peg, order.offset)
    if sent.get(order.depth, 0) > _DEEPEST_PEG:
        # The document has the limit, and no code for it; these are its words for another parameter with a limit.
        raise refusals.too_great(order.depth, _DEEPEST_PEG)


# Lists


def _check_list(method: str, sent: Params) -> None:
    """Which orders a list may have, and on which sides."""
    # The older way to place an OCO, with parameters of its own.
    if method == "orderList.place":
        _check_old_pair(sent)
    # The pending orders sell what the working one bought, so the sides are fixed.
    if method.startswith("orderList.place.opo"):
        if sent["workingSide"] != "BUY":
            raise Refusal(-1222, "Working order in an OPO list must be a bid.")
        if sent["pendingSide"] != "SELL":
            raise Refusal(-1223, "Pending orders in an OPO list must be asks.")
    for side, above, below in _TYPES_OF_PAIRS:
        if above not in sent:
            continue
        if below not in sent:  # the document calls pendingBelowType optional, and does not say what a pair of one is
            raise refusals.mandatory(below)
        check_pair(sent[side], sent[above], sent[below])


_TYPES_OF_PAIRS: Final = (
    ("side", "aboveType", "belowType"),
    ("pendingSide", "pendingAboveType", "pendingBelowType"),
)


def _check_old_pair(sent: Params) -> None:
    # -1128 is said in the changelog of 2019-11-13; the words are those of errors.md.
    if ("stopLimitPrice" in sent) is not ("stopLimitTimeInForce" in sent):
        raise refusals.go_together("stopLimitPrice", "stopLimitTimeInForce")
    # The stop-limit leg says in a parameter of its own how long it stays.
    if "stopIcebergQty" in sent and sent.get("stopLimitTimeInForce") != "GTC":
        raise refusals.iceberg_not_good_till_canceled("stopIcebergQty")
