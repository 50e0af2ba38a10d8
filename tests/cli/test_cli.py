from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import json
import os
import re
import runpy
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click
import pytest
import trio
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

import bintrio
from bintrio import _version, cli
from bintrio.api._base import catalogue
from bintrio.cli import _demo as demo
from bintrio.cli._arguments import request_of, texts_of
from bintrio.sandbox import Disconnect, Fault, Sandbox, ServerError, open_sandbox

PROGRAM = """
from bintrio.cli import main
main(prog_name="bintrio")
"""


def run(*args: str, env: dict[str, str] | None = None) -> Result:
    """The command line, without any settings of this machine's."""
    clean = {name: None for name in os.environ if name.startswith(("BINTRIO_", "FORCE_COLOR", "TTY_"))}
    return CliRunner().invoke(cli.main, args, env={**clean, **(env or {})})


def refused(*args: str, env: dict[str, str] | None = None) -> str:
    """What is said of bad input: one line, and exit code 2."""
    result = run(*args, env=env)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.output
    return result.stderr


@pytest.fixture(scope="module")
def exchange() -> Iterator[dict[str, str]]:
    """``bintrio sandbox`` as a program of its own: the environment it asks for, and its HMAC key."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM, "sandbox"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        settings: dict[str, str] = {}
        for line in process.stdout:
            words = line.split()
            if words[:1] == ["export"]:
                name, _, value = words[1].partition("=")
                settings[name] = value
            elif words[:1] == ["secret"]:
                settings["secret"] = words[1]
            elif words[:2] == ["HMAC", "key"]:
                settings["hmac"] = words[2]
            elif words[:3] == ["bintrio", "call", "order.place"]:
                break
        yield settings
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == cli.INTERRUPTED
    assert not Path(settings["BINTRIO_PRIVATE_KEY_FILE"]).exists()


@pytest.fixture
def environment(exchange: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in exchange.items() if name.startswith("BINTRIO_")}


def no_network(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> list[Any]:
    """Let every session end with an error before it is open; gives the endpoints that were tried."""
    tried: list[Any] = []

    def open_session(endpoint: bintrio.Endpoint, **_options: object) -> NoReturn:
        tried.append(endpoint)
        raise error

    monkeypatch.setattr(cli, "open_session", open_session)
    return tried


# call


def test_a_result_is_one_line_of_json_in_plain_notation(environment: dict[str, str]) -> None:
    result = run("call", "depth", "symbol=BTCUSDT", "limit=5", env=environment)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 1
    assert json.loads(result.stdout)["bids"] == [["64000.00000000", "100.00000000"]]


def test_a_result_is_spread_out_on_a_terminal(environment: dict[str, str]) -> None:
    result = run("call", "time", env={**environment, "FORCE_COLOR": "1"})
    assert result.exit_code == 0
    assert result.stdout.count("\n") > 1


@pytest.mark.parametrize(
    ("method", "kind", "tif"),
    [("order.place", "type", "timeInForce"), ("order_place", "type", "time_in_force")],
)
def test_names_are_the_exchanges_or_pythons(method: str, kind: str, tif: str, environment: dict[str, str]) -> None:
    arguments = ["symbol=BTCUSDT", "side=BUY", f"{kind}=LIMIT", f"{tif}=GTC", "price=50000.10", "quantity=0.001"]
    result = run("call", method, *arguments, env=environment)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["price"] == "50000.10000000"


@pytest.mark.parametrize(
    "symbols",
    [
        *(
            "BTCUSDT,ETHUSDT",
            '["BTCUSDT","ETHUSDT"]',
            "[BTCUSDT,ETHUSDT]",
            '["BTCUSDT", "ETHUSDT"]',
            "BTCUSDT, ETHUSDT",
        ),
        *(
            "['BTCUSDT','ETHUSDT']",
            "BTCUSDT,ETHUSDT,",
            "BTCUSDT ETHUSDT",
            '[\\"BTCUSDT\\",\\"ETHUSDT\\"]',
            "(BTCUSDT,ETHUSDT)",
        ),
        *(" [ BTCUSDT , ETHUSDT ] ", '"BTCUSDT","ETHUSDT"', "BTCUSDT\nETHUSDT\n"),
    ],
)
def test_a_list_is_json_or_what_a_shell_leaves_of_it(symbols: str) -> None:
    request = request_of(bintrio.ExchangeInfo, {"symbols": symbols})
    assert request.params() == {"symbols": ["BTCUSDT", "ETHUSDT"]}


def test_a_list_may_have_one_item() -> None:
    for text in ("BTCUSDT", "BTCUSDT,", '["BTCUSDT"]', "[BTCUSDT]"):
        assert request_of(bintrio.ExchangeInfo, {"symbols": text}).params() == {"symbols": ["BTCUSDT"]}


def test_true_is_a_bool_where_one_is_expected(environment: dict[str, str]) -> None:
    result = run("call", "account.status", "omitZeroBalances=true", env=environment)
    assert json.loads(result.stdout)["uid"] == 2


def test_true_is_a_string_where_one_is_expected(environment: dict[str, str]) -> None:
    result = run("call", "order.status", "symbol=BTCUSDT", "origClientOrderId=true", env=environment)
    assert result.exit_code == 3
    assert result.stderr.startswith("UnknownOrder: order.status: 400 -2013 ")


@pytest.mark.parametrize(
    ("request_type", "texts", "meant"),
    [
        (bintrio.Depth, {"symbol": "btcusdt"}, "symbol 'btcusdt': did you mean 'BTCUSDT'?"),
        (bintrio.Depth, {"symbol": "BTC/USDT"}, "symbol 'BTC/USDT': did you mean 'BTCUSDT'?"),
        (bintrio.Depth, {"symbol": "btc:usdt "}, "did you mean 'BTCUSDT'?"),
        (bintrio.ExchangeInfo, {"symbols": "BTCUSDT,ethusdt"}, "symbols 'ethusdt': did you mean 'ETHUSDT'?"),
        (bintrio.OrderPlace, {"symbol": "B", "side": "buy", "type": "MARKET"}, "side 'buy': did you mean 'BUY'?"),
        (bintrio.OrderPlace, {"symbol": "B", "side": "Buy", "type": "MARKET"}, "did you mean 'BUY'?"),
        (bintrio.OrderPlace, {"symbol": "B", "side": "BUY", "type": "stop-loss"}, "did you mean 'STOP_LOSS'?"),
        (bintrio.OrderPlace, {"symbol": "B", "side": "BUY", "type": "markt"}, "did you mean 'MARKET'?"),
        (bintrio.OrderPlace, {"symbol": "B", "side": "BYU", "type": "MARKET"}, "side 'BYU': did you mean 'BUY'?"),
        (bintrio.OrderPlace, {"symbol": "B", "side": "BUY", "type": "LIMTI"}, "type 'LIMTI': did you mean 'LIMIT'?"),
        (bintrio.Klines, {"symbol": "B", "interval": "1H"}, "interval '1H': did you mean '1h'?"),
    ],
)
def test_what_looks_like_a_slip_gets_a_hint_before_it_is_sent(
    request_type: type[bintrio.Request[Any]], texts: dict[str, str], meant: str
) -> None:
    with pytest.raises(bintrio.InvalidRequest) as caught:
        request_of(request_type, texts)
    assert meant in str(caught.value)
    assert str(caught.value).endswith("; --raw sends it anyway")


@pytest.mark.parametrize(
    ("request_type", "texts"),
    [
        (bintrio.Depth, {"symbol": "币安人生USDT"}),
        (bintrio.Depth, {"symbol": "BTC-USD_T.1"}),
        (bintrio.OrderPlace, {"symbol": "B", "side": "BUY", "type": "ICEBERG_OF_TOMORROW"}),
        (bintrio.OrderPlace, {"symbol": "B", "side": "BUY", "type": "moon"}),
        (bintrio.Klines, {"symbol": "B", "interval": "10m"}),
        (bintrio.Klines, {"symbol": "B", "interval": "1M"}),
        (bintrio.OrderStatus, {"symbol": "B", "origClientOrderId": "buy"}),
    ],
)
def test_g10_what_may_be_new_is_sent(request_type: type[bintrio.Request[Any]], texts: dict[str, str]) -> None:
    if request_type is bintrio.OrderPlace:
        texts = {**texts, "quantity": "1"}
    assert set(texts.values()) <= set(map(str, request_of(request_type, texts).params().values()))


@pytest.mark.skipif(sys.getfilesystemencoding() != "utf-8", reason="arguments are decoded as the file system's names")
def test_arguments_that_the_locale_cannot_decode_are_utf_8() -> None:
    undecoded = "symbol=币安人生USDT".encode().decode("ascii", "surrogateescape")
    assert texts_of([undecoded]) == {"symbol": "币安人生USDT"}
    assert texts_of(["symbol=\ud800"]) == {"symbol": "\ud800"}


class Terminal(io.TextIOWrapper):
    """A terminal that has no character beyond ASCII."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="ascii", errors="strict", write_through=True)

    def isatty(self) -> bool:
        return True


