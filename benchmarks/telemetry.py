"""What it costs a call to be observed: CPU time per order on loopback, in one run, beside an unobserved session.

    python -m benchmarks.telemetry [SECONDS]

OpenTelemetry is the SDK with spans and metrics on and no exporter, so what is counted is making them. Sessions take
turns for a tenth of a second each, so that a busy machine slows all; ratios are of the medians.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import trio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import NoOpTracerProvider

import bintrio
from bintrio.otel import OpenTelemetry

from .clients import API_KEY, API_SECRET
from .clients.bintrio import BintrioClient
from .server import server

if TYPE_CHECKING:
    from collections.abc import Callable

TURN: Final = 0.1
NOBODY: Final = "nobody observes"


def observers() -> dict[str, Callable[[Any], object] | None]:
    return {
        NOBODY: None,
        "an observer that does nothing": lambda _fact: None,
        "metrics": OpenTelemetry(tracer_provider=NoOpTracerProvider(), meter_provider=MeterProvider()),
        "metrics, one span in ten": OpenTelemetry(
            tracer_provider=TracerProvider(sampler=ParentBasedTraceIdRatio(0.1)), meter_provider=MeterProvider()
        ),
        "metrics and spans": OpenTelemetry(tracer_provider=TracerProvider(), meter_provider=MeterProvider()),
    }


async def per_call(client: BintrioClient, in_flight: int) -> float:
    """Microseconds of CPU for a call, in one turn."""
    calls = 0

    async def work() -> None:
        nonlocal calls
        while time.monotonic() < until:
            await client.order()
            calls += 1

    began = time.process_time()
    until = time.monotonic() + TURN
    async with trio.open_nursery() as nursery:
        for _ in range(in_flight):
            nursery.start_soon(work)
    return (time.process_time() - began) / calls * 1e6


async def main(url: str, seconds: float) -> None:
    key = bintrio.HmacKey(API_KEY, API_SECRET)
    async with AsyncExitStack() as stack:
        clients = {
            name: BintrioClient(
                await stack.enter_async_context(bintrio.open_session(url, key=key, name=name, observer=observer))
            )
            for name, observer in observers().items()
        }
        for in_flight in (1, 32):
            figures: defaultdict[str, list[float]] = defaultdict(list)
            for _ in range(round(seconds / TURN)):
                for name, client in clients.items():
                    figures[name].append(await per_call(client, in_flight))
            alone = median(figures[NOBODY])
            for name, found in figures.items():
                print(f"{in_flight:2} in flight  {name:30} {median(found):7.1f} us  {median(found) / alone:.3f}")


if __name__ == "__main__":
    with server() as ports:
        trio.run(main, f"ws://127.0.0.1:{ports.api}/ws-api/v3", float(sys.argv[1]) if len(sys.argv) > 1 else 4.0)
