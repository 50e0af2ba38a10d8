"""Buy, and protect what was bought: take the profit above, or limit the loss below, whichever comes first (OCO).

    BINTRIO_ENDPOINT=testnet BINTRIO_API_KEY=... BINTRIO_PRIVATE_KEY_FILE=trading.pem python protect.py

The exchange holds both orders and cancels the other one by itself, so the position is protected also while this program
is not running. What became of an order, whatever was lost on the way, is its handle's affair: the program waits for
`closed`. If the exchange refuses the protection, since the price has left its bounds meanwhile, the position is sold.
"""

from __future__ import annotations

import logging
import os
from decimal import Decimal
from typing import NamedTuple

import trio

import bintrio
from bintrio.account import LiveAccount, LiveOrder
from bintrio.rules import SymbolRules
from bintrio.settings import Settings


class Plan(NamedTuple):
    """What to buy, and when to sell it.

    Attributes:
        symbol: which.
        quantity: of the base asset.
        profit: sell this part above what was paid.
        loss: sell this part below what was paid.
    """

    symbol: str = "BTCUSDT"
    quantity: Decimal = Decimal("0.001")
    profit: Decimal = Decimal("0.01")
    loss: Decimal = Decimal("0.005")


class Result(NamedTuple):
    """What became of it, in the quote asset, and how it ended: ``profit``, ``loss`` or ``refused``."""

    paid: Decimal
    got: Decimal
    how: str


async def trade_protected(account: LiveAccount, rules: SymbolRules, plan: Plan) -> Result | None:
    """Buy, protect, and wait until it is sold. None if nothing was bought."""
    bought = await account.place(symbol=plan.symbol, side="BUY", type="MARKET", quantity=plan.quantity)
    order = await bought.closed()
    if order is None or not order.executed_qty:
        return None
    paid, quantity = order.cummulative_quote_qty, rules.round_quantity(_received(bought, rules))
    got, how = await _sell(account, rules, plan, quantity, paid / order.executed_qty)
    logging.info("paid %s, got %s: %s", paid, got, how)
    return Result(paid, got, how)


def _received(order: LiveOrder, rules: SymbolRules) -> Decimal:
    """What was bought, less what went off for commission, of an order that has ended."""
    base = rules.symbol.base_asset
    return sum(
        (fill.qty - (fill.commission if fill.commission_asset == base else 0) for fill in order.fills), Decimal(0)
    )


async def _sell(
    account: LiveAccount, rules: SymbolRules, plan: Plan, quantity: Decimal, price: Decimal
) -> tuple[Decimal, str]:
    try:
        pair = await account.place_oco(
            symbol=plan.symbol,
            side="SELL",
            quantity=quantity,
            above_type="LIMIT_MAKER",
            above_price=rules.round_price(price * (1 + plan.profit)),
            below_type="STOP_LOSS",
            below_stop_price=rules.round_price(price * (1 - plan.loss)),
        )
        orders = await pair.closed()
    except bintrio.OrderRefused as refusal:
        logging.warning("no protection: %s", refusal)
        orders = ()
    if not orders:  # refused, or it turned out later that it was never placed
        sold = await account.place(symbol=plan.symbol, side="SELL", type="MARKET", quantity=quantity)
        last = await sold.closed()
        return (Decimal(0) if last is None else last.cummulative_quote_qty), "refused"
    profit = next(order for order in orders if order.type == "LIMIT_MAKER")
    got = sum((order.cummulative_quote_qty for order in orders), Decimal(0))
    return got, "profit" if profit.executed_qty else "loss"


async def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    plan = Plan(symbol=os.environ.get("PROTECT_SYMBOL", Plan().symbol))
    async with Settings.from_env().open_session() as session, session.account() as account:
        rules = SymbolRules.of(await session.exchange_info(symbol=plan.symbol), plan.symbol)
        await trade_protected(account, rules, plan)


if __name__ == "__main__":
    trio.run(main)
