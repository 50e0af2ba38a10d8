"""A world: what a sandbox is made of, as a value that a file can hold.

A file is TOML or JSON. It has the names of the records here, and of `Symbol`, `Limits`, `Commissions` and the faults;
filters and execution rules are written as the exchange writes them. Unknown names are refused. Numbers may be numbers
or text, and keep every digit; a path that is not absolute begins at the folder of the file.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NoReturn, TypeVar, get_args

import msgspec

from bintrio._text import did_you_mean
from bintrio.api._values import Shown
from bintrio.api.filters import Filter
from bintrio.errors import InvalidRequest

from .exchange.arguments import check_fields
from .exchange.auth import SandboxAccount, SandboxKey
from .exchange.commissions import Commissions
from .exchange.limits import Limits
from .exchange.markets.random_walk import PRICES, RandomWalk
from .exchange.markets.replay import Replay
from .exchange.reference import MeanOfTrades
from .exchange.refusals import Refusal
from .exchange.symbols import SYMBOLS, Symbol
from .running import Sandbox
from .server.faults import AnyFault
from .server.links import IDEAL, Link

Part = TypeVar("Part")
Made = TypeVar("Made")

TRADER_UID: Final = 2


def trader(uid: int = TRADER_UID) -> SandboxAccount:
    """An account with enough to trade every symbol of the default ones, at a commission of 0.1 %."""
    # By the world's defaults, so that there is one list of what an account starts with.
    return WorldAccount(uid=uid).account()


class WorldPart(Shown, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is read strictly. A Decimal may be given by an int or text."""

    def __post_init__(self) -> None:
        check_fields(self)


class WorldQuote(WorldPart, frozen=True, kw_only=True):
    """At what the market maker buys and sells, and how much.

    Attributes:
        quantity: of the base asset, on each side.
    """

    bid: Decimal
    ask: Decimal
    quantity: Decimal


class WorldKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An API key that a bot has already. It has one of ``secret``, ``pem`` and ``pem_file``.

    Attributes:
        api_key: what requests name it by: letters and digits.
        secret: of an HMAC key.
        pem: of an Ed25519 or RSA key, in PEM: the public key, as the exchange is given it, or the private one.
        pem_file: the file that this is in.
    """

    api_key: str
    secret: str | None = None
    pem: str | None = None
    pem_file: Path | None = None

    def __post_init__(self) -> None:
        if [self.secret, self.pem, self.pem_file].count(None) != 2:
            raise InvalidRequest("a key has one of secret, pem and pem_file", field="secret")

    def __repr__(self) -> str:
        # The usual `repr` would show the secret.
        return f"WorldKey(api_key={self.api_key!r})"

    def key(self) -> SandboxKey:
        """As an account takes it.

        Raises:
            InvalidRequest: a value cannot be right; no message shows a secret or a key.
            OSError: the file cannot be read.
        """
        pem = self.pem if self.pem_file is None else self.pem_file.read_bytes()
        return SandboxKey(self.api_key, secret=self.secret, pem=pem)


class WorldAccount(WorldPart, frozen=True, kw_only=True):
    """Who may trade. It has a key of each type, which follow from its number, and takes others beside them.

    Attributes:
        uid: its number; 0 is the market maker.
        balances: what it starts with, by asset.
        maker_rate: commission as the maker, as a fraction.
        taker_rate: commission as the taker, as a fraction.
        commissions: all commission rates, instead of those two.
        trade_group_id: accounts of one group do not trade with each other if their orders say so; -1 is no group.
        keys: API keys that its bot has already.
    """

    uid: int = TRADER_UID
    balances: Mapping[str, Decimal] = MappingProxyType(
        {"BTC": Decimal(100), "ETH": Decimal(1_000), "BNB": Decimal(1_000), "USDT": Decimal(1_000_000)}
    )
    maker_rate: Decimal = Decimal("0.001")
    taker_rate: Decimal = Decimal("0.001")
    commissions: Commissions | None = None
    trade_group_id: int = -1
    keys: tuple[WorldKey, ...] = ()

    def account(self) -> SandboxAccount:
        """As a sandbox takes it.

        Raises:
            InvalidRequest: a value cannot be right.
            OSError: the file of a key cannot be read.
        """
        return SandboxAccount(
            self.uid,
            self.balances,
            maker_rate=self.maker_rate,
            taker_rate=self.taker_rate,
            commissions=self.commissions,
            trade_group_id=self.trade_group_id,
            keys=list(_each("keys", self.keys, WorldKey.key)),
        )


class _WorldMarket(WorldPart, frozen=True, kw_only=True, tag_field="type"):
    """What all markets have.

    Attributes:
        spread: from bid to ask, as a part of the price; one tick at least.
        depth: levels on each side.
        quantity: of the base asset in each level.
    """

    spread: Decimal = Decimal("0.0001")
    depth: int = 10
    quantity: Decimal = Decimal(1)


class WorldWalk(_WorldMarket, frozen=True, kw_only=True, tag="random-walk"):
    """Prices that walk at random (`RandomWalk`), the same way for the same seed.

    Attributes:
        seed: of the chance.
        volatility: the standard deviation of a day's return; 0.02 are 2 %.
        interval: seconds from one trade of a symbol to the next, on average; a `RandomWalk` has 10 by itself.
        prices: where the walks start, by symbol; 100 for those that have none.
    """

    seed: int = 0
    volatility: Decimal = Decimal("0.02")
    interval: float = 2.0
    prices: Mapping[str, Decimal] = MappingProxyType({name: Decimal(price) for name, price in PRICES.items()})

    def market(self) -> RandomWalk:
        """As a sandbox takes it.

        Raises:
            InvalidRequest: a number is out of range.
        """
        return RandomWalk(
            self.seed,
            self.volatility,
            self.spread,
            self.depth,
            quantity=self.quantity,
            interval=self.interval,
            prices=self.prices,
        )


class WorldReplay(_WorldMarket, frozen=True, kw_only=True, tag="replay"):
    """Recorded klines or trades of one symbol, played again (`Replay`); the other symbols have quotes.

    Attributes:
        file: CSV as the exchange publishes it, zipped or not.
        symbol: of which they are, if the file's name does not begin with it.
    """

    file: Path
    symbol: str | None = None

    def market(self) -> Replay:
        """As a sandbox takes it.

        Raises:
            InvalidRequest: a number is out of range.
        """
        return Replay(self.file, self.symbol, spread=self.spread, depth=self.depth, quantity=self.quantity)


QUOTES: Final[Mapping[str, WorldQuote]] = MappingProxyType(
    {
        "BTCUSDT": WorldQuote(bid=Decimal(64_000), ask=Decimal(64_001), quantity=Decimal(100)),
        "ETHUSDT": WorldQuote(bid=Decimal(3_200), ask=Decimal(3_201), quantity=Decimal(1_000)),
        "BNBBTC": WorldQuote(bid=Decimal("0.009"), ask=Decimal("0.009001"), quantity=Decimal(1_000)),
    }
)
"""For every symbol that a sandbox trades by default."""


_PRICES: Final = ("quotes", "reference_prices")


class World(WorldPart, frozen=True, kw_only=True):
    """What a sandbox is made of. Each part has a default, so the least world is an empty file.

    Attributes:
        symbols: what is traded.
        accounts: who may trade.
        quotes: at what the market maker buys and sells from the start, by symbol. If none are given, the symbols that
            every sandbox has get some, as far as they are traded and no market moves them, and one trade at the ask, so
            that they have a last price.
        market: what moves the prices; nothing, if none is given.
        reference_prices: what execution rules measure prices by, by symbol: a price, or how it is made of trades.
        limits: how often requests, orders and connections may come.
        exchange_filters: filters on all orders of an account, and on assets.
        routes: groups of symbols of one base asset among whose books sor.order.place may take.
        faults: what goes wrong, in order.
        link: what lies between the sandbox and who connects; over TCP, on top of what lies there in truth.
        query_lag: seconds by which queries of accounts and market data are behind the matching engine.
        ping_interval: seconds between pings.
        pong_window: seconds after which an unanswered ping ends the connection.
        lifetime: seconds after which a connection is ended.
        keep: how many closed orders, lists, trades and minutes are kept, the newest; null (in JSON) keeps all.
        start_time_ms: the exchange's time at the start, in milliseconds; this machine's clock, if it is not given.

    Raises:
        InvalidRequest: a value is not of its type; there is no symbol or account; prices are for none of the symbols.
    """

    symbols: tuple[Symbol, ...] = SYMBOLS
    accounts: tuple[WorldAccount, ...] = (WorldAccount(),)
    quotes: Mapping[str, WorldQuote] | None = None
    market: WorldWalk | WorldReplay | None = None
    reference_prices: Mapping[str, Decimal | MeanOfTrades] = MappingProxyType({})
    limits: Limits = Limits()
    exchange_filters: tuple[Filter, ...] = ()
    routes: tuple[tuple[str, ...], ...] = ()
    faults: tuple[AnyFault, ...] = ()
    link: Link = IDEAL
    query_lag: float = 0.0
    ping_interval: float = 20.0
    pong_window: float = 60.0
    lifetime: float = 86_400.0
    keep: int | None = 100_000
    start_time_ms: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        # What is left out is as usual; what is there and empty is a mistake.
        for field in ("symbols", "accounts"):
            if not getattr(self, field):
                raise InvalidRequest(f"{field} must not be empty", field=field)
        known = {symbol.name for symbol in self.symbols}
        for field, names in (("quotes", self.quotes or {}), ("reference_prices", self.reference_prices)):
            # Mostly a misspelt symbol, which would silently have no price.
            stranger = next((name for name in names if name not in known), None)
            if stranger is not None:
                raise InvalidRequest(f"{field} has {stranger!r}, which is not among the symbols", field=field)

    def settings(self) -> dict[str, Any]:
        """Arguments for `open_sandbox`, all but ``quotes`` and ``reference_prices``, which `set_prices` sees to.

        Raises:
            InvalidRequest: a value cannot be right.
            OSError: the file of a key cannot be read.
        """
        whole = {name: getattr(self, name) for name in self.__struct_fields__ if name not in _PRICES}
        accounts = list(_each("accounts", self.accounts, WorldAccount.account))
        # Nothing moves the prices.
        if self.market is None:
            return whole | {"accounts": accounts}
        with _said_of("market"):
            return whole | {"accounts": accounts, "market": self.market.market()}

    def set_prices(self, sandbox: Sandbox) -> None:
        """Let the market maker of a sandbox with this world's `settings` buy and sell, and set its reference prices.

        Raises:
            InvalidRequest: an order breaks a filter of the symbol, or a price cannot be right.
        """
        # First, since filters may judge the quotes by them.
        for symbol, price in self.reference_prices.items():
            with _said_of(f"reference_prices.{symbol}"):
                sandbox.set_reference_price(symbol, price)
        for symbol, quote in self._quotes().items():
            try:
                # What a file quotes may be far apart, so one trade would decide what PERCENT_PRICE lets pass.
                if self.quotes is None:
                    sandbox.trade(symbol, "SELL", quote.ask, quote.quantity)
                    sandbox.trade(symbol, "BUY", quote.ask, quote.quantity)
                sandbox.quote(symbol, quote.bid, quote.ask, quote.quantity)
            # The caller reads a file and placed no order, so it is told of the field, not of the exchange's refusal.
            except Refusal as refusal:
                raise InvalidRequest(f"quotes.{symbol}: {refusal}", field=f"quotes.{symbol}") from None

    def _quotes(self) -> Mapping[str, WorldQuote]:
        # None means the usual ones; an empty table means that nobody quotes.
        if self.quotes is not None:
            return self.quotes
        # It moves every symbol, and quotes by itself.
        if isinstance(self.market, WorldWalk):
            return {}
        # A replay quotes its own symbol.
        moved = self.market.market().symbol if isinstance(self.market, WorldReplay) else None
        usual = [symbol.name for symbol in self.symbols if symbol in SYMBOLS and symbol.name != moved]
        return {name: QUOTES[name] for name in usual}


@contextmanager
def _said_of(where: str) -> Generator[None]:
    """Let an error name the part of the world that it comes from."""
    try:
        yield
    except InvalidRequest as error:
        field = f"{where}.{error.field}" if error.field else where
        raise InvalidRequest(f"{where}: {error}", field=field) from None


def _each(where: str, parts: Sequence[Part], made: Callable[[Part], Made]) -> Iterator[Made]:
    for number, part in enumerate(parts):
        with _said_of(f"{where}[{number}]"):
            yield made(part)


def read_world(path: str | os.PathLike[str]) -> World:
    """The world of a file whose name ends in ``.toml`` or ``.json``.

    Raises:
        OSError: it cannot be read.
        InvalidRequest: it is no world; the message names file and field.
    """
    file = Path(path)
    if file.suffix not in _READERS:
        raise InvalidRequest(f"{file.name!r} must end in {' or '.join(_READERS)}", field="path")
    try:
        content = _READERS[file.suffix](file.read_text("utf-8"))
    except ValueError as error:  # of their own, and of text that is not UTF-8
        raise InvalidRequest(f"{file.name} is no {file.suffix[1:].upper()}: {error}", field="path") from None
    try:
        return convert(content, World, file.parent)
    except InvalidRequest as error:
        raise InvalidRequest(f"{file.name}: {error}", field=error.field) from None


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def parse_json(text: str) -> Any:
    """JSON, of which numbers keep every digit.

    Raises:
        ValueError: it is none.
    """
    # As floats, numbers with a fraction would lose digits.
    return json.loads(text, parse_float=Decimal, parse_constant=_no_number)


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    ".toml": lambda text: tomllib.loads(text, parse_float=Decimal),
    ".json": parse_json,
}


def convert(content: Any, kind: type[Made], folder: Path, *, strict: bool = True) -> Made:
    """What was read as a record; paths begin at a folder. If it is not strict, text that says a number is one.

    Raises:
        InvalidRequest: it does not fit; the message names the field.
    """

    def hook(kind: Any, value: Any) -> Any:
        # msgspec asks here for types of which it knows nothing.
        if kind is not Path or not isinstance(value, str):
            raise ValueError(f"Expected `str`, got `{type(value).__name__}`")
        # An absolute path stays as it is.
        return folder / value

    try:
        return msgspec.convert(content, kind, strict=strict, dec_hook=hook)
    except msgspec.ValidationError as error:
        raise _named(error, kind) from None


def _named(error: msgspec.ValidationError, kind: Any) -> InvalidRequest:
    """What msgspec says is: what is wrong - at `$.where.it[0].stands`."""
    # msgspec gives the place of the error in its words only.
    said, _, where = str(error).rpartition(" - at `$")
    # What records check by themselves names its field already. A name that is not known has no place at the top.
    if not said:
        unknown = _UNKNOWN.fullmatch(where)
        return InvalidRequest(where + (did_you_mean(unknown[1], _fields_of(kind)) if unknown else ""))
    field = where.removesuffix("`").removeprefix(".")
    return InvalidRequest(f"{field}: {said}", field=field)


_UNKNOWN: Final = re.compile("Object contains unknown field `(.*)`")


def _fields_of(kind: Any) -> list[str]:
    # A fault is one of several records.
    return [name for record in get_args(kind) or (kind,) for name in record.__struct_fields__]
