"""An RSA key that is the same in every world. It opens nothing but a sandbox."""

from __future__ import annotations

from functools import cache
from typing import Final

from .._protocol.signing import RsaKey
from ..sandbox import SandboxAccount, SandboxKey

RSA_API_KEY: Final = "stormrsa"

# Made once: a key that is made anew would be another one in each run.
RSA_PEM: Final = """\
-----BEGIN PRIVATE KEY-----
MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQDSijzcwoA5rXDc
zS0F8imoV0GIVw7Z2SNKLP3lGU945jym5FLmTSLsqILm+JyCxHPFq/5jFmTLzMrz
NO1nQ25C3pzqyKxFI8PPj9Da2Ixlazv/uwoXyUz8FI74gvnXPhtP0zlX8DDHZc78
mlLoIknYgt1JJ2fiMDAs6QI7v7ASR0j129lgS5bx/uhjNO1W+5t4GdM8sBSn9ejR
9ma9oblRRfeqe5zrOMTtNFEDalq5YGU77sqcjtQFHRm6pfTIc382g3WO0ELpfDmx
Caq2V8fnGd31Z/K2dT/y9mqL6L9iUA/G0VfH9wAtM4NkcacXBOpzs1Bgri6nNKU1
uZUcFtMLAgMBAAECggEAB1fYSkAq22ZbcdDw1Cy0uCLPZsNJrGzJeIfxMUMOghel
psq33s+PQn8m/99M0pnjCn0L4P8T15RLpSRZNvBceJXtwH1B8yINidyhzKPKqOQ5
eUXmGf8r01KCdn6svlSspzAXPM7WCEHoxcsd6ggZ5s9Jp6TbUHqAc6XgZoJrQiKM
xdqLw36H1KL9BiAUG7NjBuGBHi6E1ehEf/QUDk7XUTggRxStct8oobt4/cgeIBjA
UzSKaWNagMOUPbHSCG648n9g7CNOUxr9X857mO8cXa/83OVe5DVWs1eiDTvVJxZF
g1YDvjcdvuy5rFeNLjqTOcQtzM9rNF2CWpoqgq7z4QKBgQD8HkNmRRqUitxmwyaJ
8vHwUz5+AQF48JFDYcwVQsm6rtF+KntBRM27FfuBdesf9+eNjjO/bynvSHwzsQD5
2qMI0v54d+ioh+pJtcRP5ag7E/M11r5FqPsW2DWO3p4ZOBUm+MRUXeek9vreXhYd
2M2YgOO2ioLhDI2bfOLQz5gzTQKBgQDVyBd/OOZe4ZFSXLwOi/cYWSl7ZaJsbkwi
s1k048vdxoFyq3+gcRbfVNiJbTecl5Yp0IblYU/zKKizUnw+bByqN/p54h27nE7v
OGmPJU0L3UQJrp1nr8WxqhjOY5xQUnbSn6mQTjaiXNHjkuN0SXFyBBmqv9UWuZVP
y3Jke9FDtwKBgH84Di6XBDiccWbxZosJqofomYofm8yZJ9Pmj4LS9tRazp9pdFSV
EXMsPoMvK3wwLgnCDd61i2WRIAs9cA6kAsy7G2lSqHYST2jubacbbe6RvJIYUF76
S+lVJIF5WDHFmPbXZMplsDQP5Ls8otBgzC3+K+m6rxw8p2Akfpd7iYOpAoGBAKd4
lE+pt25krn8i/n82zl9YmdJ9D/x5e1NDxIJWYYJe21GFX/nEHfLeeLNPx9z4Mz6W
iNZwoT0PgPjZiVMtRldieum4ZSpvjLaCLs9gnTbKI16iV9S+MdS4N66XAgE6WLMv
OJo/azVOGW55x411a1WyOJk2piujPoDAE+D7zjeJAoGBANB2eAFYt/XnV0JcfL+l
52BKZpW7sH4pLj29pqUecYDbdI/k4k229q7Xsj6gGaLYluJpInpXV325zYv8QMlT
SI4S0B8Ll4y4EfA2J6/Mg+dWL0yhiE7ngNnsoIkMriVy/6Ckx/SNw3QEEKvvvCXH
CqtBouB25uTj8qS7KtFeN9tF
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
