"""What trades cost: commission_faq.md."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bintrio.sandbox.exchange.commissions import Commissions, Rates

from .hall import D, Hall, symbol

RATES = Commissions(
    standard=Rates(D("0.0000001"), D("0.0000002"), D("0.0000003"), D("0.0000004")),
    special=Rates(D("0.01"), D("0.02"), D("0.03"), D("0.04")),
    tax=Rates(D("0.00000112"), D("0.00000114"), D("0.00000118"), D("0.00000116")),
    discount=D("0.25"),
    is_discounted=True,
)


def test_the_documents_example() -> None:
    received = D("17491.25")
    assert RATES.due(received, is_maker=False, is_buyer=False) == D("1049.52572462")
    assert RATES.discounted(received, D(260), is_maker=False, is_buyer=False) == D("4.03660712")


@pytest.mark.parametrize(
    ("bnb", "pair", "paid_in", "paid"),
    [
        ("10", "BNBUSDT", "BNB", D("0.0078")),
        ("10", "USDTBNB", "BNB", D("0.0078")),
        ("0.001", "BNBUSDT", "USDT", D("0.1")),
        ("10", None, "USDT", D("0.1")),
    ],
)
def test_commission_is_paid_in_bnb_where_it_can_be(bnb: str, pair: str | None, paid_in: str, paid: Decimal) -> None:
    pairs = {"BNBUSDT": symbol(base="BNB"), "USDTBNB": symbol(base="USDT", quote="BNB")}
    hall = Hall(symbol(), *([pairs[pair]] if pair else []))
    if pair:
        hall.engine.listings[pair].book.last_price = D(10) if pair == "BNBUSDT" else D("0.1")
    account = hall.account()
    account.commissions = Commissions(standard=Rates(taker=D("0.01")), discount=D("0.78"), is_discounted=True)
    account.receive("BNB", D(bnb) - 10)
    hall.place(2, side="BUY")
    (execution,) = hall.place(side="SELL").executions
    assert (execution.commission_asset, execution.commission) == (paid_in, paid)
    assert hall.engine.fees == {paid_in: paid}
    assert hall.total("USDT") == 30_000


def test_what_is_received_in_bnb_pays_in_bnb() -> None:
    hall = Hall(symbol(base="BNB"))
    hall.account().commissions = Commissions(standard=Rates(taker=D("0.01")), discount=D("0.5"), is_discounted=True)
    hall.place(2, symbol="BNBUSDT", side="SELL")
    (execution,) = hall.place(symbol="BNBUSDT").executions
    assert (execution.commission_asset, execution.commission) == ("BNB", D("0.005"))
