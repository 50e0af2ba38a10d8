"""The error tree: what each error tells, and that it survives being copied and sent to another process."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest
import trio

from bintrio import errors
from bintrio.api._values import RateLimit
from bintrio.errors import (
    AccountNotFollowed,
    Banned,
    BintrioError,
    ConnectionFailed,
    InsufficientBalance,
    InvalidRequest,
    InvalidSignature,
    NotSent,
    OutcomeUnknown,
    PartlyDone,
    ProtocolViolation,
    Rejected,
    SubscriberTooSlow,
    Unauthorized,
)
from bintrio.requests import OrderPlace


def test_a_hint_may_be_about_the_kind_of_key() -> None:
    said = "HMAC-SHA-256 API key is not supported."
    error = Unauthorized("session.logon", status=400, code=-2028, message=said)
    assert str(error).endswith(f"{said} (the exchange does not take this kind of key here: use an Ed25519 key)")
    assert Unauthorized("m", status=400, code=-2015, message="").hint == Unauthorized.hint


def test_a_refusal_gives_its_hint() -> None:
    error = InvalidSignature("order.place", status=400, code=-1022, message="Signature for this request is not valid.")
    assert str(error).endswith("(check that the API key and the private key or secret belong together)")


@pytest.mark.parametrize(
    ("data", "expected"), [({"retryAfter": 5}, 5), ({"retryAfter": "5"}, None), ({}, None), (None, None)]
)
def test_retry_after_may_be_missing(data: Any, expected: int | None) -> None:
    """Inconsistency 4."""
    error = Banned("ping", status=418, code=-1003, message="Banned.", data=data)
    assert error.retry_at == expected
    with pytest.deprecated_call():
        assert error.retry_after == expected


def test_a_partly_done_call_has_no_halves_unless_they_were_told_apart() -> None:
    error = PartlyDone("x", status=409, code=-2021, message="Partly.")
    assert error.done == error.failed == {}


def test_every_error_is_of_one_root() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) > 20
    kinds.remove(errors.ForeignError)
    assert all(issubclass(kind, BintrioError) for kind in kinds)
    assert all(kind.__doc__ for kind in kinds)
    assert all(kind.__name__ in (errors.__doc__ or "") for kind in kinds)


def test_what_each_error_says() -> None:
    assert InvalidRequest("bad", field="price").field == "price"
    assert isinstance(InvalidRequest("bad"), ValueError)
    failed = ConnectionFailed([("wss://a", OSError("refused")), ("wss://b", TimeoutError())])
    assert str(failed) == "no connection could be opened (wss://a: OSError: refused; wss://b: TimeoutError)"
    assert str(NotSent("depth", "no connection")) == "depth was not sent: no connection"
    unknown = OutcomeUnknown("order.place", "lost", client_order_id="abc", final_at=7)
    assert str(unknown) == "order.place (client order id abc) was sent, its outcome is unknown: lost"
    assert (unknown.request, unknown.final_at) == (None, 7)
    assert str(OutcomeUnknown("depth", "lost")) == "depth was sent, its outcome is unknown: lost"
    assert ProtocolViolation("odd", raw=b"{").raw == b"{"
    assert SubscriberTooSlow(10).buffer == 10
    assert str(AccountNotFollowed("x")) == "nobody follows the account any more, so there is no news of x"


# Copies


class _Stubborn(Exception):
    """An error of another library that pickle writes, and then cannot read: its `__init__` takes two arguments."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"answered with {status}")


def _of_all_kinds() -> Iterator[BintrioError]:
    request = OrderPlace(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="1", new_client_order_id="a")
    limit = RateLimit(rate_limit_type="ORDERS", interval="DAY", interval_num=1, limit=9, unknown_fields=b'{"a":1.50}')
    unknown = OutcomeUnknown("order.place", "why", request=request, client_order_id="a", final_at=1)
    yield InvalidRequest("x", field="f")
    yield ConnectionFailed([("wss://x", OSError(111, "refused")), ("wss://y", unknown)])
    yield ConnectionFailed([("wss://x", trio.BrokenResourceError()), ("wss://y", ConnectionFailed([]))])
    yield NotSent("order.place", "why")
    yield unknown
    yield ProtocolViolation("bad", raw=b"x")
    yield SubscriberTooSlow(10)
    yield AccountNotFollowed("an order")
    for kind in _rejections(Rejected):
        error = kind(
            "order.place", status=400, code=-1, message="no", data={"retryAfter": [5, "x"]}, rate_limits=[limit]
        )
        yield error
    partly = PartlyDone("order.cancelReplace", status=409, code=-2021, message="no")
    partly.done, partly.failed = {"a": limit}, {"b": Rejected("b", status=400, code=-2, message="no")}
    yield partly


