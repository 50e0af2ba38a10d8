"""An RSA key that is the same in every world. It opens nothing but a sandbox."""

from __future__ import annotations

from functools import cache
from typing import Final

from .._protocol.signing import RsaKey
from ..sandbox import SandboxAccount, SandboxKey

RSA_API_KEY: Final = "stormrsa"

# Made once: a key that is made anew would be another one in each run. Short, since one that is as long as real ones
# takes a world of many calls a tenth of its time to sign with.
RSA_PEM: Final = """\
-----BEGIN PRIVATE KEY-----
MIICdQIBADANBgkqhkiG9w0BAQEFAASCAl8wggJbAgEAAoGBAKtCrGCtxVghJRhG
H5JaIxqtlRM1DGy00i5yLJkrMTKySIhZM8SFKTXBGTWktE07BQ0gtAfBnUc2gW49
jeJhsh8h02xNWlW1t37SFioTUTyxPVbnoVfJArNctLMfQmcPV3fzQHjzowXRFtRN
uvpEPhiAymv2pdObJ0lcRdkIuOGrAgMBAAECgYAYQ3DynYv5CXEc+EpezMBuditJ
tllVSWUByZFB/hmRSir2jlTEQe1tvTbaH8SfsH3ttzVqZ+blgPZjbPseGKNIhHiF
EnI2ibVQ8yu+P0tm/jI9U+DULsfTnBp//dBe14Ipjyd8u9xXum70+uF45xIutMRV
I4iNXvC/73vzpfdQeQJBANtByR6RAXp71BcNJr7QnPxEkO8P5E8JsnjCkeErw8kR
tYugE+x+n7Znv/mQXKY5gvfCjr7Jw68KGF+XiLDmQ98CQQDH9dEXCiZTxo2hIGjY
xZl1lC23/eM00s5vz/BSgkIdzDIIT6QoHYt/RdsRSyDXh4bQRiaBrTiaoyn6OuyQ
ibu1AkB5RqgSKi7hKwEjRvj5braGqv5n3Shxt3FqbmT2YZjH7O24L3EVzOxWnoiH
aBx3LTSOCqWeTkfY2AKnTVAkWRmNAkBO6FxYoTK6wJHHUcjOMjv6wDzCbLgqcj3w
tbf6d1ir9ZaQ3QzEn9Qap3BphKIzK1IyAlzTs42wyE6aZoJQD2o5AkBdYHlAPKzX
IfGMk4iMKPyfkVPk+udYLPSw0BXBlc/SITiS9Ap731Ne5vn0iCCblyZlkZ0iot/q
2kDOs3FHhwJF
-----END PRIVATE KEY-----
"""


@cache
def rsa_key() -> RsaKey:
    """What the program signs with."""
    return RsaKey.from_pem(RSA_PEM, api_key=RSA_API_KEY)


def rsa_account(account: SandboxAccount) -> SandboxAccount:
    """The same account, which takes that key as well."""
    return SandboxAccount(account.uid, account.balances, keys=[_sandbox_key()])


@cache
def _sandbox_key() -> SandboxKey:
    return SandboxKey(RSA_API_KEY, pem=RSA_PEM)
