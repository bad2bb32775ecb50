"""TLS on every door from the same three files, renewed while the server runs.

HTTP and WebSocket take Python's `ssl`, gRPC its own library: both get the newest certificate at
each handshake.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from fathom.errors import Code, FathomError


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Where the server's certificate lies, in PEM.

    cert       the certificate, then those that sign it
    key        its private key
    client_ca  who signs clients' certificates; with it a client without one gets no connection
    """

    cert: Path
    key: Path
    client_ca: Path | None = None

    @property
    def all(self) -> tuple[Path, ...]:
        return tuple(file for file in (self.cert, self.key, self.client_ca) if file is not None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Identity:
    """A server's certificate as the doors take it; checked: the key is the one for it."""

    context: ssl.SSLContext
    grpc: grpc.ServerCertificateConfiguration
    mutual: bool


def read_identity(files: TlsFiles) -> Identity:
    """Read and check the files; raises BAD_SETTING."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # 1.2 and newer
        context.load_cert_chain(files.cert, files.key, password=_no_password)
        client_ca = None
        if files.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(files.client_ca)
            client_ca = files.client_ca.read_bytes()
        pair = (files.key.read_bytes(), files.cert.read_bytes())
    except (OSError, ValueError) as error:  # an ssl.SSLError is an OSError
        raise FathomError(
            Code.BAD_SETTING,
            expected="a certificate, its key without password and, if given, a client CA, in PEM",
            got=f"{', '.join(map(str, files.all))}: {error}",
            repair="check --tls-cert, --tls-key and --tls-client-ca",
        ) from error
    return Identity(
        context=context,
        grpc=grpc.ssl_server_certificate_configuration([pair], client_ca),
        mutual=client_ca is not None,
    )


class RenewedContext(ssl.SSLContext):
    """Hands each handshake to the newest context; asyncio and uvloop ask for no more than that."""

    newest: Callable[[], Identity]

    def __new__(cls, newest: Callable[[], Identity]) -> "RenewedContext":
        context = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        context.newest = newest
        return context

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        return self.newest().context.wrap_bio(*arguments, **options)


def grpc_credentials(newest: Callable[[], Identity]) -> grpc.ServerCredentials:
    """Credentials that take the newest certificate at each handshake."""
    first = newest()
    return grpc.dynamic_ssl_server_credentials(
        first.grpc, lambda: newest().grpc, require_client_authentication=first.mutual
    )


def _no_password() -> str:
    raise ValueError("the key has a password")
