"""The catalogue: the exchange's API as declarations, one module per section of its document.

A request is a frozen struct that knows its wire name, security, weight and result (`_base.Request`). The same
declaration serves the client, the sandbox, the command line and the docs. `_values` holds what requests, results and
events share. This package imports nothing by itself: `bintrio` exports the public names.
"""
