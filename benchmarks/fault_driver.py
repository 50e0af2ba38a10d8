"""One client in a process of its own, which does what it is told by lines of JSON and tells what comes of it.

It reads commands from its input: ``{"do": "order", "id": "..."}`` places an order, ``{"do": "follow"}`` follows the
account's user data. It prints a line for each thing that happens: ``["open"]``, ``["order", id, word, seconds,
words]``, ``["following", ""]``, ``["filled", "0.003"]``, ``["sign", words]``. It ends with its input.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    from .clients import Client

WORDS: Final = {
    "NotSent": "not sent",
    "OutcomeUnknown": "unknown",
    "Rejected": "refused",
    "Refused": "refused",
    "BinanceAPIException": "refused",
    "ExchangeError": "refused",
    "OperationFailed": "unknown",
}
"""What an error says of its order, by the name of its class or of one that it derives from. Others say nothing of it.

``OperationFailed`` is ccxt's word for "it may have been received"; its ``ExchangeError`` is the exchange's no.
"""

SILENT: Final = "says nothing"

_turn = threading.Lock()


def say(*what: object) -> None:
    """Print a line, from whatever thread."""
    with _turn:
        print(json.dumps(what, default=str), flush=True)


def word_of(error: Exception) -> str:
    if "-1007" in str(error):  # the exchange's own words: "execution status unknown"
        return "unknown"
    return next((WORDS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in WORDS), SILENT)


async def order(client: Client, client_order_id: str) -> None:
    begin = time.monotonic()
    try:
        answer = await client.order(client_order_id)
        answered = client.id_in(answer)
        if not answered:
            raise ValueError(f"a result in which no order stands: {answer}")
        word, words = ("done" if answered == client_order_id else "another order's answer"), str(answered)
    except Exception as error:
        word, words = word_of(error), f"{type(error).__name__}: {error}"
    say("order", client_order_id, word, round(time.monotonic() - begin, 3), words[:200])


async def follow(client: Client) -> None:
    try:
        await client.follow(say)
        say("sign", "its user data have ended")
    except Exception as error:
        say("sign", f"{type(error).__name__}: {error}"[:200])


async def main(module: str, url: str) -> None:
    logging.disable()
    opened: Any = importlib.import_module(f"benchmarks.clients.{module}")
    async with opened.open_client(url) as client, anyio.create_task_group() as tasks:
        say("open")
        while line := await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            command = json.loads(line)
            if command["do"] == "order":
                tasks.start_soon(order, client, command["id"])
            else:
                tasks.start_soon(follow, client)
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    loop = importlib.import_module(f"benchmarks.clients.{sys.argv[1]}").LOOP
    anyio.run(main, sys.argv[1], sys.argv[2], backend=loop)
