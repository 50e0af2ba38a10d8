"""Who may see the page, and what a browser lets it do.

The URL that is printed has a token. Who opens it gets the token as a cookie, and is led to the same page without it in
the address. Everybody else is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from hmac import compare_digest
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY: Final[Iterable[str]] = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",  # no text becomes markup, whatever a client calls its orders
    "trusted-types 'none'",
)

HEADERS: Final = {
    "content-security-policy": "; ".join(_POLICY),
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Of every answer."""

_NO_ENTRY: Final = "This page needs the URL that bintrio sandbox printed, with its token.\n"


class Guard:
    """Lets those in who show the token.

    Args:
        app: what it stands before.
        token: in the URL as ``token``, and then in a cookie.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":  # the library's start and end
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        app = self._app if self._is_token(request.cookies.get(_cookie(request))) else self._entry(request)
        await app(scope, receive, _with_headers(send))

    def _entry(self, request: Request) -> Response:
        if not self._is_token(request.query_params.get("token")):
            # Not 401: a browser would ask for a user and a password.
            return PlainTextResponse(_NO_ENTRY, 403)
        # The token must not stay in the address, which others may see on the screen, nor in the browser's history.
        response = RedirectResponse("/", 303)
        # No script reads it, and it goes with no request that another site makes.
        response.set_cookie(_cookie(request), self._token, httponly=True, samesite="strict")
        return response

    def _is_token(self, shown: str | None) -> bool:
        # It takes as long whatever is wrong.
        return compare_digest((shown or "").encode(), self._token.encode())


def _cookie(request: Request) -> str:
    # The name has the port, since browsers send cookies to all ports of a host.
    return f"bintrio-sandbox-{request.scope['server'][1]}"


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return send_with_headers
