"""What each parameter is, in words, once for all methods that take it.

What a method says of a parameter in place of that is in its declaration (``api(..., notes=...)``). `PARTS` names the
orders of a list: ``above_price`` is the ``price`` of the order above the market price.

Source: the tables of parameters in the WebSocket API document, enums.md, and the FAQs on trailing stops, pegged orders
and self-trade prevention.
"""

from __future__ import annotations

from typing import Final

PARAMETERS: Final = {
    # Which symbols
    "symbol": "The symbol, such as BTCUSDT.",
    "symbols": "Several symbols.",
    "symbol_status": "Only symbols in this status. A single symbol in another one is refused with -1220; of several, "
    "those in another one are left out.",
    "permissions": "Only symbols that have one of these permissions, such as SPOT or MARGIN.",
    "show_permission_sets": "Whether the permission sets of each symbol come as well; they do if it is left out.",
    # Which rows
    "limit": "How many at most: up to 1000, 500 if left out.",
    "from_id": "The id to begin at.",
    "start_time": "The first time to be included, in the session's unit of time.",
    "end_time": "The last time to be included, in the session's unit of time.",
    "from_prevented_match_id": "The prevented match to begin at.",
    "from_allocation_id": "The allocation to begin at.",
    "from_execution_id": "The execution id to begin at.",
    "prevented_match_id": "The id of one prevented match.",
    "omit_zero_balances": "Whether assets of which there is nothing are left out; they are not if it is left out.",
    # Market data
    "interval": "How long each candlestick lasts.",
    "time_zone": "The offset from UTC by which days begin, in hours or hours:minutes, from -12:00 to +14:00; 0 if left "
    "out.",
    "window_size": "How long the window is: 1d if left out.",
    # An order
    "side": "Whether to buy or to sell the base asset.",
    "type": "The order type: see the rules below for what each needs.",
    "time_in_force": "How long the order stays: GTC until it is canceled; IOC trades what it can at once, and the rest "
    "expires; FOK trades all of it at once, or expires.",
    "price": "The limit price, in the quote asset.",
    "quantity": "How much to buy or sell, in the base asset.",
    "quote_order_qty": "How much to spend or to receive, in the quote asset: a MARKET order's other measure.",
    "new_client_order_id": "Your id of the order, which no open order may have. A random one if left out.",
    "new_order_resp_type": "How much the answer tells: ACK only that the order was taken, RESULT the order, FULL its "
    "trades too.",
    "stop_price": "The price of the last trade at which the order becomes active, in the quote asset.",
    "trailing_delta": "How far the price must turn back from its best for the order to become active, in basis points "
    "(0.01 %).",
    "iceberg_qty": "How much of the quantity the order book shows at a time, in the base asset.",
    "strategy_id": "A number of yours for the order within a strategy.",
    "strategy_type": "A number of yours for the strategy, from 1000000 on.",
    "self_trade_prevention_mode": "What expires when the order meets one of the same account or trade group. The "
    "symbol must allow it; its default if left out.",
    "peg_price_type": "The price follows the best one: PRIMARY_PEG that of the order's own side, MARKET_PEG that of "
    "the other side.",
    "peg_offset_value": "How many price levels away from there, at most 100.",
    "peg_offset_type": "What the offset counts: price levels.",
    "compute_commission_rates": "Whether the commission rates are told; they are not if it is left out.",
    "recv_window": "How long after it was signed the exchange may still take the call: up to 60000 ms with three "
    "decimal places, 5000 ms if left out.",
    # Which order
    "order_id": "The exchange's id of the order.",
    "orig_client_order_id": "The client order id of the order.",
    "client_order_id": "Your id of the order, which no open order may have. A random one if left out.",
    "order_list_id": "The exchange's id of the order list.",
    "list_client_order_id": "Your id of the order list, which no open list may have. A random one if left out.",
    "new_qty": "The quantity that the order has from then on, in the base asset: above 0, and less than it has now.",
    "cancel_restrictions": "Cancel the order only in this status: ONLY_NEW is NEW, ONLY_PARTIALLY_FILLED is "
    "PARTIALLY_FILLED.",
    "cancel_replace_mode": "Whether the new order is placed if the old one cannot be canceled: STOP_ON_FAILURE no, "
    "ALLOW_FAILURE yes.",
    "cancel_order_id": "The exchange's id of the order to be canceled. It goes before the client order id.",
    "cancel_orig_client_order_id": "The client order id of the order to be canceled.",
    "cancel_new_client_order_id": "Your id of the cancellation. The exchange makes one if left out.",
    "order_rate_limit_exceeded_mode": "What is done when the limit of unfilled orders is reached: DO_NOTHING, as if "
    "left out, or CANCEL_ONLY, the cancellation.",
    # Order lists
    "stop_limit_price": "The limit price of the stop order, in the quote asset. It is a STOP_LOSS order if left out.",
    "stop_limit_time_in_force": "How long the stop order stays once it is active: GTC, IOC or FOK. With a limit price.",
    # Subscriptions
    "subscription_id": "Which one to end; all of them if left out.",
}

PARTS: Final = {
    "pending_above": "the pending order above the market price",
    "pending_below": "the pending order below the market price",
    "above": "the order above the market price",
    "below": "the order below the market price",
    "working": "the working order",
    "pending": "the pending order",
    "limit": "the limit order",
    "stop": "the stop order",
}
