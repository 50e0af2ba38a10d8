"""Calls that a session may not make as they come: without a key, or what it does by itself."""

from __future__ import annotations

from typing import Final, NoReturn

from ..errors import InvalidRequest
from .accounts import Accounts
from .in_flight import Call
from .supervisor import Supervisor

DONE_BY_SESSION: Final = {
    "userDataStream.subscribe": "the session subscribes by itself: use `async with session.user_data() as events`",
    "userDataStream.subscribe.signature": "the session subscribes by itself: use `async with session.user_data(key)`",
    "userDataStream.unsubscribe": "the session unsubscribes by itself: leave the block of session.user_data()",
}
"""Methods that the session does by itself, and would be at odds with if they were called by hand: what to do instead.
Events of a subscription that it does not know of would reach nobody, the next connection would not make it again, and
the account has room for no other."""

LOGON_METHODS: Final = {"session.logon": True, "session.logout": False}
"""Methods that say whether the session's connections are to be logged on: the present one, and those to come."""


_BY_HAND: Final = DONE_BY_SESSION.keys() | LOGON_METHODS.keys()


def admit(call: Call, accounts: Accounts, supervisor: Supervisor) -> None:
    """Refuse a call that cannot be right, and do one by hand as the session would.

    Raises:
        InvalidRequest: there is no key, or none that can do it, or the session does it by itself.
    """
    if call.api.name in _BY_HAND:
        _admit_by_hand(call, accounts, supervisor)
    elif call.account.key is None and call.api.signed:
        _needs_a_key(call)


def _needs_a_key(call: Call) -> NoReturn:
    # Before anything is sent: the exchange would only say that a parameter is missing.
    raise InvalidRequest(f"{call.api.name} needs a key: open the session with one", field="key")


def _admit_by_hand(call: Call, accounts: Accounts, supervisor: Supervisor) -> None:
    name, key = call.api.name, call.account.key
    if name in DONE_BY_SESSION:
        raise InvalidRequest(f"{name}: {DONE_BY_SESSION[name]}")
    is_logon = LOGON_METHODS[name]
    if key is None:
        # Logging off needs no key.
        if is_logon:
            _needs_a_key(call)
    elif is_logon and not key.can_log_on:
        raise InvalidRequest(f"{name} needs an Ed25519Key, the session has an {type(key).__name__}", field="key")
    if call.account is not accounts.own:  # its connections would be logged on as one account, and sign for another
        raise InvalidRequest(f"{name}: the session is logged on by its own key alone", field="key")
    call.key = key  # a logon is signed, also where calls need no signature any more
    supervisor.log_on_or_off(is_wanted=is_logon)
