"""Names for annotations: what appears in public signatures, and what is rarely typed otherwise.

The enums are in `bintrio.api.enums`, the shapes of results in `bintrio.api`, requests in `bintrio.requests`.
"""

from typing import TYPE_CHECKING

from ._client.connection import Connect as Connect
from ._client.observation import Counters as Counters
from ._client.view import ConnectionView as ConnectionView
from ._protocol.budget import Charge as Charge
from ._protocol.budget import Cost as Cost
from ._protocol.budget import Purpose as Purpose
from ._protocol.holds import Hold as Hold
from ._protocol.holds import Reading as Reading
from ._protocol.holds import Refusal as Refusal
from ._protocol.holds import Scope as Scope
from ._protocol.holds import Wait as Wait
from ._protocol.ledger import Ledger as Ledger
from ._protocol.requests import RequestId as RequestId
from ._protocol.results import Response as Response
from ._public import names_in as _names_in
from .account.desk import Trading as Trading
from .api._base import Api as Api
from .api._base import Json as Json
from .api._base import Milliseconds as Milliseconds
from .api._base import Number as Number
from .api._base import Security as Security
from .api._base import Shapes as Shapes
from .api._rules import Rule as Rule
from .api._values import Duration as Duration
from .api._values import KeepsUnknownFields as KeepsUnknownFields
from .api._values import OneOf as OneOf
from .api._values import RateLimit as RateLimit
from .api._values import Record as Record
from .api._values import Row as Row
from .api._values import Timestamp as Timestamp
from .endpoints import Address as Address
from .endpoints import TimeUnit as TimeUnit

if not TYPE_CHECKING:  # type checkers read the aliases above
    __all__ = _names_in(globals())
