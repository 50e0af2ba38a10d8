"""What trades cost.

Three kinds of rates add up: standard, tax and special; each has one for makers or takers, and one for buyers or
sellers. They are taken from what a side receives. Who pays in BNB has the standard commission discounted, and pays
from what is free; without enough BNB, or without a price for it, all of it is taken from what is received.

Source: commission_faq.md.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from bintrio.api._values import Shown

from .arguments import check_fields
from .orders import ZERO, eight_decimals


class Rates(Shown, frozen=True, forbid_unknown_fields=True):
    """Fractions of what is received.

    Raises:
        InvalidRequest: a rate is no number that is not negative.
    """

    maker: Decimal = ZERO
    taker: Decimal = ZERO
    buyer: Decimal = ZERO
    seller: Decimal = ZERO

    def __post_init__(self) -> None:
        check_fields(self)

    def of(self, *, is_maker: bool, is_buyer: bool) -> Decimal:
        """The rate of one side of a trade."""
        return (self.maker if is_maker else self.taker) + (self.buyer if is_buyer else self.seller)


class Commissions(Shown, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an account pays.

    Attributes:
        discount: the part of the standard commission that is left when it is paid in ``discount_asset``.
        is_discounted: whether the account pays in that asset, where it can.

    Raises:
        InvalidRequest: a value is not of its type.
    """

    standard: Rates = Rates()
    tax: Rates = Rates()
    special: Rates = Rates()
    discount: Decimal = Decimal("0.75")
    discount_asset: str = "BNB"
    is_discounted: bool = False

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def are_none(self) -> bool:
        """Whether nothing is due, ever."""
        return self.standard == self.tax == self.special == FREE

    def due(self, received: Decimal, *, is_maker: bool, is_buyer: bool) -> Decimal:
        """Commission in the asset that is received."""
        rate = sum((rates.of(is_maker=is_maker, is_buyer=is_buyer) for rates in self._all), ZERO)
        return eight_decimals(received * rate)

    def discounted(self, received: Decimal, price: Decimal, *, is_maker: bool, is_buyer: bool) -> Decimal:
        """Commission in the discount asset, of which ``price`` is one in the asset that is received."""
        # Only the standard rate is discounted ("Discount on standard commissions").
        standard, *others = (received * rates.of(is_maker=is_maker, is_buyer=is_buyer) for rates in self._all)
        return eight_decimals((standard * self.discount + sum(others, ZERO)) / price)

    @property
    def _all(self) -> tuple[Rates, Rates, Rates]:
        return self.standard, self.tax, self.special


FREE: Final = Rates()
