"""Make docs/pictures/page.png: the page of a sandbox with a market, two bots and a fault, as a browser shows it.

python -m scripts.make_page_picture [FOLDER]

With a folder, it makes pictures there for every width and scheme that the page is looked at in. It needs chromium,
chromedriver and `pip install '.[browser,ui]'`.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from decimal import Decimal
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

import trio

import bintrio
from bintrio.sandbox import (
    Disconnect,
    RandomWalk,
    Sandbox,
    SandboxAccount,
    TooManyRequests,
    open_sandbox,
    trader,
)
from bintrio.sandbox.page import serve_page

TARGET: Final = Path(__file__).parent.parent / "docs" / "pictures" / "page.png"
SETTLED: Final = 2.0
"""Seconds after which the page shows what there is."""

TICK: Final = Decimal("0.01")


class Look(NamedTuple):
    """How the page is looked at."""

    width: int
    height: int
    scheme: str

    @property
    def name(self) -> str:
        """Of the picture."""
        return f"page-{self.width}-{self.scheme}.png"


LOOKS: Final = [Look(width, 900, scheme) for width in (1280, 390) for scheme in ("light", "dark")]


@contextmanager
def browser(look: Look) -> Generator[Any]:
    """Chromium of a size, in light or dark."""
    webdriver: Any = import_module("selenium.webdriver")  # types are checked without it as well
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--force-device-scale-factor=1"):
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        size = {"width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = [{"name": "prefers-color-scheme", "value": look.scheme}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        yield driver
    finally:
        driver.quit()


async def take(look: Look, target: Path, *, is_whole: bool) -> None:
    """One picture, of a sandbox in which something has gone on since the page was opened."""
    market = RandomWalk(seed=5, interval=3, depth=40)
    with browser(look) as driver:
        async with open_sandbox(market=market, accounts=[trader(2), trader(3)]) as sandbox, AsyncExitStack() as stack:
            sandbox.advance(3 * 3_600)
            nursery = await stack.enter_async_context(trio.open_nursery())
            url: str = await nursery.start(serve_page, sandbox)
            sessions = [await stack.enter_async_context(followed(sandbox, account)) for account in sandbox.accounts]
            await trio.to_thread.run_sync(driver.get, url)
            await trio.sleep(SETTLED)
            await trade(sandbox, sessions)
            await trio.sleep(SETTLED)
            await trio.to_thread.run_sync(partial(save, driver, look, target, is_whole=is_whole))
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def followed(sandbox: Sandbox, account: SandboxAccount) -> AsyncGenerator[bintrio.Session, None]:
    """A session of an account that gets its events."""
    async with bintrio.open_session(sandbox.endpoint, key=account.key) as session, session.user_data():
        yield session


def save(driver: Any, look: Look, target: Path, *, is_whole: bool) -> None:
    """What the browser shows, or the whole page."""
    if is_whole:
        height = driver.execute_script("return document.documentElement.scrollHeight")
        size = {"width": look.width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.execute_async_script("setTimeout(arguments[0], 1000)")  # the charts are drawn in their new size
    target.write_bytes(driver.get_screenshot_as_png())


async def trade(sandbox: Sandbox, sessions: list[bintrio.Session]) -> None:
    """Orders of all sorts, some of which trade, and what goes wrong."""
    one, other = sessions
    price = sandbox.book("BTCUSDT").bids[0].price
    for step in range(1, 9):
        session = sessions[step % 2]
        for side, level in (("BUY", price - 6 * step), ("SELL", price + 20 + 6 * step)):
            limit: Any = {"side": side, "type": "LIMIT", "time_in_force": "GTC", "price": level.quantize(TICK)}
            await session.order_place(symbol="BTCUSDT", quantity=Decimal(step) / 4, **limit)
        await session.order_place(symbol="BTCUSDT", side="BUY", type="MARKET", quantity=Decimal(step) / 20)
    sandbox.inject(Disconnect("order.place", executed=True))
    limit = {"side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "price": (price - 40).quantize(TICK)}
    try:
        await one.order_place(symbol="BTCUSDT", quantity=Decimal(1), **limit)
    except bintrio.OutcomeUnknown as error:
        await one.confirm(error)
    with suppress(bintrio.Rejected):
        await other.order_place(symbol="BTCUSDT", side="SELL", type="MARKET", quantity=Decimal(100_000))
    sandbox.inject(TooManyRequests("order.cancel", retry_after=5, skip=2))


async def main(folder: Path | None) -> None:
    """Make the picture, or those of all looks."""
    if folder is None:
        await take(Look(1280, 1140, "light"), TARGET, is_whole=False)
    else:
        for look in LOOKS:
            await take(look, folder / look.name, is_whole=True)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]) if sys.argv[1:] else None)
