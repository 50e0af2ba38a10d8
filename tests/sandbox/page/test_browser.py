"""The page as a browser shows it: Debian's chromium, without a window, driven by selenium."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from importlib import import_module
from typing import Any

import msgspec
import pytest
import trio
from scripts.make_page_picture import Look, browser

import bintrio
from bintrio.api.enums import Side
from bintrio.sandbox import Sandbox, open_sandbox
from bintrio.sandbox.page import serve_page
from bintrio.sandbox.server.calls import Call

pytestmark = pytest.mark.extra

PATIENCE = 30.0
"""Seconds for what is to be seen."""

TAB, ENTER, DOWN, SPACE = "\ue004", "\ue007", "\ue015", " "

CONTRASTS = """
const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const light = ([red, green, blue]) => 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
const colour = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
function behind(element) {
  for (let one = element; one; one = one.parentElement) {
    const found = colour(getComputedStyle(one).backgroundColor);
    if (found.length === 3) return found;
  }
  return colour(getComputedStyle(document.body).backgroundColor);
}
const texts = [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility()
  && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())
  || ["INPUT", "SELECT", "BUTTON"].includes(one.tagName));
return texts.map((one) => {
  const style = getComputedStyle(one, one.placeholder && !one.value ? "::placeholder" : null);
  const lights = [light(colour(one.closest("svg") ? style.fill : style.color)), light(behind(one))];
  return [(Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05), one.tagName, one.textContent.slice(0, 30)];
});
"""


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    """A browser for all tests of this module."""
    pytest.importorskip("selenium", reason="needs selenium: pip install '.[browser]'")
    for program in ("chromium", "chromedriver"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}, of Debian's chromium and chromium-driver")
    with browser(Look(1280, 900, "light")) as opened:
        yield opened


class Visitor:
    """Who looks at the page. What waits for the browser does so in a thread."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    async def run(self, script: str, *arguments: Any) -> Any:
        """What a script in the page returns."""
        return await trio.to_thread.run_sync(partial(self.driver.execute_script, script, *arguments))

    async def see(self, condition: str, *arguments: Any) -> None:
        """Wait until an expression is true in the page."""
        wait: Any = import_module("selenium.webdriver.support.ui").WebDriverWait(self.driver, PATIENCE, 0.05)
        met: Callable[[Any], Any] = lambda driver: driver.execute_script(f"return {condition}", *arguments)  # noqa: E731
        await trio.to_thread.run_sync(partial(wait.until, met, f"never seen: {condition}"))

    async def text(self, selector: str) -> str:
        return str(await self.run("return document.querySelector(arguments[0]).innerText", selector))

    async def rows(self, table: str) -> list[list[str]]:
        """The texts of a table's cells."""
        texts = "(row) => [...row.cells].map((one) => one.innerText)"
        script = f"return [...document.getElementById(arguments[0]).tBodies[0].rows].map({texts})"
        found: list[list[str]] = await self.run(script, table)
        return found

    async def press(self, *keys: str) -> None:
        """Press keys, where the focus is."""
        for key in keys:
            await trio.to_thread.run_sync(self._press, key)

    def _press(self, key: str) -> None:
        self.driver.switch_to.active_element.send_keys(key)

    async def focus(self) -> str:
        """What has the focus: its name, text or tag."""
        script = (
            "const one = document.activeElement; return one.name || one.id || one.textContent.trim() || one.tagName"
        )
        return str(await self.run(script))

    async def click(self, selector: str) -> None:
        await trio.to_thread.run_sync(lambda: self.driver.find_element("css selector", selector).click())

    async def resize(self, look: Look) -> None:
        """Be of another size and scheme."""
        size = {"width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": False}
        scheme = {"features": [{"name": "prefers-color-scheme", "value": look.scheme}]}
        command: Callable[..., Any] = self.driver.execute_cdp_cmd
        await trio.to_thread.run_sync(partial(command, "Emulation.setDeviceMetricsOverride", size))
        await trio.to_thread.run_sync(partial(command, "Emulation.setEmulatedMedia", scheme))


