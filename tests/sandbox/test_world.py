"""A world: read from a file, strictly, and made into a sandbox."""

from __future__ import annotations

import inspect
import json
import runpy
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

import bintrio
from bintrio.api.filters import MaxNumOrdersFilter
from bintrio.api.market import ArithmeticMean
from bintrio.errors import InvalidRequest
from bintrio.sandbox import (
    Commissions,
    Fault,
    HandshakeStatus,
    RandomWalk,
    SandboxAccount,
    World,
    WorldAccount,
    WorldKey,
    WorldQuote,
    WorldReplay,
    WorldWalk,
    open_sandbox,
    open_world,
    read_world,
    trader,
)
from bintrio.sandbox.exchange.symbols import SYMBOLS
from bintrio.sandbox.server import faults
from bintrio.sandbox.server.faults import AnyFault
from bintrio.sandbox.world import QUOTES, convert

ROOT = Path(__file__).parents[2]

TOML = """
query_lag = 0.5
start_time_ms = 1_767_225_600_000
routes = [["BTCUSDT", "BTCEUR"]]

[[symbols]]
base = "BTC"
quote = "USDT"
tick_size = 0.10000000000000000001
more_filters = [{ filterType = "MAX_NUM_ORDERS", maxNumOrders = 200 }]
execution_rules = [{ ruleType = "PRICE_RANGE", bidLimitMultUp = "1.1" }]

[[symbols]]
base = "BTC"
quote = "EUR"

[[accounts]]
uid = 10
balances = { BTC = "0.5" }
commissions = { standard = { maker = 0.001 }, discount = 0.7 }

[[accounts.keys]]
api_key = "mine"
pem_file = "keys/mine.pem"

[reference_prices]
BTCUSDT = 1000.5
BTCEUR = { bucket_count = 3, bucket_width_ms = 1000 }

[limits]
weight = 100

[market]
type = "random-walk"
seed = 7
volatility = 0.05
prices = { BTCUSDT = 1000 }

[[faults]]
type = "Delay"
method = "order.place"
seconds = 0.25
"""


def written(folder: Path, text: str, name: str = "world.toml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "mine.pem").write_bytes(SandboxAccount(99, {}).ed25519_pem())
    return tmp_path


def test_a_file_is_read_field_by_field(folder: Path) -> None:
    world = read_world(written(folder, TOML))
    first, second = world.symbols
    assert (first.name, second.name) == ("BTCUSDT", "BTCEUR")
    assert first.tick_size == Decimal("0.10000000000000000001")
    assert first.more_filters == (MaxNumOrdersFilter(max_num_orders=200),)
    assert first.execution_rules[0].bid_limit_mult_up == Decimal("1.1")
    (account,) = world.accounts
    assert account.balances == {"BTC": Decimal("0.5")}
    assert account.commissions
    assert (account.commissions.standard.maker, account.commissions.discount) == (Decimal("0.001"), Decimal("0.7"))
    assert account.keys == (WorldKey(api_key="mine", pem_file=folder / "keys" / "mine.pem"),)
    assert world.market == WorldWalk(seed=7, volatility=Decimal("0.05"), prices={"BTCUSDT": Decimal(1_000)})
    assert (world.query_lag, world.limits.weight, world.routes) == (0.5, 100, (("BTCUSDT", "BTCEUR"),))
    assert [(type(fault).__name__, fault.method) for fault in world.faults] == [("Delay", "order.place")]


def test_json_says_the_same_as_toml(folder: Path) -> None:
    world = read_world(written(folder, TOML))
    text = msgspec.json.encode(world, enc_hook=lambda value: str(value)).decode()
    assert read_world(written(folder, text, "world.json")) == world


async def test_a_file_becomes_a_sandbox(folder: Path, autojump_clock: MockClock) -> None:
    key = bintrio.Ed25519Key.from_pem_file(folder / "keys" / "mine.pem", api_key="mine")
    async with (
        open_world(read_world(written(folder, TOML)), listen=False) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=key, connect=sandbox.connect) as session,
    ):
        assert [account.uid for account in sandbox.accounts] == [10]
        assert sandbox.query_lag == 0.5
        status = await session.account_status()
        assert (status.uid, status.balances[0].free) == (10, Decimal("0.5"))
        assert (await session.depth(symbol="BTCUSDT")).bids[0].price == Decimal("999.9")
        reference: Any = await session.reference_price(symbol="BTCUSDT")
        assert reference.reference_price == Decimal("1000.5")
        assert isinstance(await session.reference_price_calculation(symbol="BTCEUR"), ArithmeticMean)
        start = trio.current_time()
        with pytest.raises(bintrio.Rejected):
            await session.order_place(
                symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=900, quantity=1
            )
        assert trio.current_time() - start >= 0.25


