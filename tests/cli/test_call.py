"""``bintrio call``: keys, endpoints, what is refused before it is sent, and the result."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click
import pytest
import trio
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

import bintrio
from bintrio import settings
from bintrio.cli import call, main
from bintrio.cli._running import UNWRITTEN
from tests.cli.program import no_network, refused, run


def test_a_result_is_one_line_of_json_in_plain_notation(environment: dict[str, str]) -> None:
    result = run("call", "depth", "symbol=BTCUSDT", "limit=5", env=environment)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 1
    assert json.loads(result.stdout)["bids"] == [["64000.00000000", "100.00000000"]]


def test_a_result_is_spread_out_on_a_terminal(environment: dict[str, str]) -> None:
    result = run("call", "time", env={**environment, "FORCE_COLOR": "1"})
    assert result.exit_code == 0
    assert result.stdout.count("\n") > 1


def test_a_list_is_a_table_on_a_terminal(environment: dict[str, str]) -> None:
    order = ["symbol=BTCUSDT", "side=BUY", "type=LIMIT", "timeInForce=GTC", "quantity=0.001"]
    for price in ("41000", "42000"):
        run("call", "order.place", *order, f"price={price}", env=environment)
    asked, terminal = ["call", "openOrders.status", "symbol=BTCUSDT"], {**environment, "FORCE_COLOR": "1"}
    shown = run(*asked, env={**terminal, "COLUMNS": "80"}).stdout
    assert tuple(
        text for text in ("41000", "42000", "in each row: symbol BTCUSDT", "--json has them") if text in shown
    ) == ("41000", "42000", "in each row: symbol BTCUSDT", "--json has them")
    assert '"price"' not in shown
    assert '"price"' in run(*asked, "--json", env=terminal).stdout
    assert [each["price"][:5] for each in json.loads(run(*asked, env=environment).stdout)] == ["41000", "42000"]
    # Prices by level are no records, and of an empty list nothing is known but that it is empty.
    assert json.loads(click.unstyle(run("call", "openOrders.status", "symbol=ETHUSDT", env=terminal).stdout)) == []


@pytest.mark.parametrize(
    ("method", "kind", "tif"),
    [("order.place", "type", "timeInForce"), ("order_place", "type", "time_in_force")],
)
def test_names_are_the_exchanges_or_pythons(method: str, kind: str, tif: str, environment: dict[str, str]) -> None:
    arguments = ["symbol=BTCUSDT", "side=BUY", f"{kind}=LIMIT", f"{tif}=GTC", "price=50000.10", "quantity=0.001"]
    result = run("call", method, *arguments, env=environment)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["price"] == "50000.10000000"


def test_true_is_a_bool_where_one_is_expected(environment: dict[str, str]) -> None:
    result = run("call", "account.status", "omitZeroBalances=true", env=environment)
    assert json.loads(result.stdout)["uid"] == 2


def test_true_is_a_string_where_one_is_expected(environment: dict[str, str]) -> None:
    result = run("call", "order.status", "symbol=BTCUSDT", "origClientOrderId=true", env=environment)
    assert result.exit_code == 3
    assert result.stderr.startswith("UnknownOrder: order.status: 400 -2013 ")


class Terminal(io.TextIOWrapper):
    """A terminal that has no character beyond ASCII."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="ascii", errors="strict", write_through=True)

    def isatty(self) -> bool:
        return True


def test_a_terminal_that_lacks_a_character_gets_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run_call() -> int:
        return call._print({"symbol": "币安人生USDT 😀"}, "ms", is_list_shown=True)

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "dumb")
    assert trio.run(run_call) == 0
    assert json.loads(screen.buffer.getvalue()) == {"symbol": "币安人生USDT 😀"}  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
    main.callback()  # type: ignore[misc]  # pyright: ignore[reportOptionalCall]
    print("币")
    monkeypatch.setattr(sys, "stderr", io.StringIO())  # which has no encoding to be changed
    main.callback()  # type: ignore[misc]  # pyright: ignore[reportOptionalCall]
    assert screen.buffer.getvalue().endswith(b"\\u5e01\n")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def test_a_result_that_cannot_be_written_is_told_as_such(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_data: object, err: bool = False) -> None:
        if not err:
            raise BrokenPipeError(32, "Broken pipe")
        said.append(str(_data))

    said: list[str] = []
    monkeypatch.setattr(click, "echo", fail)
    result = run("call", "time", env=environment)
    assert result.exit_code == UNWRITTEN
    assert said == ["the call was made, but its result cannot be written: Broken pipe"]


