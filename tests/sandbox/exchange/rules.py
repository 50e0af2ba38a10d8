"""Rules of the exchange's documents as data: what is sent, and what comes back.

Each table is of one section of the documents. A row has the request that it starts from (`BASES`), what it changes
(an Ellipsis takes a parameter away), the code and the message. "No code" says that the document has the rule, but no
code for it; then the row holds what the sandbox chose.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]
Row: TypeAlias = tuple[str, Json, int, str]

LIMIT: Final[Json] = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "price": "100",
    "quantity": "0.5",
}
MARKET: Final[Json] = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.1"}
_STOP: Final[Json] = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.1"}
_WORKING: Final[Json] = {
    "symbol": "BTCUSDT",
    "workingType": "LIMIT",
    "workingSide": "BUY",
    "workingPrice": "100",
    "workingQuantity": "0.1",
    "workingTimeInForce": "GTC",
}
_PENDING: Final[Json] = {
    "pendingType": "LIMIT",
    "pendingSide": "SELL",
    "pendingPrice": "200",
    "pendingTimeInForce": "GTC",
}
_PENDING_PAIR: Final[Json] = {
    "pendingSide": "SELL",
    "pendingAboveType": "LIMIT_MAKER",
    "pendingAbovePrice": "200",
    "pendingBelowType": "STOP_LOSS_LIMIT",
    "pendingBelowPrice": "49",
    "pendingBelowStopPrice": "50",
    "pendingBelowTimeInForce": "GTC",
}

BASES: Final[dict[str, tuple[str, Json]]] = {
    "limit": ("order.place", LIMIT),
    "maker": ("order.place", LIMIT | {"type": "LIMIT_MAKER", "timeInForce": ...}),
    "market": ("order.place", MARKET),
    "stop": ("order.place", _STOP | {"type": "STOP_LOSS", "stopPrice": "50"}),
    "stop limit": ("order.place", LIMIT | {"side": "SELL", "type": "STOP_LOSS_LIMIT", "stopPrice": "50"}),
    "profit": ("order.place", _STOP | {"type": "TAKE_PROFIT", "stopPrice": "500"}),
    "profit limit": ("order.place", LIMIT | {"side": "SELL", "type": "TAKE_PROFIT_LIMIT", "stopPrice": "500"}),
    "test": ("order.test", LIMIT),
    "routed": ("sor.order.place", LIMIT),
    "cancel": ("order.cancel", {"symbol": "BTCUSDT", "orderId": 99}),
    "replace": (
        "order.cancelReplace",
        LIMIT | {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": 99},
    ),
    "amend": ("order.amend.keepPriority", {"symbol": "BTCUSDT", "orderId": 99, "newQty": "1"}),
    "cancel all": ("openOrders.cancelAll", {"symbol": "BTCUSDT"}),
    "old pair": (
        "orderList.place",
        {"symbol": "BTCUSDT", "side": "SELL", "price": "200", "quantity": "0.1", "stopPrice": "50"},
    ),
    "pair": (
        "orderList.place.oco",
        {
            "symbol": "BTCUSDT",
            "side": "SELL",
            "quantity": "0.1",
            "aboveType": "LIMIT_MAKER",
            "abovePrice": "200",
            "belowType": "STOP_LOSS_LIMIT",
            "belowPrice": "49",
            "belowStopPrice": "50",
            "belowTimeInForce": "GTC",
        },
    ),
    "then": ("orderList.place.oto", _WORKING | _PENDING | {"pendingQuantity": "0.1"}),
    "then pair": ("orderList.place.otoco", _WORKING | _PENDING_PAIR | {"pendingQuantity": "0.1"}),
    "pays": ("orderList.place.opo", _WORKING | _PENDING),
    "pays pair": ("orderList.place.opoco", _WORKING | _PENDING_PAIR),
    "cancel list": ("orderList.cancel", {"symbol": "BTCUSDT", "orderListId": 99}),
    "order": ("order.status", {"symbol": "BTCUSDT", "orderId": 99}),
    "list": ("orderList.status", {"orderListId": 99}),
    "orders": ("allOrders", {"symbol": "BTCUSDT"}),
    "lists": ("allOrderLists", {}),
    "my trades": ("myTrades", {"symbol": "BTCUSDT"}),
    "prevented": ("myPreventedMatches", {"symbol": "BTCUSDT", "orderId": 99}),
    "allocations": ("myAllocations", {"symbol": "BTCUSDT"}),
    "amendments": ("order.amendments", {"symbol": "BTCUSDT", "orderId": 99}),
    "depth": ("depth", {"symbol": "BTCUSDT"}),
    "trades": ("trades.recent", {"symbol": "BTCUSDT"}),
    "old trades": ("trades.historical", {"symbol": "BTCUSDT"}),
    "blocks": ("blockTrades.historical", {"symbol": "BTCUSDT", "fromId": 0}),
    "aggregates": ("trades.aggregate", {"symbol": "BTCUSDT"}),
    "klines": ("klines", {"symbol": "BTCUSDT", "interval": "1h"}),
    "ui klines": ("uiKlines", {"symbol": "BTCUSDT", "interval": "1h"}),
    "average": ("avgPrice", {"symbol": "BTCUSDT"}),
    "day": ("ticker.24hr", {"symbol": "BTCUSDT"}),
    "trading day": ("ticker.tradingDay", {"symbol": "BTCUSDT"}),
    "window": ("ticker", {"symbol": "BTCUSDT"}),
    "price": ("ticker.price", {"symbol": "BTCUSDT"}),
    "best": ("ticker.book", {"symbol": "BTCUSDT"}),
    "reference": ("referencePrice", {"symbol": "BTCUSDT"}),
    "calculation": ("referencePrice.calculation", {"symbol": "BTCUSDT"}),
    "info": ("exchangeInfo", {}),
    "rules": ("executionRules", {}),
    "ping": ("ping", {}),
    "unknown": ("order.unknown", {}),
    "unsubscribe": ("userDataStream.unsubscribe", {}),
}


def _missing(name: str) -> tuple[int, str]:
    return -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."


def _either(first: str, second: str) -> tuple[int, str]:
    return -1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!"


def _surplus(name: str) -> tuple[int, str]:
    return -1106, f"Parameter '{name}' sent when not required."


def _invalid(name: str) -> tuple[int, str]:
    return -1130, f"Data sent for parameter '{name}' is not valid."


def _both(first: str, second: str) -> tuple[int, str]:
    said = f"Recommendation: '{first}' and '{second}' must both be sent."
    return -1128, f"Combination of optional fields invalid. {said}"


def _iceberg(name: str) -> tuple[int, str]:
    return -1160, f"Parameter '{name}' is not supported if aboveTimeInForce/belowTimeInForce is not GTC."


_BAD_COMBINATION: Final = (-1128, "Combination of optional parameters invalid.")
_SURPLUS_TIME_IN_FORCE: Final = (-1114, "TimeInForce parameter sent when not required.")
_UNKNOWN_SYMBOL: Final = (-1121, "Invalid symbol.")
_UNSUPPORTED: Final = (-2010, "Unsupported order combination")
_NOT_IN_OCO: Final = (-1158, "Order type not supported in OCO.")
_ILLEGAL_SYMBOLS: Final = (
    -1100,
    r"Illegal characters found in parameter 'symbols'; legal range is '^[\w\-._&&[^a-z]]{1,50}$'.",
)
_UNKNOWN_ORDER: Final = "Unknown order sent."
_DAY: Final = 86_400_000
_ZONES: Final = ("15", "-12:01", "+14:01")  # "strictly [-12:00 to +14:00] inclusive"
_START: Final = 1_767_139_200_000
_PEGGED: Final[Json] = {"pegPriceType": "PRIMARY_PEG", "price": ...}
_OFFSET: Final[Json] = {"pegOffsetType": "PRICE_LEVEL"}


_NEEDED: Final = [
    ("limit", ["timeInForce", "price", "quantity"]),
    ("maker", ["price", "quantity"]),
    ("stop", ["quantity"]),
    ("stop limit", ["timeInForce", "price", "quantity"]),
    ("profit", ["quantity"]),
    ("profit limit", ["timeInForce", "price", "quantity"]),
    ("replace", ["timeInForce", "price", "quantity"]),
    ("test", ["timeInForce", "price", "quantity"]),
    ("routed", ["timeInForce", "price", "quantity"]),
    ("then", ["workingTimeInForce", "pendingPrice", "pendingTimeInForce"]),
    ("then pair", ["pendingAbovePrice", "pendingBelowPrice", "pendingBelowTimeInForce"]),
    ("pays", ["workingTimeInForce", "pendingPrice", "pendingTimeInForce"]),
    ("pays pair", ["pendingAbovePrice", "pendingBelowPrice", "pendingBelowTimeInForce"]),
    ("pair", ["abovePrice", "belowPrice", "belowTimeInForce"]),
]
_NOT_NEEDED: Final = [
    ("limit", ["stopPrice", "quoteOrderQty"]),
    ("maker", ["stopPrice", "quoteOrderQty"]),
    ("market", ["price", "stopPrice", "icebergQty"]),
    ("stop", ["price", "quoteOrderQty", "icebergQty"]),
    ("profit", ["price", "quoteOrderQty", "icebergQty"]),
    ("stop limit", ["quoteOrderQty"]),
    ("profit limit", ["quoteOrderQty"]),
    ("pair", ["aboveStopPrice"]),
    ("then", ["pendingStopPrice"]),
]
RULES: Final[dict[str, list[Row]]] = {
    'web-socket-api.md, "Place new order", mandatory parameters by type': [
        *((base, {name: ...}, *_missing(name)) for base, names in _NEEDED for name in names),
        ("market", {"quantity": ...}, *_either("quantity", "quoteOrderQty")),
        ("stop", {"stopPrice": ...}, *_either("stopPrice", "trailingDelta")),
        ("stop limit", {"stopPrice": ...}, *_either("stopPrice", "trailingDelta")),
        ("profit", {"stopPrice": ...}, *_either("stopPrice", "trailingDelta")),
        ("profit limit", {"stopPrice": ...}, *_either("stopPrice", "trailingDelta")),
        ("pair", {"belowStopPrice": ...}, *_either("belowStopPrice", "belowTrailingDelta")),
        ("old pair", {"stopPrice": ...}, *_either("stopPrice", "trailingDelta")),
        ("old pair", {"stopLimitPrice": "49"}, *_both("stopLimitPrice", "stopLimitTimeInForce")),
        ("old pair", {"stopLimitTimeInForce": "GTC"}, *_both("stopLimitPrice", "stopLimitTimeInForce")),
        ("then pair", {"pendingBelowStopPrice": ...}, *_either("pendingBelowStopPrice", "pendingBelowTrailingDelta")),
        ("pays pair", {"pendingBelowStopPrice": ...}, *_either("pendingBelowStopPrice", "pendingBelowTrailingDelta")),
        *((base, {"pendingBelowType": ...}, *_missing("pendingBelowType")) for base in ("then pair", "pays pair")),
    ],
    "errors.md, -1106 and -1114": [
        *((base, {name: "1"}, *_surplus(name)) for base, names in _NOT_NEEDED for name in names),
        ("limit", {"trailingDelta": 10}, *_surplus("trailingDelta")),
        ("market", {"trailingDelta": 10}, *_surplus("trailingDelta")),
        ("market", {"quoteOrderQty": "10"}, *_surplus("quoteOrderQty")),
        ("market", {"timeInForce": "GTC"}, *_SURPLUS_TIME_IN_FORCE),
        ("maker", {"timeInForce": "GTC"}, *_SURPLUS_TIME_IN_FORCE),
        ("stop", {"timeInForce": "GTC"}, *_SURPLUS_TIME_IN_FORCE),
        ("profit", {"timeInForce": "IOC"}, *_SURPLUS_TIME_IN_FORCE),
    ],
    'web-socket-api.md, "Place new order", icebergs; errors.md, -1160 and -2010': [
        ("limit", {"icebergQty": "0.1", "timeInForce": "IOC"}, *_UNSUPPORTED),
        ("limit", {"icebergQty": "0.1", "timeInForce": "FOK"}, *_UNSUPPORTED),
        ("stop limit", {"icebergQty": "0.1", "timeInForce": "IOC"}, *_UNSUPPORTED),
        ("limit", {"icebergQty": "0.6"}, -2010, "IcebergQty exceeds QTY."),
        ("pair", {"belowIcebergQty": "0.1", "belowTimeInForce": "IOC"}, *_iceberg("belowIcebergQty")),
        ("then", {"workingIcebergQty": "0.1", "workingTimeInForce": "IOC"}, *_iceberg("workingIcebergQty")),
        ("then", {"pendingIcebergQty": "0.1", "pendingTimeInForce": "FOK"}, *_iceberg("pendingIcebergQty")),
        (
            "then pair",
            {"pendingBelowIcebergQty": "0.1", "pendingBelowTimeInForce": "IOC"},
            *_iceberg("pendingBelowIcebergQty"),
        ),
        ("old pair", {"stopIcebergQty": "0.1"}, *_iceberg("stopIcebergQty")),
    ],
    'web-socket-api.md, "Pegged Orders"; pegged_orders.md': [
        ("limit", _PEGGED | _OFFSET, *_both("pegOffsetType", "pegOffsetValue")),
        ("limit", _PEGGED | {"pegOffsetValue": 1}, *_both("pegOffsetType", "pegOffsetValue")),
        ("limit", _OFFSET | {"pegOffsetValue": 1}, *_both("pegPriceType", "pegOffsetType")),
        (
            "limit",
            _PEGGED | _OFFSET | {"pegOffsetValue": 101},
            -1102,
            "'pegOffsetValue' contains unexpected value. Cannot be greater than 100.",
        ),
        ("limit", {"pegPriceType": "PRIMARY"}, -1210, "Invalid pegPriceType."),
        ("limit", _PEGGED | {"pegOffsetType": "TICK", "pegOffsetValue": 1}, -1211, "Invalid pegOffsetType."),
        ("market", {"pegPriceType": "MARKET_PEG"}, -2010, "This order type may not use pegged price."),
        ("stop", {"pegPriceType": "MARKET_PEG"}, -2010, "This order type may not use pegged price."),
        ("maker", {"pegPriceType": "MARKET_PEG"}, -2010, "This price peg cannot be used with this order type."),
        ("limit", _PEGGED | {"timeInForce": "IOC"}, *_UNSUPPORTED),
        ("limit", _PEGGED, -2010, "Order book liquidity is too low for this pegged order."),
        ("then", {"workingPegPriceType": "BEST"}, -1210, "Invalid pegPriceType."),
        ("pair", {"abovePegOffsetType": "PRICE_LEVEL"}, *_both("abovePegOffsetType", "abovePegOffsetValue")),
        ("limit", _PEGGED | {"symbol": "PLAINUSDT"}, -2010, "Pegged orders are not supported for this symbol."),
    ],
    "errors.md, values of enums: -1115 to -1117, -1120, -1122, -1130, -1139, -1145": [
        ("limit", {"timeInForce": "GTX"}, -1115, "Invalid timeInForce."),
        ("limit", {"timeInForce": "gtc"}, -1115, "Invalid timeInForce."),
        ("limit", {"type": "LIMITS"}, -1116, "Invalid orderType."),
        ("limit", {"side": "HOLD"}, -1117, "Invalid side."),
        ("limit", {"newOrderRespType": "ALL"}, *_invalid("newOrderRespType")),
        ("limit", {"selfTradePreventionMode": "SOME"}, *_invalid("selfTradePreventionMode")),
        ("routed", {"type": "STOP_LOSS"}, -1116, "Invalid orderType."),
        ("routed", {"type": "LIMIT_MAKER", "timeInForce": ...}, -1116, "Invalid orderType."),
        ("pair", {"belowTimeInForce": "GTX"}, -1115, "Invalid timeInForce."),
        ("then", {"workingTimeInForce": "DAY"}, -1115, "Invalid timeInForce."),
        ("then", {"workingSide": "LONG"}, -1117, "Invalid side."),
        ("then", {"pendingSide": "SHORT"}, -1117, "Invalid side."),
        ("then", {"workingType": "MARKET"}, -1116, "Invalid orderType."),
        ("then", {"workingType": "STOP_LOSS"}, -1116, "Invalid orderType."),
        ("then", {"pendingType": "STOP"}, -1116, "Invalid orderType."),
        ("old pair", {"stopLimitPrice": "49", "stopLimitTimeInForce": "X"}, -1115, "Invalid timeInForce."),
        ("replace", {"cancelReplaceMode": "TRY"}, *_invalid("cancelReplaceMode")),
        ("replace", {"orderRateLimitExceededMode": "TRY"}, *_invalid("orderRateLimitExceededMode")),
        ("klines", {"interval": "7m"}, -1120, "Invalid interval."),
        ("klines", {"interval": "1H"}, -1120, "Invalid interval."),
        ("ui klines", {"interval": "2y"}, -1120, "Invalid interval."),
        ("depth", {"symbolStatus": "CLOSED"}, -1122, "Invalid symbolStatus."),
        ("info", {"symbolStatus": "END_OF_DAY"}, -1122, "Invalid symbolStatus."),
        ("day", {"type": "TINY"}, -1139, "Invalid ticker type."),
        ("trading day", {"type": "LIMIT"}, -1139, "Invalid ticker type."),
        ("window", {"type": "mini"}, -1139, "Invalid ticker type."),
        ("window", {"windowSize": "60m"}, *_invalid("windowSize")),
        ("window", {"windowSize": "1d2h"}, *_invalid("windowSize")),
        ("window", {"windowSize": "8d"}, *_invalid("windowSize")),
        ("cancel", {"cancelRestrictions": "ONLY_OLD"}, -1145, "Invalid cancelRestrictions"),
        ("replace", {"cancelRestrictions": "NONE"}, -1145, "Invalid cancelRestrictions"),
    ],
    "errors.md, -1134": [
        ("limit", {"strategyType": 999_999}, -1134, "strategyType was less than 1000000."),
        ("pair", {"aboveStrategyType": 1}, -1134, "strategyType was less than 1000000."),
        ("pair", {"belowStrategyType": 1}, -1134, "strategyType was less than 1000000."),
        ("then", {"workingStrategyType": 1}, -1134, "strategyType was less than 1000000."),
        ("then", {"pendingStrategyType": 1}, -1134, "strategyType was less than 1000000."),
        ("then pair", {"pendingAboveStrategyType": 1}, -1134, "strategyType was less than 1000000."),
        ("old pair", {"limitStrategyType": 1}, -1134, "strategyType was less than 1000000."),
        ("old pair", {"stopStrategyType": 1}, -1134, "strategyType was less than 1000000."),
    ],
    'errors.md, -1158 to -1223; web-socket-api.md, "Order lists"': [
        ("pair", {"aboveType": "MARKET"}, *_NOT_IN_OCO),
        ("pair", {"aboveType": "LIMIT"}, *_NOT_IN_OCO),
        ("pair", {"belowType": "SOMETHING"}, *_NOT_IN_OCO),
        ("then pair", {"pendingAboveType": "MARKET"}, *_NOT_IN_OCO),
        ("pair", {"belowType": "LIMIT_MAKER"}, -1168, "At least one OCO order must be contingent."),
        ("pair", {"side": "BUY", "belowType": "TAKE_PROFIT"}, -1165, "A limit order in a buy OCO must be below."),
        (
            "pair",
            {"aboveType": "TAKE_PROFIT", "belowType": "LIMIT_MAKER"},
            -1166,
            "A limit order in a sell OCO must be above.",
        ),
        (
            "pair",
            {"side": "BUY", "aboveType": "STOP_LOSS", "belowType": "STOP_LOSS"},
            -1196,
            "A stop loss order in a buy OCO must be above.",
        ),
        ("pair", {"aboveType": "STOP_LOSS"}, -1197, "A stop loss order in a sell OCO must be below."),
        (
            "pair",
            {"side": "BUY", "aboveType": "TAKE_PROFIT", "belowType": "LIMIT_MAKER"},
            -1198,
            "A take profit order in a buy OCO must be below.",
        ),
        ("pair", {"belowType": "TAKE_PROFIT"}, -1199, "A take profit order in a sell OCO must be above."),
        ("pays", {"workingSide": "SELL"}, -1222, "Working order in an OPO list must be a bid."),
        ("pays", {"pendingSide": "BUY"}, -1223, "Pending orders in an OPO list must be asks."),
        ("pays pair", {"workingSide": "SELL"}, -1222, "Working order in an OPO list must be a bid."),
        ("pays pair", {"pendingSide": "BUY"}, -1223, "Pending orders in an OPO list must be asks."),
        ("pair", {"aboveClientOrderId": "x", "belowClientOrderId": "x"}, -2010, "Duplicate order sent."),
        ("pair", {"symbol": "PLAINUSDT"}, -2010, "OCO orders are not supported for this symbol"),
        ("then", {"symbol": "PLAINUSDT"}, -2010, "OTO orders are not supported for this symbol."),
        ("then", {"pendingQuantity": ...}, *_missing("pendingQuantity")),
    ],
    "web-socket-api.md, sections of the methods: one of two is needed, and what excludes each other": [
        ("cancel", {"orderId": ...}, *_either("orderId", "origClientOrderId")),
        ("amend", {"orderId": ...}, *_either("orderId", "origClientOrderId")),
        ("order", {"orderId": ...}, *_either("orderId", "origClientOrderId")),
        ("replace", {"cancelOrderId": ...}, *_either("cancelOrderId", "cancelOrigClientOrderId")),
        ("cancel list", {"orderListId": ...}, *_either("orderListId", "listClientOrderId")),
        ("list", {"orderListId": ...}, *_either("origClientOrderId", "orderListId")),
        ("window", {"symbol": ...}, *_either("symbol", "symbols")),
        ("trading day", {"symbol": ...}, *_either("symbol", "symbols")),
        ("prevented", {"orderId": ...}, *_either("preventedMatchId", "orderId")),
        *(
            (base, {"symbols": ["BTCUSDT"]}, *_BAD_COMBINATION)
            for base in ("day", "trading day", "window", "price", "best")
        ),
        ("info", {"symbol": "BTCUSDT", "symbols": ["BTCUSDT"]}, *_BAD_COMBINATION),
        ("info", {"symbol": "BTCUSDT", "permissions": "SPOT"}, *_BAD_COMBINATION),
        ("info", {"symbols": ["BTCUSDT"], "symbolStatus": "TRADING"}, *_BAD_COMBINATION),
        ("rules", {"symbol": "BTCUSDT", "symbolStatus": "TRADING"}, *_BAD_COMBINATION),
        ("aggregates", {"fromId": 1, "startTime": _START}, *_BAD_COMBINATION),
        ("aggregates", {"fromId": 1, "endTime": _START}, *_BAD_COMBINATION),
        ("my trades", {"fromId": 1, "startTime": _START}, *_BAD_COMBINATION),
        ("my trades", {"fromId": 1, "endTime": _START}, *_BAD_COMBINATION),
        ("my trades", {"orderId": 1, "startTime": _START}, *_BAD_COMBINATION),
        ("my trades", {"orderId": 1, "endTime": _START}, *_BAD_COMBINATION),
        ("prevented", {"preventedMatchId": 1}, *_BAD_COMBINATION),
        *(
            ("allocations", {name: 1, "startTime": _START}, *_BAD_COMBINATION)
            for name in ("orderId", "fromAllocationId")
        ),
        *((base, {"timeZone": zone}, *_invalid("timeZone")) for base in ("klines", "ui klines") for zone in _ZONES),
        ("window", {"windowSize": "60h"}, *_invalid("windowSize")),
        ("window", {"windowSize": "0m"}, *_invalid("windowSize")),
    ],
    "errors.md, -1127: at most 24 hours": [
        (
            base,
            {"startTime": _START, "endTime": _START + _DAY + 1},
            -1127,
            "More than 24 hours between startTime and endTime.",
        )
        for base in ("orders", "lists", "my trades", "allocations")
    ],
    "web-socket-api.md, the limit of each method (no code)": [
        (base, {"limit": limit}, *_invalid("limit"))
        for base in (
            *("trades", "old trades", "blocks", "aggregates", "klines", "ui klines"),
            *("orders", "lists", "my trades", "prevented", "allocations", "amendments"),
        )
        for limit in (0, 1_001)
    ],
    "web-socket-api.md, at most 200 symbols; CHANGELOG.md, 2022-06-20": [
        (
            "window",
            {"symbol": ..., "symbols": [f"S{number}" for number in range(201)]},
            -1101,
            "Too many values sent for parameter 'symbols', maximum allowed up to 200.",
        ),
    ],
    "errors.md, -1121, -1151, -1220": [
        *(
            (base, {"symbol": "NOPE"}, *_UNKNOWN_SYMBOL)
            for base in (
                *("limit", "test", "routed", "pair", "then", "pays", "cancel", "amend", "cancel all", "order"),
                *("orders", "my trades", "prevented", "allocations", "depth", "trades", "old trades", "blocks"),
                *("aggregates", "klines", "ui klines", "average", "day", "window", "price", "best", "reference"),
                *("info", "rules"),
            )
        ),
        ("day", {"symbol": ..., "symbols": ["BTCUSDT", "NOPE"]}, *_UNKNOWN_SYMBOL),
        ("info", {"symbols": ["BTCUSDT", "BTCUSDT"]}, -1151, "Symbol is present multiple times in the list."),
        ("best", {"symbol": ..., "symbols": ["A", "A"]}, -1151, "Symbol is present multiple times in the list."),
        *(
            (base, {"symbolStatus": "HALT"}, -1220, "The symbol's status does not match the requested symbolStatus.")
            for base in ("depth", "day", "trading day", "window", "price", "best", "calculation")
        ),
    ],
    "errors.md, -1101, -1102, -1104, -1105, -1111, -1135": [
        ("ping", {"symbol": "BTCUSDT"}, -1101, "Too many parameters; expected '0' and received '1'."),
        ("depth", {"depth": 5}, -1104, "Not all sent parameters were read; read '1' parameter(s) but was sent '2'."),
        ("depth", {"limit": ""}, -1105, "Parameter 'limit' was empty."),
        ("limit", {"newClientOrderId": ""}, -1105, "Parameter 'newClientOrderId' was empty."),
        ("limit", {"symbol": ""}, *_missing("symbol")),
        ("limit", {"price": "1.000000001"}, -1111, "Parameter 'price' has too much precision."),
        ("limit", {"quantity": "0.000000001"}, -1111, "Parameter 'quantity' has too much precision."),
        ("limit", {"recvWindow": "1.0001"}, -1111, "Parameter 'recvWindow' has too much precision."),
        (
            "limit",
            {"recvWindow": 60_001},
            -1102,
            "'recvWindow' contains unexpected value. Cannot be greater than 60000.",
        ),
        ("info", {"symbols": "[1]"}, *_ILLEGAL_SYMBOLS),
        ("info", {"symbols": '["BTCUSDT"'}, -1135, "JSON sent for parameter 'symbols' is not valid"),
        (
            "unknown",
            {},
            -1020,
            "This operation is not supported. The sandbox has the methods of the exchange's document only.",
        ),
    ],
    "errors.md, messages of the matching engine: -2010, -2011, -2013, -2036, -2038": [
        ("limit", {"symbol": "OLDUSDT"}, -2010, "Market is closed."),
        ("limit", {"quantity": "100"}, -2010, "Account has insufficient balance for requested action."),
        (
            "market",
            {"quantity": ..., "quoteOrderQty": "100"},
            -2010,
            "Order book liquidity is less than symbol minimum quantity.",
        ),
        ("market", {"symbol": "PLAINUSDT"}, -2010, "Market orders are not supported for this symbol."),
        ("stop", {"symbol": "PLAINUSDT"}, -2010, "Stop loss orders are not supported for this symbol."),
        ("stop limit", {"symbol": "PLAINUSDT"}, -2010, "Stop loss limit orders are not supported for this symbol."),
        ("profit", {"symbol": "PLAINUSDT"}, -2010, "Take profit orders are not supported for this symbol."),
        ("profit limit", {"symbol": "PLAINUSDT"}, -2010, "Take profit limit orders are not supported for this symbol."),
        (
            "limit",
            {"symbol": "PLAINUSDT", "icebergQty": "0.1"},
            -2010,
            "Iceberg orders are not supported for this symbol.",
        ),
        (
            "replace",
            {"symbol": "PLAINUSDT"},
            -2010,
            "Order cancel-replace is not supported for this symbol.",
        ),
        ("cancel", {}, -2011, _UNKNOWN_ORDER),
        ("cancel", {"orderId": ..., "origClientOrderId": "nobody"}, -2011, _UNKNOWN_ORDER),
        ("cancel all", {}, -2011, _UNKNOWN_ORDER),
        ("cancel list", {}, -2011, _UNKNOWN_ORDER),
        ("amend", {}, -2038, _UNKNOWN_ORDER),
        ("order", {}, -2013, "Order does not exist."),
        ("unsubscribe", {"subscriptionId": 5}, -2036, "User Data Stream subscription not active."),
        ("calculation", {}, -2043, "This symbol doesn't have a reference price."),
        ("replace", {}, -2022, "Order cancel-replace failed."),
    ],
    "filters.md; errors.md, filter failures": [
        ("limit", {"price": "100.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ("limit", {"price": "1000000.01"}, -1013, "Filter failure: PRICE_FILTER"),
        ("limit", {"price": "0"}, -1013, "Filter failure: PRICE_FILTER"),
        ("stop", {"stopPrice": "50.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ("limit", {"quantity": "0.000001"}, -1013, "Filter failure: LOT_SIZE"),
        ("limit", {"quantity": "0.500001"}, -1013, "Filter failure: LOT_SIZE"),
        ("limit", {"quantity": "9001"}, -1013, "Filter failure: LOT_SIZE"),
        ("limit", {"quantity": "0"}, -1013, "Filter failure: LOT_SIZE"),
        ("limit", {"quantity": "0.01"}, -1013, "Filter failure: NOTIONAL"),
        ("market", {"quantity": ..., "quoteOrderQty": "1"}, -1013, "Filter failure: NOTIONAL"),
        ("test", {"quantity": "0.01"}, -1013, "Filter failure: NOTIONAL"),
        ("pair", {"quantity": "0.2", "abovePrice": "200.001"}, -1013, "Filter failure: PRICE_FILTER"),
    ],
}
"""By the section of the documents."""