def test_an_empty_file_is_the_default_world(tmp_path: Path) -> None:
    assert read_world(written(tmp_path, "")) == World()
    assert read_world(written(tmp_path, "{}", "world.json")) == World()
    ours, usual = World().settings(), trader()
    assert [account.balances for account in ours["accounts"]] == [usual.balances]
    assert ours["accounts"][0].commissions == usual.commissions


@pytest.mark.parametrize(
    ("world", "quoted"),
    [
        (World(), set(QUOTES)),
        (World(symbols=SYMBOLS[:1]), {"BTCUSDT"}),
        (World(market=WorldWalk()), set[str]()),
        (World(market=WorldReplay(file=Path("ETHUSDT-1m.csv"))), {"BTCUSDT", "BNBBTC"}),
        (World(quotes={}), set[str]()),
        (World(quotes={"ETHUSDT": QUOTES["ETHUSDT"]}), {"ETHUSDT"}),
    ],
    ids=["default", "one symbol", "walk", "replay", "none", "given"],
)
def test_what_no_market_moves_has_quotes(world: World, quoted: set[str]) -> None:
    assert set(world._quotes()) == quoted


async def test_what_is_quoted_by_default_has_a_last_price(autojump_clock: MockClock) -> None:
    async with (
        open_world(World(), listen=False) as sandbox,
        bintrio.open_session(sandbox.endpoint, connect=sandbox.connect) as session,
    ):
        prices = {one.symbol: one.price for one in await session.ticker_price(symbols=[*QUOTES])}
        assert prices == {name: quote.ask for name, quote in QUOTES.items()}
        best = {one.symbol: (one.bid_price, one.ask_price, one.ask_qty) for one in await session.ticker_book()}
        assert best == {name: (quote.bid, quote.ask, quote.quantity) for name, quote in QUOTES.items()}


async def test_what_a_file_quotes_has_no_trade(autojump_clock: MockClock) -> None:
    async with (
        open_world(World(quotes={"BTCUSDT": QUOTES["BTCUSDT"]}), listen=False) as sandbox,
        bintrio.open_session(sandbox.endpoint, connect=sandbox.connect) as session,
    ):
        assert await session.trades_recent(symbol="BTCUSDT") == ()


async def test_a_quote_that_breaks_a_filter_is_named() -> None:
    world = World(quotes={"BTCUSDT": WorldQuote(bid=Decimal("0.001"), ask=Decimal(1), quantity=Decimal(9))})
    with pytest.raises(InvalidRequest, match=r"^quotes\.BTCUSDT: Filter failure: PRICE_FILTER") as caught:
        async with open_world(world, listen=False):
            raise AssertionError
    assert caught.value.field == "quotes.BTCUSDT"


async def test_a_reference_price_that_cannot_be_right_is_named() -> None:
    world = World(reference_prices={"BTCUSDT": Decimal(-1)})
    with pytest.raises(InvalidRequest, match=r"^reference_prices\.BTCUSDT: price must be") as caught:
        async with open_world(world, listen=False):
            raise AssertionError
    assert caught.value.field == "reference_prices.BTCUSDT.price"


async def test_open_world_takes_a_world() -> None:
    with pytest.raises(InvalidRequest, match="world must be a World"):
        async with open_world({}, listen=False):  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
            raise AssertionError


