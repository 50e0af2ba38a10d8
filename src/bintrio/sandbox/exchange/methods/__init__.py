"""What each method does, once its request has passed the gates: one module for each section of the document.

Source: the method's section of the WebSocket API document; `Request.api.url` names it.
"""

from . import account, authentication, general, market, order_lists, routing, trading, user_data
from .calls import RequestContext, functions

__all__ = [
    "RequestContext",
    "account",
    "authentication",
    "functions",
    "general",
    "market",
    "order_lists",
    "routing",
    "trading",
    "user_data",
]