@asynccontextmanager
async def visited(driver: Any, **settings: Any) -> AsyncGenerator[tuple[Sandbox, Visitor], None]:
    """A sandbox with its page open. At the end the console must have nothing to say."""
    visitor = Visitor(driver)
    async with open_sandbox(**settings) as sandbox, trio.open_nursery() as nursery:
        url: str = await nursery.start(serve_page, sandbox)
        await visitor.resize(Look(1280, 900, "light"))
        await trio.to_thread.run_sync(driver.get, url)
        await visitor.see("document.getElementById('stream').textContent === 'Live'")
        yield sandbox, visitor
        console: list[Any] = await trio.to_thread.run_sync(driver.get_log, "browser")
        await trio.to_thread.run_sync(driver.get, "about:blank")
        nursery.cancel_scope.cancel()
    assert console == []


def session_to(sandbox: Sandbox) -> Any:
    return bintrio.open_session(sandbox.endpoint, key=sandbox.key)


def limit(price: str = "64000") -> bintrio.requests.OrderPlace:
    return bintrio.requests.OrderPlace(
        symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=price, quantity="0.5"
    )


async def test_a_fault_by_a_click_and_what_the_session_does_about_it(driver: Any) -> None:
    async with visited(driver) as (sandbox, page), session_to(sandbox) as session:
        await page.see("document.querySelectorAll('#connections tbody tr').length === 1")
        await page.run(
            """const form = document.querySelector("form[data-command=fault]");
            form.elements.type.value = "Disconnect";
            form.elements.type.dispatchEvent(new Event("change"));
            form.elements.method.value = "order.place";
            form.elements.executed.checked = true;"""
        )
        await page.click("form[data-command=fault] button")
        await page.see("document.getElementById('faults').innerText === 'Disconnect, for order.place, once'")
        with pytest.raises(bintrio.OutcomeUnknown) as lost:
            await session.send(limit())
        assert (await session.confirm(lost.value)).status == "NEW"
        await page.see("document.getElementById('faults').innerText === ''")
        await page.see("document.querySelectorAll('#connections tbody tr').length === 2")
        second, first = await page.rows("connections")
        assert (first[0], first[1].startswith("ended after ")) == ("1", True)
        assert (second[0], second[2]) == ("2", f"2 ({sandbox.key.api_key[:8]}…)")
        await page.see("document.getElementById('calls').innerText.includes('order.status')")
        methods = [row[2] for row in await page.rows("calls")]
        assert methods.index("order.status") < methods.index("order.place")
        ((_, _, symbol, *_),) = await page.rows("orders")
        assert symbol == "BTCUSDT"


async def test_an_order_is_filled_by_its_button(driver: Any) -> None:
    async with visited(driver) as (sandbox, page), session_to(sandbox) as session:
        order = await session.send(limit())
        await page.see("document.querySelector('#orders button')")
        assert (
            await page.run("return document.querySelector('#orders button').ariaLabel")
            == f"Fill order {order.order_id}"
        )
        await page.click("#orders button")
        await page.see("document.getElementById('orders').rows.length === 1")
        await page.see("document.getElementById('fills').innerText.includes('0.0005 BTC')")
        assert await page.text("#orders-said") == f"Order {order.order_id} was filled."
        await page.see("document.querySelectorAll('#candles rect').length > 0")


async def test_all_of_it_can_be_done_by_keys(driver: Any) -> None:
    async with visited(driver) as (sandbox, page):
        await page.press(TAB)
        assert await page.focus() == "Skip to the commands"
        await page.press(ENTER)
        assert await page.focus() == "commands"
        await page.press(TAB, TAB)
        assert await page.focus() == "type"
        await page.press("DropReply", TAB, "order.place", TAB)
        assert await page.focus() == "times"
        await page.press(TAB, TAB, ENTER)
        await page.see("document.getElementById('faults').innerText.startsWith('DropReply, for order.place')")
        assert await page.text("form[data-command=fault] output") != ""
        await page.press(TAB, SPACE)
        await page.see("document.getElementById('faults').innerText === ''")
        await page.press(TAB, TAB, SPACE)  # past Market, into Connections
        opened = await page.run(
            "return [...document.querySelectorAll('details[open] summary')].map((one) => one.innerText)"
        )
        assert opened == ["Faults", "Connections"]
        assert sandbox.faults == ()


