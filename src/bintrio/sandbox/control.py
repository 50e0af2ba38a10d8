"""The control of a running sandbox over HTTP, for tests in any language: what `Sandbox` can be told and asked.

``GET /`` lists what there is. What is told comes by ``POST`` as a JSON object, with the fields of the record that is
named in `COMMANDS`; what is asked, by ``GET`` with those of the record in `VIEWS` as a query. Both are read as strictly
as a world's file. Errors are answered with 400 and a JSON object: ``error`` says what is wrong, ``field`` where;
``code`` is the exchange's, where the sandbox's books refuse what was asked.

Everything here goes through the public methods of `Sandbox`. It listens on this machine only, and to no page that a
browser has open: those name another host, or cannot send JSON without asking first.

Needs the extra ``bintrio[ui]``.
"""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import hypercorn.trio
import trio
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bintrio._text import did_you_mean
from bintrio.errors import InvalidRequest

from .commands import COMMANDS, Command
from .exchange.refusals import Refusal
from .running import Sandbox
from .server.listening import host_in_url
from .views import VIEWS, View, as_json
from .world import convert, parse_json

LOOPBACK: Final = "127.0.0.1"
LOCAL_HOSTS: Final = (LOOPBACK, "localhost")
ON_LOOPBACK: Final = Middleware(TrustedHostMiddleware, allowed_hosts=LOCAL_HOSTS)
"""Refuses a page of a browser whose host's name leads here."""

UNREAD: Final = 10_000
"""Milliseconds after which a peer that reads nothing of what waits for it is cut off; ours."""

_MOST: Final = 1_000_000  # bytes of a body; ours

Asked = TypeVar("Asked")

logger = logging.getLogger(__name__)


# What is served


def control(sandbox: Sandbox) -> Starlette:
    """The ASGI application that tells and asks a sandbox."""
    return Starlette(routes=routes(sandbox), middleware=[ON_LOOPBACK], exception_handlers=ERRORS)


def routes(sandbox: Sandbox) -> Sequence[Route]:
    """A path for each view and each command, and one for the list of them."""
    return [
        Route("/", _list),
        *(Route(f"/{name}", partial(_ask, sandbox, view)) for name, view in VIEWS.items()),
        *(Route(f"/{name}", partial(_tell, sandbox, command), methods=["POST"]) for name, command in COMMANDS.items()),
    ]


async def _list(_request: Request) -> Response:
    told = {f"POST /{name}": command.words for name, command in COMMANDS.items()}
    return answer({f"GET /{name}": view.words for name, view in VIEWS.items()} | told)


async def _ask(sandbox: Sandbox, view: View, request: Request) -> Response:
    return answer(view.shows(sandbox, asked_for(request, view.takes)))


def asked_for(request: Request, takes: type[Asked]) -> Asked:
    """The record in a query.

    Raises:
        InvalidRequest: it is none; the message names the field.
    """
    # A query has only text, so text that says a number must count as one.
    return convert({**request.query_params}, takes, Path(), strict=False)


async def _tell(sandbox: Sandbox, command: Command, request: Request) -> Response:
    # A page of another site can send a form without asking the browser first, but no JSON.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "the body must be JSON, with the header Content-Type: application/json")
    done = command.does(sandbox, convert(_read(await _body(request)), command.takes, Path()))
    return answer({} if done is None else done)


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():  # to its end, since who left it would have to close it
        # One byte more than is allowed tells that there is more.
        body += part[: _MOST + 1 - len(body)]
    if len(body) > _MOST:
        raise HTTPException(413, f"the body must have {_MOST:,} bytes at most")
    return body


def _read(body: bytes) -> Any:
    try:
        return parse_json(body.decode())
    # Arrays within arrays, deep enough, end in a RecursionError.
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the body is no JSON: {error}") from None


def answer(content: object, status: int = 200) -> Response:
    """JSON."""
    return Response(as_json(content), status, media_type="application/json")


# What is refused


async def _http_error(request: Request, error: Any) -> Response:
    # Who guessed a name is told the nearest.
    said = _nowhere(request.url.path) if error.status_code == 404 else error.detail
    return answer({"error": said, "field": None}, error.status_code)


def _nowhere(path: str) -> str:
    name = path.rpartition("/")[2]
    return f"there is no {path}{did_you_mean(name, (*VIEWS, *COMMANDS)) or '; GET / lists what there is'}"


async def _invalid(_request: Request, error: Any) -> Response:
    return answer({"error": str(error), "field": error.field}, 400)


async def _refused(_request: Request, error: Any) -> Response:
    return answer({"error": error.message, "code": error.code}, 400)


async def _no_file(_request: Request, error: Any) -> Response:
    return answer({"error": str(error), "field": "keys"}, 400)


ERRORS: Final[Mapping[Any, Callable[[Request, Any], Awaitable[Response]]]] = {
    HTTPException: _http_error,
    InvalidRequest: _invalid,
    Refusal: _refused,
    OSError: _no_file,  # that of a key
}
"""How each is answered."""


# How it is served


async def serve_control(
    sandbox: Sandbox, port: int, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve `control` on this machine until it is cancelled.

    Args:
        sandbox: what is controlled.
        port: 0 takes a free one.
        task_status: is told the URL.

    Raises:
        OSError: the port cannot be had.
    """
    await serve(control(sandbox), LOOPBACK, port, task_status=task_status)


async def serve(
    application: Starlette,
    host: str,
    port: int,
    *,
    path: str = "",
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an application until it is cancelled.

    Args:
        application: what answers.
        host: an address of this machine, or a name of one.
        port: 0 takes a free one.
        path: of the URL.
        task_status: is told the URL.

    Raises:
        OSError: the host or port cannot be had.
    """
    listener = _listen(host, port)
    url = f"http://{host_in_url(host)}:{listener.getsockname()[1]}{path}"
    config = Config()
    # The socket is ours: so its port is known before it is served, and it can have options.
    config.bind = [f"fd://{listener.detach()}"]
    config.errorlog = logger
    # The two libraries describe the same interface by other types.
    serving: Any = application
    server: Any = hypercorn.trio
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(server.serve, serving, config))
        task_status.started(url)
    # It ends by itself only where Ctrl-C has hit one of its tasks, and keeps that to itself.
    signal.raise_signal(signal.SIGINT)


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    # The library cannot be cancelled while it sends, so a peer that does not read would keep us from ending. Its
    # connections have this from the listener. Where the platform has no such option (all but Linux), it lasts until
    # the peer is gone.
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # pragma: no branch
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD)
    return listener
