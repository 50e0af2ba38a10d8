"""The former place of `LocalLedger`, for programs that hand one ledger to several sessions."""

from ._protocol.rate_limits import LocalLedger as LocalLedger
