"""What it costs a call to be observed: CPU time per order on loopback, in one run, beside an unobserved session.

    python -m benchmarks.telemetry                    over plain TCP
    python -m benchmarks.telemetry --tls --seconds 8  over TLS, as on the exchange, and longer

OpenTelemetry is the SDK with no exporter: what is counted is making metrics and spans. "As it is" makes spans of what
fails, is slow or belongs to a trace, which nothing here does. Sessions take turns for a tenth of a second each, so that
a busy machine slows all; ratios are of the medians.

"The SDK alone" is the floor: nobody observes, and after each call a program records a duration by itself, or makes a
span as well, with the attributes that the conventions ask for.
"""

from __future__ import annotations

import argparse
import ssl
import time
from collections import defaultdict
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import trio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import NoOpTracerProvider, SpanKind

import bintrio
from bintrio.otel import OpenTelemetry, every_call

from .clients import API_KEY, API_SECRET
from .clients.bintrio import BintrioClient
from .server import certificates, server

if TYPE_CHECKING:
    from collections.abc import Callable

TURN: Final = 0.1
NOBODY: Final = "nobody observes"
FLOORS: Final = {"the SDK alone: metrics": False, "the SDK alone: metrics and spans": True}
ATTRIBUTES: Final[dict[str, Any]] = {
    "rpc.system.name": "binance",
    "rpc.method": "order.place",
    "server.address": "127.0.0.1",
    "server.port": 443,
    "rpc.response.status_code": "200",
}
ATTRIBUTES_OF_SPAN: Final = {**ATTRIBUTES, "bintrio.session": "bench", "bintrio.connection": 1}


def observers() -> dict[str, Callable[[Any], object] | None]:
    return {
        NOBODY: None,
        "an observer that does nothing": lambda _fact: None,
        "metrics": OpenTelemetry(tracer_provider=NoOpTracerProvider(), meter_provider=MeterProvider()),
        "as it is": OpenTelemetry(tracer_provider=TracerProvider(), meter_provider=MeterProvider()),
        "one span in ten": OpenTelemetry(
            tracer_provider=TracerProvider(sampler=ParentBasedTraceIdRatio(0.1)),
            meter_provider=MeterProvider(),
            span_for=every_call,
        ),
        "every span": OpenTelemetry(
            tracer_provider=TracerProvider(), meter_provider=MeterProvider(), span_for=every_call
        ),
    }


class SdkAlone(BintrioClient):
    """Records each call by hand, with nothing but the SDK's own work."""

    def __init__(self, session: bintrio.Session, *, makes_spans: bool) -> None:
        super().__init__(session)
        meter, tracer = MeterProvider().get_meter("bench"), TracerProvider().get_tracer("bench")
        self._histogram = meter.create_histogram("rpc.client.call.duration", "s")
        self._tracer = tracer if makes_spans else None

    async def order(self, client_order_id: str | None = None) -> object:
        answer = await super().order(client_order_id)
        self._histogram.record(0.001, ATTRIBUTES)
        if self._tracer is not None:
            self._tracer.start_span("order.place", None, SpanKind.CLIENT, ATTRIBUTES_OF_SPAN, start_time=1).end(2)
        return answer


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


async def measure(url: str, context: ssl.SSLContext | None, seconds: float) -> None:
    open_session = partial(bintrio.open_session, url, key=bintrio.HmacKey(API_KEY, API_SECRET), ssl_context=context)
    async with AsyncExitStack() as stack:
        clients = {
            name: BintrioClient(await stack.enter_async_context(open_session(name=name, observer=observer)))
            for name, observer in observers().items()
        }
        for name, makes_spans in FLOORS.items():
            session = await stack.enter_async_context(open_session(name=name))
            clients[name] = SdkAlone(session, makes_spans=makes_spans)
        for in_flight in (1, 32):
            figures: defaultdict[str, list[float]] = defaultdict(list)
            for _ in range(round(seconds / TURN)):
                for name, client in clients.items():
                    figures[name].append(await per_call(client, in_flight))
            alone = median(figures[NOBODY])
            for name, found in figures.items():
                print(f"{in_flight:2} in flight  {name:32} {median(found):7.1f} us  {median(found) / alone:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tls", action="store_true", help="over TLS instead of plain TCP")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each client and number of calls in flight")
    options = parser.parse_args()
    with ExitStack() as stack:
        authority, chain = stack.enter_context(certificates()) if options.tls else (None, None)
        ports = stack.enter_context(server(chain))
        context = None if authority is None else ssl.create_default_context(cafile=authority)
        scheme = "ws" if context is None else "wss"
        trio.run(measure, f"{scheme}://127.0.0.1:{ports.api}/ws-api/v3", context, options.seconds)


if __name__ == "__main__":
    main()
