"""Makes the pictures of docs/pictures, each from a run: ``python -m scripts.make_pictures [SECONDS]``.

What is in them is what happened meanwhile, so each run gives other figures.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from bintrio import Kline, open_session
from bintrio.cli._charts import draw
from bintrio.cli._scene import Memory, Scene
from bintrio.cli._scene_view import view
from bintrio.cli.watch import Rhythm, look_at, on_a_sandbox
from bintrio.sandbox import RandomWalk, open_sandbox

FOLDER: Final = Path(__file__).parent.parent / "docs" / "pictures"
WIDTH: Final = 124
"""Columns of the terminal in the picture."""

SECONDS: Final = 90

_FONTS: Final = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)
"""They would be loaded from another host; the reader's own will do."""


async def watched(seconds: int) -> Scene:
    """What there is to see after so long."""
    scenes = list[Scene]()
    memory = Memory()
    async with on_a_sandbox(memory) as (session, _has_key), session.account() as account:
        await look_at(session, account, memory, Rhythm(1, seconds), scenes.append)
    return scenes[-1]


def picture_of(scene: Scene) -> str:
    """An SVG of the terminal that shows it."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(view(scene))
    return console.export_svg(title="bintrio watch", code_format=_FONTS.sub("", CONSOLE_SVG_FORMAT), unique_id="watch")


async def candles() -> Sequence[Kline]:
    """Three days of a market that is the same each time."""
    async with open_sandbox(listen=False, market=RandomWalk(seed=7, interval=60)) as sandbox:
        sandbox.advance(3 * 86_400)
        async with open_session(sandbox.endpoint, connect=sandbox.connect) as session:
            start = session.now() - 3 * 86_400_000
            return [row async for row in session.history.klines(symbol="BTCUSDT", interval="15m", start_time=start)]


def main(seconds: int) -> None:
    """Run, look, and draw."""
    draw(trio.run(candles), Kline, FOLDER / "klines.svg", "klines BTCUSDT 15m", "ms")
    (FOLDER / "watch.svg").write_text(picture_of(trio.run(watched, seconds)), "utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else SECONDS)
