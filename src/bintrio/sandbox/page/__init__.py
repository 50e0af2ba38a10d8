"""A page to look at a running sandbox, and to act on it: for a browser, from the package's own files.

It shows the views of the control and has its commands as forms, so what it does can be done over HTTP and in Python as
well. `stream` tells it what happens, `guard` keeps others out.

Needs the extra ``bintrio[ui]``.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, Final

import trio
from msgspec import to_builtins
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from bintrio.api._base import catalogue
from bintrio.api.enums import KlineInterval, known_values

from ..control import ERRORS, LOCAL_HOSTS, LOOPBACK, ON_LOOPBACK, answer, asked_for, routes, serve
from ..running import Sandbox
from .forms import forms
from .guard import Guard
from .stream import EventStream, Places, Watched, look

# By their paths.
_FILES: Final[Mapping[str, str]] = {
    "/": "page.html",
    "/page.css": "page.css",
    "/icon.svg": "icon.svg",
    **{f"/{name}": name for name in ("page.js", "charts.js", "forms.js", "tables.js")},
}

_TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


def page(sandbox: Sandbox, token: str, *, is_local: bool = True) -> Starlette:
    """The ASGI application of the page.

    Args:
        sandbox: what is shown.
        token: who opens ``/?token=...`` is let in.
        is_local: whether it is for browsers of this machine only.
    """
    # Read once: they do not change while the page is served.
    files = [Route(path, partial(_send, _read(name))) for path, name in _FILES.items()]
    return Starlette(
        routes=[
            *files,
            Route("/about", partial(_about, sandbox)),
            Route("/events", partial(_events, sandbox, Places())),
            Mount("/control", routes=routes(sandbox)),
        ],
        exception_handlers=ERRORS,
        # Who serves it to other machines has its host name in their browsers.
        middleware=[*([ON_LOOPBACK] if is_local else []), Middleware(Guard, token=token)],
    )


def _read(name: str) -> Response:
    content = resources.files(__name__).joinpath("files", name).read_bytes()
    return Response(content, media_type=_TYPES[Path(name).suffix])


async def _send(file: Response, _request: Request) -> Response:
    return file


async def _about(sandbox: Sandbox, _request: Request) -> Response:
    """What does not change."""
    return answer(
        {
            "endpoint": sandbox.endpoint.urls[0],
            "symbols": [symbol.name for symbol in sandbox.symbols],
            "intervals": known_values(KlineInterval),
            "methods": sorted(catalogue),
            "forms": to_builtins(forms()),
        }
    )


async def _events(sandbox: Sandbox, places: Places, request: Request) -> Any:
    # Each page costs two looks a second, so there may be only so many.
    if not places.free:
        raise HTTPException(503, "too many pages are open")
    watched = asked_for(request, Watched)
    look(sandbox, watched)  # what cannot be shown is refused before the stream begins
    return EventStream(sandbox, watched, places)


async def serve_page(
    sandbox: Sandbox,
    host: str = LOOPBACK,
    port: int = 0,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `page` until it is cancelled, with a token of its own.

    Args:
        sandbox: what is shown.
        host: an address of this machine, or a name of one. Others than loopback can be reached from elsewhere.
        port: 0 takes a free one.
        task_status: is told the URL, token included.

    Raises:
        OSError: the host or port cannot be had.
    """
    # A new one for each run: a URL that somebody has seen once opens no later sandbox.
    token = secrets.token_urlsafe()
    application = page(sandbox, token, is_local=host in LOCAL_HOSTS)
    await serve(application, host, port, path=f"/?token={token}", task_status=task_status)
