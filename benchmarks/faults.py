"""bintrio and its peers under the same faults: what became of orders and events, and what each client said of it.

    python -m benchmarks.faults                     # some fifteen minutes; writes benchmarks/results/faults.*
    python -m benchmarks.faults --clients bintrio ccxt.pro --scenarios "answer lost"

Each scenario is played on loopback TCP, in real time, with a client in a process of its own, whose options are its
defaults (`fault_stage`). What happened is read from the sandbox and what the client says from the client; nothing is
assumed. Clients are played side by side, each through its scenarios one after the other.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import trio
from rich.console import Console
from rich.progress import Progress, TaskID

from bintrio.sandbox import (
    CutReplyAt,
    Disconnect,
    DropReply,
    DuplicateReply,
    Fault,
    Garbage,
    HalfOpen,
    HandshakeStatus,
    LateReply,
    Link,
    NullIdReply,
    RefuseConnection,
    Reorder,
    ServerError,
    Timeout,
    TooManyRequests,
    Way,
    WrongReply,
)

from . import fault_report
from .fault_report import Seen
from .fault_stage import LIMIT, Stage, staged

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

RESULTS: Final = Path(__file__).parent / "results"
PEERS: Final = ("bintrio", "binance-sdk-spot", "python-binance", "ccxt.pro", "unicorn-binance-websocket-api")
LONG: Final = 100.0
"""Seconds for a call over a dead connection: bintrio has a minute to notice."""
WHOLE: Final = 400.0
"""Seconds for a scenario; a client that has not got through by then is ended, and what it has done so far counts."""


class Scenario(NamedTuple):
    """What is played, in words and as a function; ``link`` is what the connection goes over."""

    words: str
    play: Callable[[Stage], Awaitable[None]]
    link: Link = Link()


def struck(fault: Fault) -> Callable[[Stage], Awaitable[None]]:
    """An order is struck; then others are placed until one goes through."""

    async def play(stage: Stage) -> None:
        stage.sandbox.inject(fault)
        await stage.order()
        await stage.go_on()

    return play


async def late(stage: Stage) -> None:
    stage.sandbox.inject(LateReply("order.place", seconds=15))
    first = await stage.begin_order()
    await trio.sleep(1)
    await stage.order()
    await stage.end_of(first)
    await trio.sleep(10)
    await stage.go_on()


async def reordered(stage: Stage) -> None:
    stage.sandbox.inject(Reorder("order.place", count=3))
    names = [await stage.begin_order() for _ in range(3)]
    for name in names:
        await stage.end_of(name)
    await stage.go_on()


async def too_many(stage: Stage) -> None:
    stage.sandbox.inject(TooManyRequests("order.place", retry_after=5))
    await stage.order()
    until = stage.sandbox.now() + 4_900  # the answer says 5 s from when it left
    before = len(stage.sandbox.calls)
    await stage.go_on()
    stage.seen.forbidden = sum(call.time < until for call in stage.sandbox.calls[before:])


async def dead_with_a_call(stage: Stage) -> None:
    stage.sandbox.inject(HalfOpen("order.place", executed=True))
    await stage.notice(LONG)
    await stage.go_on(LONG)


async def dead_before_a_call(stage: Stage) -> None:
    stage.sandbox.inject(HalfOpen())
    await trio.sleep(1)
    await stage.notice(LONG)
    await stage.go_on(LONG)


async def handshakes_refused(stage: Stage) -> None:
    stage.sandbox.inject(HandshakeStatus(status=503, times=2))
    stage.sandbox.inject(RefuseConnection())
    await cut_once(stage)


async def cut_once(stage: Stage) -> None:
    stage.sandbox.disconnect()
    await trio.sleep(0.5)
    await stage.go_on()


async def slow_link(stage: Stage) -> None:
    names = [await stage.begin_order() for _ in range(5)]
    for name in names:
        await stage.end_of(name)
    await stage.go_on()


def followed(strike: Callable[[Stage], object], back_within: float = 15.0) -> Callable[[Stage], Awaitable[None]]:
    """User data are followed when something happens, and an event comes at once after it."""

    async def play(stage: Stage) -> None:
        await stage.follow()
        stage.seen.signs.clear()
        strike(stage)
        await trio.sleep(0.2)
        stage.fill()
        await stage.come_back(back_within)

    return play


async def subscription_unanswered(stage: Stage) -> None:
    for method in ("userDataStream.subscribe", "userDataStream.subscribe.signature"):
        stage.sandbox.inject(DropReply(method))
    is_told_no = not await stage.ask_to_follow()
    await stage.order()
    if is_told_no:
        await stage.ask_to_follow()
    await stage.come_back()
    stage.seen.follows = True  # it asked for them, so it is to know


SCENARIOS: Final = {
    "answer lost": Scenario("an order is executed, its answer is lost", struck(DropReply("order.place"))),
    "cut before": Scenario("the connection is cut before an order is executed", struck(Disconnect("order.place"))),
    "cut after": Scenario(
        "the connection is cut after an order was executed", struck(Disconnect("order.place", executed=True))
    ),
    "cut in the answer": Scenario(
        "the connection is cut in the middle of an answer", struck(CutReplyAt("order.place", position=60))
    ),
    "answer late": Scenario("an answer comes after 15 s, another order in between", late),
    "answer twice": Scenario("an answer comes twice", struck(DuplicateReply("order.place"))),
    "answers reordered": Scenario("three answers come in reverse", reordered),
    "answer without id": Scenario("an answer comes with id null", struck(NullIdReply("order.place"))),
    "garbage": Scenario(
        "after an execution, half a JSON object comes instead of the answer",
        struck(Garbage("order.place", data='{"id":', executed=True)),
    ),
    "another result": Scenario(
        "after an execution, the result is an empty object", struck(WrongReply("order.place", result="{}"))
    ),
    "5xx, executed": Scenario("status 500 after an execution", struck(ServerError("order.place", executed=True))),
    "-1007, executed": Scenario("-1007, unknown, after an execution", struck(Timeout("order.place", executed=True))),
    "429": Scenario("429 with retryAfter in 5 s; then orders are asked for at once", too_many),
    "dead, call in flight": Scenario(
        "the connection is half-open from an order on, which was executed", dead_with_a_call
    ),
    "dead, then a call": Scenario("half-open, and so without pings; an order follows", dead_before_a_call),
    "handshakes refused": Scenario("cut; two handshakes get 503, one connection is refused", handshakes_refused),
    "slow link": Scenario(
        "one-byte segments, 200 ms each way, 20 kB/s; five orders at once",
        slow_link,
        Link(up=Way(latency=0.2, segment=1), down=Way(latency=0.2, segment=1, bandwidth=20_000)),
    ),
    "events: cut": Scenario("cut while user data are followed", followed(lambda stage: stage.sandbox.disconnect())),
    "events: closed": Scenario(
        "closed with 1001 while user data are followed", followed(lambda stage: stage.sandbox.disconnect(1001, "bye"))
    ),
    "events: shutdown": Scenario(
        "serverShutdown, the end 10 s later", followed(lambda stage: stage.sandbox.announce_shutdown(10), 40)
    ),
    "events: terminated": Scenario(
        "eventStreamTerminated from the exchange's side", followed(lambda stage: stage.sandbox.end_events())
    ),
    "events: dead": Scenario(
        "half-open while user data are followed", followed(lambda stage: stage.sandbox.inject(HalfOpen()), 160)
    ),
    "events: no answer": Scenario(
        "the answer to the subscription is lost; if the client says so, it is asked again", subscription_unanswered
    ),
}


async def play(client: str, scenario: Scenario) -> Seen:
    """What was seen of a client in a scenario."""
    seen = Seen()
    with trio.move_on_after(WHOLE):
        try:
            async with staged(client, scenario.link) as stage:
                seen = stage.seen
                with trio.move_on_after(WHOLE - LIMIT):
                    await scenario.play(stage)
                stage.judge()
        except* Exception as group:
            seen.failure = "; ".join(map(repr, group.exceptions))
    return seen


async def play_all(clients: Sequence[str], scenarios: Sequence[str]) -> fault_report.Results:
    """What was seen, by client and scenario."""
    results: fault_report.Results = {client: {} for client in clients}
    with Progress(console=Console(stderr=True)) as progress:

        async def through(client: str, task: TaskID) -> None:
            for name in scenarios:
                progress.update(task, description=f"{client}: {name}")
                results[client][name] = await play(client, SCENARIOS[name])
                progress.advance(task)

        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(through, client, progress.add_task(client, total=len(scenarios)))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description="Clients under the same faults.")
    parser.add_argument("--clients", nargs="+", choices=PEERS, default=list(PEERS), metavar="NAME")
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), metavar="NAME")
    parser.add_argument("--output", type=Path, default=RESULTS, help="default: benchmarks/results")
    options = parser.parse_args()
    results = trio.run(play_all, options.clients, options.scenarios)
    words = {name: scenario.words for name, scenario in SCENARIOS.items()}
    fault_report.write(results, words, options.output)
    print(fault_report.markdown(results, words))


if __name__ == "__main__":
    main()
