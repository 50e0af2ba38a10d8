"""The trio-native, fully typed client for Binance's Spot WebSocket API."""

from ._codec import Response, decode_event, decode_response
from ._connection import Connection, Counters
from ._signing import Ed25519Key, HmacKey, Key, RsaKey
from ._subscriptions import Gap, Subscriber, UserDataEvent
from .api._base import Request
from .api._values import RateLimit
from .api.account import Account, AccountStatus, Balance, OpenOrdersStatus, Order, OrderStatus
from .api.authentication import ConnectionStatus, SessionLogon, SessionLogout, SessionStatus
from .api.events import (
    AssetBalance,
    BalanceUpdate,
    Event,
    EventStreamTerminated,
    ExecutionReport,
    ExternalLockUpdate,
    ListStatus,
    OutboundAccountPosition,
    ServerShutdown,
    UnknownEvent,
    UserEvent,
)
from .api.general import ExchangeInfo, ExchangeInformation, Ping, ServerTime, Time
from .api.market import Depth, OrderBook, PriceLevel
from .api.trading import OrderAck, OrderCancel, OrderFull, OrderPlace, OrderResult, OrderTest
from .endpoints import DEMO, PRODUCTION, TESTNET, Address, Endpoint
from .errors import (
    Banned,
    BintrioError,
    ConnectionFailed,
    DuplicateOrder,
    FilterFailure,
    InsufficientBalance,
    InvalidParameter,
    InvalidRequest,
    InvalidSignature,
    InvalidTimestamp,
    MarketClosed,
    NotSent,
    OrderRefused,
    OutcomeUnknown,
    PartlyDone,
    ProtocolViolation,
    RateLimited,
    Rejected,
    SubscriberTooSlow,
    SubscriptionError,
    Unauthorized,
    UnknownOrder,
    UnknownSymbol,
    WafBlocked,
)
from .session import Session, open_session
