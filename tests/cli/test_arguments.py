"""Text of a command line to a request."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import bintrio
from bintrio.cli._arguments import request_of, texts_of
from bintrio.requests import Depth, ExchangeInfo, Klines, OrderPlace, OrderStatus


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
    request = request_of(ExchangeInfo, {"symbols": symbols})
    assert request.params() == {"symbols": ["BTCUSDT", "ETHUSDT"]}


def test_a_list_may_have_one_item() -> None:
    for text in ("BTCUSDT", "BTCUSDT,", '["BTCUSDT"]', "[BTCUSDT]"):
        assert request_of(ExchangeInfo, {"symbols": text}).params() == {"symbols": ["BTCUSDT"]}


@pytest.mark.parametrize(
    ("request_type", "texts", "meant"),
    [
        (Depth, {"symbol": "btcusdt"}, "symbol 'btcusdt': did you mean 'BTCUSDT'?"),
        (Depth, {"symbol": "BTC/USDT"}, "symbol 'BTC/USDT': did you mean 'BTCUSDT'?"),
        (Depth, {"symbol": "btc:usdt "}, "did you mean 'BTCUSDT'?"),
        (ExchangeInfo, {"symbols": "BTCUSDT,ethusdt"}, "symbols 'ethusdt': did you mean 'ETHUSDT'?"),
        (OrderPlace, {"symbol": "B", "side": "buy", "type": "MARKET"}, "side 'buy': did you mean 'BUY'?"),
        (OrderPlace, {"symbol": "B", "side": "Buy", "type": "MARKET"}, "did you mean 'BUY'?"),
        (OrderPlace, {"symbol": "B", "side": "BUY", "type": "stop-loss"}, "did you mean 'STOP_LOSS'?"),
        (OrderPlace, {"symbol": "B", "side": "BUY", "type": "markt"}, "did you mean 'MARKET'?"),
        (OrderPlace, {"symbol": "B", "side": "BYU", "type": "MARKET"}, "side 'BYU': did you mean 'BUY'?"),
        (ExchangeInfo, {"permissions": ["spot"]}, "permissions 'spot': did you mean 'SPOT'?"),
        (OrderPlace, {"symbol": "B", "side": "BUY", "type": "LIMTI"}, "type 'LIMTI': did you mean 'LIMIT'?"),
        (Klines, {"symbol": "B", "interval": "1H"}, "interval '1H': did you mean '1h'?"),
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
        (Depth, {"symbol": "币安人生USDT"}),
        (Depth, {"symbol": "BTC-USD_T.1"}),
        (OrderPlace, {"symbol": "B", "side": "BUY", "type": "ICEBERG_OF_TOMORROW"}),
        (OrderPlace, {"symbol": "B", "side": "BUY", "type": "moon"}),
        (Klines, {"symbol": "B", "interval": "10m"}),
        (Klines, {"symbol": "B", "interval": "1M"}),
        (OrderStatus, {"symbol": "B", "origClientOrderId": "buy"}),
    ],
)
def test_g10_what_may_be_new_is_sent(request_type: type[bintrio.Request[Any]], texts: dict[str, str]) -> None:
    if request_type is OrderPlace:
        texts = {**texts, "quantity": "1"}
    assert set(texts.values()) <= set(map(str, request_of(request_type, texts).params().values()))


@pytest.mark.skipif(sys.getfilesystemencoding() != "utf-8", reason="arguments are decoded as the file system's names")
def test_arguments_that_the_locale_cannot_decode_are_utf_8() -> None:
    undecoded = "symbol=币安人生USDT".encode().decode("ascii", "surrogateescape")
    assert texts_of([undecoded]) == {"symbol": "币安人生USDT"}
    assert texts_of(["symbol=\ud800"]) == {"symbol": "\ud800"}


@pytest.mark.parametrize(
    ("text", "time_unit", "time"),
    [
        ("2026-01-31", "ms", 1769817600000),
        ("2026-01-31T12:30", "ms", 1769862600000),
        ("2026-01-31 12:30:00.5+01:00", "us", 1769859000500000),
        ("2026-01-31T12:30Z", "ms", 1769862600000),
        ("1769817600000", "ms", 1769817600000),
    ],
)
def test_a_time_may_be_an_iso_date(text: str, time_unit: Any, time: int) -> None:
    texts = {"symbol": "BTCUSDT", "interval": "1m", "startTime": text}
    request = request_of(Klines, texts, time_unit=time_unit)
    assert request.params()["startTime"] == time


@pytest.mark.parametrize("text", ["2026-31-01", "yesterday", "1.5", str(2**63)])
def test_what_is_no_date_is_refused_as_a_time(text: str) -> None:
    with pytest.raises(bintrio.InvalidRequest) as caught:
        request_of(Klines, {"symbol": "BTCUSDT", "interval": "1m", "start_time": text})
    said = f"startTime must be an ISO date, such as 2026-01-31T12:30, or an int of 64 bits in ms, not {text!r}"
    assert (str(caught.value), caught.value.field) == (f"klines: {said}", "start_time")


def test_only_times_are_read_as_dates() -> None:
    request = request_of(OrderStatus, {"symbol": "BTCUSDT", "origClientOrderId": "2026-01-31"})
    assert request.params()["origClientOrderId"] == "2026-01-31"
