"""Who may ask the server anything: requests whose address has the secret, made by a page of this server's own.

The address is the only key: other users of the machine reach the port as well. The names in `Host` and `Origin` keep
away pages of other places that this user's browser shows, also where such a place's name has been bent to this machine
(DNS rebinding).
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

SECRET_BYTES = 24
"""Random bytes of the secret: far more than can be tried."""

WRONG_ADDRESS = "this address lacks the secret: open the one that the server printed at its start"
FOREIGN_HOST = "this server is not asked under that name: open the address that it printed at its start"
FOREIGN_PAGE = "pages of other places are not answered: open the address that it printed at its start"


def why_refused(path: str, host: str, origin: str | None, secret: str, names: Collection[str]) -> str:
    """Why a request is refused, in a sentence; empty if it is answered.

    path: as it was asked for, undecoded. host, origin: the headers; `origin` is None where there is none, as of a page
    that a user opens. names: under which this machine may be asked, besides numbers and `localhost`.
    """
    given = path.removeprefix("/").partition("/")[0]
    if not hmac.compare_digest(given.encode(errors="surrogateescape"), secret.encode()):
        return WRONG_ADDRESS
    if not _is_ours(host, names):
        return FOREIGN_HOST
    if origin is not None and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
        return FOREIGN_PAGE
    return ""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that is bound to this address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _is_ours(host: str, names: Collection[str]) -> bool:
    """Whether a `Host` header names this machine. A number is no name that somebody could have bent."""
    try:
        address = urlsplit(f"//{host}")
        name, _ = address.hostname or "", address.port
    except ValueError:  # as of a port that is no number
        return False
    if name == "localhost" or name in {each.lower() for each in names}:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
