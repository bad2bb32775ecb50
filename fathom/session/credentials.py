"""What a client shows to a server, and by what it knows the server."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import grpc

from fathom.errors import Code, FathomError

Metadata: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who a client is, and whom it trusts.

    token  bearer token of the server
    tls    whether to speak TLS; any of the files means so too
    ca     PEM file of who signs the server's certificate; the machine's own list if None
    cert   PEM file of the client's own certificate, where the server asks for one
    key    PEM file of its key
    """

    token: str = field(default="", repr=False)
    tls: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise FathomError(
                Code.BAD_OPTION,
                expected="a certificate and its key, both",
                got="one of them",
                repair="give the other as well",
            )

    @property
    def metadata(self) -> Metadata:
        """What goes with every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """For a channel with TLS, None for one without; raises BAD_OPTION."""
        if not (self.tls or self.ca or self.cert):
            return None
        return grpc.ssl_channel_credentials(_read(self.ca), _read(self.key), _read(self.cert))


def add_options(parser: argparse.ArgumentParser) -> None:
    """The flags of a command that asks a server."""
    add = parser.add_argument_group("who asks, and whom it trusts").add_argument
    add("--token-file", type=Path, metavar="FILE", help="with the server's bearer token")
    add("--tls", action="store_true", help="speak TLS (with --ca or --cert anyway)")
    add("--ca", type=Path, metavar="PEM", help="who signs the server's certificate (known ones)")
    add("--cert", type=Path, metavar="PEM", help="the client's own certificate, with --key")
    add("--key", type=Path, metavar="PEM", help="its key")


def from_options(given: argparse.Namespace) -> Credentials:
    """What the flags say; raises BAD_OPTION."""
    token = "" if given.token_file is None else read_token(given.token_file)
    return Credentials(token=token, tls=given.tls, ca=given.ca, cert=given.cert, key=given.key)


def _read(file: Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        return file.read_bytes()
    except OSError as error:
        raise FathomError(
            Code.BAD_OPTION,
            expected="a PEM file that can be read",
            got=f"{file}: {error.strerror}",
            repair="check the path",
        ) from error


def read_token(file: Path) -> str:
    """A token from a file of its own, where no process list shows it; raises BAD_OPTION."""
    text = (_read(file) or b"").decode(errors="replace").strip()
    if not text.isascii() or not text.isprintable() or not text:
        raise FathomError(
            Code.BAD_OPTION,
            expected=f"one token in {file}",
            got="none" if not text else "several lines, or other characters",
            repair="write the token there, and nothing else",
        )
    return text
