"""A `Scene` on a terminal. The view is a function of the scene alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from rich import box
from rich.console import Console, ConsoleOptions, Group, JustifyMethod, RenderableType, RenderResult
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bintrio.cli._figures import short
from bintrio.cli._scene import Scene, SeenAccount, SeenFill, SeenLimit, SeenOrder

ROWS: Final = 8
"""Of each table, where there is room for them."""

# Characters of a line from which on two parts stand beside each other.
_TWO_COLUMNS: Final = 110

# The part of a budget above which it is shown as nearly used up.
_ALARMING: Final = 0.8

_SIDES: Final = {"BUY": "green", "SELL": "red"}


def rows_for(height: int) -> int:
    """How many rows each table may have so that all of it finds room in so many lines."""
    # 16 lines are titles, frames and the session; what is left is for the four tables with rows of their own.
    return min(max(2, (height - 16) // 4), 20)


def view(scene: Scene, *, rows: int = ROWS) -> RenderableType:
    """The scene as tables of so many rows at most: the session and its account, and below what happened."""
    session = Group(
        _panel("session", _session(scene)), _panel("budgets", _limits(scene)), _panel("calls", _calls(scene, rows))
    )
    return Group(
        _title(scene), _Beside(session, _account(scene.account, rows)), _panel("what happened", _news(scene, rows))
    )


class _Beside:
    """Two parts, one beside the other if the terminal is wide enough, else one below the other."""

    def __init__(self, left: RenderableType, right: RenderableType) -> None:
        self._left = left
        self._right = right

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # Asked at each drawing, since the window of a terminal may change its size.
        if options.max_width < _TWO_COLUMNS:
            yield from (self._left, self._right)
        else:
            grid = Table.grid(expand=True, padding=(0, 1))
            grid.add_column(ratio=1)
            grid.add_column(ratio=1)
            grid.add_row(self._left, self._right)
            yield grid


def _title(scene: Scene) -> Text:
    return Text.assemble(("bintrio watch  ", "bold"), (scene.endpoint, "cyan"), f"  {_date(scene.at)}")


def _panel(title: str, content: RenderableType) -> Panel:
    return Panel(content, title=title, title_align="left", box=box.ROUNDED, border_style="dim")


def _table(*columns: str, numbers: Iterable[str] = (), widest: int = 0) -> Table:
    """A table; columns of numbers stand flush right, and one of the columns takes the room that is left."""
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim")
    for place, column in enumerate(columns):
        justify: JustifyMethod = "right" if column in numbers else "left"
        # One line for a row, so that the height of the whole is known before it is drawn.
        table.add_column(column, justify=justify, no_wrap=True, ratio=1 if place == widest else None)
    return table


# The session


def _session(scene: Scene) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    connection = scene.connection
    if connection is None:
        table.add_row("connection", Text("none: the session is trying to open one", "bold red"))
    else:
        table.add_row("connection", f"{connection.number}, to {connection.address}")
        table.add_row("age", _duration(connection.age))
        table.add_row("logged on", "yes" if connection.is_logged_on else "no")
        table.add_row("in flight", str(connection.in_flight))
    table.add_row("connections", f"{scene.connections}, of which {scene.losses} were lost")
    table.add_row("clock", f"{scene.clock_offset:+.3f} ms from here")
    table.add_row("round trip", f"{scene.round_trip:.3f} ms")
    table.add_row("hold", _hold(scene))
    return table


def _hold(scene: Scene) -> Text:
    if scene.hold is None:
        return Text("none", "green")
    until = "" if scene.hold.until is None else f", until {_date(scene.hold.until)}"
    return Text(f"{scene.hold.reason}{until}", "bold red")


def _limits(scene: Scene) -> RenderableType:
    table = _table("limit", "used", "", numbers=("used",))
    for limit in scene.limits:
        table.add_row(limit.name.lower(), f"{limit.used} of {limit.limit}", _bar(limit))
    return table if scene.limits else Text("not known yet", "dim")


def _bar(limit: SeenLimit) -> ProgressBar:
    # Before it is full: from there on calls have to wait.
    style = "red" if limit.used > _ALARMING * limit.limit else "green"
    return ProgressBar(limit.limit, limit.used, width=8, complete_style=style, finished_style=style)


def _calls(scene: Scene, rows: int) -> RenderableType:
    table = _table("ms", "calls", "p50", "p90", "p99", "worst", numbers=("calls", "p50", "p90", "p99", "worst"))
    # The methods called most are of most interest where not all find room.
    for each in sorted(scene.latencies, key=lambda each: -each.count)[:rows]:
        times = (f"{milliseconds:.1f}" for milliseconds in (each.p50, each.p90, each.p99, each.worst))
        table.add_row(each.method, str(each.count), *times)
    return table if scene.latencies else Text("none yet", "dim")


# The account


def _account(account: SeenAccount | None, rows: int) -> RenderableType:
    if account is None:
        return _panel("account", Text("no key was given, so there is no account to see", "dim"))
    return Group(
        _panel("balances", Group(_state(account), _balances(account, rows))),
        _panel("open orders", _orders(account.orders, rows)),
        _panel("fills", _fills(account.fills, rows)),
    )


def _state(account: SeenAccount) -> Text:
    if account.is_current:
        return Text("current", "green")
    return Text("being asked for" if account.as_of is None else f"as of {_date(account.as_of)}", "yellow")


def _balances(account: SeenAccount, rows: int) -> RenderableType:
    table = _table("asset", "free", "locked", numbers=("free", "locked"))
    for each in account.balances[:rows]:
        table.add_row(each.asset, short(each.free), short(each.locked))
    return _with_rest(table, len(account.balances), rows)


def _orders(orders: Sequence[SeenOrder], rows: int) -> RenderableType:
    table = _table("order", "", "", "", "price", "executed", "of", numbers=("price", "executed", "of"), widest=1)
    for each in orders[:rows]:
        price = "?" if each.price is None else short(each.price)
        figures = (price, short(each.executed), short(each.quantity))
        table.add_row(str(each.order_id), each.symbol, _side(each.side), (each.type or "?").lower(), *figures)
    return _with_rest(table, len(orders), rows)


def _fills(fills: Sequence[SeenFill], rows: int) -> RenderableType:
    table = _table("time", "", "", "price", "quantity", "fee", numbers=("price", "quantity", "fee"), widest=1)
    for each in fills[:rows]:
        fee = f"{short(each.commission)} {each.commission_asset or ''}"
        figures = (short(each.price), short(each.quantity), fee)
        table.add_row(f"{each.time:%H:%M:%S}", each.symbol, _side(each.side), *figures)
    return _with_rest(table, len(fills), rows)


def _with_rest(table: Table, number: int, rows: int) -> RenderableType:
    """The table, with how many rows more there are than it shows; of an empty one, that it is empty."""
    if not number:
        return Text("none", "dim")
    return Group(table, Text(f"and {number - rows} more", "dim")) if number > rows else table


def _side(side: str | None) -> Text:
    return Text((side or "").lower(), _SIDES.get(side or "", ""))


# What happened


def _news(scene: Scene, rows: int) -> RenderableType:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for each in scene.news[:rows]:
        # As `Text`, so that brackets in the exchange's words are no markup.
        table.add_row(f"{each.time:%H:%M:%S}", Text(each.words))
    return table if scene.news else Text("nothing yet", "dim")


# Figures


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
