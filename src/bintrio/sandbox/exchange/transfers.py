"""What becomes of an account's assets besides trading: deposits, withdrawals, and locks by others.

Source: "Balance Update" and "External Lock Update" of user-data-stream.md. That a position follows each is "Account
Update" there: it is sent whenever a balance has changed.
"""

from __future__ import annotations

from decimal import Decimal

from bintrio.api.events import BalanceUpdate, ExternalLockUpdate

from .accounts import Account
from .orders import eight_decimals
from .refusals import order_refused
from .reports import Reports


def transfer(reports: Reports, account: Account, asset: str, amount: Decimal, now: int) -> None:
    """Deposit an amount, or withdraw a negative one.

    Raises:
        Refusal: -2010, there is not enough to withdraw.
    """
    # Only what is free can be withdrawn.
    if account.holding(asset).free + amount < 0:
        raise order_refused("Account has insufficient balance for requested action.")
    account.receive(asset, amount)
    event = BalanceUpdate(event_time=now, asset=asset, delta=eight_decimals(amount), clear_time=now)
    reports.of_transfer(account, event)
    reports.of_balances(account, (asset,), now)


def lock_externally(reports: Reports, account: Account, asset: str, amount: Decimal, now: int) -> None:
    """Lock an amount for another system of the exchange, as for a margin; or release a negative one.

    Raises:
        Refusal: -2010, so much is not free, or was not locked by such a system.
    """
    account.lock_externally(asset, amount)
    event = ExternalLockUpdate(event_time=now, asset=asset, delta=eight_decimals(amount), transaction_time=now)
    reports.of_transfer(account, event)
    reports.of_balances(account, (asset,), now)