def test_an_hmac_secret_from_a_file_signs(exchange: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(exchange["secret"] + "\n")
    where = ["--endpoint", exchange["BINTRIO_ENDPOINT"], "--api-key", exchange["hmac"]]
    result = run("call", "openOrders.status", "symbol=ETHUSDT", *where, "--hmac-secret-file", str(file))
    assert (result.exit_code, result.stdout) == (0, "[]\n")


def test_raw_sends_what_the_catalogue_does_not_know(environment: dict[str, str]) -> None:
    result = run("call", "new.method", "a=1", "--raw", env=environment)
    assert result.exit_code == 3
    assert "-1020" in result.stderr


def test_raw_sends_json_as_json_and_fractions_as_text(environment: dict[str, str]) -> None:
    result = run("call", "exchange_info", 'symbols=["ETHUSDT"]', "showPermissionSets=false", "--raw", env=environment)
    assert [each["symbol"] for each in json.loads(result.stdout)["symbols"]] == ["ETHUSDT"]
    prices = ["side=BUY", "type=LIMIT", "timeInForce=GTC", "price=50000.10", "quantity=0.001", "newClientOrderId=null"]
    result = run("call", "order.place", "symbol=BTCUSDT", *prices, "--raw", env=environment)
    placed = json.loads(result.stdout)
    assert (placed["price"], placed["clientOrderId"]) == ("50000.10000000", "null")


def test_raw_can_sign(environment: dict[str, str]) -> None:
    assert "-1020" in run("call", "new.method", "--raw", "--signed", env=environment).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["order.plac"], "no method 'order.plac'; did you mean 'order.place'?; --raw sends it anyway"),
        (["???"], "no method '???'; --raw"),
        (["depth"], "depth: symbol is missing"),
        (["depth", "sybol=BTCUSDT"], "no parameter 'sybol'; did you mean 'symbol'?"),
        (["depth", "symbol="], "depth: symbol must be a str that is not empty"),
        (["depth", "symbol"], "'symbol' is not NAME=VALUE"),
        (["depth", "=BTCUSDT"], "'=BTCUSDT' is not NAME=VALUE"),
        (["depth", "symbol=A", "symbol=B"], "symbol is given twice"),
        (["depth", "symbol=A", "symbolStatus=A", "symbol_status=B"], "symbol_status is given twice"),
        (["depth", "symbol=A", "limit=many"], "depth: limit must be an int"),
        (["exchangeInfo", "symbols=[]"], "symbols must be a sequence of str that is not empty"),
        (["exchangeInfo", "showPermissionSets=maybe"], "must be a bool"),
        (["ping", "--endpoint", "nowhere"], "must be production, testnet, demo or a URL, not 'nowhere'"),
        (["ping", "--endpoint", "https://127.0.0.1"], "must start with ws:// or wss://"),
        (["account.status"], "account.status needs a key: --api-key with"),
        (["session.logon"], "session.logon needs a key"),
        (["new.method", "--raw", "--signed"], "new.method needs a key"),
        (["ping", "--api-key", "A"], "an API key (BINTRIO_API_KEY, --api-key) goes with a private key"),
        (["ping", "--private-key", "A"], "an API key (BINTRIO_API_KEY, --api-key) goes with a private key"),
        (["ping", "--api-key", "A", "--private-key", "nowhere.pem"], "'nowhere.pem': there is no such file"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    arguments: Sequence[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = no_network(monkeypatch, AssertionError("something was sent"))
    assert said in refused("call", *arguments)
    assert tried == []


SECRET = {"BINTRIO_API_KEY": "ABCD", "BINTRIO_HMAC_SECRET": "hush"}


@pytest.mark.parametrize("where", ["production", "wss://ws-api.binance.com/ws-api/v3", "wss://elsewhere.example/"])
@pytest.mark.parametrize(
    "method",
    [["order.cancel", "symbol=BTCUSDT", "orderId=1"], ["order.cancel", "--raw"], ["new.method", "--raw", "--signed"]],
)
def test_a_trade_that_costs_money_needs_a_yes(where: str, method: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tried = no_network(monkeypatch, bintrio.NotSent("order.cancel", "no network"))
    assert "add --yes" in refused("call", *method, "--endpoint", where, env=SECRET)
    assert tried == []
    assert run("call", *method, "--endpoint", where, "--yes", env=SECRET).exit_code == 4
    assert len(tried) == 1


@pytest.mark.parametrize("where", ["testnet", "demo", "ws://localhost:1/"])
def test_a_trade_that_costs_nothing_needs_no_yes(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = no_network(monkeypatch, bintrio.NotSent("order.cancel", "no network"))
    assert run("call", "order.cancel", "symbol=A", "orderId=1", "--endpoint", where, env=SECRET).exit_code == 4
    assert len(tried) == 1


def test_a_private_key_and_a_secret_exclude_each_other() -> None:
    assert "exclude each other" in refused("call", "ping", "--private-key", "x.pem", env=SECRET)


def test_an_rsa_key_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    no_network(monkeypatch, bintrio.NotSent("ping", "no network"))
    file = tmp_path / "rsa.pem"
    key = generate_private_key(public_exponent=65_537, key_size=2048)
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hush")))
    arguments = ["call", "ping", "--api-key", "A", "--private-key", str(file)]
    assert run(*arguments, env={"BINTRIO_PASSPHRASE": "hush"}).exit_code == 4
    assert "the private key is encrypted" in refused(*arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--api-key", "A", "--hmac-secret-file", "hush"],
            "cannot read BINTRIO_HMAC_SECRET_FILE, '…': No such file or directory",
        ),
        (["--api-key", "A", "--private-key", "hush"], "cannot read the private key '…': there is no such file"),
        (["--endpoint", "hush@elsewhere?hush"], "or a URL, not 'elsewhere?…'"),
        (["--endpoint", "wss://a:hush"], "endpoint is not a URL"),
    ],
)
def test_g9_a_secret_in_the_wrong_place_is_not_printed(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    told = refused("call", "ping", *arguments)
    assert said in told
    assert "hush" not in told


def test_an_hmac_secret_comes_from_the_standard_input_too_and_must_be_text(tmp_path: Path) -> None:
    file = tmp_path / "secret.txt"
    file.write_bytes(b"\xff")
    assert "it holds no text" in refused("call", "ping", "--api-key", "A", "--hmac-secret-file", str(file))
    result = CliRunner().invoke(main, ["call", "ping", "--hmac-secret-file", "-"], input="two words\n")
    assert "an API key (BINTRIO_API_KEY, --api-key) goes with" in result.stderr


def test_an_option_takes_the_place_of_its_variable(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("hush")
    env = {"BINTRIO_API_KEY_FILE": "nowhere", "BINTRIO_HMAC_SECRET": "other", "BINTRIO_PROXY": "no proxy"}
    arguments = ["--api-key", "A", "--hmac-secret-file", str(file), "--proxy", "http://127.0.0.1:1"]
    result = run("call", "ping", *arguments, env=env)
    assert (result.exit_code, result.stdout) == (4, "")
    assert "ProxyFailed: http://127.0.0.1:1: it cannot be reached" in result.stderr


def test_a_proxy_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []

    def open_session(**options: object) -> NoReturn:
        given.append(options["proxy"])
        raise bintrio.NotSent("ping", "no network")

    monkeypatch.setattr(settings, "open_session", open_session)
    run("call", "ping", "--proxy", "http://a.test", "--proxy", "socks5h://b.test")
    run("call", "ping", "--proxy", "environment")
    run("call", "ping", env={"BINTRIO_PROXY": "http://bob:hush@a.test"})
    run("call", "ping")
    assert given == [("http://a.test", "socks5h://b.test"), "environment", "http://bob:hush@a.test", None]


def test_g9_a_proxy_with_a_password_is_no_argument() -> None:
    told = refused("call", "ping", "--proxy", "http://bob:hush@a.test")
    assert "set BINTRIO_PROXY instead" in told
    assert "hush" not in told


def test_g9_no_secret_is_printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    no_network(monkeypatch, bintrio.NotSent("ping", "no network"))
    file = tmp_path / "secret"
    file.write_text("two words")
    for result in (
        run("call", "ping", env=SECRET),
        run("call", "--help", env=SECRET),
        run("call", "ping", "--api-key", "A", "--hmac-secret-file", str(file)),
        run("call", "ping", "--private-key", "x.pem", env=SECRET),
    ):
        assert "hush" not in result.output
        assert "words" not in result.output
