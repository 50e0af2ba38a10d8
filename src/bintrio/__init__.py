"""The trio-native, fully typed client for Binance's Spot WebSocket API.

Here is what most programs name. The rest has places of its own:

    bintrio.requests        the 55 requests, as values
    bintrio.api             enums, results, events and filters, by the sections of the exchange's document
    bintrio.rules           the trading rules of a symbol: round and check orders before they are sent
    bintrio.times, columns  times as datetimes; records as columns, for pandas and polars
    bintrio.observing       what a session tells an observer, fact by fact
    bintrio.limits          who keeps the exchange's limits, for one session or for many
    bintrio.settings        what a session is opened with, from the environment
    bintrio.recording       what went over the wire, as JSON lines, and back into typed values
    bintrio.typing          names for annotations
    bintrio.sandbox         a local exchange to try and test everything on
"""

from typing import TYPE_CHECKING

from . import requests as requests
from ._client.subscriptions import Subscriber as Subscriber
from ._protocol.confirmation import HalfReplaced as HalfReplaced
from ._protocol.events import decode_event as decode_event
from ._protocol.results import decode_response as decode_response
from ._protocol.shared_limits import SharedLimits as SharedLimits
from ._protocol.signing import Ed25519Key as Ed25519Key
from ._protocol.signing import HmacKey as HmacKey
from ._protocol.signing import Key as Key
from ._protocol.signing import RsaKey as RsaKey
from ._protocol.succession import Gap as Gap
from ._protocol.succession import Interrupted as Interrupted
from ._protocol.succession import UserDataEvent as UserDataEvent
from ._protocol.to_json import to_builtins as to_builtins
from ._protocol.to_json import to_json as to_json
from ._public import names_in as _names_in
from ._version import __version__ as __version__
from .api._base import Request as Request
from .api.account import Account as Account
from .api.account import AccountTrade as AccountTrade
from .api.account import Balance as Balance
from .api.account import Order as Order
from .api.events import AllocationReport as AllocationReport
from .api.events import BalanceUpdate as BalanceUpdate
from .api.events import EventStreamTerminated as EventStreamTerminated
from .api.events import ExecutionReport as ExecutionReport
from .api.events import ExternalLockUpdate as ExternalLockUpdate
from .api.events import ListStatus as ListStatus
from .api.events import OutboundAccountPosition as OutboundAccountPosition
from .api.events import UnknownEvent as UnknownEvent
from .api.market import Kline as Kline
from .api.market import OrderBook as OrderBook
from .api.orders import OrderList as OrderList
from .api.trading import OrderAck as OrderAck
from .api.trading import OrderFull as OrderFull
from .api.trading import OrderResult as OrderResult
from .endpoints import DEMO as DEMO
from .endpoints import PRODUCTION as PRODUCTION
from .endpoints import TESTNET as TESTNET
from .endpoints import Endpoint as Endpoint
from .errors import AccountNotFollowed as AccountNotFollowed
from .errors import Banned as Banned
from .errors import BintrioError as BintrioError
from .errors import CancelReplaceFailed as CancelReplaceFailed
from .errors import ConnectionFailed as ConnectionFailed
from .errors import DuplicateOrder as DuplicateOrder
from .errors import FilterFailure as FilterFailure
from .errors import HandshakeRejected as HandshakeRejected
from .errors import InsufficientBalance as InsufficientBalance
from .errors import InvalidParameter as InvalidParameter
from .errors import InvalidRequest as InvalidRequest
from .errors import InvalidSignature as InvalidSignature
from .errors import InvalidTimestamp as InvalidTimestamp
from .errors import MarketClosed as MarketClosed
from .errors import NotSent as NotSent
from .errors import OrderRefused as OrderRefused
from .errors import OutcomeUnknown as OutcomeUnknown
from .errors import PartlyDone as PartlyDone
from .errors import ProtocolViolation as ProtocolViolation
from .errors import ProxyFailed as ProxyFailed
from .errors import RateLimited as RateLimited
from .errors import Rejected as Rejected
from .errors import SubscriberTooSlow as SubscriberTooSlow
from .errors import SubscriptionError as SubscriptionError
from .errors import Unauthorized as Unauthorized
from .errors import UnknownOrder as UnknownOrder
from .errors import UnknownSymbol as UnknownSymbol
from .errors import WafBlocked as WafBlocked
from .opening import open_session as open_session
from .session import Session as Session

if not TYPE_CHECKING:
    # Type checkers read the aliases above, and are not to believe that every name exists.
    __all__ = _names_in(globals())

    def __getattr__(name: str) -> object:
        from ._former_names import find  # for those who use one only

        return find(name)