def test_a_terminal_that_lacks_a_character_gets_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run_call() -> int:
        return cli._print_json({"symbol": "币安人生USDT 😀"})

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "dumb")
    assert trio.run(run_call) == 0
    assert json.loads(screen.buffer.getvalue()) == {"symbol": "币安人生USDT 😀"}  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
    cli.main.callback()  # type: ignore[misc]  # pyright: ignore[reportOptionalCall]
    print("币")
    monkeypatch.setattr(sys, "stderr", io.StringIO())  # which has no encoding to be changed
    cli.main.callback()  # type: ignore[misc]  # pyright: ignore[reportOptionalCall]
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
    assert result.exit_code == cli.UNWRITTEN
    assert said == ["the call was made, but its result cannot be written: Broken pipe"]


def test_the_version() -> None:
    assert run("--version").stdout == f"bintrio, version {bintrio.__version__}\n"
    assert bintrio.__version__ == importlib.metadata.version("bintrio")


def test_the_build_finds_the_version() -> None:
    """hatchling looks for such a line; with another annotation than ``str`` it finds none, and nothing installs."""
    source = Path(_version.__file__).read_text()
    assert re.findall(r'^__version__(?:: ?str)? *= *"(.+)"$', source, re.M) == [bintrio.__version__]


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
        (["order.plac"], "no method 'order.plac'; did you mean 'order_place'?; --raw sends it anyway"),
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
        (["ping", "--api-key", "A"], "an API key needs --private-key or --hmac-secret-file"),
        (["ping", "--private-key", "A"], "needs --api-key or BINTRIO_API_KEY"),
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
            "cannot read the HMAC secret '…': No such file or directory",
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
    result = CliRunner().invoke(cli.main, ["call", "ping", "--hmac-secret-file", "-"], input="two words\n")
    assert "needs --api-key" in result.stderr


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


