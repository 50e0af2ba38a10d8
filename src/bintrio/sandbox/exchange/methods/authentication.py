"""Authentication requests.

Source: "Authentication requests" of the WebSocket API document.
"""

from __future__ import annotations

from bintrio.api.authentication import ConnectionStatus, SessionLogon, SessionLogout, SessionStatus

from .. import refusals
from .calls import RequestContext, answers


@answers(SessionLogon)
def session_logon(call: RequestContext) -> ConnectionStatus:
    """Log on. The document gives no code for a key of the wrong type; -2015 speaks of permissions."""
    if not call.signer.can_log_on:
        raise refusals.api_key_refused()
    call.session.log_on(call.signer, call.now)
    return call.session.status(call.now)


@answers(SessionStatus)
def session_status(call: RequestContext) -> ConnectionStatus:
    """How the connection stands."""
    return call.session.status(call.now)


@answers(SessionLogout)
def session_logout(call: RequestContext) -> ConnectionStatus:
    """Log off."""
    call.session.log_off()
    return call.session.status(call.now)
