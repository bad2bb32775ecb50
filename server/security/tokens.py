"""Bearer tokens: a file with one a line, kept as digests, compared in constant time."""

import base64
import hashlib
import hmac
from pathlib import Path

from fathom.errors import Code, FathomError

# What cannot be guessed over a network in years, even at the pace of a wrong token after the other.
_SHORTEST = 20


class Tokens:
    """The tokens that are let in, as digests: a dump of this memory lets nobody in."""

    def __init__(self, tokens: list[str]) -> None:
        self._digests = [_digest(token) for token in tokens]

    def holds(self, token: str) -> bool:
        """Whether this is one of them; takes as long whichever it is, and if it is none."""
        digest = _digest(token)
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(known, digest)
        return found


def read_tokens(file: Path) -> Tokens:
    """One token a line; empty lines and those that start with # are none.

    raises  BAD_SETTING for a file that cannot be read, holds none, or one that could be guessed
    """
    try:
        lines = [line.strip() for line in file.read_text(encoding="ascii").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "other characters than ASCII"
        raise _bad_file(f"{file}: {reason}") from error
    tokens = [line for line in lines if line and not line.startswith("#")]
    if not tokens:
        raise _bad_file(f"{file}, which holds none")
    short = [token for token in tokens if len(token) < _SHORTEST]
    if short:
        raise _bad_file(f"{file} with one of {len(short[0])} characters")
    return Tokens(tokens)


def presented_token(authorization: str) -> str:
    """The token of an `Authorization` header, empty where it holds none.

    `Bearer TOKEN`; or `Basic`, with the token as the password and any user, for browsers: they ask
    a person for it, and then send it with the page's scripts, requests and sockets.
    """
    scheme, _, value = authorization.strip().partition(" ")
    scheme, value = scheme.lower(), value.strip()
    if scheme == "bearer":
        return value
    if scheme == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except ValueError:  # no base64, or no text
            return ""
    return ""


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _bad_file(got: str) -> FathomError:
    return FathomError(
        Code.BAD_SETTING,
        expected=f"a file of tokens, one a line, each of at least {_SHORTEST} characters",
        got=got,
        repair="make one with: openssl rand -hex 32 > tokens",
    )