def _rejections(kind: type[Rejected]) -> Iterator[type[Rejected]]:
    yield kind
    for derived in kind.__subclasses__():
        yield from _rejections(derived)


def _pickled(error: BintrioError) -> BintrioError:
    copied: BintrioError = pickle.loads(pickle.dumps(error))
    return copied


def _shallow(error: BintrioError) -> BintrioError:
    return copy.copy(error)


def _deep(error: BintrioError) -> BintrioError:
    return copy.deepcopy(error)


COPIES = pytest.mark.parametrize("copied", [_pickled, _shallow, _deep])


@COPIES
@pytest.mark.parametrize("error", list(_of_all_kinds()), ids=lambda error: type(error).__name__)
def test_an_error_can_be_copied(error: BintrioError, copied: Callable[[BintrioError], BintrioError]) -> None:
    other = copied(error)
    assert other is not error
    assert type(other) is type(error)
    assert (str(other), repr(other)) == (str(error), repr(error))
    assert other == error
    assert hash(other) == hash(error)
    assert len({error, other}) == 1


def _kinds(kind: type[BintrioError]) -> Iterator[type[BintrioError]]:
    yield kind
    for derived in kind.__subclasses__():
        yield from _kinds(derived)


@COPIES
@pytest.mark.parametrize("kind", list(_kinds(BintrioError)))
def test_whatever_an_error_takes_it_can_be_copied(
    kind: type[BintrioError], copied: Callable[[BintrioError], BintrioError]
) -> None:
    error = kind.__new__(kind, "words")
    vars(error).update(method="m", anything=(1, {"a": [2]}))
    other = copied(error)
    assert vars(other) == vars(error)
    assert other == error


@pytest.mark.parametrize(
    ("one", "another"),
    [
        (NotSent("a", "b"), OutcomeUnknown("a", "b")),
        (NotSent("a", "b"), NotSent("a", "c")),
        (InvalidRequest("x", field="a"), InvalidRequest("x", field="b")),
        (ProtocolViolation("x", raw=b"a"), ProtocolViolation("x")),
        (ConnectionFailed([("a", OSError("x"))]), ConnectionFailed([("a", ValueError("x"))])),
        (NotSent("a", "b"), "a was not sent: b"),
        (BintrioError("a"), BintrioError("b")),
    ],
)
def test_errors_that_differ_are_not_equal(one: BintrioError, another: Any) -> None:
    assert one != another
    assert another != one


@COPIES
def test_a_copy_of_an_error_has_its_cause_and_notes(copied: Callable[[BintrioError], BintrioError]) -> None:
    error = NotSent("time", "reading failed")
    error.add_note("at night")
    error.__cause__ = ConnectionFailed([("wss://x", OSError(111, "refused"))])
    other = copied(error)
    assert other.__notes__ == ["at night"]
    assert other.__cause__ == error.__cause__
    assert other == error == NotSent("time", "reading failed")


@COPIES
def test_a_foreign_error_that_cannot_be_copied_leaves_its_words(
    copied: Callable[[BintrioError], BintrioError],
) -> None:
    error = ConnectionFailed([("wss://x", _Stubborn(451, b"not here"))])
    error.__cause__ = _Stubborn(403, b"")
    other = copied(error)
    assert str(other) == str(error) == "no connection could be opened (wss://x: _Stubborn: answered with 451)"
    assert other == error
    assert str(other.__cause__) == "_Stubborn: answered with 403"
    assert _pickled(other) == error


def _refused() -> None:
    raise InsufficientBalance("order.place", status=400, code=-2010, message="no", data={"a": 1})


def test_an_error_comes_out_of_a_process_pool() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool, pytest.raises(InsufficientBalance) as caught:
        pool.submit(_refused).result()
    assert caught.value == InsufficientBalance("order.place", status=400, code=-2010, message="no", data={"a": 1})