async def test_everything_that_takes_the_focus_has_a_name_and_shows_it(driver: Any) -> None:
    async with visited(driver) as (_, page):
        await page.run("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        controls = await trio.to_thread.run_sync(
            lambda: [
                (one.tag_name, one.accessible_name)
                for one in driver.find_elements(
                    "css selector", "button, input, select, a, summary, [tabindex='0'], svg"
                )
            ]
        )
        assert len(controls) > 60
        assert [tag for tag, name in controls if not name.strip()] == []
        await page.press(TAB)
        assert await page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"


async def test_a_field_within_another_is_sent_there(driver: Any) -> None:
    async with visited(driver) as (sandbox, page):
        await page.run("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        await page.run("document.querySelector('form[data-command=link]').elements['up.latency'].value = '0.25'")
        await page.click("form[data-command=link] button")
        await page.see("document.querySelector('form[data-command=link] output').value.startsWith('Done')")
        assert (sandbox.link.up.latency, sandbox.link.down.latency) == (0.25, 0)


async def test_what_is_refused_is_said_where_it_was_written(driver: Any) -> None:
    async with visited(driver) as (_, page):
        await page.run("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        await page.run("document.querySelector('form[data-command=advance]').elements.seconds.value = '-1'")
        await page.click("form[data-command=advance] button")
        await page.see(
            "document.querySelector('form[data-command=advance] output').value.startsWith('seconds must be')"
        )
        assert await page.focus() == "seconds"
        assert await page.run("return document.activeElement.ariaInvalid") == "true"
        await trio.to_thread.run_sync(driver.get_log, "browser")  # which notes that something was refused


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
async def test_text_stands_out_and_nothing_sticks_out(driver: Any, width: int, scheme: str) -> None:
    async with visited(driver) as (sandbox, page), session_to(sandbox) as session:
        await page.resize(Look(width, 844, scheme))
        await session.send(limit())
        with pytest.raises(bintrio.Rejected):
            await session.request("none")
        await page.run("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        await page.see("document.querySelector('#orders button') && document.querySelector('#calls .bad')")
        contrasts = await page.run(CONTRASTS)
        assert len(contrasts) > 100
        assert [found for found in contrasts if found[0] < 4.5] == []
        assert await page.run("return document.documentElement.scrollWidth") <= width
        assert await page.run("return matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")


async def test_what_clients_write_is_text_and_no_markup(driver: Any) -> None:
    markup = "<img src=x onerror='window.hit=1'><script>window.hit=1</script>"
    async with visited(driver) as (sandbox, page), session_to(sandbox) as session:
        with pytest.raises(bintrio.Rejected):
            await session.request(markup, {"symbol": markup, "newClientOrderId": markup})
        await page.see("document.getElementById('calls').innerText.includes(arguments[0])", f"symbol={markup}")
        assert (await page.rows("calls"))[0][2] == markup
        assert await page.run("return [window.hit ?? null, document.querySelectorAll('#calls img').length]") == [
            None,
            0,
        ]
        # Should a later version of the page forget it, the browser would not.
        refused = "try { document.body.innerHTML = '<b>x</b>'; return false } catch { return true }"
        assert await page.run(refused)
        await trio.to_thread.run_sync(driver.get_log, "browser")  # which says so


async def test_books_of_all_shapes_are_drawn(driver: Any) -> None:
    async with visited(driver) as (sandbox, page):
        await page.see("document.getElementById('book-said').innerText === 'Best no bid, no ask'")
        assert await page.run("return document.getElementById('depth').children.length") == 0
        sandbox.trade("BTCUSDT", "BUY", Decimal(100), Decimal(1))
        await page.see("document.getElementById('book-said').innerText === 'Best bid 100, no ask'")
        levels: list[tuple[Side, int]] = [("BUY", 99), ("SELL", 101), ("SELL", 102), ("BUY", 1)]
        for side, price in levels:
            sandbox.trade("BTCUSDT", side, Decimal(price), Decimal(10))
        said = "Best bid 100, ask 101; 1 level is too far out to be drawn"
        await page.see("document.getElementById('book-said').innerText === arguments[0]", said)
        paths = "[...document.querySelectorAll('#depth path')].map((one) => one.classList[0])"
        assert await page.run(f"return {paths}") == ["bids", "asks"]
        assert (await page.rows("levels"))[0] == ["1", "100", "101", "10"]


async def test_numbers_keep_every_digit(driver: Any) -> None:
    texts = {
        "64000.00000000": "64,000",
        "0.00000001": "0.00000001",
        "123456789012345678901234.50000000": "123,456,789,012,345,678,901,234.5",
        "-1234.10": "-1,234.1",
        "100": "100",
        "0": "0",
    }
    script = "const [texts, done] = arguments; import('./tables.js').then(({ short }) => done(texts.map(short)))"
    async with visited(driver):
        shown = await trio.to_thread.run_sync(partial(driver.execute_async_script, script, [*texts]))
        assert shown == [*texts.values()]


async def test_it_can_be_paused(driver: Any) -> None:
    async with visited(driver) as (_, page):
        await page.click("#pause")
        await page.see("document.getElementById('stream').textContent === 'Paused'")
        stands = await page.text("#time")
        await page.run("window.news = 0; new EventSource('events?symbol=BTCUSDT').onmessage = () => window.news++")
        await page.see("window.news === 3")
        assert await page.text("#time") == stands
        await page.click("#pause")
        await page.see("document.getElementById('time').innerText !== arguments[0]", stands)


async def test_another_symbol_is_shown_when_it_is_chosen(driver: Any) -> None:
    async with visited(driver) as (sandbox, page):
        sandbox.quote("ETHUSDT", Decimal(3), Decimal(4), Decimal(5))
        await page.see("document.getElementById('book-said').innerText === 'Best no bid, no ask'")
        await page.run(
            """const choice = document.getElementById("symbol");
            choice.value = "ETHUSDT";
            choice.dispatchEvent(new Event("change"));"""
        )
        await page.see("document.getElementById('book-said').innerText === 'Best bid 3, ask 4'")
        assert (
            await page.run("return document.querySelector('form[data-command=quote]').elements.symbol.value")
            == "ETHUSDT"
        )


async def test_g11_ten_thousand_orders_are_no_more_to_draw_than_fifty(driver: Any) -> None:
    async with visited(driver) as (sandbox, page), session_to(sandbox):
        for step in range(10_000):
            order = msgspec.structs.replace(limit(f"{20_000 + step}.01"), quantity=Decimal("0.001"))
            sandbox._exchange.place(2, order, sandbox.now() * 1_000)
        await page.see("document.getElementById('calls').innerText.includes('session.logon')")
        connections = sandbox._connections
        connections.calls.extend(Call(next(connections.call_numbers), 1, connections.now()) for _ in range(300))
        await page.see("document.getElementById('orders-title').innerText === 'Open orders (10000)'")
        assert await page.text("#orders-more") == "The newest 50; 9950 more are open."
        assert await page.run("return document.querySelectorAll('*').length") < 5_000
        await page.see("document.getElementById('calls-said').innerText === '250 calls passed too fast to be shown.'")
        assert len(sandbox.open_orders) == 10_000


async def test_a_sandbox_that_ends_is_missed(driver: Any) -> None:
    visitor = Visitor(driver)
    async with open_sandbox() as sandbox, trio.open_nursery() as nursery:
        url: str = await nursery.start(serve_page, sandbox)
        await trio.to_thread.run_sync(driver.get, url)
        await visitor.see("document.getElementById('stream').textContent === 'Live'")
        nursery.cancel_scope.cancel()
    await visitor.see("document.getElementById('stream').textContent.startsWith('Interrupted')")
    await trio.to_thread.run_sync(driver.get, "about:blank")
    await trio.to_thread.run_sync(driver.get_log, "browser")