# Exit codes


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (bintrio.InvalidRequest("wrong"), 2),
        (OSError("no such port"), 2),
        (bintrio.Rejected("ping", status=400, code=-1, message="no"), 3),
        (bintrio.Banned("ping", status=418, code=-1003, message="no"), 3),
        (bintrio.NotSent("ping", "no network"), 4),
        (bintrio.ConnectionFailed([("wss://a", OSError("down"))]), 4),
        (bintrio.OutcomeUnknown("ping", "lost"), 5),
        (bintrio.ProtocolViolation("odd"), 6),
        (ExceptionGroup("", [ExceptionGroup("", [bintrio.OutcomeUnknown("ping", "lost")])]), 5),
    ],
)
def test_exit_codes_follow_the_class(error: Exception, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    no_network(monkeypatch, error)
    result = run("call", "ping")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1)
    assert not result.stderr.startswith("ExceptionGroup")


def test_an_error_of_several_lines_is_told_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    no_network(monkeypatch, bintrio.ProtocolViolation("odd\n  and long"))
    assert run("call", "ping").stderr == "ProtocolViolation: odd and long\n"


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        BaseExceptionGroup("", [bintrio.NotSent("ping", "closed"), KeyboardInterrupt()]),
        BaseExceptionGroup("", [ValueError("a bug"), KeyboardInterrupt()]),
    ],
)
def test_ctrl_c_ends_a_call_without_a_word(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    no_network(monkeypatch, error)
    result = run("call", "ping")
    assert (result.exit_code, result.output) == (130, "")


@pytest.mark.parametrize("error", [ValueError("a bug"), ExceptionGroup("", [OSError(), ValueError("a bug")])])
def test_a_bug_is_seen_whole(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    no_network(monkeypatch, error)
    assert run("call", "ping").exception is error


def test_help_tells_the_exit_codes() -> None:
    said = " ".join(run("--help").stdout.split())
    for code in {*cli.EXIT_CODES.values(), cli.UNWRITTEN, 1}:
        assert f"; {code} " in said


@pytest.mark.parametrize("package", ["click", "rich.console"])
def test_a_missing_extra_is_one_sentence(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(cli.__file__)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"bintrio: the command line needs {package}: pip install 'bintrio[cli]'\n"


def test_python_m_is_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["bintrio", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("bintrio", run_name="__main__", alter_sys=False)
    assert ended.value.code == 0
    assert "sandbox" in capsys.readouterr().out
    assert "main" in runpy.run_module("bintrio.__main__", run_name="imported")


# methods


def test_methods_lists_the_catalogue() -> None:
    lines = run("methods").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(catalogue)
    assert all(line.split()[1] == request.api.security for line, request in zip(lines, catalogue.values(), strict=True))


@pytest.mark.parametrize("name", ["order.place", "order_place"])
def test_methods_shows_the_parameters_of_one(name: str) -> None:
    said = run("methods", name).stdout
    assert "security TRADE, weight 1" in said
    parameters = {words[0]: words[1:] for words in map(str.split, said.splitlines()[5:])}
    assert parameters["side"] == ["required", "BUY|SELL"]
    assert parameters["price"] == ["optional", "Decimal"]
    assert parameters["strategyId"] == ["optional", "int"]
    assert parameters["newClientOrderId"] == ["optional", "str"]


def test_methods_shows_lists_and_weights_that_depend() -> None:
    said = run("methods", "exchangeInfo").stdout
    assert any(line.split() == ["symbols", "optional", "list"] for line in said.splitlines())
    assert "weight depends on its parameters" in run("methods", "depth").stdout


def test_methods_helps_with_a_misspelt_name() -> None:
    result = run("methods", "dept")
    assert result.exit_code == 2
    assert "did you mean 'depth'?" in result.stderr


# sandbox


def interrupted(monkeypatch: pytest.MonkeyPatch, look: Callable[[], None] = lambda: None) -> None:
    """Let Ctrl-C come as soon as the sandbox runs, after a look at what it has done."""

    async def interrupt() -> None:
        await trio.lowlevel.checkpoint()
        look()
        raise KeyboardInterrupt

    monkeypatch.setattr(trio, "sleep_forever", interrupt)


def test_sandbox_says_how_to_connect_and_ends_with_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(monkeypatch)
    result = run("sandbox")
    assert result.exit_code == cli.INTERRUPTED
    assert "BINTRIO_ENDPOINT=ws://127.0.0.1:" in result.stdout
    assert "SSL_CERT_FILE" not in result.stdout


def test_sandbox_writes_a_certificate_that_a_client_can_trust(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    interrupted(monkeypatch)
    file = tmp_path / "authority.pem"
    result = run("sandbox", "--tls", "--cert-out", str(file))
    assert result.exit_code == cli.INTERRUPTED, result.output
    assert "BINTRIO_ENDPOINT=wss://127.0.0.1:" in result.stdout
    assert f"SSL_CERT_FILE={file}" in result.stdout
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(file)
    assert len(context.get_ca_certs()) == 1


def test_sandbox_keeps_the_certificate_as_long_as_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(monkeypatch)
    result = run("sandbox", "--tls")
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("certificate"))
    assert not Path(line.split()[1]).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_sandbox_ends_in_good_order_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    files: list[Path] = []

    async def end() -> None:
        signal.raise_signal(number)
        await trio.Event().wait()

    write = cli._write

    def note(path: Path, data: bytes) -> Path:
        files.append(path)
        return write(path, data)

    monkeypatch.setattr(cli, "_write", note)
    monkeypatch.setattr(trio, "sleep_forever", end)
    result = run("sandbox", "--tls")
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(files) == 2
    assert not any(path.exists() for path in files)


@pytest.mark.extra
def test_sandbox_ends_on_sigterm_as_process_1(tmp_path: Path) -> None:
    """As in a container: the kernel drops a signal for process 1 that has no handler of its own."""
    unshare = ["unshare", "--pid", "--fork", "--kill-child"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs unshare, and the right to make a namespace of processes")
    command = [*unshare, sys.executable, "-m", "bintrio", "sandbox", "--tls"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as outer:
        assert outer.stdout is not None
        line = next(line for line in outer.stdout if "BINTRIO_ENDPOINT" in line)
        assert "wss://127.0.0.1" in line
        assert list(tmp_path.iterdir())
        (process_1,) = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        os.kill(int(process_1), signal.SIGTERM)
        assert outer.wait(timeout=30) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "ws://127.0.0.1:"), ("localhost", "ws://localhost:"), ("127.0.0.1", "ws://127.0.0.1:")],
)
def test_sandbox_listens_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch, host: str, url: str) -> None:
    interrupted(monkeypatch)
    result = run("sandbox", "--host", host)
    assert result.exit_code == cli.INTERRUPTED, result.output
    assert f"BINTRIO_ENDPOINT={url}" in result.stdout


def opened(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, list[Decimal]]:
    """What is bid and asked in each book of a sandbox that was begun with these arguments."""
    found: dict[str, list[Decimal]] = {}

    @asynccontextmanager
    async def spied(**settings: Any) -> AsyncGenerator[Sandbox, None]:
        async with open_sandbox(**settings) as running:
            interrupted(monkeypatch, partial(look, running))
            yield running

    def look(running: Sandbox) -> None:
        running.now()
        for name, book in running._exchange.engine.books.items():
            found[name] = [price for price, _ in (*book.bids(1), *book.asks(1))]

    monkeypatch.setattr(cli, "open_sandbox", spied)
    result = run("sandbox", *arguments)
    assert result.exit_code == cli.INTERRUPTED, result.output
    return found


def test_sandbox_has_quotes_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    found = opened(monkeypatch)
    assert found["BTCUSDT"] == [64_000, 64_001]
    assert all(len(prices) == 2 for prices in found.values())


def test_sandbox_has_a_market_that_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    found = opened(monkeypatch, "--market", "random-walk", "--seed", "3")
    assert found["BTCUSDT"] == [64_000, Decimal("64006.4")]
    assert all(len(prices) == 2 for prices in found.values())


def test_sandbox_replays_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "BTCUSDT-trades-2021-01.csv"
    file.write_text("1,100.00,1.0,100.0,1609459200000,True,True\n")
    found = opened(monkeypatch, "--market", str(file))
    assert found == {"BTCUSDT": [100, Decimal("100.01")], "ETHUSDT": [3_200, 3_201], "BNBBTC": found["BNBBTC"]}
    assert len(found["BNBBTC"]) == 2


def test_sandbox_says_what_is_wrong_with_a_market(tmp_path: Path) -> None:
    assert refused("sandbox", "--market", str(tmp_path / "BTCUSDT-1m.csv")).startswith("FileNotFoundError: ")
    file = tmp_path / "BTCUSDT-1m.csv"
    file.write_text("1,2,3\n")
    assert "row 1 of Replay(" in refused("sandbox", "--market", str(file))
    result = run("sandbox", "--seed", "3")
    assert result.exit_code == 2
    assert "--seed goes with --market random-walk" in result.stderr


def test_sandbox_says_when_a_host_cannot_be_had() -> None:
    assert refused("sandbox", "--host", "192.0.2.1").startswith("OSError: ")


def test_sandbox_says_when_a_port_is_taken(environment: dict[str, str]) -> None:
    port = environment["BINTRIO_ENDPOINT"].rpartition(":")[2].partition("/")[0]
    assert refused("sandbox", "--port", port).startswith("OSError: ")


def test_sandbox_has_no_certificate_without_tls(tmp_path: Path) -> None:
    result = run("sandbox", "--cert-out", str(tmp_path / "authority.pem"))
    assert result.exit_code == 2
    assert "--cert-out goes with --tls" in result.stderr


@pytest.mark.parametrize("arguments", [["sandbox", "--tls"], ["demo"]])
def test_tls_names_the_extra_that_it_needs(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: dict[str, Any] = {}
    monkeypatch.setattr(importlib.util, "find_spec", nothing.get)
    result = run(*arguments)
    assert result.exit_code == 2
    assert "this needs trustme: pip install 'bintrio[tls]'" in result.stderr


# demo


def faulty(*faults: Fault) -> Callable[..., AbstractAsyncContextManager[Any]]:
    return partial(open_sandbox, faults=faults)


def last_line(text: str) -> str:
    return text.splitlines(keepends=True)[-1]


def test_the_demo_tells_a_story_without_a_failure() -> None:
    result = run("demo")
    assert result.exit_code == 0, result.output
    for said in (" ws://127.0.0.1:", " wss://127.0.0.1:", "logged on", "FILLED", "events lost: 0, doubled: 0"):
        assert said in result.stdout
    assert result.stdout.count("failed calls: 0; connections lost: 0") == 2
    assert result.stdout.count("connection 1 to connection 2") == 2
    assert result.stdout.endswith("failures: 0\n")


def test_the_demo_counts_calls_that_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "open_sandbox", faulty(ServerError(method="ping", executed=False, skip=10, times=3)))
    result = run("demo")
    assert result.exit_code == 1
    assert result.stdout.count("failed calls: 3") == 2
    assert result.stdout.count("OutcomeUnknown: ping") == 6
    assert result.stdout.endswith("failures: 6\n")


def test_the_demo_notices_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "open_sandbox", faulty(Disconnect(method="depth")))
    result = run("demo")
    assert result.exit_code == 1
    assert result.stdout.endswith("connections lost: 1\n" + last_line(result.stdout))


def test_the_demo_ends_with_an_error_of_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "open_sandbox", faulty(ServerError(method="order.cancel", executed=True)))
    result = run("demo")
    assert result.exit_code == 1
    assert "OutcomeUnknown: order.cancel" in result.stdout


def test_the_demo_does_not_last_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PATIENCE", 0)
    result = run("demo")
    assert result.exit_code == 1
    assert "it was not over within 0 s\n" in result.stdout


def test_ctrl_c_ends_the_demo_at_once() -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-c", PROGRAM, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert any("order book" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (cli.INTERRUPTED, "")
