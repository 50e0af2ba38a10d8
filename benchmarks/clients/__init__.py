"""The clients that are measured, each in a module of its own: what a user would write with it, and no more.

A module says which event loop it runs on (``LOOP``) and opens its client (``open_client``). What a client cannot do, it
leaves to `Client`, and its row is missing. Options are the library's defaults, but for the URL, the key, and what would
talk to other machines. Where a library has options for it, ``open_wary_client`` opens a client that soon notices when
the server is silent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

API_KEY: Final = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
API_SECRET: Final = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"

SYMBOL: Final = "BTCUSDT"
PRICE: Final = "23416.10"
QUANTITY: Final = "0.00847"

CLIENTS: Final = {
    "bintrio": "bintrio",
    "bintrio-ed25519": "bintrio_ed25519",
    "picows + msgspec, by hand": "picows_by_hand",
    "trio-websocket, plainly": "trio_websocket_plainly",
    "websockets, plainly": "websockets_plainly",
    "binance-sdk-spot": "binance_sdk_spot",
    "python-binance": "python_binance",
    "ccxt.pro": "ccxt_pro",
    "unicorn-binance-websocket-api": "unicorn",
    "trio TCP, the floor": "trio_tcp",
}
"""The modules by the names that are shown."""


Tell = Callable[[str, object], None]
"""Is told ``"following"`` once a client follows its user data, ``"filled"`` with how much of an order is filled by
then, and ``"sign"`` with the words of whatever says that events may be missing."""


class Refused(Exception):
    """What a client gives as a value when the exchange said no."""


class Client:
    """What is asked of a client."""

    async def order(self, client_order_id: str | None = None) -> object:
        """Place a signed limit order; return its answer as a Python object."""
        raise NotImplementedError

    def id_in(self, answer: object) -> object:
        """The client order id in the answer to an order."""
        raise NotImplementedError

    async def follow(self, tell: Tell) -> None:
        """Follow the account's user data, for ever or until the client gives up."""
        raise NotImplementedError

    async def depth(self) -> object:
        """Get an order book of 5,000 levels on each side."""
        raise NotImplementedError

    async def subscribe(self, subscribers: int) -> Events:
        """Subscribe to user data, so many times."""
        raise NotImplementedError

    async def exchange_info(self) -> object:
        """Get what there is to trade, with its rules."""
        raise NotImplementedError

    async def rotate(self) -> None:
        """Move to a fresh connection, without losing a call."""
        raise NotImplementedError


class Events:
    """What subscribers receive."""

    async def receive(self, count: int) -> None:
        """Return when each subscriber has so many events more."""
        raise NotImplementedError
