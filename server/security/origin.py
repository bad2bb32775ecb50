"""Which web pages may use this server from a browser: its own, and those that a setting names."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from fathom.errors import Code, FathomError


def check_origin(headers: Mapping[str, str], allowed: frozenset[str]) -> None:
    """Refuse a page of another site; raises FORBIDDEN.

    A browser lets any page open a socket to any server or post a picture there, with a person's
    credentials for it, and no reply header can forbid that: the server must look at who asks.
    Programs send no Origin.
    """
    origin = headers.get("origin")
    if origin is None or origin in allowed or _same(origin, headers.get("host", "")):
        return
    raise FathomError(
        Code.FORBIDDEN,
        expected="a page of this server, or of an allowed origin",
        got=f"one of {origin[:80]}",
        repair="give --allowed-origins to let other sites' pages in",
    )


def _same(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower() != ""
    except ValueError:  # not an address at all
        return False
