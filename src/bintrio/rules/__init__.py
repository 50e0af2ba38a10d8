"""The trading rules of a symbol, from exchangeInfo: what an order must be, before it is sent."""

from ._filters import OrderContext
from ._symbol import CheckedRequest, SymbolRules, Violation

__all__ = ["CheckedRequest", "OrderContext", "SymbolRules", "Violation"]