WRONG: dict[str, tuple[str, str]] = {
    "uid = 'x'": ("[[accounts]]\nuid = 'x'", "accounts[0].uid: Expected `int`, got `str`"),
    "an unknown field": ("[[symbols]]\nbase = 'A'\nquote = 'B'\nbas = 1", "symbols[0]: Object contains unknown field"),
    "a missing field": ("[[symbols]]\nbase = 'A'", "symbols[0]: Object missing required field `quote`"),
    "a negative price": ("[[symbols]]\nbase = 'A'\nquote = 'B'\nmin_price = -1", "symbols[0]: min_price must be"),
    "no symbols": ("symbols = []", "symbols must not be empty"),
    "an unknown part": ("symbls = []", "Object contains unknown field `symbls`; did you mean 'symbols'?"),
    "an unknown limit": ("[limits]\nwait = 1", "limits: Object contains unknown field `wait`"),
    "a limit of 0": ("[limits]\nweight = 0", "limits.weight: Expected `int` >= 1"),
    "an unknown market": ("[market]\ntype = 'x'", "market.type: Invalid value 'x'"),
    "a path that is none": ("[market]\ntype = 'replay'\nfile = 7", "market.file: Expected `str`, got `int`"),
    "an unknown fault": ("[[faults]]\ntype = 'x'", "faults[0].type: Invalid value 'x'"),
    "a fault of something else": ("[[faults]]\ntype = 'Delay'", "faults[0]: Object missing required field `seconds`"),
    "an unknown field of a fault": ("[[faults]]\ntype = 'MutePings'\nx = 1", "faults[0]: Object contains unknown"),
    "garbage": ("[[faults]]\ntype = 'Garbage'\ndata = 7", "faults[0]: data must be"),
    "an unknown filter": ("exchange_filters = [{ filterType = 'X' }]", "exchange_filters[0].filterType: Invalid"),
    "a balance": ("[[accounts]]\nuid = 1\nbalances = { A = 'x' }", "accounts[0].balances[...]: Invalid decimal string"),
    "a key with two secrets": (
        "[[accounts]]\nuid = 1\nkeys = [{ api_key = 'A', secret = 's3cret', pem = 's3cret' }]",
        "accounts[0].keys[0]: a key has one of secret, pem and pem_file",
    ),
    "a secret that is none": (
        "[[accounts]]\nuid = 1\nkeys = [{ api_key = 'A', secret = 7 }]",
        "accounts[0].keys[0].secret: Expected `str",
    ),
    "quotes of a stranger": ("[quotes.XY]\nbid = 1\nask = 2\nquantity = 1", "quotes has 'XY', which is not among"),
    "a reference price of a stranger": ("reference_prices = { XY = 1 }", "reference_prices has 'XY', which is not"),
    "a lag that is none": ("query_lag = 'x'", "query_lag: Expected `float`, got `str`"),
    "no TOML": ("=", "world.toml is no TOML: "),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_g9_what_is_wrong_is_named(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_world(written(tmp_path, text))
    assert str(caught.value).startswith(said if said.startswith("world") else f"world.toml: {said}")
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("world.json", "{", "world.json is no JSON: "),
        ("world.json", '{"query_lag": NaN}', "world.json is no JSON: NaN is no number"),
        ("world.json", "[]", "world.json: Expected `object`, got `array`"),
        ("world.yaml", "", "'world.yaml' must end in .toml or .json"),
        ("world", "", "'world' must end in .toml or .json"),
    ],
)
def test_a_file_that_is_no_world_is_named(name: str, text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_world(written(tmp_path, text, name))
    assert str(caught.value).startswith(said)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "world.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(InvalidRequest, match=r"world\.toml is no TOML: "):
        read_world(path)


def accounts(*keys: WorldKey) -> World:
    return World(accounts=(WorldAccount(uid=1), WorldAccount(uid=2, keys=keys)))


@pytest.mark.parametrize(
    ("world", "said", "field"),
    [
        (accounts(WorldKey(api_key="A", pem="s3cret")), "accounts[1]: keys[0]: pem must be", "accounts[1].keys[0].pem"),
        (accounts(WorldKey(api_key="-", secret="s3cret")), "accounts[1]: keys[0]: api_key", "accounts[1].keys[0].api_"),
        (World(accounts=(WorldAccount(uid=-1),)), "accounts[0]: uid must be", "accounts[0].uid"),
        (World(market=WorldWalk(depth=0)), "market: depth must be", "market.depth"),
        (World(market=WorldWalk(interval=0)), "market: interval must be", "market.interval"),
    ],
    ids=["pem", "api_key", "uid", "depth", "interval"],
)
def test_g9_what_cannot_be_made_is_named(world: World, said: str, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        world.settings()
    assert str(caught.value).startswith(said)
    assert caught.value.field
    assert caught.value.field.startswith(field)
    assert "s3cret" not in str(caught.value)


def test_an_error_without_a_field_names_the_part(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_walk: WorldWalk) -> RandomWalk:
        raise InvalidRequest("between several")

    monkeypatch.setattr(WorldWalk, "market", fail)
    with pytest.raises(InvalidRequest) as caught:
        World(market=WorldWalk()).settings()
    assert (str(caught.value), caught.value.field) == ("market: between several", "market")


@pytest.mark.parametrize(
    ("kind", "values", "field"),
    [
        (World, {"query_lag": "x"}, "query_lag"),
        (World, {"symbols": ()}, "symbols"),
        (WorldQuote, {"bid": "x", "ask": 1, "quantity": 1}, "bid"),
        (WorldAccount, {"uid": "x"}, "uid"),
    ],
)
def test_a_world_that_is_made_by_hand_is_checked(kind: Any, values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        kind(**values)
    assert caught.value.field == field


def test_g9_a_world_shows_no_secret() -> None:
    shown = repr(accounts(WorldKey(api_key="A", secret="s3cret"), WorldKey(api_key="B", pem="s3cret")))
    assert "s3cret" not in shown
    assert "WorldKey(api_key='A')" in shown


def test_a_world_can_have_every_fault() -> None:
    kinds = {kind for kind in vars(faults).values() if isinstance(kind, type) and issubclass(kind, Fault)}
    assert {*get_args(AnyFault)} == kinds - {Fault, faults.OfConnection, faults.OfOpening}


async def test_the_default_world_is_that_of_open_sandbox() -> None:
    settings = World().settings()
    parameters = inspect.signature(open_sandbox).parameters
    assert parameters.keys() - settings.keys() == {"host", "port", "tls", "listen", "storm"}
    async with open_sandbox(listen=False) as usual, open_sandbox(listen=False, **settings) as ours:
        assert [account.uid for account in usual.accounts] == [account.uid for account in ours.accounts]
        assert usual.account.key.api_key == ours.account.key.api_key


def page() -> str:
    return str(runpy.run_path(str(ROOT / "scripts" / "make_world.py"))["text"]())


def test_the_page_of_fields_is_current() -> None:
    assert (ROOT / "docs" / "world.md").read_text() == page(), "run python -m scripts.make_world"


def test_the_example_of_the_page_is_a_world(folder: Path) -> None:
    example = page().partition("```toml\n")[2].partition("```")[0]
    settings = read_world(written(folder, example)).settings()
    assert [key.type for key in settings["accounts"][0].keys] == ["HMAC"]


NUMBERS = st.decimals().filter(lambda number: not number.is_snan())  # no file gives such a one
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


KEYS: dict[type, Callable[[Any], list[Any]]] = {dict: list, list: lambda items: [*range(len(items))]}


def places(content: Any) -> list[tuple[Any, Any]]:
    """Every container and key in it."""
    keys = KEYS.get(content.__class__, lambda _: [])(content)
    return [(content, key) for key in keys] + [place for key in keys for place in places(content[key])]


def whole() -> Any:
    """A file that says everything there is to say."""
    key, fault = WorldKey(api_key="A", secret="x"), HandshakeStatus(status=500)
    quote = WorldQuote(bid=Decimal(1), ask=Decimal(2), quantity=Decimal(9))
    world = World(
        accounts=(WorldAccount(keys=(key,), commissions=Commissions()),),
        quotes={"BTCUSDT": quote},
        market=WorldWalk(),
        reference_prices={"BTCUSDT": Decimal(7)},
        exchange_filters=(MaxNumOrdersFilter(max_num_orders=5),),
        routes=(("BTCUSDT",),),
        faults=(fault,),
    )
    return json.loads(msgspec.json.encode(world, enc_hook=dict))


PLACES = range(len(places(whole())))


@given(st.sampled_from(PLACES), VALUES)
def test_whatever_a_file_says_is_a_world_or_an_error_that_is_ours(place: int, value: Any) -> None:
    content = whole()
    container, key = places(content)[place]
    container[key] = value
    with suppress(InvalidRequest):
        convert(content, World, Path("/nowhere")).settings()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"type": "Delay"}, "Object missing required field `seconds`"),
        ({"type": "Delay", "secnds": 1}, "Object contains unknown field `secnds`; did you mean 'seconds'?"),
    ],
)
def test_what_is_wrong_with_one_of_several_records_is_named(content: Mapping[str, Any], said: str) -> None:
    kind: Any = AnyFault
    with pytest.raises(InvalidRequest) as caught:
        convert(content, kind, Path())
    assert str(caught.value) == said
